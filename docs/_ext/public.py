"""What is public: every name that a user may write, with the one name its page goes by."""

import inspect
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType

import glacierlab as gl
from glacierlab.accessors import Method, RasterAccessor, SceneAccessor

PARTS = (
    "io", "features", "series", "synthetic", "samples", "models", "train", "judge", "outlines", "change",
    "scores", "viz", "apps", "tables", "teach", "errors",
)  # fmt: skip


@dataclass
class Public:
    """A function, a class or a table, under the name that its page goes by."""

    name: str  # such as glacierlab.ratio or glacierlab.judge.calibrate
    value: object
    also: list[str] = field(default_factory=list)  # its other public names

    @property
    def kind(self):
        """ "class", "exception", "function" or "data"."""
        if inspect.isclass(self.value):
            return "exception" if issubclass(self.value, BaseException) else "class"
        return "function" if callable(self.value) else "data"

    @property
    def part(self):
        """The part of the package that it lives in, "" for the top."""
        _, *middle, _ = self.name.split(".")
        return middle[0] if middle else ""

    @property
    def short(self):
        """As users write it: gl.ratio."""
        return self.name.replace("glacierlab", "gl", 1)

    @property
    def doc(self):
        return inspect.getdoc(self.value) or "" if self.kind != "data" else ""

    @property
    def summary(self):
        """The first sentence or paragraph of its docstring, on one line."""
        return " ".join(self.doc.split("\n\n")[0].split())


@cache
def public():
    """Every `Public` by its own name; a thing of several names is there once."""
    found, seen = {}, {}
    for name, value in spelled():
        key = id(value)
        if key in seen:
            seen[key].also.append(name)
        else:
            found[name] = seen[key] = Public(name, value)
    return found


def spelled():
    """(name, value) of all that is public, the shortest names first."""
    for name in gl.__all__:
        value = getattr(gl, name)
        if not isinstance(value, ModuleType | str):
            yield f"glacierlab.{name}", value
    for part in PARTS:
        module = getattr(gl, part)
        for name in public_names(module):
            yield f"glacierlab.{part}.{name}", getattr(module, name)
    for method in accessor_methods():
        function = method.function
        yield f"{function.__module__}.{function.__name__}", function


def public_names(module):
    """`__all__`, else what the module itself defines."""
    if listed := getattr(module, "__all__", None):
        return [name for name in listed if not isinstance(getattr(module, name), ModuleType)]
    own = [name for name, value in vars(module).items() if not name.startswith("_") and is_own(value, module)]
    return sorted(own)


def is_own(value, module):
    if isinstance(value, ModuleType):
        return False
    return getattr(value, "__module__", module.__name__) == module.__name__


@dataclass(frozen=True)
class AccessorMethod:
    """A method of `.glacier`, and the function behind it."""

    of: str  # "scene" or "raster"
    name: str
    function: object


@cache
def accessor_methods():
    """Every method of the two accessors."""
    return [
        AccessorMethod(of, name, getattr(accessor, name))
        for of, accessor in (("scene", SceneAccessor), ("raster", RasterAccessor))
        for name, method in vars(accessor).items()
        if isinstance(method, Method) and not name.startswith("_")
    ]


@cache
def by_any_name():
    """`Public` by each of its names."""
    return {name: each for each in public().values() for name in (each.name, *each.also)}
