"""Names of glaciers in any script: drawn where a font has the letters, else by their id or spelled out."""

import io
import unicodedata

import geopandas as gpd
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import shapely
import xarray as xr
from matplotlib.font_manager import findfont, fontManager
from matplotlib.ft2font import FT2Font

from glacierlab import viz
from glacierlab.change.differences import area_change
from glacierlab.viz.fonts import families_for

NAMES = ["念青唐古拉冰川", "መረሻ", "უშბა", "Übeltal $a$"]


def drawn(figure):
    """All text that a figure draws; a letter without a glyph is a warning, and so an error."""
    figure.savefig(io.BytesIO())
    return [text.get_text() for text in figure.findobj(mpl.text.Text)]


@pytest.fixture(autouse=True)
def no_other_fonts(monkeypatch):
    """Only those that come with matplotlib, wherever the tests run."""
    own = [entry for entry in fontManager.ttflist if "mpl-data" in entry.fname]
    monkeypatch.setattr(fontManager, "ttflist", own)
    families_for.cache_clear()
    yield
    families_for.cache_clear()


@pytest.fixture
def series():
    rows = [(name, year, area) for name in NAMES for year, area in [("2000", 2.0), ("2020", 1.5)]]
    return pd.DataFrame(rows, columns=["glacier", "window", "area_km2"]).assign(
        date="", area_unc_km2=0.1, area_unc_kind="bound", source=""
    )


def test_names_in_other_scripts_are_drawn(series):
    change = area_change(series[["glacier", "window", "area_km2", "area_unc_km2", "area_unc_kind"]])
    for figure in (viz.series_figure(series, title="冰"), viz.loss_figure(change, title="冰")):
        told = " ".join(drawn(figure))
        assert r"\u5ff5\u9752\u5510\u53e4\u62c9\u51b0\u5ddd" in told  # in no font of these
        assert "უშბა" in told
        assert r"Übeltal \$a\$" in told
        assert r"\u51b0" in told


def test_letters_come_from_a_font_that_has_them(series):
    """STIX has no Georgian, DejaVu has: by the tables of the fonts themselves."""
    letters = set("უშბა")
    assert not any(map(FT2Font(findfont("STIXGeneral")).get_char_index, map(ord, letters)))
    with mpl.rc_context({"font.family": "STIXGeneral"}):
        figure = viz.loss_figure(area_change(series.drop(columns=["source", "date"])))
        assert "უშბა" in drawn(figure)
        name = next(text for text in figure.findobj(mpl.text.Text) if text.get_text() == "უშბა")
        first, *others = name.get_fontfamily()
        assert first == "STIXGeneral"
        assert {unicodedata.name(c).split()[0] for c in letters} == {"GEORGIAN"}
        assert all(FT2Font(findfont(others[0])).get_char_index(ord(c)) for c in letters)


def test_a_map_names_the_id_of_what_it_cannot_write():
    boxes = [shapely.box(0, 0, 1000, 1000), shapely.box(1000, 0, 2000, 1000)]
    table = gpd.GeoDataFrame(
        {"rgi_id": ["A-1", "A-2"], "glac_name": ["冰川", "Rhône"]}, geometry=boxes, crs=32632
    )
    at = {"y": 50.0 + 100 * np.arange(10), "x": 50.0 + 100 * np.arange(20)}
    shade = xr.DataArray(np.full((10, 20), 200.0), at, ("y", "x")).rio.write_crs(32632)
    told = drawn(viz.divides_figure(table, shade, names="glac_name"))
    assert {"A-1", "Rhône"} <= set(told)
    assert not {"A-2", "冰川"} & set(told)
