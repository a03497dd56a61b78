"""Where there are more labelled rows than a campaign's time serves, it learns from some of them."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
CELLS_PER_SECOND = 100_000
"""Of the train table, for each second of the campaign: a first submission then stands after a fifth of the time or so,
and the boosters get through what is left on two cores."""
FEWEST_COLUMNS = 20
"""What a row costs whatever it holds is worth so many columns."""
ENOUGH_ROWS = 100_000
"""Fewer are never cut: a wide table needs its rows more than its rounds."""
RARE = 10
"""Rows of each class that stay, where all of them together are at most half."""


def rows_that_serve(columns: int, seconds: float | None) -> int | None:
    """How many rows of so many columns a campaign of so many seconds should learn from; None: all, without a cap.

    Two figures are exact enough, and a moment more or less on the clock seldom changes them.
    """
    if seconds is None or seconds <= 0:
        return None
    return max(ENOUGH_ROWS, int(float(f"{CELLS_PER_SECOND * seconds / max(columns, FEWEST_COLUMNS):.2g}")))


def some_rows(
    most: int, y: Array, *, task: str, strategy: str, folds: int, seed: int, groups: Array | None, times: Array | None
) -> Array:
    """int64, ascending: which rows stay, at most `most` of them (more only where `folds` groups are larger together).

    At random, the latest by `times` where folds go by time, whole groups where folds go by groups; and first of all
    some rows of each class. The same arguments give the same rows.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(y))
    if strategy == "time" and times is not None:
        order = latest_first(most, times, order, folds + 1)
    elif strategy == "group" and groups is not None:
        order = np.argsort(rng.permutation(int(groups.max()) + 1)[groups], kind="stable")
    order = _once(np.concatenate([*(some_of_each(codes, order, most) for codes in classes(y, task)), order]))
    if strategy == "group" and groups is not None:
        return whole_groups(most, groups[order], order, folds)
    return np.sort(order[:most])


def latest_first(most: int, times: Array, order: Array, moments: int) -> Array:
    """`order` by time, the latest first; those of the last `moments` mixed where fewer would have all the room."""
    latest = order[np.argsort(times[order], kind="stable")[::-1]]
    distinct = np.unique(times)
    if len(distinct) < moments or times[latest[most - 1]] <= distinct[-moments]:
        return latest
    late = times[order] >= distinct[-moments]
    return np.concatenate([order[late], order[~late]])


def whole_groups(most: int, groups: Array, order: Array, folds: int) -> Array:
    """The rows of the first groups that fit, in the order in which they come; of the smallest, if else too few."""
    codes, first, sizes = np.unique(groups, return_index=True, return_counts=True)
    chosen, left = [], most
    for group in np.argsort(first):
        if sizes[group] <= left:
            chosen.append(group)
            left -= sizes[group]
    others = np.setdiff1d(np.argsort(sizes, kind="stable"), chosen, assume_unique=True)
    return np.sort(order[np.isin(groups, codes[[*chosen, *others[: max(0, folds - len(chosen))]]])])


def classes(y: Array, task: str) -> list[Array]:
    """Codes of what must not get lost: the classes, each label's 0 and 1, the known values of each target; -1: none."""
    if task in ("binary", "multiclass"):
        return [y]
    if y.ndim == 1:
        return []
    return [np.where(np.isnan(column), -1, column == 1 if task == "multilabel" else 0).astype(int) for column in y.T]


def some_of_each(codes: Array, order: Array, most: int) -> Array:
    """The first rows of each class in this order, all classes' first ones before any second."""
    by_class = order[np.argsort(codes[order], kind="stable")]
    by_class = by_class[codes[by_class] >= 0]
    found, starts = np.unique(codes[by_class], return_index=True)
    place = np.arange(len(by_class)) - np.repeat(starts, np.diff([*starts, len(by_class)]))
    few = place < min(RARE, max(1, most // (2 * max(len(found), 1))))
    return by_class[few][np.argsort(place[few], kind="stable")]


def _once(rows: Array) -> Array:
    """Each row where it first comes."""
    _, first = np.unique(rows, return_index=True)
    return rows[np.sort(first)]
