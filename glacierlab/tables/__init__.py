"""Published numbers and names as data: one row a thing, each with its source."""

import math
import re
import tomllib
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from importlib.resources import files

from ..errors import UnknownNameError


@dataclass(frozen=True)
class Band:
    """A band of a sensor.

    Examples
    --------
    >>> band = SENSORS["sentinel2_msi"].by_name["swir16"]
    >>> band.native, band.center_um, band.pixel_size_m
    ('B11', 1.6137, 20)
    """

    native: str  # the sensor's own id, such as B05
    name: str  # STAC common name
    center_um: float
    width_um: float
    pixel_size_m: float


@dataclass(frozen=True)
class Sensor:
    """A row of `sensors.toml`.

    Examples
    --------
    >>> sensor = SENSORS["landsat_oli"]
    >>> sensor.pixel_size_m, [band.name for band in sensor.bands][:4]
    (30, ['coastal', 'blue', 'green', 'red'])
    """

    long_name: str
    platforms: tuple[str, ...]
    aliases: tuple[str, ...]
    pixel_size_m: float
    source: str
    bands: tuple[Band, ...]
    qa: str = ""  # a key of MASKS
    product: str = ""  # a key of PRODUCTS, where the sensor's files leave no choice
    taken_for: str = ""  # a key of SENSORS whose fitted recipes and models serve it too: an assumption
    note: str = ""

    def __post_init__(self):
        object.__setattr__(self, "bands", tuple(Band(**band) for band in self.bands))

    @cached_property
    def by_native(self):
        """Bands by native id without padding: `B5`, `B8A`."""
        return {native_key(band.native): band for band in self.bands}

    @cached_property
    def by_name(self):
        """Bands by common name."""
        return {band.name: band for band in self.bands}


@dataclass(frozen=True)
class Product:
    """A row of `products.toml`: value = gain * DN + add.

    Examples
    --------
    >>> row = PRODUCTS["landsat_c2_l2_sr"]
    >>> row.level, row.gain, row.add
    ('sr', 2.75e-05, -0.2)
    """

    level: str  # "sr", "toa" or "kelvin"
    gain: float
    add: float
    nodata: float
    source: str
    baseline_offset_dn: float = 0.0  # added to the DN from processing baseline 04.00 on


@dataclass(frozen=True)
class Catalog:
    """A row of `catalogs.toml`.

    Examples
    --------
    >>> CATALOGS["earth-search"].url
    'https://earth-search.aws.element84.com/v1'
    """

    url: str
    source: str
    signed: bool = False  # whether its files open with signed addresses only
    note: str = ""


@dataclass(frozen=True)
class Collection:
    """A row of `collections.toml`: what a STAC collection holds.

    Examples
    --------
    >>> {key: row.sensors[0] for key, row in COLLECTIONS.items()}
    {'sentinel-2-l2a': 'sentinel2_msi', 'sentinel-2-c1-l2a': 'sentinel2_msi', 'landsat-c2-l2': 'landsat_tm'}
    """

    sensors: tuple[str, ...]
    reflectance: str  # a key of PRODUCTS
    source: str
    temperature: str = ""  # a key of PRODUCTS
    offset: str = ""  # "baseline" or "raster:bands"
    removed: str = ""  # a property of items
    note: str = ""


@dataclass(frozen=True)
class Mask:
    """A row of `masks.toml`: the flags of a quality layer and which of them hide the ground.

    Examples
    --------
    >>> MASKS["scl"].cloud
    ['cloud_medium_probability', 'cloud_high_probability']
    """

    long_name: str
    kind: str  # "bits" or "classes"
    fill_value: int
    source: str
    flags: dict
    fill: tuple[str, ...] = ()
    cloud: tuple[str, ...] = ()
    shadow: tuple[str, ...] = ()
    snow: tuple[str, ...] = ()  # and ice
    high_confidence: tuple[str, ...] = ()  # two-bit fields that count as cloud at 3


@dataclass(frozen=True)
class MapClass:
    """A row of `classes.toml`.

    Examples
    --------
    >>> {name: row.code for name, row in CLASSES.items()}
    {'background': 0, 'clean_ice': 1, 'debris_covered_ice': 2, 'glacial_lake': 3, 'glacier': 1}
    """

    code: int
    color: str


@dataclass(frozen=True)
class Ratio:
    """A row of `ratios.toml`.

    Examples
    --------
    >>> row = RATIOS["red_swir"]
    >>> row.numerator, row.denominator, row.threshold
    ('red', 'swir16', 2.0)
    """

    numerator: str
    denominator: str
    threshold: float
    source: str


@dataclass(frozen=True)
class TasseledCap:
    """A row of `tasseled_cap.toml`: coefficients by component, in the order of `bands`.

    Examples
    --------
    >>> key, row = next(iter(TASSELED_CAP.items()))
    >>> key, row.radiometry, list(row.coefficients)[:3]
    ('landsat_tm_reflectance_crist1985', 'sr', ['brightness', 'greenness', 'wetness'])
    """

    input: str
    sensor: str  # that it was derived for
    radiometry: str  # "dn", "toa" or "sr"
    bands: tuple[str, ...]
    source: str
    coefficients: dict[str, list[float]]
    additive: dict[str, float] = field(default_factory=dict)
    default_for: tuple[str, ...] = ()  # "sensor:radiometry"
    stands_in_for: tuple[str, ...] = ()  # the same, where it was derived for another level or sensor


@dataclass(frozen=True)
class SpectralIndex:
    """A row of `indices.toml`.

    Examples
    --------
    >>> row = INDICES["ndsi"]
    >>> row.formula, row.bands, row.threshold
    ('(green - swir16) / (green + swir16)', ['green', 'swir16'], 0.4)
    """

    long_name: str
    formula: str  # arithmetic on common band names
    source: str  # paper and DOI
    constants: dict[str, float] = field(default_factory=dict)  # named numbers of the formula, such as L
    threshold: float | None = None  # a starting point
    spyndex: tuple[str, ...] = ()  # its names in spyndex's catalog
    note: str = ""

    @property
    def bands(self):
        """Band names in the formula, in order of appearance."""
        names = dict.fromkeys(re.findall(r"[A-Za-z_]\w*", self.formula))
        return [name for name in names if name not in self.constants]


@dataclass(frozen=True)
class NamedRecipe:
    """A row of `recipes.toml`.

    Examples
    --------
    >>> {key: len(row.layers) for key, row in RECIPES.items()}
    {'cryonet': 24, 'cryonet_landsat': 20}
    """

    layers: tuple[str, ...]
    source: str
    note: str = ""


@dataclass(frozen=True)
class AugmentationSet:
    """A row of `augmentations.toml`: the copies that a paper trained with.

    Examples
    --------
    >>> AUGMENTATIONS["chu2022"].moves
    ['hflip', 'vflip', 'rot180', 'rot90_cw', 'rot90_ccw']
    """

    moves: tuple[str, ...]
    source: str
    random_clip: bool = False  # whether each copy is a window at a place drawn at random
    note: str = ""


@dataclass(frozen=True)
class NamedSplit:
    """A row of `splits.toml`: shares of the patches, or the regions of each part.

    Examples
    --------
    >>> row = SPLITS["8:1:1"]
    >>> dict(zip(row.names, row.shares))
    {'train': 0.8, 'validation': 0.1, 'test': 0.1}
    """

    source: str
    names: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()
    by: str = ""  # what was kept together
    regions: dict[str, list[str]] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Study:
    """One training of a protocol on made worlds, and its tests.

    Examples
    --------
    >>> {name: study.by for name, study in PROTOCOLS["chen2022"].studies.items()}
    {'scene1': 'source', 'scene1_leaky': 'random', 'scene2': 'world'}
    """

    pool: tuple[str, ...]  # areas whose worlds train
    by: str  # "world", or a way of `samples.split`
    shares: tuple[float, ...]  # training, validation and, where `test` names one, test
    test: str = ""
    elsewhere: tuple[str, ...] = ()  # areas that are tests of their own
    twins: str = ""  # a key of AUGMENTATIONS: copies made before the split
    relief: bool = False  # whether flat and rugged patches of the test are tests too


@dataclass(frozen=True)
class Protocol:
    """A row of `protocols.toml`: how a paper compared models, and how made worlds stand in for its scenes.

    Examples
    --------
    >>> row = PROTOCOLS["chen2022"]
    >>> row.classes, row.metrics[:3], row.tile
    (['background', 'glacier'], ['precision', 'recall', 'f1'], 128)
    """

    source: str
    preset: str  # of training
    tile: int  # the paper's [px]
    classes: tuple[str, ...]
    metrics: tuple[str, ...]
    models: tuple[str, ...]  # what the paper compared
    published: tuple[str, ...]
    assumed: tuple[str, ...]
    worlds: dict
    areas: dict
    studies: dict
    layers: dict = field(default_factory=dict)  # model → features or groups; "*" is any other
    variants: dict = field(default_factory=dict)  # rows of one model that differ in inference
    logits: int = 0  # 0: one for each class

    def __post_init__(self):
        studies = {name: Study(**each) for name, each in self.studies.items()}
        object.__setattr__(self, "studies", studies)


@dataclass(frozen=True)
class Stratum:
    """A row of `strata.toml`: bins of what tells one kind of ground, or of patch, from another.

    Examples
    --------
    >>> STRATA["slope"].units, STRATA["slope"].edges
    ('degrees', [10, 20, 30, 40])
    """

    long_name: str
    units: str
    edges: tuple[float, ...]  # ascending; a value on an edge belongs to the bin above it
    source: str
    labels: tuple[str, ...] = ()  # of the bins, one more than edges; bins of one label are one bin
    layers: tuple[str, ...] = ()  # features that hold it, the first that is there counts; by default its name
    note: str = ""


@dataclass(frozen=True)
class Preset:
    """A row of `presets.toml`: how a paper trained, with losses and the like as `fit` takes them.

    Examples
    --------
    >>> row = PRESETS["chen2022"]
    >>> row.loss, row.optimizer, row.batch_size
    ({'name': 'cross_entropy'}, {'name': 'adam', 'lr': 0.001, 'betas': [0.9, 0.999]}, 4)
    """

    source: str
    loss: dict
    optimizer: dict
    scheduler: dict
    batch_size: int
    max_epochs: int
    monitor: str  # the score that says which epoch is the best
    moves: tuple[str, ...]
    assumed: tuple[str, ...]  # what the source does not say
    copies: bool = False
    patience: int | None = None  # epochs without a better one after which it stops
    class_weights: str | None = None
    deep_supervision: tuple[float, ...] | None = None
    initialization: str | None = None
    clip_norm: float | None = None
    clip_value: float | None = None
    model: str = ""
    model_options: dict = field(default_factory=dict)
    tile: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Published:
    """A row of `published.toml`: a table that a paper printed.

    Examples
    --------
    >>> PUBLISHED["chen2022_table2_threshold_sweep"].where
    'Table II'
    """

    source: str
    where: str  # in the paper
    note: str = ""


UNKNOWN = {"str": "", "int": None, "float": math.nan, "geometry": None}  # by a column's dtype


@dataclass(frozen=True)
class Column:
    """A row of `rgi7.toml` or `extra_columns.toml`: a column of an inventory.

    Examples
    --------
    >>> RGI7["area_km2"].units, RGI7["area_km2"].dtype
    ('km2', 'float')
    """

    meaning: str
    dtype: str  # "str", "int", "float" or "geometry"
    source: str  # who fills it: "RGI", "GLIMS" or "glacierlab"
    units: str = ""
    codes: dict[int, str] = field(default_factory=dict)  # what its whole numbers stand for
    choices: tuple[str, ...] = ()  # of a text
    unknown: str | int | float | None = None  # what stands where nobody has said; None is a missing value

    def __post_init__(self):
        object.__setattr__(self, "codes", {int(code): name for code, name in self.codes.items()})
        if self.unknown is None:
            object.__setattr__(self, "unknown", UNKNOWN[self.dtype])


@dataclass(frozen=True)
class Inventory:
    """A row of `inventories.toml`: how an inventory of others names what RGI 7.0 names.

    Examples
    --------
    >>> row = INVENTORIES["rgi6"]
    >>> row.long_name, row.columns["rgi_id"]
    ('Randolph Glacier Inventory 5.0 or 6.0', 'RGIId')
    """

    long_name: str
    source: str
    columns: dict[str, str] = field(default_factory=dict)  # our name → theirs
    signature: tuple[str, ...] = ()  # columns that tell a file of it
    date: str = ""  # of outlines whose file says none
    date_end: str = ""  # their column that ends the range src_date begins
    recode: dict[str, dict[int, int]] = field(default_factory=dict)  # our column → their code → RGI 7's
    assumed: tuple[str, ...] = ()  # what no source confirms
    note: str = ""

    def __post_init__(self):
        codes = {name: {int(a): b for a, b in pairs.items()} for name, pairs in self.recode.items()}
        object.__setattr__(self, "recode", codes)


@dataclass(frozen=True)
class GlimsFile:
    """A row of `glims.toml`: a shapefile of a submission, and its columns with what they hold.

    Examples
    --------
    >>> {name: row.geometry for name, row in GLIMS_FILES.items()}
    {'polygons': 'Polygon', 'glaciers': 'Point', 'session': 'Point', 'image': 'Point'}
    """

    geometry: str
    required: dict[str, str]
    optional: dict[str, str] = field(default_factory=dict)


BAND_ALIASES = {
    "swir1": "swir16",
    "swir2": "swir22",
    "rededge1": "rededge071",
    "rededge2": "rededge075",
    "rededge3": "rededge078",
}  # not "rededge": catalogs call both B05 and B8A so

NOT_OBSERVED = 255  # the code of a pixel without data in every class map


def native_key(name):
    """A native band id in one spelling: `SR_B5`, `b05` and `B5` are `B5`.

    Examples
    --------
    >>> native_key("SR_B5"), native_key("b05"), native_key("B8A")
    ('B5', 'B5', 'B8A')
    """
    found = re.fullmatch(r"(?:(?:SR|ST|TOA)_)?([A-Z]+?)0*(\d+)([A-Z]?)", name.upper())
    return "".join(found.groups()) if found else name.upper()


def read_table(filename, row_type):
    """Rows of a TOML file by name; a misspelt or missing field fails here, at import.

    Examples
    --------
    >>> read_table("ratios.toml", Ratio)["red_swir"].threshold
    2.0
    """
    rows = tomllib.loads(files(__name__).joinpath(filename).read_text(encoding="utf-8"))
    return {name: row_type(**row) for name, row in rows.items()}


def lookup(table, name, kind):
    """`table[name]`, or an error that says what the choices are.

    >>> lookup({"ndsi": 1, "ndwi": 2}, "ndsi", kind="index")
    1
    >>> lookup({"ndsi": 1, "ndwi": 2}, "ndssi", kind="index")
    Traceback (most recent call last):
    ...
    glacierlab.errors.UnknownNameError: Unknown index 'ndssi'. Did you mean 'ndsi'? Known: ndsi, ndwi.
    """
    if name in table:
        return table[name]
    close = get_close_matches(str(name), table, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    known = sorted(table) if len(table) <= 40 else [*sorted(table)[:12], f"… ({len(table)} in all)"]
    raise UnknownNameError(f"Unknown {kind} {name!r}.{hint} Known: {', '.join(known)}.")


SENSORS = read_table("sensors.toml", Sensor)
PRODUCTS = read_table("products.toml", Product)
MASKS = read_table("masks.toml", Mask)
CATALOGS = read_table("catalogs.toml", Catalog)
COLLECTIONS = read_table("collections.toml", Collection)
CLASSES = read_table("classes.toml", MapClass)
INDICES = read_table("indices.toml", SpectralIndex)
RATIOS = read_table("ratios.toml", Ratio)
TASSELED_CAP = read_table("tasseled_cap.toml", TasseledCap)
RECIPES = read_table("recipes.toml", NamedRecipe)
SPLITS = read_table("splits.toml", NamedSplit)
AUGMENTATIONS = read_table("augmentations.toml", AugmentationSet)
PRESETS = read_table("presets.toml", Preset)
STRATA = read_table("strata.toml", Stratum)
PROTOCOLS = read_table("protocols.toml", Protocol)
RGI7 = read_table("rgi7.toml", Column)  # the glacier product's columns, in its order
EXTRA_COLUMNS = read_table("extra_columns.toml", Column)  # glacierlab's own, which come after
INVENTORIES = read_table("inventories.toml", Inventory)
GLIMS_FILES = read_table("glims.toml", GlimsFile)
PUBLISHED = read_table("published.toml", Published)


def _sensor_names():
    names = {}
    for key, sensor in SENSORS.items():
        for name in (key.replace("_", "-"), *sensor.aliases, *sensor.platforms):
            names.setdefault(name, key)  # a platform is its own sensor first, then HLS
    return names


SENSOR_NAMES = _sensor_names()


def sensor_key(name):
    """The key of `SENSORS` for a key, a platform or a family name.

    >>> sensor_key("landsat-8"), sensor_key("Sentinel-2"), sensor_key("hls_l30")
    ('landsat_oli', 'sentinel2_msi', 'hls_l30')
    """
    spelling = re.sub(r"[\s_]+", "-", str(name).strip().lower())
    return lookup(SENSOR_NAMES, spelling, kind="sensor")


def band_name(name, sensor=None):
    """The common name of a band: native ids need the sensor; aliases and common names do not.

    >>> band_name("SR_B5", "landsat_oli"), band_name("B8A", "sentinel2_msi"), band_name("swir1")
    ('nir', 'nir08', 'swir16')
    """
    lower = name.lower()
    if sensor is not None:
        row = SENSORS[sensor]
        if native_key(name) in row.by_native:
            return row.by_native[native_key(name)].name
        if lower == "nir08" and lower not in row.by_name:
            return "nir"  # STAC's name of Landsat's only near infrared
    return BAND_ALIASES.get(lower, lower)


def published(name, **dtypes):
    """A table as a paper printed it.

    Parameters
    ----------
    name : str
        A key of `PUBLISHED`, such as "chen2022_table3_methods"; "verification" holds every number that
        follows from others, computed anew.
    **dtypes : str or type
        Of columns, where another type than the one that the numbers suggest is wanted.

    Returns
    -------
    pandas.DataFrame
        The numbers in the paper's units, which the names of the columns say; its attrs hold `source`, `where`
        and `note`.

    Raises
    ------
    UnknownNameError
        No such table.

    Examples
    --------
    >>> sweep = published("chen2022_table2_threshold_sweep")
    >>> float(sweep.threshold[sweep.f1_pct.idxmax()]), sweep.attrs["where"]
    (3.1, 'Table II')
    """
    import pandas as pd

    row = lookup(PUBLISHED, name, kind="published table")
    with files(__name__).joinpath("published", f"{name}.csv").open(encoding="utf-8") as text:
        table = pd.read_csv(text, dtype=dtypes)
    table.attrs = {"source": row.source, "where": row.where, "note": row.note}
    return table
