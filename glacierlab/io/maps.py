"""Class maps and masks from files."""

from ..errors import SceneError
from ..tables import NOT_OBSERVED
from .bands import BandFile, open_bands, read_grid
from .files import open_tags, own_attrs


def open_map(path, chunks=None):
    """Open a class map or mask of one band.

    Parameters
    ----------
    path : path
        GeoTIFF of whole numbers, or a mask of 0 and 1 in floats.
    chunks : int, dict or "auto", optional

    Returns
    -------
    xarray.DataArray
        `class_map` (y, x) uint8, nodata as 255; with the CF flag attributes if the file has ours.

    Raises
    ------
    SceneError
        Several bands, or values that are no class codes.

    Examples
    --------
    >>> import tempfile
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = open_map(gl.write_raster(scene.truth, f"{folder}/map.tif"))
    >>> again.dtype, again.shape, again.attrs["flag_meanings"]
    (dtype('uint8'), (64, 64), 'background clean_ice debris_covered_ice glacial_lake')
    """
    count, *_, tags = open_tags(path)
    if count != 1:
        raise SceneError(f"{path} has {count} bands; a class map has one.")
    source = BandFile("class_map", str(path), kind="flags")
    _, nodata, _ = read_grid(source)
    stored = open_bands([source], chunks=chunks)["class_map"]
    observed = stored.notnull()
    if nodata is not None:
        observed &= stored != nodata
    if chunks is None and bool(
        ((stored < 0) | (stored > NOT_OBSERVED) | (stored % 1 != 0)).where(observed, 0).any()
    ):
        raise SceneError(f"{path} holds values that are no class codes (0 to 255): threshold it first.")
    codes = stored.where(observed, NOT_OBSERVED).astype("uint8")
    known = own_attrs(tags)
    codes.attrs = {key: known[key] for key in ("flag_values", "flag_meanings", "datetime") if key in known}
    return codes.rename("class_map")
