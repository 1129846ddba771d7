"""Figures of change: where ice went, areas through time, losses of glaciers, areas by elevation."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from ..change.dated import TOTAL, centers
from ..errors import GlacierlabError
from .fonts import as_written, legible
from .stacks import COLORS

KEPT, LOST, GAINED = "#a8c7dd", "#c8442e", "#2a6fbb"
LINES = (*COLORS[:6], "#000000")  # no yellow on white
FIRST, SECOND = "#8a8a8a", "#003f5c"
CROSSES = "black"
WIDTH, HEIGHT = 9.0, 7.5  # inches
SEEN = 0.005  # of the widest bar
MOST_GLACIERS = 6  # lines or bars, beside the total
LOSSES = 30  # bars of a figure
WHOLE_YEARS = 3  # of a series: shorter ones are told in fractions


@legible
def change_figure(ground, labels=("first", "second"), title="", background=None):
    """Where ice was at both dates, was lost and was gained.

    Parameters
    ----------
    ground : geopandas.GeoDataFrame
        The `map` of `change.agreement(first, second)`, in a projected CRS.
    labels : (str, str)
        What the dates are called, in the legend and perhaps in the map.
    title : str
    background : (array, tuple of float), optional
        A picture (y, x) or (y, x, 3) with its (left, right, bottom, top) in the CRS, drawn below.

    Returns
    -------
    matplotlib.figure.Figure
        Axes in km from the lower left corner of the picture, or else of the ice.

    Examples
    --------
    >>> import glacierlab as gl
    >>> world = gl.synthetic_world(seed=6, years=[1990, 2020], shape=(64, 64))
    >>> ground = gl.change.agreement(world.outlines(1990), world.outlines(2020)).map
    >>> figure = change_figure(ground, labels=("1990", "2020"))
    >>> figure.axes[0].get_xlabel()
    'east [km]'
    """
    sides = {"both": ("both",), "first": ("ours", str(labels[0])), "second": ("other", str(labels[1]))}
    if unknown := sorted(set(ground["mapped_by"]).difference(*sides.values())):
        raise GlacierlabError(f"The map tells {unknown} apart: give labels= in the order of the dates.")
    west, south, east, north = ground.total_bounds if len(ground) else (0, 0, 1, 1)
    if background is not None:
        picture, (west, east, south, north) = background
    width, height = (east - west) / 1000, (north - south) / 1000
    margin = 0.0 if background is not None else 0.03 * max(width, height)
    shape = (height + 2 * margin) / max(width + 2 * margin, 1e-9)
    across = float(np.clip(HEIGHT / max(shape, 1e-9), 4, WIDTH))  # inches
    figure = Figure(figsize=(across, float(np.clip(across * shape, 2, HEIGHT)) + 1.2), layout="constrained")
    ax = figure.add_subplot()
    if background is not None:
        ax.imshow(picture, extent=(0, width, 0, height), cmap="gray", interpolation="bilinear")
    from_corner = [0.001, 0, 0, 0.001, -west / 1000, -south / 1000]
    in_km = ground.set_geometry(ground.geometry.affine_transform(from_corner))
    legend = []
    for side, color, told in [
        ("both", KEPT, f"ice in {labels[0]} and {labels[1]}"),
        ("first", LOST, f"lost: in {labels[0]} only"),
        ("second", GAINED, f"gained: in {labels[1]} only"),
    ]:
        part = in_km[in_km["mapped_by"].isin(sides[side])]
        if len(part):
            part.plot(ax=ax, color=color, aspect=None, linewidth=0)
        area = part["area_km2"].sum()
        legend.append(Patch(facecolor=color, label=f"{told} ({area:.2f} km²)"))
    ax.set(xlim=(-margin, width + margin), ylim=(-margin, height + margin))
    ax.set(xlabel="east [km]", ylabel="north [km]", aspect="equal", title=title)
    figure.legend(handles=legend, loc="outside lower center", fontsize=9)
    return figure


@legible
def series_figure(series, trends=None, title="", beside=None):
    """Areas through time with their errors as bars: the total, and the largest glaciers below it.

    Parameters
    ----------
    series : pandas.DataFrame or dict of them
        Of `area_series`; its "total", where it has one, is drawn by itself. Several by what the legend calls
        them: their totals are drawn beside each other, and no glaciers.
    trends : pandas.DataFrame, optional
        Of `trend`, for the rates in the legend.
    title : str
    beside : dict of str to pandas.DataFrame, optional
        A series to compare with, such as the truth of a made world, by what the legend calls it: its areas
        are laid over the bars as crosses.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import glacierlab as gl
    >>> world = gl.synthetic_world(seed=6, years=[1990, 2020], shape=(64, 64))
    >>> tables = {str(year): gl.area_uncertainty(world.outlines(year), pixel_m=30) for year in world.years}
    >>> figure = series_figure(gl.area_series(tables, total="linear", missing="vanished"))
    >>> figure.axes[0].get_ylabel()
    'area [km²]'
    """
    several = series if isinstance(series, dict) else {"": series}
    dated = {called: each.assign(year=centers(each)) for called, each in several.items()}
    if all(each["year"].isna().all() for each in dated.values()):
        raise GlacierlabError("No row of this series has a date: see area_series.")
    first = next(iter(dated.values()))
    order = first[first["glacier"] != TOTAL].groupby("glacier")["area_km2"].max().sort_values(ascending=False)
    chosen = list(order.index[:MOST_GLACIERS]) if len(dated) == 1 else []
    panels = [[TOTAL]] * any((each["glacier"] == TOTAL).any() for each in dated.values())
    panels += [chosen] * bool(chosen)
    figure = Figure(figsize=(WIDTH, 3.2 * len(panels) + 0.4), layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]
    rates = {} if trends is None else trends.set_index("glacier")["rate_km2_per_a"].dropna().to_dict()
    for ax, names in zip(axes, panels, strict=True):
        draw_areas(ax, dated, names, rates)
        for called, each in (beside or {}).items():
            draw_crosses(ax, called, each, names)
        ax.set_ylabel("area [km²]")
        ax.grid(alpha=0.3)
        ax.legend(fontsize=8, ncols=2)
    hidden = len(order) - len(chosen) if chosen else 0
    told = kinds_of(first) if len(dated) == 1 else ""
    axes[-1].set_xlabel(told + (f"; {hidden} smaller glaciers are not drawn" if hidden else ""))
    axes[-1].ticklabel_format(axis="x", useOffset=False)
    if np.ptp(np.concatenate([each["year"].dropna() for each in dated.values()])) >= WHOLE_YEARS:
        axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.suptitle(title)
    return figure


def draw_areas(ax, dated, names, rates):
    """Lines with bars of error of some glaciers, of one series or several beside each other."""
    totals = [SECOND] if len(dated) == 1 else [FIRST, SECOND, LOST]
    colors = totals if names == [TOTAL] else LINES
    lines = [(called, rows, name) for called, rows in dated.items() for name in names]
    for place, (called, rows, name) in enumerate(lines):
        rows = rows[rows["glacier"] == name].sort_values("year")
        shown = as_written(name)
        label = f"{shown}, {called} ({kinds_of(dated[called])})" if called else shown
        label += f" ({-rates[name]:+.3g} km²/a)" if name in rates else ""
        aside = 0.5 * (place - (len(dated) - 1) / 2) if len(dated) > 1 else 0.0  # years, so that bars show
        errors, color = rows["area_unc_km2"].fillna(0.0), colors[place % len(colors)]
        ax.errorbar(
            rows["year"] + aside, rows["area_km2"], errors, marker="o", markersize=4, capsize=3,
            linewidth=1.4, color=color, label=label,
        )  # fmt: skip


def draw_crosses(ax, called, series, names):
    """The areas of some glaciers of another series as crosses."""
    rows = series.assign(year=centers(series))[series["glacier"].isin(names)]
    if len(rows):
        ax.plot(rows["year"], rows["area_km2"], "x", color=CROSSES, markersize=6, zorder=5, label=called)


def kinds_of(series):
    """What the bars of a series are."""
    kinds = sorted({kind for kind in series["area_unc_kind"] if kind})
    known = kinds and series["area_unc_km2"].notna().any()
    return f"bars: {' and '.join(kinds)}" if known else "no errors known"


@legible
def loss_figure(change, title=""):
    """Losses of glaciers between two dates as bars with errors; pale where they are not significant.

    Parameters
    ----------
    change : pandas.DataFrame
        Of `area_change`, of one pair of dates.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
        The glaciers with the largest losses and gains, at most thirty.

    Examples
    --------
    >>> import glacierlab as gl
    >>> world = gl.synthetic_world(seed=6, years=[1990, 2020], shape=(64, 64))
    >>> tables = [gl.area_uncertainty(world.outlines(year), pixel_m=30) for year in world.years]
    >>> figure = loss_figure(gl.area_change(*tables, years=30, missing="vanished"))
    >>> figure.axes[0].get_xlabel()
    'loss [km²]; bars of error: bound; pale: not significant'
    """
    rows = change[change["glacier"] != TOTAL].drop_duplicates("glacier")
    count = len(rows)
    rows = rows.loc[rows["loss_km2"].abs().sort_values(ascending=False).index[:LOSSES]]
    figure = Figure(figsize=(WIDTH, 1.2 + 0.26 * max(len(rows), 3)), layout="constrained")
    ax = figure.add_subplot()
    sure = rows["significant"].fillna(False).astype(bool)
    colors = np.where(rows["loss_km2"] >= 0, LOST, GAINED)
    places = np.arange(len(rows))
    bars = ax.barh(places, rows["loss_km2"], color=colors, xerr=rows["loss_unc_km2"].fillna(0.0), capsize=2)
    for bar, known in zip(bars, sure, strict=True):
        bar.set_alpha(1.0 if known else 0.35)
    ax.set_yticks(places, [as_written(name) for name in rows["glacier"]], fontsize=8)
    ax.invert_yaxis()
    ax.axvline(0, color="black", linewidth=0.8)
    kinds = ", ".join(sorted({str(kind) for kind in rows["unc_kind"] if isinstance(kind, str)}))
    left_out = f"; the {LOSSES} largest of {count}" if count > LOSSES else ""
    ax.set_xlabel(f"loss [km²]; bars of error: {kinds or 'none'}; pale: not significant{left_out}")
    ax.grid(alpha=0.3, axis="x")
    ax.set_title(title)
    return figure


@legible
def hypsometry_figure(bands, labels=("first", "second"), glacier=TOTAL, title=""):
    """Area by elevation at two dates, the loss between them filled.

    Parameters
    ----------
    bands : pandas.DataFrame
        Of `change.elevation_change`.
    labels : (str, str)
        What the dates are called.
    glacier : str
        Whose bands.
    title : str

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import glacierlab as gl
    >>> world = gl.synthetic_world(seed=6, years=[1990, 2020], shape=(64, 64))
    >>> first, second = (world.outlines(year).query("area_km2 > 0.05") for year in world.years)
    >>> bands = gl.change.elevation_change(first, second, world.scene(2020).elevation)
    >>> figure = hypsometry_figure(bands, labels=("1990", "2020"))
    >>> figure.axes[0].get_ylabel()
    'elevation [m]'
    """
    rows = bands[(bands["glacier"] == glacier) & bands["from_m"].notna()]
    if not len(rows):
        raise GlacierlabError(
            f"No bands of {glacier!r}: there are {sorted(set(map(str, bands['glacier'])))[:8]}."
        )
    edges = np.append(rows["from_m"], rows["to_m"].iloc[-1])
    figure = Figure(figsize=(6, 5), layout="constrained")
    ax = figure.add_subplot()
    height = rows["to_m"] - rows["from_m"]
    for areas, color, label in [("area_1_km2", FIRST, labels[0]), ("area_2_km2", SECOND, labels[1])]:
        ax.stairs(rows[areas], edges, orientation="horizontal", color=color, linewidth=1.8, label=str(label))
    for sign, color, told in [(1, LOST, "lost"), (-1, GAINED, "gained")]:
        width = (sign * rows["loss_km2"]).clip(lower=0)
        start = rows[["area_1_km2", "area_2_km2"]].min(axis=1)
        if width.max() > SEEN * rows[["area_1_km2", "area_2_km2"]].to_numpy().max():
            ax.barh(
                rows["from_m"], width, height, left=start, align="edge", color=color, alpha=0.5, label=told
            )
    ax.set(xlabel="area of a band [km²]", ylabel="elevation [m]", title=title)
    ax.set_xlim(left=0)
    ax.grid(alpha=0.3)
    ax.legend(fontsize=9)
    return figure
