"""A tiny network for the tests of model files, and how such a file is forged by hand."""

import hashlib
import json

import torch
from torch import nn

FEATURES, CLASSES = ("red", "nir", "swir16"), ("background", "glacier")


class Tiny(nn.Module):
    """Weights, a batch norm with its whole-number counter, and a table that is in no file."""

    def __init__(self, in_channels, classes, *, widths=(4, 5), scale=1.0, encoder_weights=None):
        super().__init__()
        if encoder_weights is not None:
            raise RuntimeError("a download was asked for")
        layers, inner = [], in_channels
        for width in widths:
            layers += [nn.Conv2d(inner, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            inner = width
        self.layers = nn.Sequential(*layers, nn.Conv2d(inner, classes, 1))
        self.register_buffer("table", torch.linspace(0, 1, classes) * scale, persistent=False)

    def forward(self, image):
        return self.layers(image) + self.table[:, None, None]


class Deep(nn.Module):
    """As many layers as are asked for."""

    def __init__(self, in_channels, classes, *, depth=1):
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(in_channels, classes, 1) for _ in range(depth))

    def forward(self, image):
        return sum(layer(image) for layer in self.layers)


def parts_of(path):
    """Text of the card, rows of the tensors, and their bytes; by hand, as the format is published."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    rows = json.loads(raw[8 : 8 + length])
    return json.loads(rows.pop("__metadata__")["glacierlab"]), rows, raw[8 + length :]


def forge(path, body, rows, data):
    """Write a file whose every checksum fits, whatever it says."""
    lines = []
    for name in sorted(rows):
        start, end = rows[name]["data_offsets"]
        hashed = hashlib.sha256(data[start:end]).hexdigest()
        lines.append(json.dumps([name, rows[name]["dtype"], rows[name]["shape"], hashed]))
    body = body | {"tensors_sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest()}
    body.pop("sha256")
    body["sha256"] = hashlib.sha256(json.dumps(body).encode()).hexdigest()
    header = {"__metadata__": {"glacierlab": json.dumps(body)}, **rows}
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + data)
    return path
