"""Opening scenes: one function for products, GeoTIFFs, NetCDF and Zarr."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import rasterio
import xarray as xr

from ..errors import DataWarning, MissingBandError, RadiometryError, SceneError
from ..tables import SENSORS, band_name, sensor_key
from .bands import SceneFiles, one_line, open_bands
from .files import is_hls, read_files, read_hls, read_raster
from .landsat import read_landsat
from .listing import list_files
from .radiometry import AS_THEY_ARE, per_band
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
        an HLS folder, one GeoTIFF with many bands, NetCDF, Zarr, or a folder or list of single-band files.
    bands : list of str or dict, optional
        Which bands to open, by common or native name; or a dict from common name to the band's number in
        the file, its variable, or its file ("nir.tif", "rgb.tif:2").
    sensor : str, optional
        A key of `tables.SENSORS`, a platform or a family ("landsat-8", "sentinel-2"), where the file does
        not say. It turns native band names into common ones.
    radiometry : {"dn", "toa", "sr"}, optional
        "dn" keeps digital numbers. "toa" or "sr" says what the file's numbers are where it does not.
    resolution : float, optional
        Pixel size in units of the CRS; by default that of the finest band opened. Reflectance is resampled
        bilinearly, averaged where pixels grow; flags take the nearest.
    chunks : int, dict or "auto", optional
        Open lazily in dask chunks; by default everything is read now.
    gain : float or dict of float, optional
        Reflectance per DN where the file does not say (ASTER, Gaofen-6, PlanetScope):
        reflectance = gain * (DN + offset).
    offset : {"metadata", "baseline"} or float or dict of float
        Added to the DN before the gain. For Sentinel-2 the metadata say it, or the processing baseline:
        -1000 from 04.00 on, whatever the date (ESA). A number settles it by hand: -1000, or 0 where a
        catalogue has removed it.

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
    """
    if radiometry not in (None, "dn", "toa", "sr"):
        raise RadiometryError(f"radiometry={radiometry!r} is none of 'dn', 'toa', 'sr'.")
    sensor = sensor_key(sensor) if sensor else None
    if not isinstance(path, (list, tuple)) and is_array_store(Path(path)):
        scene = open_array_store(Path(path), bands, chunks)
        return with_scene_attrs(scene, sensor, radiometry)
    files = find_bands(path, bands, sensor, offset)
    files = settle_scale(choose(files, bands, path), path, radiometry, gain, offset)
    scene = open_bands(
        files.bands,
        resolution=resolution,
        chunks=chunks,
        keep_dn=radiometry == "dn",
        mixed_pixels=files.mixed_pixels,
    )
    scene.attrs = files.attrs
    floats = [v for v in scene.data_vars.values() if v.dtype.kind == "f"]
    if not chunks and floats and all(np.isnan(v).all() for v in floats):
        raise SceneError(f"{path}: every pixel is nodata. Check the file, or its nodata value.")
    return scene


def find_bands(path, bands, sensor, offset):
    """The `SceneFiles` of a path, by the product's own reader."""
    if isinstance(path, (list, tuple)):
        return read_files([existing(p) for p in path], sensor, bands if isinstance(bands, dict) else None)
    path = existing(path)
    if path.is_dir() or path.name.lower().endswith(ARCHIVES):
        return read_product(path, bands, sensor, offset)
    return read_raster(path, sensor, bands if isinstance(bands, dict) else None)


def read_product(path, bands, sensor, offset):
    """The `SceneFiles` of a folder or archive."""
    listing = list_files(path)
    if isinstance(bands, dict):
        inside = {name: listing.gdal_path(spec) for name, spec in bands.items()}
        return read_files([], sensor, inside)
    if listing.find("_MTL.txt"):
        found = read_landsat(listing)
    elif any(listing.find(name) for name in METADATA):
        found = read_safe(listing, offset)
    elif is_hls(listing.files):
        found = read_hls(listing)
    elif rasters := listing.find(".tif") + listing.find(".jp2"):
        found = read_files([listing.gdal_path(name) for name in rasters], sensor, None)
    else:
        raise SceneError(
            f"{path} holds no scene: {len(listing.files)} files, but no *_MTL.txt (Landsat), MTD_MSIL*.xml "
            "(Sentinel-2), HLS bands or GeoTIFFs. Give the folder that holds them."
        )
    own = found.attrs.get("sensor")
    if sensor and own and not set(SENSORS[sensor].platforms) & set(SENSORS[own].platforms):
        raise SceneError(f"{path} is of {own!r} by its metadata, not {sensor!r}. Leave sensor= out.")
    return found


def existing(path):
    """The path, if something is there."""
    path = Path(path)
    if not path.exists() and not str(path).startswith("/vsi"):
        raise SceneError(f"{path} does not exist. Check the spelling and the folder you are in.")
    return path


def choose(files, bands, path):
    """The `SceneFiles` with the bands asked for, in that order."""
    if bands is None or isinstance(bands, dict):
        return files
    by_name = {source.name: source for source in files.bands}
    names = [band_name(name, files.attrs.get("sensor")) if name not in by_name else name for name in bands]
    if missing := [asked for asked, name in zip(bands, names, strict=True) if name not in by_name]:
        raise MissingBandError(f"{path} lacks {missing}; it has {list(by_name)}.")
    return replace(files, bands=tuple(by_name[name] for name in names))


def settle_scale(files, path, radiometry, gain, offset):
    """The `SceneFiles` with each band's scale and the scene's radiometry decided, or a warning."""
    told = files.attrs.get("radiometry")
    if radiometry in ("toa", "sr") and told in ("toa", "sr") and told != radiometry:
        raise RadiometryError(
            f"{path} holds {told!r} reflectance by its metadata; {radiometry!r} is not in it."
        )
    by_number = not isinstance(offset, str)
    if offset not in ("metadata", "baseline") and isinstance(offset, str):
        raise RadiometryError(f"offset={offset!r} is neither 'metadata', 'baseline' nor a number.")
    bands = []
    for source in files.bands:
        if source.kind == "reflective" and (gain is not None or by_number):
            own_gain = per_band(gain, source.name) or source.scale.get("gain", 1.0)
            add = own_gain * ((per_band(offset, source.name) or 0.0) if by_number else 0.0)
            source = replace(source, scale={"gain": own_gain, "add": add})
        bands.append(source)
    level = radiometry if radiometry in ("toa", "sr") else told
    undecided = [source for source in bands if source.kind == "reflective" and not source.scale]
    attrs = dict(files.attrs)
    if radiometry == "dn":
        attrs |= {"radiometry": "dn", **({"reflectance_radiometry": told} if told else {})}
    elif undecided and level is None:
        attrs["radiometry"] = judge_numbers(undecided, path)
    else:
        attrs["radiometry"] = level or "unknown"
    if undecided and attrs["radiometry"] != "dn":
        bands = [replace(s, scale=AS_THEY_ARE) if s in undecided else s for s in bands]
    if radiometry != "dn":
        warn_of_negatives([s for s in bands if s.kind == "reflective" and s.scale.get("add", 0) < 0], path)
    return SceneFiles(tuple(bands), attrs, files.mixed_pixels)


def name_of(path):
    """A path's last part, or the first path's of a list."""
    return Path(path[0] if isinstance(path, list | tuple) else path).name


def peek(source, side=256):
    """Some stored numbers of a band (float64, nodata left out), without reading it all."""
    with rasterio.open(source.path) as file:
        nodata = file.nodata if file.nodata is not None else source.nodata
        shape = tuple(min(side, n) for n in file.shape)
        try:
            values = file.read(source.index, out_shape=shape).astype(float)
        except (rasterio.errors.RasterioError, OSError) as error:
            raise SceneError(f"{source.where} is damaged or cut short: {one_line(error)}") from error
    keep = np.isfinite(values) if nodata is None or np.isnan(nodata) else values != nodata
    return values[keep & np.isfinite(values)]


def judge_numbers(sources, path):
    """ "unknown" or "dn" for bands whose file says nothing, with a warning that holds the evidence."""
    evidence, largest = [], 0.0
    for source in sources:
        values = peek(source)
        if not values.size:
            continue
        low, middle, high = np.percentile(values, [1, 50, 99])
        largest = max(largest, high)
        dark = f", {np.mean(values < 0.05 * high):.0%} dark" if source.name.startswith("swir") else ""
        evidence.append(
            f"{source.name} {low:g}/{middle:g}/{high:g}, {np.mean(values < 0):.0%} negative{dark}"
        )
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


def open_array_store(path, bands, chunks):
    """A Dataset of NetCDF or Zarr with bands as float32 variables on (..., y, x)."""
    engine = "zarr" if path.is_dir() else "h5netcdf"
    try:
        with xr.open_dataset(path, engine=engine, chunks=chunks, decode_coords="all") as file:
            scene = file if chunks else file.load()
    except (OSError, ValueError, KeyError) as error:
        raise SceneError(f"{path} cannot be read as {engine}: {one_line(error)}") from error
    spatial = {"lat": "y", "latitude": "y", "lon": "x", "longitude": "x"}
    scene = scene.rename({old: new for old, new in spatial.items() if old in scene.dims})
    if isinstance(bands, dict):
        scene = scene[list(bands.values())].rename({variable: name for name, variable in bands.items()})
    sensor = scene.attrs.get("sensor")
    scene = scene.rename(
        {name: band_name(name, sensor) for name in scene.data_vars if name not in ("qa", "truth")}
    )
    if isinstance(bands, (list, tuple)):
        if missing := [name for name in bands if name not in scene]:
            raise MissingBandError(f"{path} lacks {missing}; it has {list(scene.data_vars)}.")
        scene = scene[list(bands)]
    return scene.map(lambda v: v.astype("float32") if v.dtype.kind == "f" else v, keep_attrs=True)


def with_scene_attrs(scene, sensor, radiometry):
    """A Dataset of an array store with its radiometry stated."""
    if sensor:
        scene.attrs["sensor"] = sensor
    if radiometry:
        scene.attrs["radiometry"] = radiometry
    elif "radiometry" not in scene.attrs:
        scene.attrs["radiometry"] = "unknown"
        warnings.warn(
            "The file does not say what its numbers are; they are taken as they are. "
            "Settle it with radiometry='dn', 'toa' or 'sr'.",
            DataWarning,
            stacklevel=3,
        )
    return scene
