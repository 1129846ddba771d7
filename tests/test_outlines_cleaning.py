"""Cleaning class maps step by step, and class maps read a few rows at a time."""

import dask
import geopandas as gpd
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from masks import mask_of
from scipy import ndimage

import glacierlab as gl
from glacierlab import outlines
from glacierlab.errors import GlacierlabError, GridError, RadiometryError, UnknownNameError
from glacierlab.tables import CLASSES

NAMES = ["background", "clean_ice", "debris_covered_ice", "glacial_lake"]


def class_map(codes):
    """A class map of background, clean and debris-covered ice, and lakes."""
    flags = {"flag_values": [CLASSES[name].code for name in NAMES], "flag_meanings": " ".join(NAMES)}
    return mask_of(codes).assign_attrs(flags)


def layer_of(values, like):
    """A layer (y, x) on the grid of a class map."""
    return like.astype("float32").copy(data=np.broadcast_to(np.float32(values), like.shape).copy())


def scene_of(like, green, nir):
    """Reflectance of two bands on the grid of a class map."""
    bands = {"green": layer_of(green, like), "nir": layer_of(nir, like)}
    return xr.Dataset(bands, attrs={"radiometry": "sr"})


# ---- clean


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (np.ones((20, 20)), np.ones((20, 20))),
        (np.full((20, 20), 255), np.full((20, 20), 255)),
        (np.zeros((20, 20)), np.zeros((20, 20))),
        (np.pad([[1]], 9), np.zeros((19, 19))),
        ([[1]], [[0]]),
    ],
    ids=["all glacier", "all unobserved", "none", "one pixel", "a map of one pixel"],
)
def test_plain_masks(codes, expected):
    mask = mask_of(codes)
    if mask.size == 1:
        mask = mask.rio.write_transform(gl.io.layers.transform_of(mask_of(np.zeros((2, 2)))))
    np.testing.assert_array_equal(outlines.clean(mask), expected)


def test_a_pixel_stays_where_no_area_is_asked():
    mask = mask_of(np.pad([[1]], 9))
    np.testing.assert_array_equal(outlines.clean(mask, size=0, min_area_km2=0), mask)


# ---- majority


@settings(max_examples=20)
@given(arrays(np.uint8, (9, 11), elements=st.sampled_from([0, 1, 2, 255])), st.sampled_from([1, 3, 5]))
def test_majority_is_the_mode_of_a_window(codes, size):
    found = outlines.majority(class_map(codes), size)
    padded, half = np.pad(codes, size // 2, constant_values=255), size // 2
    for (y, x), code in np.ndenumerate(codes):
        votes = np.bincount(padded[y : y + 2 * half + 1, x : x + 2 * half + 1].ravel(), minlength=256)[:255]
        own = code != 255 and votes[code] == votes.max()
        assert found[y, x] == (255 if code == 255 else code if own else votes.argmax())


@pytest.mark.parametrize("chunks", [4, {"y": 30, "x": 1}])
def test_majority_is_lazy_and_equal(chunks):
    mask = class_map(np.random.default_rng(0).integers(0, 4, (30, 26)))
    lazy = outlines.majority(mask.chunk(chunks), 5)
    assert lazy.chunks is not None
    xr.testing.assert_identical(lazy.compute(), outlines.majority(mask, 5))


@pytest.mark.parametrize("size", [0, 2, -3])
def test_majority_of_an_even_square_is_refused(size):
    with pytest.raises(GlacierlabError, match="odd"):
        outlines.majority(class_map([[1]]), size)


# ---- holes


@pytest.fixture
def holed():
    """Ice with holes of 4 pixels: gentle, steep, of unknown slope, and one that is large; and slopes."""
    codes, slope = np.ones((40, 60)), np.full((40, 60), 10.0)
    for left, steepness in ((5, 20), (15, 45), (25, np.nan)):
        codes[5:7, left : left + 2] = 0
        slope[5:7, left : left + 2] = steepness
    codes[10:35, 10:50] = 0
    mask = class_map(codes)
    return mask, layer_of(slope, mask)


def test_gentle_holes_are_filled_and_nunataks_stay(holed):
    mask, slope = holed
    filled = outlines.without_gentle_holes(mask, slope, max_hole_km2=0.225)
    expected = mask.values.copy()
    expected[5:7, 5:7] = 1
    np.testing.assert_array_equal(filled, expected)
    # 1000 pixels of 30 m are 0.9 km²
    everything = outlines.without_gentle_holes(mask, slope, max_hole_km2=0.91, max_slope_deg=60)
    assert (everything == 0).sum() == 4


def test_slope_of_a_hole_is_its_mean(holed):
    mask, slope = holed
    slope[5:7, 5:7] = [[5, 65], [20, np.nan]]
    for most, pixels in ((29.9, 0), (30.1, 4)):
        filled = outlines.without_gentle_holes(mask, slope, max_slope_deg=most)
        assert (filled[5:7, 5:7] == 1).sum() == pixels


def test_holes_are_filled_lazily(holed):
    mask, slope = holed
    lazy = outlines.without_gentle_holes(mask.chunk(16), slope.chunk({"x": 7}))
    assert lazy.chunks is not None
    xr.testing.assert_identical(lazy.compute(), outlines.without_gentle_holes(mask, slope))


def test_holes_beside_unobserved_pixels_stay(holed):
    mask, slope = holed
    mask[5, 7] = 255
    assert (outlines.without_gentle_holes(mask, slope)[5:7, 5:7] == 0).all()


# ---- debris and lakes


def test_steep_debris_goes_and_nothing_else():
    mask = class_map([[1, 2, 2, 2, 3, 255]] * 2)
    slope = layer_of([45, 29, 31, np.nan, 45, 45], mask)
    np.testing.assert_array_equal(outlines.without_steep_debris(mask, slope)[0], [1, 2, 0, 2, 3, 255])
    np.testing.assert_array_equal(outlines.without_steep_debris(mask, slope, 24)[0], [1, 0, 0, 2, 3, 255])


def test_a_slope_comes_as_terrain_makes_it_and_aspects_are_refused(made):
    ice, slope = made.truth.isin([1, 2, 3]).astype("uint8"), gl.features.terrain(made.elevation, "slope")
    layer = slope.sel(feature="slope", drop=True)
    for cut in (outlines.without_gentle_holes, lambda mask, slope: outlines.without_lakes(mask, made, slope)):
        assert cut(ice, slope).identical(cut(ice, layer))
        with pytest.raises(GridError, match="give one layer"):
            cut(ice, gl.features.terrain(made.elevation, ["slope", "hillshade"]))


def test_lakes_are_cut_by_all_signs_together():
    mask = class_map([[1, 1, 1, 1, 2, 0, 255]] * 2)
    scene = scene_of(
        mask, [0.10, 0.10, 0.60, 0.10, 0.10, 0.10, 0.10], [0.02, 0.09, 0.20, 0.02, 0.02, 0.02, 0.02]
    )
    slope = layer_of([3, 3, 3, 15, 3, 3, 3], mask)
    # water; too little NDWI (0.05); bright (NDWI 0.5: bare ice); steep; water on debris; no glacier; unseen
    cut = outlines.without_lakes(mask, scene, slope)
    np.testing.assert_array_equal(cut[0], [3, 1, 1, 1, 3, 0, 255])
    assert cut.dtype == mask.dtype
    assert cut.attrs == mask.attrs
    snow = layer_of([1, 0, 0, 0, 0, 0, 0], mask).astype(bool)
    np.testing.assert_array_equal(
        outlines.without_lakes(mask, scene, slope, snow=snow)[0], [1, 1, 1, 1, 3, 0, 255]
    )
    looser = outlines.without_lakes(mask, scene, slope, min_ndwi=0.04, max_nir=0.3, max_slope_deg=20)
    np.testing.assert_array_equal(looser[0], [3, 3, 3, 3, 3, 0, 255])


def test_lakes_are_background_where_the_map_knows_none():
    mask = mask_of([[1, 1], [1, 1]])
    scene = scene_of(mask, [0.1, 0.5], [0.02, 0.5])
    np.testing.assert_array_equal(outlines.without_lakes(mask, scene, layer_of(0, mask)), [[0, 1], [0, 1]])


def test_mapped_snow_is_no_lake():
    flags = {"flag_values": [0, 1, 2], "flag_meanings": "background bare_ice snow"}
    mask = mask_of([[1, 2], [1, 2]]).assign_attrs(flags)
    cut = outlines.without_lakes(mask, scene_of(mask, 0.1, 0.02), layer_of(0, mask))
    np.testing.assert_array_equal(cut, [[0, 2], [0, 2]])


def test_debris_and_lakes_are_lazy():
    mask = class_map(np.random.default_rng(0).integers(0, 4, (20, 20)))
    scene, slope = scene_of(mask, 0.1, 0.02), layer_of(np.linspace(0, 50, 20), mask)
    with dask.config.set(scheduler="synchronous"):
        for lazy, eager in (
            (outlines.without_steep_debris(mask.chunk(7), slope), outlines.without_steep_debris(mask, slope)),
            (
                outlines.without_lakes(mask.chunk(7), scene.chunk(5), slope),
                outlines.without_lakes(mask, scene, slope),
            ),
        ):
            assert lazy.chunks is not None
            xr.testing.assert_identical(lazy.compute(), eager)


def test_what_cannot_be_told_is_refused():
    mask = class_map(np.ones((4, 4)))
    scene, slope = scene_of(mask, 0.1, 0.02), layer_of(0, mask)
    with pytest.raises(UnknownNameError, match="debris_covered_ice"):
        outlines.without_steep_debris(mask_of(np.ones((4, 4))), slope)
    for function in (outlines.without_steep_debris, outlines.without_gentle_holes):
        with pytest.raises(GridError, match="mask"):
            function(mask, slope[:2])
    with pytest.raises(GridError, match="scene"):
        outlines.without_lakes(mask, scene.isel(x=slice(2)), slope)
    with pytest.raises(RadiometryError):
        outlines.without_lakes(mask, scene.assign_attrs(radiometry="dn"), slope)


# ---- class maps a few rows at a time


@settings(max_examples=15)
@given(
    arrays(np.uint8, (17, 13), elements=st.sampled_from([0, 1, 2, 255])),
    st.tuples(st.integers(1, 17), st.integers(1, 13)),
)
def test_any_chunks_give_the_same_rows(codes, chunks):
    mask = class_map(codes)
    whole = gl.vectorize(mask, smooth=1)
    by_chunks = gl.vectorize(mask.chunk(dict(zip("yx", chunks, strict=True))), smooth=1)
    assert by_chunks.drop(columns="geometry").equals(whole.drop(columns="geometry"))
    assert by_chunks.geometry.geom_equals_exact(whole.geometry, 0).all()


def test_a_lazy_map_is_read_once_and_never_whole():
    codes = np.random.default_rng(1).integers(0, 2, (400, 50)).astype("uint8")
    asked = []

    def block(block_info=None):
        (top, bottom), _ = block_info[None]["array-location"]
        asked.append((top, bottom))
        return codes[top:bottom]

    lazy = dask.array.map_blocks(
        block, chunks=((40,) * 10, (50,)), dtype="uint8", meta=np.empty((0, 0), "uint8")
    )
    with dask.config.set(scheduler="synchronous"):
        found = gl.vectorize(mask_of(codes).copy(data=lazy))
    assert asked == [(top, top + 40) for top in range(0, 400, 40)]
    assert len(found) == ndimage.label(codes, np.ones((3, 3)))[1]


def test_what_touches_itself_at_a_corner_is_valid():
    ring = [[1, 1, 1], [1, 0, 1], [1, 1, 0]]  # its hole and what is outside meet at a corner
    outline = gl.vectorize(mask_of(ring)).geometry[0]
    assert outline.is_valid
    assert len(outline.interiors) == 1


def test_other_numbers_are_no_classes():
    mask = mask_of([[0, 1], [1, 0]])
    assert len(gl.vectorize(mask.astype("float32"))) == len(gl.vectorize(mask.astype(bool))) == 1
    for wrong in (np.nan, 0.5, -1, 300):
        with pytest.raises(GridError, match="codes from 0 to 255"):
            gl.vectorize(mask.astype("float32") + wrong)


def test_a_point_inside_each_outline():
    found = gl.vectorize(class_map(np.random.default_rng(5).integers(0, 4, (40, 40)).repeat(2, 0)))
    points = gpd.GeoSeries.from_xy(found.cenlon, found.cenlat, crs="EPSG:4326")
    assert found.contains(points.to_crs(found.crs)).all()
