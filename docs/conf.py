"""The documentation: `make docs`. It asks the network for nothing, neither when built nor when read."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import glacierlab

project = "glacierlab"
author = "The glacierlab developers"
copyright = author
release = glacierlab.__version__
version = ".".join(release.split(".")[:2])

extensions = [
    "myst_nb",
    "numpydoc",
    "site_pages",
    "sphinx.ext.autodoc",
    "sphinx_click",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = [
    "_build",
    "_ext",
    "**/tables/*.md",
    "course/lessons/table.md",
    "gallery/generated/grid.md",
]
language = "en"
default_role = "code"  # single backticks of docstrings are code
nitpicky = False

# ---- lessons and pages

nb_execution_mode = "off"  # `make notebooks` runs them
nb_ipywidgets_js = {}  # widgets need a kernel, and their scripts a network
nb_code_prompt_show = "Show the solution"  # nothing else is folded
nb_code_prompt_hide = "Hide the solution"
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
copybutton_exclude = ".linenos, .gp, .go"
copybutton_prompt_text = ">>> "

# ---- docstrings

autosummary_generate = False  # pages are written by _ext/reference.py
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # numpydoc says more
add_module_names = False
numpydoc_show_class_members = False
numpydoc_validation_checks = {  # those that hold everywhere; the build fails where one stops to
    "GL02", "GL03", "GL06", "GL07", "GL09", "GL10",  # shape and order of sections
    "PR02", "PR06", "PR09", "PR10",  # parameters: known, spelled types, whole sentences
    "RT05", "SS01", "SS02", "SS03", "SS04", "SS06",  # returns and summaries: there, one line, a sentence
}  # fmt: skip

# ---- looks

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
PAPERS = ("", "papers/")
WIDE = [  # pages of wide tables and long lines have no second sidebar
    "index",
    "course/index",
    *(f"reference/{name}" for name in ("accessor", "classes", "indices", "layers", "models", "presets")),
    *(f"course/lessons/{part}{path.stem}" for part in PAPERS for path in (NOTEBOOKS / part).glob("*.ipynb")),
]

html_theme = "pydata_sphinx_theme"
html_title = "glacierlab"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/mark.svg"
html_show_sourcelink = False
html_show_copyright = False
html_sidebars = {"index": [], "gallery/index": []}
html_context = {"default_mode": "auto"}
html_theme_options = {
    "logo": {"text": "glacierlab", "image_light": "_static/mark.svg", "image_dark": "_static/mark.svg"},
    "navbar_end": ["theme-switcher"],
    "footer_start": ["sphinx-version"],
    "footer_end": [],
    "header_links_before_dropdown": 8,
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "secondary_sidebar_items": {"**": ["page-toc"]} | {page: [] for page in WIDE},
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
