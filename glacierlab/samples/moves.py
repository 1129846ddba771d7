"""The eight exact moves of a square, on an image with its label, by the names of the features.

A move turns or mirrors an image. What a layer means turns with it: aspect's sine and cosine are the east and
north of a vector, a texture of one direction becomes that of another. The sun does not: shade in the bands
themselves turns with the patch, as in every paper's augmentation.
"""

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from ..errors import GlacierlabError, GridError
from ..features.haralick import FEATURES as TEXTURES
from ..features.layers import ANGLES
from ..features.texture import STEPS
from ..tables import lookup

VECTORS = (ANGLES["aspect"],)  # pairs of features: east, north
FIXED_LIGHT = frozenset({"hillshade", "cast_shadow"})  # their sun does not turn with a patch
SINGLE_DIRECTION = re.compile(r"(?P<stem>(?:.*:)?(?P<feature>\w+))_(?P<angle>\d+)")
TO_ANGLE = {(right, -down): angle for angle, (down, right) in STEPS.items()}  # by (east, north)


@dataclass(frozen=True)
class Move:
    """One of the eight moves of a square: transposed first, if at all, and flipped then. North is row 0."""

    transpose: bool = False
    flip_y: bool = False
    flip_x: bool = False

    def __call__(self, array):
        """A view of an array (..., y, x), moved."""
        array = np.swapaxes(array, -1, -2) if self.transpose else array
        return array[..., :: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]

    @cached_property
    def matrix(self):
        """What it does to a vector (east, north): ((int, int), (int, int))."""
        (a, b), (c, d) = ((0, -1), (-1, 0)) if self.transpose else ((1, 0), (0, 1))
        sx, sy = -1 if self.flip_x else 1, -1 if self.flip_y else 1
        return (sx * a, sx * b), (sy * c, sy * d)


MOVES = {
    "identity": Move(),
    "rot90_ccw": Move(transpose=True, flip_y=True),
    "rot180": Move(flip_y=True, flip_x=True),
    "rot90_cw": Move(transpose=True, flip_x=True),
    "hflip": Move(flip_x=True),  # left and right change places
    "vflip": Move(flip_y=True),  # north and south do
    "transpose": Move(transpose=True),
    "antitranspose": Move(transpose=True, flip_y=True, flip_x=True),
}
NAME_OF = {move.matrix: name for name, move in MOVES.items()}


def compose(first, second):
    """The name of the move that does one after another.

    >>> compose("hflip", "vflip"), compose("rot90_ccw", "rot90_ccw"), compose("transpose", "vflip")
    ('rot180', 'rot180', 'rot90_ccw')
    """
    product = np.array(move_of(second).matrix) @ np.array(move_of(first).matrix)
    return NAME_OF[tuple(map(tuple, product.tolist()))]


def inverse(by):
    """The name of the move that takes a move back.

    >>> inverse("rot90_cw"), inverse("hflip")
    ('rot90_ccw', 'hflip')
    """
    return NAME_OF[tuple(zip(*move_of(by).matrix, strict=True))]


def move(image, label, by, features, *, vectors=(), fixed_light="refuse"):
    """An image and its label, moved as one; layers that point somewhere are turned too.

    Parameters
    ----------
    image : numpy.ndarray
        (..., feature, y, x), north in row 0, square pixels.
    label : numpy.ndarray or None
        (..., y, x), or none.
    by : str
        A key of `MOVES`: "identity", "rot90_ccw" (as `numpy.rot90`), "rot180", "rot90_cw", "hflip" (left and
        right change places), "vflip", "transpose", "antitranspose".
    features : sequence of str
        The names of the image's features, in order. Textures of one direction ("contrast_45", as
        `features.glcm` names them without `combine`) take the place of those they become; unless one of
        180 degrees or more is named, 0 and 180 are taken as one direction, as in a symmetric matrix. Averaged
        textures stay as they are, which is exact where the average is over all directions.
    vectors : sequence of (str, str)
        Further features that are the east and north of one vector, such as [("vx", "vy")] of ice that
        flows; aspect's always are. Phase is along the line of sight and is none.
    fixed_light : str
        What becomes of hillshade and cast shadow, whose sun would turn with them: "refuse", or "keep" to
        move them like any layer, wrong light and all.

    Returns
    -------
    (numpy.ndarray, numpy.ndarray or None)
        Copies in C order. A quarter turn of (y, x) is (x, y) in size.

    Raises
    ------
    UnknownNameError
        `by` or `fixed_light` is no such name.
    GridError
        Image, label and features do not belong together.
    GlacierlabError
        A layer cannot be moved: hillshade, cast shadow, aspect as one angle, or a part of a vector or a
        direction whose other part is not there.

    Examples
    --------
    >>> east, north = np.ones((1, 2, 2)), np.zeros((1, 2, 2))  # a slope that looks east
    >>> image = np.concatenate([east, north])
    >>> turned, _ = move(image, None, "rot90_ccw", ["aspect_sin", "aspect_cos"])
    >>> turned[:, 0, 0].tolist()  # and now north
    [0.0, 1.0]
    """
    features = tuple(features)
    require_fit(image, label, features)
    sources = sources_of(features, by, tuple(map(tuple, vectors)), fixed_light)
    view = MOVES[by](image)
    moved = np.empty(view.shape, view.dtype)
    for i, (source, sign) in enumerate(sources):
        seen = view[..., source, :, :]
        moved[..., i, :, :] = seen if sign > 0 else 0 - seen  # level ground stays 0, not -0.0
    return moved, None if label is None else np.array(MOVES[by](label), order="C")


@lru_cache(maxsize=256)
def sources_of(features, by, vectors=(), fixed_light="refuse"):
    """What a move does across features: for each, the position of its source, and the sign."""
    matrix, vectors = move_of(by).matrix, (*VECTORS, *vectors)
    lookup({"refuse": 0, "keep": 1}, fixed_light, kind="fixed_light")
    if by == "identity":
        return tuple((i, 1) for i in range(len(features)))
    if any(len(pair) != 2 for pair in vectors):
        raise GlacierlabError(f"vectors={vectors[1:]}: give pairs of features, east and north.")
    require_movable(features, vectors, fixed_light)
    at = {name: i for i, name in enumerate(features)}
    sources = []
    for name in features:
        source, sign = name, 1
        if pair := next((pair for pair in vectors if name in pair), None):
            row = matrix[pair.index(name)]
            source, sign = (pair[0], row[0]) if row[0] else (pair[1], row[1])
        elif found := single_direction(name):
            angles = {int(each["angle"]) for each in map(single_direction, features)
                      if each and each["stem"] == found["stem"]}  # fmt: skip
            period = 360 if max(angles) >= 180 else 180
            source = f"{found['stem']}_{turned(int(found['angle']), inverse(by)) % period}"
        if source not in at:
            raise GlacierlabError(
                f"After {by!r}, {name!r} is what {source!r} was, and that is not among the features: add it, "
                f"drop {name!r}, or leave this move out."
            )
        sources.append((at[source], sign))
    return tuple(sources)


def require_movable(features, vectors, fixed_light):
    """GlacierlabError where a feature means something else once it is moved."""
    lit = [name for name in features if FIXED_LIGHT & set(name.split(":"))]
    if lit and fixed_light == "refuse":
        raise GlacierlabError(
            f"{lit} depend on where the sun stands, and it does not turn with a patch: drop them, or move "
            "them with their light by fixed_light='keep'."
        )
    if any("aspect" in name.split(":") for name in features):
        raise GlacierlabError(
            "'aspect' is an angle, which moves as its 'aspect_sin' and 'aspect_cos': give those."
        )
    of_vectors = {part for pair in vectors for part in pair}
    if made := [name for name in features if name not in of_vectors and of_vectors & set(name.split(":"))]:
        raise GlacierlabError(f"{made} are made of one part of a vector and cannot be moved: drop them.")


def single_direction(name):
    """The match of a texture's name of one direction, such as "contrast_45"; otherwise None."""
    found = SINGLE_DIRECTION.fullmatch(name)
    return found if found and found["feature"] in TEXTURES and int(found["angle"]) in STEPS else None


def turned(angle, by):
    """Where a move takes one of the texture's directions [degrees]."""
    down, right = STEPS[angle]
    (a, b), (c, d) = MOVES[by].matrix
    return TO_ANGLE[a * right - b * down, c * right - d * down]


def move_of(name):
    return lookup(MOVES, name, kind="move")


def require_fit(image, label, features):
    """GridError unless an image (..., feature, y, x) has these features, and its label is as large."""
    if np.ndim(image) < 3 or image.shape[-3] != len(features):
        raise GridError(
            f"An image is (feature, y, x), here with {len(features)} features, not {np.shape(image)}: give "
            "the names of its features in order."
        )
    if label is not None and label.shape != image.shape[:-3] + image.shape[-2:]:
        raise GridError(
            f"The label {label.shape} is not of the image {image.shape}: cut both from the same window."
        )
