"""Small pieces given to a neighbor: the rule, spelled out slowly, and its speed."""

import time

import geopandas as gpd
import numpy as np
import pytest
import shapely

import glacierlab as gl
from glacierlab.errors import DataWarning
from glacierlab.outlines.cutting import faces_of, joined

SQUARE = shapely.box(0, 0, 1000, 1000)


def cells(count, seed):
    """A square cut at random into Voronoi cells."""
    places = shapely.multipoints(np.random.default_rng(seed).random((count, 2)) * 1000)
    edges = shapely.voronoi_polygons(places, extend_to=SQUARE, only_edges=True)
    return faces_of(SQUARE, list(shapely.get_parts(edges)))


def slowly_joined(faces, numbers, smallest):
    """As `joined` says, everything measured anew after each step: {number: its polygons as one}."""
    while True:
        pieces = [
            (number, part)
            for number in np.unique(numbers)
            for part in shapely.get_parts(shapely.union_all(faces[numbers == number]))
        ]
        numbers, faces = np.array([n for n, _ in pieces]), np.array([p for _, p in pieces], dtype=object)
        small = shapely.area(faces) < smallest
        border = shapely.length(shapely.intersection(faces[:, None], faces))
        np.fill_diagonal(border, 0)
        to_large = np.where(small[:, None] & ~small, border, 0)
        to_small = np.where(small[:, None] & small, border, 0)
        if to_large.any():
            given = to_large.any(axis=1)
            numbers[given] = numbers[to_large[given].argmax(axis=1)]
        elif to_small.any():
            pair = np.unravel_index(to_small.argmax(), border.shape)
            smaller, larger = sorted(pair, key=shapely.area(faces).__getitem__)
            numbers[smaller] = numbers[larger]
        else:
            return {n: shapely.union_all(faces[numbers == n]) for n in np.unique(numbers)}


@pytest.mark.parametrize("numbers", [8, 1000], ids=["in groups", "each by itself"])
@pytest.mark.parametrize("share", [0.01, 0.03, 0.2, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_small_pieces_go_where_the_rule_says(seed, share, numbers):
    faces = cells(40, seed)
    its = np.arange(len(faces)) if numbers > 40 else np.random.default_rng(seed).integers(0, 8, len(faces))
    expected = slowly_joined(faces, its.copy(), share * 1e6)
    pieces, found = joined(faces, its, share * 1e6)
    assert set(found) == set(expected)
    for number, shape in expected.items():
        assert shapely.symmetric_difference(shapely.union_all(pieces[found == number]), shape).area < 1e-6
    assert shapely.area(pieces).sum() == pytest.approx(1e6)


def test_hundreds_of_tiny_tiles_become_one_glacier_at_once():
    """Each pair that became one made all the others be measured again."""
    side, count = 50, 32  # 0.0025 km², a quarter of the smallest glacier
    ends = np.arange(1, count) * side
    lines = [shapely.LineString([(at, -1), (at, side * count + 1)]) for at in ends]
    lines += [shapely.LineString([(-1, at), (side * count + 1, at)]) for at in ends]
    tiles = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, side * count, side * count)], crs="EPSG:32632")
    start = time.process_time()
    with pytest.warns(DataWarning, match="cut nothing"):
        parts = gl.outlines.split_glaciers(tiles, divides=gpd.GeoDataFrame(geometry=lines, crs=tiles.crs))
    assert time.process_time() - start < 2
    assert parts.area.tolist() == pytest.approx([(side * count) ** 2])
