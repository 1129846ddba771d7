"""The whole way from a scene to a glacier map by a threshold."""

import warnings

from .errors import DataWarning, GlacierlabError, require_same_grid
from .features.indices import find_index, layer
from .features.threshold import threshold
from .outlines import clean
from .quality import valid_mask
from .tables import NOT_OBSERVED, RATIOS


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
    """
    image = layer(scene, layer_name)
    mask = threshold(image, default_threshold(image, layer_name) if value is None else value)
    attrs = mask.attrs | {"layer": layer_name}
    attrs |= {key: scene.attrs[key] for key in ("datetime", "sensor", "title") if key in scene.attrs}
    if "qa" in scene:
        valid = valid_mask(scene, keep_ice=keep_ice and can_win_back(scene))
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


def can_win_back(scene):
    """Whether ice under a cloud flag can be told: from reflectance in green and SWIR. Warns where not."""
    if scene.attrs.get("radiometry") != "dn" and {"green", "swir16"} <= set(scene.data_vars):
        return True
    warnings.warn(
        "Ice under the cloud flag is not won back: that needs reflectance in 'green' and 'swir16'.",
        DataWarning,
        stacklevel=3,
    )
    return False


def computed(prediction):
    """A map in memory, the threshold that Otsu's or Li's method found among its attributes."""
    prediction = prediction.compute()
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
    raise GlacierlabError(
        f"{name!r} on {radiometry!r} values has no published threshold: give one, or 'otsu' or 'li'."
    )
