"""The papers' protocols on made worlds: what the table says, what parts share, what areas differ in."""

from functools import wraps
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from worlds import cover_of, world_of

from glacierlab import errors, tables
from glacierlab.judge import protocols
from glacierlab.judge.comparing import compare
from glacierlab.judge.protocols import protocol_worlds
from glacierlab.samples import audit
from glacierlab.scores import scores_from

SMALL = dict(shape=(64, 64), size=32)


@pytest.fixture(scope="module")
def chen():
    return protocol_worlds("chen2022", worlds=3, **SMALL)


def joined(parts, names):
    """One manifest of several parts, and the split that they are."""
    tables = [
        parts[name].manifest.drop(columns="source", errors="ignore").assign(split=name) for name in names
    ]
    return pd.concat(tables, ignore_index=True)


# ---- the table


@pytest.mark.parametrize("name", tables.PROTOCOLS)
def test_a_row_names_what_there_is(name):
    from glacierlab.features.layers import read_layer
    from glacierlab.models import MODELS

    row = tables.PROTOCOLS[name]
    assert set(row.models) <= set(MODELS)
    assert set(row.layers) <= {*MODELS, "*"}
    assert set(row.metrics) <= set(scores_from(1, 0, 0, 1))
    assert set(row.classes) <= set(tables.CLASSES)
    assert row.tile == tables.PRESETS[row.preset].tile
    for layer in row.worlds["layers"]:
        assert layer in tables.RECIPES or read_layer(layer)
    for study in row.studies.values():
        assert {*study.pool, *study.elsewhere} <= set(row.areas)
        assert sum(study.shares) == pytest.approx(1)
        assert bool(study.test) == (len(study.shares) == 3)
    assert row.published
    assert row.assumed


def test_published_numbers():
    """Chen: 2797 of 3996 tiles train and validate, a fifth of them validating; Chu: 8:1:1."""
    train, val, test = tables.PROTOCOLS["chen2022"].studies["scene1_leaky"].shares
    assert train + val == pytest.approx(2797 / 3996, abs=1e-3)
    assert val / (train + val) == pytest.approx(0.2)
    assert tables.PROTOCOLS["chen2022"].studies["scene1"].shares == [train, val, test]
    assert tables.PROTOCOLS["chu2022"].studies["range"].shares == list(tables.SPLITS["8:1:1"].shares)
    assert {name: row.tile for name, row in tables.PROTOCOLS.items()} == {
        "chen2022": 128, "huang2025": 256, "chu2022": 1024, "cryonet": 256,
    }  # fmt: skip


# ---- what the parts share


def test_other_areas_share_nothing_with_training(chen):
    parts = chen["scene2"]
    assert list(parts) == ["train", "val", "area1", "area2", "area3"]
    found = audit(joined(parts, list(parts)))
    assert found.ok
    assert (found.table["nearest_m"] > 1000).loc[("train", ["area1", "area2", "area3"]),].all()
    assert found.table["glaciers"].sum() == 0
    assert {each.origin["recipe"] for each in parts.values()} == {parts["train"].origin["recipe"]}
    for name, each in parts.items():
        assert set(each.manifest["split"]) == {name}
        assert (each.manifest["glacier_share"] > 0).all()  # Chen kept tiles with glacier only


def test_scene_1_shares_no_ground_and_its_leaky_twin_does(chen):
    windows = lambda part: {window[:3] for window in part.windows()}
    honest, leaky = (
        {name: windows(each) for name, each in chen[study].items()} for study in ("scene1", "scene1_leaky")
    )
    assert not honest["scene1"] & (honest["train"] | honest["val"])
    shared = leaky["scene1_leaky"] & (leaky["train"] | leaky["val"])
    assert len(shared) > 0.9 * len(leaky["scene1_leaky"])  # all but a few
    counts = [sum(len(each) for each in chen[study].values()) for study in ("scene1", "scene1_leaky")]
    assert counts[1] == 4 * counts[0]  # 999 tiles to 3996


def test_twins_are_the_patches_moved(chen):
    originals = {
        (row.scene, row.row, row.col): part[place]
        for part in chen["scene1"].values()
        for place, row in enumerate(part.manifest.itertuples())
    }
    moved = {"identity": lambda a: a, "hflip": np.fliplr, "vflip": np.flipud, "rot90_ccw": np.rot90}
    part = chen["scene1_leaky"]["train"]
    many = {number: pair for number, *pair in part.store.read_many(part.windows(), part.size)}
    for place, row in enumerate(part.manifest.itertuples()):
        image, label = originals[row.scene, row.row, row.col]
        for each in (part[place], many[place]):
            np.testing.assert_array_equal(each[1], moved[row.move](label))
            np.testing.assert_array_equal(each[0][4], moved[row.move](image[4]))
    assert set(part.manifest["move"]) == set(tables.AUGMENTATIONS["chen2022"].moves)


def test_worlds_stay_whole_and_none_is_in_two_parts():
    parts = protocol_worlds("huang2025", worlds=4, **SMALL)["plateau"]
    assert list(parts) == ["train", "val", "test", "flat", "rugged"]
    scenes = {name: set(each.manifest["scene"]) for name, each in parts.items()}
    assert [len(scenes[name]) for name in ("train", "val", "test")] == [2, 1, 1]
    assert (
        not scenes["train"] & scenes["val"]
        | scenes["train"] & scenes["test"]
        | scenes["val"] & scenes["test"]
    )
    assert len(parts["flat"]) + len(parts["rugged"]) == len(parts["test"])
    assert parts["test"].classes == ("background", "clean_ice")


def test_labels_of_other_classes_are_background():
    parts = protocol_worlds("huang2025", worlds=3, **SMALL)["plateau"]
    row = tables.PROTOCOLS["huang2025"].areas["plateau"]
    world = world_of(
        row["first_seed"], (2020,), (64, 64), pixel_size_m=30, latitude=row["latitude"], ela_m=row["ela_m"]
    )
    truth = world.scene(sensor="landsat-8").truth.values
    image, label = parts["train"][1]
    np.testing.assert_array_equal(label, truth[:32, 32:] == 1)
    recipe_seen = parts["train"].features
    assert image.shape[0] == len(recipe_seen) == 7


def test_areas_differ_as_the_paper_says():
    """Area 2 is lower, with more plants and more debris on its ice; area 3 is under cloud and fog."""
    areas = tables.PROTOCOLS["chen2022"].areas
    seen = {}
    for name, seeds in (("train", range(101, 104)), ("area2", areas["area2"]["seeds"][:3])):
        about = {key: areas[name][key] for key in ("latitude", "ela_m")}
        worlds = [world_of(seed, (areas[name]["year"],), (128, 128), **about) for seed in seeds]
        truths = [each.truth() for each in worlds]
        cover = [cover_of(each) for each in worlds]
        ice = sum((t.class_map.isin([1, 2])).sum().item() for t in truths)
        seen[name] = (
            np.mean([t.elevation.mean() for t in truths]),
            np.mean([c["vegetation"].mean() + c["forest"].mean() for c in cover]),
            sum((t.class_map == 2).sum().item() for t in truths) / ice,
        )
    height, plants, debris = (np.array(seen["area2"]) - np.array(seen["train"])).tolist()
    assert height < -400
    assert plants > 0
    assert debris > 0
    assert {"clouds", "fog"} <= set(areas["area3"]["view"])
    assert set(areas["area1"]["view"]) == {"thin_cloud", "haze"}


def test_the_full_stack_is_there_and_transfers():
    parts = protocol_worlds("cryonet", worlds=3, **SMALL)["poiqu"]
    assert {"coherence", "phase_sin", "slope", "pc1", "tasseled_cap:wetness", "ndsi"} <= set(
        parts["train"].features
    )
    assert len(parts["train"].classes) == 4
    near = audit(joined(parts, ["train", "home", "mont_blanc"])).table["nearest_m"]
    assert near["train", "mont_blanc"] > 1e6


# ---- caches, refusals, the comparison


def test_patches_are_kept(tmp_path, monkeypatch):
    given = dict(worlds=1, out=tmp_path, studies=["scene1_leaky"], **SMALL)
    first = protocol_worlds("chen2022", **given)
    monkeypatch.setattr(
        "glacierlab.judge.protocols.synthetic_world", lambda *_, **__: pytest.fail("made again")
    )
    again = protocol_worlds("chen2022", **given)
    for study, parts in first.items():
        for name, each in parts.items():
            np.testing.assert_array_equal(again[study][name][0][0], each[0][0])
            assert again[study][name].fingerprint == each.fingerprint
            assert again[study][name].origin == each.origin
    assert "move" in again["scene1_leaky"]["train"].manifest
    with pytest.raises(pytest.fail.Exception, match="made again"):
        protocol_worlds("chen2022", **given | {"worlds": 2})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (dict(name="chen"), "Did you mean 'chen2022'"),
        (dict(name="chen2022", studies=["scene3"]), "Did you mean 'scene"),
        (dict(name="chen2022", worlds=0), "whole number"),
        (dict(name="chen2022", worlds=101), "1 to 100"),  # of which the last would be the next area's first
        (dict(name="chen2022", shape=64), "rows and columns"),
        (dict(name="chen2022", worlds=1, studies=["scene2"]), "1 worlds for 2 parts"),
        (dict(name="chen2022", worlds=13, studies=["scene2"]), "chosen for what they show"),
    ],
)
def test_what_cannot_be_made_is_refused(given, said, monkeypatch):
    if "chosen" in said:
        monkeypatch.setattr("glacierlab.judge.protocols.dealt_worlds", lambda *_: {"train": _Fake})
        monkeypatch.setattr("glacierlab.judge.protocols.cut", lambda *_: _Fake)
        monkeypatch.setattr("glacierlab.judge.protocols.Areas.look", lambda *_, **__: None)
    with pytest.raises(errors.GlacierlabError, match=said):
        protocol_worlds(**SMALL | given)


class _Fake:
    recipe = None


def test_a_comparison_takes_a_protocol_as_it_is(chen):
    row = tables.PROTOCOLS["chen2022"]
    result = compare(["band_ratio"], {"scene2": chen["scene2"]}, protocol="chen2022")
    assert list(dict.fromkeys(result.table["metric"])) == list(row.metrics)
    assert list(dict.fromkeys(result.table["test"])) == ["area1", "area2", "area3"]
    assert set(result.table["trained_on"]) == {"scene2"}
    assert result.models["layers"].item() == "red/swir16"
    assert all(f"Assumed: {each}." in result.about["notes"] for each in row.assumed)
    f1 = result.table.query("metric == 'f1' and `class` == 'glacier'").set_index("test")["value"]
    assert f1["area1"] > f1["area3"]  # under cloud a ratio sees no ice


def test_the_leaky_study_trains_on_the_twins_that_there_are(chen, monkeypatch):
    """They are augmented already: neither the preset's copies nor its moves come on top."""
    from glacierlab import train
    from glacierlab.judge import comparing

    seen = {}

    @wraps(train.fit)
    def noting(model, patches, *args, **options):
        seen[patches.manifest["scene"].size] = options.get("augmentation")
        return train.fit(model, patches, *args, **options)

    monkeypatch.setattr(comparing, "fit", noting)
    studies = {name: chen[name] for name in ("scene1", "scene1_leaky")}
    given = {"unet": ("unet", {"widths": [4, 8]})}
    result = compare(given, studies, protocol="chen2022", max_epochs=1, progress=False, accelerator="cpu")
    assert result.ok
    assert "Leaks between train and test" in result.verdict()
    sizes = [len(parts["train"]) for parts in studies.values()]
    assert seen == {sizes[0]: None, sizes[1]: False}


def test_seeds_of_areas_do_not_meet():
    most = protocols.APART
    for row in tables.PROTOCOLS.values():
        firsts = [area.get("first_seed", min(area.get("seeds", [0]))) for area in row.areas.values()]
        ends = [
            max(area["seeds"]) + 1 if "seeds" in area else area["first_seed"] + most
            for area in row.areas.values()
        ]
        spans = sorted(zip(firsts, ends, strict=True))
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))
