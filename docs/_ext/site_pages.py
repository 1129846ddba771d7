"""Sphinx's door to what this site makes: lessons, reference, tables and gallery, before it reads a page."""

from pathlib import Path

import data_tables
import gallery
import lessons
import reference
from links import listed, mended

INDEXES = ("howto/index", "explanation/index")  # their tables of contents are what they link to


def make(app):
    """Write every generated page; what has not changed is left as it is."""
    gallery.write_gallery()
    lessons.copy_lessons()
    data_tables.write_tables()
    reference.write_reference()


def mend(app, name, source):
    """Links of pages that a forge shows too."""
    page = Path(app.env.doc2path(name))
    if page.suffix == ".md":
        source[0] = mended(source[0], page, page)
    if name in INDEXES:
        source[0] += listed(source[0], page)


def setup(app):
    app.connect("builder-inited", make)
    app.connect("source-read", mend)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
