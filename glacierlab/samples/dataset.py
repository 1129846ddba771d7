"""Patches as a torch dataset."""

import dask
import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info


class PatchDataset(Dataset):
    """Images (feature, y, x) float32 and labels (y, x) int64, 255 where unknown; made by `PatchSet.torch`."""

    def __init__(self, store, windows, size, augmentation=None, seed=0):
        self.store, self.windows, self.size = store, windows, size
        self.augmentation, self.seed = augmentation, seed
        self.epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # so that lasting workers see it

    def __len__(self):
        return len(self.windows)

    def set_epoch(self, epoch):
        """Say which epoch this is, from 0: the same patch is augmented otherwise in each."""
        self.epoch.fill_(epoch)

    def __getitem__(self, index):
        scene, row, col, position = self.windows[index]
        # A worker is a process among several: threads of its own would crowd them, and a forked one has none.
        with dask.config.set({"scheduler": "synchronous"} if get_worker_info() else {}):
            image, label = self.store.read(scene, row, col, self.size, position)
        if self.augmentation is not None:
            image, label = self.augmentation(image, label, (self.seed, int(self.epoch), position))
        image, label = np.ascontiguousarray(image), np.ascontiguousarray(label, dtype=np.int64)
        return torch.from_numpy(image), torch.from_numpy(label)
