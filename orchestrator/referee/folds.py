"""Which row is validated in which fold: fixed once per campaign, from the data and a seed alone.

An assignment is int16 (rows,): the fold that validates the row, -1 for a row that only ever trains (the first block of
a time split). All out-of-fold predictions of a campaign come from the same assignment, so they may be compared row by
row and blended.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from orchestrator.errors import BadInput

Array = np.ndarray[Any, Any]


def assign(
    strategy: str,
    folds: int,
    seed: int,
    y: Array,
    *,
    task: str,
    groups: Array | None = None,
    times: Array | None = None,
    stretch: float = 0.0,
    runs: Array | None = None,
) -> Array:
    """The fold of each row, int16 (rows,), deterministic for the same arguments.

    stratified: each class (each label combination, for multilabel; each run of similar targets, for regression; each
    combination of known targets, for several numbers of which some are nan) is spread evenly, however rare. kfold: a
    plain shuffle. group: no group is ever split. time: the last rows in the order of `times`, in blocks about as long
    as `stretch` (0: a part of all rows each); the rows before the first block have fold -1. blocks: no run of time
    (`time_blocks`) is ever split.
    `y` is the encoded target, (rows,) or (rows, targets); `groups`, `runs` are integer codes; `times` sort ascending,
    and `stretch` is how far test goes on behind the last of them.
    Raises BadInput when the rows, groups or times are too few for so many folds.
    """
    rows = len(y)
    if rows < 2 * folds:
        raise BadInput(f"cv.folds = {folds} is too many for {rows} training rows: set it to {max(rows // 2, 2)}")
    rng = np.random.default_rng([seed, folds])
    if strategy == "group":
        if groups is None:
            raise BadInput("cv.strategy is 'group': name the column in competition.group_column")
        return _by_group(groups, _strata(y, task, folds), folds, rng)
    if strategy == "time":
        if times is None:
            raise BadInput("cv.strategy is 'time': name the column in competition.time_column")
        return _by_time(times, folds, stretch)
    if strategy == "blocks":
        if runs is None:
            raise BadInput("cv.strategy is 'blocks': name a column of train and test in competition.time_column")
        return _by_group(runs, _strata(y, task, folds), folds, rng, "runs of time")
    strata = _strata(y, task, folds) if strategy == "stratified" else None
    if strategy == "stratified" and strata is None:
        return _by_value(y, folds, rng)
    order = rng.permutation(rows)
    if strata is not None:
        order = order[np.argsort(strata[order], kind="stable")]
    return _deal(order, folds)


def digest(*parts: Array | str | int) -> str:
    """One hash over arrays (bytes, dtype and shape) and plain values."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            total.update(f"{part.dtype.str}{part.shape}".encode())
            total.update(np.ascontiguousarray(part).tobytes())
        else:
            total.update(f"|{part}|".encode())
    return total.hexdigest()


def train_mask(assignment: Array, fold: int, strategy: str) -> Array:
    """Rows that fold `fold` may learn from: everything else, or for a time split only what came before."""
    return assignment < fold if strategy == "time" else assignment != fold


def _deal(order: Array, folds: int) -> Array:
    """Deal rows like cards: neighbours in `order` go to different folds, sizes differ by one at most."""
    assignment = np.empty(len(order), dtype=np.int16)
    assignment[order] = np.arange(len(order)) % folds
    return assignment


def _strata(y: Array, task: str, folds: int) -> Array | None:
    """Integer codes of what must be spread evenly; None for a continuous target without holes."""
    if task in ("binary", "multiclass"):
        return y.astype(np.int64)
    missing = np.isnan(y)
    if task != "multilabel" and not (task == "multiregression" and missing.any()):
        return None
    marks = (y > 0.5 if task == "multilabel" else ~missing).astype(np.int8)
    states = np.where(missing, np.int8(2), marks)
    _, codes, counts = np.unique(states, axis=0, return_inverse=True, return_counts=True)
    codes = codes.reshape(-1)
    rarity = np.argsort(np.argsort(marks.sum(axis=0), kind="stable"), kind="stable")
    rarest = np.where(marks > 0, rarity, len(rarity)).min(axis=1)
    return np.where(counts[codes] >= folds, codes, len(counts) + rarest)


def _by_value(y: Array, folds: int, rng: np.random.Generator) -> Array:
    """Continuous target: each run of `folds` neighbouring values gives one row to each fold, in random order."""
    target = y if y.ndim == 1 else y[:, 0]
    order = np.lexsort((rng.random(len(target)), target))
    blocks = -(-len(order) // folds)
    shuffled = rng.permuted(np.tile(np.arange(folds), (blocks, 1)), axis=1).reshape(-1)
    assignment = np.empty(len(order), dtype=np.int16)
    assignment[order] = shuffled[: len(order)]
    return assignment


def _by_group(groups: Array, strata: Array | None, folds: int, rng: np.random.Generator, what: str = "groups") -> Array:
    """Largest groups first, each to the fold where it unbalances rows and classes least."""
    names, codes = np.unique(groups, return_inverse=True)
    if len(names) < folds:
        raise BadInput(f"cv.folds = {folds} but the training rows have {len(names)} {what}: set cv.folds lower")
    kinds = np.zeros(len(groups), dtype=np.int64) if strata is None else np.unique(strata, return_inverse=True)[1]
    width = int(kinds.max()) + 1
    sizes = np.bincount(codes, minlength=len(names))
    order = np.lexsort((rng.permutation(len(names)), -sizes))
    # Rows sorted by group, so that one group's rows are one slice.
    by_group = np.argsort(codes, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)])
    totals = np.bincount(kinds, minlength=width).astype(float)
    load = np.zeros((folds, width + 1))
    home = np.empty(len(names), dtype=np.int16)
    for group in order:
        rows = by_group[starts[group] : starts[group + 1]]
        count = np.append(np.bincount(kinds[rows], minlength=width) / totals, len(rows) / len(groups))
        fold = int(np.argmin(load @ count))
        load[fold] += count
        home[group] = fold
    return home[codes]


def _by_time(times: Array, folds: int, stretch: float) -> Array:
    """`folds` validation blocks after rows that only train; equal times stay together.

    A block holds as many rows as the last `stretch` of time does, since what is near is easier to foretell; at least
    a tenth of the rows are validated, and at most `folds` of `folds + 1` equal parts, as where no stretch is known.
    """
    _, codes, counts = np.unique(times, return_inverse=True, return_counts=True)
    if len(counts) <= folds:
        raise BadInput(
            f"cv.folds = {folds} but competition.time_column has {len(counts)} different values: set cv.folds lower"
        )
    rows, most = len(times), len(times) / (folds + 1)
    late = np.count_nonzero(times > times.max() - stretch) if stretch > 0 else rows
    size = min(most, max(late, rows / (10 * folds)))
    ends = np.cumsum(counts)
    wanted = rows - size * np.arange(folds, 0, -1)
    edges = np.searchsorted(ends, wanted - 0.5) + 1
    for index in range(folds):
        floor = edges[index - 1] + 1 if index else 1
        edges[index] = min(max(edges[index], floor), len(counts) - folds + index)
    return (np.searchsorted(edges, np.arange(len(counts)), side="right") - 1).astype(np.int16)[codes]
