"""Figures of splits: every patch in its part's color, leaks hatched with what leaks, far scenes in panels."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from manifests import grid, patches
from matplotlib.colors import to_hex, to_rgb

import glacierlab as gl
from glacierlab.viz.samples import BUFFER_COLOR, MAX_PLACES
from glacierlab.viz.stacks import COLORS


@pytest.fixture
def blocks():
    return gl.samples.split(grid(10), by="blocks", block_m=480, buffer_m=200, shares=(0.6, 0.2, 0.2))


def filled(ax):
    """The collections of patches, by color, hatches left out."""
    found = [c for c in ax.collections if not c.get_hatch()]
    return {to_hex(c.get_facecolor()[0]).upper(): c for c in found}


def said(figure):
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def corners(collection):
    """Lower left corners of drawn squares."""
    return {tuple(np.round(path.vertices.min(axis=0), 6)) for path in collection.get_paths()}


def test_every_patch_is_drawn_where_it_lies_in_the_color_of_its_part(blocks):
    (ax,) = gl.viz.split_figure(blocks).axes
    drawn = filled(ax)
    left, bottom, right, top = blocks.total_bounds
    for name, color in zip(
        ["train", "validation", "test", "buffer"], [*COLORS[:3], BUFFER_COLOR], strict=True
    ):
        bounds = blocks[blocks["split"] == name].bounds
        expected = {
            ((x - left) / 1000, (y - bottom) / 1000) for x, y in zip(bounds.minx, bounds.miny, strict=True)
        }
        assert corners(drawn[color.upper()]) == {tuple(np.round(corner, 6)) for corner in expected}
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("east [km]", "north [km]")
    assert ax.get_xlim() == (0, pytest.approx((right - left) / 1000))
    assert ax.get_ylim() == (0, pytest.approx((top - bottom) / 1000))


def test_the_legend_counts_patches(blocks):
    counts = blocks["split"].value_counts()
    names = ["buffer", "train", "validation", "test"]
    assert said(gl.viz.split_figure(blocks)) == [f"{name} ({counts[name]})" for name in names]


def test_parts_of_other_names_have_colors_of_their_own():
    figure = gl.viz.split_figure(grid(2).assign(split=["area1", "area2", "area3", "train"]))
    assert len(filled(figure.axes[0])) == 4
    assert said(figure) == ["train (1)", "area1 (1)", "area2 (1)", "area3 (1)"]


def test_parts_differ_for_color_blind_readers_in_lightness_too():
    light = [np.dot(to_rgb(color), (0.2126, 0.7152, 0.0722)) for color in (*COLORS[:3], BUFFER_COLOR)]
    assert min(np.diff(np.sort(light))) > 0.04


def test_offenders_are_hatched_by_what_they_leak():
    made = patches(
        [0, 0, 40, 80, 80], [0, 8, 0, 0, 16], glaciers=[("g",), (), (), (), ("g",)]
    ).assign(split=["train", "test", "train", "train", "test"])  # fmt: skip
    found = gl.samples.audit(made)
    assert set(found.offenders["leak"]) == {"overlap, glaciers", "overlap", "glaciers"}
    figure = gl.viz.split_figure(made, found)
    hatched = [c for c in figure.axes[0].collections if c.get_hatch()]
    assert sum(len(c.get_paths()) for c in hatched) == len(found.offenders) == 3
    assert len({c.get_hatch() for c in hatched}) == 3
    assert said(figure)[2:] == [f"leaks: {kind} (1)" for kind in found.offenders["leak"]]


def test_a_clean_audit_adds_nothing(blocks):
    figure = gl.viz.split_figure(blocks, gl.samples.audit(blocks))
    assert not any(c.get_hatch() for c in figure.axes[0].collections)
    assert not any("leaks" in text for text in said(figure))


def test_patches_lie_on_their_scene(made):
    cut = gl.samples.PatchSet.from_scenes(made, made.truth, ["red"], size=40)
    manifest = cut.split(by="blocks", block_m=1200).manifest
    figure = gl.viz.split_figure(manifest, scenes=made, title="on a scene")
    (ax,) = figure.axes
    assert ax.images[0].get_array().shape == (160, 200)
    assert ax.get_xlim() == pytest.approx((0, 6))  # 200 pixels of 30 m
    x, y = np.transpose([c for part in filled(ax).values() for c in corners(part)])
    assert (x.min(), y.max()) == pytest.approx((0, 3.6))
    assert figure.get_suptitle() == "on a scene"


def far(count):
    """Scenes 50 km apart, four patches each."""
    parts = [
        grid(2, scenes=f"s{n}").set_geometry(grid(2).geometry.translate(50_000 * n)) for n in range(count)
    ]
    manifest = gpd.GeoDataFrame(pd.concat(parts, ignore_index=True), crs=parts[0].crs)
    return manifest.assign(split=np.resize(["train", "test"], len(manifest)))


def test_scenes_far_apart_have_panels_and_dates_of_one_place_share_theirs():
    manifest = far(5)
    second = manifest[manifest["scene"] == "s1"].assign(scene="later")
    figure = gl.viz.split_figure(pd.concat([manifest, second], ignore_index=True))
    shown = [ax for ax in figure.axes if ax.axison]
    assert [ax.get_title() for ax in shown] == ["s0", "s1 and 1 more", "s2", "s3", "s4"]
    assert len(figure.axes) == 8  # three places of the second row are empty
    counts = [sum(len(c.get_paths()) for c in ax.collections) for ax in shown]
    assert counts == [
        4,
        2,
        4,
        4,
        4,
    ]  # squares; of two dates, which would hide each other, the ground of each part
    assert all(ax.get_xlim()[1] < 1 for ax in shown)  # km: zoomed to the place


def test_many_places_are_marks_on_one_map():
    manifest = far(MAX_PLACES + 1)
    figure = gl.viz.split_figure(manifest, gl.samples.audit(manifest, min_distance_m=100))
    (ax,) = figure.axes
    assert [(c.get_label(), len(c.get_offsets())) for c in ax.collections] == [
        ("train", 26),
        ("test", 26),
        ("leaks", 52),
    ]
    assert ax.collections[0].get_offsets()[:, 0].max() == pytest.approx(600, abs=1)


def test_the_figure_is_saved_without_pyplot(blocks, tmp_path):
    gl.viz.split_figure(blocks, gl.samples.audit(blocks)).savefig(tmp_path / "split.png")
    assert (tmp_path / "split.png").stat().st_size > 1000
