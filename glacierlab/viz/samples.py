"""Figures of samples: where the patches of a split lie, and which of them leak."""

import numpy as np
import shapely
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ..errors import ManifestError
from .figures import extent_km, false_color
from .fonts import legible
from .stacks import COLORS

PARTS = ("train", "validation", "test")  # have the first colors, whatever else there is
BUFFER, BUFFER_COLOR = "buffer", "#b5b5b5"
HATCHES = ("////", "....", "xxxx", "\\\\\\\\", "++++", "oooo")
MAX_PLACES = 12  # more become marks on one map
PANEL = 3.2  # inches


@legible
def split_figure(manifest, audit=None, scenes=None, title=""):
    """Where the patches of a split lie, by part, and which of them leak.

    Parameters
    ----------
    manifest : geopandas.GeoDataFrame
        One row a patch, with the column `split`, as `samples.split` returns it; a `PatchSet` has it as
        `manifest`.
    audit : samples.LeakageAudit, optional
        Its offenders are hatched, and the legend says what they share with another part.
    scenes : xarray.Dataset or dict of xarray.Dataset, optional
        The scene under the patches, or scenes by their names in the manifest.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each place, axes in km from its lower left corner; scenes that share ground share a
        panel. Where there are more than 12 places, one map of all in which each patch is a mark, without
        scenes. Of patches that overlap, the ground of each part is drawn.

    Raises
    ------
    ManifestError
        The manifest has no column `split`.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> patches = gl.samples.PatchSet.from_scenes(scene, scene.truth, ["red", "swir16"], size=16)
    >>> patches = patches.split(by="blocks", block_m=480, shares=(0.5, 0.5), names=("train", "test"))
    >>> figure = split_figure(patches.manifest, patches.audit())
    >>> len(figure.axes)
    1
    """
    if "split" not in manifest:
        raise ManifestError("The patches have no parts to draw: patches = patches.split(...).")
    leaks = (
        None if audit is None or audit.offenders.empty else audit.offenders["leak"].reindex(manifest.index)
    )
    places = ground(manifest)
    parts = part_colors(manifest["split"])
    if len(places) > MAX_PLACES:
        places, scenes = [np.arange(len(manifest))], None
        draw = draw_marks
    else:
        draw = draw_squares
    columns = min(len(places), 4)
    rows = -(-len(places) // columns)
    width, height = (7.5, 7.5 * tallness(manifest)) if len(places) == 1 else (PANEL, PANEL)
    figure = Figure(figsize=(width * columns, height * rows + 1.0), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flat
    for rows_of_place, ax in zip(places, axes, strict=False):
        here = manifest.iloc[rows_of_place]
        names = list(dict.fromkeys(here["scene"]))
        scene = scenes.get(names[0]) if isinstance(scenes, dict) else scenes
        draw(ax, here, parts, leaks, scene)
        ax.set_xlabel("east [km]", fontsize=10)  # geopandas wrote its own
        ax.set_ylabel("north [km]", fontsize=10)
        if len(places) > 1:
            ax.set_title(names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more", fontsize=9)
    for ax in axes:  # what is left of the last row
        ax.set_axis_off()
    if title:
        figure.suptitle(title)
    figure.legend(handles=legend(manifest, parts, leaks), loc="outside lower center", ncols=4, fontsize=9)
    return figure


def tallness(manifest):
    """Height of the ground over its width, bounded to what a page shows."""
    left, bottom, right, top = manifest.total_bounds
    return float(np.clip((top - bottom) / (right - left), 0.4, 1.4))


def ground(manifest):
    """Positions of the patches of each place: scenes whose bounding boxes meet are one place."""
    scenes = manifest.groupby("scene", sort=False).indices
    boxes = [shapely.box(*manifest.geometry.iloc[rows].total_bounds) for rows in scenes.values()]
    joined = shapely.get_parts(shapely.union_all(shapely.buffer(boxes, 1.0, join_style="mitre")))
    place_of = shapely.STRtree(joined).query(boxes, predicate="intersects")[1]
    places = {}
    for place, rows in zip(place_of, scenes.values(), strict=True):
        places.setdefault(place, []).append(rows)
    return [np.concatenate(rows) for rows in places.values()]


def part_colors(split):
    """Color of each part: train, validation, test first, then others as they come, the buffer gray."""
    found = list(dict.fromkeys(split))
    ordered = [name for name in PARTS if name in found]
    ordered += [name for name in found if name not in (*PARTS, BUFFER)]
    known = dict(zip(PARTS, COLORS, strict=False))
    free = iter([*COLORS[len(PARTS) :], *COLORS])
    colors = {name: known[name] if name in known else next(free) for name in ordered}
    return ({BUFFER: BUFFER_COLOR} if BUFFER in found else {}) | colors  # drawn first, below all


def draw_squares(ax, here, parts, leaks, scene):
    """Patches as squares, over their scene in gray where there is one."""
    if scene is not None:
        here = here.to_crs(scene.rio.crs.to_wkt())
        left, bottom, *_ = scene.rio.bounds()
        extent = extent_km(scene)
        ax.imshow(false_color(scene).mean(axis=-1), extent=extent, cmap="gray", interpolation="nearest")
    else:
        left, bottom, right, top = here.total_bounds
        extent = 0, (right - left) / 1000, 0, (top - bottom) / 1000
    squares = here.geometry.translate(-left, -bottom).scale(1e-3, 1e-3, origin=(0, 0))
    stacked = squares.area.sum() > 1.01 * squares.union_all().area
    opacity = "80" if scene is not None or stacked else "c0"
    for name, color in parts.items():
        of_part = squares[(here["split"] == name).to_numpy()]
        if len(of_part):
            shown = as_one(of_part) if stacked else of_part
            shown.plot(ax=ax, facecolor=color + opacity, edgecolor="white", linewidth=0.6, aspect=None)
    if leaks is not None:
        for kind, hatch in hatches(leaks).items():
            guilty = squares[(leaks.reindex(here.index) == kind).to_numpy()]
            if len(guilty):
                shown = as_one(guilty)
                shown.plot(ax=ax, facecolor="none", edgecolor="black", hatch=hatch, linewidth=1, aspect=None)
    ax.set(xlim=extent[:2], ylim=extent[2:], aspect="equal")


def as_one(squares):
    """The ground that squares cover, as one shape: many on top of each other would be black."""
    return squares.iloc[:1].set_crs(squares.crs).map(lambda _: squares.union_all())


def draw_marks(ax, here, parts, leaks, scene):
    """Patches as marks in their middle, large enough to be seen; `scene` is not drawn."""
    left, bottom, *_ = here.total_bounds
    middle = here.geometry.centroid
    x, y = (middle.x.to_numpy() - left) / 1000, (middle.y.to_numpy() - bottom) / 1000
    for name, color in parts.items():
        of_part = (here["split"] == name).to_numpy()
        ax.scatter(x[of_part], y[of_part], s=14, marker="s", color=color, linewidths=0, label=name)
    if leaks is not None:
        guilty = leaks.reindex(here.index).notna().to_numpy()
        ax.scatter(
            x[guilty], y[guilty], s=45, marker="o", facecolors="none", edgecolors="black", label="leaks"
        )
    ax.set(aspect="equal")


def hatches(leaks):
    """Hatch of each kind of leak; kinds past the sixth repeat them."""
    kinds = list(dict.fromkeys(leaks.dropna()))
    return {kind: HATCHES[number % len(HATCHES)] for number, kind in enumerate(kinds)}


def legend(manifest, parts, leaks):
    """Parts and leaks with their counts of patches."""
    counts = manifest["split"].value_counts()
    handles = [Patch(facecolor=color, label=f"{name} ({counts[name]})") for name, color in parts.items()]
    if leaks is None:
        return handles
    for kind, hatch in hatches(leaks).items():
        label = f"leaks: {kind} ({(leaks == kind).sum()})"
        handles.append(Patch(facecolor="white", edgecolor="black", hatch=hatch, label=label))
    return handles
