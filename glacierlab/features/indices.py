"""Band ratios and spectral indices: formulas of the tables and of spyndex, in one pass each."""

import ast
import re

import numexpr
import numpy as np
import xarray as xr

from ..errors import UnknownNameError, require_bands
from ..io.radiometry import FLAGS, require_reflectance
from ..tables import INDICES, SpectralIndex, lookup

SPYNDEX_BANDS = {
    "A": "coastal", "B": "blue", "G": "green", "G1": "green05", "Y": "yellow", "R": "red",
    "RE1": "rededge071", "RE2": "rededge075", "RE3": "rededge078", "N": "nir", "N2": "nir08", "WV": "nir09",
    "S1": "swir16", "S2": "swir22", "T": "lwir", "T1": "lwir11", "T2": "lwir12",
}  # fmt: skip
NORMALIZED_DIFFERENCE = re.compile(r"\(?\((\w+) ?- ?(\w+)\) ?/ ?\(\1 ?\+ ?\2\)\)?")
SMALLEST_DENOMINATOR = 1e-10


def guarded(formula):
    """The formula, NaN where it all but divides by 0."""
    for divisor in divisors(formula):
        formula = f"where(abs({divisor}) < least, nan, {formula})"
    return formula


def divisors(formula):
    """What a formula divides by, as formulas; numbers left out."""
    divisions = [n.right for n in ast.walk(ast.parse(formula)) if isinstance(n, ast.BinOp)
                 and isinstance(n.op, ast.Div) and not isinstance(n.right, ast.Constant)]  # fmt: skip
    return list(dict.fromkeys(ast.unparse(node) for node in divisions))


def evaluate(formula, bands, constants=None):
    """A formula on float32 bands, in one pass: xarray in, xarray out, lazy if the bands are."""
    numbers = {"nan": np.nan, "least": SMALLEST_DENOMINATOR, **(constants or {})}
    numbers = {name: np.float32(value) for name, value in numbers.items()}  # a double would widen all
    names = list(bands)  # the bands themselves must not travel with the kernel

    def kernel(*arrays):
        out = np.empty(np.broadcast_shapes(*(a.shape for a in arrays)), np.float32)
        local = dict(zip(names, arrays, strict=True)) | numbers
        return numexpr.evaluate(formula, local, global_dict={}, out=out, casting="same_kind")

    return pixelwise(kernel, bands.values())


def normalized_difference(a, b):
    """(a - b) / (a + b) of two arrays, float32; NaN where both are <= 0, or all but cancel."""
    from ._kernels import indices as kernels  # numba: a ratio need not wait for it

    wide = np.result_type(a, b, np.float32)
    a, b = np.broadcast_arrays(a.astype(wide, copy=False), b.astype(wide, copy=False))
    out = np.empty(a.shape, np.float32)
    least = np.float32(SMALLEST_DENOMINATOR)
    kernels.normalized_difference(a.reshape(-1), b.reshape(-1), least, out.reshape(-1))
    return out


def pixelwise(kernel, bands):
    """A kernel of arrays on bands, block by block, without their attributes."""
    options = dict(dask="parallelized", output_dtypes=[np.float32])
    values = xr.apply_ufunc(kernel, *bands, keep_attrs=True, **options)  # the CRS is in attributes
    values.attrs = {}
    return values


def find_index(name):
    """The `SpectralIndex` of a name: a row of `tables.INDICES`, or an entry of spyndex's catalog."""
    own = {alias.lower(): key for key, row in INDICES.items() for alias in (*row.spyndex, key)}
    if name.lower() in own:
        return INDICES[own[name.lower()]]
    import spyndex

    by_lower = {short.lower(): short for short in spyndex.indices}
    short = name if name in spyndex.indices else by_lower.get(name.lower())
    if short is None:
        lookup({**dict.fromkeys(spyndex.indices), **INDICES}, name, kind="index")
    return from_spyndex(spyndex.indices[short], spyndex.constants)


def from_spyndex(entry, constants):
    """A spyndex entry with its letters as common band names and its default constants."""
    formula = re.sub(r"[A-Za-z_]\w*", lambda found: SPYNDEX_BANDS.get(found[0], found[0]), entry.formula)
    used = set(re.findall(r"[A-Za-z_]\w*", entry.formula)) & set(constants)
    defaults = {name: constants[name].default for name in used}
    known = {name: float(value) for name, value in defaults.items() if value is not None}
    return SpectralIndex(entry.long_name, formula, f"spyndex {entry.short_name}: {entry.reference}", known)


def index(scene, name):
    """Compute a spectral index from a scene; lazy if the scene is.

    Parameters
    ----------
    scene : xarray.Dataset
        Reflectance, one variable a band, dims (..., y, x).
    name : str
        A key of `tables.INDICES`, such as "ndsi", or a short name of spyndex's catalog, such as "NDVI".
        Where both have it the table's form counts: spyndex's AWEInsh, and its constants in SAVI and NDWIns,
        differ from the published ones.

    Returns
    -------
    xarray.DataArray
        The index [1], float32, dims as the scene's; NaN where a band is missing or the formula undefined
        (a normalized difference where both bands are <= 0).

    Raises
    ------
    UnknownNameError, MissingBandError, RadiometryError

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> ndsi = index(scene, "ndsi")
    >>> ndsi.attrs["long_name"]
    'normalized difference snow index'
    >>> [round(float(ndsi.where(scene.truth == code).median()), 1) for code in (0, 1)]  # ground, clean ice
    [-0.2, 0.9]
    """
    row = find_index(name)
    bands = require_bands(scene, row.bands, needed_by=name)
    require_reflectance(scene, needed_by=name)
    if pair := NORMALIZED_DIFFERENCE.fullmatch(row.formula):
        kind = "normalized_difference"
        values = pixelwise(normalized_difference, [bands[name] for name in pair.groups()])
    else:
        kind, values = "index", evaluate(guarded(row.formula), bands, row.constants)
    attrs = {
        "long_name": row.long_name,
        "units": "1",
        "kind": kind,
        "formula": row.formula,
        "source": row.source,
    }
    return values.rename(name.lower()).assign_attrs(attrs | carried(scene))


def ratio(scene, numerator, denominator, floor=None):
    """Divide one band by another, such as red by swir16; lazy if the scene is.

    Parameters
    ----------
    scene : xarray.Dataset
        Reflectance or digital numbers; the result records which, for a threshold found on one does not
        carry over to the other.
    numerator, denominator : str
        Band names.
    floor : float, optional
        Smallest denominator, assumption: one step of the band's scale (1e-4 for HLS and Sentinel-2
        reflectance, 1 for digital numbers). Shadowed ice often has a SWIR reflectance at or below 0; floored,
        its ratio is large instead of undefined.

    Returns
    -------
    xarray.DataArray
        The ratio [1], float32; NaN where either band is.

    Raises
    ------
    MissingBandError

    Notes
    -----
    Paul et al. 2015, doi:10.1016/j.rse.2013.07.043: clean ice where red/SWIR exceeds
    2.0 ± 0.5 in reflectance.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> bright = ratio(scene, "red", "swir16") > 2
    >>> [round(float(bright.where(scene.truth == code).mean()), 1) for code in (0, 1)]  # ground, clean ice
    [0.0, 1.0]
    """
    name = f"{numerator}/{denominator}"
    top, bottom = require_bands(scene, [numerator, denominator], needed_by=name).values()
    floor = floor_of(scene, denominator) if floor is None else floor
    floored = "top / where(bottom < least, least, bottom)"
    values = evaluate(floored, dict(top=top, bottom=bottom), dict(least=floor))
    attrs = {"long_name": f"{numerator} / {denominator}", "units": "1", "kind": "ratio", "floor": floor}
    return values.rename(f"{numerator}_{denominator}_ratio").assign_attrs(attrs | carried(scene))


def floor_of(scene, band):
    """The smallest denominator that a band makes by default."""
    usual = 1.0 if scene.attrs.get("radiometry") == "dn" else 1e-4
    return float(scene[band].attrs.get("scale_step", usual))


def carried(scene):
    """What a layer keeps of its scene's attributes."""
    known = {key: scene.attrs[key] for key in ("datetime", "sensor") if key in scene.attrs}
    return {"radiometry": scene.attrs.get("radiometry", "unknown")} | known


def layer(scene, name):
    """A layer by name: a ratio ("red/swir16"), a band, or an index ("ndsi"); never flags or the truth."""
    if name in FLAGS:
        raise UnknownNameError(f"{name!r} is no layer to map from: take a band, a ratio or an index.")
    if "/" in name:
        return ratio(scene, *name.split("/", 1))
    return scene[name] if name in scene else index(scene, name)
