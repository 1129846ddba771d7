"""A kill at any time: the same call goes on, and ends with the weights of an undisturbed run."""

import multiprocessing
import os
import pickle
import resource
import signal
import time
from pathlib import Path

import pytest
import torch
from trained import learnable, narrow, same_weights

from glacierlab.errors import GlacierlabError, WriteError
from glacierlab.models import load_model
from glacierlab.samples import Augmentation
from glacierlab.train import fit

CALL = dict(max_epochs=4, batch_size=8, lr=1e-2, balanced=True, progress=False)
DROPOUT = dict(name="unetpp", dropout=0.5)
fork = multiprocessing.get_context("fork")  # a process of its own, without a second of imports


class Killed(Exception):
    """Stands for a kill within an epoch."""


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def patches():
    return learnable()


def killed_in(epoch):
    """A watcher that ends the run in an epoch, after the best is written and before the checkpoint is."""

    def watch(history):
        if len(history) == epoch + 1:
            raise Killed

    return watch


def outcome(training):
    return training.history.drop(columns="seconds"), training.best_epoch, training.model.card


# ---- in this process: every schedule, every moment


@pytest.mark.parametrize(
    "scheduler",
    [
        False,
        "cosine",
        {"name": "step", "step_size": 2},
        {"name": "cosine_warm_restarts", "T_0": 1, "T_mult": 2},
        {"name": "reduce_on_plateau", "patience": 0, "threshold": 10.0},
        "poly",
    ],
)
def test_every_schedule_goes_on(patches, tmp_path, scheduler):
    call = CALL | {"scheduler": scheduler}
    whole = fit(narrow(**DROPOUT), patches, out=tmp_path / "whole", **call)
    with pytest.raises(Killed):
        fit(narrow(**DROPOUT), patches, out=tmp_path / "cut", watch=killed_in(2), **call)
    resumed = fit(narrow(**DROPOUT, seed=9), patches, out=tmp_path / "cut", **call)
    assert same_weights(resumed.model, whole.model)
    assert same_weights(load_model(resumed.last), load_model(whole.last))
    assert outcome(resumed)[0].equals(outcome(whole)[0])
    assert resumed.best_epoch == whole.best_epoch


def test_a_run_may_be_cut_again_and_again(patches, tmp_path):
    augmentation = Augmentation(patches.features, gain=0.1)
    call = CALL | {"augmentation": augmentation, "num_workers": 1}
    whole = fit(narrow(), patches, out=tmp_path / "whole", **call)
    for epoch in range(4):
        with pytest.raises(Killed):
            fit(narrow(), patches, out=tmp_path / "cut", watch=killed_in(epoch), **call)
    resumed = fit(narrow(), patches, out=tmp_path / "cut", **call)
    assert same_weights(resumed.model, whole.model)
    assert len(resumed.history) == 4


def test_a_finished_run_is_not_trained_again(patches, tmp_path):
    call = CALL | {"patience": 1, "lr": 1e-12, "max_epochs": 9}
    first = fit(narrow(), patches, out=tmp_path, **call)
    assert len(first.history) == 2  # it stopped early
    again = fit(narrow(seed=3), patches, out=tmp_path, **call)
    assert again.history.equals(first.history)
    assert same_weights(again.model, first.model)


def test_patience_counts_on_after_a_kill(patches, tmp_path):
    call = CALL | {"patience": 3, "lr": 1e-12, "max_epochs": 9}
    with pytest.raises(Killed):
        fit(narrow(), patches, out=tmp_path, watch=killed_in(2), **call)
    assert len(fit(narrow(), patches, out=tmp_path, **call).history) == 4


def test_time_that_ran_out_ends_a_run_no_more_than_a_kill(patches, tmp_path):
    call = CALL | {"lr": 1e-3, "patience": False}
    whole = fit(narrow(), patches, **call)
    short = fit(narrow(), patches, out=tmp_path, max_time={"microseconds": 1}, **call)
    assert len(short.history) == 1  # a whole epoch
    again = fit(narrow(), patches, out=tmp_path, max_time={"microseconds": 1}, **call)
    assert again.history.equals(short.history)
    assert same_weights(again.model, short.model)
    longer = fit(narrow(), patches, out=tmp_path, max_time={"minutes": 9}, **call)
    assert len(longer.history) == 4
    assert same_weights(longer.model, whole.model)


def test_another_start_of_the_same_name_is_refused(patches, tmp_path):
    call = CALL | {"max_epochs": 1}
    files = [fit(narrow(seed=n), patches, out=tmp_path / str(n), **call).best for n in (1, 2)]
    fit(narrow(), patches, out=tmp_path / "on", init=files[0], **call)
    with pytest.raises(GlacierlabError, match="init was"):
        fit(narrow(), patches, out=tmp_path / "on", init=files[1], **call)


def test_a_folder_that_is_done_says_so(patches, tmp_path, capsys):
    for told in (False, True):
        fit(narrow(), patches, out=tmp_path, **CALL | {"max_epochs": 1, "progress": True})
        assert ("holds this training, done" in capsys.readouterr().err) is told


# ---- real kills


def kill_while_saving(saves):
    """Let half of a checkpoint be written, and kill this process then."""
    save = torch.save

    def cut(checkpoint, path):
        nonlocal saves
        save(checkpoint, path)
        saves -= 1
        if saves == 0:
            os.truncate(path, os.path.getsize(path) // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    torch.save = cut


def run_in_child(patches, out, saves):
    if saves:
        kill_while_saving(saves)
    fit(narrow(**DROPOUT), patches, out=out, **CALL)


@pytest.fixture(scope="module")
def whole(patches, tmp_path_factory):
    torch.set_num_threads(1)
    return fit(narrow(**DROPOUT), patches, out=tmp_path_factory.mktemp("whole"), **CALL)


@pytest.mark.parametrize("saves", [1, 3])
def test_sigkill_while_a_checkpoint_is_written(patches, whole, tmp_path, saves):
    process = fork.Process(target=run_in_child, args=(patches, tmp_path, saves))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert any(path.name.startswith(".writing-") for path in tmp_path.iterdir())
    assert_goes_on(patches, tmp_path, whole)


@pytest.mark.parametrize("delay", [0.0, 0.07, 0.23])
@pytest.mark.parametrize("seen", ["best.safetensors", "checkpoint.ckpt"])
def test_sigkill_at_any_time(patches, whole, tmp_path, seen, delay):
    process = fork.Process(target=run_in_child, args=(patches, tmp_path, 0))
    process.start()
    while process.is_alive() and not (tmp_path / seen).exists():
        time.sleep(0.002)
    time.sleep(delay)
    process.kill()
    process.join(120)
    assert_goes_on(patches, tmp_path, whole)


def assert_goes_on(patches, out, whole):
    """The same call ends with the same weights, and leaves nothing else."""
    resumed = fit(narrow(**DROPOUT), patches, out=out, **CALL)
    assert same_weights(resumed.model, whole.model)
    assert same_weights(load_model(resumed.last), load_model(whole.last))
    assert outcome(resumed)[0].equals(outcome(whole)[0])
    left = {path.name for path in out.iterdir()}
    assert left == {"best.safetensors", "last.safetensors", "history.csv", "checkpoint.ckpt"}


# ---- what is refused


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (dict(batch_size=4), "settings.batch_size was 8, now 4"),
        (dict(lr=1e-3), "settings.optimizer.lr was 0.01, now 0.001"),
        (dict(seed=1), "settings.seed was 0, now 1"),
        (dict(augmentation=False), "settings.moves was"),
        (dict(freeze=["network.encoder"]), "freeze was"),
        (dict(limit_train_batches=1), "trainer was None, now {'limit_train_batches': 1}"),
    ],
)
def test_another_training_is_refused(patches, tmp_path_factory, change, told):
    out = tmp_path_factory.getbasetemp() / "one-training"
    if not (out / "checkpoint.ckpt").exists():
        fit(narrow(), patches, out=out, **CALL | {"max_epochs": 1})
    with pytest.raises(GlacierlabError, match=told):
        fit(narrow(), patches, out=out, **CALL | {"max_epochs": 1} | change)


def test_another_model_or_other_patches_are_refused(patches, tmp_path):
    call = CALL | {"max_epochs": 1}
    fit(narrow(), patches, out=tmp_path, **call)
    with pytest.raises(GlacierlabError, match=r"model.options.widths was \[4, 8\], now \[4, 4\]"):
        fit(narrow(widths=(4, 4)), patches, out=tmp_path, **call)
    with pytest.raises(GlacierlabError, match=r"training patches was '.*', now"):
        fit(narrow(), learnable(stride=6), out=tmp_path, **call)


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("/tmp/glacierlab-was-here"),))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no", "pickle", "other"])
def test_a_checkpoint_that_is_none_of_ours_is_not_run(patches, tmp_path, content):
    path = tmp_path / "checkpoint.ckpt"
    if content == "pickle":
        torch.save({"glacierlab": Evil()}, path, pickle_module=pickle)
    elif content == "other":
        torch.save({"state_dict": {}}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(GlacierlabError, match="is no checkpoint of ours"):
        fit(narrow(), patches, out=tmp_path, **CALL)
    assert not Path("/tmp/glacierlab-was-here").exists()


def test_a_full_disk_leaves_the_last_checkpoint(patches, tmp_path):
    call = CALL | {"patience": False}
    with pytest.raises(Killed):
        fit(narrow(), patches, out=tmp_path, watch=killed_in(1), **call)
    before = (tmp_path / "checkpoint.ckpt").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:  # no file may be longer than half a checkpoint: model files fit, the checkpoint does not
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
        with pytest.raises(WriteError, match=r"checkpoint.ckpt cannot be written"):
            fit(narrow(), patches, out=tmp_path, **call)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert (tmp_path / "checkpoint.ckpt").read_bytes() == before
    resumed = fit(narrow(), patches, out=tmp_path, **call)
    whole = fit(narrow(), patches, **call)
    assert same_weights(resumed.model, whole.model)
