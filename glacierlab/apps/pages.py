"""What the dashboard says in words and tables, as HTML; every text of data is escaped here."""

from html import escape

import pandas as pd

from ..change.dated import TOTAL
from ..change.differences import SIGNIFICANT
from ..report.changed import counted, provenance
from ..report.pages import made_by
from .charts import GAIN, INK, LOSS, MIDDLE, UNKNOWN

MEANING = {  # of the number after ±, by kind of error
    "bound": "a bound of the error of mapping, not a standard deviation",
    "95 %": "half of the 95 % interval",
    "mixed": "of errors of several kinds in quadrature, neither a bound nor 95 %",
}
SUMS = {  # how errors of glaciers are summed, in words
    "linear": "linear sum: all glaciers err alike, an upper bound",
    "root-sum-square": "root-sum-square: each glacier errs its own way",
    "parts": "by parts: what is new at each date in quadrature, what dates share added",
}
YEARS = {
    "dates": "Years lie between the dates of the outlines of each glacier, or the middles of their windows; "
    "of totals, between area-weighted mean dates.",
    "chen2022": "The first window is dated by its first year, all others by their last (Chen et al. 2022).",
    "given": "The number of years was given.",
}
FACTS = {  # of a glacier's page: column → what it is
    "zmin_m": "lowest elevation [m]", "zmed_m": "median elevation [m]", "zmax_m": "highest elevation [m]",
}  # fmt: skip
FINDINGS = 40  # lines of what is odd


def css(theme):
    """The style of all HTML, in the colors of a theme."""
    ink, _, line, *_ = INK[theme]
    soft, pale = ("#53626f", "#f2f6f9") if theme == "light" else ("#aab6c0", "#29323a")
    return f"""
:host, .told {{ color: {ink}; font: 16px/1.5 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; }}
h1 {{ font-size: 1.6rem; margin: 0; }} h2 {{ font-size: 1.15rem; margin: 1.1rem 0 .3rem; }}
p {{ margin: .3rem 0; }} .soft {{ color: {soft}; }}
.note {{ background: {pale}; border-left: 4px solid {LOSS}; padding: .5rem .9rem; margin: .3rem 0; }}
.figures {{ display: flex; flex-wrap: wrap; gap: .7rem; }}
.figure {{ background: {pale}; border-left: 4px solid {GAIN}; padding: .4rem .7rem;
  flex: 1 1 auto; min-width: 9rem; }}
.figure b {{ display: block; font-size: 1.2rem; white-space: nowrap; font-variant-numeric: tabular-nums; }}
.figure span {{ color: {soft}; font-size: .92rem; }}
.wide {{ overflow-x: auto; max-width: 100%; }}
table {{ border-collapse: collapse; width: 100%; font-size: .95rem; }}
caption {{ text-align: left; color: {soft}; padding: .2rem 0; }}
th, td {{ text-align: left; padding: .3rem .6rem; border-bottom: 1px solid {line}; vertical-align: top; }}
th {{ color: {soft}; font-weight: 600; }}
.n {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }}
a {{ color: {"#1b5f93" if theme == "light" else "#8fc1ee"}; }}
.scale {{ display: flex; flex-wrap: wrap; gap: .3rem 1rem; align-items: center; font-size: .95rem; }}
.ramp {{ display: inline-block; width: 12rem; height: .9rem; vertical-align: middle; margin: 0 .4rem;
  background: linear-gradient(to right, {GAIN}, {MIDDLE}, {LOSS}); border: 1px solid {line}; }}
.dot {{ display: inline-block; width: .9rem; height: .9rem; background: {UNKNOWN}; vertical-align: middle; }}
"""


def number(value, digits=3):
    """A number in plain digits; a dash where there is none."""
    return "–" if value is None or pd.isna(value) else f"{value:.{digits}f}"


def pair(value, error, digits=3):
    """A number and its error."""
    return number(value, digits) + ("" if error is None or pd.isna(error) else f" ± {error:.{digits}f}")


def verdict(sure, loss):
    """Whether a change is significant, in a word."""
    if pd.isna(sure):
        return "not judged"
    return ("loss" if loss > 0 else "gain") if sure else "no"


def table(heads, rows, caption=""):
    """An HTML table of texts; those of columns whose head ends in a unit or in "n" stand to the right."""
    right = [head.endswith("]") or head == "glaciers" for head in heads]
    cells = lambda tag, texts: "".join(
        f'<{tag} class="n">{escape(str(text))}</{tag}>' if side else f"<{tag}>{escape(str(text))}</{tag}>"
        for text, side in zip(texts, right, strict=True)
    )
    told = f"<caption>{escape(caption)}</caption>" if caption else ""
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f'<div class="wide"><table>{told}<tr>{cells("th", heads)}</tr>{body}</table></div>'


def notes_of(texts):
    """Plain notes."""
    return "".join(f'<p class="note">{escape(text)}</p>' for text in texts)


def told_of_notes(story):
    """That there is something to know; of one date, what."""
    if len(story.labels) < 2:
        return notes_of(story.notes)
    return f'<p class="soft">Notes on these data, on the page Methods: {len(story.notes)}.</p>'


# ---- the overview


def headline(dashboard, totals, series, line):
    """The few numbers that a room sees first."""
    ends = dashboard.story.ends
    if totals is None:
        area = series["area_km2"].sum()
        error = series["area_unc_km2"].sum()
        shown = [(f"{pair(area, error, 2)} km²", f"area {ends[0]}")]
    else:
        row = totals[(totals["group"] == TOTAL) & (totals["errors_summed"] == dashboard.sums)].iloc[0]
        shown = [
            (f"{pair(row.area_1_km2, row.area_1_unc_km2, 2)} km²", f"area {ends[0]}"),
            (f"{pair(row.area_2_km2, row.area_2_unc_km2, 2)} km²", f"area {ends[1]}"),
            (f"{pair(row.loss_pct, row.loss_unc_pct, 1)} %", f"lost in {number(row.years, 1)} years"),
            (f"{pair(row.rate_pct_per_a, row.rate_unc_pct_per_a, 2)} %/a", "lost a year, of the first area"),
        ]
        if line is not None and pd.notna(line.rate_low_km2_per_a):
            low, high = number(line.rate_low_km2_per_a), number(line.rate_high_km2_per_a)
            shown.append(
                (f"{number(line.rate_km2_per_a)} km²/a", f"trend of all dates, 95 %: {low} to {high}")
            )
    return '<div class="figures">' + "".join(
        f'<div class="figure"><b>{escape(big)}</b><span>{escape(small)}</span></div>' for big, small in shown
    ) + "</div>"  # fmt: skip


def totals_table(dashboard, totals):
    """Totals of the chosen glaciers, all and by region, with every sum of errors and what they mean."""
    if totals is None:
        return notes_of(["One date alone: a change needs two."])
    first, last = dashboard.story.ends
    heads = [dashboard.grouping or "which", "glaciers", f"{first} [km²]", f"{last} [km²]", "loss [km²]"]
    sums = dashboard.story.book.sums
    heads += [f"± {how} [km²]" for how in sums] + ["loss [%]", "loss a year [%/a]", "significant"]
    rows = []
    for name, each in totals.groupby("group", sort=False):
        by = each.set_index("errors_summed")
        row = by.loc[dashboard.sums]
        rows.append([
            "all chosen" if name == TOTAL else name, row.glaciers,
            number(row.area_1_km2), number(row.area_2_km2),
            number(row.loss_km2), *(number(by.loc[how, "loss_unc_km2"]) for how in sums),
            pair(row.loss_pct, row.loss_unc_pct, 1), pair(row.rate_pct_per_a, row.rate_unc_pct_per_a, 2),
            verdict(row.significant, row.loss_km2),
        ])  # fmt: skip
    kinds = [kind for kind in totals["unc_kind"].unique() if kind in MEANING]
    told = [f"Errors of per cents and rates: {SUMS[dashboard.sums]}."]
    told += [f"± is {MEANING[kind]}; significant: {SIGNIFICANT[kind]}." for kind in kinds]
    told += ["A linear sum takes all glaciers to err alike, a root-sum-square each its own way."]
    return table(heads, rows) + "".join(f'<p class="soft">{escape(text)}</p>' for text in told)


def scale(limit, ends):
    """What the colors of the map say."""
    ramp = '<span class="ramp" role="img" aria-label="blue gain, pale no change, orange loss"></span>'
    return (
        f'<div class="scale"><span>gain ≥ {limit:g}{ramp}≥ {limit:g} loss [% of the area of '
        f"{escape(ends[0])} a year]</span><span>"
        '<span class="dot"></span> no rate (split, merged, or there at one date only)</span></div>'
    )


# ---- a glacier


def color_key(colors):
    """What colors of lines say, {text: color}."""
    told = (f'<span><span class="dot" style="background:{color}"></span> {escape(text)}</span>'
            for text, color in colors.items())  # fmt: skip
    return f'<div class="scale">{"".join(told)}</div>'


def glacier_facts(story, name):
    """What is known of a glacier beside its areas."""
    row = story.glaciers.loc[name]
    facts = {"id": name} | ({"name": row["name"]} if row["name"] else {})
    for label, outlines in reversed(story.tables.items()):
        own = outlines[outlines["glacier"] == name]
        if len(own):
            for column in outlines.columns.drop(["glacier", "geometry"]):
                value = own.iloc[0][column]
                if pd.notna(value) and str(value).strip() and str(value) != name:
                    told = FACTS.get(column, column)
                    facts.setdefault(told, f"{value:.0f}" if column in FACTS else f"{value} ({label})")
            break
    if row["status"] not in ("", "both"):
        facts["since the first date"] = row["status"]
    return table(["fact", "value"], facts.items())


def glacier_changes(story, name):
    """A glacier's change between all pairs of dates that were compared."""
    rows = story.changes[story.changes["glacier"] == name]
    if rows.empty:
        return notes_of(["No change is known of this glacier: it has an area at one date only."])
    heads = ["from", "to", "area [km²]", "later [km²]", "loss [km²]", "loss [%]", "loss a year [%/a]"]
    shown = [
        [
            row.date_1, row.date_2, pair(row.area_1_km2, row.area_1_unc_km2),
            pair(row.area_2_km2, row.area_2_unc_km2), pair(row.loss_km2, row.loss_unc_km2),
            pair(row.loss_pct, row.loss_unc_pct, 1), pair(row.rate_pct_per_a, row.rate_unc_pct_per_a, 2),
            verdict(row.significant, row.loss_km2), row.status if row.status != "both" else "",
        ]
        for row in rows.itertuples()
    ]  # fmt: skip
    kinds = [kind for kind in rows["unc_kind"].unique() if kind in MEANING]
    told = "; ".join(f"± is {MEANING[kind]}" for kind in kinds)
    return table([*heads, "significant", "became"], shown, told)


def glacier_events(story, name):
    """When it was divided or joined, vanished or appeared."""
    found = story.assessment
    if found is None:
        return ""
    own = {label: set(rows.index[rows[found.by].astype(str) == name]) for label, rows in
           zip(found.labels, found.inventories, strict=True)}  # fmt: skip
    rows = [
        [event.date_1, event.date_2, event.event, number(event.area_1_km2), number(event.area_2_km2)]
        for event in found.events.itertuples()
        if event.event != "continue"
        and ((pd.notna(event.row_1) and event.row_1 in own.get(event.date_1, ()))
             or (pd.notna(event.row_2) and event.row_2 in own.get(event.date_2, ())))
    ]  # fmt: skip
    if not rows:
        return "<p>It was neither divided nor joined, and there at all dates.</p>"
    as_text = [["" if pd.isna(cell) else cell for cell in row] for row in rows]
    return table(["from", "to", "event", "area [km²]", "later [km²]"], as_text)


# ---- methods and provenance


def methods(story):
    """How the numbers were made, of what, and with what."""
    found = story.assessment
    parts = ["<h2>Dates</h2>", dates_table(story), "<h2>How areas, errors and rates are made</h2>", "<ul>"]
    ways = story.changes["years_by"].unique() if "years_by" in story.changes else []
    told = [
        "Areas are geodesic, on the WGS84 ellipsoid, or those of the inventories where they say so.",
        *(f"The number after ± is {MEANING[kind]} (errors “{kind}”); significant means that "
          f"{SIGNIFICANT[kind]}." for kind in sorted({*story.series["area_unc_kind"]} & {*MEANING})),
        *(f"Errors of several glaciers, {text}." for how, text in SUMS.items() if how in story.book.sums),
        *(YEARS[way] for way in ways if way in YEARS),
        "A loss is positive. Rates in per cent are of the area of the first date.",
        "A glacier that a date lacks has an area of 0 there. One that was divided or joined is not judged.",
        "Trends are least-squares lines through all dates; their 95 % interval is that of the scatter about "
        "the line, whatever the errors of the areas.",
        "Areas by elevation use one DEM for all dates. The median elevation of the first date stands for the "
        "equilibrium line (Braithwaite and Raper 2009).",
        "Fronts are followed along the main center line of each glacier.",
    ]  # fmt: skip
    parts += [f"<li>{escape(text)}</li>" for text in told] + ["</ul>"]
    if story.notes:
        parts += ["<h2>What to know of these data</h2>", notes_of(story.notes)]
    if found is not None:
        events = found.events["event"].value_counts()
        parts += ["<h2>From date to date</h2>", table(["event", "glaciers"], events.items())]
        odd = counted(found.findings, ["date", "severity", "finding"])
        rows = [[row["date"], row["severity"], row["finding"].replace("_", " "), row["count"]] for row in odd]
        parts += ["<h2>What is odd in the inventories</h2>"]
        heads = ["date", "severity", "finding", "glaciers"]
        parts += [table(heads, rows[:FINDINGS]) if rows else "<p>Nothing was found.</p>"]
    facts = dict(story.holdings.facts) | (made_by() if found is None else provenance(found))
    return "".join([*parts, "<h2>Provenance</h2>", table(["what", "from"], facts.items())])


def dates_table(story):
    """The inventories by date."""
    rows = []
    for label in story.labels:
        own = story.series[
            story.series["window"].where(story.series["window"] != "", story.series["date"]) == label
        ]
        own = own[own["glacier"] != TOTAL]
        kinds = ", ".join(sorted({kind for kind in own["area_unc_kind"] if kind})) or "none known"
        rows.append([label, len(own), number(own["area_km2"].sum(), 2), kinds])
    return table(["date", "glaciers", "area [km²]", "errors"], rows)


# ---- rows for charts, table and map

HOVER = {  # what the map calls → column
    "glacier": "glacier", "name": "name", "first date": "first", "last date": "later", "lost": "lost",
    "a year": "rate", "significant": "sure", "became": "status",
}  # fmt: skip


def with_told(glaciers):
    """Glaciers with their numbers as texts, which a map tells where the pointer rests."""
    texts = lambda value, error, unit, digits: [
        "–" if pd.isna(one) else f"{pair(one, two, digits)} {unit}"
        for one, two in zip(glaciers[value], glaciers[error], strict=True)
    ]
    return glaciers.assign(
        glacier=glaciers.index.astype(str),
        first=texts("area_1_km2", "area_1_unc_km2", "km²", 3),
        later=texts("area_2_km2", "area_2_unc_km2", "km²", 3),
        lost=texts("loss_km2", "loss_unc_km2", "km²", 3),
        rate=texts("rate_pct_per_a", "rate_unc_pct_per_a", "%", 2),
        sure=[verdict(*each) for each in zip(glaciers["significant"], glaciers["loss_km2"], strict=True)],
    )


def for_table(rows, columns):
    """Rows as the table shows them: rounded, with verdicts in words."""
    sure = [verdict(*each) for each in zip(rows["significant"], rows["loss_km2"], strict=True)]
    said = {"name": (rows["name"] != "") & (rows["name"] != rows.index), "region": rows["region"] != ""}
    shown = rows[[name for name in columns if name not in said or said[name].any()]]
    return shown.assign(significant=sure, status=shown["status"].replace("both", ""))


def zones_of(zones):
    """Rows of `halves` of some glaciers, added by zone, as it has them in its total."""
    found = zones.groupby("zone", sort=False)[["area_km2", "other_km2"]].sum().reset_index()
    found = found[found["zone"].isin(["ablation", "accumulation", "unknown"])]
    percent = 100 * (found["area_km2"] - found["other_km2"]) / found["area_km2"].where(found["area_km2"] > 0)
    return found.assign(other_diff_pct=percent)
