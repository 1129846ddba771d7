"""From stored numbers to reflectance, exactly once."""

from numbers import Number

import numpy as np
import xarray as xr

from ..errors import RadiometryError

CACHED_PIXELS = 2**16
AS_THEY_ARE = {
    "gain": 1.0,
    "add": 0.0,
    "step": 1e-4,
}  # of reflectance stored as such; the step is an assumption


def decode(stored, nodata=None, gain=1.0, add=0.0):
    """`gain * stored + add` as float32, NaN where `stored` (..., y, x) is `nodata`; NumPy in and out."""
    out = np.empty(stored.shape, np.float32)
    rows = max(1, CACHED_PIXELS // stored.shape[-1])
    for top in range(0, stored.shape[-2], rows):  # strips that stay in the processor's cache
        strip, part = stored[..., top : top + rows, :], out[..., top : top + rows, :]
        np.multiply(strip, np.float32(gain), out=part, casting="same_kind")
        if add:
            part += np.float32(add)
        if nodata is not None and not np.isnan(nodata):
            np.copyto(part, np.float32(np.nan), where=strip == stored.dtype.type(nodata))
    return out


def brightness_temperature(radiance, k1, k2):
    """Planck's inversion [K] of spectral radiance with a Landsat band's K1 and K2."""
    return (k2 / np.log(k1 / radiance.where(radiance > 0) + 1)).astype("float32")


def apply_decode(stored, scale, nodata=None):
    """Physical values of stored ones by a `scale` (gain, add, k1, k2); lazy if they are."""
    gain, add = scale.get("gain", 1.0), scale.get("add", 0.0)
    value = xr.apply_ufunc(
        decode,
        stored,
        kwargs=dict(nodata=nodata, gain=gain, add=add),
        dask="parallelized",
        output_dtypes=[np.float32],
    )
    if "k1" in scale:
        return brightness_temperature(value, scale["k1"], scale["k2"])
    return value


def per_band(value, name):
    """The band's own number of one number for all or a dict; None where there is none."""
    return value if value is None or isinstance(value, Number) else value.get(name)


def to_reflectance(scene, gain=None, offset=0.0, radiometry=None):
    """Reflectance of a scene that holds digital numbers; a scene of reflectance comes back as it is.

    Parameters
    ----------
    scene : xarray.Dataset
        Digital numbers (DN), as `open_scene(..., radiometry="dn")` gives them.
    gain : float or dict of float, optional
        Reflectance per DN, one number or one a band. Needed where the file did not say.
    offset : float or dict of float, optional
        Added to the DN before the gain: reflectance = gain * (DN + offset).
    radiometry : {"toa", "sr"}, optional
        What the result is; by default what the file said.

    Returns
    -------
    xarray.Dataset
        The scene as reflectance, thermal bands in kelvin; lazy if the scene is. Its `radiometry` is
        "toa" or "sr", or "unknown" where neither file nor caller says which.

    Raises
    ------
    RadiometryError
        Nothing says how the numbers become reflectance.
    """
    if scene.attrs.get("radiometry") != "dn":
        return scene
    out = {}
    for name, band in scene.data_vars.items():
        if band.attrs.get("units") != "DN":
            continue  # elevation, qa and the like
        scale = {key: band.attrs[key] for key in ("gain", "add", "k1", "k2") if key in band.attrs}
        if (given := per_band(gain, name)) is not None:
            scale = dict(gain=given, add=given * (per_band(offset, name) or 0.0))
        if not scale:
            raise RadiometryError(
                f"Nothing says how the numbers of {name!r} become reflectance. "
                "Give gain= (and offset=): reflectance = gain * (DN + offset)."
            )
        kept = {key: value for key, value in band.attrs.items() if key not in ("gain", "add", "k1", "k2")}
        out[name] = apply_decode(band, scale).assign_attrs(kept | physical_attrs(band.attrs, scale))
    scene = scene.assign(out)
    scene.attrs["radiometry"] = radiometry or scene.attrs.pop("reflectance_radiometry", "unknown")
    return scene


def physical_attrs(attrs, scale):
    """Units of a decoded band, and `scale_step`, the smallest difference that its stored numbers show."""
    thermal = attrs.get("kind") == "thermal"
    return dict(units="K") if thermal else dict(units="1", scale_step=scale.get("step", abs(scale["gain"])))


def require_reflectance(scene, needed_by):
    """RadiometryError where the scene is known to hold digital numbers."""
    if scene.attrs.get("radiometry") == "dn":
        raise RadiometryError(
            f"{needed_by!r} needs reflectance, but the scene holds digital numbers. "
            "Use scene.glacier.to_reflectance() (with gain= and offset= where the file does not say)."
        )
