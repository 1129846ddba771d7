"""A folder with everything about one map, and the page that tells it."""

import base64
import io
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files

import jinja2
import numpy as np
import xarray as xr

from .features.indices import layer
from .features.threshold import area_curve, best_threshold, recall_curve
from .io.layers import cell_area_m2, pixel_size_m
from .io.write import whole_folder, write_outlines, write_raster, write_text
from .mapping import computed
from .outlines import vectorize
from .quality import check
from .scores import GLACIER_PARTS, score
from .tables import SENSORS
from .viz import scene_figure, threshold_figure

VERSIONS_OF = ("glacierlab", "xarray", "numpy", "rasterio", "geopandas", "shapely", "scikit-image")
SHOWN_SCORES = ("precision", "recall", "f1", "iou", "kappa", "oa", "asd_m", "hd95_m")
SHOWN_OUTLINES = 15


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
    """

    data: object
    name: str = "reference"
    complete: bool = True


def write_folder(folder, scene, prediction, *, reference=None, title=None):
    """Write a map's six files: scene, class map, outlines, areas, picture and report.

    Parameters
    ----------
    folder : path
        Made if needed; files of these names in it are replaced once all six are written.
    scene : xarray.Dataset
    prediction : xarray.Dataset
        Of `map_glaciers`, holding `class_map`.
    reference : Reference, optional
    title : str, optional

    Returns
    -------
    geopandas.GeoDataFrame
        The outlines.

    Raises
    ------
    WriteError
    """
    prediction = computed(prediction)
    outlines = vectorize(prediction)
    title = title or scene.attrs.get("title", "Glacier map")
    with whole_folder(folder) as staged:
        write_raster(scene, staged / "scene.tif")
        write_raster(prediction["class_map"], staged / "class_map.tif")
        write_outlines(outlines, staged / "outlines.gpkg")
        write_text(outlines.drop(columns="geometry").to_csv(index_label="outline"), staged / "areas.csv")
        picture = map_picture(scene, outlines, reference, title)
        (staged / "map.png").write_bytes(picture)
        write_report(staged / "report.html", scene, prediction, outlines, reference=reference, title=title)
    return outlines


def write_report(path, scene, prediction, outlines, *, reference=None, title="Glacier map"):
    """Write one self-contained HTML page: picture, scores, threshold curve, areas, doctor, provenance.

    Parameters
    ----------
    path : path
    scene, prediction : xarray.Dataset
    outlines : geopandas.GeoDataFrame
    reference : Reference, optional
    title : str

    Returns
    -------
    pathlib.Path
    """
    doctor = check(scene)
    facts = provenance(scene, prediction, reference)
    template = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        files(__package__).joinpath("pages/report.html").read_text(encoding="utf-8")
    )
    page = template.render(
        title=title[:1].upper() + title[1:],
        synthetic=is_synthetic(scene),
        area_km2=float(outlines.area_km2.sum()),
        outlines=outlines.head(SHOWN_OUTLINES).drop(columns="geometry").to_dict("records"),
        count=len(outlines),
        method=f"{prediction.attrs['layer']} > {prediction.attrs['threshold']:.4g}",
        picture=as_data_uri(map_picture(scene, outlines, reference, "")),
        curve=as_data_uri(png(curve_figure(scene, prediction, reference))),
        scores=score_rows(prediction, reference),
        score_names=SHOWN_SCORES,
        reference=reference,
        doctor=doctor.reset_index().to_dict("records"),
        facts=facts,
    )
    return write_text(page, path)


def is_synthetic(scene):
    """Whether a scene was made, not seen."""
    return "truth" in scene


def map_picture(scene, outlines, reference, title):
    """The scene with outlines, as PNG bytes."""
    lines = reference.data if reference is not None else None
    if isinstance(lines, xr.DataArray):
        lines = vectorize(lines, classes=["glacier", *GLACIER_PARTS])
    return png(scene_figure(scene, outlines, lines, title))


def png(figure):
    """A matplotlib figure as PNG bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def as_data_uri(picture):
    """PNG bytes for an `img` that needs no other file."""
    return "data:image/png;base64," + base64.b64encode(picture).decode("ascii")


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
    """Scores for the page, by what they were held against."""
    if reference is None:
        return {}
    mask = prediction["class_map"]
    if not reference.complete:
        found = score(mask, reference.data, boundary=False).iloc[0]
        return {f"inside {reference.name}": {"recall": found.recall}}
    rows = {f"all glacier ice of {reference.name}": score(mask, reference.data)}
    meanings = getattr(reference.data, "attrs", {}).get("flag_meanings", "").split()
    if "debris_covered_ice" in meanings:
        code = dict(zip(meanings, reference.data.attrs["flag_values"], strict=True))["debris_covered_ice"]
        seen = reference.data != code
        rows["clean ice alone, debris left out"] = score(mask, reference.data, region=seen)
    return {name: table.iloc[0].to_dict() for name, table in rows.items()}


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
        "guard": prediction.attrs.get("guard", "none"),
        "cleaning": prediction.attrs.get("cleaning", "none"),
        "reference": reference.name if reference else "none",
        "licence": scene.attrs.get("licence", ""),
        "citation": scene.attrs.get("citation", ""),
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "software": ", ".join(f"{name} {version_of(name)}" for name in VERSIONS_OF)
        + f", Python {platform.python_version()}",
    }
    return {name: text for name, text in facts.items() if text}


def won_back(prediction):
    """How much ice was won back from the cloud flag, for people."""
    if "won_back" not in prediction.coords:
        return ""
    pixels = int(prediction["won_back"].sum())
    return (
        f"; {pixels} pixels ({pixels * cell_area_m2(prediction) / 1e6:.2f} km²) won back from the cloud flag"
    )


def version_of(package):
    """An installed package's version."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
