"""From masks to polygons."""

from .clean import clean
from .polygons import vectorize

__all__ = ["clean", "vectorize"]
