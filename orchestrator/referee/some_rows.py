"""Where there are more labelled rows than a campaign's time serves, it learns from some of them."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
CELLS_PER_SECOND = 100_000
"""Of the train table, for each second of the campaign: what the boosters get through on two cores beside all else."""
FEWEST_COLUMNS = 20
"""What a row costs whatever it holds is worth so many columns."""
ENOUGH_ROWS = 100_000
"""A table is never cut below: where there are thousands of columns, rows are what is short."""
RARE = 10
"""Rows of each class that stay, where all of them together are at most half."""


def rows_that_serve(columns: int, seconds: float | None) -> int | None:
    """How many rows of so many columns a campaign of so many seconds should learn from; None: all, without a cap.

    Two figures are exact enough, and a moment more or less on the clock seldom changes them.
    """
    if seconds is None:
        return None
    return max(ENOUGH_ROWS, int(float(f"{CELLS_PER_SECOND * seconds / max(columns, FEWEST_COLUMNS):.2g}")))


def some_rows(
    most: int, y: Array, *, task: str, folds: int, seed: int, groups: Array | None, times: Array | None
) -> Array:
    """int64, ascending: which rows stay, at most `most` of them (more only where the `folds` smallest groups are).

    First of all some of each class; then whole `groups` where folds go by them, the latest by `times` where folds go by
    time, else at random. The same arguments give the same rows.
    """
    import pandas as pd

    rng = np.random.default_rng(seed)
    order, kinds = rng.permutation(len(y)), classes(y, task)
    if times is not None:
        recent = np.unique(times)[-(folds + 1) :]
        kinds.append(np.where(times >= recent[0], np.searchsorted(recent, times), -1))
        order = latest_first(most, times, order, recent)
    elif groups is not None:
        order = np.argsort(rng.permutation(int(groups.max()) + 1)[groups], kind="stable")
    room = most // (2 * max(len(kinds), 1))
    order = pd.unique(np.concatenate([*(some_of_each(codes, order, room) for codes in kinds), order]))
    return np.sort(order[:most]) if groups is None else whole_groups(most, groups[order], order, folds)


def latest_first(most: int, times: Array, order: Array, recent: Array) -> Array:
    """`order` by time, the latest first; but rows of all `recent` moments mixed where fewer would fill the room."""
    latest = order[np.argsort(times[order], kind="stable")[::-1]]
    if times[latest[most - 1]] <= recent[0]:
        return latest
    late = times[order] >= recent[0]
    return np.concatenate([order[late], order[~late]])


def whole_groups(most: int, groups: Array, order: Array, folds: int) -> Array:
    """The rows of the groups that fit, in the order in which they come; of the `folds` smallest, if else too few."""
    _, first, sizes = np.unique(groups, return_index=True, return_counts=True)
    chosen, left = [], most
    for group in np.argsort(first):
        if sizes[group] <= left:
            chosen.append(group)
            left -= sizes[group]
    if len(chosen) < folds:
        chosen = list(np.argsort(sizes, kind="stable")[:folds])
    return np.sort(order[np.isin(groups, chosen)])


def classes(y: Array, task: str) -> list[Array]:
    """Codes of what must not get lost: the classes, each label's 0 and 1, the known values of each target; -1: none."""
    if task in ("binary", "multiclass"):
        return [y]
    if y.ndim == 1:
        return []
    return [np.where(np.isnan(column), -1, column == 1 if task == "multilabel" else 0).astype(int) for column in y.T]


def some_of_each(codes: Array, order: Array, room: int) -> Array:
    """The first rows of each class in this order: RARE, or as many as fit into `room`, but one at least."""
    import pandas as pd

    known = order[codes[order] >= 0]
    each = pd.Series(known).groupby(codes[known])
    return known[each.cumcount().to_numpy() < min(RARE, max(1, room // max(each.ngroups, 1)))]
