"""From stored numbers to reflectance, exactly once."""

import math
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
SCALE_KEYS = ("gain", "add", "k1", "k2")
FLAGS = ("qa", "truth", "class_map")
LAYERS = ("elevation", "coherence", "phase")


def kind_of(name):
    """What a variable's name makes of it: "reflective", "thermal", "flags" or "layer"."""
    if name in FLAGS:
        return "flags"
    if name in LAYERS:
        return "layer"
    return "thermal" if name.startswith("lwir") else "reflective"


def decode(stored, nodata=None, gain=1.0, add=0.0):
    """`gain * stored + add` as float32, NaN where `stored` (..., y, x) is `nodata`; NumPy in and out."""
    out = np.empty(stored.shape, np.float32)
    rows = max(1, CACHED_PIXELS // stored.shape[-1])
    if nodata is not None and math.isnan(nodata):
        nodata = None
    elif nodata is not None and stored.dtype.kind in "iu":
        nodata = int(nodata)  # compared as it is: a number that the type cannot hold is in no pixel
    for top in range(0, stored.shape[-2], rows):  # strips that stay in the processor's cache
        strip, part = stored[..., top : top + rows, :], out[..., top : top + rows, :]
        np.multiply(strip, np.float32(gain), out=part, casting="same_kind")
        if add:
            part += np.float32(add)
        if nodata is not None:
            np.copyto(part, np.float32(np.nan), where=strip == nodata)
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
        keep_attrs=True,  # the CRS is in a coordinate's
    )
    value.attrs = {}
    if "k1" in scale:
        return brightness_temperature(value, scale["k1"], scale["k2"])
    return value


def per_band(value, name):
    """The band's own number of one number for all or a dict; None where there is none."""
    return value if value is None or isinstance(value, Number) else value.get(name)


def scale_by_hand(scale, name, gain, offset):
    """A band's scale with the caller's gain and offset [DN] in place of its own, where there are any."""
    gain, offset = per_band(gain, name), per_band(offset, name)
    if gain is None and offset is None:
        return scale
    if gain is None and not scale:
        raise RadiometryError(f"offset= alone does not scale {name!r}: reflectance = gain * (DN + offset).")
    own = {"gain": 1.0, "add": 0.0} | scale
    gain = own["gain"] if gain is None else gain
    offset = own["add"] / own["gain"] if offset is None else offset
    return {"gain": gain, "add": gain * offset}


def to_reflectance(scene, gain=None, offset=None, radiometry=None):
    """Reflectance of a scene that holds digital numbers; a scene of reflectance comes back as it is.

    Parameters
    ----------
    scene : xarray.Dataset
        Digital numbers (DN), as `open_scene(..., radiometry="dn")` gives them.
    gain : float or dict of float, optional
        Reflectance per DN, one number or one a band. Needed where the file did not say.
    offset : float or dict of float, optional
        Added to the DN before the gain: reflectance = gain * (DN + offset); by default what the file said.
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

    Examples
    --------
    >>> import glacierlab as gl
    >>> counts = gl.synthetic_scene(seed=6, shape=(64, 64), radiometry="dn")
    >>> scene = to_reflectance(counts)
    >>> counts.attrs["radiometry"], scene.attrs["radiometry"]
    ('dn', 'sr')
    >>> round(float(counts.red.median())), round(float(scene.red.median()), 2)
    (12300, 0.14)
    """
    if scene.attrs.get("radiometry") != "dn":
        return scene
    out = {}
    for name, band in scene.data_vars.items():
        kind = band.attrs.get("kind", kind_of(name))
        if band.attrs.get("units", "DN") != "DN" or kind not in ("reflective", "thermal"):
            continue
        scale = {key: band.attrs[key] for key in SCALE_KEYS if key in band.attrs}
        if kind == "reflective":
            scale = scale_by_hand(scale, name, gain, offset)
        elif not scale:
            continue  # no argument makes kelvin of these
        if not scale:
            raise RadiometryError(
                f"Nothing says how the numbers of {name!r} become reflectance. "
                "Give gain= (and offset=): reflectance = gain * (DN + offset)."
            )
        kept = {key: value for key, value in band.attrs.items() if key not in SCALE_KEYS}
        out[name] = apply_decode(band, scale)
        out[name].attrs = kept | physical_attrs({"kind": kind}, scale)
    scene = scene.assign(out)
    told = scene.attrs.pop("reflectance_radiometry", "unknown")
    scene.attrs["radiometry"] = radiometry or told
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
