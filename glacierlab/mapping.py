"""The whole way from a scene to a glacier map, by a threshold or by a model, and on to its outlines."""

from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from rasterio.features import rasterize

from .change.area import area_uncertainty
from .change.zones import glacier_probability
from .errors import GlacierlabError, require_same_grid, warn
from .features.indices import find_index, layer
from .features.threshold import threshold
from .io.layers import class_map_of, pixel_size_m, transform_of
from .io.scene import open_scene, require_data
from .outlines import attributes, clean, split_glaciers, vectorize
from .outlines.attributing import unmeasured
from .outlines.polygons import class_names
from .quality import valid_mask
from .scores import GLACIER_PARTS
from .tables import NOT_OBSERVED, RATIOS

LARGE = 3000 * 3000  # pixels; a larger scene is opened lazily
CHUNK = 2048
UNCERTAINTIES = ("entropy", "spread")  # of a model's map, where they were asked


def open_to_map(path, **opening):
    """A scene in memory, or in chunks where it is large; `opening` as of `open_scene`."""
    scene = open_scene(path, chunks=CHUNK, **opening)
    if scene.sizes["y"] * scene.sizes["x"] > LARGE:
        return scene
    scene = scene.compute()
    require_data(scene, path)
    return scene


def map_glaciers(
    scene, layer_name="red/swir16", value=None, *, blue_above=None, sunlit=None, keep_ice=True, size=5,
    min_area_km2=0.01,
):  # fmt: skip
    """Map clean ice and snow by a threshold on a ratio or index, cleaned, with clouds left out.

    Parameters
    ----------
    scene : xarray.Dataset
        As `open_scene` gives it.
    layer_name : str
        "red/swir16" (default), "nir/swir16" (fewer false hits in shadow, loses dirty ice), an index such as
        "ndsi", or a band.
    value : float, "otsu", "li" or ThresholdCurve, optional
        Glacier is above it. Default: the one of `tables.RATIOS` or `tables.INDICES`; a layer without a
        published value, and digital numbers, need one here.
    blue_above : float, optional
        Also ask that the blue band exceeds this, against bedrock in shadow; 0.08 in reflectance is an
        assumption of the literature's idea (Paul and Kääb 2005) to start from.
    sunlit : DataArray of bool, optional
        Also ask that a pixel is sunlit, such as the inverse of a cast-shadow mask.
    keep_ice : bool
        Win back ice that the cloud flag swallowed (see `valid_mask`), where the scene has a `qa` layer and
        is reflectance; a coordinate `won_back` marks those pixels.
    size, min_area_km2
        Of `outlines.clean`.

    Returns
    -------
    xarray.Dataset
        `class_map` (y, x) uint8: 0 background, 1 glacier, 255 not observed; lazy if the scene is.
        The attributes tell layer, threshold, masks, guards and cleaning. Debris-covered ice is not found
        by a spectral threshold.

    Raises
    ------
    MissingBandError, RadiometryError, UnknownNameError, GlacierlabError

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> found = map_glaciers(scene, size=3)
    >>> found.attrs["layer"], found.attrs["threshold"]
    ('red/swir16', 2.0)
    >>> float(gl.score(found, scene.truth).loc["glacier", "precision"].round(1))
    0.9
    """
    image = layer(scene, layer_name)
    mask = threshold(image, default_threshold(image, layer_name) if value is None else value)
    attrs = mask.attrs | {"layer": layer_name}
    attrs |= {key: scene.attrs[key] for key in ("datetime", "sensor", "title") if key in scene.attrs}
    if "qa" in scene:
        valid = ground_seen(scene, keep_ice)
        mask = mask.where(valid, NOT_OBSERVED)
        attrs["masked"] = valid.attrs["source"]
    if blue_above is not None:
        blue = layer(scene, "blue")
        mask = mask.where(blue.notnull(), NOT_OBSERVED)
        mask = mask.where((blue > blue_above) | (mask == NOT_OBSERVED), 0)
        attrs["guard"] = f"blue > {blue_above:g}"
    if sunlit is not None:
        require_same_grid(mask, sunlit, ("scene", "sunlit"))
        mask = mask.where(sunlit.transpose("y", "x").data | (mask == NOT_OBSERVED), 0)
        attrs["guard"] = " and ".join([*filter(None, [attrs.get("guard")]), "sunlit"])
    mask = clean(mask.astype("uint8").assign_attrs(attrs), size=size, min_area_km2=min_area_km2)
    told = {key: value for key, value in mask.attrs.items() if not key.startswith(("flag_", "long_name"))}
    return mask.rename("class_map").to_dataset().assign_attrs(told)


def map_by_model(scene, model="default", *, keep_ice=True, min_area_km2=0.01, **how):
    """Map what a model knows, such as clean ice, debris and lakes, with clouds and small parts left out.

    Parameters
    ----------
    scene : xarray.Dataset
        As `open_scene` gives it.
    model : path, Segmenter or list of these
        As `predict` takes it; several are averaged.
    keep_ice : bool
        As in `map_glaciers`.
    min_area_km2 : float
        Smaller parts, connected over eight neighbors, become background. Clean and debris-covered ice that
        touch are one part. 0.01, the limit of RGI 7.0, is an assumption where the parts are no glaciers.
    **how
        Of `predict`: tile, overlap, blend, tta, uncertainty, device, precision, out, ….

    Returns
    -------
    xarray.Dataset
        As `predict` gives it, `class_map` and the rest without what clouds hide; lazy if the scene is, or if
        `out` was given. The attributes tell the model, by what its card says, and how it was used.

    Raises
    ------
    MissingBandError, RadiometryError, GridError, ModelFileError, UnknownNameError
        As in `predict`.
    GlacierlabError
        Torch is not installed, or an argument is not what it should be.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> found = map_by_model(scene, "default")
    >>> found.class_map.attrs["flag_meanings"]
    'background clean_ice debris_covered_ice glacial_lake'
    >>> found.probability.dims
    ('class', 'y', 'x')
    """
    predict, models = predicting(model)
    prediction = predict(scene, models.members, **how)
    codes, attrs = prediction["class_map"], about_models(model, models)
    if "qa" in scene:
        valid = ground_seen(scene, keep_ice)
        prediction = prediction.drop_vars("class_map").where(valid)
        codes = codes.where(valid, NOT_OBSERVED).astype("uint8")
        attrs["masked"] = valid.attrs["source"]
    attrs["cleaning"] = f"parts below {min_area_km2:g} km2 left out"
    attrs |= {key: scene.attrs[key] for key in ("datetime", "sensor", "title") if key in scene.attrs}
    codes = without_small_parts(codes, min_area_km2)
    told = prediction.attrs | attrs  # of a file's map only what is asked for now is known
    return prediction.assign(class_map=codes.assign_attrs(told)).assign_attrs(told)


def predicting(model):
    """`predict` and the `Models` of a path, a model or a list of them; GlacierlabError without torch."""
    try:
        from .inference.models import models_of
        from .inference.prediction import predict
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "torch":
            raise
        raise GlacierlabError(
            "A map by a model needs torch: pip install 'glacierlab[models]', or leave the model out to map "
            "by a threshold."
        ) from error
    return predict, models_of(model)


def about_models(given, models):
    """What the cards of models say, as attributes of a map."""
    from .models.describe import in_words

    several = list(given) if isinstance(given, list | tuple) else [given]
    names = [getattr(each, "name", None) or Path(each).stem for each in several]
    cards = [each.card for each in models.members]
    networks = (f"{each.name}, {sum(p.numel() for p in each.parameters()):,}" for each in models.members)
    facts = {
        "model": names,
        "model_network": [f"{network} parameters" for network in networks],
        "model_features": [", ".join(card.features) for card in cards],
        "model_sensors": [f"{card.sensor or 'any'}, {card.radiometry or 'any radiometry'}" for card in cards],
        "model_data": [in_words(card.training.get("data", "not said")) for card in cards],
        "model_temperature": [f"{card.temperature:g}" for card in cards],
        "model_license": [card.license or "not said" for card in cards],
        "model_citation": [card.citation for card in cards],
        "model_note": [card.note for card in cards],
    }
    told = {name: "; ".join(dict.fromkeys(filter(None, texts))) for name, texts in facts.items()}
    return {name: text for name, text in told.items() if text}


def without_small_parts(codes, min_area_km2):
    """A class map whose smaller parts are background; glacier is one thing, whatever covers it."""
    if min_area_km2 == 0:
        return codes
    known = {name: code for code, name in class_names(codes).items() if code}
    parts = [known.pop(name) for name in GLACIER_PARTS] if set(GLACIER_PARTS) <= set(known) else []
    for thing in [parts, *([code] for code in known.values())]:
        if thing:
            present = codes.isin(thing)
            large = clean(present.astype("uint8"), size=0, min_area_km2=min_area_km2, min_hole_km2=0)
            codes = codes.where(~present | (large == 1), 0).astype("uint8")
    return codes


def ground_seen(scene, keep_ice):
    """`valid_mask` of a scene with a quality layer, with ice won back where that is asked and can be."""
    return valid_mask(scene, keep_ice=keep_ice and can_win_back(scene))


def can_win_back(scene):
    """Whether ice under a cloud flag can be told: from reflectance in green and SWIR. Warns where not."""
    if scene.attrs.get("radiometry") != "dn" and {"green", "swir16"} <= set(scene.data_vars):
        return True
    warn("Ice under the cloud flag is not won back: that needs reflectance in 'green' and 'swir16'.")
    return False


def computed(prediction):
    """The class map in memory, the threshold that Otsu's or Li's method found among its attributes."""
    prediction = prediction[["class_map"]].compute()
    if "threshold" in prediction.coords:
        found = {"threshold": float(prediction["threshold"])}
        prediction = prediction.drop_vars("threshold").assign_attrs(found)
        prediction["class_map"].attrs |= found
    return prediction


def default_threshold(image, name):
    """The published threshold of a layer, or an error that asks for one."""
    radiometry = image.attrs.get("radiometry", "unknown")
    if "/" in name:
        rows = [row for row in RATIOS.values() if name == f"{row.numerator}/{row.denominator}"]
    else:
        rows = [find_index(name)] if "formula" in image.attrs else []
    if radiometry != "dn" and rows and rows[0].threshold is not None:
        return rows[0].threshold
    settle = "open the scene with gain= and offset= to have reflectance, or " * (radiometry == "dn")
    raise GlacierlabError(
        f"{name!r} on {radiometry!r} values has no published threshold: {settle}give one, or 'otsu' or 'li'."
    )


# ---- outlines ----


def outline(prediction, dem=None, *, divides=None, classes=None, min_area_km2=0.0, smooth=None):
    """Outlines of a map: glaciers whole, whatever covers them, and other classes each by itself.

    Parameters
    ----------
    prediction : xarray.Dataset or xarray.DataArray
        Of `map_glaciers`, `map_by_model` or `predict`, or a class map (y, x) alone.
    dem : path or xarray.DataArray, optional
        Elevation (y, x) [m], such as `scene.elevation`: makes an inventory, glaciers divided along ice
        divides (`outlines.split_glaciers`) and with the attributes of RGI 7.0 (`outlines.attributes`).
    divides : geopandas.GeoDataFrame, optional
        An older inventory or lines, whose divides are imposed instead of those of the DEM.
    classes : list of str, optional
        As named in the result; default all but background.
    min_area_km2 : float
        Leave out smaller outlines, before they are divided.
    smooth : int, optional
        Rounds of `outlines.smooth`; default none, along the pixels' edges.

    Returns
    -------
    geopandas.GeoDataFrame
        As of `vectorize`, the largest first. Where the map tells clean from debris-covered ice, both are the
        class `glacier`, and `debris_frac` is the debris-covered share of each glacier [1]. An inventory also
        has the columns of RGI 7.0, `mean_prob` (of glacier, where the map has probabilities), `area_unc_km2`
        with `area_unc_kind` (a bound: half a pixel to both sides, see `area_uncertainty`), `complex_id` (the
        same where one outline was divided), and what it was made of: `scene_ids`, `model`, `version`; but no
        `pixels`. Of classes that are no glaciers, such as lakes, `debris_frac`, `mean_prob` and all that a
        DEM tells are missing.

    Raises
    ------
    GridError, InventoryError, SceneError

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> patches = outline(gl.map_glaciers(scene))
    >>> glaciers = outline(gl.map_glaciers(scene), dem=scene.elevation)
    >>> len(patches), len(glaciers)
    (5, 5)
    >>> glaciers[["area_km2", "zmin_m", "zmax_m"]].head(2).round(1)
       area_km2  zmin_m  zmax_m
    0       0.2  2900.4  2980.2
    1       0.2  2868.7  2959.6
    """
    codes = class_map_of(prediction)
    merged, debris = one_glacier_class(codes)
    outlines = vectorize(merged, classes, min_area_km2, smooth)
    pixel_m = pixel_side_m(codes, outlines)
    if divides is not None or dem is not None:
        outlines = outlines.drop(columns="pixels")
        ice = outlines["class"].isin(["glacier", *GLACIER_PARTS])
        glaciers = split_glaciers(outlines[ice], dem, divides=divides)
        outlines = pd.concat([glaciers, outlines[~ice]], ignore_index=True).astype({"complex_id": "Int64"})
        outlines = outlines.sort_values("area_km2", ascending=False, ignore_index=True, kind="stable")
    ice = outlines["class"].isin(["glacier", *GLACIER_PARTS])
    if debris is not None:
        column = np.where(ice, mean_within(outlines, debris), np.nan)
        outlines.insert(outlines.columns.get_loc("geometry"), "debris_frac", column)
    if divides is None and dem is None:
        return outlines
    if "probability" in prediction and ice.any():
        grid, values = glacier_probability(prediction)
        outlines["mean_prob"] = np.where(ice, mean_within(outlines, grid.copy(data=values)), np.nan)
    outlines = area_uncertainty(outlines, pixel_m=pixel_m).assign(
        scene_ids=codes.attrs.get("title", ""),
        model=prediction.attrs.get("model", ""),
        version=version(__package__),
    )
    if dem is None:
        return outlines
    return pd.concat([attributes(outlines[ice], dem), unmeasured(outlines[~ice])]).loc[outlines.index]


def pixel_side_m(codes, outlines):
    """Side of a map's pixels [m]; in degrees what those of its outlines tell."""
    if not codes.rio.crs.is_geographic:
        return pixel_size_m(codes)
    return 1000 * np.sqrt(outlines["area_km2"].sum() / max(1, outlines["pixels"].sum()))


def one_glacier_class(codes):
    """A class map whose clean and debris-covered ice are one class, and where the debris is, if it tells."""
    known = {name: code for code, name in class_names(codes).items()}
    if not set(GLACIER_PARTS) <= set(known):
        return codes, None
    clean_ice, debris = (known.pop(name) for name in GLACIER_PARTS)
    known["glacier"] = clean_ice
    flags = {"flag_values": list(known.values()), "flag_meanings": " ".join(known)}
    merged = codes.where(codes != debris, clean_ice).astype(codes.dtype).assign_attrs(codes.attrs | flags)
    return merged, codes == debris


def mean_within(outlines, layer):
    """The mean of a layer (y, x) over the pixels of each outline whose center is inside; NaN without any."""
    if not len(outlines):
        return np.zeros(0)
    layer, size = layer.transpose("y", "x"), len(outlines) + 1
    numbered = zip(outlines.geometry, range(1, size), strict=True)
    places = rasterize(numbered, layer.shape, transform=transform_of(layer), dtype="int32")
    values = layer.values
    seen = (places > 0) & np.isfinite(values)
    count = np.bincount(places[seen], minlength=size)[1:]
    sums = np.bincount(places[seen], values[seen], minlength=size)[1:]
    return np.divide(sums, count, out=np.full(size - 1, np.nan), where=count > 0)


def areas_by_class(codes, outlines):
    """{class: area [km²], geodesic} of a class map and its `outline`: glacier first, then its parts."""
    found = outlines.groupby("class")["area_km2"].sum()
    names = [name for code, name in class_names(codes).items() if code]
    if "debris_frac" not in outlines:
        return {name: float(found.get(name, 0.0)) for name in names}
    glacier = float(found.get("glacier", 0.0))
    debris = float((outlines["area_km2"] * outlines["debris_frac"]).sum())
    parts = {"clean_ice": glacier - debris, "debris_covered_ice": debris}
    areas = {"glacier": glacier} | parts
    return areas | {name: float(found.get(name, 0.0)) for name in names if name not in areas}
