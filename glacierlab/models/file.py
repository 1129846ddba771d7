"""The safe file of a model: nothing in it is ever run, and nothing is believed that was not proved.

What is loaded is a network of `MODELS`, built from names and numbers. The file's tensors fill it only where
they have the names and shapes that it asks for, and where their hash is that of the header.
"""

import hashlib
import json
import os
import shutil
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.nn.modules.module import register_module_module_registration_hook

from .. import __version__
from ..errors import GlacierlabError, ModelFileError, WriteError
from ..tables import lookup
from .card import Card, card_of, clipped
from .header import Header, clipped_line, header_of, located, opened, tensors_digest
from .registry import build_model
from .segmenter import Segmenter

TYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8,
    "BOOL": torch.bool,
}  # fmt: skip
CODES = {dtype: code for code, dtype in TYPES.items()}
PRECISIONS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
MOST_PARTS = 10_000  # modules within modules; the largest that smp and timm offer have some thousand
ELSEWHERE = (  # options by which smp and timm fetch weights: never kept, and never heeded in a file
    "encoder_weights", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path",
    "cache_dir",
)  # fmt: skip


def save_model(model, path, *, recipe=None, classes=None, dtype=None, **about):
    """Keep a model in one `.safetensors` file, whole or not at all.

    Parameters
    ----------
    model : Segmenter
        As `build_model` and `fit` give it. What is not given below is taken from its card.
    path : path
        Ends in `.safetensors`. An older file there stays as it is until the new one is complete.
    recipe : Recipe or str, optional
        The fitted recipe that makes the model's features, or its JSON text.
    classes : sequence of str, optional
        Names of the classes in the order of the logits; one name for one logit.
    dtype : {"float32", "float16", "bfloat16"}, optional
        Precision of the weights in the file, by default their own; half of it is half the size. Whole numbers
        stay as they are.
    **about
        Attributes of `Card`: features, sensor, training, metrics, temperature, license, ….

    Returns
    -------
    pathlib.Path

    Raises
    ------
    GlacierlabError
        Features or classes have no names, or not as many as the network; or an attribute is not of its kind.
    UnknownNameError
        No such attribute of a card, or no such precision.
    ModelFileError
        A weight is not finite, or too large for half precision; or the network is not what `build_model`
        makes of its name and options.
    WriteError
        The disk is full, or the path cannot be written; nothing is left of it.

    Examples
    --------
    >>> import tempfile
    >>> import glacierlab as gl
    >>> model = gl.models.build_model("unet", 2, 2, widths=[4, 8])
    >>> names = dict(features=["red", "swir16"], classes=["background", "glacier"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save_model(model, f"{folder}/small.safetensors", **names)
    ...     print(path.name, gl.load_model(path).card.classes)
    small.safetensors ('background', 'glacier')
    """
    path = Path(path)
    if not isinstance(model, Segmenter):
        kind = type(model).__name__
        raise GlacierlabError(f"A model file keeps what gl.models.build_model gives, and this is {kind}.")
    if path.suffix != ".safetensors":
        raise GlacierlabError(f"{path}: a model file's name ends in .safetensors.")
    given = about | ({"classes": classes} if classes is not None else {})
    for name in given:
        lookup(Card.__dataclass_fields__, name, kind="entry of a card")
    card = card_of(model.card, recipe, given)
    card.require_fit(model.in_channels, model.classes)
    tensors = kept_tensors(model, dtype)
    layout = layout_of(tensors)
    digests = {name: hashlib.sha256(bytes_of(tensor)).hexdigest() for name, tensor in tensors.items()}
    header = Header(
        name=model.name,
        in_channels=model.in_channels,
        classes=model.classes,
        options=kept_options(model.options),
        parameters=sum(each.numel() for each in model.parameters()),
        card=card,
        colors=card.colors,
        tensors=layout,
        tensors_sha256=tensors_digest(layout, digests),
        written_by=__version__,
    )
    first = header.to_bytes()
    with replacing(path) as file:
        file.write(first)
        for tensor in tensors.values():
            file.write(bytes_of(tensor))
    return path


def load_model(path):
    """The model of a file, ready to predict; nothing in the file is run.

    Parameters
    ----------
    path : path
        A `.safetensors` file that `save_model` wrote; or "default", the small model that the package brings.

    Returns
    -------
    Segmenter
        In evaluation mode and in single precision, on the CPU, with its `card`; `card.recipe` is the text
        that `gl.Recipe.from_json` reads.

    Raises
    ------
    ModelFileError
        The file is no model file (a checkpoint of PyTorch is none), was cut short or altered, is of a newer
        version or of a network that is not known here; or its tensors are not those of that network.

    Examples
    --------
    >>> import glacierlab as gl
    >>> model = load_model("default")
    >>> model.card.features
    ('blue', 'green', 'red', 'nir', 'swir16', 'swir22', 'ndsi', 'red/swir16')
    >>> model.card.classes
    ('background', 'clean_ice', 'debris_covered_ice', 'glacial_lake')
    """
    path = located(path)
    with opened(path) as file:
        header = header_of(file, path)
        model = shapes_of_file(header, path)
        expected = model.network.state_dict()
        require_layout(header.tensors, expected, f"{path} does not fit its network")
        tensors = read_tensors(file, header, model.network, path)
    if any(name not in expected for name, _ in model.network.named_buffers()):
        model = built(header)  # with tables that no file holds; its sizes are proved by now
    model.network.load_state_dict(tensors, assign=True)
    model.card = header.card
    return model.eval()


# ---- building


def built(told):
    """A new network of what a header or a model names; the random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        return build_model(told.name, told.in_channels, told.classes, **kept_options(told.options))


def shapes_of(told):
    """The same network with shapes and without memory, so that absurd sizes cost nothing."""
    with torch.device("meta"), few_parts():
        return built(told)


def shapes_of_file(header, path):
    """The network of a file's header; ModelFileError where it cannot be built."""
    try:
        return shapes_of(header)
    except Exception as error:  # whatever a constructor makes of the options of a forged file
        raise ModelFileError(
            f"{path} holds a network that cannot be built here: {clipped_line(error)}. It was written by "
            f"glacierlab {str(header.written_by)[:40]}, this is {__version__}."
        ) from error


@contextmanager
def few_parts():
    """ValueError as soon as a network built in this thread has more than `MOST_PARTS` modules."""
    thread, count = threading.get_ident(), 0

    def enlarge(*_):
        nonlocal count
        count += threading.get_ident() == thread
        if count > MOST_PARTS:
            raise ValueError(f"more than {MOST_PARTS:,} layers")

    hook = register_module_module_registration_hook(enlarge)
    try:
        yield
    finally:
        hook.remove()


# ---- tensors


def kept_options(options):
    """Options as JSON keeps them, and none that would load weights from elsewhere."""
    try:
        kept = json.loads(json.dumps(options, allow_nan=False, default=lambda value: value.tolist()))
    except (TypeError, ValueError, AttributeError) as error:
        raise GlacierlabError(
            f"An option of the model is no number, text or list: {clipped_line(error)}."
        ) from error
    return kept | {name: None for name in ELSEWHERE if name in kept}


def kept_tensors(model, dtype):
    """The network's tensors by name as the file holds them: whole, finite, the widest types first."""
    stored = lookup(PRECISIONS, dtype, kind="precision of a model file") if dtype is not None else None
    found, expected = model.network.state_dict(), shapes_of(model).network.state_dict()
    require_layout(layout_of(found), expected, "The model was changed since it was built")
    tensors = {}
    for name, tensor in found.items():
        tensor = tensor.detach().cpu()
        target = stored if stored and tensor.is_floating_point() else expected[name].dtype
        tensors[name] = tensor.to(target).contiguous()
        require_sound(tensor, model.network, f"The tensor {name!r}")
        if target != tensor.dtype and not tensors[name].isinf().equal(tensor.isinf()):
            raise ModelFileError(f"The tensor {name!r} holds {tensor.abs().max():g}, too large for {target}.")
    return dict(sorted(tensors.items(), key=lambda each: (-each[1].element_size(), each[0])))


def layout_of(tensors):
    """Name → (data type as the file calls it, shape)."""
    return {name: (CODES.get(each.dtype), tuple(each.shape)) for name, each in tensors.items()}


def require_sound(tensor, network, told):
    """ModelFileError unless every weight is finite; a table that `learn` made may say "never" by infinity."""
    if not tensor.numel():
        return
    low, high = tensor.aminmax()  # NaN where any is; `isfinite` would make copies
    if low.isnan() or not (hasattr(network, "learn") or (low.isfinite() and high.isfinite())):
        raise ModelFileError(f"{told} holds NaN or infinity: the training went wrong.")


def require_layout(tensors, expected, told):
    """ModelFileError unless tensors are those that a network asks for, by name, shape and kind."""
    if missing := [name for name in expected if name not in tensors]:
        raise ModelFileError(f"{told}: it lacks the tensors {clipped(missing)}.")
    if unexpected := [name for name in tensors if name not in expected]:
        raise ModelFileError(f"{told}: the tensors {clipped(unexpected)} are none of its network.")
    for name, (code, shape) in tensors.items():
        dtype, wanted = TYPES.get(code), expected[name]
        both_float = dtype and dtype.is_floating_point and wanted.is_floating_point()
        for found, asked in ((shape, tuple(wanted.shape)), (dtype, dtype if both_float else wanted.dtype)):
            if found != asked:
                raise ModelFileError(f"{told}: {name!r} is {found}, and {asked} is asked for.")


def read_tensors(file, header, network, path):
    """The tensors behind a header, each read once, hashed and converted before the next."""
    expected, tensors, digests = network.state_dict(), {}, {}
    for name, (code, shape) in header.tensors.items():
        tensor = torch.empty(shape, dtype=TYPES[code])
        file.readinto(bytes_of(tensor))
        digests[name] = hashlib.sha256(bytes_of(tensor)).hexdigest()
        tensors[name] = tensor.to(expected[name].dtype)
    if tensors_digest(header.tensors, digests) != header.tensors_sha256:
        raise ModelFileError(f"{path} was altered after it was saved: the hash of its tensors does not fit.")
    for name, tensor in tensors.items():
        require_sound(tensor, network, f"{path}: the tensor {name!r}")
    return tensors


def bytes_of(tensor):
    """The memory of a contiguous tensor on the CPU."""
    return memoryview(tensor.reshape(-1).view(torch.uint8).numpy())


@contextmanager
def replacing(path):
    """A file to write to that becomes `path` when the block ends well, and vanishes if not."""
    folder = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=".writing-", dir=path.parent)
        temporary = Path(folder) / path.name
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise WriteError(
            f"{path} cannot be written ({error.strerror or error}). What was there is as it was: free space "
            "or go elsewhere."
        ) from error
    finally:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
