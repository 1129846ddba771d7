"""Figures of models: how one learned, how sure it is, how several compare, what they look at."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

import glacierlab as gl
from glacierlab.errors import GlacierlabError, UnknownNameError
from glacierlab.viz.models import MARKERS
from glacierlab.viz.stacks import COLORS


def said(figure):
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def labels(ticks):
    return [text.get_text() for text in ticks]


# ---- training


@pytest.fixture
def history():
    """Five epochs, of which the third has the best score and the fourth the lowest loss."""
    return pd.DataFrame(
        {
            "epoch": range(1, 6),
            "train_loss": [0.9, 0.7, 0.5, 0.4, 0.3],
            "val_loss": [1.0, 0.8, 0.7, 0.6, 0.8],
            "val_accuracy": [0.5, 0.7, 0.8, 0.8, 0.9],
            "val_miou": [0.2, 0.4, 0.6, 0.5, 0.5],
            "lr": [1e-3, 1e-3, 1e-3, 1e-4, 1e-4],
            "seconds": [3.0] * 5,
        }
    )


def marked(figure):
    """Where the dotted line stands in each panel."""
    return [line.get_xdata()[0] for ax in figure.axes for line in ax.lines if line.get_linestyle() == ":"]


def test_every_column_is_a_line_over_the_epochs(history):
    figure = gl.viz.training_figure(history)
    assert [ax.get_title() for ax in figure.axes] == ["loss", "score of validation", "learning rate"]
    curves = [line for ax in figure.axes for line in ax.lines if line.get_linestyle() == "-"]
    columns = ["train_loss", "val_loss", "val_miou", "val_accuracy", "lr"]
    for line, column in zip(curves, columns, strict=True):
        np.testing.assert_array_equal(line.get_xydata(), history[["epoch", column]])
    assert {ax.get_xlabel() for ax in figure.axes} == {"epoch"}
    assert [ax.get_yscale() for ax in figure.axes] == ["linear", "linear", "log"]


def test_the_legend_of_scores_leaves_the_first_epochs_free(history):
    """Scores are drawn from 0 to 1, and rise; the legend lies below where they end."""
    scores = gl.viz.training_figure(history.assign(val_accuracy=[0.9, 0.93, 0.95, 0.96, 0.96])).axes[1]
    assert scores.get_ylim() == (0, 1)
    scores.figure.draw_without_rendering()
    box = scores.get_legend().get_window_extent()
    drawn = [line for line in scores.lines if line.get_linestyle() == "-"]
    for line in drawn:
        left = scores.transData.transform(line.get_xydata()[:2])
        assert not box.count_contains(left)


def test_the_best_epoch_is_that_of_the_highest_score_or_the_one_given(history):
    assert marked(gl.viz.training_figure(history)) == [3, 3, 3]
    assert marked(gl.viz.training_figure(history, best=5)) == [5, 5, 5]
    without = history.drop(columns=["val_miou", "val_accuracy"])
    assert marked(gl.viz.training_figure(without)) == [4, 4]
    legend = gl.viz.training_figure(history).axes[0].get_legend()
    assert labels(legend.get_texts()) == ["training", "validation", "best: epoch 3"]


def test_without_validation_nothing_is_best(history):
    history[["val_loss", "val_accuracy", "val_miou"]] = np.nan
    figure = gl.viz.training_figure(history)
    assert [ax.get_title() for ax in figure.axes] == ["loss", "learning rate"]
    assert marked(figure) == []


def test_one_epoch_a_loss_that_exploded_and_a_rate_of_0_are_drawn(history, tmp_path):
    gl.viz.training_figure(history[:1]).savefig(tmp_path / "one.png")
    exploded = history.assign(train_loss=[0.9, np.inf, np.nan, 2, 1], lr=[1e-3, 1e-3, 1e-3, 1e-3, 0.0])
    figure = gl.viz.training_figure(exploded)
    figure.savefig(tmp_path / "exploded.png")
    assert figure.axes[2].get_yscale() == "linear"


def test_a_history_is_asked_for(history):
    with pytest.raises(GlacierlabError, match=r"lacks the columns \['epoch'\].*gl.fit"):
        gl.viz.training_figure(history.drop(columns="epoch"))
    with pytest.raises(GlacierlabError, match=r"best=9: the epochs are \[1, 2, 3, 4, 5\]"):
        gl.viz.training_figure(history, best=9)


# ---- reliability


def reliability(confidence, right, bins):
    """The table of an evaluation, by hand."""
    edges = np.linspace(0, 1, bins + 1)
    bin_of = np.clip(np.digitize(confidence, edges) - 1, 0, bins - 1)
    rows = []
    for n in range(bins):
        mine = bin_of == n
        mean = lambda values, mine=mine: values[mine].mean() if mine.any() else np.nan
        rows.append((edges[n], edges[n + 1], mine.sum(), mean(confidence), mean(right)))
    return pd.DataFrame(rows, columns=["low", "high", "count", "confidence", "accuracy"])


@pytest.fixture
def ten():
    """Ten probabilities in five bins, whose error is 0.12 by hand."""
    right = np.array([0, 0, 0, 1, 0, 1, 1, 0, 1, 1], float)
    return reliability(np.arange(0.05, 1, 0.1), right, 5)


def test_the_expected_calibration_error_is_written(ten):
    above, below = gl.viz.reliability_figure(ten).axes
    assert labels(above.get_legend().get_texts()) == ["ECE 0.120"]
    (line,) = [line for line in above.lines if line.get_marker() == "o"]
    np.testing.assert_array_equal(line.get_xydata(), ten[["confidence", "accuracy"]])
    np.testing.assert_allclose([bar.get_height() for bar in below.patches], 0.2)
    assert below.get_xlabel() == "confidence"


def test_where_a_model_knows_how_sure_it_may_be_the_error_is_0():
    table = reliability(np.repeat([0.25, 0.75], 4), np.array([0, 0, 0, 1, 1, 1, 1, 0.0]), 2)
    assert labels(gl.viz.reliability_figure(table).axes[0].get_legend().get_texts()) == ["ECE 0.000"]


def test_the_error_weighs_bins_by_their_pixels():
    table = reliability(np.array([0.4, 0.8, 0.8, 0.8, 0.8]), np.array([0, 1, 1, 1, 0.0]), 2)
    # one pixel is off by 0.4, four are off by 0.05
    assert labels(gl.viz.reliability_figure(table).axes[0].get_legend().get_texts()) == ["ECE 0.120"]


def test_bins_without_pixels_are_left_out(ten, tmp_path):
    ten.loc[1, ["count", "confidence", "accuracy"]] = 0, np.nan, np.nan
    figure = gl.viz.reliability_figure(ten)
    figure.savefig(tmp_path / "reliability.png")
    (line,) = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert len(line.get_xdata()) == 4
    assert [bar.get_height() for bar in figure.axes[1].patches] == [0.25, 0, 0.25, 0.25, 0.25]


def test_before_and_after_have_colors_and_marks_of_their_own(ten):
    before = ten.assign(accuracy=0.5)
    above, below = gl.viz.reliability_figure(ten, before).axes
    assert labels(above.get_legend().get_texts()) == ["calibrated: ECE 0.120", "before: ECE 0.240"]
    drawn = [line for line in above.lines if line.get_marker() in MARKERS]
    assert [line.get_color() for line in drawn] == list(COLORS[:2])
    assert len({line.get_marker() for line in drawn}) == 2
    assert [bar.get_fill() for bar in below.patches] == [True] * 5 + [False] * 5


def test_a_reliability_with_pixels_is_asked_for(ten):
    with pytest.raises(GlacierlabError, match=r"lacks the columns \['accuracy'\]"):
        gl.viz.reliability_figure(ten.drop(columns="accuracy"))
    with pytest.raises(GlacierlabError, match="No pixel was counted"):
        gl.viz.reliability_figure(ten.assign(count=0))


# ---- comparison


def tidy(values, spread=0.05):
    """A table of a comparison from (model, test, class) → value."""
    rows = [
        (*key, metric, value / way, value / way - spread, value / way + spread)
        for key, value in values.items()
        for metric, way in (("iou", 1), ("f1", 2))
    ]
    return pd.DataFrame(rows, columns=["model", "test", "class", "metric", "value", "low", "high"])


@pytest.fixture
def compared():
    """Three models on two tests: the order of the first test is not that of the second."""
    values = {}
    for model, first, second in (("a", 0.5, 0.9), ("b", 0.8, 0.3), ("c", 0.6, 0.5)):
        for test, value in (("scene 1", first), ("area 1", second)):
            kinds = {"background": 0.99, "clean_ice": value, "debris_covered_ice": value - 0.1}
            values |= {(model, test, kind): found for kind, found in kinds.items()}
    return tidy(values)


def points(ax):
    """(value, model) by the class that a point stands for."""
    names = labels(ax.get_yticklabels())
    return {
        line.get_label(): {names[round(y)]: x for x, y in line.get_xydata()} for line in ax.lines
    }  # fmt: skip


def test_models_stand_in_the_order_of_the_first_test(compared):
    figure = gl.viz.comparison_figure(compared)
    assert [ax.get_title() for ax in figure.axes] == ["scene 1", "area 1"]
    assert labels(figure.axes[0].get_yticklabels()) == ["a", "c", "b"]  # from below
    assert points(figure.axes[0])["clean_ice"] == {"a": 0.5, "b": 0.8, "c": 0.6}
    names = labels(figure.axes[0].get_yticklabels())
    second = {names[round(y)]: x for x, y in figure.axes[1].lines[0].get_xydata()}
    assert second == {"a": 0.9, "b": 0.3, "c": 0.5}
    assert said(figure) == ["clean_ice", "debris_covered_ice"]


def test_intervals_go_from_low_to_high_also_where_they_miss_the_value(compared):
    here = (compared["model"] == "a") & (compared["test"] == "scene 1")
    compared.loc[here, ["low", "high"]] = 0.55, 0.65
    compared.loc[compared["model"] == "c", ["low", "high"]] = np.nan
    ax = gl.viz.comparison_figure(compared, classes=["clean_ice"]).axes[0]
    drawn = [line for line in ax.collections[0].get_segments() if np.isfinite(line).all() and len(line)]
    found = {round(line[0, 1]): line[:, 0].tolist() for line in drawn}
    assert found == {0: [0.55, 0.65], 2: pytest.approx([0.75, 0.85])}
    assert points(ax)["clean_ice"]["c"] == 0.6  # a point without an interval


def test_classes_differ_in_color_and_mark_and_lie_apart(compared):
    ax = gl.viz.comparison_figure(compared).axes[0]
    clean, debris = ax.lines
    assert (clean.get_color(), debris.get_color()) == COLORS[:2]
    assert clean.get_marker() != debris.get_marker()
    np.testing.assert_allclose(clean.get_ydata() - debris.get_ydata(), 0.25)


def test_metric_and_classes_are_chosen(compared):
    figure = gl.viz.comparison_figure(compared, "f1", ["debris_covered_ice", "background"])
    assert said(figure) == ["debris_covered_ice", "background"]
    assert figure.axes[0].get_xlabel() == "F1"
    assert points(figure.axes[0])["background"]["a"] == pytest.approx(0.495)
    with pytest.raises(UnknownNameError, match=r"Unknown metric of the table 'iuo'\. Did you mean 'iou'"):
        gl.viz.comparison_figure(compared, "iuo")
    with pytest.raises(UnknownNameError, match="Unknown class of the table 'clean'"):
        gl.viz.comparison_figure(compared, classes=["clean"])
    with pytest.raises(GlacierlabError, match=r"lacks the columns \['low', 'high'\]"):
        gl.viz.comparison_figure(compared.drop(columns=["low", "high"]))


def test_a_model_that_the_first_test_did_not_see_stands_below(compared):
    late = tidy({("d", "area 1", "clean_ice"): 0.95})
    figure = gl.viz.comparison_figure(pd.concat([compared, late]))
    assert labels(figure.axes[0].get_yticklabels()) == ["d", "a", "c", "b"]


def test_many_tests_fill_rows_and_each_panel_has_its_axis(tmp_path):
    table = tidy({("a", f"area {n}", "glacier"): 0.5 + n / 20 for n in range(5)})
    figure = gl.viz.comparison_figure(table)
    figure.savefig(tmp_path / "comparison.png")
    shown = [ax for ax in figure.axes if ax.axison]
    assert (len(shown), len(figure.axes)) == (5, 8)
    assert all(ax.xaxis.get_tick_params()["labelbottom"] for ax in shown)


# ---- importance


@pytest.fixture
def importance():
    """Two methods, of which one has no repeats; two classes; three groups."""
    values = {"optical": (0.4, 0.1), "terrain": (0.1, 0.3), "glcm": (-0.02, 0.2)}
    rows = [
        (method, kind, group, value * scale, spread)
        for method, scale, spread in (("permutation", 1, 0.01), ("drop group", 0.5, np.nan))
        for group, both in values.items()
        for kind, value in zip(("clean_ice", "debris_covered_ice"), both, strict=True)
    ]
    return pd.DataFrame(rows, columns=["method", "class", "group", "importance", "spread"])


def lengths(ax, names):
    return {names[round(bar.get_y() + bar.get_height() / 2)]: bar.get_width() for bar in ax.patches}


def whiskers(ax):
    """Lines of the spread that are drawn."""
    lines = [line for drawn in ax.collections for line in drawn.get_segments() if len(line)]
    return [line for line in lines if np.isfinite(line).all()]


def test_groups_stand_in_the_order_of_the_first_method(importance):
    figure = gl.viz.importance_figure(importance[importance["method"] == "permutation"])
    clean, debris = figure.axes
    assert (clean.get_title(), debris.get_title()) == ("clean_ice", "debris_covered_ice")
    names = labels(clean.get_yticklabels())
    assert names == ["glcm", "terrain", "optical"]  # from below
    assert lengths(clean, names) == {"optical": 0.4, "terrain": 0.1, "glcm": -0.02}
    assert lengths(debris, names) == {"optical": 0.1, "terrain": 0.3, "glcm": 0.2}


def test_spread_is_drawn_where_there_is_one(importance, tmp_path):
    figure = gl.viz.importance_figure(importance)
    figure.savefig(tmp_path / "importance.png")
    reach = [[np.ptp(line[:, 0]) for line in whiskers(ax)] for ax in figure.axes]
    assert [len(each) for each in reach] == [3, 3, 0, 0]
    np.testing.assert_allclose(reach[:2], 0.02)


def test_methods_have_rows_and_groups_keep_their_color(importance):
    figure = gl.viz.importance_figure(importance)
    titles = ["clean_ice, permutation", "debris_covered_ice, permutation"]
    titles += ["clean_ice, drop group", "debris_covered_ice, drop group"]
    assert [ax.get_title() for ax in figure.axes] == titles
    names = labels(figure.axes[0].get_yticklabels())
    for ax in figure.axes:
        colors = {
            names[round(bar.get_y() + bar.get_height() / 2)]: to_hex(bar.get_facecolor()).upper()
            for bar in ax.patches
        }
        assert colors == dict(zip(("optical", "terrain", "glcm"), COLORS, strict=False))


def test_a_group_that_was_not_measured_leaves_its_place_empty(importance):
    some = importance.drop(importance.query("method == 'drop group' and group == 'glcm'").index)
    figure = gl.viz.importance_figure(some)
    assert [len(ax.patches) for ax in figure.axes] == [3, 3, 2, 2]


def test_a_table_of_importance_is_asked_for(importance):
    with pytest.raises(GlacierlabError, match=r"lacks the columns \['group'\].*gl.importance"):
        gl.viz.importance_figure(importance.rename(columns={"group": "layer"}))
