"""The training task: forward, loss, score, optimizer. All else is Lightning's, or a callback's."""

import math
import random

import lightning
import numpy as np
import torch
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.lr_scheduler import ReduceLROnPlateau

from ..errors import GlacierlabError
from .batches import require_sound, train_loader, val_loader
from .tally import Tally


class Diverged(GlacierlabError):
    """The loss is no number any more, or far too large."""


class Task(lightning.LightningModule):
    """A `Segmenter` that learns from a part of a PatchSet and is judged on another (or none)."""

    def __init__(self, model, train, val, settings, augmentation=None, freeze=(), num_workers=0):
        super().__init__()
        self.model, self.patches, self.settings = model, (train, val), settings
        self.augmentation, self.freeze, self.num_workers = augmentation, freeze, num_workers
        self.loss = settings.make_loss()
        self.epochs_done = 0  # of a run that is taken up
        self.first = self.pending = None

    def training_step(self, batch, _):
        images, labels, _ = batch
        loss = self.loss(self.model(self.laid_out(images)), labels)
        self.look_at(loss.detach())
        self.tally.add_loss(loss.detach(), len(images))
        return loss

    def on_validation_epoch_start(self):
        self.val_tally = Tally(len(self.patches[1].classes), self.device)

    def validation_step(self, batch, _):
        images, labels, _ = batch
        logits = self.model(self.laid_out(images))
        self.val_tally.add_loss(self.loss(logits, labels), len(images))
        self.val_tally.add(logits, labels)

    def on_validation_epoch_end(self):
        scores = self.val_tally.scores(self.trainer.strategy.reduce)
        if not math.isfinite(scores["loss"]):  # before the epoch may count as the best
            raise Diverged(f"the loss of validation was {scores['loss']:g} in epoch {self.current_epoch}")
        self.log_dict({f"val_{name}": value for name, value in scores.items()})

    def on_train_epoch_end(self):
        self.log("train_loss", self.tally.scores(self.trainer.strategy.reduce)["loss"])
        if isinstance(
            self.lr_schedulers(), ReduceLROnPlateau
        ):  # Lightning would after the checkpoint, which lost it
            self.lr_schedulers().step(self.trainer.callback_metrics[self.settings.monitor])

    def lr_scheduler_step(self, scheduler, metric):
        if not isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step()

    def configure_optimizers(self):
        optimizer = self.settings.make_optimizer(
            [each for each in self.model.parameters() if each.requires_grad]
        )
        scheduler = self.settings.make_scheduler(optimizer)
        if scheduler is None:
            return optimizer
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "monitor": self.settings.monitor},
        }

    # ---- data ----

    def train_dataloader(self):
        self.loader = train_loader(self.patches[0], self.settings, self.augmentation, self.num_workers)
        self.loader.sampler.set_epoch(self.epochs_done)  # workers begin to read before any hook is called
        return self.loader

    def val_dataloader(self):
        if not self.patches[1]:
            return []
        where = dict(rank=self.trainer.global_rank, devices=self.trainer.world_size)
        return val_loader(self.patches[1], self.settings, self.num_workers, **where)

    def on_train_epoch_start(self):
        """Dropout depends on seed and epoch alone, and so does the order of patches."""
        self.loader.sampler.set_epoch(self.current_epoch)
        seed_all(self.settings.seed, self.current_epoch)
        self.tally = Tally(0, self.device)

    def on_before_batch_transfer(self, batch, _):
        patches = self.patches[0 if self.trainer.training else 1]
        require_sound(batch, patches, len(patches.classes))
        return batch

    def laid_out(self, images):
        return images.contiguous(memory_format=torch.channels_last) if self.settings.channels_last else images

    # ---- safety ----

    def look_at(self, loss):
        """Raise `Diverged` where the loss explodes; on a GPU one step later, so that nobody waits for it."""
        seen, self.pending = (loss, None) if loss.device.type == "cpu" else (self.pending, loss)
        if seen is None:
            return
        seen = seen.item()
        self.first = abs(seen) if self.first is None and math.isfinite(seen) else self.first
        if not math.isfinite(seen) or seen > self.settings.explode * max(self.first, 1.0):
            raise Diverged(f"the loss was {seen:g} in epoch {self.current_epoch}")

    def train(self, mode=True):
        """Frozen batch norms stay in eval: neither their weights nor their statistics move."""
        super().train(mode)
        for name, module in self.model.named_modules():
            if isinstance(module, _BatchNorm) and name.startswith(tuple(self.freeze)):
                module.eval()
        return self


def seed_all(*numbers):
    """Seed Python, NumPy and torch with a number made of these."""
    seed = int(np.random.SeedSequence(numbers).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  of libraries that use it
    torch.manual_seed(seed)
