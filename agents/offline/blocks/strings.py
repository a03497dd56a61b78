"""Features from categories and structured strings: parts, counts, crosses, target encoding."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from agents.offline.blocks.amounts import add_amounts
from agents.offline.blocks.core import Clock, Data, inner_folds
from agents.offline.blocks.goals import Goal, goals
from agents.offline.blocks.recall import keep, known, name_of

SEPARATORS = (", ", "/", "|", "_", ":", "-", ".", " ")


def add_part(data: Data, name: str, part: pd.Series) -> None:
    """One part of a string: as a number if it is one, as a category and as a count if it repeats."""
    codes, levels = pd.factorize(part)
    if len(levels) < 2 or len(levels) > 0.98 * part.notna().sum():
        return
    numbers = pd.to_numeric(part, errors="coerce").to_numpy(dtype=float)
    if np.isfinite(numbers).sum() >= 0.9 * part.notna().sum():
        data.numbers[name] = numbers
    if len(levels) < 0.5 * len(part) or len(levels) < 30:
        data.cats[name] = codes
    else:
        data.crosses[name] = codes
    if len(levels) > 20:
        data.numbers[f"{name}.count"] = counts_of(codes)


def counts_of(codes: np.ndarray) -> np.ndarray:
    """How often the value of each row occurs over train, valid and test; NaN when missing."""
    counts = np.bincount(codes + 1)[codes + 1].astype(float)
    return np.where(codes < 0, np.nan, counts)


def string_parts(data: Data, option: Any) -> None:
    """Parts of structured strings: "A/12/B", "9_01", "Doe, Dr. Jane", "AB 123", "C85"."""
    for name, column in list(data.strings.items()):
        known = column.dropna()
        if known.str.len().mean() > 120:
            continue
        distinct = known.nunique()
        only_amounts = distinct >= 5 and add_amounts(data, name, column)
        if only_amounts or distinct < max(20, 0.02 * len(known)):
            continue
        if distinct < 0.98 * len(known):
            data.numbers[f"{name}.count"] = counts_of(pd.factorize(column)[0])
        for sep in SEPARATORS:
            if known.str.contains(sep, regex=False).mean() > 0.6:
                pieces = column.str.split(sep, expand=True, regex=False).iloc[:, :4]
                for i in pieces.columns:
                    add_part(data, f"{name}.{i}", pieces[i].str.strip())
                break
        if known.str.contains(r"[A-Za-z]{2,}\.", regex=True).mean() > 0.5:
            add_part(data, f"{name}.title", column.str.extract(r"([A-Za-z]{2,})\.", expand=False))
        add_letters(data, name, column)
        add_part(data, f"{name}.letters", column.str.extract(r"^\s*([^\d]*?)[\s.]*\d*$", expand=False).str[:12])
        add_part(data, f"{name}.first", column.str.strip().str[:1])
        add_part(data, f"{name}.number", column.str.extract(r"(\d+)\D*$", expand=False))
        data.numbers[f"{name}.length"] = column.str.len().to_numpy(dtype=float, na_value=np.nan)


def add_letters(data: Data, name: str, column: pd.Series) -> None:
    """Codes of one length ("ABCABD"): the letter at each position, and how many different ones there are."""
    known = column.dropna()
    length = known.str.len()
    if not 3 <= length.iloc[0] <= 24 or length.nunique() > 1 or not known.str.fullmatch(r"[A-Za-z]+").all():
        return
    letters = np.full((len(column), length.iloc[0]), np.nan)
    letters[column.notna()] = np.array(known.tolist()).view("<U1").reshape(len(known), -1).view(np.uint32)
    for position, values in enumerate(letters.T):
        if len(np.unique(values[: data.n_train])) > 1:
            data.numbers[f"{name}.at{position}"] = values
    ordered = np.sort(letters, axis=1)
    different = 1.0 + (np.diff(ordered, axis=1) != 0).sum(axis=1)
    data.numbers[f"{name}.different"] = np.where(column.isna(), np.nan, different)


def frequency(data: Data, option: Any) -> None:
    """Counts over all rows of the values of categories (and crosses) with more than `option` levels."""
    for name, codes in {**data.cats, **data.crosses}.items():
        if codes.max() + 1 > int(option):
            data.numbers[f"{name}.count"] = counts_of(codes)


def crosses(data: Data, option: Any) -> None:
    """Pairs (option 2), also triples (option 3) of categories, among the 9 with most levels (6 when rows are few)."""
    names = sorted((n for n in data.cats if data.cats[n].max() > 1), key=lambda n: -data.cats[n].max())
    names = names[: 9 if data.n_train > 5000 else 6]
    for size in range(2, int(option) + 1):
        for chosen in combinations(names, size):
            joined = data.cats[chosen[0]].astype(np.int64) + 1
            for name in chosen[1:]:
                joined = pd.factorize(joined * (int(data.cats[name].max()) + 2) + data.cats[name] + 1)[0]
            if len(np.unique(joined)) < 0.95 * len(joined):
                data.crosses["&".join(chosen)] = joined


def indicators(goal: Goal) -> np.ndarray:
    """(rows, outputs) of what an encoding averages: the value, or one 0/1 column per class (the 8 largest)."""
    if goal.kind != "multiclass":
        return goal.y.astype(float).reshape(-1, 1)
    largest = np.argsort(-np.bincount(goal.y))[:8]
    return (goal.y[:, None] == largest[None, :]).astype(float)


def target_encoding(data: Data, option: Any) -> None:
    """Smoothed mean target per level (`option` = prior rows); training rows get the mean of the other inner folds."""
    folds = inner_folds(data, 5, salt=11)
    tables = {n: c for n, c in {**data.cats, **data.crosses}.items() if c.max() + 1 >= 5}
    labels = [array for goal in goals(data) for array in (goal.y, goal.rows)]
    made_of = [*tables.values(), *labels, folds]
    about = name_of(data, f"target_encoding {option} {list(tables)}", made_of, target_encoding)
    found = known(data, about)
    if found is None:
        clock, started = Clock(0.3 * data.clock.left()), data.clock.left()
        found = encodings(data, tables, folds, float(option), clock)
        if clock.left() >= 0:  # all of them
            keep(data, about, found, started - data.clock.left())
    data.numbers |= found
    data.learned |= set(found)


def encodings(
    data: Data, tables: dict[str, np.ndarray], folds: np.ndarray, prior: float, clock: Clock
) -> dict[str, np.ndarray]:
    """Encoded columns of these codes, as many as there is time for."""
    problems = goals(data)
    found: dict[str, np.ndarray] = {}
    for number, goal in enumerate(problems):
        wanted = indicators(goal)
        for name, codes in list(tables.items())[: max(4, 240 // (len(problems) * wanted.shape[1]))]:
            if clock.left() < 0:
                return found
            for output in range(wanted.shape[1]):
                encoded = encode(codes + 1, wanted[:, output], goal.rows, folds, prior)
                found[f"{name}.mean{number}.{output}"] = encoded
    return found


def encode(codes: np.ndarray, y: np.ndarray, rows: np.ndarray, folds: np.ndarray, prior: float) -> np.ndarray:
    """One encoded column for all rows; codes are shifted so that 0 = missing."""
    size = int(codes.max()) + 1
    train, fold = codes[rows], folds[rows]
    sums, counts = np.bincount(train, y, size), np.bincount(train, minlength=size).astype(float)
    encoded = ((sums + prior * y.mean()) / (counts + prior))[codes]
    for k in np.unique(fold):
        out = fold == k
        rest_y = y[~out].mean() if (~out).any() else 0.0
        part_sums = sums - np.bincount(train[out], y[out], size)
        part_counts = counts - np.bincount(train[out], minlength=size)
        encoded[rows[out]] = ((part_sums + prior * rest_y) / (part_counts + prior))[train[out]]
    return encoded
