"""A linear model of series in time: levels, slopes, weekdays and the waves of a year, common and of each series."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from agents.offline.blocks.core import Clock, Data
from agents.offline.blocks.design import linear_design, one_hot
from agents.offline.blocks.goals import Goal, predict_goals
from agents.offline.blocks.linear import linear_model, settings_of, tuned
from agents.offline.blocks.series import days_of, joined, series_of

WAVES = 6  # of a year: the shortest is two months long
SHORTEST = 400.0  # days of training rows from which a year's waves are told from a trend
FLAG = 3  # values that a number with an effect of its own in each series may have


def seasonal_model(data: Data, params: dict[str, Any]) -> np.ndarray:
    """Ridge regression on what time does to all rows, to those of one name and to one series; trends go on.

    Of sales that grow by shares it is right on their logs (`target`). Without series it is `linear_model`.
    """
    from sklearn.linear_model import Ridge

    days = days_of(data)
    found = None if days is None else series_of(data, days)
    if days is None or found is None:
        return linear_model(data, params)
    rows = seasonal_design(data, days, *found)
    print(f"design {rows.shape}, {rows.nnz / rows.shape[0]:.0f} of a row", flush=True)

    def fit_one(goal: Goal, clock: Clock) -> np.ndarray:
        def make(strength: float) -> Any:
            return Ridge(alpha=1.0 / strength, solver="lsqr", tol=1e-5)

        return tuned(data, goal, clock, rows, settings_of(params.get("C"), [0.01, 0.03, 0.1, 0.3, 1.0, 3.0]), make)

    return predict_goals(data, fit_one, str(params.get("target", "auto")))


def seasonal_design(data: Data, days: np.ndarray, series: np.ndarray, names: list[np.ndarray]) -> sparse.csr_matrix:
    """Sparse (rows, features): the plain design; by name and series levels, slopes, flags, weekdays, hours, waves."""
    n, parts = data.n_train, [linear_design(data)]
    years = (days - days[:n].max()) / 365.25
    turns = 2 * np.pi * np.outer(years, np.arange(1, WAVES + 1))
    waves = np.hstack([np.sin(turns), np.cos(turns)]) if np.ptp(days[:n]) > SHORTEST else np.zeros((len(days), 0))
    parts += [sparse.csr_matrix(part.astype(np.float32)) for part in (years[:, None], waves)]
    weekday, hour = (np.floor(days + 1e-9) % 7).astype(np.int64), np.floor(days * 24 + 1e-6).astype(np.int64) % 24
    clock = [weekday, hour + 24 * (weekday >= 5)] if np.ptp(hour[:n]) else [weekday]
    parts += [one_hot(codes, n, 3) for codes in clock]
    flags = [values for name, values in data.numbers.items() if "." not in name and len(np.unique(values[:n])) <= FLAG]
    every = [*names, series] if len(names) > 1 else [series]
    for number, codes in enumerate(every if names else []):
        hot = one_hot(codes, n, 3)
        parts += [hot, hot.multiply(years[:, None]).tocsr()]
        parts += [one_hot(joined(codes, part), n, 3) for part in clock]
        parts += [hot.multiply(np.nan_to_num(values)[:, None]).tocsr() for values in flags]
        if number < len(names):  # waves of each series alone would be too many
            parts += [hot.multiply(wave[:, None]).tocsr() for wave in waves.T]
    return sparse.hstack(parts, format="csr", dtype=np.float32)
