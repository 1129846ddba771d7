"""Change in one call, as a folder with its page, and as a command."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from commands import call

import glacierlab as gl
from glacierlab.errors import DataWarning, InventoryError
from glacierlab.report import write_change
from glacierlab.report.changed import figures_of

UTM = "EPSG:32632"


def glaciers(*bounds, names=None, crs=UTM):
    """Boxes [m], near the middle of their zone, as an inventory."""
    boxes = [shapely.affinity.translate(shapely.box(*b), 5e5, 5e6) for b in bounds]
    return gpd.GeoDataFrame({"glac_name": names} if names else {}, geometry=boxes, crs=crs)


@pytest.fixture(scope="module")
def three():
    """A glacier that shrinks by 0.1 km² every ten years, and one that vanishes."""
    return {
        "2020": glaciers((0, 0, 800, 1000), names=["long"]),
        "2000": glaciers((0, 0, 1000, 1000), (3000, 0, 3300, 300), names=["long", "small"]),
        "2010": glaciers((0, 0, 900, 1000), (3000, 0, 3200, 200), names=["long", "small"]),
    }


def test_everything_that_is_asked_of_three_dates(three):
    found = gl.change.assess(three, pixel_m=30)
    assert found.labels == ["2000", "2010", "2020"]
    assert found.by == "glac_name"
    whole = found.changes.query("glacier == 'long' and date_1 == '2000' and date_2 == '2020'").iloc[0]
    assert whole.loss_km2 == pytest.approx(0.2, rel=1e-3)  # of the plane; the ellipsoid's is 0.08 % larger
    assert whole.rate_km2_per_a == pytest.approx(0.01, rel=1e-3)
    assert found.changes.query("glacier == 'small' and date_2 == '2020'").status.unique().tolist() == [
        "vanished"
    ]
    assert found.trends.set_index("glacier").rate_km2_per_a["long"] == pytest.approx(0.01, rel=1e-3)
    assert found.events.event.tolist().count("vanish") == 1
    assert found.ground.groupby("mapped_by").area_km2.sum()["ours"] == pytest.approx(0.2 + 0.09, rel=1e-3)
    assert found.bands is None


def test_sums_of_parts_are_the_total(three):
    series = gl.change.assess(three, pixel_m=30).series
    parts = series[series.glacier != "total"].groupby("window").area_km2.sum()
    total = series[series.glacier == "total"].set_index("window").area_km2
    pd.testing.assert_series_equal(parts, total, check_names=False)


def test_glaciers_without_ids_are_followed_by_where_they_lie(three):
    bare = {date: table[["geometry"]] for date, table in three.items()}
    found = gl.change.assess(bare, pixel_m=30)
    assert found.by == "glacier"
    named = gl.change.assess(three, pixel_m=30)
    assert sorted(found.changes.loss_km2) == pytest.approx(sorted(named.changes.loss_km2))


def test_ids_that_do_not_last_give_way_to_places(three):
    """As two maps have them, or RGI 6 and RGI 7: no glacier vanishes that is there at both dates."""
    other = {
        date: table.assign(rgi_id=[f"{date}-{place}" for place in range(len(table))])
        for date, table in three.items()
    }
    with pytest.warns(DataWarning, match="'rgi_id' does not last: 3 glaciers .*'2000-0 → 2010-0'"):
        found = gl.change.assess(other, pixel_m=30)
    assert found.by == "glacier"
    named = gl.change.assess(three, pixel_m=30)
    assert sorted(found.changes.loss_km2) == pytest.approx(sorted(named.changes.loss_km2))
    assert found.changes.status.tolist().count("vanished") == named.changes.status.tolist().count("vanished")
    with pytest.raises(InventoryError, match="No glacier is in both"):
        gl.change.assess(other, by="rgi_id", pixel_m=30)


def test_places_that_are_not_the_same(three):
    away = three["2020"].set_geometry(three["2020"].translate(50_000))[["geometry"]]
    with pytest.raises(InventoryError, match="these are other places, or a CRS is wrong"):
        gl.change.assess({"2000": three["2000"][["geometry"]], "2020": away}, pixel_m=30)


def test_dates_of_whole_years_are_called_by_them(three):
    named = ["1999-01-01/2001-12-31", "2020-01-01/2020-12-31"]
    tables = [three[date].assign(src_date=each) for date, each in zip(("2000", "2020"), named, strict=True)]
    assert gl.change.assess(tables, pixel_m=30).labels == ["1999-2001", "2020"]


def test_dates_that_contradict_the_inventory_are_told(three):
    wrong = three | {"2000": three["2000"].assign(src_date="1970-08-01")}
    with pytest.warns(DataWarning, match="Outlines of 2000 have another src_date.*'1970-08-01'"):
        found = gl.change.assess(wrong, pixel_m=30)
    assert found.changes.year_1.min() < 1971


@pytest.mark.parametrize("classes", [["A", "B"], []])
def test_tables_without_glaciers(three, classes):
    other = three["2000"].iloc[: len(classes)].assign(**{"class": classes})
    with pytest.raises(InventoryError, match=r"the inventory of 2000 has .*glacier, clean_ice"):
        gl.change.assess(three | {"2000": other}, pixel_m=30)


def test_one_method_for_all_dates_where_nothing_tells_the_pixel(three):
    with pytest.warns(DataWarning, match="size law of RGI.*pixel_m=30"):
        found = gl.change.assess(three)
    assert {table.attrs["area_unc"] for table in found.inventories} == {"rgi"}


def test_lakes_are_no_glaciers(three):
    lake = glaciers((5000, 0, 6000, 1000), names=["lake"]).assign(**{"class": "glacial_lake"})
    both = {
        date: pd.concat([table.assign(**{"class": "glacier"}), lake], ignore_index=True)
        for date, table in three.items()
    }
    found = gl.change.assess(both, pixel_m=30)
    pd.testing.assert_frame_equal(found.changes, gl.change.assess(three, pixel_m=30).changes)


def test_own_errors_are_kept(three):
    own = {
        date: table.assign(area_km2=1.0, area_unc_km2=0.5, area_unc_kind="95 %")
        for date, table in three.items()
    }
    assert set(gl.change.assess(own).series.query("glacier == 'long'").area_unc_km2) == {0.5}
    mixed = {date: table.assign(area_unc_kind="bound") for date, table in own.items()}
    mixed["2010"] = three["2010"]
    with pytest.warns(DataWarning, match=r"Outlines of 2000, 2020 keep their own errors .*Name a method"):
        found = gl.change.assess(mixed, pixel_m=30)
    plain = gl.change.assess(three, pixel_m=30)
    errors = [each.series.query("glacier == 'long'").area_unc_km2.tolist() for each in (found, plain)]
    assert errors[0] == [0.5, errors[1][1], 0.5]


def test_a_method_that_is_asked_for_measures_all_tables(three):
    """Parts of a calibration too: none of them says anything of the new errors."""
    parts = {"area_sd_independent_km2": 0.2, "area_sd_correlated_km2": 0.1, "area_unc_kind": "95 %"}
    own = {date: table.assign(area_km2=9.0, area_unc_km2=0.5, **parts) for date, table in three.items()}
    found = gl.change.assess(own, method="buffer", pixel_m=30)
    plain = gl.change.assess(three, method="buffer", pixel_m=30)
    pd.testing.assert_frame_equal(found.changes, plain.changes)


def test_a_named_column_that_is_not_there_is_no_reason_to_guess(three):
    with pytest.raises(InventoryError, match="no column 'wgms_id'"):
        gl.change.assess(three, by="wgms_id", pixel_m=30)
    with pytest.raises(InventoryError, match="2 dates or more"):
        gl.change.assess({"2000": three["2000"]})


# ---- the folder


@pytest.fixture(scope="module")
def world():
    return gl.synthetic_world(seed=3, years=[1990, 2020], shape=(96, 96))


def test_a_folder_holds_tables_pictures_and_a_page(world, tmp_path):
    inventories = {str(year): world.outlines(year) for year in world.years}
    dem = world.scene(2020).elevation
    with pytest.warns(DataWarning, match="smaller than a pixel of the DEM"):
        found = write_change(tmp_path / "change", inventories, pixel_m=30, dem=dem, title="A made <range>")
    written = {path.name for path in (tmp_path / "change").iterdir()}
    assert written == {
        "series.csv", "changes.csv", "events.csv", "bands.csv", "findings.csv", "change.gpkg",
        "glaciers.gpkg", "change_map.png", "series.png", "losses.png", "hypsometry.png", "report.html",
        "dem.tif",
    }  # fmt: skip
    served = gl.apps.change(tmp_path / "change")
    assert served.story.holdings.dem.rio.crs == dem.rio.crs
    assert served.story.holdings.dem.sizes == dem.sizes  # glaciers reach nearly to the borders of this world
    page = (tmp_path / "change/report.html").read_text(encoding="utf-8")
    assert "A made &lt;range&gt;" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    total = found.changes[found.changes.glacier == "total"].iloc[0]
    assert f"{total.area_1_km2:.2f} ± {total.area_1_unc_km2:.2f} km²" in page
    areas = gpd.read_file(tmp_path / "change/change.gpkg").groupby("change").area_km2.sum()
    lost = areas.get("lost", 0) - areas.get("gained", 0)
    assert lost == pytest.approx(total.loss_km2, abs=1e-4)  # of unions: slivers between neighbors are in it
    bands = pd.read_csv(tmp_path / "change/bands.csv").query("glacier == 'total'")
    assert bands.loss_km2.sum() == pytest.approx(total.loss_km2, abs=1e-6)


def test_a_dem_that_lies_elsewhere_leaves_bands_unknown(world, three, tmp_path):
    with pytest.warns(DataWarning, match="DEM does not cover them"):
        found = write_change(tmp_path, three, pixel_m=30, dem=world.scene(2020).elevation)
    assert found.bands.from_m.isna().all()
    assert not (tmp_path / "hypsometry.png").exists()


def test_a_folder_holds_nothing_of_an_earlier_run(three, tmp_path):
    write_change(tmp_path, three, pixel_m=30)
    (tmp_path / "mine.csv").write_text("stays")
    assert (tmp_path / "trends.csv").exists()
    bare = {  # errors that do not say their kind, no areas, another name of the geometry
        date: three[date].assign(area_unc_km2=0.01).rename_geometry("shape") for date in ("2000", "2020")
    }
    found = write_change(tmp_path, bare)
    assert set(found.changes.unc_kind) == {"bound"}
    assert not (tmp_path / "trends.csv").exists()
    assert (tmp_path / "mine.csv").exists()
    assert len(gpd.read_file(tmp_path / "glaciers.gpkg")) == 3


def test_a_page_of_calibrated_areas_leads_with_their_parts(three, tmp_path):
    parts = dict(area_sd_independent_km2=0.03, area_sd_correlated_km2=0.04)
    calibrated = dict(area_km2=1.0, area_unc_km2=1.96 * 0.05, area_unc_kind="95 %") | parts
    tables = {date: three[date].assign(**calibrated) for date in ("2000", "2010")}
    write_change(tmp_path, tables, years=["dates", "chen2022"])
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "2.00 ± 0.18 km²" in page  # by hand: 1.96 √(2 · 0.03² + (2 · 0.04)²)
    assert "errors summed by parts" in page
    assert "parts, years: chen2022" in page
    assert "the 95 % interval of the loss leaves out 0." in page


def test_a_map_across_180_degrees(tmp_path):
    def around(width):
        boxes = [shapely.box(west, 68, west + width, 68.02) for west in (179.95, -179.98)]
        return gpd.GeoDataFrame({"glac_name": ["a$_{", "b$"]}, geometry=boxes, crs="EPSG:4326")

    found = gl.change.assess({"2000": around(0.02), "2010": around(0.015)}, pixel_m=30)
    axes = figures_of(found)["change_map"].axes[0]
    assert axes.get_xlim()[1] - axes.get_xlim()[0] < 5  # km


def test_a_folder_that_cannot_be_written_stays_as_it_was(three, tmp_path):
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(InventoryError):
        write_change(tmp_path, {"2000": three["2000"]})
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


# ---- the command


@pytest.fixture
def files(three, tmp_path):
    """The inventories as files, by date."""
    return [
        str(gl.write_outlines(table, tmp_path / f"at_{date}.gpkg")) for date, table in sorted(three.items())
    ]


def test_the_command_writes_the_folder(files, tmp_path, capsys):
    asked = ["--dates", "2000,2010,2020", "--pixel", "30", "-o", tmp_path / "out"]
    code, out, err = call(capsys, "change", *files, *asked)
    assert code == 0, err
    assert "2000 to 2020: 1.09 to 0.80 km², a loss of 26.6 %" in out
    assert (tmp_path / "out/report.html").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "has no dates in a column src_date: give --dates"),
        (["--dates", "2000"], "names 1 dates, and there are 3 inventories"),
        (["--dates", "2000,2010,2010"], "names 2 dates"),
        (["--dates", "2000,2010,soon"], "'soon' is no date"),
        (["--dates", "2000,2010,2020", "--years", "ten"], "'ten' is no number"),
        (["--dates", "2000,2010,2020", "--method", "guess"], "Unknown method of area_uncertainty 'guess'"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(files, tmp_path, capsys, options, told):
    code, _, err = call(capsys, "change", *files, *options, "-o", tmp_path / "out")
    assert code == 2
    assert told in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


# ---- glaciers that are divided


def test_glaciers_that_split_are_called_so_and_not_judged():
    both = {
        "2000": glaciers((0, 0, 2000, 1000), (5000, 0, 6000, 1000), names=["long", "round"]),
        "2020": glaciers(
            (0, 0, 900, 1000), (1100, 0, 2000, 1000), (5000, 0, 5500, 1000), names=["long", "upper", "round"]
        ),
    }
    found = gl.change.assess(both, pixel_m=30, by="glac_name").changes
    glacier = found[found.errors_summed == ""].set_index("glacier")
    assert glacier.status.to_dict() == {"long": "split", "upper": "split", "round": "both"}
    assert glacier.significant.isna().to_dict() == {"long": True, "upper": True, "round": False}
    total = found[found.glacier == "total"].iloc[0]
    assert total.loss_km2 == pytest.approx(0.7, rel=1e-3)
    assert bool(total.significant)


def test_a_glacier_that_vanished_goes_into_trends_as_nothing(three):
    dates = three | {"2030": glaciers((0, 0, 700, 1000), names=["long"])}
    small = gl.change.assess(dates, pixel_m=30).trends.set_index("glacier").loc["small"]
    assert small.dates == 4
    expected = -np.polyfit([2000.5, 2010.5, 2020.5, 2030.5], [0.09, 0.04, 0.0, 0.0], 1)[0]
    assert small.rate_km2_per_a == pytest.approx(expected, rel=2e-3)


def test_ids_are_not_believed_of_other_places(three, tmp_path):
    far = glaciers((300_000, 0, 300_900, 1000), names=["long"])
    for by in (None, "glac_name"):
        with pytest.raises(InventoryError, match=r"No outline of 2000 touches .* 2010: .*other places"):
            gl.change.assess({"2000": three["2000"], "2010": far}, by=by, pixel_m=30)
    with pytest.raises(InventoryError, match="No outline of 2020 touches one of 2030"):
        write_change(tmp_path / "change", three | {"2030": far}, pixel_m=30)
    assert not any(tmp_path.iterdir())


def test_a_glacier_called_as_the_sum_is_refused(three):
    named = {date: table.assign(glac_name=["total", "b"][: len(table)]) for date, table in three.items()}
    with pytest.raises(InventoryError, match="A glacier is called 'total'"):
        gl.change.assess(named, pixel_m=30)
