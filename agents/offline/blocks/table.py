"""Features from tables: dates, amounts, related numbers, interactions, statistics per category."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from agents.offline.blocks.core import Data
from agents.offline.blocks.goals import goals

MOST_AT_ONCE = 5e7  # cells of a table
FORM = 6  # columns of one kind from which what they have in common is looked at


def date_parts(data: Data, option: Any) -> None:
    """Calendar parts of each date; option "categories" also gives them to models without splits."""
    for name, moments in data.dates.items():
        when = moments.dt
        week = when.isocalendar().week.to_numpy(dtype=float, na_value=np.nan)
        parts = {"year": when.year, "month": when.month, "day": when.day, "weekday": when.day_of_week}
        parts |= {"hour": when.hour, "minute": when.minute, "yearday": when.day_of_year}
        found = {part: values.to_numpy(dtype=float, na_value=np.nan) for part, values in parts.items()}
        elapsed = ((moments - moments.min()).dt.total_seconds() / 86400).to_numpy(dtype=float)
        found |= {"week": week, "elapsed": elapsed, "workhour": found["hour"] + 24.0 * (found["weekday"] >= 5)}
        for part, values in found.items():
            if len(np.unique(values[: data.n_train])) < 2:
                continue
            data.numbers[f"{name}.{part}"] = values
            if option == "categories" and part in ("month", "weekday", "hour", "workhour"):
                data.cats[f"{name}.{part}"] = pd.factorize(values)[0]
            if option == "categories" and part in ("hour", "yearday"):
                angle = 2 * np.pi * values / (24 if part == "hour" else 365.25)
                data.numbers[f"{name}.{part}.sin"], data.numbers[f"{name}.{part}.cos"] = np.sin(angle), np.cos(angle)
        data.crosses |= shared_moments(data, name, moments)
    for a, b in list(combinations(data.dates, 2))[:6]:
        gap = data.dates[a] - data.dates[b]
        data.numbers[f"{a}-{b}"] = (gap.dt.total_seconds() / 86400).to_numpy(dtype=float)


def shared_moments(data: Data, name: str, moments: pd.Series) -> dict[str, np.ndarray]:
    """Codes of a date's days, and of its moments, where rows of train and nearly all others share them.

    What happened on one day, or at one moment, went alike; of days that train does not know nothing is learned.
    """
    found: dict[str, np.ndarray] = {}
    fewest = 10
    for kind, when in (("date", moments.dt.normalize()), ("moment", moments)):
        codes = pd.factorize(when)[0]
        train, others = codes[: data.n_train], codes[data.n_train :]
        levels = len(np.unique(train))
        if fewest < levels < data.n_train / 4 and np.isin(others, train).mean() > 0.9:
            fewest, found[f"{name}.{kind}"] = levels, codes
    return found


def list_counts(data: Data, option: Any) -> None:
    """Number of items and length of columns that hold JSON objects or lists."""
    for name, column in data.strings.items():
        known = column.dropna().str.strip()
        if len(known) and known.str.match(r"[\[{]").mean() > 0.8:
            filled = column.fillna("")
            empty = filled.str.fullmatch(r"\s*[\[{]\s*[\]}]\s*|").to_numpy(dtype=bool)
            data.numbers[f"{name}.items"] = np.where(empty, 0.0, filled.str.count(",").to_numpy(dtype=float) + 1)
            data.numbers[f"{name}.length"] = filled.str.len().to_numpy(dtype=float)


def row_stats(data: Data, option: Any) -> None:
    """Gaps per row; sum, largest share and count of non-zero amounts (columns with many zeros); `of_a_kind`."""
    if len(data.numbers) + len(data.cats) < 2:
        return
    gaps = sum((np.isnan(v).astype(float) for v in data.numbers.values()), np.zeros(sum(data.sizes)))
    gaps += sum(((codes < 0).astype(float) for codes in data.cats.values()), np.zeros(sum(data.sizes)))
    amounts = []
    for values in data.numbers.values():
        known = values[np.isfinite(values)]
        if len(known) and known.min() >= 0 and (known == 0).mean() > 0.2 and len(np.unique(known)) > 20:
            amounts.append(np.nan_to_num(values))
    made = of_a_kind(data)
    if np.ptp(gaps) > 0:
        made["row.gaps"] = gaps
    if len(amounts) > 1:
        table = np.column_stack(amounts)
        total = table.sum(axis=1)
        made |= {"row.total": total, "row.used": (table > 0).sum(axis=1).astype(float)}
        made["row.top_share"] = table.max(axis=1) / np.maximum(total, 1e-9)
    data.numbers |= made


def of_a_kind(data: Data) -> dict[str, np.ndarray]:
    """Mean, spread and quartiles over a row's numbers of one scale, as answers to a form are; how many flags are set.

    What adds up over many columns takes trees very many splits.
    """
    raw = {n: v for n, v in data.numbers.items() if "." not in n and n not in data.cats}
    some = slice(None, None, max(1, sum(data.sizes) // 2000))
    ends, flags = {}, []
    for name, values in raw.items():
        kinds = np.unique(values[some])
        if len(kinds) <= 3 and np.isin(values, (0.0, 1.0)).all():
            flags.append(values)
        elif len(kinds) > 3:
            ends[name] = np.nanquantile(values[some], [0.05, 0.5, 0.95])
    spans = {n: low_to_high for n, (low, _, high) in ends.items() if (low_to_high := high - low) > 0}
    middle, span = np.median([ends[n][1] for n in spans] or [0.0]), np.median(list(spans.values()) or [0.0])
    alike = [n for n, own in spans.items() if 0.5 < own / span < 2 and abs(ends[n][1] - middle) < 0.5 * span]
    made: dict[str, np.ndarray] = {}
    if len(flags) >= FORM:
        made["row.flags"] = np.sum(flags, axis=0)
    if len(alike) >= max(FORM, len(spans) / 2) and len(alike) * sum(data.sizes) <= MOST_AT_ONCE:
        table = np.sort(np.column_stack([raw[name] for name in alike]), axis=1)  # what is unknown comes last
        known = np.isfinite(table).sum(axis=1)
        with np.errstate(all="ignore"):
            mean = np.nansum(table, axis=1) / known
            made |= {"row.mean": mean, "row.std": np.sqrt(np.nansum((table - mean[:, None]) ** 2, axis=1) / known)}
        for share in (0, 25, 50, 75, 100):
            at = np.round(share / 100 * np.maximum(known - 1, 0)).astype(int)
            made[f"row.at{share}"] = np.take_along_axis(table, at[:, None], axis=1)[:, 0]
    return {name: values for name, values in made.items() if np.nanmin(values) < np.nanmax(values)}


def related_numbers(data: Data, option: Any) -> None:
    """Sums, differences and ratios of columns whose names share a word (at most `option` new columns)."""
    families: dict[str, list[str]] = {}
    for name, values in data.numbers.items():
        if "." not in name and len(np.unique(values[: data.n_train])) > 3:
            for word in set(re.findall(r"[A-Z]{2,}(?![a-z])|[A-Z]?[a-z]{2,}", name)):
                families.setdefault(word.lower(), []).append(name)
    made: dict[str, np.ndarray] = {}
    seen: set[tuple[str, ...]] = set()
    for word, names in sorted(families.items()):
        if not 2 <= len(names) <= 8 or tuple(names) in seen:
            continue
        seen.add(tuple(names))
        made[f"{word}.sum"] = sum((np.nan_to_num(data.numbers[n]) for n in names), np.zeros(sum(data.sizes)))
        for a, b in list(combinations(names, 2))[:6]:
            made[f"{a}-{b}"] = data.numbers[a] - data.numbers[b]
            made[f"{a}/{b}"] = ratio(data.numbers[a], data.numbers[b])
    data.numbers |= dict(list(made.items())[: int(option)])


def ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.clip(a / np.where(np.abs(b) < 1e-9, np.nan, b), -1e6, 1e6)


def interactions(data: Data, option: Any) -> None:
    """Products, ratios and differences among the `option` numbers that matter most to a small forest."""
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    names = [name for name, values in data.numbers.items() if len(np.unique(values[: data.n_train])) > 5]
    if len(names) < 2:
        return
    goal = max(goals(data), key=lambda g: len(g.rows))
    sample = np.random.default_rng(data.seed).permutation(len(goal.rows))[:5000]
    table = np.column_stack([np.nan_to_num(data.numbers[name], nan=-999.0) for name in names])
    kind: Any = ExtraTreesRegressor if goal.kind == "value" else ExtraTreesClassifier
    forest = kind(60, min_samples_leaf=5, max_features=0.5, random_state=data.seed)
    forest.fit(table[goal.rows[sample]].astype(np.float32), goal.y[sample])
    best = [names[i] for i in np.argsort(-forest.feature_importances_)[: int(option)]]
    for a, b in combinations(best, 2):
        x, z = data.numbers[a], data.numbers[b]
        data.numbers |= {f"{a}*{b}": np.clip(x * z, -1e12, 1e12), f"{a}/{b}": ratio(x, z), f"{a}-{b}": x - z}
        data.numbers[f"{b}/{a}^2"] = ratio(z, x * x)
        data.numbers[f"{a}/{b}^2"] = ratio(x, z * z)


def group_means(data: Data, option: Any) -> None:
    """How far a number lies from the mean of its category (up to `option` categories and numbers)."""
    levels = {name: codes for name, codes in data.cats.items() if 2 < codes.max() + 1 < 0.2 * len(codes)}
    numbers = [name for name, v in data.numbers.items() if "." not in name and len(np.unique(v)) > 10]
    for cat in sorted(levels, key=lambda name: -levels[name].max())[: int(option)]:
        codes = levels[cat] + 1
        for name in numbers[: int(option)]:
            values = data.numbers[name]
            known = np.isfinite(values)
            sums = np.bincount(codes[known], values[known], codes.max() + 1)
            counts = np.bincount(codes[known], minlength=codes.max() + 1)
            data.numbers[f"{name}.of.{cat}"] = values - (sums / np.maximum(counts, 1))[codes]
