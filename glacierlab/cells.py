"""What an object shows of itself: facts as a table in a notebook cell, or as lines of text.

Colors are those of the page, so that both are legible in light and dark themes; whatever a fact says is
escaped, for names come out of files.
"""

from html import escape

LINE = "border-bottom: 1px solid rgba(128, 128, 128, 0.35)"
CELL = "text-align: left; vertical-align: top; padding: 0.2em 0.9em 0.2em 0; background: transparent"
LONGEST = 600  # characters of a fact


def html_of(title, rows, *, beside=""):
    """A title and (label, fact) rows as HTML.

    Parameters
    ----------
    title : str
    rows : iterable of (str, object)
    beside : str
        HTML of ours, which is not escaped: a picture or a further table.
    """
    head = f'<div style="{LINE}; font-weight: bold; padding: 0.2em 0">{shown(title)}</div>'
    return (
        f'<div style="display: flex; flex-wrap: wrap; gap: 1.2em; align-items: flex-start">'
        f'<div style="max-width: 52em">{head}{table_of(rows)}</div>{beside}</div>'
    )


def table_of(rows):
    """(label, fact) rows as a table of HTML; spaces before a label move it in."""
    lines = []
    for label, fact in rows:
        indent = len(label) - len(label.lstrip())
        style = f"{CELL}; white-space: nowrap; font-weight: normal; opacity: 0.75"
        lines.append(
            f'<tr style="background: transparent"><th style="{style}; padding-left: {indent / 2}em">'
            f'{shown(label.strip())}</th><td style="{CELL}; white-space: normal">{shown(fact)}</td></tr>'
        )
    return f'<table style="margin: 0.2em 0; border: none">{"".join(lines)}</table>'


def folded(summary, rows):
    """A table that opens when its summary is clicked."""
    return f'<details><summary style="cursor: pointer">{shown(summary)}</summary>{table_of(rows)}</details>'


def lines_of(title, rows):
    """A title and (label, fact) rows as lines of text."""
    rows = [(label, clipped(fact)) for label, fact in rows]
    width = max((len(label) for label, _ in rows), default=0)
    return "\n".join(
        printable(line) for line in [title, *(f"  {label:<{width}}  {fact}" for label, fact in rows)]
    )


def shown(fact):
    """A fact as HTML: clipped, escaped, without control characters."""
    return escape(printable(clipped(fact)))


def clipped(fact):
    """A fact as text of bounded length."""
    text = str(fact)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def printable(line):
    """A line without control characters, which could do more to a terminal than print."""
    return "".join(each if each.isprintable() else " " for each in line).rstrip()
