"""Memory that nobody uses any more."""

import ctypes
import gc
import sys


def give_back_memory():
    """What is no longer used goes back to the system: objects that hold each other, and what glibc keeps.

    After a training or a map that is hundreds of MB.
    """
    gc.collect()
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):  # not in musl
        libc.malloc_trim(0)
