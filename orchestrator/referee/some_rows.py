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
"""Rows of each class that stay."""


def rows_that_serve(columns: int, seconds: float | None) -> int | None:
    """How many rows of so many columns a campaign of so many seconds should learn from; None: all, without a cap."""
    if seconds is None:
        return None
    return max(ENOUGH_ROWS, int(CELLS_PER_SECOND * seconds / max(columns, FEWEST_COLUMNS)))


def some_rows(
    most: int, y: Array, *, task: str, strategy: str, folds: int, seed: int, groups: Array | None, times: Array | None
) -> Array:
    """int64, ascending: which rows stay, about `most` of them.

    At random, with RARE of each class; the latest, by `times`, where folds go by time (whole moments, enough for the
    folds); whole groups where folds go by groups. The same arguments give the same rows.
    """
    if strategy == "time" and times is not None:
        return latest(most, times, folds + 1)
    rng = np.random.default_rng(seed)
    if strategy == "group" and groups is not None:
        order = rng.permutation(int(groups.max()) + 1)
        fitting = np.searchsorted(np.cumsum(np.bincount(groups)[order]), most, side="right")
        return np.flatnonzero(np.isin(groups, order[: max(int(fitting), folds)]))
    order = rng.permutation(len(y))
    chosen = np.concatenate([rare(y, task, order), order])
    _, first = np.unique(chosen, return_index=True)
    return np.sort(chosen[np.sort(first)[:most]])


def latest(most: int, times: Array, moments: int) -> Array:
    """The rows of the last moments: as many as `most` rows span, and no fewer moments than that."""
    distinct = np.unique(times)
    since = min(np.partition(times, -most)[-most], distinct[-min(moments, len(distinct))])
    return np.flatnonzero(times >= since)


def rare(y: Array, task: str, order: Array) -> Array:
    """The first RARE rows in this order of each class, or of each label that rows may have; none for amounts."""
    if task == "multilabel":
        return np.concatenate([order[np.flatnonzero(column[order] == 1)[:RARE]] for column in y.T])
    if task not in ("binary", "multiclass"):
        return order[:0]
    by_class = order[np.argsort(y[order], kind="stable")]
    starts = np.searchsorted(y[by_class], np.unique(y))
    place = np.arange(len(y)) - np.repeat(starts, np.diff([*starts, len(y)]))
    return by_class[place < RARE]
