"""Opening scenes: one function for products, GeoTIFFs, NetCDF and Zarr."""

import warnings
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import rasterio
import xarray as xr
from rasterio.windows import Window

from ..errors import DataWarning, GridError, MissingBandError, RadiometryError, SceneError, UnknownNameError
from ..tables import SENSORS, band_name, sensor_key
from .bands import one_line, open_bands
from .files import is_hls, read_files, read_hls, read_raster
from .landsat import read_landsat
from .listing import Listing, list_files
from .radiometry import AS_THEY_ARE, kind_of, scale_by_hand, to_reflectance
from .sentinel2 import METADATA, read_safe

ARCHIVES = (".tar", ".zip", ".tgz", ".tar.gz")
MAX_NEGATIVE_SHARE = 0.05  # assumption: above it, an offset was probably subtracted twice


def open_scene(
    path,
    *,
    bands=None,
    sensor=None,
    radiometry=None,
    resolution=None,
    chunks=None,
    gain=None,
    offset="metadata",
):
    """Open a satellite scene as reflectance on one grid.

    Parameters
    ----------
    path : path or list of paths
        A Landsat Collection 2 folder or tar (Level 1 or 2), a Sentinel-2 SAFE folder or zip (L1C or L2A),
        the metadata file in either folder, an HLS folder, one GeoTIFF with many bands, NetCDF, Zarr, or a
        folder or list of single-band files.
    bands : list of str or dict, optional
        Which bands to open, by common or native name; or a dict from common name to the band's number in
        the file, its variable, or its file ("nir.tif", "rgb.tif:2").
    sensor : str, optional
        A key of `tables.SENSORS`, a platform or a family ("landsat-8", "sentinel-2"), where the file does
        not say. It turns native band names into common ones.
    radiometry : {"dn", "toa", "sr"}, optional
        "dn" keeps digital numbers. "toa" or "sr" says what the file's numbers are where it does not.
    resolution : float, optional
        Pixel size in units of the CRS; by default that of the finest band opened, the
        panchromatic one aside. Reflectance is resampled
        bilinearly, averaged where pixels grow; flags take the nearest.
    chunks : int, dict or "auto", optional
        Open lazily in dask chunks; by default everything is read now.
    gain : float or dict of float, optional
        Reflectance per DN where the file does not say (ASTER, Gaofen-6, PlanetScope):
        reflectance = gain * (DN + offset).
    offset : {"metadata", "baseline"} or float or dict of float
        Added to the DN before the gain. For Sentinel-2 the metadata say it, or the processing baseline:
        -1000 from 04.00 on, whatever the date (ESA). A number settles it by hand: -1000, or 0 where a
        catalog has removed it.

    Returns
    -------
    xarray.Dataset
        One float32 variable a band, dims (y, x), NaN where there is no data, thermal bands in kelvin;
        `elevation` [m] and `qa` (integer flags) where the files hold them. Attributes: `sensor`,
        `radiometry` ("dn", "toa", "sr", "unknown"), `datetime`, `sun_elevation`, `sun_azimuth` [degrees],
        `processing_baseline`, `title`. No value is clipped.

    Raises
    ------
    SceneError, GridError, MissingBandError, UnknownNameError, RadiometryError

    Warns
    -----
    DataWarning
        The file does not say whether its numbers are DN, scaled or offset; the message has the evidence.

    Examples
    --------
    >>> import tempfile
    >>> import glacierlab as gl
    >>> made = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     scene = open_scene(gl.write_raster(made[["red", "nir", "swir16"]], f"{folder}/scene.tif"))
    >>> list(scene.data_vars), scene.attrs["radiometry"]
    (['red', 'nir', 'swir16'], 'sr')
    """
    if radiometry not in (None, "dn", "toa", "sr"):
        raise RadiometryError(f"radiometry={radiometry!r} is none of 'dn', 'toa', 'sr'.")
    if isinstance(offset, str) and offset not in ("metadata", "baseline"):
        raise RadiometryError(f"offset={offset!r} is neither 'metadata', 'baseline' nor a number.")
    sensor = sensor_key(sensor) if sensor else None
    bands = [bands] if isinstance(bands, str) else bands
    if not isinstance(path, (list, tuple)) and is_array_store(Path(path)):
        if resolution is not None:
            raise GridError(f"{path} is not resampled on opening: leave resolution= out.")
        scene = open_array_store(Path(path), bands, sensor, chunks)
        scene = settle_store(scene, path, radiometry, gain, offset)
    else:
        files = choose(find_bands(path, bands, sensor, offset), bands, path)
        files = settle_scale(files, path, radiometry, gain, offset)
        keep_dn = files.attrs["radiometry"] == "dn"
        grid = dict(resolution=resolution, mixed_pixels=files.mixed_pixels)
        scene = open_bands(files.bands, chunks=chunks, keep_dn=keep_dn, **grid)
        scene.attrs = files.attrs
    require_data(scene, path)
    return scene


def require_data(scene, path):
    """SceneError where a scene in memory has no data at all."""
    kinds = {name: v.attrs.get("kind", kind_of(name)) for name, v in scene.data_vars.items()}
    measured = [scene[name] for name, kind in kinds.items() if kind in ("reflective", "thermal")]
    if measured and all(v.chunks is None and np.isnan(v).all() for v in measured):
        raise SceneError(f"{path}: every pixel is nodata. Check the file, or its nodata value.")


def find_bands(path, bands, sensor, offset):
    """The `SceneFiles` of a path, by the product's own reader."""
    bands = bands if isinstance(bands, dict) else None
    if isinstance(path, (list, tuple)):
        paths = [existing(p) for p in path]
        hls = bands is None and is_hls([p.name for p in paths])
        found = read_hls(Listing(Path(), tuple(map(str, paths)))) if hls else read_files(paths, sensor, bands)
    elif existing(path).is_dir() or str(path).lower().endswith(ARCHIVES):
        found = read_product(existing(path), bands, sensor, offset)
    else:
        found = read_raster(existing(path), sensor, bands)
    require_same_sensor(path, sensor, found.attrs.get("sensor"))
    return found


def read_product(path, bands, sensor, offset):
    """The `SceneFiles` of a folder or archive."""
    listing = list_files(path)
    if bands is not None:
        inside = {name: listing.gdal_path(str(spec)) for name, spec in bands.items()}
        return read_files([], sensor, inside)
    scenes = listing.find("_MTL.txt", *METADATA)
    if len(scenes) > 1:
        raise SceneError(f"{path} holds {len(scenes)} scenes ({', '.join(scenes)}): open one at a time.")
    if scenes:
        return read_landsat(listing) if listing.find("_MTL.txt") else read_safe(listing, offset)
    if is_hls(listing.files):
        return read_hls(listing)
    if rasters := listing.find(".tif", ".tiff", ".jp2"):
        found = read_files([listing.gdal_path(name) for name in rasters], sensor, None)
        return replace(found, attrs=found.attrs | {"title": path.name})
    raise SceneError(
        f"{path} holds no scene: {len(listing.files)} files, but no *_MTL.txt (Landsat), MTD_MSIL*.xml "
        "(Sentinel-2), HLS bands or GeoTIFFs. Give the folder that holds them."
    )


def require_same_sensor(path, asked, own):
    """SceneError where a file is of another sensor than the caller says."""
    if asked and own and not set(SENSORS[asked].platforms) & set(SENSORS[own].platforms):
        raise SceneError(f"{path} is of {own!r} by its metadata, not {asked!r}. Leave sensor= out.")


def existing(path):
    """The path, if something is there; a product's folder for its metadata file."""
    if "://" in str(path):
        raise SceneError(f"{path} is an address, not a file: download it, or write /vsicurl/ before it.")
    path = Path(path).expanduser()
    if path.name.endswith("_MTL.txt") or path.name in METADATA:
        path = path.parent
    if not path.exists() and not str(path).startswith("/vsi"):
        raise SceneError(f"{path} does not exist. Check the spelling and the folder you are in.")
    return path


def choose(files, bands, path):
    """The `SceneFiles` with the bands asked for, in that order."""
    names = [source.name for source in files.bands]
    if twice := {name for name in names if names.count(name) > 1}:
        raise SceneError(
            f"{path}: several files give {sorted(twice)}. Open one scene at a time, or say which file to "
            "take: bands={name: file}."
        )
    if bands is not None and not isinstance(bands, dict):
        by_name = dict(zip(names, files.bands, strict=True))
        asked = {n: n if n in by_name else band_name(n, files.attrs.get("sensor")) for n in bands}
        if missing := [name for name, known in asked.items() if known not in by_name]:
            raise MissingBandError(f"{path} lacks {missing}; it has {names}.")
        files = replace(files, bands=tuple(by_name[known] for known in asked.values()))
    if not files.bands:
        raise SceneError(f"{path}: no band images to open. Check the folder (is it complete?) and bands=.")
    return files


def settle_scale(files, path, radiometry, gain, offset):
    """The `SceneFiles` with each band's scale and the scene's radiometry decided, or a warning."""
    attrs, told = dict(files.attrs), files.attrs.get("radiometry")
    level = attrs.pop("reflectance_radiometry", None if told == "dn" else told)
    require_same_radiometry(path, radiometry, level)
    if level in ("toa", "sr") and any("step" in source.scale for source in files.bands):
        require_unscaled(path, radiometry, gain)
    by_hand = None if isinstance(offset, str) else offset
    bands = [
        replace(s, scale=scale_by_hand(s.scale, s.name, gain, by_hand)) if s.kind == "reflective" else s
        for s in files.bands
    ]
    undecided = [s for s in bands if s.kind == "reflective" and not s.scale]
    if radiometry == "dn" or (told == "dn" and radiometry is None and gain is None):
        attrs |= {"radiometry": "dn"} | ({"reflectance_radiometry": level} if level else {})
        return replace(files, bands=tuple(bands), attrs=attrs)
    if undecided and told == "dn":
        raise RadiometryError(f"{path} holds digital numbers by its metadata: give gain= (and offset=).")
    if undecided and radiometry is None and level is None:
        attrs["radiometry"] = judge_numbers({s.name: peek(s) for s in undecided}, path)
    else:
        attrs["radiometry"] = radiometry or level or "unknown"
    if attrs["radiometry"] != "dn":
        bands = [replace(s, scale=AS_THEY_ARE) if s in undecided else s for s in bands]
        if not attrs.get("sensor", "").startswith("landsat"):  # nobody removes Landsat's offset
            warn_of_negatives([s for s in bands if s.kind == "reflective" and s.scale["add"] < 0], path)
    return replace(files, bands=tuple(bands), attrs=attrs)


def require_same_radiometry(path, asked, level):
    """RadiometryError where a file's reflectance is another than the caller says."""
    if {asked, level} == {"toa", "sr"}:
        raise RadiometryError(f"{path} holds {level!r} reflectance by its metadata; {asked!r} is not in it.")


def require_unscaled(path, radiometry, gain):
    """RadiometryError where the caller wants a file of reflectance as digital numbers, or scaled again."""
    if radiometry == "dn" or gain is not None:
        raise RadiometryError(f"{path} holds reflectance already: leave radiometry='dn' and gain= out.")


def name_of(path):
    """A path's last part, or the first path's of a list."""
    return Path(path[0] if isinstance(path, list | tuple) else path).name


def peek(source, side=256):
    """Some stored numbers of a band (float64, nodata left out), without reading it all.

    An overview where there is one (JPEG 2000 always has), else windows in a 4 x 4 pattern.
    """
    try:
        with rasterio.open(source.path) as file:
            nodata = file.nodata if file.nodata is not None else source.nodata
            if max(file.shape) <= 4 * side or file.overviews(source.index):
                shape = tuple(min(side, n) for n in file.shape)
                values = file.read(source.index, out_shape=shape).astype(float).ravel()
            else:
                rows, columns = (np.linspace(0, n - side // 4, 4).astype(int) for n in file.shape)
                windows = [Window(x, y, side // 4, side // 4) for y in rows for x in columns]
                values = np.stack([file.read(source.index, window=w).astype(float) for w in windows]).ravel()
    except rasterio.errors.RasterioError as error:
        raise SceneError(f"{source.where} is damaged or cut short: {one_line(error)}") from error
    return values[np.isfinite(values) & (values != nodata)]


def judge_numbers(samples, path):
    """ "unknown" or "dn" for bands whose file says nothing, with a warning that holds the evidence.

    `samples` has some finite stored numbers by band.
    """
    evidence, largest = [], 0.0
    for name, values in samples.items():
        if not values.size:
            continue
        low, middle, high = np.percentile(values, [1, 50, 99])
        largest = max(largest, high)
        dark = f", {np.mean(values < 0.05 * high):.0%} dark" if name.startswith("swir") else ""
        evidence.append(f"{name} {low:g}/{middle:g}/{high:g}, {np.mean(values < 0):.0%} negative{dark}")
    if not evidence:
        return "unknown"
    state, taken = ("unknown", "reflectance as they are") if largest <= 2 else ("dn", "digital numbers")
    warnings.warn(
        f"{name_of(path)} does not say how its numbers become reflectance "
        f"(percentiles 1/50/99: {'; '.join(evidence)}). They are taken as {taken}. Settle it: "
        "radiometry='dn' to keep digital numbers, radiometry='sr' or 'toa' if they are reflectance, "
        "or gain= and offset= for reflectance = gain * (DN + offset).",
        DataWarning,
        stacklevel=4,
    )
    return state


def warn_of_negatives(sources, path):
    """Warn where an offset makes more than 5 % of a band's pixels negative."""
    for source in sources:
        values = peek(source)
        share = np.mean(values * source.scale["gain"] + source.scale["add"] < 0) if values.size else 0.0
        if share > MAX_NEGATIVE_SHARE:
            step = source.scale["add"] / source.scale["gain"]
            shown = "/".join(f"{v:g}" for v in np.percentile(values, [1, 50, 99]))
            warnings.warn(
                f"{name_of(path)}: with an offset of {step:g} DN, {share:.0%} of {source.name!r} is negative "
                f"(percentiles 1/50/99 of DN: {shown}). "
                "If the offset was removed already, open with offset=0.",
                DataWarning,
                stacklevel=4,
            )
            return


def is_array_store(path):
    """Whether a path is NetCDF or Zarr."""
    zarr = path.is_dir() and any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zmetadata"))
    return zarr or (path.suffix.lower() in (".nc", ".nc4", ".h5", ".zarr") and path.exists())


def open_array_store(path, bands, sensor, chunks):
    """A Dataset of NetCDF or Zarr with bands as float32 variables on (..., y, x)."""
    engine = {"engine": "zarr", "consolidated": False} if path.is_dir() else {}
    try:
        with xr.open_dataset(path, chunks=chunks, decode_coords="all", **engine) as file:
            scene = file.load() if chunks is None else file
    except (OSError, ValueError, KeyError) as error:
        raise SceneError(f"{path} cannot be read as NetCDF or Zarr: {one_line(error)}") from error
    spatial = {"lat": "y", "latitude": "y", "lon": "x", "longitude": "x"}
    scene = scene.rename({old: new for old, new in spatial.items() if old in scene.dims})
    scene = scene.set_coords([name for name, v in scene.data_vars.items() if not v.dims])  # grid mappings
    scene = scene[[name for name, v in scene.data_vars.items() if {"y", "x"} <= set(v.dims)]]
    own = scene.attrs.pop("sensor", None)
    with suppress(UnknownNameError):  # another program's attribute may be of that name
        own = own and sensor_key(own)
        require_same_sensor(path, sensor, own)
        sensor = own or sensor
    scene.attrs |= {"sensor": sensor} if sensor else {}
    common = partial(band_name, sensor=sensor)
    asked = {common(variable): variable for variable in scene.data_vars}
    if isinstance(bands, dict):
        asked = {common(name): variable for name, variable in bands.items()}
    elif bands is not None:
        asked = {common(name): asked.get(common(name), name) for name in bands}
    if missing := [variable for variable in asked.values() if variable not in scene]:
        raise MissingBandError(f"{path} lacks {missing}; it has {list(scene.data_vars)}.")
    if not asked:
        raise SceneError(f"{path} has no variables on y and x (or lat and lon): not a scene.")
    scene = scene[list(asked.values())].rename({variable: name for name, variable in asked.items()})
    floats = {name: v.astype("float32") for name, v in scene.data_vars.items() if kind_of(name) != "flags"}
    return scene.assign(floats)


def settle_store(scene, path, radiometry, gain, offset):
    """The Dataset of an array store with its radiometry decided, as `settle_scale` does for files."""
    told = scene.attrs.get("radiometry")
    level = told if told in ("toa", "sr") else scene.attrs.get("reflectance_radiometry")
    require_same_radiometry(path, radiometry, level)
    if told in ("toa", "sr"):
        require_unscaled(path, radiometry, gain)
        return scene
    if radiometry == "dn" and any(
        {"scale_factor", "add_offset"} & set(v.encoding) for v in scene.data_vars.values()
    ):
        raise RadiometryError(
            f"{path} is packed, and xarray has unpacked it: its numbers are no DN any more."
        )
    by_hand = None if isinstance(offset, str) else offset
    if radiometry != "dn" and (gain is not None or by_hand is not None or (told == "dn" and radiometry)):
        return to_reflectance(scene.assign_attrs(radiometry="dn"), gain, by_hand, radiometry)
    if radiometry is None and told not in ("dn", "unknown"):
        measured = {name: v for name, v in scene.data_vars.items() if kind_of(name) == "reflective"}
        radiometry = judge_numbers({name: thinned(v) for name, v in measured.items()}, path)
    return scene.assign_attrs(radiometry=radiometry or told)


def thinned(variable, side=256):
    """Some finite values of a variable, without computing it all."""
    steps = {dim: slice(None, None, -(-variable.sizes[dim] // side)) for dim in ("y", "x")}
    values = variable.isel(steps).values
    return values[np.isfinite(values)]
