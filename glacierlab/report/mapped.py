"""A folder with everything about one map, and the page that tells it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from ..features.indices import layer
from ..features.threshold import area_curve, best_threshold, recall_curve
from ..io.finding import is_map
from ..io.layers import cell_area_m2, pixel_size_m
from ..io.write import whole_folder, write_outlines, write_raster, write_text
from ..mapping import UNCERTAINTIES, areas_by_class, computed, outline
from ..quality import check
from ..scores import GLACIER_PARTS, score
from ..tables import SENSORS
from ..viz import map_figure, scene_figure, threshold_figure
from .pages import as_data_uri, made_by, png, render

SHOWN_SCORES = ("precision", "recall", "f1", "iou", "kappa", "oa", "asd_m", "hd95_m")
SHOWN_OUTLINES = 15
FILES = ("scene.tif", "class_map.tif", "outlines.gpkg", "areas.csv", "map.png", "report.html")
MODEL_ROWS = {  # attribute of a model's map → what the page calls it
    "model": "model",
    "model_network": "network",
    "model_features": "layers it sees",
    "model_sensors": "trained on scenes of",
    "model_data": "trained on",
    "model_temperature": "temperature",
    "model_license": "license",
    "model_citation": "citation",
    "model_note": "note",
}


@dataclass(frozen=True)
class Reference:
    """What a map is held against.

    Attributes
    ----------
    data : GeoDataFrame or DataArray
        Outlines, a mask or a class map.
    name : str
    complete : bool
        Whether it labels all ice of the scene. Where it does not, ice outside it is unknown, and recall
        is the only score that means anything.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> reference = gl.Reference(scene.truth, name="the world's truth")
    >>> reference.name, reference.complete
    ("the world's truth", True)
    """

    data: object
    name: str = "reference"
    complete: bool = True


def write_folder(
    folder, scene, prediction, *, reference=None, title=None, beside=None, dem=None, smooth=None
):  # fmt: skip
    """Write a map's six files: scene, class map, outlines, areas, picture and report.

    Parameters
    ----------
    folder : path
        Made if needed; files of these names in it are replaced once all six are written.
    scene : xarray.Dataset
    prediction : xarray.Dataset
        Of `map_glaciers` or `map_by_model`. Its `entropy` and `spread`, where it has them, become rasters of
        these names, beside the six; those of an earlier map are removed.
    reference : Reference, optional
    title : str, optional
    beside : list of xarray.Dataset, optional
        Maps of the scene by other methods, which the report shows beside this one.
    dem, smooth
        Of `mapping.outline`: with a DEM the outlines are an inventory.

    Returns
    -------
    geopandas.GeoDataFrame
        The outlines: see `mapping.outline`.

    Raises
    ------
    WriteError

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     glaciers = write_folder(folder, scene, scene.glacier.map_glaciers())
    ...     print(sorted(path.name for path in Path(folder).iterdir()))
    ['areas.csv', 'class_map.tif', 'map.png', 'outlines.gpkg', 'report.html', 'scene.tif']
    """
    layers = {name: prediction[name] for name in UNCERTAINTIES if name in prediction}
    whole, prediction = prediction, computed(prediction)
    outlines = outline(whole.assign(class_map=prediction["class_map"]), dem, smooth=smooth)
    title = title or scene.attrs.get("title", "Glacier map")
    with whole_folder(folder, last="class_map.tif") as staged:  # which tells what the map was made by
        write_raster(scene, staged / "scene.tif")
        write_raster(prediction["class_map"], staged / "class_map.tif")
        for name, values in layers.items():
            write_raster(values, staged / f"{name}.tif")
        write_outlines(outlines, staged / "outlines.gpkg")
        write_text(outlines.drop(columns="geometry").to_csv(index_label="outline"), staged / "areas.csv")
        picture = map_picture(scene, prediction, outlines, reference, title)
        (staged / "map.png").write_bytes(picture)
        told = dict(reference=reference, title=title, beside=beside)
        write_report(staged / "report.html", scene, prediction, outlines, **told)
        for name in set(UNCERTAINTIES) - set(layers):
            Path(folder, f"{name}.tif").unlink(missing_ok=True)
    return outlines


def remove_map(folder):
    """Remove the files that `write_folder` wrote, and the folder where nothing else is in it."""
    folder = Path(folder)
    if not is_map(folder):
        return
    for name in (*FILES, *(f"{name}.tif" for name in UNCERTAINTIES)):
        (folder / name).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def write_report(
    path, scene, prediction, outlines, *, reference=None, title="Glacier map", beside=None
):  # fmt: skip
    """Write one self-contained HTML page: picture, scores, areas, method, doctor, provenance.

    Parameters
    ----------
    path : path
    scene, prediction : xarray.Dataset
        The method is told as the prediction's attributes say: a threshold with what others would give, or
        a model with its card.
    outlines : geopandas.GeoDataFrame
    reference : Reference, optional
    title : str
    beside : list of xarray.Dataset, optional
        As in `write_folder`.

    Returns
    -------
    pathlib.Path

    Examples
    --------
    >>> import tempfile
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> found = scene.glacier.map_glaciers()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = write_report(f"{folder}/report.html", scene, found, found.glacier.outlines())
    ...     print(page.name, "data:image" in page.read_text(encoding="utf-8"))
    report.html True
    """
    areas = areas_by_class(prediction["class_map"], outlines)
    curve = curve_figure(scene, prediction, reference) if "layer" in prediction.attrs else None
    both = side_by_side(scene, prediction, outlines, beside, reference) if beside else None
    picture = both["picture"] if both else map_picture(scene, prediction, outlines, reference, "")
    page = render(
        "report.html",
        title=title[:1].upper() + title[1:],
        synthetic=is_synthetic(scene),
        areas=areas,
        outlines=outlines.head(SHOWN_OUTLINES).drop(columns="geometry").to_dict("records"),
        count=len(outlines),
        dem=next(filter(None, outlines.get("dem_source", ())), ""),
        totals=outlines.groupby("class")["area_km2"].agg(["count", "sum"]).reset_index().to_dict("records"),
        method=method_of(prediction),
        picture=as_data_uri(picture),
        curve=curve and as_data_uri(png(curve)),
        layer=prediction.attrs.get("layer"),
        model={text: prediction.attrs[name] for name, text in MODEL_ROWS.items() if name in prediction.attrs},
        beside=both and both["rows"],
        scores=score_rows(prediction, reference),
        score_names=SHOWN_SCORES,
        reference=reference,
        doctor=check(scene).reset_index().to_dict("records"),
        facts=provenance(scene, prediction, reference),
    )
    return write_text(page, path)


def method_of(prediction):
    """How a map was made, in a few words."""
    told = prediction.attrs
    if "layer" in told:
        return f"{told['layer']} > {told['threshold']:.4g}"
    return f"model {told['model']}" if "model" in told else "a model"


def side_by_side(scene, prediction, outlines, beside, reference):
    """A picture of the outlines of several maps, and a row of area and scores for each."""
    others = [computed(each) for each in beside]
    rows, glaciers = [], {}
    for each, lines in [(prediction, outlines), *((other, outline(other)) for other in others)]:
        name = method_of(each)
        glaciers[name] = ice = ice_of(lines)
        scores = next(iter(score_rows(each, reference).values()), {})
        rows.append({"name": name, "area_km2": ice.area_km2.sum(), "count": len(ice), "scores": scores})
    picture = png(scene_figure(scene, glaciers, lines_of(reference)))
    return {"rows": rows, "picture": picture}


def is_synthetic(scene):
    """Whether a scene was made, not seen."""
    return "truth" in scene


def map_picture(scene, prediction, outlines, reference, title):
    """The scene with outlines, and of several classes the class map beside it, as PNG bytes."""
    lines = lines_of(reference)
    if len(areas_by_class(prediction["class_map"], outlines)) == 1:
        return png(scene_figure(scene, outlines, lines, title))
    order = sorted(outlines["class"].unique(), key=lambda name: (name != "glacier", name))
    named = {name.replace("_", " "): outlines[outlines["class"] == name] for name in order}
    return png(map_figure(scene, prediction["class_map"], named, lines, title))


def lines_of(reference):
    """Outlines of a reference's glaciers, None where there is no reference."""
    lines = reference.data if reference is not None else None
    if isinstance(lines, xr.DataArray):
        lines = ice_of(outline(lines.rename("class_map").to_dataset()))
    return lines


def ice_of(outlines):
    """The outlines of glaciers among those of all classes."""
    return outlines[outlines["class"].isin(["glacier", *GLACIER_PARTS])]


def curve_figure(scene, prediction, reference):
    """What the threshold does: scores where the reference is complete, else recall, and area always."""
    image, used = layer(scene, prediction.attrs["layer"]), prediction.attrs["threshold"]
    grid = sweep_around(float(used), image.attrs.get("kind"))
    areas = area_curve(image, grid)
    if reference is None:
        return threshold_figure(areas=areas, threshold=used)
    if not reference.complete:
        recall = recall_curve(image, reference.data, grid)
        return threshold_figure(areas=areas, recall=recall, threshold=used)
    return threshold_figure(best_threshold(image, reference.data, grid), areas, threshold=used)


def sweep_around(used, kind):
    """Thresholds to draw around the one used."""
    if kind is None:  # a band: its numbers have no common scale
        return np.round(used * np.linspace(0.2, 3, 57), 4)
    if kind == "ratio":
        return np.round(np.linspace(0.5, max(15.0, 2 * used), 59), 3)
    return np.round(np.linspace(used - 0.4, used + 0.4, 33), 4)


def score_rows(prediction, reference):
    """Scores for the page, by what they were held against; those of all glacier ice come first."""
    if reference is None:
        return {}
    mask = prediction["class_map"]
    if not reference.complete:
        found = score(mask, reference.data, classes=["glacier"], boundary=False).iloc[0]
        return {f"inside {reference.name}": {"recall": found.recall}}
    classes = score(mask, reference.data)
    names = [name for name in classes.index if name not in ("glacier", "mean")]
    whole, rows = f"all glacier ice of {reference.name}", {}
    if "glacier" in classes.index:
        rows[whole] = classes.loc["glacier"]
    elif set(GLACIER_PARTS) & set(names):
        rows[whole] = score(mask, reference.data, classes=["glacier"]).iloc[0]
    rows |= {name.replace("_", " "): classes.loc[name] for name in names}
    meanings = getattr(reference.data, "attrs", {}).get("flag_meanings", "").split()
    if "debris_covered_ice" in meanings and "debris_covered_ice" not in names:
        code = dict(zip(meanings, reference.data.attrs["flag_values"], strict=True))["debris_covered_ice"]
        seen = reference.data != code
        rows["clean ice alone, debris left out"] = score(mask, reference.data, region=seen).iloc[0]
    return {name: row.to_dict() for name, row in rows.items()}


def provenance(scene, prediction, reference):
    """What the map was made of and with, as (name, text)."""
    size = pixel_size_m(scene)
    crs = scene.rio.crs
    code = crs.to_epsg()
    facts = {
        "scene": scene.attrs.get("title", "?"),
        "date": scene.attrs.get("datetime", "unknown date")[:10],
        "sensor": SENSORS[sensor].long_name
        if (sensor := scene.attrs.get("sensor")) in SENSORS
        else "unknown sensor",
        "radiometry": {"sr": "surface reflectance", "toa": "top-of-atmosphere reflectance"}.get(
            scene.attrs.get("radiometry"), scene.attrs.get("radiometry", "unknown")
        ),
        "grid": f"{scene.sizes['y']} x {scene.sizes['x']} pixels of {size:g} m",
        "CRS": f"EPSG:{code}" if code else f"{crs.to_dict().get('proj', 'custom')} (no EPSG code)",
        "masked": prediction.attrs.get("masked", "no quality layer") + won_back(prediction),
        **how_mapped(prediction),
        "cleaning": prediction.attrs.get("cleaning", "none"),
        "reference": reference.name if reference else "none",
        "license": scene.attrs.get("license", ""),
        "citation": scene.attrs.get("citation", ""),
        **made_by(),
    }
    return {name: text for name, text in facts.items() if text}


def how_mapped(prediction):
    """What a threshold or a model was asked, as (name, text)."""
    told = prediction.attrs
    if "layer" in told:
        return {"guard": told.get("guard", "none")}
    if "tile" not in told:
        return {}
    tiles = f"{told['tile']} pixels, {told['overlap']} of them overlapping, blend {told['blend']}"
    return {"tiles": tiles, "views": ", ".join(told["views"])}


def won_back(prediction):
    """How much ice was won back from the cloud flag, for people."""
    if "won_back" not in prediction.coords:
        return ""
    pixels = int(prediction["won_back"].sum())
    return (
        f"; {pixels} pixels ({pixels * cell_area_m2(prediction) / 1e6:.2f} km²) won back from the cloud flag"
    )
