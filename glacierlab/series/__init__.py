"""Several dates: co-registration and composites."""

from .alignment import coregister
from .compositing import composite

__all__ = ["composite", "coregister"]
