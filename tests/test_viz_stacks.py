"""Figures of stacks: what they show, and how."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.colors import to_hex

import glacierlab as gl
from glacierlab.viz.stacks import COLORS

NAMES = ["red", "ndsi", "elevation"]


@pytest.fixture
def stack(made):
    return made.glacier.stack(NAMES)


def drawn(figure):
    """The panels that hold a picture, and their values."""
    panels = [ax for ax in figure.axes if ax.images]
    return panels, [ax.images[0].get_array() for ax in panels]


def test_every_feature_is_a_picture_under_its_name(stack):
    figure = gl.viz.stack_figure(stack, columns=2, title="three layers")
    panels, values = drawn(figure)
    assert [ax.get_title().split("\n")[0] for ax in panels] == NAMES
    assert figure.get_suptitle() == "three layers"
    for picture, feature in zip(values, stack, strict=True):
        np.testing.assert_array_equal(picture, feature)
    assert not any(ax.axison for ax in figure.axes)  # the fourth place is empty


def test_one_feature_takes_one_place(stack):
    assert len(gl.viz.stack_figure(stack[:1]).axes) == 1


def test_color_scales_say_their_ends_and_center_signed_features_on_zero(stack):
    panels, _ = drawn(gl.viz.stack_figure(stack))
    red, ndsi, elevation = (ax.images[0] for ax in panels)
    np.testing.assert_allclose(red.get_clim(), np.percentile(stack[0], (2, 98)), rtol=1e-6)
    assert (red.get_cmap().name, ndsi.get_cmap().name) == ("gray", "RdBu_r")
    assert ndsi.get_clim()[0] == -ndsi.get_clim()[1]
    low, high = elevation.get_clim()
    assert panels[2].get_title() == f"elevation\n{low:.0f} … {high:.0f}"


def test_pictures_lie_north_up_and_the_mask_with_them(stack):
    mask = stack[0] * 0 > 1
    mask[:40, :60] = True  # in the north west
    turned = dict(y=slice(None, None, -1), x=slice(None, None, -1))
    first = gl.viz.stack_figure(stack, mask=mask)
    second = gl.viz.stack_figure(stack.isel(turned), mask=mask.isel(turned))
    for one, other in zip(drawn(first)[1], drawn(second)[1], strict=True):
        np.testing.assert_array_equal(one, other)
    for figure in (first, second):
        (border,) = figure.axes[0].collections
        corner = np.vstack([path.vertices for path in border.get_paths()])
        assert corner[:, 0].max() == pytest.approx(60 * 0.03, abs=0.03)  # [km]; pixels of 30 m
        assert corner[:, 1].min() == pytest.approx((160 - 40) * 0.03, abs=0.03)


def test_no_data_is_neither_black_nor_white(stack):
    stack[0, :20] = np.nan
    (ax, *_), (values, *_) = drawn(gl.viz.stack_figure(stack))
    picture = ax.images[0]
    color = picture.get_cmap()(picture.norm(values))[0, 0, :3]
    assert np.ptp(color) > 0.1  # grays have no color


@pytest.mark.parametrize("value", [np.nan, 3.0])
def test_empty_and_constant_features_are_drawn(stack, value, tmp_path):
    stack[1] = value
    gl.viz.stack_figure(stack).savefig(tmp_path / "stack.png")


def test_large_stacks_are_thinned():
    grid = dict(y=np.arange(3000.0)[::-1], x=np.arange(100.0))
    values = xr.DataArray(
        np.ones((1, 3000, 100), "float32"), grid | {"feature": ["a"]}, ("feature", "y", "x")
    )
    _, (picture,) = drawn(gl.viz.stack_figure(values.rio.write_crs("EPSG:32645")))
    assert picture.shape == (1500, 50)


def test_loadings_are_written_with_their_bands_and_shares(made):
    bands = made[["green", "red", "swir16"]].to_dataarray("feature")
    pca = gl.features.PCA.fit(bands, components=2)
    (ax,) = gl.viz.loadings_figure(pca).axes
    assert [text.get_text() for text in ax.get_xticklabels()] == ["green", "red", "swir16"]
    shares = [f"pc{i} ({share:.1%})" for i, share in enumerate(pca.explained_variance_ratio, 1)]
    assert [text.get_text() for text in ax.get_yticklabels()] == shares
    np.testing.assert_allclose(
        [float(text.get_text()) for text in ax.texts], np.ravel(pca.loadings), atol=0.005
    )


def test_separation_has_the_best_above_and_a_color_for_each_group():
    found = pd.Series({"red": 0.55, "slope": 0.9, "nir": 0.6})
    (ax,) = gl.viz.separation_figure(found, {"optical": ["red", "nir"], "terrain": ["slope"]}).axes
    assert [text.get_text() for text in ax.get_yticklabels()] == ["red", "nir", "slope"]  # from below
    assert [bar.get_x() + bar.get_width() for bar in ax.patches] == pytest.approx([0.55, 0.6, 0.9])
    colors = [to_hex(bar.get_facecolor()).upper() for bar in ax.patches]
    assert colors == [COLORS[0], COLORS[0], COLORS[1]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["optical", "terrain"]
