"""Numbers that papers printed, computed anew through the public functions; those that differ stay so."""

from functools import cache
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import glacierlab as gl
from glacierlab.errors import GlacierlabError, UnknownNameError
from glacierlab.tables import PUBLISHED
from glacierlab.tables import published as table

VERIFIED = table("verification").set_index(["table", "row", "metric"])
PERIODS = {
    "1986-2003": ("1986-1988", "2001-2003"),
    "2003-2021": ("2001-2003", "2019-2021"),
    "1986-2021": ("1986-1988", "2019-2021"),
}


def series(error="uncertainty_km2"):
    """Table V(a) of Chen et al. 2022 as a series."""
    names = {"period": "window", "subarea": "glacier", error: "area_unc_km2"}
    return table("chen2022_table5a_areas").rename(columns=names)[[*names.values(), "area_km2"]]


# ---- each table, computed anew: {(row, metric): value}


def at_split_prevalence(rows):
    """F1, Kappa and accuracy of precision and recall, at the glacier share that a split's accuracies imply.

    Accuracy falls along a straight line with the share, from 1; the median of a split's rows is taken.
    """
    share = 0.1
    rates = {"precision": rows.precision_pct / 100, "recall": rows.recall_pct / 100}
    fall = (1 - gl.scores_from(**rates, prevalence=share)["oa"]) / share
    implied = ((1 - rows.oa_pct / 100) / fall).groupby(rows.split).transform("median")
    scores = pd.DataFrame(gl.scores_from(**rates, prevalence=implied)) * 100
    names = {"f1": "f1_pct", "kappa": "kappa_pct_at_split_prevalence", "oa": "oa_pct_at_split_prevalence"}
    return {(row, names[m]): scores.loc[i, m] for i, row in rows.row.items() for m in names}


def chen2022_table2():
    rows = table("chen2022_table2_threshold_sweep", threshold=str)
    return at_split_prevalence(rows.assign(row=rows.threshold, split="sweep"))


def chen2022_table3():
    rows = table("chen2022_table3_methods")
    return at_split_prevalence(rows.assign(row=rows.split + "/" + rows.method))


def chen2022_text_drops():
    rows = table("chen2022_table3_methods").set_index(["split", "method"])
    drops = rows.loc["scene1"] - rows.loc["scene2_area3"]
    return {(name, m): drops.loc[name, f"{m}_pct"] for name in drops.index for m in ("f1", "kappa", "oa")}


def chen2022_table5a():
    errors = {"uncertainty_km2": "printed", "uncertainty_corrected_km2": "area2_div10"}
    found = {}
    for error, name in errors.items():
        parts = series(error).query("glacier != 'total'")
        for sums in gl.area_series(parts, total="linear").query("glacier == 'total'").itertuples():
            found[sums.window, "total_area_vs_sum"] = sums.area_km2
            found[sums.window, f"total_unc_vs_linear_sum_{name}"] = sums.area_unc_km2
    return found


def chen2022_table5b():
    change = gl.area_change(series(), years="chen2022", between=list(PERIODS.values()))
    spans = {windows: span for span, windows in PERIODS.items()}
    found = {}
    for row in change.to_dict("records"):
        name = f"{row['glacier']}/{spans[row['date_1'], row['date_2']]}"
        found |= {(name, metric): row[metric] for metric in table("chen2022_table5b_changes").columns[2:]}
    return found


def chen2022_table6():
    rows = table("chen2022_table6_comparison")
    rows = rows.assign(glacier_id=rows.region + "/" + rows.year.astype(str))
    areas = [rows.assign(area_km2=rows[name]) for name in ("previous_km2", "present_km2")]
    change = gl.area_change(*areas, years=None).query("errors_summed == ''")
    return {(row.glacier, "relative_error_pct"): abs(row.loss_pct) for row in change.itertuples()}


def chu2022_table1():
    rows = table("chu2022_table1_gf6_scenes").set_index("method")
    return {(name, "asd_m"): 2 * asd_px for name, asd_px in rows.asd_px.items()}  # pixels of 2 m


def chu2022_table2():
    found = {}
    for name, row in table("chu2022_table2_confusion").set_index("method").iterrows():
        counts = row[["tp", "fp", "fn", "tn"]]
        found |= {(name, m): gl.scores_from(**counts)[m] for m in ("kappa", "miou", "f1")}
        found |= {(name, "n_pixels"): counts.sum(), (name, "asd_m"): 2 * row.asd_px}
    return found


def chu2022_table3():
    rows = table("chu2022_table3_inventories")
    rows = rows.assign(glacier_id=rows.mountains + "/" + rows.zone).query("mountains != 'total'")
    found = {}
    for name in ("ggi", "tpg2017"):
        theirs = rows[["glacier_id"]].assign(area_km2=rows[f"{name}_km2"])
        for row in gl.area_change(rows, theirs, years=None).itertuples():
            key = "total/all" if row.glacier == "total" else row.glacier
            found |= {(key, f"{name}_diff_km2"): row.loss_km2, (key, f"{name}_diff_pct"): row.loss_pct}
    return found


def huang2025():
    own, other, _ = table("huang2025_headline").to_dict("records")
    scores = gl.scores_from(precision=own["precision_pct"] / 100, recall=own["recall_pct"] / 100)
    f1 = other["f1_pct"] / 100  # F1 alone settles IoU, whatever precision and recall
    return {
        ("own_test", "f1_pct"): 100 * scores["f1"],
        ("own_test", "iou_pct"): 100 * scores["iou"],
        ("comparison", "iou_pct_from_f1"): 100 * gl.scores_from(precision=f1, recall=f1)["iou"],
    }


def cryonet():
    rows = table("cryonet_headline")
    iou = gl.scores_from(precision=rows.precision_pct / 100, recall=rows.recall_pct / 100)["iou"]
    return {(scope, "iou_pct"): 100 * value for scope, value in zip(rows.scope, iou, strict=True)}


COMPUTED = {
    f.__name__: cache(f)
    for f in (
        chen2022_table2, chen2022_table3, chen2022_text_drops, chen2022_table5a, chen2022_table5b,
        chen2022_table6, chu2022_table1, chu2022_table2, chu2022_table3, huang2025, cryonet,
    )
}  # fmt: skip


def tolerance(name, metric):
    """What rounding in print may do: per cents and km² have two decimals, fractions four."""
    if name == "chen2022_text_drops" or name == "chu2022_table3":
        return 0.0051
    if name == "chen2022_table5a" or metric.endswith("at_split_prevalence"):
        return 0.021  # sums of four rounded numbers; a share known from rounded numbers
    if name.startswith("chu2022"):
        return 1.1e-4 if metric == "asd_m" else 5.1e-5  # the text has 233.6474 m, the table 233.6473
    return 0.011


@pytest.mark.parametrize(("name", "row", "metric"), VERIFIED.index)
def test_published_number(name, row, metric):
    known = VERIFIED.loc[(name, row, metric)]
    found = COMPUTED[name]()[row, metric]
    assert found == pytest.approx(known.recomputed, abs=1e-6)
    agrees = abs(found - known.printed) <= tolerance(name, metric)
    assert agrees == (known.status == "ok")


def test_every_number_that_differs_is_known():
    assert len(VERIFIED) == 312
    assert VERIFIED.status.value_counts().to_dict() == {"ok": 275, "differs": 37}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_table_says_where_it_is_from(name):
    rows = table(name)
    assert len(rows) >= 2
    assert (
        rows.attrs["source"] == "ours" or "doi:" in rows.attrs["source"] or "arXiv:" in rows.attrs["source"]
    )
    assert rows.attrs["where"]


def test_the_folder_holds_the_tables_that_are_named():
    folder = files("glacierlab.tables").joinpath("published")
    assert {path.name for path in folder.iterdir()} == {f"{name}.csv" for name in PUBLISHED}


def test_a_table_that_is_not_there():
    with pytest.raises(UnknownNameError, match="Unknown published table 'chen2022_table4'"):
        table("chen2022_table4")


def kappa_of(row):
    """Kappa of F1 and mean IoU, where false finds are as many as misses."""
    iou = row.f1 / (2 - row.f1)
    background = 2 * row.miou - iou
    tn = background / (1 - background)
    tp = iou / (1 - iou)
    return gl.scores_from(tp, 0.5, 0.5, tn)["kappa"]


@pytest.mark.parametrize("method", ["fcn32s", "deeplabv3plus"])
def test_scores_of_the_text_hang_together(method):
    row = table("chu2022_text_testset").set_index("method").loc[method]
    assert kappa_of(row) == pytest.approx(row.kappa, abs=2e-4)
    assert row.asd_m == pytest.approx(2 * row.asd_px, abs=1.1e-4)


# ---- what the tables say beyond their numbers


def change_of(glacier, **options):
    change = gl.area_change(series(options.pop("error", "uncertainty_km2")), **options)
    return change[change.glacier == glacier].reset_index(drop=True)


def test_printed_changes_are_those_of_the_text():
    """Table V(b) as the paper's text prints it, not by way of our verification."""
    printed = table("chen2022_table5b_changes").set_index(["subarea", "span"])
    assert len(printed) == 8
    for (name, span), row in printed.iterrows():
        found = change_of(name, years="chen2022", between=PERIODS[span]).loc[0]
        assert found.years == {"1986-2003": 17, "2003-2021": 18, "1986-2021": 35}[span]
        for metric, value in row.dropna().items():
            assert found[metric] == pytest.approx(value, abs=0.0051), (name, span, metric)


def test_area_2_is_significant_once_its_tenfold_error_is_corrected():
    whole = PERIODS["1986-2021"]
    printed = change_of("testing_area_2", between=whole).loc[0]
    assert (round(printed.loss_unc_km2, 2), round(printed.loss_unc_pct, 2)) == (61.15, 51.25)
    assert not printed.significant
    corrected = change_of("testing_area_2", between=whole, error="uncertainty_corrected_km2").loc[0]
    assert (round(corrected.loss_unc_km2, 2), round(corrected.loss_unc_pct, 2)) == (6.12, 5.12)
    assert corrected.significant
    assert corrected.unc_kind == "bound"


def test_rates_from_center_to_center():
    """The pack of the seed tables: spans of 15, 18 and 33 years instead of 17, 18 and 35."""
    change = change_of("total", years=["dates", "chen2022"], between=list(PERIODS.values()))
    centers, printed = (change[change.years_by == way] for way in ("dates", "chen2022"))
    assert centers.years.tolist() == [15, 18, 33]
    assert centers.rate_km2_per_a.round(2).tolist() == [8.41, 16.13, 12.62]
    assert centers.rate_unc_km2_per_a.round(2).tolist() == [6.76, 5.63, 3.11]
    late_to_early = [rate.iloc[1] / rate.iloc[0] for rate in (printed.rate_km2_per_a, centers.rate_km2_per_a)]
    assert late_to_early == pytest.approx([2.17, 1.92], abs=0.005)


def test_least_squares_through_twelve_windows():
    fit = gl.trend(series().query("glacier == 'total'")).loc[0]
    assert (fit.dates, fit.year_1, fit.year_2) == (12, 1987.5, 2020.5)
    assert (round(fit.rate_km2_per_a, 2), round(fit.rate_se_km2_per_a, 2)) == (12.28, 0.61)
    assert fit.r2 == pytest.approx(0.976, abs=5e-4)
    median = gl.trend(series().query("glacier == 'total'"), method="theil_sen").loc[0]
    assert median.rate_low_km2_per_a < median.rate_km2_per_a < median.rate_high_km2_per_a
    assert median.tau == pytest.approx(-1)  # the total shrinks from each window to the next
    assert median.rate_km2_per_a == pytest.approx(fit.rate_km2_per_a, abs=fit.rate_se_km2_per_a)


def test_areas_that_grow_are_left_alone():
    """Chen et al. 2022, Table V(a): three rises between windows."""
    rises = {
        ("training_area", "1998-2000"): 4.47,
        ("testing_area_1", "2007-2009"): 5.07,
        ("testing_area_2", "1989-1991"): 0.01,
    }
    change = gl.area_change(series(), years="chen2022").set_index(["glacier", "date_1"])
    grown = change[(change.loss_km2 < 0)].loss_km2
    assert {key: round(-loss, 2) for key, loss in grown.items()} == rises


def test_training_scenes_overlap():
    """Chen et al. 2022, Table I: the scenes' areas sum to more than the 2297.93 km² of glaciers."""
    scenes = table("chen2022_table1_training_scenes").assign(src_date="2007")
    series = gl.area_series(
        scenes.rename(columns={"glacier_area_km2": "area_km2"}), by="wrs2_path_row", total="linear"
    )
    assert series.area_km2.iloc[-1] == pytest.approx(3068.57)


# ---- scores of printed rates


@given(*[st.integers(1, 10**6)] * 4)
def test_rates_give_the_scores_of_their_counts(tp, fp, fn, tn):
    counted = gl.scores_from(tp, fp, fn, tn)
    share = (tp + fn) / (tp + fp + fn + tn)
    rated = gl.scores_from(precision=counted["precision"], recall=counted["recall"], prevalence=share)
    assert rated == {name: pytest.approx(value, rel=1e-6, abs=1e-6) for name, value in counted.items()}


def test_precision_and_recall_alone_leave_the_background_open():
    scores = gl.scores_from(precision=0.75, recall=[0.6, 1.0])
    assert scores["f1"] == pytest.approx([2 / 3, 6 / 7])
    assert scores["iou"] == pytest.approx([0.5, 0.75])
    assert scores["precision"] == pytest.approx([0.75, 0.75])
    for name in ("iou_background", "miou", "oa", "kappa", "mcc"):
        assert np.isnan(scores[name]).all(), name


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"precision": 94.1, "recall": 90.0}, "divide per cents by 100"),
        ({"precision": 0.5, "recall": 1.0, "prevalence": 0.6}, "No map has this"),
        ({"precision": 0.5}, "or else precision= and recall="),
        ({"tp": 3, "fp": 1, "fn": 1}, "takes tp, fp, fn and tn"),
        ({"tp": 3, "fp": 1, "fn": 1, "tn": 5, "recall": 0.75}, "takes tp, fp, fn and tn"),
        ({}, "takes tp, fp, fn and tn"),
    ],
)
def test_rates_that_cannot_be(given, message):
    with pytest.raises(GlacierlabError, match=message):
        gl.scores_from(**given)
