"""What the dashboard says in words and tables, as HTML; every text of data is escaped here."""

from html import escape

import pandas as pd

from ..change.dated import TOTAL, date_text
from ..change.differences import SIGNIFICANT
from .charts import GAIN, INK, LOSS, MIDDLE, UNKNOWN
from .pieces import counted

MEANING = {  # of the number after ±, by kind of error
    "bound": "a bound of the error of mapping, not a standard deviation",
    "95 %": "half of the 95 % interval",
    "mixed": "of errors of several kinds in quadrature, neither a bound nor 95 %",
}
SUMS = {  # how errors of glaciers are summed, in words
    "linear": "Linear: all glaciers err alike, an upper bound",
    "root-sum-square": "root-sum-square: each glacier errs its own way",
    "parts": "parts: what is new at each date in quadrature, what dates share added",
}
FACTS = {  # of a glacier's page: column → what it is
    "rgi_id": "RGI id", "glims_id": "GLIMS id", "glac_id": "glacier id", "glacier_id": "glacier id",
    "local_id": "local id", "src_date": "date of the image", "zmin_m": "lowest elevation [m]",
    "zmed_m": "median elevation [m]", "zmax_m": "highest elevation [m]",
}  # fmt: skip
NUMBERS = ("glaciers", "times")  # heads of columns of numbers without a unit


def css(theme):
    """The style of all HTML, in the colors of a theme."""
    ink, _, line, _, chosen, _ = INK[theme]
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
th, td {{ text-align: left; padding: .3rem .6rem; border-bottom: 1px solid {line}; vertical-align: top; }}
th {{ color: {soft}; font-weight: 600; min-width: 7em; }}
.n {{ text-align: right; font-variant-numeric: tabular-nums; }} td.n {{ white-space: nowrap; }}
a {{ color: {"#1b5f93" if theme == "light" else "#8fc1ee"}; }}
.scale {{ display: flex; flex-wrap: wrap; gap: .3rem 1rem; align-items: center; font-size: .95rem; }}
.ramp {{ display: inline-block; width: 12rem; height: .9rem; vertical-align: middle; margin: 0 .4rem;
  background: linear-gradient(to right, {GAIN}, {MIDDLE}, {LOSS}); border: 1px solid {line}; }}
.dot {{ display: inline-block; width: .9rem; height: .9rem; background: {UNKNOWN}; vertical-align: middle; }}
.dot.one {{ background: {chosen}; }}
.line {{ display: inline-block; width: 1.2rem; border-top: 2px solid {ink}; vertical-align: middle; }}
.line.pale {{ border-color: {UNKNOWN}; }}
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
    """An HTML table of texts; those below a unit or one of `NUMBERS` stand to the right."""
    right = [head.endswith("]") or head in NUMBERS for head in heads]
    cells = lambda tag, texts: "".join(
        f'<{tag} class="n">{escape(str(text))}</{tag}>' if side else f"<{tag}>{escape(str(text))}</{tag}>"
        for text, side in zip(texts, right, strict=True)
    )
    told = f'<p class="soft">{escape(caption)}</p>' if caption else ""
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f'{told}<div class="wide"><table><tr>{cells("th", heads)}</tr>{body}</table></div>'


def moved(value, error, digits=3):
    """A loss without a sign, its error, and whether it is one: ("2.1 ± 0.3", "lost") or (…, "gained")."""
    return pair(abs(value), error, digits), "gained" if value < 0 else "lost"


def became(status, area_1_km2):
    """What became of a glacier from the first date to the last; `area_1_km2` is NaN where it has neither."""
    if pd.isna(area_1_km2):
        return "only between"
    return "" if status == "both" else status


def notes_of(texts):
    """Plain notes."""
    return "".join(f'<p class="note">{escape(text)}</p>' for text in texts)


def told_of_notes(story):
    """That there is something to know; of one date, what; "" where there is nothing."""
    if len(story.labels) < 2:
        return notes_of(story.notes)
    told = counted(len(story.notes), "note")
    return "" if not story.notes else f'<p class="soft">{told} on these data: see the page Methods.</p>'


# ---- the overview


def headline(dashboard, totals, series, line):
    """The few numbers that a room sees first, and which glaciers they are of."""
    first, last = dashboard.story.ends
    if totals is None:
        area, error = series["area_km2"].sum(), series["area_unc_km2"].sum(min_count=1)
        number_of = counted(int(series["glaciers"].sum()), "glacier")
        return figures([(f"{pair(area, error, 2)} km²", f"area {first}, {number_of}")])
    row = totals[(totals["group"] == TOTAL) & (totals["errors_summed"] == dashboard.sums)].iloc[0]
    share, lost = moved(row.loss_pct, row.loss_unc_pct, 1)
    rate, lost_a_year = moved(row.rate_pct_per_a, row.rate_unc_pct_per_a, 2)
    shown = [
        (f"{pair(area, error, 2)} km²", f"area {date}, {counted(number_of, 'glacier')}")
        for area, error, date, number_of in (
            (row.area_1_km2, row.area_1_unc_km2, first, row.glaciers_1),
            (row.area_2_km2, row.area_2_unc_km2, last, row.glaciers_2),
        )
    ]
    shown += [
        (f"{share} %", f"{lost} in {number(row.years, 1)} years"),
        (f"{rate} %/a", f"{lost_a_year} a year, of the first area"),
    ]
    if line is not None and pd.notna(line.rate_low_km2_per_a):
        rate, lost, interval = trend_in_words(line)
        shown.append((f"{rate} km²/a", f"{lost} a year by the trend of all dates; {interval}"))
    return figures(shown) + f'<p class="soft">{escape(basis(row))}</p>'


def trend_in_words(line):
    """Of a row of `trend`: ("0.290", "lost", "95 %: 0.271 to 0.309"), or what was gained."""
    limits = [line["rate_low_km2_per_a"], line["rate_high_km2_per_a"]]
    if line["rate_km2_per_a"] < 0:
        limits = [-each for each in reversed(limits)]
    return *moved(line["rate_km2_per_a"], None), f"95 %: {number(limits[0])} to {number(limits[1])}"


def figures(shown):
    """Large numbers and what each is."""
    return '<div class="figures">' + "".join(
        f'<div class="figure"><b>{escape(big)}</b><span>{escape(small)}</span></div>' for big, small in shown
    ) + "</div>"  # fmt: skip


def basis(row):
    """Which of the chosen glaciers a row of `Dashboard.totals` sums, in a sentence."""
    chosen = counted(row.chosen, "chosen glacier")
    if row.chosen == row.glaciers_1 == row.glaciers_2 and not row.apart_between:
        return f"Of {chosen}: all with an area at both dates."
    told = [f"Of {chosen}: {row.glaciers_1} with an area at the first date, {row.glaciers_2} at the last"]
    if row.glaciers_between:
        told.append(f"{row.glaciers_between} only between these, in the trend and the chart of areas alone")
    others = "divided from others that are not chosen, or joined them"
    if row.apart:
        told.append(f"{row.apart} in no sum, for they {others}")
    if row.apart_between:
        told.append(f"{row.apart_between} not in the trend and the chart of areas, for between they {others}")
    if unknown := row.chosen - row.glaciers - row.glaciers_between - row.apart:
        told.append(f"{unknown} at none, in no sum")
    return "; ".join(told) + "."


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
            "all chosen" if name == TOTAL else name, row.chosen,
            f"{number(row.area_1_km2)} ({row.glaciers_1})", f"{number(row.area_2_km2)} ({row.glaciers_2})",
            number(row.loss_km2), *(number(by.loc[how, "loss_unc_km2"]) for how in sums),
            pair(row.loss_pct, row.loss_unc_pct, 1), pair(row.rate_pct_per_a, row.rate_unc_pct_per_a, 2),
            verdict(row.significant, row.loss_km2),
        ])  # fmt: skip
    kinds = [kind for kind in totals["unc_kind"].unique() if kind in MEANING]
    told = [f"Errors of per cents and rates: {dashboard.sums}. {'; '.join(map(SUMS.get, sums))}."]
    if dashboard.sums != "parts":
        told += [
            "Errors are summed over the glaciers of each date; that of a loss is the root of both squared."
        ]
    told += [f"± is {MEANING[kind]}; significant: {SIGNIFICANT[kind]}." for kind in kinds]
    caption = (
        "Areas of the chosen glaciers that have one at the date; in brackets, how many these are. Those that "
        "divided from others outside the choice or the group, or joined them, are left out."
    )
    return table(heads, rows, caption) + "".join(f'<p class="soft">{escape(text)}</p>' for text in told)


def scale(limit, ends):
    """What the colors and lines of the map say; of one date, what the lines say."""
    first, last = map(escape, ends)
    others = '<span><span class="line pale"></span> not chosen</span>'
    if first == last:
        own = f'<span><span class="dot one"></span> outline of {first}</span>'
        return f'<div class="scale">{own}{others}</div>'
    ramp = '<span class="ramp" role="img" aria-label="blue gain, pale no change, orange loss"></span>'
    return (
        f'<div class="scale"><span>gain ≥ {limit:g}{ramp}≥ {limit:g} loss [% a year, of {first}]</span>'
        f'<span><span class="dot"></span> no rate: split, merged, or not there in {first}</span>'
        "<span>filled: the first outline of a glacier</span>"
        f'<span><span class="line"></span> outline of {last}</span>{others}</div>'
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
    facts = {"id": name} | ({"name": row["name"]} if row["name"] not in ("", name) else {})
    for label, outlines in reversed(story.tables.items()):
        own = outlines[outlines["glacier"] == name]
        if len(own):
            for column, told in FACTS.items():
                value = own.iloc[0][column] if column in own else None
                if pd.notna(value) and str(value).strip() and str(value) != name:
                    text = f"{value:.0f}" if column.endswith("_m") else date_text(value)
                    facts.setdefault(told, f"{text} ({label})" if text != label else text)
            break
    if len(story.labels) > 1 and (since := became(row["status"], row["area_1_km2"])):
        facts["since the first date"] = since
    if len(story.labels) > 2:
        facts["trend"] = told_of_trend(story.trend_of(name))
    return table(["fact", "value"], facts.items())


def told_of_trend(line):
    """A glacier's trend in words; a row of `trend`, or None."""
    if line is None:
        return "none: it has no area at some date, or was split or merged"
    rate, lost, interval = trend_in_words(line)
    return f"{rate} km² {lost} a year; {interval}"


def glacier_changes(story, name):
    """A glacier's change between all pairs of dates that were compared."""
    rows = story.changes[story.changes["glacier"] == name]
    if rows.empty:
        return notes_of(["No change is known of this glacier: a change needs two dates."])
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
    names = {label: rows[found.by].astype(str) for label, rows in
             zip(found.labels, found.inventories, strict=True)}  # fmt: skip
    name_of = lambda label, row: "" if pd.isna(row) else names[label][row]
    rows = []
    for event in found.events[found.events["event"] != "continue"].itertuples():
        both = name_of(event.date_1, event.row_1), name_of(event.date_2, event.row_2)
        if name in both:
            areas = number(event.area_1_km2), number(event.area_2_km2)
            rows.append([event.date_1, event.date_2, event.event, both[0], areas[0], both[1], areas[1]])
    if not rows:
        return "<p>It was neither divided nor joined, and there at all dates.</p>"
    return table(["from", "to", "event", "glacier", "area [km²]", "later glacier", "later [km²]"], rows)


# ---- rows for charts, table and map

HOVER = {  # what the map calls → column
    "glacier": "glacier", "name": "name", "first date": "first", "last date": "later", "loss": "lost",
    "loss a year": "rate", "significant": "sure", "became": "became",
}  # fmt: skip


def hover_of(shown, several):
    """What the map tells of a glacier: rows of `HOVER` that say something; of one date, no change."""
    asked = HOVER if several else {"glacier": "glacier", "name": "name", "area": "first"}
    return {told: column for told, column in asked.items() if (shown[column] != "").any()}


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
        sure=verdicts(glaciers),
        became=fates(glaciers),
    )


def verdicts(rows):
    """`verdict` of each glacier."""
    return [verdict(*each) for each in zip(rows["significant"], rows["loss_km2"], strict=True)]


def fates(rows):
    """`became` of each glacier."""
    return [became(*each) for each in zip(rows["status"], rows["area_1_km2"], strict=True)]


def for_table(rows, columns):
    """Rows as the table shows them, with verdicts in words, and names and regions where there are any."""
    said = {"name": (rows["name"] != "") & (rows["name"] != rows.index), "region": rows["region"] != ""}
    rows = rows.assign(significant=verdicts(rows), status=fates(rows))
    return rows[[name for name in columns if name not in said or said[name].any()]]


def zones_of(zones):
    """Rows of `halves` of some glaciers, added by zone, as it has them in its total."""
    found = zones.groupby("zone", sort=False)[["area_km2", "other_km2"]].sum().reset_index()
    found = found[found["zone"].isin(["ablation", "accumulation", "unknown"])]
    percent = 100 * (found["area_km2"] - found["other_km2"]) / found["area_km2"].where(found["area_km2"] > 0)
    return found.assign(other_diff_pct=percent)


def told_of_zones(zones, ends):
    """What the areas below and above are of."""
    if zones.empty:
        return '<p class="soft">None here: what split off counts where it came from.</p>'
    (first, last), (one, two) = ends, zones[["area_km2", "other_km2"]].sum()
    told = (
        f"Together {one:.2f} km² of {first} and {two:.2f} km² of {last}. A glacier is divided at its median "
        f"elevation of {first}, a new one at that of {last}. What split off counts where it came from."
    )
    return f'<p class="soft">{escape(told)}</p>'
