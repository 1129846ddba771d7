"""The scene doctor, and masks of pixels that show the ground."""

import numpy as np
import pandas as pd

from .errors import GridError, MissingBandError
from .features.indices import index
from .tables import MASKS, SENSORS

NDSI_ICE = 0.4  # Riggs et al. 1994
DARK_SWIR = 0.11  # assumption: ice and snow stay below, most cloud above
MAX_PIXELS = 500_000  # a doctor looks at every nth pixel of a larger scene


def flag_set(qa, mask, names):
    """Where a quality layer (integer) has any of the named flags of a row of `tables.MASKS`."""
    if mask.kind == "classes":
        return qa.isin([mask.flags[name] for name in names])
    return (qa & sum(1 << mask.flags[name] for name in names)) != 0


def qa_kind(qa):
    """The row of `tables.MASKS` that a scene's `qa` follows."""
    kind = qa.attrs.get("native")
    if kind not in MASKS:
        raise MissingBandError(
            "The scene's 'qa' does not say which flags it holds: "
            f"set scene.qa.attrs['native'] to one of {list(MASKS)}."
        )
    return MASKS[kind]


def valid_mask(scene, keep_ice=False, ndsi_above=NDSI_ICE, swir_below=DARK_SWIR):
    """Where a scene shows the ground: neither fill, nor cloud, nor cloud shadow.

    Snow and ice flags are never masked, and cirrus only at high confidence.

    Parameters
    ----------
    scene : xarray.Dataset
        A scene with a `qa` layer: Landsat's QA_PIXEL, Sentinel-2's SCL or the Fmask of HLS.
    keep_ice : bool
        Win back bright ice that the cloud flag swallowed: flagged cloud, but NDSI above `ndsi_above` and
        a SWIR reflectance below `swir_below`. Landsat's and Sentinel-2's masks both take bright snow
        for cloud.
    ndsi_above, swir_below : float
        Reflectance thresholds of `keep_ice`; `swir_below` is an assumption.

    Returns
    -------
    xarray.DataArray
        (y, x) bool, lazy if the scene is. With `keep_ice` a coordinate `won_back` (bool) marks the pixels
        won back; of a scene in memory, the attribute `won_back_share` is their share of those flagged cloud.

    Raises
    ------
    MissingBandError, RadiometryError

    Examples
    --------
    >>> import xarray as xr
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> flags = xr.full_like(scene.truth, 0b1000, dtype="uint16")  # bit 3 of Landsat's QA_PIXEL: cloud
    >>> cloudy = scene.assign(qa=flags.drop_attrs().assign_attrs(native="qa_pixel"))
    >>> float(valid_mask(cloudy).mean()), round(float(valid_mask(cloudy, keep_ice=True).mean()), 1)
    (0.0, 0.2)
    """
    if "qa" not in scene:
        raise MissingBandError(f"No quality layer: the scene has {list(scene.data_vars)}, but no 'qa'.")
    qa, mask = scene["qa"], qa_kind(scene["qa"])
    fill = qa == mask.fill_value
    if mask.fill:
        fill = fill | flag_set(qa, mask, mask.fill)
    cloud = flag_set(qa, mask, mask.cloud)
    for name in mask.high_confidence:
        first, last = mask.flags[name]
        cloud = cloud | (((qa >> first) & ((1 << (last - first + 1)) - 1)) == 3)
    hidden = fill | flag_set(qa, mask, mask.shadow)
    attrs = {"long_name": "shows the ground", "source": mask.long_name}
    if not keep_ice:
        return (~(hidden | cloud)).rename("valid").assign_attrs(attrs)
    ice = (index(scene, "ndsi") > ndsi_above) & (scene["swir16"] < swir_below)
    won_back = (cloud & ice & ~hidden).assign_attrs(long_name="ice that the cloud flag had swallowed")
    valid = (~(hidden | (cloud & ~ice))).rename("valid").assign_attrs(attrs)
    if valid.chunks is None:
        attrs = {"won_back_share": float(won_back.sum() / max(int(cloud.sum()), 1))}
        valid = valid.assign_attrs(attrs)
    return valid.assign_coords(won_back=won_back)


# ---- the scene doctor: each test sees what was looked at and returns (verdict, evidence, advice) ----


def check(scene):
    """Look a scene over before believing it: units, offsets, swapped bands, saturation, gaps, sun.

    Parameters
    ----------
    scene : xarray.Dataset
        As `open_scene` gives it; of a large one every nth pixel is looked at.

    Returns
    -------
    pandas.DataFrame
        One row a test: `verdict` ("ok", "warn", "fail", "unknown"), `evidence`, `advice`. The limits between
        verdicts are assumptions.

    Raises
    ------
    GridError
        The scene has several dates.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> check(scene).verdict.value_counts().to_dict()
    {'ok': 12}
    >>> check(scene.assign(red=scene.red * 10_000)).query("verdict == 'fail'").index.tolist()
    ['scale']
    """
    import rioxarray  # noqa: F401  registers .rio

    if "time" in scene.dims:
        raise GridError("The doctor looks at one date: choose it with scene.isel(time=0).")
    bands = [name for name in scene.data_vars if is_reflective(scene, name)]
    step = max(1, int(np.ceil(np.sqrt(scene.sizes["y"] * scene.sizes["x"] / MAX_PIXELS))))
    looked_at = scene[bands].isel(y=slice(None, None, step), x=slice(None, None, step), missing_dims="ignore")
    looked_at = looked_at.compute()
    rows = {name: test(scene, looked_at) for name, test in TESTS.items()}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["verdict", "evidence", "advice"])
    return table.rename_axis("test")


def is_reflective(scene, name):
    """Whether a variable is a reflective band of any sensor."""
    known = {band.name for sensor in SENSORS.values() for band in sensor.bands}
    variable = scene[name]
    thermal = name.startswith("lwir") or variable.attrs.get("kind") == "thermal"
    return name in known and variable.dtype.kind == "f" and not thermal and {"y", "x"} <= set(variable.dims)


def seen(looked_at, name):
    """The finite values of a band."""
    values = looked_at[name].values
    return values[np.isfinite(values)]


def percentiles(looked_at, q):
    """A percentile of every band that has data, by name."""
    found = {name: seen(looked_at, name) for name in looked_at.data_vars}
    return {name: float(np.percentile(values, q)) for name, values in found.items() if values.size}


def listed(numbers):
    """Numbers by name, for people."""
    return ", ".join(f"{name} {value:.3g}" for name, value in numbers.items())


def check_crs(scene, looked_at):
    crs = scene.rio.crs
    if crs is None:
        return "fail", "no CRS", "areas and outlines need one: scene.rio.write_crs(...)"
    if crs.is_geographic:
        return "fail", f"{crs.to_string()} is in degrees", "reproject to meters: scene.rio.reproject(...)"
    code = crs.to_epsg()
    return "ok", f"EPSG:{code}" if code else f"projected, no EPSG code ({crs.to_dict().get('proj', '?')})", ""


def check_pixel_size(scene, looked_at):
    from .io.layers import pixel_size_m

    size, sensor = pixel_size_m(scene), scene.attrs.get("sensor")
    if np.isnan(size):
        return "unknown", "no size in meters", ""
    expected = SENSORS[sensor].pixel_size_m if sensor in SENSORS else None
    if expected and not 0.5 * expected <= size <= 4 * expected:
        return "warn", f"{size:g} m; {sensor} has {expected:g} m", "resampled? open with resolution="
    return "ok", f"{size:g} m", ""


def check_data(scene, looked_at):
    shares = {name: float(np.isfinite(looked_at[name].values).mean()) for name in looked_at.data_vars}
    if not shares:
        return (
            "fail",
            f"no reflective band among {list(scene.data_vars)}",
            "open with bands={...} to name them",
        )
    evidence = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    if empty := [name for name, share in shares.items() if share == 0]:
        return "fail", f"all nodata: {empty}", "check the file and its nodata value"
    lowest = min(shares.values())
    return (
        "ok" if lowest > 0.5 else "warn",
        f"with data: {evidence}",
        "" if lowest > 0.5 else "much is missing",
    )


def check_scale(scene, looked_at):
    middle, high = percentiles(looked_at, 50), percentiles(looked_at, 99)
    if scene.attrs.get("radiometry") == "dn":
        return (
            "warn",
            f"digital numbers; 99th percentile: {listed(high)}",
            "scene.glacier.to_reflectance(...)",
        )
    if high and max(high.values()) > 3:
        return "fail", f"99th percentile: {listed(high)}", "not reflectance: open with gain= and offset="
    if high and max(high.values()) < 0.02:
        return "fail", f"99th percentile: {listed(high)}", "far too dark: a gain was applied twice?"
    return "ok", f"medians: {listed(middle)}", ""


def check_offset(scene, looked_at):
    if scene.attrs.get("radiometry") == "dn":
        return "unknown", "digital numbers", ""
    low = {
        name: v for name, v in percentiles(looked_at, 0.5).items() if name.startswith(("swir", "nir", "red"))
    }
    negative = {name: float((seen(looked_at, name) < 0).mean()) for name in low}
    if low and min(low.values()) > 0.07:
        return (
            "warn",
            f"darkest 0.5 %: {listed(low)}",
            f"an offset was not subtracted?{by_hand(scene, -1000)}",
        )
    if negative and max(negative.values()) > 0.05:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in negative.items())
        return (
            "warn",
            f"negative: {shares}",
            f"deep shadow, or an offset subtracted twice?{by_hand(scene, 0)}",
        )
    return "ok", f"darkest 0.5 %: {listed(low)}", ""


def by_hand(scene, offset):
    """How to settle an offset, for the one sensor whose products differ in it."""
    return (
        f" open with offset={offset}"
        if scene.attrs.get("sensor") == "sentinel2_msi"
        else " compare its source"
    )


def check_empty_swir(scene, looked_at):
    high = {name: v for name, v in percentiles(looked_at, 99.5).items() if name.startswith("swir")}
    if not high:
        return "unknown", "no SWIR band", "ratios and NDSI need one"
    if dark := {name: value for name, value in high.items() if value < 0.03}:
        advice = "near zero everywhere: is it the cirrus band (B9 of Landsat, B10 of Sentinel-2)?"
        return (
            ("fail" if scene.attrs.get("radiometry") != "dn" else "unknown"),
            f"99.5 %: {listed(dark)}",
            advice,
        )
    return "ok", f"brightest 0.5 % above: {listed(high)}", ""


def check_band_order(scene, looked_at):
    names = [name for name in ("green", "red", "swir16") if name in looked_at]
    if len(names) < 3:
        return "unknown", f"needs green, red and swir16; has {names}", ""
    values = np.stack([looked_at[name].values.ravel() for name in names])
    values = values[:, np.isfinite(values).all(axis=0)]
    if values.shape[1] < 100:
        return "unknown", "too few pixels", ""
    (near, far) = np.corrcoef(values)[0, 1:]
    evidence = f"correlation of green with red {near:.2f}, with swir16 {far:.2f}"
    if not near > far:
        return "warn", evidence, "neighbors in wavelength should agree best: are bands swapped?"
    return "ok", evidence, ""


def check_same_bands(scene, looked_at):
    names = list(looked_at.data_vars)
    same = [
        f"{a} = {b}"
        for i, a in enumerate(names)
        for b in names[i + 1 :]
        if seen(looked_at, a).size
        and np.array_equal(looked_at[a].values, looked_at[b].values, equal_nan=True)
    ]
    return ("fail", "; ".join(same), "one band was opened twice") if same else ("ok", "all bands differ", "")


def check_saturation(scene, looked_at):
    shares = {}
    for name in looked_at.data_vars:
        values = seen(looked_at, name)
        if values.size and (values == values.max()).mean() > 0.001:
            shares[name] = float((values == values.max()).mean())
    worst = max(shares.values(), default=0.0)
    evidence = ", ".join(f"{name} {share:.1%} at its highest value" for name, share in shares.items())
    if worst > 0.01:
        return (
            "warn",
            evidence,
            "saturated snow loses its texture and flattens ratios; use another gain or date",
        )
    return "ok", evidence or "no pile of pixels at the highest value", ""


def check_above_one(scene, looked_at):
    if scene.attrs.get("radiometry") == "dn":
        return "unknown", "digital numbers", ""
    above = {name: seen(looked_at, name) > 1 for name in looked_at.data_vars}
    found = {name: float(high.mean()) for name, high in above.items() if high.size and high.mean() > 0.0005}
    if not found:
        return "ok", "none above 1", ""
    evidence = "above 1: " + ", ".join(f"{name} {share:.1%}" for name, share in found.items())
    if max(found.values()) > 0.5:
        return "warn", evidence, "no snow is that bright: settle what the numbers are (scale, above) first"
    return "ok", evidence, "bright snow; nothing is clipped"


def check_gaps(scene, looked_at):
    name = next(iter(looked_at.data_vars), None)
    missing = np.isnan(looked_at[name].values) if name else np.zeros((0, 0), bool)
    inside = missing & ~outer_nodata(missing)
    share = float(inside.mean()) if inside.size else 0.0
    if share < 0.002:
        return "ok", f"{share:.2%} of pixels missing inside the image", ""
    starts = (np.diff(inside.astype(np.int8), axis=0) == 1).sum(axis=0)
    stripes = np.median(starts[starts > 0]) if (starts > 0).any() else 0
    if stripes >= 3 and (starts > 0).mean() > 0.3:
        advice = (
            "stripes: Landsat 7 after May 2003 (SLC-off)? fill from another date, or map only what is seen"
        )
        return "warn", f"{share:.1%} missing inside, {stripes:g} gaps a column", advice
    return "warn", f"{share:.1%} missing inside the image", "outlines will end there; look at the mask"


def outer_nodata(missing):
    """Missing pixels with no data on one side of them both along their row and along their column."""
    present = ~missing
    left_and_right = np.logical_or.accumulate(present, axis=1) & from_the_end(present, axis=1)
    above_and_below = np.logical_or.accumulate(present, axis=0) & from_the_end(present, axis=0)
    return missing & ~(left_and_right | above_and_below)


def from_the_end(present, axis):
    """Whether anything is present from here to the end of the axis."""
    return np.flip(np.logical_or.accumulate(np.flip(present, axis), axis), axis)


def check_sun(scene, looked_at):
    elevation = scene.attrs.get("sun_elevation", scene.coords.get("sun_elevation"))  # of a cube's date
    elevation = None if elevation is None or np.size(elevation) > 1 else float(elevation)
    if elevation is None or not np.isfinite(elevation):
        return "unknown", "the sun's elevation is not known", ""
    if elevation < 25:
        return (
            "warn",
            f"sun {elevation:.1f}° above the horizon",
            "long shadows: red/SWIR takes shadowed rock for ice",
        )
    return "ok", f"sun {elevation:.1f}° above the horizon", ""


TESTS = {
    "CRS": check_crs,
    "pixel size": check_pixel_size,
    "data": check_data,
    "scale": check_scale,
    "offset": check_offset,
    "SWIR not empty": check_empty_swir,
    "band order": check_band_order,
    "bands differ": check_same_bands,
    "saturation": check_saturation,
    "bright values": check_above_one,
    "gaps": check_gaps,
    "sun": check_sun,
}
