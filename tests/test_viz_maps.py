"""Figures of a model's map of a scene: probabilities side by side, doubt, errors."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_rgb

import glacierlab as gl
from glacierlab.errors import GlacierlabError, UnknownNameError
from glacierlab.tables import CLASSES
from glacierlab.viz.figures import REFERENCE
from glacierlab.viz.maps import UNSEEN

NAMES = ["background", "clean_ice", "glacial_lake"]
CODES = [0, 1, 3]


@pytest.fixture
def prediction():
    """A prediction of 4 x 6 pixels, one of them not observed."""
    rng = np.random.default_rng(0)
    probability = rng.dirichlet([1, 1, 1], (4, 6)).transpose(2, 0, 1).astype("float32")
    codes = np.array(CODES, "uint8")[probability.argmax(axis=0)]
    probability[:, 0, 0], codes[0, 0] = np.nan, 255
    doubt = np.where(codes == 255, np.nan, rng.random((4, 6)).astype("float32"))
    found = xr.Dataset(
        {
            "probability": (("class", "y", "x"), probability),
            "class_map": (
                ("y", "x"), codes, {"flag_values": CODES, "flag_meanings": " ".join(NAMES)},
            ),
            "entropy": (("y", "x"), doubt),
            "spread": (("y", "x"), doubt / 2),
        },
        {"class": NAMES, "y": 3000.0 - 30 * np.arange(4), "x": 500_000.0 + 30 * np.arange(6)},
    )  # fmt: skip
    return found.rio.write_crs("EPSG:32645")


def pictures(figure):
    """What is drawn, by title."""
    return {ax.get_title(): ax.images[0] for ax in figure.axes if ax.images}


def test_probabilities_lie_side_by_side_on_one_scale(prediction):
    less = prediction.assign(probability=prediction.probability / 2)
    figure = gl.viz.probability_figure({"first": prediction, "second": less}, "clean_ice", title="ice")
    found = pictures(figure)
    assert list(found) == ["first", "second"]
    expected = prediction.probability.values[1]
    np.testing.assert_array_equal(found["first"].get_array().filled(np.nan), expected)
    np.testing.assert_array_equal(found["second"].get_array().filled(np.nan), expected / 2)
    assert {image.get_clim() for image in found.values()} == {(0, 1)}
    assert found["first"].get_extent() == pytest.approx([0, 0.18, 0, 0.12])  # km
    assert figure.axes[-1].get_ylabel() == "probability of clean_ice"
    assert figure.get_suptitle() == "ice"


def test_north_is_above_however_the_raster_lies(prediction):
    turned = prediction.isel(y=slice(None, None, -1))
    one, two = (
        pictures(gl.viz.probability_figure({"": each}, "clean_ice"))[""] for each in (prediction, turned)
    )
    np.testing.assert_array_equal(one.get_array().filled(9), two.get_array().filled(9))


def test_a_class_that_is_not_there_is_named(prediction):
    with pytest.raises(UnknownNameError, match=r"Unknown class 'clean'\. Did you mean 'clean_ice'"):
        gl.viz.probability_figure({"first": prediction}, "clean")


def test_doubt_stands_beside_the_map_and_what_is_wrong(prediction, tmp_path):
    truth = prediction.class_map.copy()
    truth[1, 1] = 0 if truth[1, 1] else 1
    truth[2, 2] = 255
    figure = gl.viz.uncertainty_figure(prediction, truth)
    figure.savefig(tmp_path / "doubt.png")
    found = pictures(figure)
    assert [name for name in found if name] == ["class map", "entropy", "spread", "not the truth"]
    np.testing.assert_array_equal(found["entropy"].get_array().filled(np.nan), prediction.entropy)
    assert (found["entropy"].get_clim(), found["spread"].get_clim()) == ((0, 1), (0, 0.5))
    colors = dict(zip(CODES, (to_rgb(CLASSES[name].color) for name in NAMES), strict=True)) | {
        255: to_rgb(UNSEEN)
    }
    shown, wrong = (found[name].get_array() for name in ("class map", "not the truth"))
    for y, x in np.ndindex(4, 6):
        assert tuple(shown[y, x]) == colors[int(prediction.class_map[y, x])]
        unknown = (y, x) in ((0, 0), (2, 2))
        expected = UNSEEN if unknown else REFERENCE if (y, x) == (1, 1) else "white"
        assert tuple(wrong[y, x]) == to_rgb(expected)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [*NAMES, "not observed", "not the truth"]


def test_without_truth_and_with_one_doubt_there_are_two_panels(prediction):
    figure = gl.viz.uncertainty_figure(prediction.drop_vars("spread"))
    assert [name for name in pictures(figure) if name] == ["class map", "entropy"]


def test_doubt_is_asked_for(prediction):
    with pytest.raises(GlacierlabError, match=r'ask for uncertainty=\["entropy"\]'):
        gl.viz.uncertainty_figure(prediction.drop_vars(["entropy", "spread"]))
    with pytest.raises(GlacierlabError, match=r"The truth has .*'y': 3.*, the map .*'y': 4"):
        gl.viz.uncertainty_figure(prediction, prediction.class_map[:3])
