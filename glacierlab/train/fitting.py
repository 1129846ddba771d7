"""`fit`: a model, patches, a preset; and a training that a kill does not undo."""

import inspect
import json
import logging
import shutil
import sys
import warnings
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, Timer
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from tqdm import tqdm

from ..errors import GlacierlabError, warn
from ..models.header import read_header
from ..samples.cache import identity
from ..tables import lookup
from .baselines import learn_at_once
from .batches import augmentation_of
from .keeping import CHECKPOINT, Bar, Keeper, SafeCheckpoints, read_checkpoint, shown, weights_of
from .parts import facts_of, parts_of, require_parts
from .results import Training, card_of, finish, write_best
from .settings import MONITORS, settle
from .starting import freeze_layers, initialize, require_model, start_from
from .task import Diverged, Task, seed_all

__all__ = ["Training", "fit"]

TRAINER = {  # arguments of Lightning's trainer that are free to give, and whether they change what is learned
    "accelerator": False,
    "accumulate_grad_batches": True,
    "benchmark": False,
    "detect_anomaly": False,
    "deterministic": True,
    "devices": False,
    "limit_train_batches": True,
    "logger": False,
    "max_time": False,  # how far it goes, not where
    "num_nodes": False,
    "profiler": False,
    "strategy": False,
    "sync_batchnorm": True,
}


def fit(
    model, train, val=None, *, preset=None, out=None, seed=0, max_epochs=None, batch_size=None, loss=None,
    class_weights=None, deep_supervision=None, optimizer=None, lr=None, scheduler=None, initialization=None,
    clip_norm=None, clip_value=None, monitor=None, patience=None, augmentation=None, balanced=False,
    init=None, freeze=(), drop_last=True, precision="auto", channels_last=True, explode=1000.0,
    max_pixels=50_000, num_workers=0, progress=True, watch=None, **trainer,
):  # fmt: skip
    """Train a model on patches, and keep the best of it.

    The order of patches, augmentation and dropout depend on seed and epoch alone. With `out`, a checkpoint is
    written after each epoch: the same call again continues after a kill, and on a CPU ends with the weights
    that an undisturbed run has; on a GPU sums are not exact, unless `deterministic=True` finds operations
    that are. Build the model alike then (`torch.manual_seed` before `build_model`), should the kill come
    before the first checkpoint.

    Parameters
    ----------
    model : Segmenter
        Of `gl.models.build_model`; it is trained in place. A baseline (`random_forest`, `band_ratio`, …)
        learns at once from pixels of the training patches.
    train, val : PatchSet
        Where `train` has a split with a part "train", that part trains, and its part "val" or "validation"
        is the default of `val`; "buffer" is left out. A `DataWarning` tells where training and validation
        share ground.
    preset : str, optional
        A row of `tables.PRESETS`: "chen2022", "chu2022", "huang2025", "cryonet", or "glacierlab", the
        default, which is an assumption throughout. What is given of `max_epochs` to `augmentation` goes
        before it; False switches a value off.
    out : path, optional
        Folder for `best.safetensors`, `last.safetensors`, `history.csv` and `checkpoint.ckpt`, which is
        needed no more when all is done.
    seed : int
    max_epochs, batch_size : int
    loss : str, dict or callable
        A key of `train.LOSSES`, {"name": key, option: value}, or loss(logits, target).
    class_weights : str, dict of str to float, or sequence of float
        For losses with `weights`: a method of `PatchSet.class_weights`, such as "inverse_sqrt"; what it
        returned, by class; or a number for each class.
    deep_supervision : sequence of float
        Weights of the outputs of networks that have several; by default 1 each.
    optimizer, scheduler : str or dict
        As `loss`: adam, adamw, sgd; step, cosine (over all epochs), cosine_warm_restarts, reduce_on_plateau,
        poly, with torch's options. Schedulers step once an epoch.
    lr : float
        The optimizer's learning rate.
    initialization : str
        "glorot_normal", "glorot_uniform" or "he_normal", for all convolutions and dense layers, however they
        were begun, biases 0. It is refused where it would undo what a model has learned.
    clip_norm, clip_value : float
        Bounds of the gradient's norm, or of each of its values.
    monitor : str
        The score that says which epoch is the best, a column of the history.
    patience : int
        Epochs without a better one after which training stops.
    augmentation : Augmentation, dict or False
        Instead of the preset's moves; a dict holds options of `gl.samples.Augmentation`, such as
        {"gain": 0.3}, and takes what else it needs from the patches' recipe.
    balanced : bool
        Draw patches by `PatchSet.sampling_weights`, with replacement.
    init : path, optional
        A model file of the same architecture to start from: channels and classes are matched by name, and a
        `DataWarning` names those that start fresh.
    freeze : sequence of str
        Beginnings of the names of layers that do not learn, such as "network.encoder"; their batch norms keep
        their statistics.
    drop_last : bool
        Leave out an epoch's last batch where it is not full, unless it is the only one.
    precision : str
        "auto" is "bf16-mixed" on GPUs that have it and "32-true" elsewhere; or "16-mixed".
    channels_last : bool
        The memory layout that convolutions are fastest in.
    explode : float
        Training stops where the loss is that many times what it was at first (or 1, if that was less), or no
        number; the best is kept. 1000 is an assumption.
    max_pixels : int
        For baselines: pixels of each class that they learn from at most, drawn by the seed. 50,000 is an
        assumption.
    num_workers : int
        Processes that read patches; 0, for notebooks, reads in this one.
    progress : bool
    watch : callable, optional
        watch(history DataFrame), called after each epoch; what it returns (a figure) is shown in a notebook,
        in place of the last.
    **trainer
        Of `lightning.Trainer`: accelerator, devices (default 1), strategy, num_nodes, sync_batchnorm,
        accumulate_grad_batches, limit_train_batches, deterministic, benchmark, detect_anomaly, logger,
        profiler, and max_time, which is looked at between epochs; a resumed training has what is left of it.

    Returns
    -------
    Training

    Raises
    ------
    ManifestError
        A split has several parts, and none is called "train" (of `val`: "val" or "validation").
    GlacierlabError
        The model does not fit the patches; an image holds a value that is not finite, or a label none of the
        classes (both told by scene, row and column, before anything trains on them); the loss exploded in the
        first epoch; `out` holds a checkpoint of another training (what differs is told).
    UnknownNameError
        A name or an option is not known.
    WriteError
        The disk is full; the last checkpoint is as it was.

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = gl.synthetic_scene(seed=6, shape=(64, 64))
    >>> patches = gl.samples.PatchSet.from_scenes(scene, scene.truth, ["red", "nir", "swir16"], size=16)
    >>> patches = patches.split(by="blocks", block_m=480, shares=(0.5, 0.5), names=("train", "val"))
    >>> model = gl.models.build_model("unet", 3, len(patches.classes), widths=[4, 8])
    >>> training = fit(model, patches, max_epochs=2, precision="32-true", progress=False)
    >>> training.history.epoch.tolist(), training.model.card.features
    ([0, 1], ('red', 'nir', 'swir16'))
    """
    train, val = parts_of(train, val)
    require_model(model, train)
    given = dict(
        seed=seed, max_epochs=max_epochs, batch_size=batch_size, loss=loss,
        class_weights=in_order(class_weights, train.classes), lr=lr, deep_supervision=deep_supervision,
        optimizer=optimizer, scheduler=scheduler, initialization=initialization, clip_norm=clip_norm,
        clip_value=clip_value, monitor=monitor, patience=patience, balanced=balanced, drop_last=drop_last,
        precision=precision, channels_last=channels_last, explode=explode, max_pixels=max_pixels,
        moves=None if augmentation is None else False, copies=None if augmentation is None else False,
    )  # fmt: skip
    settings = suited(settle(preset, given), train, val)
    require_arguments(trainer)
    facts = facts_of(train, val, settings, require_parts(train, val)) | {"trainer": as_json(trainer)}
    card = card_of(model, train, settings, facts)
    folder = None if out is None else Path(out)
    if hasattr(model.network, "learn"):
        if init is not None or tuple(freeze):
            raise GlacierlabError(f"{model.name!r} learns at once: it has no use for init or freeze.")
        return learn_at_once(model, train, val, settings, card, folder)
    about = about_run(model, train, val, settings, repr(augmentation), init, freeze, trainer)
    state = resumable(folder, about)
    seed_all(settings.seed)
    if state is None:
        start(model, train, settings, init)
    frozen = freeze_layers(model, freeze)
    keeper = Keeper(
        settings.monitor, folder, about, partial(write_best, model, card), shown(watch) if watch else None
    )
    moves = augmentation_of(train, settings, augmentation)
    task = Task(model, train, val, settings, moves, tuple(freeze), num_workers)
    try:
        run(task, keeper, state, progress, trainer)
    finally:
        for each in frozen:  # as it was
            each.requires_grad_(True)
    return finish(model, keeper, card)


# ---- before ----


def in_order(weights, classes):
    """Class weights as a list, where they came by name; anything else as it is."""
    if not isinstance(weights, Mapping):
        return weights
    if set(weights) != set(classes):
        raise GlacierlabError(
            f"class_weights are of {', '.join(weights)}; the patches' classes are {', '.join(classes)}."
        )
    return [weights[name] for name in classes]


def suited(settings, train, val):
    """Settings with class weights as numbers, and a monitor that there is."""
    if isinstance(settings.class_weights, str):
        weights = tuple(train.class_weights(settings.class_weights).values())
        settings = replace(settings, class_weights=weights)
    if val is None and settings.monitor != "train_loss":
        warn(
            "There are no validation patches: train_loss says which epoch is the best, and not "
            f"{settings.monitor}, and training does not stop early."
        )
        settings = replace(settings, monitor="train_loss", patience=None)
    return settings


def require_arguments(given):
    """UnknownNameError where a name is no argument of `fit`, and none of Lightning's that is free to give."""
    ours = [name for name in inspect.signature(fit).parameters if name != "trainer"]
    for name in given:
        lookup(dict.fromkeys([*ours, *TRAINER]), name, kind="argument of fit")


def start(model, patches, settings, init):
    """Weights to begin with, by the seed."""
    if settings.initialization is not None:
        initialize(model, settings.initialization)
    if init is not None:
        start_from(model, init, patches)


# ---- resuming ----


def about_run(model, train, val, settings, augmentation, init, freeze, trainer):
    """What a training is, as JSON: a checkpoint is taken up by the same alone."""
    about = {
        "model": {key: getattr(model, key) for key in ("name", "in_channels", "classes", "options")},
        "features": train.features,
        "classes": train.classes,
        "training patches": identity(train),
        "validation patches": identity(val) if val else None,
        "settings": settings.told(),
        "augmentation": augmentation,
        "init": None if init is None else read_header(init).tensors_sha256,
        "freeze": list(freeze),
        "trainer": {key: value for key, value in trainer.items() if TRAINER[key]} or None,
    }
    return as_json(about)


def as_json(values):
    """Values as JSON gives them back; what it cannot hold as text."""
    return json.loads(json.dumps(values, default=str))


def resumable(folder, about):
    """The checkpoint in a folder, or None; GlacierlabError where it is of another training."""
    if folder is None:
        return None
    for left in folder.glob(".writing-*"):  # by a kill
        shutil.rmtree(left, ignore_errors=True)
    if not (folder / CHECKPOINT).exists():
        return None
    state = read_checkpoint(folder / CHECKPOINT)
    if differs := list(differences(state["glacierlab"], about)):
        raise GlacierlabError(
            f"{folder} holds a checkpoint of another training ({'; '.join(differs)}): take another folder, "
            f"or delete {CHECKPOINT} to begin anew."
        )
    return state


def differences(there, here, name=""):
    """What two nested dicts say differently, in words."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in dict.fromkeys((*there, *here)):
            yield from differences(there.get(key), here.get(key), f"{name}.{key}" if name else key)
    elif there != here:
        yield f"{name} was {there!r:.60}, now {here!r:.60}"


# ---- training ----


def run(task, keeper, state, progress, options):
    """Train, from a checkpoint's state if there is one, until epochs or patience end or the loss explodes."""
    settings, folder = task.settings, keeper.folder
    if state is not None:
        kept = state["callbacks"][keeper.state_key]
        task.epochs_done = len(kept["history"])
        if kept["stopped"] or task.epochs_done == settings.max_epochs:
            keeper.load_state_dict(kept)
            task.load_state_dict(state["state_dict"])
            keeper.last = weights_of(task.model)
            if progress:
                tqdm.write(f"{folder} holds this training, done: nothing is left to train.", file=sys.stderr)
            return
    elsewhere = any(word in str(options.get("strategy")) for word in ("spawn", "fork", "notebook"))
    if elsewhere and folder is None:
        raise GlacierlabError(f"strategy={options['strategy']!r} trains in processes of its own: give out=.")
    with quiet():
        try:
            trainer = trainer_of(settings, keeper, progress, **options)
            task.train()  # Lightning takes modules in the mode that they are in
            trainer.fit(task, ckpt_path=folder / CHECKPOINT if state is not None else None)
        except MisconfigurationException as error:
            raise GlacierlabError(f"Lightning cannot train so: {' '.join(str(error).split())}") from error
        except Diverged as error:
            if not keeper.history:
                raise GlacierlabError(
                    f"Training went astray: {error}. Try a smaller lr, or clip_norm=1."
                ) from error
            warn(
                f"Training stopped, for {error}; the best epoch, {keeper.best_epoch}, is kept. Try a smaller "
                "lr."
            )
    if elsewhere:  # all that came back is the weights
        keeper.load_state_dict(read_checkpoint(folder / CHECKPOINT)["callbacks"][keeper.state_key])
    if elsewhere or keeper.last is None:  # or time had run out before
        keeper.last = weights_of(task.model)


def trainer_of(settings, keeper, progress, max_time=None, **options):
    """Lightning's trainer.

    Raises
    ------
    GlacierlabError
        It cannot be had on this machine, or a value is of the wrong kind.
    """
    callbacks, folder = [Bar()] if progress else [], keeper.folder
    clipping = {"gradient_clip_val": settings.clip_norm or settings.clip_value}
    clipping |= {"gradient_clip_algorithm": "norm" if settings.clip_norm else "value"}
    try:
        if max_time is not None:  # not Lightning's own, which ends within an epoch
            callbacks.append(Timer(max_time, interval="epoch", verbose=False))
        if settings.patience is not None:
            how = dict(patience=settings.patience, mode=MONITORS[settings.monitor])
            callbacks.append(EarlyStopping(settings.monitor, check_finite=False, **how))  # NaN is not better
        callbacks.append(keeper)
        if folder is not None:
            where = dict(dirpath=folder, filename=Path(CHECKPOINT).stem, enable_version_counter=False)
            callbacks.append(ModelCheckpoint(**where, save_on_train_epoch_end=True))
        return lightning.Trainer(
            **{"devices": 1, "logger": False, "enable_model_summary": False} | options,
            num_sanity_val_steps=0,
            max_epochs=settings.max_epochs, callbacks=callbacks, precision=precision_of(settings, options),
            enable_checkpointing=True, enable_progress_bar=False, plugins=[SafeCheckpoints()],
            default_root_dir=folder, **clipping,
        )  # fmt: skip
    except (AttributeError, ImportError, RuntimeError, TypeError, ValueError) as error:
        # what a value of the wrong kind meets first
        told = options if max_time is None else options | {"max_time": max_time}
        raise GlacierlabError(
            f"Lightning cannot train with {told}: {' '.join(str(error).split())}"
        ) from error


def precision_of(settings, options):
    """Lightning's name of it."""
    if settings.precision != "auto":
        return settings.precision
    gpu = options.get("accelerator", "auto") in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return "bf16-mixed" if gpu and torch.cuda.is_bf16_supported() else "32-true"


@contextmanager
def quiet():
    """Without Lightning's hints, which are about settings that are ours."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [each.level for each in loggers]
    try:
        for each in loggers:
            each.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)
