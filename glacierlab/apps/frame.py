"""How the inspector stands in a window: tabs and map beside each other, on a phone the map first."""

import panel as pn

from .pieces import WIDTH

ABOVE = 84  # pixels of the page's header, and what lies between
SIDEBAR = f"""
:host {{ flex: 0 0 {WIDTH + 20}px; height: calc(100vh - {ABOVE}px); min-height: 380px; min-width: 0; }}
@media (max-width: 800px) {{ :host {{ flex: 1 1 100%; max-width: 100%; height: auto; order: 2; }} }}
"""
SCROLLED = """
:host { overflow: hidden auto; min-height: 0; }
@media (max-width: 800px) { :host { overflow: visible; height: auto; flex: none !important; } }
"""
STAGE = f"""
:host {{ flex: 1 1 400px; height: calc(100vh - {ABOVE}px); min-height: 380px; min-width: 0; }}
@media (max-width: 800px) {{ :host {{ flex: 1 1 100%; max-width: 100%; height: 62vh; }} }}
"""
TABS = """
.bk-tab { padding: 6px 5px !important; font-size: 13px !important; }
@media (max-width: 440px) { .bk-tab { padding: 6px 3px !important; font-size: 12px !important; } }
"""  # seven in a row
SAYING = """
:host {
  position: sticky; top: 0; bottom: 0; z-index: 9;
  background: var(--bs-body-bg, var(--panel-background-color, white));
}
@media (max-width: 800px) { :host { top: -0.6rem; padding-top: 0.6rem; } }
"""
NO_KEYS = "@media (max-width: 800px) { :host { display: none; } }"


def framed(status, tabs, keys, heading, stage):
    """A page of the window's size: messages above the tabs, which scroll; heading and stage fill the rest.

    Parameters
    ----------
    status, tabs, keys : panel.viewable.Viewable
    heading, stage : list of panel.viewable.Viewable
        Above the map, and from the map on.
    """
    status.stylesheets, tabs.stylesheets, keys.stylesheets = [SAYING], [TABS], [NO_KEYS]
    scrolled = pn.Column(tabs, sizing_mode="stretch_both", stylesheets=[SCROLLED], margin=0)
    sidebar = pn.Column(status, scrolled, keys, stylesheets=[SIDEBAR], margin=0)
    above = pn.FlexBox(*heading, align_items="center", gap="0 20px", margin=0)
    return pn.FlexBox(
        sidebar, pn.Column(above, *stage, stylesheets=[STAGE], margin=0), gap="0 10px",
        sizing_mode="stretch_width",
    )  # fmt: skip
