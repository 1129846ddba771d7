"""What Tab offers within strings in IPython and JupyterLab: names of layers, indices, models, presets, ….

`import glacierlab` registers it where IPython runs, and nothing is loaded before the first Tab. The code left
of the cursor is read, never run.
"""

import re
from types import ModuleType

TOKEN = re.compile(
    r"""(?P<quote>\"{3}|'{3}|"|')|(?P<skip>\#[^\n]*)|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<comma>,)"""
)
CALLED = re.compile(r"[\w.]+$")
KEYWORD = re.compile(r"\s*(\w+)\s*=(?!=)")

# Arguments by place; a keyword means the same in every function of the package.
PLACES = {
    "ailing": ("scene", "ailment"),
    "Recipe": ("layers",),
    "build_for": ("", "model"),
    "build_model": ("model",),
    "compare": ("model",),
    "from_scenes": ("", "", "layers"),
    "glcm": ("scene", "texture"),
    "index": ("scene", "index"),
    "load_model": ("shipped",),
    "map_by_model": ("scene", "shipped"),
    "predict": ("scene", "shipped"),
    "probability_figure": ("", "class"),
    "protocol_worlds": ("protocol",),
    "ratio": ("scene", "band", "band"),
    "sample": ("sample",),
    "stack": ("scene", "layers"),
    "terrain": ("scene", "terrain"),
    "threshold": ("scene", "method"),
}
KEYWORDS = {
    "bands": "band",
    "classes": "class",
    "features": "texture",
    "layers": "layers",
    "model": "shipped",
    "models": "model",
    "pca_bands": "band",
    "preset": "preset",
    "protocol": "protocol",
    "sensor": "sensor",
    "strata": "layers",
    "table": "tasseled_cap",
}


def register():
    """Offer names to the IPython that runs, once; nothing where none does, or it is older than 8.6."""
    try:
        from IPython import get_ipython
        from IPython.core.completer import context_matcher
    except ImportError:
        return
    shell = get_ipython()
    matchers = getattr(getattr(shell, "Completer", None), "custom_matchers", None)
    if matchers is None or any(getattr(each, "matcher_identifier", "") == __name__ for each in matchers):
        return

    @context_matcher(identifier=__name__, priority=100)
    def names(context):
        code = "\n".join([*context.full_text.split("\n")[: context.cursor_line], context.text_until_cursor])
        try:
            typed, found = complete(code, shell.user_ns)
        except Exception:  # Tab must never throw at someone who types
            typed, found = "", []
        return matches(typed, found)

    matchers.append(names)


def matches(typed, found):
    """Names as IPython takes them; these alone are offered where there are any."""
    from IPython.core.completer import SimpleCompletion

    completions = [SimpleCompletion(text=name, type="str") for name in found]
    return {"completions": completions, "matched_fragment": typed, "suppress": bool(found), "ordered": True}


def complete(code, namespace):
    """What is typed of a name at the end of code, and the names that go on so.

    Parameters
    ----------
    code : str
        All that is left of the cursor.
    namespace : dict
        Of the user: it says what is glacierlab's, and which layers a scene has.

    Returns
    -------
    (str, list of str)

    Examples
    --------
    >>> import glacierlab as gl
    >>> complete('gl.fit(model, patches, preset="ch', {"gl": gl})
    ('ch', ['chen2022', 'chu2022'])
    """
    found = open_call(code)
    if not found:
        return "", []
    called, arguments, place, keyword, in_list, typed = found
    name, owner = ours(called, namespace)
    places = PLACES.get(name, ())
    if owner and places[:1] == ("scene",):
        places = places[1:]
    kind = KEYWORDS.get(keyword) if keyword else places[place] if place < len(places) else None
    if name is None or kind not in KINDS:
        return "", []
    first = re.match(r"\s*(\w+)\s*,", arguments)
    scene = namespace.get(owner or (first and first[1]))
    variables = [str(each) for each in getattr(scene, "data_vars", ())]
    names = KINDS[kind](typed, variables)
    if kind == "layers" and not in_list and name in ("Recipe", "stack"):
        names = tables().RECIPES
    begun = typed.lower()
    return typed, [each for each in dict.fromkeys(names) if each.lower().startswith(begun)]


def open_call(code):
    """The call whose string is being typed at the end of code; None where there is none.

    Returns
    -------
    (called, arguments, place, keyword, in_list, typed)
        As text: what is called, its arguments so far, the number of the one that is typed or its keyword,
        whether within a list, and what is typed.
    """
    frames, at = [], 0  # of each open bracket: where, of which kind, commas, where the last argument begins
    while token := TOKEN.search(code, at):
        at = token.end()
        if token["quote"]:
            end = re.compile(rf"(?:\\.|[^\\])*?{token['quote']}", re.DOTALL).match(code, at)
            if not end:
                return typed_in(code, frames, code[at:])
            at = end.end()
        elif token["open"]:
            frames.append([token.start(), token["open"], 0, at])
        elif token["close"] and frames:
            frames.pop()
        elif token["comma"] and frames:
            frames[-1][2:] = frames[-1][2] + 1, at
    return None


def typed_in(code, frames, typed):
    """As `open_call`, of open brackets and what is typed of a string."""
    in_list = False
    for where, bracket, place, start in reversed(frames):
        called = CALLED.search(code[:where])
        if bracket == "(" and called:
            keyword = KEYWORD.match(code[start:])
            return called[0], code[where + 1 :], place, keyword and keyword[1], in_list, typed
        if bracket == "{" or called or "\n" in typed:
            return None  # a dict, or a key of something
        in_list = True
    return None


def ours(called, namespace):
    """The name of a function of glacierlab, and the scene whose accessor it is called of; None of others."""
    root, *rest = called.split(".")
    if rest[:1] == ["glacier"] and len(rest) == 2:
        return rest[1], root or "?"
    found = namespace.get(root)
    if isinstance(found, ModuleType):
        home = found.__name__
    else:
        home = getattr(found if isinstance(found, type) or callable(found) else type(found), "__module__", "")
    if str(home).partition(".")[0] != __package__:
        return None, None
    return (rest or [getattr(found, "__name__", root)])[-1], None


# ---- the names ----


def tables():
    """The package's tables."""
    from . import tables

    return tables


def layer_names(typed, variables):
    """Names of layers, of those that a scene yields where its variables are known."""
    from .features.dem import TERRAIN
    from .features.layers import BANDS
    from .io.radiometry import FLAGS, LAYERS

    head, colon, rest = typed.partition(":")
    if head == "glcm" and colon:
        image, colon, asked = rest.partition(":")
        if colon:
            before = asked[: asked.rfind(",") + 1]
            return [f"glcm:{image}:{before}{each}" for each in texture_names(typed, variables)]
        return [f"glcm:{each}" for each in (*band_names(typed, variables), "ndsi", "pc1")]
    if head == "tasseled_cap" and colon:
        components = dict.fromkeys(
            each for row in tables().TASSELED_CAP.values() for each in row.coefficients
        )
        return [f"tasseled_cap:{each}" for each in components]
    if "/" in typed:
        return [f"{typed.partition('/')[0]}/{each}" for each in band_names(typed, variables)]
    own = [name for name in variables if name not in FLAGS] or [*sorted(BANDS), *LAYERS]
    has = lambda needed: not variables or set(needed) <= set(variables)
    ratios = [(row.numerator, row.denominator) for row in tables().RATIOS.values()]
    return [
        *own,
        *("/".join(pair) for pair in ratios if has(pair)),
        *index_names(typed, variables),
        *("pca:3", "ndpci", "tasseled_cap", "glcm:"),
        *(TERRAIN if has(["elevation"]) else ()),
    ]


def index_names(typed, variables):
    """Names of indices, of those whose bands a scene has; spyndex's once a letter is typed."""
    own = [
        name for name, row in tables().INDICES.items() if not variables or set(row.bands) <= set(variables)
    ]
    if not typed:
        return own
    import spyndex

    return [*own, *spyndex.indices]


def band_names(typed, variables):
    """Names of bands: a scene's, or all."""
    from .features.layers import BANDS

    return [name for name in variables if name in BANDS] or sorted(BANDS)


def texture_names(typed, variables):
    """Names of GLCM textures."""
    from .features.haralick import FEATURES

    return list(FEATURES)


def terrain_names(typed, variables):
    """Names of layers of a DEM."""
    from .features.dem import TERRAIN

    return list(TERRAIN)


def model_names(typed, variables):
    """Names of `models.MODELS`."""
    return keys_written("models/registry.py", "MODELS")


def ailment_names(typed, variables):
    """Names of `teach.AILMENTS`."""
    return keys_written("teach/setting_up.py", "AILMENTS")


def keys_written(path, name):
    """Keys of a dict, read from a file's text: torch takes longer to load than JupyterLab waits."""
    import ast
    from importlib.resources import files

    text = files(__package__).joinpath(path).read_text(encoding="utf-8")
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name:
            return [key.value for key in node.value.keys]
    return []


def shipped_names(typed, variables):
    """Names of models that come with their weights."""
    from .models.header import SHIPPED

    return list(SHIPPED)


def sample_names(typed, variables):
    """Names of the real samples."""
    from .io.samples import SAMPLES

    return list(SAMPLES)


KINDS = {
    "ailment": ailment_names,
    "band": band_names,
    "class": lambda typed, variables: tables().CLASSES,
    "index": index_names,
    "layers": layer_names,
    "method": lambda typed, variables: ("otsu", "li"),
    "model": model_names,
    "preset": lambda typed, variables: tables().PRESETS,
    "protocol": lambda typed, variables: tables().PROTOCOLS,
    "sample": sample_names,
    "sensor": lambda typed, variables: tables().SENSORS,
    "shipped": shipped_names,
    "tasseled_cap": lambda typed, variables: tables().TASSELED_CAP,
    "terrain": terrain_names,
    "texture": texture_names,
}
