"""A made-up glacier landscape seen by a real sensor, with exactly known truth."""

from .world import World, synthetic_scene, synthetic_world

__all__ = ["World", "synthetic_scene", "synthetic_world"]
