"""The header of a model file: read without torch, limited in size, and proved before it is believed.

A `.safetensors` file is the length of its header (8 bytes, little-endian), the header, a JSON text that names
the tensors and where they lie, and their bytes. It is read here and not by the library of that name so that a
file is read once and hashed on the way, with one copy in memory, and a card without torch.
"""

import hashlib
import json
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path

from ..errors import GlacierlabError, ModelFileError
from .card import Card

FORMAT, VERSION = "glacierlab model", 1
KEY = "glacierlab"  # of our text in the metadata
LONGEST = 16 * 2**20  # bytes of a header; that of a network of a thousand tensors has some hundred thousand
LARGEST = 10_000_000  # number among an architecture's options; the largest count the nodes of a forest
WIDEST = 65_536  # channels, or classes
ITEM_BYTES = {
    "F64": 8, "I64": 8, "F32": 4, "I32": 4, "BF16": 2, "F16": 2, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1,
}  # fmt: skip
PICKLES = (".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".bin", ".tar", ".zip")
MAGIC = (b"PK\x03\x04", *(bytes([0x80, protocol]) for protocol in range(2, 6)))  # of zip files and of pickles


@dataclass(frozen=True)
class Header:
    """What a model file says of itself.

    Attributes
    ----------
    name, in_channels, classes, options
        What `build_model` builds the network from.
    parameters : int
        How many numbers of it are learned.
    card : Card
    colors : dict
        Of its classes, by name, where the package's maps know them.
    tensors : dict
        Name → (data type, shape), in the order of the file.
    tensors_sha256 : str
        `tensors_digest` of them.
    written_by : str
        glacierlab's version.
    """

    name: str
    in_channels: int
    classes: int
    options: dict
    parameters: int
    card: Card
    colors: dict
    tensors: dict
    tensors_sha256: str
    written_by: str

    def __post_init__(self):
        counts = self.in_channels, self.classes, self.parameters
        if not all(type(count) is int and count >= 0 for count in counts):
            raise ModelFileError(f"a network of the sizes {counts!r:.60}")
        if not isinstance(self.name, str) or not isinstance(self.options, dict):
            raise ModelFileError("a network without a name, or without options")
        require_modest(self.options)
        if max(self.in_channels, self.classes) > WIDEST:
            raise ModelFileError(f"a network of {counts[0]:,} channels and {counts[1]:,} classes")
        for name, (dtype, shape) in self.tensors.items():
            if dtype not in ITEM_BYTES or not all(type(side) is int and side >= 0 for side in shape):
                raise ModelFileError(f"the tensor {name!r} is of type {dtype!r:.20} and shape {shape!r:.60}")
        if not isinstance(self.colors, dict) or not all(type(each) is str for each in self.colors.values()):
            raise ModelFileError(f"colors that are no text: {self.colors!r:.60}")
        self.card.require_fit(self.in_channels, self.classes)

    def body(self):
        """What is kept as JSON, without the checksum."""
        network = {
            key: getattr(self, key) for key in ("name", "in_channels", "classes", "options", "parameters")
        }
        return {
            "format": FORMAT, "version": VERSION, "glacierlab": self.written_by, "network": network,
            "card": asdict(self.card), "colors": self.colors, "tensors_sha256": self.tensors_sha256,
        }  # fmt: skip

    def to_bytes(self):
        """The beginning of the file; tensors of `size()` bytes follow."""
        raw = laid_out(self.tensors, signed(self.body()))
        if len(raw) > LONGEST:
            raise ModelFileError(
                f"The card makes a header of {len(raw):,} bytes, and {LONGEST:,} are the most: shorten "
                "`training` or `metrics`."
            )
        return raw

    def size(self):
        """Bytes of the tensors."""
        return sum(size_of(*each) for each in self.tensors.values())


# ---- reading


def read_card(path):
    """The card of a model file, proved by its checksum; the tensors are left alone, and torch is not needed.

    Parameters
    ----------
    path : path
        A `.safetensors` file that `save_model` wrote.

    Returns
    -------
    Card

    Raises
    ------
    ModelFileError
        The file is no model file, is cut short, or its header was altered.

    Examples
    --------
    >>> import tempfile
    >>> import glacierlab as gl
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = gl.save_model(gl.load_model("default"), f"{folder}/again.safetensors")
    ...     card = read_card(path)
    >>> card.features[:4], card.classes[1]
    (('blue', 'green', 'red', 'nir'), 'clean_ice')
    """
    return read_header(path).card


def read_header(path):
    """The `Header` of a model file, proved by its checksum; ModelFileError as `read_card`."""
    with opened(path) as file:
        return header_of(file, path)


SHIPPED = {"default": Path(__file__).parent / "weights" / "default.safetensors"}  # in the package, by name


def located(path):
    """The path of a model file; a name in `SHIPPED` stands for the package's own."""
    return Path(SHIPPED.get(path, path) if isinstance(path, str) else path)


@contextmanager
def opened(path):
    """A model file to read from; whatever the disk says against it is a ModelFileError."""
    path = located(path)
    if path.is_dir():
        raise ModelFileError(f"{path} is a folder: give the .safetensors file in it.")
    if not path.is_file():  # a pipe would be waited for
        raise ModelFileError(f"{path} is not there, or no file.")
    try:
        with open(path, "rb") as file:
            yield file
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read ({error.strerror or error}).") from error


def header_of(file, path):
    """The `Header` at the beginning of an open file, which then stands where the tensors begin."""
    first = file.read(8)
    length = int.from_bytes(first, "little")
    if len(first) < 8 or length > LONGEST:
        raise ModelFileError(no_model_file(path, first))
    raw, size = file.read(length), os.fstat(file.fileno()).st_size
    if len(raw) < length:
        raise ModelFileError(
            f"{path} was cut short: {size:,} bytes are less than its header. Fetch it again."
        )
    try:
        rows = json.loads(raw)
        if not isinstance(rows, dict):
            raise ValueError("the header is no object")
    except (ValueError, RecursionError) as error:
        raise ModelFileError(no_model_file(path, first)) from error
    try:
        text = rows.pop("__metadata__", {})[KEY]
    except (KeyError, TypeError) as error:
        raise ModelFileError(
            f"{path} has tensors and no card of glacierlab: no network can be built from it alone. Build it, "
            "model = gl.models.build_model(...), give it the tensors, model.network.load_state_dict("
            "safetensors.torch.load_file(path)), and keep it by gl.save_model(model, path, ...)."
        ) from error
    try:
        body = json.loads(text)
        format_, version = body["format"], body["version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelFileError(
            f"{path} has no card that can be read: it was altered. Fetch it again."
        ) from error
    if format_ != FORMAT or version != VERSION:
        raise ModelFileError(
            f"{path} is a {format_!r:.40} of version {version!r:.20}, and this reads {FORMAT!r} {VERSION}: "
            "update glacierlab."
        )
    try:
        header = parsed(body, rows)
        proved = header.to_bytes() == first + raw
    except (GlacierlabError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ModelFileError(f"{path} has a card that cannot be right: {clipped_line(error)}.") from error
    if (
        not proved
    ):  # every byte of a header is what we would write, so that two readers cannot differ about it
        raise ModelFileError(
            f"{path} was altered after it was saved: its checksum does not fit. Fetch it again."
        )
    if size != (told := 8 + length + header.size()):
        what = "was cut short" if size < told else "is longer than it says"
        raise ModelFileError(f"{path} {what}: {size:,} bytes instead of {told:,}. Fetch it again.")
    return header


def no_model_file(path, first):
    """Why a file is no model file, and what to do with one that holds a pickle."""
    if not first.startswith(MAGIC) and Path(path).suffix.lower() not in PICKLES:
        return (
            f"{path} is no .safetensors file, or was cut short or altered: gl.save_model writes model files."
        )
    return (
        f"{path} is a checkpoint of PyTorch or another pickle: reading one runs what is in it, so it is not "
        "read. If you trust where it comes from, convert it: state = torch.load(path, weights_only=True), "
        "model = gl.models.build_model(...), model.network.load_state_dict(state), "
        "gl.save_model(model, 'model.safetensors', ...)."
    )


def parsed(body, rows):
    """The `Header` of what was read; any error for what none can be."""
    return Header(
        **body["network"],
        card=Card(**body["card"]),
        colors=body["colors"],
        tensors={name: (row["dtype"], tuple(row["shape"])) for name, row in rows.items()},
        tensors_sha256=body["tensors_sha256"],
        written_by=body["glacierlab"],
    )


def require_modest(value):
    """ModelFileError for a number that no architecture can mean."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            require_modest(each)
    elif isinstance(value, int | float) and not abs(value) <= LARGEST:
        raise ModelFileError(f"{str(value)[:20]} as an option of a network; {LARGEST:,} is the largest")


# ---- bytes


def laid_out(tensors, text):
    """Length and header of a safetensors file, padded to a multiple of 8 bytes."""
    rows, end = {"__metadata__": {KEY: text}}, 0
    for name, (dtype, shape) in tensors.items():
        start, end = end, end + size_of(dtype, shape)
        rows[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
    raw = json.dumps(rows, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    return len(raw).to_bytes(8, "little") + raw


def size_of(dtype, shape):
    """Bytes of a tensor."""
    return ITEM_BYTES[dtype] * prod(shape)


def signed(body):
    """JSON text with a checksum of all the rest of it."""
    text = json.dumps(body, allow_nan=False)
    return json.dumps(body | {"sha256": hashlib.sha256(text.encode()).hexdigest()}, allow_nan=False)


def tensors_digest(tensors, digests):
    """SHA-256 of the lines 'name dtype shape SHA-256 of the bytes' of all tensors, by name."""
    lines = [json.dumps([name, *tensors[name], digests[name]]) for name in sorted(tensors)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def clipped_line(error):
    """An error in one line that ends without a full stop."""
    return " ".join(str(error).split())[:800].rstrip(".") or type(error).__name__
