"""Gray levels: percentiles and populations, replay, messages."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import xarray as xr

from glacierlab.errors import GlacierlabError, UnknownNameError
from glacierlab.features.quantize import PIXELS, Quantizer
from glacierlab.features.texture import glcm


@pytest.fixture
def image():
    values = np.random.default_rng(5).normal(0.4, 0.1, (24, 31)).astype("float32")
    values[3:5, 7:20] = np.nan
    return xr.DataArray(values, dims=("y", "x"))


def test_equal_width_between_percentiles():
    values = np.arange(1001.0)
    quantizer = Quantizer.fit(values, levels=4)
    assert asdict(quantizer) == {"levels": 4, "low": 20.0, "high": 980.0, "edges": ()}
    found = quantizer(
        xr.DataArray([[-5, 19, 20, 259, 260, 740, 979, 980, 5000, np.nan, np.inf]], dims=("y", "x"))
    )
    np.testing.assert_array_equal(found[0], [0, 0, 0, 0, 1, 3, 3, 3, 3, np.nan, np.nan])


def test_equal_population():
    values = np.random.default_rng(11).lognormal(size=(100, 100))
    quantizer = Quantizer.fit([values[:50], values[50:]], levels=8, method="population", percentiles=(0, 100))
    counts = np.bincount(quantizer(xr.DataArray(values, dims=("y", "x"))).values.astype(int).ravel())
    np.testing.assert_allclose(counts, 1250, atol=2)


def test_a_quantizer_replays(image):
    for quantizer in (Quantizer.fit(image), Quantizer.fit(image, 5, method="population")):
        assert Quantizer.from_json(json.dumps(asdict(quantizer))) == quantizer
        assert Quantizer(**asdict(quantizer)) == quantizer
        found = glcm(image, quantizer=quantizer)
        assert Quantizer.from_json(found.attrs["quantizer"]) == quantizer
    xr.testing.assert_identical(glcm(image), glcm(image, quantizer=Quantizer.fit(image)))
    lazy = Quantizer.fit(image)(image.chunk(y=5))
    assert lazy.chunks
    np.testing.assert_array_equal(lazy, Quantizer.fit(image)(image))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", "[" * 100_000,
     '{"levels": 4}',
     '{"levels": 4, "low": 0, "high": "1"}',
     '{"levels": 4, "low": 0, "high": NaN}',
     '{"levels": 4, "low": 1, "high": 1}',
     '{"levels": 1e9, "low": 0, "high": 1}',
     '{"levels": 4, "low": 0, "high": 1, "edges": [0.5]}',
     '{"levels": 3, "low": 0, "high": 1, "edges": [0.7, 0.2]}',
     '{"levels": 3, "low": 0, "high": 1, "edges": 7}',
     '{"levels": 4, "low": 0, "high": 1, "more": 1}'],
)  # fmt: skip
def test_an_altered_quantizer_is_refused(text):
    with pytest.raises(GlacierlabError):
        Quantizer.from_json(text)


def test_a_large_image_is_thinned_whatever_its_chunks():
    values = xr.DataArray(np.random.default_rng(14).normal(size=(2300, 2000)), dims=("y", "x"))
    assert values.size > PIXELS
    found = Quantizer.fit(values, levels=4)
    assert Quantizer.fit(values.chunk(y=301, x=1999), levels=4) == found
    assert [found.low, found.high] == pytest.approx([-2.054, 2.054], abs=0.02)  # of a normal distribution


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(levels=257), "2 to 256"),
        (dict(levels=True), "2 to 256"),
        (dict(percentiles=(98, 2)), "percentiles"),
        (dict(percentiles=(0, 101)), "percentiles"),
    ],
)
def test_bad_fits(image, options, message):
    with pytest.raises(GlacierlabError, match=message):
        Quantizer.fit(image, **options)
    with pytest.raises(UnknownNameError, match="population"):
        Quantizer.fit(image, method="popular")
    with pytest.raises(GlacierlabError, match="no pixel is observed"):
        Quantizer.fit([xr.full_like(image, np.nan)])
