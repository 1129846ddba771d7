"""Whole scenes judged: by the maps that predict makes, counted with scikit-learn and patch by patch."""

import numpy as np
import pytest
import shapely

import glacierlab as gl
from glacierlab.errors import GlacierlabError, GridError, MissingBandError, UnknownNameError

torch = pytest.importorskip("torch")

from judging import BINARY, HALF, RED, carded, linear, noisy, patches_of, truth_of  # noqa: E402

from glacierlab.judge import confusions, whole_scenes  # noqa: E402
from glacierlab.judge.attribution import importance  # noqa: E402
from glacierlab.judge.evaluation import evaluate  # noqa: E402
from glacierlab.judge.looking import looked  # noqa: E402

BANDS = ("red", "nir", "swir16")


def looking_around(classes=BINARY, tile=16, **about):
    """A network of two layers that sees what lies around a pixel, and not the same from all sides."""
    torch.manual_seed(3)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 5, padding=2), torch.nn.Tanh(), torch.nn.Conv2d(4, len(classes), 3, padding=1)
    )
    with torch.no_grad():
        network[-1].weight *= 8
        network[-1].bias -= network(torch.rand(1, 3, 64, 64)).mean(dim=(0, 2, 3))  # all classes come alike
    return carded(network, BANDS, classes, tile=tile, **about)


def labeled(shape=(70, 90), seed=0, unknown=True):
    """A scene whose sides are no multiple of a tile, and its labels."""
    scene = noisy(shape, seed)
    labels = truth_of(scene, scene.nir.values > 0.4)
    if unknown:
        labels.values[5:20, 30:44] = 255
    return scene, labels


def stack_of(scene):
    return scene[[*BANDS]].to_array("feature").assign_attrs(scene.attrs)


# ---- witnesses


@pytest.mark.parametrize(
    "inference", [{}, {"blend": "none"}, {"tta": "chu2022", "blend": "crop", "overlap": 6}]
)
def test_scores_are_those_of_the_map_by_scikit_learn(inference):
    metrics = pytest.importorskip("sklearn.metrics")
    scene, labels = labeled()
    model = looking_around()
    found = evaluate(model, scene, labels=labels, inference=inference, repeats=2)
    mapped = gl.predict(stack_of(scene), model, precision="float32", **inference).class_map.values
    known = labels.values != 255
    codes = np.array([0, gl.tables.CLASSES["glacier"].code])  # of the map
    expected = metrics.confusion_matrix(labels.values[known], np.searchsorted(codes, mapped[known]))
    np.testing.assert_array_equal(found.confusion, expected)
    assert expected.min() > 50  # so that a mixed-up order would show
    kappa = metrics.cohen_kappa_score(labels.values[known], mapped[known] > 0)
    assert found.scores.loc["glacier", "kappa"] == pytest.approx(kappa)


def test_a_scene_without_overlap_is_its_patches():
    scene, labels = labeled((64, 96))
    model = looking_around()
    patches = patches_of(scene, labels)
    expected = evaluate(model, patches, repeats=20, block_m=160)
    found = evaluate(model, scene, labels=labels, inference={"blend": "none"}, repeats=20, block_m=160)
    np.testing.assert_array_equal(found.confusions, expected.confusions)
    np.testing.assert_allclose(found.scores, expected.scores)
    np.testing.assert_allclose(found.calibration, expected.calibration, rtol=1e-5)
    assert str(found.blocks) == str(expected.blocks) == "by 24 squares of ground"
    blended = evaluate(model, scene, labels=labels, repeats=2)
    assert (blended.confusions != expected.confusions).any()  # so that blending is what makes the difference


def test_views_of_patches_are_those_of_predict():
    scene, labels = labeled((64, 96))
    model, patches = looking_around(), patches_of(*labeled((64, 96)))
    asked = {"tta": "dihedral", "tile": 16, "blend": "none"}
    found = confusions(model, patches, inference=asked)
    np.testing.assert_array_equal(
        found, confusions(model, whole_scenes(scene, labels, like=model), inference=asked)
    )
    assert (found != confusions(model, patches)).any()


# ---- properties


def test_chunks_and_windows_change_nothing():
    scene, labels = labeled((150, 130))
    model = looking_around()
    asked = dict(labels=labels, strata=["nir"], bins={"nir": [0.5]}, repeats=2)
    expected = evaluate(model, scene, **asked)
    lazy = evaluate(model, scene.chunk(y=37, x=64), **asked | {"labels": labels.chunk(y=50, x=13)})
    np.testing.assert_array_equal(lazy.confusions, expected.confusions)
    np.testing.assert_allclose(lazy.by_stratum["iou"], expected.by_stratum["iou"])
    for size in (7, 64, 200):
        windows = whole_scenes(scene, labels, like=model, size=size)
        np.testing.assert_array_equal(confusions(model, windows).sum(axis=0), expected.confusion)


def test_each_tile_goes_through_once():
    scene, labels = labeled((150, 130))
    seen, model = [], looking_around(tile=32)
    model.network.register_forward_hook(lambda module, given, out: seen.append(len(out)))
    evaluate(model, scene.chunk(y=37), labels=labels, inference={"overlap": 8}, repeats=2)
    assert sum(seen) == len({*range(0, 150 - 32, 24), 118}) * len({*range(0, 130 - 32, 24), 98})


def test_windows_reach_beyond_the_scene_and_squares_of_them_are_drawn():
    scene, labels = labeled((70, 90), unknown=False)
    model = looking_around()
    windows = whole_scenes(scene, labels, like=model)
    assert len(windows) == 5 * 6
    assert windows.manifest.geometry.area.unique().tolist() == [160.0**2]
    assert shapely.union_all(windows.manifest.geometry).bounds[2] == scene.rio.bounds()[2] + 60
    assert repr(windows) == "<SceneSet: 1 scenes, 30 windows of 3 x 16 x 16; background, glacier>"
    found = evaluate(model, windows, block_m=320, repeats=20)
    assert found.pixels == 70 * 90
    assert found.blocks.kind == "space"
    assert found.blocks.count == 4 * 3  # 500,000 m is no multiple of 320 m, 5,100,000 m is half of one more
    assert found.scores["iou_low"].notna().all()
    km2 = gl.judge.areas(found).loc["scene"]
    assert km2["labeled_km2"].tolist() == pytest.approx([70 * 90 / 1e4] * 2)


def test_unknown_pixels_of_either_side_do_not_count_and_are_told():
    scene, labels = labeled()
    scene["swir16"].values[:20] = np.nan  # a part of which has no label
    model = looking_around()
    found = evaluate(model, scene, labels=labels, repeats=2)
    known = labels.values != 255
    assert found.pixels == known[20:].sum()
    assert found.unobserved == pytest.approx(known[:20].sum() / known.sum())
    assert found.metrics()["unobserved"] == found.unobserved
    assert f"{found.unobserved:.1%} of labeled pixels not observed" in repr(found)
    scene, labels = labeled()
    whole = evaluate(model, scene, labels=labels, repeats=2)
    assert whole.unobserved == 0
    assert "observed" not in repr(whole)


# ---- what may be given


def test_several_scenes_lists_and_dicts():
    pairs = [labeled(seed=n) for n in range(2)]
    scenes = [pair[0].assign_coords(x=pair[0].x + 20_000 * n) for n, pair in enumerate(pairs)]
    labels = [pair[1].assign_coords(x=pair[1].x + 20_000 * n) for n, pair in enumerate(pairs)]
    model = looking_around()
    found = evaluate(model, scenes, labels=labels, repeats=2)
    alone = [evaluate(model, s, labels=t, repeats=2) for s, t in zip(scenes, labels, strict=True)]
    for number, each in enumerate(alone):
        row = found.by_scene.loc[f"scene {number}"]
        np.testing.assert_allclose(row["iou"], each.scores["iou"])
    named = {"a": scenes[0], "b": scenes[1]}
    by_name = evaluate(model, named, labels=dict(zip("ab", labels, strict=True)), repeats=2)
    np.testing.assert_array_equal(by_name.confusions, found.confusions)
    with pytest.raises(GlacierlabError, match="1 labels for 2 scenes"):
        evaluate(model, scenes, labels=labels[:1])


def test_a_made_scene_brings_its_truth_and_the_model_its_recipe():
    scene = gl.synthetic_scene(seed=1, shape=(100, 130))
    model = gl.load_model("default")
    found = evaluate(model, scene, strata=["elevation", "slope"], repeats=2)
    assert found.pixels == 100 * 130
    mapped = gl.predict(scene, model, precision="float32")
    table = gl.score(mapped, scene.truth, boundary=False)
    np.testing.assert_allclose(found.scores.loc["clean_ice", "iou"], table.loc["clean_ice", "iou"])
    strata = found.by_stratum.index.get_level_values("stratum").unique()
    assert {"elevation", "slope", "relief"} == set(strata)
    pixels = found.by_stratum.loc["elevation"].xs("clean_ice", level="class")[["tp", "fp", "fn", "tn"]]
    assert pixels.to_numpy().sum() == 98 * 128  # at the border there is no slope


def test_outlines_are_labels_and_glaciers():
    import geopandas as gpd

    scene, _ = labeled()
    west, south, _, north = scene.rio.bounds()
    box = shapely.box(west + 100, south + 100, west + 400, north - 100)
    outlines = gpd.GeoDataFrame({"rgi_id": ["a"]}, geometry=[box], crs=scene.rio.crs)
    found = evaluate(looking_around(), scene, labels=outlines, repeats=2)
    assert found.confusion.loc["glacier"].sum() == 30 * 50
    assert found.by_glacier.index.get_level_values("glacier").unique().tolist() == ["a"]
    ignoring = whole_scenes(scene, outlines, like=looking_around(), ignore=outlines)
    assert confusions(looking_around(), ignoring).sum() == 70 * 90 - 30 * 50


def test_scenes_of_dates_that_share_labels_share_blocks():
    scene, labels = labeled()
    other = scene.copy(data={name: band.values[::-1] for name, band in scene.items()})
    windows = whole_scenes([scene, other], labels, like=looking_around())
    assert windows.manifest["label"].nunique() == len(windows) / 2


def test_importance_of_a_scene_is_that_of_its_windows():
    scene, labels = labeled((64, 96))
    model = linear({"red": 20.0, "nir": 0.0, "swir16": 0.0}, HALF, tile=16)
    asked = dict(method=["permute_tiles", "occlude"], baseline=dict.fromkeys(BANDS, 0.0), repeats=1)
    expected = importance(model, patches_of(scene, labels), **asked)
    found = importance(model, scene, labels=labels, **asked)
    np.testing.assert_allclose(found["importance"], expected["importance"])
    assert found["importance"].abs().max() > 0


# ---- what is refused


def test_what_cannot_be_judged_is_refused():
    scene, labels = labeled()
    model = looking_around()
    patches = patches_of(scene, labels)
    for asked, error, said in (
        ((scene,), GlacierlabError, r"\['scene'\] have no labels: give labels="),
        ((scene, labels.isel(x=slice(3, None))), GridError, "labels of 'scene' lie on another grid, 70 x 87"),
        ((scene.drop_vars("nir"), labels), MissingBandError, "nir"),
        ((stack_of(scene).isel(feature=[0, 1]), labels), MissingBandError, r"lacks \['swir16'\]"),
        ((scene.expand_dims(time=2), labels), GridError, "has 2 dates"),
        ((3, labels), GlacierlabError, "'scene' is a int"),
        (({}, None), GlacierlabError, "no scene"),
        ((patches, labels), GlacierlabError, "patches have their own"),
    ):
        with pytest.raises(error, match=said):
            evaluate(model, asked[0], labels=asked[1] if len(asked) > 1 else None)
    with pytest.raises(GridError, match=r"pixels of 'scene' have 10 m, the model's 30 m.*resample"):
        evaluate(looking_around(pixel_size_m=30.0), scene, labels=labels)
    ice = looking_around(classes=("background", "clean_ice"))
    merged = labels.copy()
    merged.attrs = {"flag_values": [0, 1], "flag_meanings": "background glacier"}
    with pytest.raises(UnknownNameError, match=r"say 'glacier'.*gl\.score"):
        evaluate(ice, scene, labels=merged)
    lakes = labels.copy(data=np.where(labels == 1, 9, labels).astype("uint8"))
    lakes.attrs = {"flag_values": [0, 1, 9], "flag_meanings": "background clean_ice firn"}
    with pytest.raises(UnknownNameError, match="firn"):
        evaluate(ice, scene, labels=lakes)
    with pytest.raises(UnknownNameError, match="setting of inference 'tiles'"):
        evaluate(model, patches, inference={"tiles": 3})
    for inference, said in (
        ({"tta": "chu"}, "chu2022"), ({"tile": 2.5}, "tile=2.5"), ({"blend": "han"}, "Did you mean 'hann'"),
        ({"tile": 8, "overlap": 8}, "less than a tile"), ({"precision": "half"}, "precision='half'"),
    ):  # fmt: skip
        with pytest.raises(GlacierlabError, match=said):
            confusions(model, patches, inference=inference)


def test_a_model_that_gives_nan_is_told():
    scene, labels = labeled()
    with pytest.raises(GlacierlabError, match="gives no numbers"):
        evaluate(linear(RED | {"nir": float("nan")}, HALF, tile=16), scene, labels=labels)


def test_looking_has_one_result_a_batch():
    """What is seen of a scene is every labeled pixel once, with probabilities that add up to 1."""
    scene, labels = labeled()
    windows = whole_scenes(scene, labels, like=looking_around())
    seen = np.zeros(len(windows), int)

    def look(places, probabilities, labels):
        known = labels != 255
        np.testing.assert_allclose(probabilities.sum(axis=1)[known], 1, atol=1e-5)
        return places, known.sum(axis=(1, 2))

    for places, known in looked(looking_around(), windows, look):
        seen[places] += known
    np.testing.assert_array_equal(seen, (windows.manifest["valid_share"] * 256).round())
