"""What is kept of a training: its history, the best and the last weights, and a checkpoint to resume from."""

import errno
import os
import sys
from time import perf_counter

import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint
from lightning.pytorch.plugins.io import CheckpointIO
from tqdm import tqdm

from ..errors import GlacierlabError
from ..io.write import whole_file, write_text
from .settings import MONITORS

CHECKPOINT, HISTORY = "checkpoint.ckpt", "history.csv"
COLUMNS = (
    "epoch",
    "train_loss",
    "val_loss",
    "val_accuracy",
    "val_miou",
    "val_iou",
    "val_dice",
    "lr",
    "seconds",
)


class Keeper(Checkpoint):
    """Keeps a row of history and the weights after each epoch, and writes what is new.

    Its state goes into the checkpoint, best weights included, so that one file holds all of a training at the
    end of an epoch.

    Parameters
    ----------
    monitor : str
        The score that says which epoch is the best; of equal ones the first.
    folder : pathlib.Path or None
    about : dict
        What the training is, as JSON, for the checkpoint.
    write_best : callable
        write_best(keeper), called after each epoch that is better than all before, where there is a folder.
    watch : callable, optional
        watch(history), called after each epoch.
    """

    def __init__(self, monitor, folder, about, write_best, watch=None):
        self.monitor, self.folder, self.about = monitor, folder, about
        self.write_best, self.watch = write_best, watch
        self.history, self.best, self.best_epoch, self.last, self.stopped = [], None, None, None, False

    def on_train_start(self, trainer, task):
        self.last = weights_of(task.model)

    def on_train_epoch_start(self, trainer, task):
        self.started, self.lr = perf_counter(), trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_epoch_end(self, trainer, task):
        """After early stopping, which has looked at this epoch already, and before the checkpoint."""
        row = {name: value.item() for name, value in trainer.callback_metrics.items()}
        row |= {"epoch": trainer.current_epoch, "lr": self.lr, "seconds": perf_counter() - self.started}
        self.history.append({name: row[name] for name in COLUMNS if name in row})
        early = trainer.early_stopping_callback
        self.stopped = early is not None and early.wait_count >= early.patience  # and not for lack of time
        self.last = weights_of(task.model)
        better = self.is_better(row[self.monitor])
        if better:
            self.best, self.best_epoch = self.last, row["epoch"]
        if self.folder is not None and trainer.is_global_zero:
            write_text(self.table().to_csv(index=False), self.folder / HISTORY)
            if better:
                self.write_best(self)
        if self.watch is not None and trainer.is_global_zero:
            self.watch(self.table())

    def is_better(self, score):
        """Whether a score is better than the best epoch's; NaN never is, but some epoch must be the best."""
        if self.best_epoch is None or score != score:
            return self.best_epoch is None
        known = self.row_of(self.best_epoch)[self.monitor]
        return known != known or (score < known if MONITORS[self.monitor] == "min" else score > known)

    def row_of(self, epoch):
        return next(row for row in self.history if row["epoch"] == epoch)

    def table(self):
        """The history as a DataFrame."""
        return pd.DataFrame(
            self.history, columns=[name for name in COLUMNS if name in (self.history or [{}])[0]]
        )

    def on_save_checkpoint(self, trainer, task, checkpoint):
        checkpoint["glacierlab"] = self.about

    def state_dict(self):
        return {name: getattr(self, name) for name in ("history", "best", "best_epoch", "stopped")}

    def load_state_dict(self, state):
        for name, value in state.items():
            setattr(self, name, value)


def weights_of(model):
    """A copy of a model's state, in memory of the CPU."""
    return {name: each.detach().to("cpu", copy=True) for name, each in model.state_dict().items()}


class SafeCheckpoints(CheckpointIO):
    """Lightning's checkpoints, written whole or not at all, and read without running anything they hold."""

    def save_checkpoint(self, checkpoint, path, storage_options=None):
        with whole_file(path) as temporary:
            try:
                torch.save(checkpoint, temporary)
            except RuntimeError as error:  # what torch makes of a full disk
                raise OSError(
                    errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}, or another failure to write"
                ) from error

    def load_checkpoint(self, path, map_location=None, **_):
        return torch.load(path, map_location="cpu", weights_only=True)

    def remove_checkpoint(self, path):
        os.unlink(path)


def read_checkpoint(path):
    """A checkpoint of ours: tensors, numbers and text, and nothing that could run.

    Raises
    ------
    GlacierlabError
        It cannot be read, or is another program's.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        return checkpoint if "glacierlab" in checkpoint else {}["glacierlab"]
    except Exception as error:  # torch raises all kinds for files that are none of its own
        raise GlacierlabError(
            f"{path} is no checkpoint of ours, or broken ({type(error).__name__}): delete it to begin anew."
        ) from error


class Bar(Callback):
    """One progress bar over all epochs, with the scores of the last one."""

    def on_train_start(self, trainer, task):
        steps = trainer.num_training_batches
        first = trainer.current_epoch
        self.bar = tqdm(
            total=trainer.max_epochs * steps, initial=first * steps, desc="training", unit="batch"
        )

    def on_train_batch_end(self, trainer, task, outputs, batch, index):
        self.bar.update()

    def on_train_epoch_end(self, trainer, task):
        scores = {name: f"{trainer.callback_metrics[name].item():.3f}" for name in ("val_loss", "val_miou")
                  if name in trainer.callback_metrics}  # fmt: skip
        self.bar.set_description(f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}", refresh=False)
        self.bar.set_postfix(scores)

    def teardown(self, trainer, task, stage):
        if hasattr(self, "bar"):
            self.bar.close()


def shown(watch):
    """`watch` of a history, with what it returns shown in a notebook, in place of the last."""
    handle = None

    def show(history):
        nonlocal handle
        made = watch(history)
        if made is None or not in_kernel():
            return
        from IPython.display import display

        if handle is None:
            handle = display(made, display_id=True)
        else:
            handle.update(made)

    return show


def in_kernel():
    """Whether this runs in a notebook."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel")
