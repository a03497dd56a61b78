"""Pictures whose pixels are a table's columns: the directions of edges, part by part."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from agents.offline.blocks.core import Data

FEWEST_PIXELS = 144  # smaller pictures show no more by their edges than by their pixels
DIRECTIONS = 9  # of edges, over half a turn
PARTS = 7  # into which a side is cut
MOST_OBLONG = 4  # times the short side
PIXELS_AT_ONCE = 2e7


def pixels(data: Data, option: Any) -> None:
    """Numbers that are the pixels of a picture give way to `option` main directions of their edges.

    The histograms of oriented gradients of Dalal and Triggs (2005): a shift or a thicker stroke changes them little.
    """
    places = pixel_places(data)
    if not places:
        return
    from sklearn.decomposition import PCA

    rows, size = np.arange(sum(data.sizes)), max(1, int(PIXELS_AT_ONCE / len(places)))
    parts = (rows[k : k + size] for k in range(0, len(rows), size))
    edges = np.vstack([edge_histograms(pictures(data, places, part)) for part in parts])
    kept = min(int(option), *edges.shape)
    found = PCA(kept, svd_solver="randomized", random_state=data.seed % 2**31).fit_transform(edges)
    for name in places:
        data.numbers.pop(name)
        data.cats.pop(name, None)
    made = {f"edges.{k}": column.astype(float) for k, column in enumerate(found.T / found.std())}
    data.numbers |= made
    data.scaled |= set(made)
    print(f"pictures of {len(places)} pixels: {edges.shape[1]} edges as {kept} numbers", flush=True)


def pixel_places(data: Data) -> dict[str, tuple[int, int]]:
    """Row and column of each pixel, by column's name; nothing where nearly all columns are not those of one picture.

    Pixels go from 0 to one maximum and are alike to their neighbours in both directions.
    """
    stems: dict[str, list[str]] = {}
    for name in data.numbers:
        stems.setdefault(re.sub(r"\d+", "#", name), []).append(name)
    stem, names = max(stems.items(), key=lambda item: len(item[1]), default=("", []))
    if len(names) < max(FEWEST_PIXELS, 0.8 * len(data.numbers)) or stem.count("#") not in (1, 2):
        return {}
    tops = np.array([np.nanmax(data.numbers[name]) for name in names])
    if min(np.nanmin(data.numbers[name]) for name in names) < 0 or np.median(tops) < 0.3 * tops.max():
        return {}
    # pixels that are the same in all rows are no columns of `data`, but places, too
    every = {*names, *(n for n in data.task.get("numeric_columns") or [] if re.sub(r"\d+", "#", n) == stem)}
    found = numbered(sorted(every))
    height, width = (max(place[side] for place in found.values()) + 1 for side in (0, 1))
    # numbers such as 20190101 would ask for a picture of any size
    if height * width > 4 * len(names) or max(height, width) > MOST_OBLONG * min(height, width):
        return {}
    places = {name: found[name] for name in names}
    some = np.random.default_rng(0).choice(sum(data.sizes), min(1000, sum(data.sizes)), replace=False)
    sample = pictures(data, places, some)
    near = min(alike(sample[:, :, 1:], sample[:, :, :-1]), alike(sample[:, 1:], sample[:, :-1]))
    far = alike(sample, np.roll(sample, (sample.shape[1] // 2, sample.shape[2] // 3), (1, 2)))
    return places if near > max(0.3, far + 0.15) else {}


def numbered(names: list[str]) -> dict[str, tuple[int, int]]:
    """Row and column by the one number in each name, as of a square picture read line by line, or by the two."""
    found = {name: [int(number) for number in re.findall(r"\d+", name)] for name in names}
    low, top = min(found.values()), max(found.values())
    if len(top) == 1:
        first = int(low[0] > 0 and math.isqrt(top[0]) ** 2 == top[0])  # 1 to 784, or 0 to 783
        side = math.isqrt(top[0] - first) + 1
        return {name: divmod(numbers[0] - first, side) for name, numbers in found.items()}
    lows = [min(numbers[at] for numbers in found.values()) for at in (0, 1)]
    return {name: (numbers[0] - lows[0], numbers[1] - lows[1]) for name, numbers in found.items()}


def pictures(data: Data, places: dict[str, tuple[int, int]], rows: np.ndarray) -> np.ndarray:
    """float32 (rows, height, width), from 0 to 1 or so."""
    height, width = np.max(list(places.values()), axis=0) + 1
    found = np.zeros((len(rows), height, width), dtype=np.float32)
    for name, (row, column) in places.items():
        found[:, row, column] = np.nan_to_num(data.numbers[name][rows])
    return found / np.float32(max(np.nanmax(data.numbers[name]) for name in places))


def alike(a: np.ndarray, b: np.ndarray) -> float:
    """Mean correlation, over pictures, of two pixels (rows, height, width)."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    spread = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    return float(((a * b).sum(axis=0)[spread > 0] / spread[spread > 0]).mean()) if (spread > 0).any() else 0.0


def edge_histograms(found: np.ndarray) -> np.ndarray:
    """Of pictures (rows, height, width) float32 (rows, edges).

    How strong a part's edges are by direction, scaled over each 2 x 2 parts.
    """
    cell = max(2, -(-max(found.shape[1:]) // PARTS))
    margins = [(1 + (-side % cell) // 2, 1 - (-side % cell) // -2) for side in found.shape[1:]]
    found = np.pad(found, ((0, 0), *margins))
    down = found[:, 2:, 1:-1] - found[:, :-2, 1:-1]
    right = found[:, 1:-1, 2:] - found[:, 1:-1, :-2]
    strength = np.hypot(down, right)
    turn = (np.arctan2(down, right) % np.pi) * (DIRECTIONS / np.pi)
    low = np.floor(turn).astype(np.int8)
    share = turn - low
    high, wide = down.shape[1] // cell, down.shape[2] // cell
    sums = np.zeros((len(found), high, wide, DIRECTIONS), dtype=np.float32)
    for k in range(DIRECTIONS):
        part = strength * ((low % DIRECTIONS == k) * (1 - share) + ((low + 1) % DIRECTIONS == k) * share)
        sums[..., k] = part.reshape(len(found), high, cell, wide, cell).sum(axis=(2, 4))
    squares = [sums[:, i : high - 1 + i, j : wide - 1 + j] for i in (0, 1) for j in (0, 1)]
    blocks = np.concatenate(squares, axis=3)
    blocks /= np.sqrt((blocks**2).sum(axis=3, keepdims=True)) + 0.1 * cell
    return np.asarray(blocks.reshape(len(found), -1), dtype=np.float32)
