"""Figures of what a model says against the truth: pixels by class, patches side by side."""

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb

import glacierlab as gl
from glacierlab.errors import GlacierlabError, UnknownNameError
from glacierlab.tables import CLASSES
from glacierlab.viz.figures import REFERENCE
from glacierlab.viz.predictions import MAX_ROWS

NAMES = ("background", "clean_ice", "debris_covered_ice")
FEATURES = ("slope", "green", "nir", "swir16")
PINK = to_rgb(REFERENCE)


def said(figure):
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


# ---- confusion


def test_rows_are_actual_and_written_in_percent():
    # of 40 pixels of ice 30 were found and 10 were not; of 60 others 5 were taken for ice
    (ax,) = gl.viz.confusion_figure([[55, 5], [10, 30]], ["background", "glacier"]).axes
    written = {tuple(text.get_position()): text.get_text() for text in ax.texts}
    assert written == {(0, 0): "91.7", (1, 0): "8.3", (0, 1): "25.0", (1, 1): "75.0"}
    assert [text.get_text() for text in ax.get_yticklabels()] == ["background\n60 px", "glacier\n40 px"]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["background", "glacier"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted", "actual")
    np.testing.assert_allclose(ax.images[0].get_array(), [[55 / 60, 5 / 60], [0.25, 0.75]])


def test_text_is_white_on_dark_and_black_on_light():
    (ax,) = gl.viz.confusion_figure([[95, 5], [5, 95]], ["a", "b"]).axes
    image = ax.images[0]
    for text in ax.texts:
        x, y = text.get_position()
        cell = np.dot(image.get_cmap()(image.norm(image.get_array()[y, x]))[:3], (0.2126, 0.7152, 0.0722))
        assert abs(cell - (text.get_color() == "white")) > 0.4


def test_nearly_all_is_not_all_and_nearly_none_not_none():
    (ax,) = gl.viz.confusion_figure([[99_999, 1, 0], [0, 100, 0], [0, 0, 7]], NAMES).axes
    assert [text.get_text() for text in ax.texts][:5] == ["> 99.9", "< 0.1", "0", "0", "100"]


def test_a_class_without_pixels_has_no_shares(tmp_path):
    figure = gl.viz.confusion_figure(np.array([[5, 0], [0, 0]], np.int64), ["background", "glacier"])
    figure.savefig(tmp_path / "confusion.png")
    assert [text.get_text() for text in figure.axes[0].texts] == ["100", "0"]


def test_a_matrix_that_fits_its_classes_is_asked_for():
    with pytest.raises(GlacierlabError, match=r"is \(2, 2\), and this one is \(4, 2, 2\): sum"):
        gl.viz.confusion_figure(np.ones((4, 2, 2)), ["background", "glacier"])


# ---- patches


@pytest.fixture
def patches():
    """Two patches of 4 x 5 with their labels, of which some are not observed, and a prediction."""
    random = np.random.default_rng(0)
    images = random.normal(size=(2, 4, 4, 5)).astype("float32")
    labels = random.integers(0, 3, (2, 4, 5)).astype("uint8")
    predicted = labels.astype("int64")
    predicted[0, 0, :2] = (predicted[0, 0, :2] + 1) % 3
    labels[1, :2] = 255
    return images, labels, predicted


def drawn(figure):
    """Pictures by row and column."""
    pictures = [ax.images[0].get_array() for ax in figure.axes]
    return [pictures[row : row + 4] for row in range(0, len(pictures), 4)]


def test_rows_are_patches_and_columns_what_was_seen_known_and_said(patches):
    _, labels, predicted = patches
    figure = gl.viz.prediction_figure(*patches, FEATURES, NAMES)
    assert [ax.get_title() for ax in figure.axes[:4]] == [
        "swir16, nir, green", "label", "prediction", "where they differ",
    ]  # fmt: skip
    color = lambda code: to_rgb("white" if code == 255 else CLASSES[NAMES[code]].color)
    for number, (_, label, said_by_model, differ) in enumerate(drawn(figure)):
        for y, x in np.ndindex(4, 5):
            code = labels[number, y, x]
            assert tuple(label[y, x]) == color(code)
            assert tuple(said_by_model[y, x]) == color(predicted[number, y, x])
            pink = code != 255 and code != predicted[number, y, x]
            assert (tuple(differ[y, x]) == PINK) == pink
            assert (tuple(differ[y, x]) == (1, 1, 1)) == (code == 255)
    assert said(figure) == [*NAMES, "not observed", "differs"]


def test_the_composite_has_one_stretch_for_all_patches(patches):
    images = patches[0]
    shown = drawn(gl.viz.prediction_figure(*patches, FEATURES, NAMES))
    for band, name in enumerate(("swir16", "nir", "green")):
        values = images[:, FEATURES.index(name)]
        low, high = np.percentile(values, (2, 98))
        expected = np.clip((values - low) / (high - low), 0, 1) ** 0.8
        np.testing.assert_allclose([row[0][..., band] for row in shown], expected, rtol=1e-5)


def test_features_are_chosen_by_name(patches):
    chosen = ("slope", "green", "nir")
    shown = drawn(gl.viz.prediction_figure(*patches, FEATURES, NAMES, names=chosen))
    order = [FEATURES.index(name) for name in chosen]
    other = drawn(gl.viz.prediction_figure(patches[0][:, order], *patches[1:], chosen, NAMES))
    for one, two in zip(shown, other, strict=True):
        np.testing.assert_array_equal(one[0], two[0])
    with pytest.raises(UnknownNameError, match=r"Unknown feature 'swir15'\. Did you mean 'swir16'"):
        gl.viz.prediction_figure(*patches, FEATURES, NAMES, names=("swir15", "nir", "green"))


def test_one_feature_is_gray_and_what_is_missing_white(patches, tmp_path):
    image = patches[0][:, :1].copy()
    image[0, 0, 0, 0] = np.nan
    figure = gl.viz.prediction_figure(image, *patches[1:], ["slope"], NAMES)
    figure.savefig(tmp_path / "patches.png")
    picture = drawn(figure)[0][0]
    assert np.ptp(picture, axis=-1).max() == 0
    assert picture[0, 0].tolist() == [1, 1, 1]


def test_other_classes_have_colors_of_their_own(patches):
    classes = ("snow", "bare_ice", "background")
    (legend,) = gl.viz.prediction_figure(*patches, FEATURES, classes).legends
    colors = [to_hex(patch.get_facecolor()) for patch in legend.get_patches()]
    assert len(set(colors)) == len(colors) == 5
    assert colors[2] == CLASSES["background"].color


def test_classes_differ_for_color_blind_readers_in_lightness_too():
    four = ("background", "clean_ice", "debris_covered_ice", "glacial_lake")
    colors = [*(to_rgb(CLASSES[name].color) for name in four), (1, 1, 1)]
    assert min(np.diff(np.sort([np.dot(color, (0.2126, 0.7152, 0.0722)) for color in colors]))) > 0.04


def test_the_first_patches_of_many_are_drawn(patches):
    images, labels, predicted = (np.repeat(each, 10, axis=0) for each in patches)
    assert len(drawn(gl.viz.prediction_figure(images, labels, predicted, FEATURES, NAMES))) == MAX_ROWS


def test_masks_are_classes_too(patches):
    images, labels, predicted = patches
    figure = gl.viz.prediction_figure(
        images, labels == 1, predicted == 1, FEATURES, ("background", "glacier")
    )
    assert said(figure) == ["background", "glacier", "differs"]
    for row, mask in zip(drawn(figure), labels == 1, strict=True):
        assert (np.all(row[1] == np.float32(to_rgb(CLASSES["glacier"].color)), axis=-1) == mask).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i, y, p: (i[0], y, p), r"images are \(4, 4, 5\): give one patch or more"),
        (lambda i, y, p: (i[:, :3], y, p), r"of \['slope', 'green', 'nir', 'swir16'\]"),
        (lambda i, y, p: (i[:0], y[:0], p[:0]), "give one patch or more"),
        (lambda i, y, p: (i, y[:1], p), r"labels are \(1, 4, 5\), but images"),
        (lambda i, y, p: (i, y, i), r"predicted are \(2, 4, 4, 5\), but .* a class a pixel"),
        (lambda i, y, p: (i, y, p + 5), r"predicted hold \[5, 6, 7\], which are no places"),
        (lambda i, y, p: (i, y + 0.5, p), r"labels hold \[0.5"),
    ],
)
def test_what_does_not_go_together_is_refused(patches, change, message):
    with pytest.raises(GlacierlabError, match=message):
        gl.viz.prediction_figure(*change(*patches), FEATURES, NAMES)
