"""What a scene or a raster is, in a few lines; nothing that is lazy is computed for it."""

import base64
from io import BytesIO

import numpy as np

from ..cells import html_of, lines_of
from ..errors import GlacierlabError
from ..features.layers import BANDS
from ..io.layers import pixel_size_m
from ..tables import SENSORS

NUMBERS = {
    "sr": "surface reflectance [1]",
    "toa": "top-of-atmosphere reflectance [1]",
    "dn": "digital numbers: scene.glacier.to_reflectance(...) makes reflectance of them",
}
UNKNOWN = "not known: open the scene with gain= and offset=, or radiometry="
MOST_LOOKED_AT = 500_000  # pixels of a share or a median: of a larger raster every nth
PICTURE = 260  # pixels of the longer side of a quick look


def scene_text(scene):
    """`repr(scene.glacier)`."""
    return lines_of(*scene_facts(scene))


def scene_html(scene):
    """`scene.glacier` in a notebook cell; with a picture where the scene is in memory."""
    return html_of(*scene_facts(scene), beside=quick_look(scene))


def raster_text(raster):
    """`repr(raster.glacier)`."""
    return lines_of(*raster_facts(raster))


def raster_html(raster):
    """`raster.glacier` in a notebook cell."""
    return html_of(*raster_facts(raster))


# ---- facts ----


def scene_facts(scene):
    """A title and (label, fact) rows of a scene, a prediction or a cube."""
    sensor = SENSORS.get(str(scene.attrs.get("sensor")))
    named = [str(name) for name in scene.data_vars]
    bands = [name for name in named if name in BANDS]
    rows = [
        ("sensor", sensor.long_name if sensor else scene.attrs.get("sensor", "not known")) if named else None,
        ("date", date_of(scene)) if named else None,
        ("numbers", NUMBERS.get(scene.attrs.get("radiometry"), UNKNOWN)) if bands else None,
        ("grid", grid_of(scene)),
        ("bands", listed(bands)) if bands else None,
        missing_of(scene, sensor, bands),
        ("layers", listed([name for name in named if name not in bands])),
        *classes_of(scene.get("class_map")),
        ("no data", without_data(scene, bands)) if bands else None,
        ("sun", sun_of(scene)) if bands else None,
        ("held", held(scene)),
        ("next", "scene.glacier.check() looks the numbers over") if bands else None,
    ]
    title = str(
        scene.attrs.get("title") or ("Scene" if bands else "Map" if "class_map" in scene else "Layers")
    )
    return title, [row for row in rows if row]


def raster_facts(raster):
    """A title and (label, fact) rows of one raster."""
    units = raster.attrs.get("units")
    found = ("threshold", f"{raster.attrs['threshold']}") if "threshold" in raster.attrs else None
    rows = [
        ("what", raster.attrs["long_name"]) if "long_name" in raster.attrs else None,
        ("values", f"{raster.dtype}{f' [{units}]' if units else ''}{spread_of(raster)}"),
        ("grid", grid_of(raster)),
        *classes_of(raster),
        found,
        ("held", held(raster.to_dataset(name="values"))),
    ]
    return str(raster.name or "raster"), [row for row in rows if row]


def listed(names):
    """Names, or that there are none."""
    return ", ".join(names) or "none"


def date_of(scene):
    """When it was taken; of a cube, from when to when."""
    if "time" in scene.dims:
        times = np.asarray(scene["time"].values).astype("datetime64[D]") if scene.sizes["time"] else []
        return f"{len(times)} dates, {min(times)} to {max(times)}" if len(times) else "no date"
    return str(scene.attrs.get("datetime", "not known"))[:19].replace("T", " ")


def grid_of(raster):
    """Pixels, their size, the extent and the CRS."""
    if not {"y", "x"} <= set(raster.dims):
        return f"none: dims are {listed(map(str, raster.dims))}"
    rows, columns = raster.sizes["y"], raster.sizes["x"]
    shape = f"{columns} x {rows} pixels"
    crs = raster.rio.crs if {"y", "x"} <= set(raster.coords) else None
    if crs is None:
        return f"{shape}, no CRS: set it with rio.write_crs(...)"
    code = crs.to_epsg()
    called = f"EPSG:{code}" if code else "projected, no EPSG code"
    try:
        size = pixel_size_m(raster)
    except GlacierlabError as error:
        return f"{shape}, {called}; {error}"
    if np.isnan(size):
        return f"{shape}, {called}, in degrees: areas need meters"
    return f"{shape} of {size:g} m ({columns * size / 1000:.3g} x {rows * size / 1000:.3g} km), {called}"


def missing_of(scene, sensor, bands):
    """Bands that the sensor has and the scene has not, as a row; None where the sensor is not known."""
    if not sensor or not bands:
        return None
    return "missing", listed([band.name for band in sensor.bands if band.name not in bands])


def sun_of(scene):
    """Elevation and azimuth, or what does not work without them."""
    angles = [scene.attrs.get(name, scene.coords.get(name)) for name in ("sun_elevation", "sun_azimuth")]
    if "time" in scene.dims and all(angle is not None for angle in angles):
        return "known for each date"
    try:
        elevation, azimuth = (float(angle) for angle in angles)
    except (TypeError, ValueError):
        return "not known: cast shadow needs its elevation and azimuth"
    return f"{elevation:.1f}° above the horizon, azimuth {azimuth:.0f}°"


def classes_of(codes):
    """Names of a class map's classes, as a row; no row of anything else."""
    if codes is None or "flag_meanings" not in codes.attrs:
        return []
    return [("classes", ", ".join(str(codes.attrs["flag_meanings"]).split()))]


def held(scene):
    """Where it is: in memory, or on its way from files."""
    size = f"{scene.nbytes / 1e6:,.3g} MB"
    if not is_lazy(scene):
        return f"in memory, {size}"
    sides = [
        " x ".join(str(max(scene.chunks[dim])) for dim in ("x", "y") if dim in scene.chunks)
        if consistent(scene)
        else "several sizes"
    ]
    return f"lazy, {size} when computed, in chunks of {sides[0]}"


def is_lazy(scene):
    """Whether any of it would have to be computed or read first."""
    return any(not variable._in_memory for variable in scene.variables.values())


def consistent(scene):
    """Whether its variables share their chunks."""
    try:
        return bool(scene.chunks)
    except ValueError:
        return False


def thinned(raster):
    """Every nth pixel of a raster along y and x."""
    pixels = raster.sizes.get("y", 1) * raster.sizes.get("x", 1)
    step = slice(None, None, max(1, int(np.ceil(np.sqrt(pixels / MOST_LOOKED_AT)))))
    return raster.isel(y=step, x=step, missing_dims="ignore")


def without_data(scene, bands):
    """Share of pixels that lack a band."""
    if is_lazy(scene[bands]):
        return "not counted: the scene is lazy"
    looked_at = thinned(scene[bands])
    lacking = [looked_at[name].isnull() for name in bands]
    share = float(
        np.logical_or.reduce([each.values for each in lacking if each.shape == lacking[0].shape]).mean()
    )
    return f"{share:.1%} of pixels lack a band" if share else "every pixel has every band"


def spread_of(raster):
    """Least, middle and largest value of a raster in memory, and how much of it has none."""
    if not raster.variable._in_memory or raster.dtype.kind not in "fiu" or "flag_meanings" in raster.attrs:
        return ""
    values = thinned(raster).values
    seen = values[np.isfinite(values)]
    if not seen.size:
        return ", none"
    low, middle, high = np.percentile(seen, [0, 50, 100])
    lost = 1 - seen.size / values.size
    return f", {low:.3g} to {high:.3g}, median {middle:.3g}" + (f"; {lost:.1%} no data" if lost else "")


# ---- the picture ----


def quick_look(scene):
    """A small false-color picture of one date in memory as HTML; none of anything else."""
    from matplotlib.image import imsave

    from ..viz.figures import COMPOSITES, false_color

    sides = [scene.sizes.get(dim, 0) for dim in ("y", "x")]
    bands = next((each for each in COMPOSITES if all(name in scene for name in each)), None)
    if bands is None or min(sides) < 2 or not {"y", "x"} <= set(scene.coords) or is_lazy(scene[list(bands)]):
        return ""
    if any(scene[name].ndim != 2 for name in bands):
        return ""
    step = slice(None, None, -(-max(sides) // PICTURE))
    file = BytesIO()
    imsave(file, false_color(scene[list(bands)].isel(y=step, x=step)), format="png")
    data = base64.b64encode(file.getvalue()).decode()
    told = f"The scene in false color ({', '.join(bands)}), north above"
    return f'<img src="data:image/png;base64,{data}" alt="{told}" style="max-width: {PICTURE}px">'
