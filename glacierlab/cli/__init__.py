"""The command line: each command is a thin shell over one function of the package."""

from . import apps, change, commands, mapping  # noqa: F401  they join the group
from .group import main

__all__ = ["main"]
