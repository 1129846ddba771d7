"""Where glaciers change by elevation, on a plane by hand and on real glaciers; halves as in Chu's Table 3."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rioxarray  # noqa: F401  registers .rio
import shapely
import xarray as xr

import glacierlab as gl
from glacierlab.change import elevation_change, halves
from glacierlab.errors import DataWarning, GlacierlabError, GridError, InventoryError
from glacierlab.io.layers import geodesic_area_km2

EAST, NORTH = 600_000, 5_200_000
CELL_KM2 = 0.042  # a column of cells of the plane's glaciers: 42 m by 1 km


def table(*bounds, crs="EPSG:32632", **columns):
    """Outlines that are boxes (west, south, east, north) [m] from a corner in UTM 32."""
    shapes = [shapely.affinity.translate(shapely.box(*b), EAST, NORTH) for b in bounds]
    return gpd.GeoDataFrame(
        {"rgi_id": [f"g{i}" for i in range(len(bounds))]} | columns, geometry=shapes, crs=crs
    )


@pytest.fixture
def plane():
    """A DEM of 30 m pixels that rises 100 m a kilometer to the east, from 2000 m."""
    y = NORTH + 30.0 * np.arange(120)[::-1] - 600
    x = EAST + 30.0 * np.arange(320) - 1200
    heights = np.tile(2000 + (x - EAST) / 10, (len(y), 1))
    return xr.DataArray(heights, {"y": y, "x": x}, ("y", "x")).rio.write_crs("EPSG:32632")


WHOLE = (0, 0, 5000, 1000)  # ten bands of half a km²


# ---- by hand


def test_bands_of_a_plane(plane):
    found = elevation_change(table((20, 0, 4980, 1000)), table((1250, 0, 4980, 1000)), plane)
    own = found[found.glacier == "g0"]  # heights are those of the middles of cells
    assert own.from_m.tolist() == [*range(2000, 2500, 50)]
    assert (own.to_m - own.from_m == 50).all()
    np.testing.assert_allclose(own.area_1_km2, [0.48, *[0.5] * 8, 0.48], atol=CELL_KM2)
    np.testing.assert_allclose(own.area_2_km2, [0, 0, 0.25, *[0.5] * 6, 0.48], atol=CELL_KM2)
    np.testing.assert_allclose(own.loss_km2, [0.48, 0.5, 0.25, *[0] * 7], atol=CELL_KM2)
    np.testing.assert_allclose(own.loss_km2[3:], 0, atol=1e-3)  # where nothing changed
    np.testing.assert_allclose(own.loss_pct, 100 * own.loss_km2 / own.area_1_km2)
    total = found[found.glacier == "total"]
    np.testing.assert_allclose(total.drop(columns="glacier"), own.drop(columns="glacier"))


def test_bands_add_up_to_the_geodesic_area(plane):
    first = table(WHOLE, (300, 1300, 1717, 2111))
    second = first.set_geometry(first.buffer(-33))
    found = elevation_change(first, second, plane, band_m=20)
    for name, side in (("area_1_km2", first), ("area_2_km2", second)):
        sums = found.groupby("glacier")[name].sum()
        np.testing.assert_allclose(sums[["g0", "g1"]], geodesic_area_km2(side.geometry), rtol=1e-9)
        assert sums["total"] == pytest.approx(sums[["g0", "g1"]].sum())


def test_a_glacier_of_one_date_only(plane):
    found = elevation_change(table(WHOLE, (0, 1200, 500, 1700)), table(WHOLE), plane)
    gone = found[found.glacier == "g1"]
    assert (gone.area_2_km2 == 0).all()
    assert (gone.loss_pct == 100).all()
    grown = elevation_change(table(WHOLE), table(WHOLE, (0, 1200, 500, 1700)), plane)
    assert grown[grown.glacier == "g1"].loss_pct.isna().all()


def test_halves_of_a_plane(plane):
    ours, other = table(WHOLE), table((1000, 0, 5000, 1000)).drop(columns="rgi_id")
    found = halves(ours, other, plane)
    below, above, *totals = found.itertuples(index=False)
    assert (below.glacier, below.zone, above.zone) == ("g0", "ablation", "accumulation")
    assert below.split_m == pytest.approx(2250, abs=5)
    assert (below.area_km2, above.area_km2) == pytest.approx((2.5, 2.5), abs=CELL_KM2)
    assert (below.other_km2, above.other_km2) == pytest.approx((1.5, 2.5), abs=CELL_KM2)
    assert below.other_diff_pct == pytest.approx(40, abs=2)  # of ours
    assert [row.zone for row in totals] == ["ablation", "accumulation", "all"]
    assert totals[-1].area_km2 == pytest.approx(geodesic_area_km2(ours.geometry)[0])
    assert totals[-1].other_km2 == pytest.approx(geodesic_area_km2(other.geometry)[0])


def test_the_other_inventory_is_split_where_ours_is_and_alone_at_its_own_median(plane):
    ours = table(WHOLE)
    other = table((0, 0, 2000, 1000), (2000, 0, 5000, 1000), (0, 1200, 1000, 1700), rgi_id=["x", "y", "z"])
    found = halves(ours, other, plane).set_index(["glacier", "zone"])
    assert found.other_km2["g0", "ablation"] == pytest.approx(2.5, abs=CELL_KM2)
    assert found.split_m["z", "ablation"] == pytest.approx(2050, abs=3)
    assert found.area_km2["z", "ablation"] == 0
    assert found.other_km2["z", "ablation"] == pytest.approx(0.25, abs=0.02)
    assert np.isnan(found.other_diff_pct["z", "ablation"])


def test_differences_are_those_of_table_3_of_chu(plane):
    """The columns' formulas: 102.97 and 112.37 km² differ by -9.40 km² or -9.13 %."""
    from glacierlab.change.elevations import with_difference

    published = {
        "glacier": "tanggula",
        "zone": "ablation",
        "split_m": 5500.0,
        "area_km2": 102.97,
        "other_km2": 112.37,
    }
    row = with_difference(pd.DataFrame([published])).iloc[0]
    assert (row.other_diff_km2, row.other_diff_pct) == pytest.approx((-9.40, -9.13), abs=0.005)


# ---- real glaciers


@pytest.fixture(scope="module")
def oetztal(data):
    with pytest.warns(DataWarning, match="repaired"):
        return gl.open_inventory(data / "oggm/rgi_oetztal.shp")


@pytest.fixture(scope="module")
def srtm(data):
    return data / "oggm/srtm_oetztal.tif"


def test_hypsometry_of_hintereisferner_is_that_of_rgi_5(data, oetztal, srtm):
    published = pd.read_csv(data / "oggm/Hintereisferner_V5_hypso.csv").iloc[0, 3:].astype(float)
    published.index = published.index.astype(float) - 25
    glacier = oetztal[oetztal.glac_name.str.startswith("Hintereis")]
    found = elevation_change(glacier, glacier, srtm)
    own = found[found.glacier != "total"].set_index("from_m").area_1_km2
    ours = (1000 * own / own.sum()).reindex(published.index, fill_value=0.0)
    assert ours.sum() == pytest.approx(1000)
    assert abs(ours - published).max() < 8  # thousandths, of another DEM
    assert abs(ours - published).sum() / 2 < 30
    assert (found.loss_km2 == 0).all()


def test_a_rim_lost_all_around(oetztal, srtm):
    shrunk = oetztal.set_geometry(oetztal.to_crs("EPSG:32632").buffer(-50).to_crs(oetztal.crs))
    found = elevation_change(oetztal, shrunk, srtm)
    total = found[found.glacier == "total"]
    assert total.area_1_km2.sum() == pytest.approx(geodesic_area_km2(oetztal.geometry).sum())
    assert total.area_2_km2.sum() == pytest.approx(geodesic_area_km2(shrunk.geometry).sum())
    assert (found.loss_km2 > -0.01).all()


def test_halves_split_at_the_published_medians(oetztal, srtm):
    found = halves(oetztal, oetztal, srtm)
    split = found.drop_duplicates("glacier").set_index("glacier").split_m.drop("total")
    assert abs(split - oetztal.set_index("rgi_id").zmed_m).max() < 35
    own = found[found.glacier != "total"]
    areas = own.pivot(index="glacier", columns="zone", values="area_km2")
    np.testing.assert_allclose(areas.ablation, areas.accumulation, rtol=0.02)
    np.testing.assert_allclose(found.other_diff_km2, 0, atol=1e-9)


# ---- a DEM with holes, bad input


def test_ground_without_a_height_is_kept_apart(plane):
    holed = plane.where(plane.x < EAST + 2500)
    with pytest.warns(DataWarning, match="g0"):
        found = elevation_change(table(WHOLE), table(WHOLE), holed)
    own = found[found.glacier == "g0"]
    assert own.from_m.isna().sum() == 1
    assert own[own.from_m.isna()].area_1_km2.item() == pytest.approx(2.5, abs=2 * CELL_KM2)
    assert own.area_1_km2.sum() == pytest.approx(geodesic_area_km2(table(WHOLE).geometry)[0])
    with pytest.warns(DataWarning, match="g0"):
        split = halves(table(WHOLE), table(WHOLE), holed)
    assert "unknown" in set(split.zone)


def test_a_glacier_off_the_dem(plane):
    far = table((50_000, 0, 51_000, 1000))
    with pytest.warns(DataWarning, match="g0"):
        found = elevation_change(far, far, plane)
    assert found.from_m.isna().all()
    assert found.area_1_km2.tolist() == pytest.approx([geodesic_area_km2(far.geometry)[0]] * 2)
    with pytest.warns(DataWarning, match="g0"):
        assert set(halves(far, far, plane).zone) == {"unknown", "all"}


def test_a_glacier_smaller_than_a_pixel(plane):
    tiny = table((2003, 203, 2010, 208))
    with pytest.warns(DataWarning, match="smaller than a pixel"):
        found = elevation_change(tiny, tiny, plane)
    assert found.from_m.tolist() == [2200, 2200]
    assert found.area_1_km2[0] == pytest.approx(35e-6, rel=1e-3)


def test_bad_input_is_told(plane):
    with pytest.raises(GlacierlabError, match="band_m=0 is no height"):
        elevation_change(table(WHOLE), table(WHOLE), plane, band_m=0)
    with pytest.raises(InventoryError, match="share none of the columns"):
        elevation_change(table(WHOLE), table(WHOLE).drop(columns="rgi_id"), plane)
    with pytest.raises(GridError, match="CRS"):
        elevation_change(table(WHOLE), table(WHOLE), plane.drop_vars("spatial_ref"))
    for compare in (elevation_change, halves):
        with pytest.raises(InventoryError, match="A glacier is called 'total'"):
            compare(table(WHOLE, rgi_id=["total"]), table(WHOLE, rgi_id=["total"]), plane)
        with pytest.raises(InventoryError, match="two tables without outlines"):
            compare(table(), table(), plane)
