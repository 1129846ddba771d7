"""Fixtures of the whole suite: real data where they are, and one small made scene."""

import os
from pathlib import Path

import pytest
from browsing import browser, served  # noqa: F401  fixtures
from hypothesis import settings

import glacierlab as gl

os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads of torch wait for each other on a busy machine

settings.register_profile("suite", deadline=None, max_examples=50, derandomize=True)
settings.load_profile("suite")

BESIDE = Path(__file__).parents[1] / "../shared/data"  # beside a checkout, for developers


@pytest.fixture(scope="session", autouse=True)
def offline():
    """No test asks a hub or an index for anything."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["MPLBACKEND"] = "agg"


@pytest.fixture(scope="session")
def data():
    """The folder of real data: `GLACIERLAB_DATA`, or the one beside the checkout."""
    folder = Path(os.environ.get("GLACIERLAB_DATA") or BESIDE)
    if not (folder / "athabasca").is_dir():
        pytest.skip("no real data here: set GLACIERLAB_DATA to a folder that holds them")
    return folder.resolve()


@pytest.fixture(scope="session")
def _athabasca(data):
    return gl.open_scene(data / "athabasca")


@pytest.fixture
def athabasca(_athabasca):
    """The real scene of Athabasca Glacier, HLS L30."""
    return _athabasca.copy(deep=True)


@pytest.fixture(scope="session")
def athabasca_outline(data):
    """Its outline of 1984; the ice around it is unlabeled."""
    return gl.open_inventory(data / "athabasca/athabasca_outline.shp")


@pytest.fixture(scope="session")
def _made():
    return gl.synthetic_scene(seed=1, shape=(160, 200))


@pytest.fixture
def made(_made):
    """A small made scene with its truth."""
    return _made.copy(deep=True)


@pytest.fixture
def mapped(made):
    """Its map."""
    return made.glacier.map_glaciers()


@pytest.fixture
def outlines(mapped):
    """The outlines of its map."""
    return gl.vectorize(mapped["class_map"])
