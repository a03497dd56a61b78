"""Places on a map: turned axes, areas, and the way from one to another."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from agents.offline.blocks.core import Data
from agents.offline.blocks.strings import counts_of

NORTH = 0
EAST = 1
UP = 2
GLOBE = {"lat": NORTH, "latitude": NORTH, "lon": EAST, "lng": EAST, "long": EAST, "longitude": EAST}
PLANE = {"y": NORTH, "x": EAST, "z": UP}
POINTS = {"", "coord", "coordinate", "pos", "position", "loc", "location"}
"""What x and y of a place are called besides; they also stand for the sides of boxes and for much else."""
EARTH = 6371.0  # its radius in kilometres
MOST_PLACES = 3
STRIPS = 12


def places(data: Data, option: Any) -> None:
    """What splits along the axes can't see: turned axes, distances, areas and exact spots (for encodings)."""
    found = places_of(data)
    for name, (north, east, _) in found.items():
        up, right = centred(north, data.n_train), centred(east, data.n_train)
        data.numbers |= {
            f"{name}.rising": right + up,
            f"{name}.falling": right - up,
            f"{name}.out": np.hypot(up, right),
        }
        data.crosses[f"{name}.area"] = area_of([up, right], data.n_train)
        spots = spots_of(np.round(north, 5), np.round(east, 5))
        if len(np.unique(spots)) < 0.8 * len(spots):
            data.crosses[f"{name}.spot"] = spots
            data.numbers[f"{name}.spot.count"] = counts_of(spots)
    for a, b in combinations(found, 2):
        if found[a][2] == found[b][2]:
            data.numbers |= way(f"{a}.{b}", found[a], found[b])


def places_of(data: Data) -> dict[str, tuple[np.ndarray, np.ndarray, bool]]:
    """Name → (north, east, whether in degrees), for pairs of columns whose names differ in nothing but the axis."""
    found: dict[str, tuple[np.ndarray, np.ndarray, bool]] = {}
    for axes in (GLOBE, PLANE):
        sides: dict[str, dict[int, np.ndarray]] = {}
        for name, values in data.numbers.items():
            words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+|\d+", name)]
            side = [axes[word] for word in words if word in axes]
            if "." not in name and len(side) == 1:
                sides.setdefault("_".join(word for word in words if word not in axes), {})[side[0]] = values
        for rest, pair in sides.items():  # three axes are measures of a body rather than a map
            called = (axes is GLOBE or rest in POINTS) and set(pair) == {NORTH, EAST}
            if called and all(len(np.unique(values[: data.n_train])) > 30 for values in pair.values()):
                found.setdefault(rest or "place", (pair[NORTH], pair[EAST], axes is GLOBE))
    return dict(list(found.items())[:MOST_PLACES])


def centred(values: np.ndarray, n: int) -> np.ndarray:
    """Over their spread among the training rows, without those far out; what is far out is drawn in."""
    low, middle, high = np.nanquantile(values[:n], [0.005, 0.5, 0.995])
    reach = max(high - low, 1e-9)
    return np.clip((values - middle) / reach, -3.0, 3.0)


def spots_of(north: np.ndarray, east: np.ndarray) -> np.ndarray:
    """Codes of places that are the same, -1 for what is unknown."""
    up, right = (pd.factorize(side)[0].astype(np.int64) for side in (north, east))
    codes = pd.factorize(up * (right.max() + 1) + right)[0]
    return np.where((up < 0) | (right < 0), -1, codes)


def area_of(sides: list[np.ndarray], n: int) -> np.ndarray:
    """Codes of the cells of a grid with as many training rows in each of its strips, -1 where a side is unknown."""
    cuts = [np.nanquantile(side[:n], np.linspace(0, 1, STRIPS + 1)[1:-1]) for side in sides]
    up, right = (np.searchsorted(cut, side) for cut, side in zip(cuts, sides, strict=True))
    return np.where(np.isfinite(sides[0] + sides[1]), STRIPS * up + right, -1)


def way(
    name: str, start: tuple[np.ndarray, np.ndarray, bool], end: tuple[np.ndarray, np.ndarray, bool]
) -> dict[str, np.ndarray]:
    """Distance (kilometres over a globe), distance along the axes, and direction from one place to another."""
    (north, east, globe), (to_north, to_east, _) = start, end
    if globe:
        middle = np.deg2rad((north + to_north) / 2)
        around = (to_east - east + 180) % 360 - 180  # the short way
        up, right = EARTH * np.deg2rad(to_north - north), EARTH * np.deg2rad(around) * np.cos(middle)
    else:
        up, right = to_north - north, to_east - east
    found = {"far": np.hypot(up, right), "blocks": np.abs(up) + np.abs(right), "up": up, "right": right}
    return {f"{name}.{part}": values for part, values in {**found, "heading": np.arctan2(up, right)}.items()}
