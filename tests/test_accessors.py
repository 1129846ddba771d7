"""The `.glacier` accessor: every method is a public function of the package, and shows itself as that."""

import inspect

import pytest
import xarray as xr

import glacierlab as gl
from glacierlab.accessors import Method, RasterAccessor, SceneAccessor

METHODS = [
    (owner, name)
    for owner in (SceneAccessor, RasterAccessor)
    for name, value in vars(owner).items()
    if isinstance(value, Method) and not name.startswith("_")
]


@pytest.mark.parametrize(("owner", "name"), METHODS, ids=lambda value: getattr(value, "__name__", value))
def test_a_method_shows_its_functions_help_without_its_first_argument(made, owner, name):
    function = getattr(owner, name)
    method = getattr((made if owner is SceneAccessor else made.red).glacier, name)
    assert inspect.isfunction(function)
    assert "Parameters\n    ----------" in function.__doc__
    assert method.__doc__ == function.__doc__
    assert list(inspect.signature(method).parameters) == list(inspect.signature(function).parameters)[1:]


def test_a_method_is_the_function_with_the_object_put_first(made):
    xr.testing.assert_identical(made.glacier.index("ndsi"), gl.index(made, "ndsi"))
    xr.testing.assert_identical(made.red.glacier.threshold(0.5), gl.threshold(made.red, 0.5))


def test_completion_finds_the_methods(made):
    assert {"stack", "check", "outlines"} <= set(dir(made.glacier))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = made.glacier.nonsense
