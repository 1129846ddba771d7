"""A made-up glacier landscape seen by a real sensor, with exactly known truth."""

from .render import synthetic_scene

__all__ = ["synthetic_scene"]
