"""A made-up glacier landscape through the years, that renders scenes and knows their truth."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import rioxarray  # noqa: F401  registers .rio
import xarray as xr
from rasterio import Affine
from tqdm import tqdm

from ..errors import RadiometryError, SceneError
from ..io.layers import geodesic_area_km2
from ..tables import CLASSES, SENSORS, sensor_key
from . import ground, render
from .checks import require_gaps, require_view, require_world
from .instrument import to_dn
from .model import line_rise, simulate
from .terrain import Noise

LATE_SUMMER = "09-15", "03-15"  # north and south of the equator
LONGITUDE = 87.0  # assumption: the middle of UTM zone 45
EASTING = 500_000.0  # of the middle of all worlds [m]
SPREAD = 400_000.0  # [m] from west to east within which worlds lie; from south to north it is half
APART = 0.7548776662466927, 0.5698402909980532  # Roberts's R2 sequence: seeds that follow lie far apart
MODEL_EXTENT = 12_000.0  # [m]: a smaller picture shows the same mountains, smaller in every direction
TRUTH = ("background", "clean_ice", "debris_covered_ice", "glacial_lake")


def synthetic_world(
    seed=0,
    years=(2000, 2010, 2020),
    shape=(400, 400),
    *,
    pixel_size_m=30.0,
    latitude=49.0,
    ela_m=2900.0,
    ela_rise_m_a=4.0,
):
    """A made-up glacier landscape through the years.

    Mountains by a drainage rule; glaciers by the shallow ice approximation. Together they shrink from a great
    advance in 1900 as the equilibrium line rises; a small one may still grow. Ask the world for its `scene`,
    `truth` and `radar`, for the `outlines` of a year and the `areas` of all.

    Parameters
    ----------
    seed : int
        Names the world: the same arguments give the same world.
    years : sequence of int
        When it is seen, in ascending order, 1900 or later. A year is the same whichever others are asked for.
    shape : tuple of int
        Rows and columns, at least 48 each. Mountains narrower than 12 km are smaller, not fewer.
    pixel_size_m : float
        Side of a pixel [m], whatever sensor looks.
    latitude : float
        Where the sun is taken for [degrees, -80 to 80], at 87° E. Worlds of one latitude lie within 200 km of
        there, each seed in its own place, so that those of up to 20 km hardly ever overlap.
    ela_m : float
        Height of the equilibrium line in 2000 [m], which sets the height of all. Assumption: 2900, as in the
        Altai.
    ela_rise_m_a : float
        How fast the line rises after 2000 [m/a]; before, it was 1.3. Assumption: 4.

    Returns
    -------
    World

    Raises
    ------
    SceneError
        An argument is out of bounds.

    Notes
    -----
    Years are those of the model at full size; in a picture of less than 12 km glaciers are smaller and change
    as slowly as large ones. Its assumptions are the numbers of `glacierlab.synthetic`.

    Examples
    --------
    >>> world = synthetic_world(seed=1, years=[1990, 2020], shape=(64, 64))
    >>> scene = world.scene(2020, sensor="landsat-8")
    >>> bool(world.areas().groupby("year").area_km2.sum().is_monotonic_decreasing)
    True
    """
    return World(*require_world(seed, years, shape, pixel_size_m, latitude, ela_m, ela_rise_m_a))


def synthetic_scene(seed=0, shape=(400, 400), sensor="landsat-8", *, radiometry="sr", **view):
    """A made-up scene with glaciers, debris, lakes and late snow whose truth is exactly known.

    The last year of `synthetic_world(seed, ...)` in pixels of the sensor's size, 2020. A picture for lessons
    and tests: nothing in it is a measurement, and its numbers say nothing about how well a method does on
    real ice.

    Parameters
    ----------
    seed, shape
        As of `synthetic_world`.
    sensor, radiometry, **view
        As of `World.scene`.

    Returns
    -------
    xarray.Dataset
        As `World.scene`.

    Raises
    ------
    UnknownNameError, RadiometryError, SceneError

    Examples
    --------
    >>> import glacierlab as gl
    >>> scene = synthetic_scene(seed=6, shape=(64, 64))
    >>> list(scene.data_vars)
    ['coastal', 'blue', 'green', 'red', 'nir', 'swir16', 'swir22', 'elevation', 'truth']
    >>> scene.truth.attrs["flag_meanings"].split()
    ['background', 'clean_ice', 'debris_covered_ice', 'glacial_lake']
    """
    pixel_size_m = SENSORS[sensor_key(sensor)].pixel_size_m
    return synthetic_world(seed, (2020,), shape, pixel_size_m=pixel_size_m).scene(
        sensor=sensor, radiometry=radiometry, **view
    )


@dataclass(frozen=True)
class World:
    """A made-up landscape; see `synthetic_world`. Every scene and truth of it lies on one grid.

    Examples
    --------
    >>> import glacierlab as gl
    >>> world = gl.synthetic_world(seed=6, years=[1990, 2020], shape=(64, 64))
    >>> world.areas().groupby("year").area_km2.sum().round(1).to_dict()
    {1990: 1.2, 2020: 0.9}
    >>> world.scene(2020, sensor="sentinel-2").attrs["sensor"]
    'sentinel2_msi'
    """

    seed: int
    years: tuple[int, ...]
    shape: tuple[int, int]
    pixel_size_m: float
    latitude: float
    ela_m: float
    ela_rise_m_a: float

    def scene(self, year=None, date=None, sensor="landsat-8", *, radiometry="sr", gaps=False, **view):
        """What a sensor sees.

        Parameters
        ----------
        year : int, optional
            One of the world's; default the last.
        date : str, optional
            Month and day, "MM-DD": where the sun stands at 10:30 local time, and where snow lies. Default:
            late summer, "09-15" north of the equator and "03-15" south of it.
        sensor : str
            A sensor by key, platform or family name, such as "landsat-8", "landsat-5", "sentinel-2",
            "gaofen-6".
        radiometry : {"sr", "dn"}
            Surface reflectance [1], not corrected for terrain, or the digital numbers of the sensor's
            product, as `open_scene(..., radiometry="dn")` gives them.
        gaps : bool
            The stripes of Landsat 7 since 31 May 2003, each day elsewhere.
        **view
            snowline_m : height of the snow line [m], instead of the date's; frozen : whether lakes and rivers
            are, instead of the snow line's saying so; rock : brightness of rock, scree and debris as a
            multiple of those in `endmembers.toml`, default 1 (assumption: all four alike; its schist is 0.6
            of its granite, its light scree 1.7 of its rock), of which the truth knows nothing; clouds,
            thin_cloud, fog : share of the pixels under each; haze : optical depth at 0.55 µm; weather : seed
            of clouds and noise, default 0.

        Returns
        -------
        xarray.Dataset
            Dims (y, x): one float32 variable for each reflective band of the sensor [1]; `elevation` float32
            [m]; `truth` uint8, the class of most of the pixel: 0 background, 1 clean_ice,
            2 debris_covered_ice, 3 glacial_lake. Snow outside the glaciers is background.

        Raises
        ------
        UnknownNameError, RadiometryError, SceneError, GlacierlabError
        """
        key = sensor_key(sensor)
        if radiometry not in ("sr", "dn"):
            raise RadiometryError(f"A synthetic scene is radiometry='sr' or 'dn', not {radiometry!r}.")
        view = self._view(year, date, **view)
        if gaps:
            require_gaps(sensor, view.datetime)
        bands = render.observe(view, key, gaps_m=self.pixel_size_m if gaps else None)
        scene = xr.Dataset(
            {
                name: (("y", "x"), band, {"long_name": f"{name} surface reflectance", "units": "1"})
                for name, band in bands.items()
            }
            | {"elevation": self._elevation(view.ground), "truth": self._class_map(view.ground, "truth")},
            attrs={
                "title": f"synthetic world, seed {self.seed}, {view.year}: not a real place",
                "sensor": key,
                "radiometry": "sr",
                "datetime": view.datetime,
                "sun_elevation": view.light.sun_elevation,
                "sun_azimuth": view.light.sun_azimuth,
            },
        )
        scene = self._placed(scene)
        if radiometry == "sr":
            return scene
        return to_dn(scene, key)

    def truth(self, year=None, date=None, **view):
        """Everything that is true of a scene; give the same year, date and view.

        Returns
        -------
        xarray.Dataset
            `class_map` (y, x) uint8, as the scene's truth; `fraction` (class, y, x) float32, the share of
            each class, sum 1; `glacier_id` (y, x) int32, its number, 0 where there is none;
            `glacier_fraction` (y, x), the share within its outline, lakes on the ice too; `elevation`,
            `ice_thickness`, `debris_thickness` (y, x) float32 [m]; `snow` (y, x) float32, the share under
            snow; `shadow`, `cloud`, `thin_cloud`, `fog`, `cloud_shadow` (y, x) bool.
        """
        view = self._view(year, date, **view)
        shares = view.ground.classes()
        flat = ("y", "x")
        truth = xr.Dataset(
            {
                "class_map": self._class_map(view.ground, "class_map"),
                "fraction": (("class", *flat), np.stack([shares[name] for name in TRUTH]), {"units": "1"}),
                "glacier_id": (flat, np.where(view.ground.ice > 0, self._reference[0], 0)),
                "glacier_fraction": (flat, view.ground.ice, {"units": "1"}),
                "elevation": self._elevation(view.ground),
                "ice_thickness": (flat, view.ground.ice_m * np.float32(self._scale), {"units": "m"}),
                "debris_thickness": (flat, view.ground.debris_m, {"units": "m"}),
                "snow": (flat, render.snow_share(view.cover), {"units": "1"}),
                "shadow": (flat, view.light.shadow > 0),
                "cloud": (flat, np.array(view.sky.cloud)),
                "thin_cloud": (flat, np.array(view.sky.thin_cloud)),
                "fog": (flat, np.array(view.sky.fog)),
                "cloud_shadow": (flat, np.array(view.sky.cloud_shadow)),
            },
            coords={"class": np.array(TRUTH, object)},
            attrs={
                "title": f"truth of synthetic world, seed {self.seed}, {view.year}",
                "datetime": view.datetime,
            },
        )
        return self._placed(truth)

    def radar(self, year=None, date=None, *, days=12, weather=0, **options):
        """Coherence and phase of a made pair of radar images: statistics, not simulated physics.

        Parameters
        ----------
        year, date
            As of `scene`: the date says what melts.
        days : float
            Between the two images.
        weather : int
            Seed of the atmosphere and the noise.
        **options
            Of `glacierlab.synthetic.radar.coherence_and_phase`.

        Returns
        -------
        xarray.Dataset
            `coherence` [1] and `phase` [rad] (y, x) float32, for `scene.assign(...)`, and `layover` bool.
        """
        view = self._view(year, date, weather=weather)
        layers = render.radar(view, days, options)
        attrs = {"coherence": {"units": "1"}, "phase": {"units": "rad"}, "layover": {}}
        about = {
            "title": f"radar of synthetic world, seed {self.seed}, {view.year}",
            "datetime": view.datetime,
        }
        made = xr.Dataset({name: (("y", "x"), layers[name], attrs[name]) for name in attrs}, attrs=about)
        return self._placed(made)

    def outlines(self, year=None):
        """The glaciers of a year, as an inventory.

        Returns
        -------
        geopandas.GeoDataFrame
            One row a glacier that is left: `glacier_id` (a number, the same every year, about by its size in
            2000), `glac_id` (the same with the seed, for sets of several worlds), `year`, `area_km2`
            (geodesic, WGS84), `geometry` in the scenes' CRS. Neighbors share their divide; lakes on the ice
            lie within; nunataks are holes. Planar area is exactly the sum of the truth's `glacier_fraction`,
            times the area of a pixel.
        """
        import geopandas as gpd

        year = self._year(year)
        pieces = ground.ice_pieces(self._noise, self._model, self._grid, year)
        side = self.pixel_size_m / ground.PIECES
        west, north = self._corner
        parts = ground.polygons(pieces, self._reference[0], Affine(side, 0, west, 0, -side, north))
        rows = [(number, year, polygon) for number, polygon in sorted(parts.items())]
        outlines = gpd.GeoDataFrame(
            rows, columns=["glacier_id", "year", "geometry"], geometry="geometry", crs=self.crs
        )
        outlines.insert(1, "glac_id", [f"synthetic-{self.seed}-{number}" for number in outlines.glacier_id])
        outlines.insert(3, "area_km2", geodesic_area_km2(outlines.geometry))
        return outlines.astype({"glacier_id": int, "year": int})

    def areas(self):
        """The area of every glacier in every year.

        Returns
        -------
        pandas.DataFrame
            `glacier_id`, `year`, `area_km2`, as `outlines` has them; 0 when a glacier is gone.
        """
        years = tqdm(self.years, desc="outlines", unit="year", delay=5)
        found = pd.concat([self.outlines(year).drop(columns="geometry") for year in years])
        table = found.pivot(index="glacier_id", columns="year", values="area_km2")
        table = table.reindex(columns=pd.Index(self.years, name="year")).fillna(0.0)
        return (
            table.reset_index()
            .melt("glacier_id", var_name="year", value_name="area_km2")
            .astype({"year": int})
        )

    @property
    def crs(self):
        """UTM zone 45, north or south."""
        return "EPSG:32645" if self.latitude >= 0 else "EPSG:32745"

    @cached_property
    def _corner(self):
        """Easting and northing of the upper left corner [m], a multiple of 10 m."""
        from pyproj import Transformer

        to_meters = Transformer.from_crs("EPSG:4326", self.crs, always_xy=True)
        _, northing = to_meters.transform(LONGITUDE, self.latitude)
        east, north = (self.seed * step % 1 - 0.5 for step in APART)
        height, width = (n * self.pixel_size_m for n in self.shape)
        west, north = EASTING + SPREAD * east - width / 2, northing + SPREAD / 2 * north + height / 2
        return round(west / 10) * 10.0, round(north / 10) * 10.0

    @cached_property
    def _scale(self):
        return min(1.0, max(self.shape) * self.pixel_size_m / MODEL_EXTENT)

    @cached_property
    def _grid(self):
        return ground.Grid(*self.shape, self.pixel_size_m / self._scale)

    @cached_property
    def _noise(self):
        return Noise(self.seed)

    @cached_property
    def _model(self):
        extent = [n * self._grid.pixel_m for n in self.shape]
        poleward = 1 if self.latitude >= 0 else -1
        return simulate(self._noise, extent, self.years, self.ela_rise_m_a, poleward)

    @cached_property
    def _reference(self):
        return ground.reference(self._noise, self._model, self._grid)

    def _kept(self, name, key, make):
        """What `make` makes; the last of each name is kept, for scenes and truths that look at the same."""
        kept = self.__dict__.setdefault("_last", {})
        if name not in kept or kept[name][0] != key:
            kept.pop(name, None)  # two at a time would fill the memory
            kept[name] = key, make()
        return kept[name][1]

    def _make_ground(self, year):
        line = self._model.ela_m + line_rise(year, self.ela_rise_m_a)
        made = ground.make_ground(self._noise, self._model, self._grid, year, line, self._reference[1])
        if not made.ice.any():
            raise SceneError(
                f"No glacier lies in this picture in {year}: take another seed, a larger shape, or a slower "
                "rise."
            )
        return made

    def _year(self, year):
        year = self.years[-1] if year is None else year
        if year not in self.years:
            raise SceneError(
                f"The world has no year {year}; it has {list(self.years)}. Name it in synthetic_world."
            )
        return year

    def _view(self, year, date, **view):
        require_view(view)
        year = self._year(year)
        date = LATE_SUMMER[self.latitude < 0] if date is None else date
        return self._kept(
            "view", (year, date, *sorted(view.items())), lambda: self._make_view(year, date, view)
        )

    def _make_view(self, year, date, view):
        land = self._kept("ground", year, lambda: self._make_ground(year))
        if (line := view.get("snowline_m")) is not None:
            view = view | {"snowline_m": self._model.ela_m + (line - self.ela_m) / self._scale}
        place = dict(latitude=self.latitude, longitude=LONGITUDE, altitude_m=self.ela_m)
        return render.look(self._noise, land, year, date, **place, **view)

    def _elevation(self, land):
        heights = self.ela_m + self._scale * (land.elevation - self._model.ela_m)
        return ("y", "x"), heights.astype("float32"), {"long_name": "elevation", "units": "m"}

    def _class_map(self, land, name):
        shares = land.classes()
        codes = np.array([CLASSES[kind].code for kind in TRUTH], "uint8")
        attrs = {
            "long_name": "true surface class" if name == "truth" else "class",
            "flag_values": codes,
            "flag_meanings": " ".join(TRUTH),
        }
        return ("y", "x"), codes[ground.majority(np.stack([shares[kind] for kind in TRUTH]))], attrs

    def _placed(self, data):
        west, north = self._corner
        rows, columns = self.shape
        data = data.assign_coords(
            y=north - (np.arange(rows) + 0.5) * self.pixel_size_m,
            x=west + (np.arange(columns) + 0.5) * self.pixel_size_m,
        )
        return (
            data.rio.write_crs(self.crs).rio.write_coordinate_system().rio.write_transform()
        )  # knows the pixel size
