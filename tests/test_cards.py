"""What scenes, recipes, models and trainings show of themselves in a cell and as text."""

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

import glacierlab as gl

HOSTILE = '<script>alert("x")</script>\x1b[31m'


def forbidden(*args, **kwargs):
    raise AssertionError("a lazy scene was computed")


@pytest.fixture
def lazy(made):
    """The made scene, whose pixels cannot be computed."""
    untouchable = lambda band: da.from_delayed(dask.delayed(forbidden)(), band.shape, band.dtype)
    return made.assign(
        {name: (band.dims, untouchable(band), band.attrs) for name, band in made.data_vars.items()}
    )


def test_a_scene_says_sensor_date_units_size_and_what_is_missing(made):
    text, html = repr(made.glacier), made.glacier._repr_html_()
    for told in (
        "Landsat 8/9 OLI and TIRS", "surface reflectance [1]", "200 x 160 pixels of 30 m (6 x 4.8 km)",
        "coastal, blue, green, red, nir, swir16, swir22", "pan, cirrus, lwir11, lwir12", "elevation, truth",
        "every pixel has every band", "° above the horizon", "in memory", str(made.attrs["datetime"])[:10],
    ):  # fmt: skip
        assert told in text
        assert told in html
    assert '<img src="data:image/png;base64,' in html


def test_what_a_scene_lacks_is_said(made):
    made["red"][:16] = np.nan
    bare = made.drop_vars(["swir16", "spatial_ref"])
    del bare.attrs["sun_elevation"], bare.attrs["sensor"], bare.attrs["radiometry"], bare.attrs["datetime"]
    text = repr(bare.glacier)
    for told in ("sensor   not known", "date     not known", "numbers  not known: open the scene with gain=",
                 "no CRS", "sun      not known", "10.0% of pixels lack a band"):  # fmt: skip
        assert told in text
    assert "to_reflectance" in repr(made.assign_attrs(radiometry="dn").glacier)


def test_a_lazy_scene_is_described_and_not_computed(lazy):
    for text in (repr(lazy.glacier), lazy.glacier._repr_html_(), repr(lazy["nir"].glacier)):
        assert "lazy" in text
        assert "<img" not in text
    assert "not counted: the scene is lazy" in repr(lazy.glacier)


def test_a_file_that_was_opened_and_not_read_is_left_alone(made, tmp_path):
    made.drop_vars("spatial_ref").to_netcdf(tmp_path / "scene.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "scene.nc", engine="h5netcdf") as opened:
        assert "not counted" in repr(opened.glacier)
        assert not opened["red"].variable._in_memory


def test_a_cube_tells_its_dates(made):
    dates = np.array(["2000-08-01", "2020-08-01"], "datetime64[ns]")
    cube = xr.concat([made, made], dim="time", data_vars="all").assign_coords(time=dates)
    assert "2 dates, 2000-08-01 to 2020-08-01" in repr(cube.glacier)
    assert "<img" not in cube.glacier._repr_html_()


def test_a_map_and_a_raster_are_brief(mapped, made):
    assert "classes  background, glacier" in repr(mapped.glacier)
    text = repr(made["nir"].glacier)
    assert text.startswith("nir\n")
    assert f"median {float(made['nir'].median()):.3g}" in text
    assert "threshold" in repr(mapped["class_map"].glacier)


@pytest.mark.parametrize("made_of", [xr.Dataset(), xr.Dataset({"a": ("t", [1, 2])}), xr.DataArray(3)])
def test_what_is_no_scene_is_described_too(made_of):
    assert "grid" in repr(made_of.glacier)
    assert "grid" in made_of.glacier._repr_html_()


def test_what_files_say_is_escaped(made):
    hostile = made.rename(red=HOSTILE).assign_attrs(title=HOSTILE, sensor=HOSTILE, datetime=HOSTILE)
    hostile["nir"].attrs |= {"units": HOSTILE, "long_name": HOSTILE}
    card = gl.models.Card((HOSTILE,), (HOSTILE,), note=HOSTILE, training={HOSTILE: {HOSTILE: 1}})
    shown = [
        hostile.glacier._repr_html_(),
        hostile["nir"].glacier._repr_html_(),
        gl.Recipe(["ndsi", HOSTILE])._repr_html_(),
        card._repr_html_(),
    ]
    for html in shown:
        assert "&lt;script&gt;" in html
        assert "<script" not in html
        assert "\x1b" not in html
    assert "\x1b" not in repr(hostile.glacier) + repr(gl.Recipe(["ndsi", HOSTILE]))


def test_a_recipe_tells_its_layers_by_group_and_what_it_was_fitted_to(made):
    recipe = gl.Recipe(["red", "ndsi", "pca:2", "own_layer"])
    assert repr(recipe).startswith("Recipe of 4 layers, not fitted\n")
    assert "of the scene  own_layer" in repr(recipe)
    fitted = gl.Recipe(["red", "ndsi", "pca:2"]).fit(made)
    for text in (repr(fitted), fitted._repr_html_()):
        for told in ("3 layers, 4 features, fitted", "landsat_oli", "1 scenes, 32,000 pixels of 30 m"):
            assert told in text


def test_a_model_shows_its_card():
    pytest.importorskip("torch", reason="models need torch")
    html = gl.load_model("default")._repr_html_()
    for told in ("Model unet", "1,943,348", "clean_ice", "red/swir16", "<summary", "overall_accuracy"):
        assert told in html
    assert "none: gl.fit fills it in" in gl.models.build_model("unet", 3, 2, widths=[4, 8])._repr_html_()


def test_a_card_is_shown_without_torch():
    html = gl.models.read_card("default")._repr_html_()
    assert "Card of a model" in html
    assert "Trained on made worlds alone" in html


def test_a_training_shows_its_history():
    pytest.importorskip("torch", reason="training needs torch")
    import pandas as pd

    from glacierlab.train import Training

    model = gl.models.build_model("unet", 3, 2, widths=[4, 8])
    history = pd.DataFrame({"epoch": [0, 1], "train_loss": [0.7, 0.51234], "val_iou": [0.1, 0.2]})
    html = Training(model, history, None, None, 1)._repr_html_()
    assert "2 epochs, best 1" in html
    assert "0.5123" in html


def test_cards_are_legible_in_light_and_dark(made, browser, tmp_path):
    page_of = f"<style>:root {{color-scheme: light dark}}</style>{made.glacier._repr_html_()}"
    (tmp_path / "card.html").write_text(page_of, encoding="utf-8")
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto((tmp_path / "card.html").as_uri())
        color = page.eval_on_selector("td", "cell => getComputedStyle(cell).color")
        dark_text = sum(map(int, color.removeprefix("rgb(").removesuffix(")").split(","))) < 380
        assert dark_text == (scheme == "light")
        assert page.eval_on_selector("img", "img => img.complete && img.naturalWidth > 50")
        page.close()
