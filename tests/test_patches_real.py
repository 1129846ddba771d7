"""Real sets as patches: what is labeled there, what is not, and that splits by glacier do not leak."""

import numpy as np
import pytest
import rasterio

from glacierlab.errors import SampleError
from glacierlab.samples import athabasca, swiss_snow


@pytest.fixture(autouse=True)
def here(data, monkeypatch):
    monkeypatch.setenv("GLACIERLAB_DATA", str(data))


@pytest.fixture(scope="module")
def swiss(data):
    return swiss_snow(data / "swiss_snow", mini=True)


def test_swiss_snow_reads_its_chips(swiss, data):
    assert (swiss.features, swiss.classes) == (("blue", "nir08", "nir"), ("bare_ice", "snow"))
    assert swiss.manifest["scene"].nunique() == 90
    row = swiss.manifest.iloc[1000]
    window = rasterio.windows.Window(row["col"], row["row"], 64, 64)
    with rasterio.open(data / f"swiss_snow/chips/{row['scene']}.tif") as chip:
        stored, crs = chip.read(window=window), chip.crs
        x, y = chip.transform * (row["col"] + 32, row["row"] + 32)
    with rasterio.open(data / f"swiss_snow/chips/{row['scene']}_label.tif") as chip:
        drawn = chip.read(1, window=window)
    image, label = swiss[1000]
    np.testing.assert_allclose(image, np.where(drawn > 0, stored / 1e4, 0), atol=1e-6)
    np.testing.assert_array_equal(label, np.where(drawn > 0, drawn - 1.0, 255))  # 0 is off the glacier
    middle = row.geometry.centroid
    expected = rasterio.warp.transform(crs, swiss.manifest.crs.to_wkt(), [x], [y])
    assert (middle.x, middle.y) == pytest.approx((expected[0][0], expected[1][0]), abs=1)


def test_swiss_snow_counts_what_was_drawn(swiss, data):
    pixels = {}
    for chip in swiss.manifest["scene"].unique():
        with rasterio.open(data / f"swiss_snow/chips/{chip}_label.tif") as file:
            drawn = file.read(1)
        rows, cols = (count // 64 * 64 for count in drawn.shape)
        for code in (1, 2):
            pixels[code] = pixels.get(code, 0) + (drawn[:rows, :cols] == code).sum()
    found = swiss.manifest[["bare_ice_share", "snow_share"]].sum() * 64**2
    np.testing.assert_allclose(found, [pixels[1], pixels[2]])


def test_swiss_snow_splits_by_glacier(swiss):
    assert swiss.manifest.area.to_numpy() == pytest.approx(640**2, rel=2e-3)
    parted = swiss.split(by="glacier", buffer_m=50)
    assert parted.audit(min_distance_m=50).ok
    glaciers = parted.manifest.explode("glaciers")
    glaciers = glaciers[glaciers["split"] != "buffer"]
    assert (glaciers.groupby("glaciers")["split"].nunique() == 1).all()
    leaky = swiss.split(by="random", leaks=True).audit()
    assert leaky.table["glaciers"].min() > 10


def test_athabasca_is_labeled_inside_its_outline_alone(athabasca_outline):
    patches = athabasca()
    assert patches.classes == ("background", "glacier")
    assert patches.class_shares() == {"background": 0, "glacier": 1}
    wrong = athabasca(background=True)
    pixels = wrong.manifest["glacier_share"].sum() * 64**2
    assert patches.manifest["glacier_share"].sum() * 64**2 == pytest.approx(pixels)
    assert 0.5 < pixels * 900e-6 / athabasca_outline["area_km2"].sum() < 1  # 192 x 192 of 215 x 205 pixels
    assert set(patches.manifest["glaciers"]) == {("athabasca",)}


def test_a_missing_set_says_where_it_is_sought(tmp_path, monkeypatch):
    monkeypatch.setenv("GLACIERLAB_DATA", str(tmp_path))
    with pytest.raises(SampleError, match=r"swiss_snow holds no manifest\.csv.*GLACIERLAB_DATA"):
        swiss_snow()
