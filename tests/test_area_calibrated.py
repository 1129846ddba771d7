"""Areas with a 95 % interval: known errors are found again, truths lie within, noise is no change."""

import json
from dataclasses import asdict, replace

import geopandas as gpd
import numpy as np
import pytest
import shapely
import xarray as xr

import glacierlab as gl
from glacierlab.change.calibrated import AreaError, area_distribution, correlation, local_variance, scaled
from glacierlab.change.calibrating import by_lag, fit_area_error
from glacierlab.errors import DataWarning, GlacierlabError, GridError, InventoryError, UnknownNameError

CRS = "EPSG:32632"
PX = 30.0
KNOWN = AreaError(
    reach_px=2, temperature=np.nan, by_distance=(1.0, 1.0, 0.0, 0.0), length_px=2.0, sill=0.5, bias_px=0.0,
    local_independent=1.0, local_correlated=0.0, border_sd_independent_px=0.1, border_sd_correlated_px=0.2,
    glaciers=100, glacier_dates=300,
)  # fmt: skip
BY_CHANCE = replace(KNOWN, temperature=1.0, by_distance=())


def discs(radii_px):
    """Round glaciers (their radii in pixels) in a row, at no particular place in a pixel."""
    places = 600_000 + 3_003.7 * np.arange(len(radii_px))
    shapes = [shapely.Point(x, 5_200_000).buffer(PX * r, 64) for x, r in zip(places, radii_px, strict=True)]
    return gpd.GeoDataFrame({"glac_id": [f"g{n}" for n in range(len(shapes))]}, geometry=shapes, crs=CRS)


def campaign(rng, glaciers, dates, bias, stays, anew):
    """Outlines whose borders lie out by a bias, by what stays of each glacier, and by what each date adds."""
    radii = rng.uniform(4, 30, glaciers)
    lasting = rng.normal(bias, stays, glaciers)
    truth = discs(radii)
    return [discs(radii + lasting + rng.normal(0, anew, glaciers)) for _ in range(dates)], [truth] * dates


def square(px, width=3):
    """Probability (y, x): a square of ice of so many pixels a side, its border blurred."""
    at = np.abs(np.arange(px + 20) - (px + 19) / 2) - px / 2
    chance = 1 / (1 + np.exp(np.maximum(*np.meshgrid(at, at)) / width * 4))
    y, x = (start + sign * PX * (np.arange(px + 20) + 0.5) for start, sign in ((5_200_000, -1), (600_000, 1)))
    return xr.DataArray(chance.astype("float32"), {"y": y, "x": x}, ("y", "x")).rio.write_crs(CRS)


def outline_of(chance):
    mask = (chance > 0.5).astype("uint8").assign_attrs(flag_values=[0, 1], flag_meanings="background glacier")
    return gl.vectorize(mask).assign(glac_id="g")


# ---- the parts ----


def test_local_variance_is_the_double_sum():
    rng = np.random.default_rng(1)
    sd = rng.uniform(0, 0.5, (13, 9))
    at = np.argwhere(np.ones(sd.shape))
    apart = np.hypot(*(at[:, None] - at[None]).transpose(2, 0, 1))
    rho = np.where(apart == 0, 1.0, 0.6 * np.exp(-apart / 3.0))
    assert local_variance(sd, 3.0, 0.6) == pytest.approx(sd.ravel() @ rho @ sd.ravel(), rel=1e-4)


def test_pixels_that_err_each_by_itself_add_their_variances():
    sd = np.full((2100, 3), 0.5)  # several strips
    assert local_variance(sd, 1.0, 0.0) == pytest.approx(0.25 * sd.size, rel=1e-5)
    assert correlation(1.0, 0.0).sum() == 1


def test_pairs_by_their_distance():
    rng = np.random.default_rng(2)
    field = rng.normal(size=(7, 5))
    at = np.argwhere(np.ones(field.shape))
    apart = np.rint(np.hypot(*(at[:, None] - at[None]).transpose(2, 0, 1))).astype(int)
    expected = np.bincount(apart.ravel(), np.outer(field, field).ravel(), 21)
    np.testing.assert_allclose(by_lag(field), expected, atol=1e-9)


def test_temperature_softens_probabilities():
    assert scaled(0.8, 1.0) == pytest.approx(0.8)
    assert scaled(0.8, 2.0) == pytest.approx(2 / 3)  # odds of 4 become those of 2
    assert np.isnan(scaled(np.nan, 2.0))


# ---- areas ----


def test_an_area_by_hand():
    """10 x 10 pixels: border 40 px; chances are sure, so that only the border as a whole errs."""
    chance = square(10)
    found = area_distribution(outline_of(chance), replace(KNOWN, bias_px=0.25), pixel_m=PX).iloc[0]
    assert found.area_mapped_km2 == pytest.approx(0.09, rel=0.002)
    assert found.area_mapped_km2 - found.area_km2 == pytest.approx(0.25 * 40 * 900e-6)
    assert found.area_sd_independent_km2 == pytest.approx(0.1 * 40 * 900e-6)
    assert found.area_sd_correlated_km2 == pytest.approx(0.2 * 40 * 900e-6)
    assert found.area_unc_km2 == pytest.approx(1.96 * np.hypot(0.1, 0.2) * 40 * 900e-6)
    assert found.area_unc_kind == "95 %"


def test_the_expected_area_is_the_sum_of_probabilities():
    chance = square(30)
    found = area_distribution(outline_of(chance), replace(BY_CHANCE, reach_px=9), chance).iloc[0]
    assert found.area_km2 == pytest.approx(found.area_mapped_km2)
    assert found.area_expected_km2 == pytest.approx(float(chance.sum()) * 900e-6, rel=0.005)
    narrow = area_distribution(outline_of(chance), BY_CHANCE, square(30, width=1)).iloc[0]
    assert narrow.area_unc_km2 < found.area_unc_km2


def test_predictions_of_any_form_say_the_same():
    chance = square(20)
    by_class = xr.concat([1 - chance, chance * 0.5, chance * 0.5], "class").assign_coords(
        {"class": ["background", "clean_ice", "debris_covered_ice"]}
    )
    outlines = outline_of(chance)
    expected = area_distribution(outlines, BY_CHANCE, chance)
    forms = [
        chance.chunk({"y": 7, "x": 11}),
        chance[::-1],
        chance.T,
        by_class,
        by_class.to_dataset(name="probability"),
    ]
    for form in forms:
        found = area_distribution(outlines, BY_CHANCE, form)
        np.testing.assert_allclose(found.area_unc_km2, expected.area_unc_km2, rtol=1e-5)
        np.testing.assert_allclose(found.area_expected_km2, expected.area_expected_km2, rtol=1e-5)


def test_pixels_that_were_not_observed_widen_the_interval():
    chance = square(20, width=1)
    outlines = outline_of(chance)
    hidden = chance.where(chance.x > chance.x.mean())
    clear, clouded = (area_distribution(outlines, BY_CHANCE, each).iloc[0] for each in (chance, hidden))
    assert clouded.area_unc_km2 > 1.5 * clear.area_unc_km2
    assert clouded.area_expected_km2 == pytest.approx(clear.area_expected_km2, rel=0.02)


def test_divides_are_no_border_and_neighbors_keep_their_pixels():
    left, right = (shapely.box(600_000 + 600 * n, 5_200_000, 600_600 + 600 * n, 5_200_600) for n in (0, 1))
    chances = (1.0, 0.9, 0.2, 0.0)
    calibration = replace(KNOWN, by_distance=chances, local_independent=0.0)
    rows = gpd.GeoDataFrame({"glac_id": ["a", "b"]}, geometry=[left, right], crs=CRS)
    found = area_distribution(rows, calibration, pixel_m=PX)
    assert found.area_sd_correlated_km2.tolist() == pytest.approx([0.2 * 60 * 900e-6] * 2)
    whole = area_distribution(rows.dissolve(), calibration, pixel_m=PX)
    assert found.area_km2.sum() == pytest.approx(whole.area_km2.item())
    assert found.area_unc_km2[0] == pytest.approx(found.area_unc_km2[1])


def test_several_dates_and_copies_are_measured_apart():
    left, right, shorter = (
        shapely.box(600_000 + x, 5_200_000, 600_600 + x, 5_200_600) for x in (0, 600, 500)
    )
    rows = gpd.GeoDataFrame(
        {"src_date": [1990, 1990, 2007, 2007]}, geometry=[left, right, left, shorter - left], crs=CRS
    )
    calibration = replace(KNOWN, by_distance=(1.0, 0.9, 0.2, 0.0))
    columns = ["area_km2", "area_sd_independent_km2", "area_sd_correlated_km2", "area_unc_km2"]
    found = area_distribution(rows, calibration, pixel_m=PX)[columns]
    for _, own in rows.groupby("src_date"):
        alone = area_distribution(own, calibration, pixel_m=PX)[columns]
        np.testing.assert_allclose(found.loc[own.index], alone)
    with pytest.warns(DataWarning, match="1 of 2 outlines lie on others"):
        twice = area_distribution(rows.iloc[[0, 0]], calibration, pixel_m=PX)[columns]
    np.testing.assert_allclose(
        twice, area_distribution(rows[:1], calibration, pixel_m=PX)[columns].iloc[[0, 0]]
    )


def test_svalbard_date_by_date(data):
    path, names = data / "svalbard_outlines/svalbard.gpkg", {"glac_name": "name", "src_date": "year"}
    rows = gl.open_inventory(path, columns=names)
    rows = rows[rows.glac_name.isin(["Austre Lovenbreen", "Midtre Lovenbreen"])]
    found = area_distribution(rows, KNOWN, pixel_m=PX)
    for _, own in rows.groupby("src_date"):
        alone = area_distribution(own, KNOWN, pixel_m=PX)
        np.testing.assert_allclose(found.area_unc_km2[own.index], alone.area_unc_km2, rtol=1e-6)


def test_degrees_and_the_other_side_of_the_antimeridian():
    rows = discs([12.0, 20.0])
    expected = area_distribution(rows, KNOWN, pixel_m=PX)
    found = area_distribution(rows.to_crs("EPSG:4326"), KNOWN, pixel_m=PX)
    np.testing.assert_allclose(found.area_unc_km2, expected.area_unc_km2, rtol=0.01)
    far = gpd.GeoDataFrame(
        geometry=[shapely.box(179.98, 70, 180, 70.01), shapely.box(-180, 70, -179.98, 70.01)], crs=4326
    )
    near = gpd.GeoDataFrame(geometry=[shapely.box(9.98, 70, 10.02, 70.01)], crs=4326)
    sums = [area_distribution(each, KNOWN, pixel_m=PX).area_sd_correlated_km2.sum() for each in (far, near)]
    assert sums[0] == pytest.approx(sums[1], rel=0.02)


def test_empty_tables_and_specks():
    rows = discs([10.0, 0.2])
    assert len(area_distribution(rows[:0], KNOWN, pixel_m=PX)) == 0
    assert (area_distribution(rows, KNOWN, pixel_m=PX).area_unc_km2 > 0).all()


# ---- fitting ----


def test_what_borders_are_off_by_is_found_again():
    outlines, truths = campaign(np.random.default_rng(3), 80, 3, bias=0.3, stays=0.4, anew=0.2)
    found = fit_area_error(outlines, truths, pixel_m=PX)
    assert found.bias_px == pytest.approx(0.3, abs=0.1)
    assert found.border_sd_correlated_px == pytest.approx(0.4, abs=0.1)
    assert found.border_sd_independent_px == pytest.approx(0.2, abs=0.06)
    assert (found.glaciers, found.glacier_dates) == (80, 240)

    outlines, truths = campaign(np.random.default_rng(4), 80, 2, bias=0.3, stays=0.4, anew=0.2)
    for mapped, truth in zip(outlines, truths, strict=True):
        areas = area_distribution(mapped, found, pixel_m=PX)
        off = (
            areas.area_km2
            - areas.merge(
                gl.area_uncertainty(truth, "rgi")[["glac_id", "area_km2"]],
                on="glac_id",
                suffixes=("", "_true"),
            ).area_km2_true
        )
        assert 0.9 <= (off.abs() <= areas.area_unc_km2).mean() <= 0.99
        assert abs(off.mean()) < 0.3 * areas.area_unc_km2.mean()


def test_what_is_seen_once_is_called_independent():
    outlines, truths = campaign(np.random.default_rng(5), 60, 1, bias=0.0, stays=0.4, anew=0.0)
    found = fit_area_error(outlines, truths, pixel_m=PX)
    assert found.border_sd_correlated_px == found.local_correlated == 0


def test_a_perfect_method_keeps_the_least_error():
    outlines, truths = campaign(np.random.default_rng(6), 40, 2, bias=0.0, stays=0.0, anew=0.0)
    found = fit_area_error(outlines, truths, pixel_m=PX)
    assert found.border_sd_independent_px == pytest.approx(0.15, abs=0.01)
    assert fit_area_error(outlines, truths, pixel_m=PX, least_px=0).border_sd_independent_px < 0.05


def test_probabilities_are_cooled_and_heated():
    """Shares of ice that are known, given as probabilities that are too sure."""
    rng = np.random.default_rng(7)
    chance = square(40, width=8)
    odds = np.log(chance / (1 - chance))
    sure = 1 / (1 + np.exp(-2 * odds))
    mapped = outline_of(chance)
    cells = [(y, x) for y, x in np.argwhere(rng.random(chance.shape) < chance.values)]
    ice = shapely.union_all(
        [
            shapely.box(600_000 + 30 * x, 5_200_000 - 30 * y - 30, 600_030 + 30 * x, 5_200_000 - 30 * y)
            for y, x in cells
        ]
    )
    truth = gpd.GeoDataFrame({"glac_id": ["g"]}, geometry=[ice], crs=CRS)
    with pytest.warns(DataWarning, match="1 glaciers say little"):
        found = fit_area_error([mapped], [truth], [sure], reach_px=9)
    assert found.temperature == pytest.approx(2.0, rel=0.1)
    assert correlation(found.length_px, found.sill).sum() < 1.5  # each pixel was drawn by itself


def test_a_calibration_goes_through_json():
    assert AreaError(**json.loads(json.dumps(asdict(replace(BY_CHANCE, bias_px=0.5))))) == replace(
        BY_CHANCE, bias_px=0.5
    )


# ---- bad input ----


def far_away():
    return discs([9.0]).translate(9e5).to_frame("geometry")


def of_lakes():
    return square(20).expand_dims({"class": ["lake"]})


@pytest.mark.parametrize(
    ("rows", "calibration", "chance", "error", "message"),
    [
        (discs([9.0]), {}, None, GlacierlabError, "fit_area_error, not dict"),
        (discs([9.0]), KNOWN, square(20), GlacierlabError, "fitted without probabilities"),
        (discs([9.0]), BY_CHANCE, None, GlacierlabError, "fitted with probabilities"),
        (discs([9.0]), KNOWN, None, InventoryError, "pixel_m=30"),
        (discs([9.0]).set_crs(None, allow_override=True), KNOWN, None, InventoryError, "set_crs"),
        (far_away(), BY_CHANCE, square(20), GridError, "overlap"),
        (discs([9.0]), BY_CHANCE, of_lakes(), UnknownNameError, "lake"),
    ],
)
def test_areas_of_bad_input_say_what_to_do(rows, calibration, chance, error, message):
    with pytest.raises(error, match=message):
        area_distribution(rows, calibration, chance)


@pytest.mark.parametrize(
    ("truths", "options", "error", "message"),
    [
        ([], {}, GlacierlabError, "one of each"),
        ([discs([9.0])], dict(reach_px=0), GlacierlabError, "reach_px=0"),
        ([discs([9.0])], dict(least_px=-1), GlacierlabError, "least_px=-1"),
        ([discs([9.0]).assign(glac_id="x")], {}, InventoryError, "by="),
        ([discs([9.0]).drop(columns="glac_id")], {}, InventoryError, "by="),
    ],
)
def test_fits_of_bad_input_say_what_to_do(truths, options, error, message):
    with pytest.raises(error, match=message):
        fit_area_error([discs([9.0])], truths, pixel_m=PX, **options)
