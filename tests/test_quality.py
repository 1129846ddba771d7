"""QA masks and the scene doctor."""

import numpy as np
import pytest
import xarray as xr

import glacierlab as gl
from glacierlab.errors import DataWarning, GridError, MissingBandError
from glacierlab.quality import flag_set
from glacierlab.tables import MASKS


def with_qa(codes, native, **bands):
    """A scene of one row with a quality layer."""
    scene = xr.Dataset({"qa": (("y", "x"), np.asarray([codes], "uint16"))}, attrs={"radiometry": "sr"})
    scene["qa"].attrs["native"] = native
    return scene.assign({n: (("y", "x"), np.asarray([v], "float32")) for n, v in bands.items()})


# ---- QA ----


@pytest.mark.parametrize(
    ("code", "bits"),
    [
        (21824, {6, 8, 10, 12, 14}),
        (5440, {6, 8, 10, 12}),
        (30048, {5, 6, 8, 10, 12, 13, 14}),
        (13664, {5, 6, 8, 10, 12, 13}),
    ],
)  # decoded by the USGS: clear land and clear snow, OLI and TM
def test_known_qa_codes(code, bits):
    qa, row = xr.DataArray([code]), MASKS["qa_pixel"]
    single = {name: bit for name, bit in row.flags.items() if isinstance(bit, int)}
    assert {bit for name, bit in single.items() if flag_set(qa, row, [name]).item()} == {
        b for b in bits if b < 8
    }
    assert gl.valid_mask(with_qa([code], "qa_pixel")).item()


@pytest.mark.parametrize(
    ("native", "code", "valid"),
    [
        ("qa_pixel", 1, False),  # fill
        ("qa_pixel", 1 << 3, False),  # cloud
        ("qa_pixel", 1 << 4, False),  # cloud shadow
        ("qa_pixel", 1 << 1, True),  # dilated cloud
        ("qa_pixel", 1 << 5, True),  # snow is never masked
        ("qa_pixel", 3 << 14, False),  # cirrus, high confidence
        ("qa_pixel", 1 << 14, True),  # cirrus, low confidence
        ("scl", 0, False),
        ("scl", 3, False),
        ("scl", 8, False),
        ("scl", 9, False),
        ("scl", 10, True),  # thin cirrus
        ("scl", 11, True),  # snow or ice
        ("fmask", 255, False),
        ("fmask", 1 << 1, False),
        ("fmask", 1 << 3, False),
        ("fmask", 1 << 4, True),
        ("fmask", 1 << 2, True),  # beside a cloud
    ],
)
def test_what_hides_the_ground(native, code, valid):
    assert gl.valid_mask(with_qa([code], native)).item() is valid


def test_ice_under_a_cloud_flag_is_won_back():
    cloud, shadow, clear = 1 << 3, 1 << 4, 1 << 6
    scene = with_qa(
        [cloud, cloud, cloud | shadow, clear],
        "qa_pixel",
        green=[0.9, 0.9, 0.9, 0.2],
        swir16=[0.02, 0.4, 0.02, 0.2],  # ice, a real cloud, ice in cloud shadow, rock
    )
    assert gl.valid_mask(scene).values.tolist() == [[False, False, False, True]]
    kept = scene.glacier.valid_mask(keep_ice=True)
    assert kept.values.tolist() == [[True, False, False, True]]
    assert kept.won_back.values.tolist() == [[True, False, False, False]]
    assert kept.attrs["won_back_share"] == pytest.approx(1 / 3)


def test_mask_is_lazy(made):
    made["qa"] = xr.full_like(made["truth"], 1 << 3, dtype="uint16").assign_attrs(native="qa_pixel")
    lazy = made.chunk(50).glacier.valid_mask(keep_ice=True)
    assert lazy.chunks is not None
    assert lazy.won_back.chunks is not None
    xr.testing.assert_equal(lazy.compute(), made.glacier.valid_mask(keep_ice=True))


def test_map_leaves_clouds_out_and_keeps_ice(made):
    made["qa"] = xr.full_like(made["truth"], 1 << 6, dtype="uint16").assign_attrs(native="qa_pixel")
    made["qa"][:40] = 1 << 3
    codes = made.glacier.map_glaciers(keep_ice=False)["class_map"]
    assert (codes[:40] == 255).all()
    assert not (codes[40:] == 255).any()


def test_map_says_how_much_ice_it_won_back(made, tmp_path):
    made["qa"] = xr.where(made["truth"] == 1, 1 << 3, 1 << 6).astype("uint16").assign_attrs(native="qa_pixel")
    prediction = made.glacier.map_glaciers()
    pixels = int(prediction["won_back"].sum())
    assert 0.5 * int((made["truth"] == 1).sum()) < pixels <= int((made["truth"] == 1).sum())
    gl.write_folder(tmp_path, made, prediction)
    assert f"{pixels} pixels" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "change", [lambda s: plant_scale(s).assign_attrs(radiometry="dn"), lambda s: s.drop_vars("green")]
)
def test_map_without_reflectance_wins_nothing_back_and_says_so(made, change):
    made["qa"] = xr.full_like(made["truth"], 1 << 6, dtype="uint16").assign_attrs(native="qa_pixel")
    with pytest.warns(DataWarning, match="not won back"):
        prediction = change(made).glacier.map_glaciers(value=3.1)
    assert "won_back" not in prediction.coords
    assert set(np.unique(prediction["class_map"])) == {0, 1}


def test_advice_on_offsets_is_for_sentinel_2(made):
    with xr.set_options(keep_attrs=True):
        landsat = gl.check(plant_offset(made)).advice["offset"]
        sentinel = gl.check(plant_offset(made).assign_attrs(sensor="sentinel2_msi")).advice["offset"]
    assert "offset=" not in landsat
    assert "offset=-1000" in sentinel


def test_the_doctor_of_a_scene_without_bands(made):
    assert gl.check(made[["elevation"]]).verdict["data"] == "fail"


def test_the_doctor_of_several_dates(made):
    with pytest.raises(GridError, match="isel"):
        gl.check(made.expand_dims("time"))


def test_scene_without_qa(made):
    with pytest.raises(MissingBandError, match="no 'qa'"):
        made.glacier.valid_mask()


def test_qa_of_unknown_kind(made):
    made["qa"] = made["truth"].astype("uint16")
    with pytest.raises(MissingBandError, match=r"attrs\['native'\]"):
        made.glacier.valid_mask()


# ---- the doctor: each planted illness is found, and a healthy scene passes ----


def test_a_healthy_scene_passes(made):
    table = made.glacier.check()
    assert not (table.verdict == "fail").any(), table
    assert (
        table.loc[["CRS", "pixel size", "data", "scale", "band order", "gaps", "sun"], "verdict"]
        .eq("ok")
        .all()
    )


def test_the_doctor_on_athabasca(athabasca):
    table = gl.check(athabasca)
    assert not (table.verdict == "fail").any(), table
    assert table.verdict["CRS"] == "ok"  # no EPSG code, and said so
    assert "no EPSG" in table.evidence["CRS"]
    assert table.verdict["gaps"] == "warn"  # 2 % of the pixels are missing
    assert table.verdict["sun"] == "unknown"


def plant_scale(scene):
    return scene.map(lambda v: v * 10_000 if v.attrs.get("units") == "1" else v, keep_attrs=True)


def plant_offset(scene):
    return scene.map(lambda v: v + 0.1 if v.attrs.get("units") == "1" else v, keep_attrs=True)


def plant_double_offset(scene):
    return scene.map(lambda v: v - 0.1 if v.attrs.get("units") == "1" else v, keep_attrs=True)


def plant_stripes(scene):
    rows = np.arange(scene.sizes["y"]) % 16 < 4
    return scene.where(~xr.DataArray(rows, dims="y"))


ILLNESSES = {
    "no CRS": ("CRS", "fail", lambda s: s.drop_vars("spatial_ref")),
    "degrees": ("CRS", "fail", lambda s: s.rio.write_crs("EPSG:4326")),
    "resampled": ("pixel size", "warn", lambda s: s.assign_coords(x=s.x * 9, y=s.y * 9)),
    "not scaled": ("scale", "fail", plant_scale),
    "offset left": ("offset", "warn", plant_offset),
    "offset twice": ("offset", "warn", plant_double_offset),
    "cirrus for SWIR": ("SWIR not empty", "fail", lambda s: s.assign(swir16=s.swir16 * 0.01)),
    "swapped": ("band order", "warn", lambda s: s.assign(red=s.swir16, swir16=s.red)),
    "same band": ("bands differ", "fail", lambda s: s.assign(green=s.red)),
    "saturated": ("saturation", "warn", lambda s: s.assign(blue=s.blue.clip(max=0.3))),
    "stripes": ("gaps", "warn", plant_stripes),
    "all nodata": ("data", "fail", lambda s: s.assign(red=s.red * np.nan)),
    "low sun": ("sun", "warn", lambda s: s.assign_attrs(sun_elevation=14.0)),
}


@pytest.mark.parametrize("illness", ILLNESSES)
def test_the_doctor_finds(made, illness):
    test, verdict, plant = ILLNESSES[illness]
    with xr.set_options(keep_attrs=True):
        table = gl.check(plant(made))
    assert table.verdict[test] == verdict, table.loc[test]
    assert table.advice[test]


def test_stripes_are_called_so(made):
    assert "stripes" in gl.check(plant_stripes(made)).advice["gaps"]


def test_the_doctor_never_reads_the_truth(made):
    assert gl.check(made).equals(gl.check(made.drop_vars("truth")))


def test_a_lazy_scene_gets_the_same_table(made):
    assert gl.check(made.chunk(37)).equals(gl.check(made))
