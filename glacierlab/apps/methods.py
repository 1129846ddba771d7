"""How the numbers of the dashboard were made, of what, and with what: a page of HTML."""

from html import escape

from ..change.dated import TOTAL
from ..change.differences import SIGNIFICANT
from ..report.changed import counted, provenance
from ..report.pages import made_by
from .pages import MEANING, SUMS, notes_of, number, table

YEARS = {
    "dates": "Years lie between the dates of the outlines of each glacier, or the middles of their windows; "
    "of totals, between area-weighted mean dates.",
    "chen2022": "The first window is dated by its first year, all others by their last (Chen et al. 2022).",
    "given": "The number of years was given.",
}
FINDINGS = 40  # lines of what is odd


def methods(story):
    """How the numbers were made, of what, and with what."""
    found = story.assessment
    parts = ["<h2>Dates</h2>", dates_table(story), "<h2>How areas, errors and rates are made</h2>", "<ul>"]
    ways = story.changes["years_by"].unique() if "years_by" in story.changes else []
    told = [
        "Areas are geodesic, on the WGS84 ellipsoid, or those of the inventories where they say so.",
        *(f"The number after ± is {MEANING[kind]} (errors “{kind}”); significant means that "
          f"{SIGNIFICANT[kind]}." for kind in sorted({*story.series["area_unc_kind"]} & {*MEANING})),
        f"Errors of several glaciers are summed. {'; '.join(map(SUMS.get, story.book.sums))}.",
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
        parts += ["<h2>From date to date</h2>", table(["event", "times"], events.items())]
        odd = counted(found.findings, ["date", "severity", "finding"])
        rows = [[row["date"], row["severity"], row["finding"].replace("_", " "), row["count"]] for row in odd]
        parts += ["<h2>What is odd in the inventories</h2>"]
        heads = ["date", "severity", "finding", "glaciers"]
        more = f"The first {FINDINGS} of {len(rows)} rows." if len(rows) > FINDINGS else ""
        parts += [table(heads, rows[:FINDINGS], more) if rows else "<p>Nothing was found.</p>"]
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
    return table(
        ["date", "glaciers", "area [km²]", "errors"], rows, "All glaciers that have an area at the date."
    )
