"""Several dates: finding scenes, co-registration and composites."""

from .alignment import coregister
from .compositing import composite
from .scenes import find_scenes

__all__ = ["composite", "coregister", "find_scenes"]
