"""Where a point of a map lies on the earth, as a polynomial that a browser can work out."""

import numpy as np
from pyproj import Transformer

DEGREE = 6
AROUND = 1.0  # of the map's longer side, beyond its bounds, that the fit holds for
SAMPLES = 25  # a side


def sphere_fit(crs, bounds):
    """Longitude and latitude on a map, by polynomials of degree 6 in x and y.

    They give the three components of the direction from the earth's middle, which have no pole and no
    antimeridian, and are fitted over three times the longer side of the map.

    Parameters
    ----------
    crs : pyproj.CRS
        Projected.
    bounds : (left, bottom, right, top)

    Returns
    -------
    dict
        `cx`, `cy`, `half` (u = (x - cx) / half), `powers` (term, 2) and `terms` (3, term): component k is
        the sum of terms[k] u**i v**j. `error_m`: its largest error where it was tried, between the points of
        the fit; centimeters on a scene, some meters on a region of 1000 km.
    """
    left, bottom, right, top = bounds
    cx, cy = (left + right) / 2, (bottom + top) / 2
    half = max(right - left, top - bottom) * (0.5 + AROUND) or 1.0
    powers = [(i, j) for i in range(DEGREE + 1) for j in range(DEGREE + 1 - i)]
    to_degrees = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)

    def tried(steps):
        u, v = (each.ravel() for each in np.meshgrid(steps, steps))
        there = directions(*to_degrees.transform(cx + half * u, cy + half * v))
        known = np.isfinite(there).all(axis=1)
        return np.stack([u**i * v**j for i, j in powers], axis=1)[known], there[known]

    terms, *_ = np.linalg.lstsq(*tried(np.cos(np.linspace(0, np.pi, SAMPLES))), rcond=None)
    design, there = tried(np.linspace(-1, 1, SAMPLES + 7))
    found = design @ terms
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    error = 6371e3 * float(np.linalg.norm(found - there, axis=1).max())
    return dict(cx=cx, cy=cy, half=half, powers=powers, terms=terms.T.tolist(), error_m=error)


def directions(longitude, latitude):
    """Unit vectors (n, 3) of degrees (n,), as if they were of a sphere."""
    longitude, latitude = np.radians(longitude), np.radians(latitude)
    level = np.cos(latitude)
    return np.stack([level * np.cos(longitude), level * np.sin(longitude), np.sin(latitude)], axis=1)
