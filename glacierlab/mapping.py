"""The whole way from a scene to a glacier map by a threshold."""

from .errors import GlacierlabError
from .features.indices import find_index, layer
from .features.threshold import threshold
from .outlines import clean
from .quality import valid_mask
from .tables import NOT_OBSERVED

RATIO_THRESHOLD = 2.0  # red or near infrared over SWIR in reflectance, Paul et al. 2015


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
        Glacier is above it. Default: 2.0 for a ratio of reflectance, the table's for an index; what has no
        published value needs one here.
    blue_above : float, optional
        Also ask that the blue band exceeds this, against bedrock in shadow; 0.08 in reflectance is an
        assumption of the literature's idea (Paul and Kääb 2005) to start from.
    sunlit : DataArray of bool, optional
        Also ask that a pixel is sunlit, such as the inverse of a cast-shadow mask.
    keep_ice : bool
        Win back ice that the cloud flag swallowed, where the scene has a `qa` layer.
    size, min_area_km2
        Of `outlines.clean`.

    Returns
    -------
    xarray.Dataset
        `class_map` (y, x) uint8: 0 background, 1 glacier, 255 not observed; lazy if the scene is.
        Debris-covered ice is not found by a spectral threshold.

    Raises
    ------
    MissingBandError, RadiometryError, UnknownNameError, GlacierlabError
    """
    image = layer(scene, layer_name)
    mask = threshold(image, default_threshold(image, layer_name) if value is None else value)
    attrs = mask.attrs | {"layer": layer_name}
    if "qa" in scene:
        mask = mask.where(
            valid_mask(scene, keep_ice=keep_ice).drop_vars("won_back", errors="ignore"), NOT_OBSERVED
        )
    for guard in guards(scene, blue_above, sunlit):
        mask = mask.where(guard | (mask == NOT_OBSERVED), 0)
    mask = clean(mask.astype("uint8").assign_attrs(attrs), size=size, min_area_km2=min_area_km2)
    dated = {key: scene.attrs[key] for key in ("datetime", "sensor", "title") if key in scene.attrs}
    if blue_above is not None:
        dated["blue_above"] = blue_above
    return mask.rename("class_map").assign_attrs(dated).to_dataset().assign_attrs(attrs_of_map(mask, dated))


def attrs_of_map(mask, dated):
    """What a map's Dataset says of its making."""
    kept = ("layer", "threshold", "radiometry", "cleaning")
    return {**dated, **{key: mask.attrs[key] for key in kept if key in mask.attrs}}


def guards(scene, blue_above, sunlit):
    """Conditions that glacier must meet beside the threshold."""
    if blue_above is not None:
        yield layer(scene, "blue") > blue_above
    if sunlit is not None:
        yield sunlit


def default_threshold(image, name):
    """The published threshold of a layer, or an error that asks for one."""
    if image.attrs.get("kind") == "ratio" and image.attrs.get("radiometry") != "dn":
        return RATIO_THRESHOLD
    row = (
        find_index(name)
        if "/" not in name and image.attrs.get("kind") in ("index", "normalized_difference")
        else None
    )
    if row is not None and row.threshold is not None:
        return row.threshold
    raise GlacierlabError(
        f"{name!r} on {image.attrs.get('radiometry', 'unknown')!r} values has no published threshold: "
        "give one, or 'otsu' or 'li'."
    )
