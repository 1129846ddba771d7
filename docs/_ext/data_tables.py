"""Tables of the reference, made from the package's own tables when the site is built."""

import ast
import inspect
import warnings

from links import DOCS, write

from glacierlab import tables

FOLDER = DOCS / "reference" / "generated" / "tables"
FEATURES, CLASSES = 7, 2  # of which the parameters of models are counted, as in models.md


SWATCH = '<span class="swatch" style="background:{}"></span>'


def write_tables():
    """Every table, as a fragment that a page of the reference includes."""
    for make in (sensors, products, masks, indices, ratios, tasseled_cap, layers, recipes, models, presets,
                 protocols, splits, strata, classes, inventories, columns):  # fmt: skip
        write(FOLDER / f"{make.__name__}.md", make())


def markdown(heads, rows, classes=""):
    """A Markdown table; `classes` go to a div around it."""
    lines = [heads, ["---"] * len(heads), *([cell(each) for each in row] for row in rows)]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
    return f":::{{div}} {classes}\n\n{text}\n:::\n" if classes else text


def cell(value):
    """A value as a cell: lists with commas, numbers as short as they are."""
    if value is None or value == "":
        return ""
    if isinstance(value, float):
        value = f"{value:g}"
    if isinstance(value, list | tuple):
        value = ", ".join(map(cell, value))
    return linked(" ".join(str(value).split())).replace("|", "\\|")


def linked(text):
    """A text whose DOIs and arXiv numbers are links."""
    words = []
    for word in text.split(" "):
        bare = word.rstrip(".,;:)")
        tail = word[len(bare) :]
        if bare.startswith("doi:"):
            word = f"[{bare}](https://doi.org/{bare[4:]}){tail}"
        elif bare.startswith("arXiv:"):
            word = f"[{bare}](https://arxiv.org/abs/{bare[6:]}){tail}"
        words.append(word)
    return " ".join(words)


def code(text):
    return f"`{text}`" if text else ""


# ---- instruments and files


def sensors():
    text = ""
    for key, row in tables.SENSORS.items():
        bands = [(code(b.name), b.native, b.center_um, b.width_um, b.pixel_size_m) for b in row.bands]
        text += f"## {row.long_name}\n\n"
        named = dict.fromkeys([key, *row.platforms, *row.aliases])
        text += f"`sensor=` takes {', '.join(map(code, named))}. Source: {linked(row.source)}."
        text += f" {row.note[:1].upper()}{row.note[1:]}." if row.note else ""
        if row.taken_for:
            text += f" Models and recipes of `{row.taken_for}` take it too, an assumption."
        heads = ["common name", "band", "center [µm]", "width [µm]", "pixel [m]"]
        text += "\n\n" + markdown(heads, bands, "numbers") + "\n"
    return text


def products():
    rows = [
        (code(key), row.level, f"{row.gain:g}", f"{row.add:g}", row.nodata, row.baseline_offset_dn or "",
         row.source)
        for key, row in tables.PRODUCTS.items()
    ]  # fmt: skip
    heads = ["product", "level", "gain", "add", "no data", "offset from baseline 04.00 [DN]", "source"]
    return markdown(heads, rows)


def masks():
    rows = [
        (code(key), row.long_name, row.kind, ", ".join(row.cloud), ", ".join(row.shadow), ", ".join(row.snow),
         row.source)
        for key, row in tables.MASKS.items()
    ]  # fmt: skip
    return markdown(["mask", "what it is", "kind", "cloud", "shadow", "snow", "source"], rows)


# ---- layers


def indices():
    rows = [
        (code(key), row.long_name, code(row.formula), code(constants(row)), row.threshold, told(row))
        for key, row in tables.INDICES.items()
    ]
    return markdown(["name", "index", "formula", "constants", "threshold", "source"], rows)


def constants(row):
    return ", ".join(f"{name} = {value:g}" for name, value in row.constants.items())


def told(row):
    """Source of a row, and its note."""
    return f"{row.source}. {row.note[:1].upper()}{row.note[1:]}" if row.note else row.source


def ratios():
    rows = [
        (code(f"{row.numerator}/{row.denominator}"), row.threshold, row.source)
        for row in tables.RATIOS.values()
    ]
    return markdown(["ratio", "glacier above", "source"], rows)


def tasseled_cap():
    rows = [
        (code(key), row.sensor, row.radiometry, list(row.coefficients), list(row.default_for),
         list(row.stands_in_for))
        for key, row in tables.TASSELED_CAP.items()
    ]  # fmt: skip
    sources = "".join(f"- {code(key)}: {linked(row.source)}\n" for key, row in tables.TASSELED_CAP.items())
    heads = ["table", "sensor", "radiometry", "components", "default for", "stands in for"]
    return markdown(heads, rows) + f"\nSources:\n\n{sources}"


def layers():
    """Every name that a recipe takes, by group."""
    from glacierlab.features.dem import TERRAIN
    from glacierlab.features.haralick import FEATURES as TEXTURES
    from glacierlab.features.layers import BANDS, Context, read_layer

    named = [*sorted(BANDS), "red/swir16", *tables.INDICES, "pca:3", "ndpci", "tasseled_cap", *TERRAIN,
             "elevation", "coherence", "phase", *(f"glcm:nir:{name}" for name in TEXTURES)]  # fmt: skip
    context = Context(table="landsat8_zhai2022_sr" if "landsat8_zhai2022_sr" in tables.TASSELED_CAP else None)
    groups = {}
    for name in named:
        layer = read_layer(name, context)
        groups.setdefault(layer.group, []).append((code(name), ", ".join(layer.features), needs_of(layer)))
    text = ""
    for group, rows in groups.items():
        heads = ["layer", "features in the stack", "needs"]
        text += f"## {group}\n\n{GROUPS.get(group, '')}\n\n{markdown(heads, rows)}\n"
    return text


GROUPS = {
    "optical": "A band goes by its common name, a sensor's own name (`B8A`) or an alias (`swir1`).",
    "indices": "Any two bands make a ratio, `a/b`. Beside these indices of ours, every index of spyndex's "
    "catalogue goes by its short name.",
    "pca": "`pca:N`: the first N components, fitted on training scenes by `Recipe.fit`.",
    "tasseled_cap": "All components of the table for the scene's sensor and radiometry, or "
    "`tasseled_cap:wetness`.",
    "terrain": "From the variable `elevation` of the scene; `scene.glacier.add_layer` puts one there.",
    "insar": "From variables of these names.",
    "glcm": "`glcm:IMAGE:FEATURE,FEATURE`, where IMAGE is a band, a ratio, an index or a component (`pc1`).",
}


def needs_of(layer):
    if layer.source in ("pca", "ndpci"):
        return "the optical bands"
    if layer.source == "tasseled_cap":
        return "the bands of the table"
    return ", ".join(layer.needs)


def recipes():
    rows = [(code(key), ", ".join(map(code, row.layers)), told(row)) for key, row in tables.RECIPES.items()]
    return markdown(["recipe", "layers", "source"], rows)


# ---- models and training


def models():
    from glacierlab.models import MODELS

    counts = {name: parameters(name) for name in MODELS}
    rows = [(code(name), counts[name], summary(make), code(options(make))) for name, make in MODELS.items()]
    return markdown(["name", "parameters", "what it is", "options"], rows, "numbers")


def parameters(name):
    """How many weights a network has, counted without making them."""
    import torch

    from glacierlab.models import build_model

    if name in ("smp",):
        return "depends"
    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("ignore")
        model = build_model(name, FEATURES, CLASSES)
    return f"{sum(each.numel() for each in model.parameters()):,}" if list(model.parameters()) else "none"


def summary(make):
    """What a network is and where it comes from: how its function, or else its file, begins."""
    make = getattr(make, "func", make)
    told = inspect.getdoc(make if inspect.isfunction(make) else inspect.getmodule(make))
    return told.partition("\n\n")[0]


def options(make):
    """Options of a network with their defaults."""
    known = inspect.signature(make).parameters.values()
    return ", ".join(f"{each.name}={shown(each.default)}" for each in known if each.kind is each.KEYWORD_ONLY)


def shown(value):
    """A default as code, as text where it is no literal."""
    try:
        ast.literal_eval(repr(value))
    except (SyntaxError, ValueError):
        return getattr(value, "__name__", "…")
    return repr(value)


def presets():
    """A section for each preset."""
    text = ""
    for key, row in tables.PRESETS.items():
        lines = {
            "model": row.model and code(row.model),
            "tile [px]": row.tile,
            "loss": settings(row.loss),
            "optimizer": settings(row.optimizer),
            "schedule": settings(row.scheduler),
            "batch": row.batch_size,
            "epochs": row.max_epochs,
            "stops after": row.patience and f"{row.patience} epochs without a better one",
            "best by": code(row.monitor),
            "moves": row.moves,
            "source": row.source,
            "assumed": "; ".join(row.assumed),
        }
        text += f"### {key}\n\n{markdown(['setting', 'value'], list(lines.items()), 'nowrap')}\n"
    return text


def settings(values):
    """`{"name": "adam", "lr": 1e-3}` as "adam, lr 0.001"."""
    rest = [f"{name} {cell(value)}" for name, value in values.items() if name != "name"]
    return ", ".join([values.get("name", ""), *rest])


def protocols():
    text = ""
    for key, row in tables.PROTOCOLS.items():
        text += f"### {key}\n\n{linked(row.source)}. Preset `{row.preset}`, tiles of {row.tile} px, "
        text += f"classes {', '.join(row.classes)}; scored by {', '.join(row.metrics)}.\n\n"
        text += f"Models: {', '.join(map(code, row.models))}.\n\n"
        text += "The paper states:\n\n" + "".join(f"- {each}\n" for each in row.published)
        text += "\nAssumed here:\n\n" + "".join(f"- {each}\n" for each in row.assumed) + "\n"
    return text


def splits():
    rows = [
        (code(key), row.by, ", ".join(f"{share:g}" for share in row.shares), told(row))
        for key, row in tables.SPLITS.items()
    ]
    return markdown(["split", "kept together", "shares", "source"], rows)


def strata():
    rows = [(code(key), row.long_name, row.units, row.edges, told(row)) for key, row in tables.STRATA.items()]
    return markdown(["stratum", "of", "units", "edges", "source"], rows)


# ---- maps and inventories


def classes():
    rows = [
        (code(name), str(row.code), f"{SWATCH.format(row.color)} {code(row.color)}")
        for name, row in tables.CLASSES.items()
    ]
    rows.append(("not observed", str(tables.NOT_OBSERVED), "white or transparent"))
    return markdown(["class", "code", "color"], rows, "numbers")


def inventories():
    rows = [(code(key), row.long_name, told(row)) for key, row in tables.INVENTORIES.items()]
    return markdown(["name", "inventory", "source"], rows)


def columns():
    rows = [
        (code(name), row.meaning, row.units, row.dtype, row.source)
        for name, row in (tables.RGI7 | tables.EXTRA_COLUMNS).items()
    ]
    return markdown(["column", "meaning", "units", "kind", "filled by"], rows)
