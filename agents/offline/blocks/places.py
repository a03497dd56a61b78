"""Places on a map: directions, neighbourhoods, and the way from one to another."""

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
EARTH = 6371.0  # its radius in kilometres
MOST_PLACES = 3
ANGLES = (22.5, 45.0, 67.5, 112.5, 135.0, 157.5)


def places(data: Data, option: Any) -> None:
    """What splits along the axes can't see: turned axes, distances, neighbourhoods, exact spots that come again."""
    found = places_of(data)
    for name, (north, east, _) in found.items():
        up, right = centred(north, data.n_train), centred(east, data.n_train)
        for angle in ANGLES:
            turn = np.deg2rad(angle)
            data.numbers[f"{name}.along{angle:.0f}"] = np.cos(turn) * right + np.sin(turn) * up
        data.numbers[f"{name}.out"] = np.hypot(up, right)
        add_neighbourhoods(data, name, np.column_stack([up, right]))
        spots = pd.factorize(pd.MultiIndex.from_arrays([np.round(north, 5), np.round(east, 5)]))[0]
        if len(np.unique(spots)) < 0.8 * len(spots):
            data.crosses[f"{name}.spot"] = spots
            data.numbers[f"{name}.spot.count"] = counts_of(spots)
    for a, b in combinations(found, 2):
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
            if set(pair) == {NORTH, EAST} and all(len(np.unique(v[: data.n_train])) > 30 for v in pair.values()):
                found.setdefault(rest or "place", (pair[NORTH], pair[EAST], axes is GLOBE))
    return dict(list(found.items())[:MOST_PLACES])


def centred(values: np.ndarray, n: int) -> np.ndarray:
    """Over their spread among the training rows, without those far out; what is far out is drawn in."""
    low, middle, high = np.nanquantile(values[:n], [0.005, 0.5, 0.995])
    reach = max(high - low, 1e-9)
    return np.clip((values - middle) / reach, -3.0, 3.0)


def add_neighbourhoods(data: Data, name: str, spots: np.ndarray) -> None:
    """The nearest of some centres (k-means on at most 20,000 rows) as a category, and how far it is."""
    from sklearn.cluster import MiniBatchKMeans

    known = np.isfinite(spots).all(axis=1)
    sample = np.random.default_rng(data.seed).permutation(np.flatnonzero(known))[:20_000]
    k = int(np.clip(len(sample) // 100, 2, 50))
    if len(sample) < 200:
        return
    centres = MiniBatchKMeans(k, n_init=1, random_state=data.seed).fit(spots[sample]).cluster_centers_
    nearest, far = np.full(len(spots), -1), np.full(len(spots), np.nan)
    for rows in np.array_split(np.flatnonzero(known), max(1, len(spots) // 100_000)):
        away = np.hypot(*(spots[rows][:, None, axis] - centres[None, :, axis] for axis in (0, 1)))
        nearest[rows], far[rows] = away.argmin(axis=1), away.min(axis=1)
    data.cats[f"{name}.area"] = nearest
    data.numbers[f"{name}.area.far"] = far


def way(
    name: str, start: tuple[np.ndarray, np.ndarray, bool], end: tuple[np.ndarray, np.ndarray, bool]
) -> dict[str, np.ndarray]:
    """Distance (kilometres over a globe), distance along the axes, and direction from one place to another."""
    (north, east, globe), (to_north, to_east, _) = start, end
    if globe:
        middle = np.deg2rad((north + to_north) / 2)
        up, right = EARTH * np.deg2rad(to_north - north), EARTH * np.deg2rad(to_east - east) * np.cos(middle)
    else:
        up, right = to_north - north, to_east - east
    found = {"far": np.hypot(up, right), "blocks": np.abs(up) + np.abs(right), "up": up, "right": right}
    return {f"{name}.{part}": values for part, values in {**found, "heading": np.arctan2(up, right)}.items()}
