"""Small parts of the inspector's panels. Whatever comes from data is escaped here: names are text."""

from html import escape

import numpy as np
import pandas as pd
import panel as pn
import panel.models.tabulator
from bokeh.models.widgets.tables import NumberFormatter, StringFormatter

WIDTH = 380  # pixels of the sidebar
NUMBER = 68  # pixels of a column of numbers
HOVERED = """
.tabulator-row.tabulator-selectable:hover:not(.tabulator-selected) {
  background-color: #d6e6f5 !important; color: #1b2733 !important;
}
"""
SMALL = """
.tabulator { font-size: 12px !important; }
.tabulator-row .tabulator-cell, .tabulator-header .tabulator-col .tabulator-col-content {
  padding: 4px 6px !important;
}
.tabulator-row { min-height: 24px !important; }
.tabulator-col-sorter { display: none !important; }
.tabulator-col-title { padding-right: 0 !important; }
"""
KINDS = {"info": ("", "#3d9be9"), "done": ("✓ ", "#0072b2"), "error": ("⚠ ", "#d55e00")}  # mark and color


def counted(number, noun):
    """A number of things in words: "1 outline", "2 outlines"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def html(markup, **options):
    """A pane of markup that is ours."""
    return pn.pane.HTML(markup, **({"margin": (2, 10), "sizing_mode": "stretch_width"} | options))


def paragraph(text):
    """A text as markup."""
    return f'<p style="margin:0 0 4px">{escape(str(text))}</p>'


def facts(rows):
    """{name: text} as the markup of a small table."""
    cells = "".join(
        f'<tr><th scope="row" style="text-align:left;font-weight:600;padding-right:12px;white-space:nowrap">'
        f'{escape(str(name))}</th><td style="overflow-wrap:anywhere">{escape(str(value))}</td></tr>'
        for name, value in rows.items()
    )
    return f'<table style="font-size:13px;border-spacing:0">{cells}</table>'


AREA, LINE = "height:10px;border:1px solid #555;background:{}", "height:3px;background:{}"  # of swatches
CURRENT = {
    "current outline": "repeating-linear-gradient(90deg,#fff 0 5px,#111 5px 8px);outline:1px solid #111"
}


def swatches(colors, look=AREA):
    """{name: color} as the markup of a legend; each color beside its name."""
    return legend(entries(colors, look))


def entries(colors, look=AREA):
    """{name: color} as the markup of entries of a legend: areas, or lines."""
    return "".join(
        '<span style="white-space:nowrap"><span style="display:inline-block;vertical-align:middle;width:16px;'
        f'margin-right:5px;{look.format(escape(color))}"></span>{escape(str(name).replace("_", " "))}</span>'
        for name, color in colors.items()
    )


def legend(markup):
    """Entries as a legend that is as wide as there is room."""
    return f'<div style="display:flex;flex-wrap:wrap;gap:2px 14px;font-size:13px">{markup}</div>'


def scale_bar(legend):
    """(low, high, palette) as the markup of a bar with its ends."""
    low, high, palette = legend
    stops = ",".join(palette[:: max(1, len(palette) // 16)])
    return (
        f'<div style="display:flex;gap:8px;align-items:center;font-size:12px"><span>{low:.3g}</span>'
        f'<div style="flex:1;height:10px;border:1px solid #555;background:linear-gradient(to right,{stops})">'
        f"</div><span>{high:.3g}</span></div>"
    )


def table(frame, titles, formats, wrapped=(), **options):
    """A table to look at; rows can be selected, cells not changed, and texts are texts, however long.

    Texts of the columns `wrapped` take as many lines as they need.
    """
    formatters = {
        name: NumberFormatter(format=formats[name]) if name in formats else StringFormatter()
        for name in frame
    } | dict.fromkeys(wrapped, "textarea")
    return pn.widgets.Tabulator(
        shown(frame),
        **(
            dict(
                titles=titles, formatters=formatters, show_index=False, disabled=True, selectable=1,
                layout="fit_columns", widths=dict.fromkeys(formats, NUMBER), theme="simple",
                sizing_mode="stretch_width", margin=(2, 10),
                text_align=dict.fromkeys(formats, "right"), header_align="left", stylesheets=[SMALL, HOVERED],
            ) | options
        ),
    )  # fmt: skip


def shown(frame):
    """A frame without types that a browser does not know: texts as str, missing ones empty."""
    frame = frame.reset_index(drop=True)
    texts = [name for name in frame if not pd.api.types.is_numeric_dtype(frame[name])]
    return frame.assign(**{name: frame[name].map(plain) for name in texts}).astype(
        dict.fromkeys(texts, object)
    )


def plain(value):
    """A value of a cell as text."""
    if isinstance(value, str):
        return value
    if value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return ""
    return str(value)


def update(widget, frame):
    """Show other rows in a table: cells that changed where the rows are the same, else all."""
    frame, old = shown(frame), widget.value
    unseen = not widget._models  # a change of cells would not be in the table that is drawn later
    if unseen or not frame.columns.equals(old.columns) or len(frame) != len(old) or not len(frame):
        widget.value = frame
        return
    same = (frame == old) | (frame.isna() & old.isna())
    if (~same).to_numpy().sum() > 50:
        widget.value = frame
        return
    changes = {
        name: [(int(row), frame[name].iloc[row]) for row in np.flatnonzero(~same[name])]
        for name in frame.columns[~same.all()]
    }
    if changes:
        widget.patch(changes)


def button(name, act, **options):
    """A button, and what it does."""
    made = pn.widgets.Button(name=name, **({"margin": (3, 3), "sizing_mode": "stretch_width"} | options))
    made.on_click(act)
    return made
