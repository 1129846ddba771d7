"""PatchSet: splits, twins, and input that is refused."""

import numpy as np
import pytest
from labeled import FLAGS, made_labels, made_outlines, made_scene
from pyproj import Geod

import glacierlab as gl
from glacierlab.errors import GlacierlabError, GridError, ManifestError, MissingBandError, UnknownNameError
from glacierlab.samples import PatchSet

NAMES = "abcdef"
CLASSES = ["background", "glacier"]


@pytest.fixture
def scenes():
    return {name: made_scene(seed=n, west=500_000 + 20_000 * n) for n, name in enumerate(NAMES)}


@pytest.fixture
def labels(scenes):
    return {name: made_labels(scene) for name, scene in scenes.items()}


# ---- parts


def test_splits_subsets_and_folds(scenes, labels):
    patches = PatchSet.from_scenes(scenes, labels, size=16).split(shares=(0.5, 0.25, 0.25))
    parts = [patches.subset(part) for part in ("train", "validation", "test")]
    assert sum(map(len, parts)) == len(patches) == 36
    assert patches.audit().ok
    assert "train 18" in repr(patches)
    for part in parts:
        row = part.manifest.iloc[3]
        image, _ = part[3]
        window = scenes[row["scene"]].isel(
            y=slice(row["row"], row["row"] + 16), x=slice(row["col"], row["col"] + 16)
        )
        np.testing.assert_array_equal(image[1], np.nan_to_num(window.nir.values))
    tested = [each.subset("test").manifest for each in patches.folds(3)]
    assert sorted(np.concatenate([each.index for each in tested])) == list(range(36))
    with pytest.raises(UnknownNameError, match="Did you mean 'train'"):
        patches.subset("trian")
    with pytest.raises(ManifestError, match=r"patches\.split"):
        PatchSet.from_scenes(scenes, labels, size=16).subset("train")


@pytest.mark.parametrize("shared", ["object", "id"])
def test_scenes_of_one_label_are_twins_that_never_part(scenes, labels, shared):
    dates = {f"{name}{year}": made_scene(seed=100 * n + year, west=500_000 + 20_000 * n)
             for n, name in enumerate(NAMES) for year in (1, 2)}  # fmt: skip
    of = {date: labels[date[0]] if shared == "object" else labels[date[0]].copy() for date in dates}
    ids = {"label_ids": {date: date[0] for date in dates}} if shared == "id" else {}
    patches = PatchSet.from_scenes(dates, of, size=16, **ids)
    assert patches.manifest["label"].nunique() == len(patches) / 2
    for seed in range(5):
        parted = patches.split(by="scene", shares=(0.5, 0.5), names=("train", "test"), seed=seed)
        assert (parted.manifest.groupby("label")["split"].nunique() == 1).all()
        assert parted.audit().ok
    leaky = patches.with_split(
        ["train" if name.endswith("1") else "test" for name in patches.manifest["scene"]]
    )
    found = leaky.audit()
    assert not found.ok
    assert found.table["labels"].item() == len(patches) / 2
    assert set(found.offenders["leak"]) == {"overlap, labels"}


def test_a_random_split_of_overlapping_patches_fails_the_audit(scenes, labels):
    patches = PatchSet.from_scenes(scenes, labels, size=16, stride=8).split("random", leaks=True)
    assert not patches.audit().ok
    glaciers = made_outlines(scenes["a"])
    one = PatchSet.from_scenes(scenes["a"], labels["a"], size=8, glaciers=glaciers)
    found = one.with_split(["train", "test"] * (len(one) // 2)).audit()
    assert found.table["glaciers"].item() > 0


def test_regions_reach_the_manifest(scenes, labels):
    regions = dict(zip(scenes, ["139036", "139035", "133035", "136037", "137036", "138035"], strict=True))
    patches = PatchSet.from_scenes(scenes, labels, size=16, regions=regions).split(shares="chen2022_scene2")
    assert list(patches.manifest.groupby("split")["scene"].agg(set)) == [{"b", "f"}, {"c"}, {"d"}, {"a", "e"}]


def test_scenes_of_several_crs_get_one_equal_area_manifest():
    near, far = made_scene(), made_scene(seed=1, north=5_200_000)
    far = far.drop_vars("spatial_ref").rio.write_crs("EPSG:32633")
    scenes = {"near": near, "far": far}
    patches = PatchSet.from_scenes(scenes, {n: made_labels(s) for n, s in scenes.items()}, size=20)
    assert patches.manifest.crs.is_projected
    assert patches.manifest.area.to_numpy() == pytest.approx(200**2, rel=1e-2)  # UTM's own scale
    centers = patches.manifest.centroid
    degrees = centers.to_crs(4326)
    true = Geod(ellps="WGS84").inv(
        degrees.x.iloc[0], degrees.y.iloc[0], degrees.x.iloc[-1], degrees.y.iloc[-1]
    )[2]
    assert true > 400_000
    assert centers.iloc[0].distance(centers.iloc[-1]) == pytest.approx(true, rel=0.01)
    assert PatchSet.from_scenes(near, made_labels(near), size=20, crs=3035).manifest.crs == "EPSG:3035"


def test_a_scene_in_degrees_gets_a_manifest_in_meters():
    scene = made_scene()
    degrees = scene.drop_vars("spatial_ref").assign_coords(
        y=46 - 1e-4 * np.arange(40), x=8 + 1e-4 * np.arange(50)
    )
    degrees = degrees.rio.write_crs(4326)
    patches = PatchSet.from_scenes(degrees, made_labels(degrees), size=20)
    true = [Geod(ellps="WGS84").geometry_area_perimeter(s)[0] for s in patches.manifest.to_crs(4326).geometry]
    assert patches.manifest.area.to_numpy() == pytest.approx(np.abs(true), rel=1e-5)


# ---- refused


def test_a_scene_comes_once(scenes, labels):
    scene, label = scenes["a"], labels["a"]
    for twice in (scene, scene.copy(deep=True), scene.chunk(y=7)):
        with pytest.raises(ManifestError, match=r"'b'.*'a'.*once"):
            PatchSet.from_scenes({"a": scene, "b": twice}, label, size=16)
    later = made_scene(seed=9)  # another date of the same place
    assert len(PatchSet.from_scenes({"a": scene, "b": later}, label, size=16)) == 12
    static = {"a": scene.assign(elevation=scene.red), "b": later.assign(elevation=scene.red)}
    assert len(PatchSet.from_scenes(static, label, ["elevation", "red"], size=16)) == 12


def shifted(scene, meters):
    return scene.assign_coords(x=scene.x + meters)


GRID = r"scene\.glacier\.add_layer"
REFUSED = {
    "another CRS": (lambda s, n: dict(labels=n.drop_vars("spatial_ref").rio.write_crs(32633)), GridError,
                    rf"EPSG:32633.*EPSG:32632.*{GRID}"),
    "no CRS": (lambda s, n: dict(labels=n.drop_vars("spatial_ref")), GridError, "needs a CRS"),
    "no overlap": (lambda s, n: dict(labels=shifted(n, 1e5)), GridError, "does not overlap"),
    "half a pixel aside": (lambda s, n: dict(labels=shifted(n, 5)), GridError, GRID),
    "another size": (lambda s, n: dict(labels=n[:-1]), GridError, rf"39 x 50 pixels.*40 x 50.*{GRID}"),
    "labels of dates": (lambda s, n: dict(labels=n.expand_dims(time=2)), GridError, r"not \(y, x\)"),
    "labels of no kind": (lambda s, n: dict(labels=n.values), GlacierlabError, "ndarray"),
    "an unknown code": (lambda s, n: dict(labels=n.where(n != 1, 77)), UnknownNameError, "77, which is none"),
    "a code not asked": (lambda s, n: dict(classes=["background", "clean_ice"]), UnknownNameError,
                         r"(debris_covered_ice|glacial_lake)\)"),
    "no code": (lambda s, n: dict(labels=n + 0.5), UnknownNameError, r"hold \d+\.5"),
    "an unknown class": (lambda s, n: dict(classes=["background", "clean_ize"]), UnknownNameError,
                         "Did you mean 'clean_ice'"),
    "outlines elsewhere": (lambda s, n: dict(labels=made_outlines(shifted(s, 1e5))), GridError,
                           "do not overlap"),
    "outlines without CRS": (lambda s, n: dict(labels=made_outlines(s).set_crs(None, allow_override=True)),
                             GridError, "have no CRS"),
    "outlines of no class": (lambda s, n: dict(labels=made_outlines(s, **{"class": ["glacier", None, "x"]})),
                             UnknownNameError, "1 outlines"),
    "outlines of another class": (
        lambda s, n: dict(labels=made_outlines(s, **{"class": ["rock", "rock", "glacier"]}), classes=CLASSES),
        UnknownNameError, "lack some"),
    "too small": (lambda s, n: dict(size=41), GridError, r"40 x 50 pixels.*patch of 41"),
    "stride 0": (lambda s, n: dict(stride=0), GlacierlabError, "stride=0"),
    "size in floats": (lambda s, n: dict(size=16.0), GlacierlabError, r"size=16\.0"),
    "a share above 1": (lambda s, n: dict(min_valid=50), GlacierlabError, "min_valid=50"),
    "fill of NaN": (lambda s, n: dict(fill=np.nan), GlacierlabError, "fill=nan"),
    "all ignored": (lambda s, n: dict(ignore=n >= 0), ManifestError, "None of 6 patches is left"),
    "too much asked": (lambda s, n: dict(min_glacier=1), ManifestError, r"best have .* glacier"),
    "ignore by numbers": (lambda s, n: dict(ignore=n), GlacierlabError, "DataArray of bool"),
    "labels of other scenes": (lambda s, n: dict(labels={"other": n}), GlacierlabError,
                               r"\['other'\].*\['scene'\]"),
    "a missing band": (lambda s, n: dict(layers=["red", "blue"]), MissingBandError, "blue"),
    "one name": (lambda s, n: dict(layers="red"), GlacierlabError, "list of names"),
    "a band twice": (lambda s, n: dict(layers=["red", "red"]), GlacierlabError, "once"),
    "a recipe as it is written": (lambda s, n: dict(layers=gl.Recipe(["red"])), GlacierlabError,
                                  "not fitted"),
    "no scene": (lambda s, n: dict(scenes={}, labels={}), GlacierlabError, "there is none"),
    "a path": (lambda s, n: dict(scenes="scene.tif"), GlacierlabError, "is a str"),
    "dates": (lambda s, n: dict(scenes=s.expand_dims(time=2)), GridError, "isel"),
    "a stack without a feature": (
        lambda s, n: dict(scenes=s.to_dataarray("feature"), layers=["blue"]), GlacierlabError,
        r"lacks \['blue'\]"),
    "glaciers without ids": (lambda s, n: dict(glaciers=made_outlines(s).drop(columns="rgi_id")),
                             GlacierlabError, "rgi_id"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_says_what_to_do(case):
    scene = made_scene()
    change, error, message = REFUSED[case]
    given = {"scenes": scene, "labels": made_labels(scene), "size": 16}
    with pytest.raises(error, match=message) as told:
        PatchSet.from_scenes(**given | change(scene, given["labels"]))
    assert "\n" not in str(told.value)


def test_the_advice_for_labels_of_another_grid_works(scenes):
    scene = scenes["a"]
    coarse = made_labels(made_scene((20, 25)).assign_coords(
        {dim: scene[dim].values.reshape(-1, 2).mean(axis=1) for dim in ("y", "x")}))  # fmt: skip
    brought = gl.io.align.add_layer(scene, "labels", coarse, resampling="nearest")["labels"]
    patches = PatchSet.from_scenes(scene, brought.assign_attrs(FLAGS), size=16)
    assert patches.classes[0] == "background"
    _, label = PatchSet.from_scenes(made_scene(holes=0), brought.assign_attrs(FLAGS), size=40)[0]
    np.testing.assert_array_equal(label, np.kron(coarse.values, np.ones((2, 2)))[:, :40])


def test_a_split_that_leaves_a_part_empty_is_refused(scenes, labels):
    with pytest.raises(ManifestError, match="would be empty"):
        PatchSet.from_scenes(scenes["a"], labels["a"], size=16).split()


def test_a_stack_needs_its_dims(scenes, labels):
    stack = scenes["a"].to_dataarray("feature").rename(x="column")
    with pytest.raises(GridError, match="has dims"):
        PatchSet.from_scenes(stack, labels["a"], size=16)
