"""What report pages are made of: templates, pictures within the page, and what software made them."""

import base64
import io
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

import jinja2

VERSIONS_OF = ("glacierlab", "xarray", "numpy", "rasterio", "geopandas", "shapely", "scikit-image")


def render(name, **values):
    """A template of the package's `pages`, filled in; values are escaped."""
    pages = jinja2.PackageLoader("glacierlab", "pages")
    setup = jinja2.Environment(loader=pages, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return setup.get_template(name).render(**values)


def png(figure):
    """A matplotlib figure as PNG bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def as_data_uri(picture):
    """PNG bytes for an `img` that needs no other file."""
    return "data:image/png;base64," + base64.b64encode(picture).decode("ascii")


def made_by():
    """When a page is made and with what, as {name: text}."""
    software = [f"{name} {version_of(name)}" for name in VERSIONS_OF]
    return {
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "software": ", ".join([*software, f"Python {platform.python_version()}"]),
    }


def version_of(package):
    """An installed package's version."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
