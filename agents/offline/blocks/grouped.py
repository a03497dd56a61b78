"""Rows of one group, as of a patient, a session or a breath: their statistics and their neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from agents.offline.blocks.core import Data

MOST_COLUMNS = 8
MOST_CELLS = 1e8  # of all new columns together


def group_rows(data: Data, option: Any) -> None:
    """Per number: how its group is, and where the row stands in it; also its neighbours, where a group's rows follow.

    Only where the folds keep groups whole, as those of test are. Labels are not looked at.
    """
    if data.groups is None or data.task.get("cv_strategy") != "group":
        return
    order = np.argsort(data.groups, kind="stable")
    sorts = data.groups[order]
    starts = np.flatnonzero(np.r_[True, sorts[1:] != sorts[:-1]])
    sizes = np.diff(np.r_[starts, len(sorts)])
    place = np.arange(len(sorts)) - np.repeat(starts, sizes)
    # how many of the rows that have one after them in the file's order stand right before it
    follows = float((np.diff(order)[np.diff(sorts) == 0] == 1).mean()) > 0.9 if (sizes > 1).any() else False
    spread(data, "group.size", np.repeat(sizes, sizes), order)
    if follows:
        spread(data, "group.place", place, order)
    room = int(MOST_CELLS / len(order))
    for name in varying(data, order, starts, sizes)[:MOST_COLUMNS]:
        made = statistics(data.numbers[name][order], starts, sizes)
        if follows:
            made |= neighbours(data.numbers[name][order], place, sizes)
        room -= len(made)
        if room < 0:
            return
        for part, values in made.items():
            spread(data, f"{name}.group.{part}", values, order)


def spread(data: Data, name: str, values: np.ndarray, order: np.ndarray) -> None:
    """A new column, from its values by group."""
    column = np.empty(len(order))
    column[order] = values
    if np.nanmin(column) < np.nanmax(column):
        data.numbers[name] = column


def varying(data: Data, order: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> list[str]:
    """Raw numbers that differ within half of the groups of more than one row, the most various first."""
    found = []
    for name in [name for name in data.numbers if "." not in name]:
        values = data.numbers[name]
        filled = np.nan_to_num(values[order])
        moves = np.maximum.reduceat(filled, starts) > np.minimum.reduceat(filled, starts)
        if moves[sizes > 1].mean() > 0.5:
            found.append((-len(np.unique(values[: min(len(values), 50_000)])), name))
    return [name for _, name in sorted(found)]


def statistics(values: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> dict[str, np.ndarray]:
    """Mean, spread and ends of each row's group; how far the row is from the mean."""
    counts = np.add.reduceat(np.isfinite(values).astype(float), starts)
    with np.errstate(all="ignore"):
        mean = np.repeat(np.add.reduceat(np.nan_to_num(values), starts) / counts, sizes)
        away = values - mean
        std = np.sqrt(np.add.reduceat(np.nan_to_num(away) ** 2, starts) / counts)
    found = {"std": std, "min": np.fmin.reduceat(values, starts), "max": np.fmax.reduceat(values, starts)}
    return {"mean": mean, **{part: np.repeat(each, sizes) for part, each in found.items()}, "from_mean": away}


def neighbours(values: np.ndarray, place: np.ndarray, sizes: np.ndarray) -> dict[str, np.ndarray]:
    """The values one and two rows before and one after, the step from the one before, and the sum up to here."""
    left = np.repeat(sizes, sizes) - 1 - place  # rows of the group after this one
    made = {f"back{k}": np.where(place >= k, np.roll(values, k), np.nan) for k in (1, 2)}
    made["ahead1"] = np.where(left >= 1, np.roll(values, -1), np.nan)
    sums = pd.Series(np.nan_to_num(values)).groupby(np.cumsum(place == 0)).cumsum()
    return {**made, "step": values - made["back1"], "so_far": sums.to_numpy()}
