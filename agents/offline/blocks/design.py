"""Matrices that models eat: plain for trees, scaled and one-hot for everything else."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse

from agents.offline.blocks.core import Data

SLOPE_REACH = 0.5
"""How far beyond a skewed number's outer quantiles its own slope goes on, by their distance from the median."""


def tree_table(data: Data) -> tuple[pd.DataFrame, list[str]]:
    """Numbers and category codes (missing = -1), every row; also the names of the categories."""
    kind = np.float32 if len(data.y) > 200_000 else np.float64
    columns = {f"n{i}_{name}": values.astype(kind) for i, (name, values) in enumerate(data.numbers.items())}
    codes = {f"c{i}_{name}": values.astype(np.int32) for i, (name, values) in enumerate(data.cats.items())}
    table = pd.DataFrame({**columns, **codes} or {"constant": np.zeros(sum(data.sizes))})
    return table, list(codes)


def scaled_numbers(data: Data, slopes: bool = False) -> np.ndarray:
    """float32 (rows, columns): skew tamed, standardised on the training rows, gaps at 0 with a flag of their own.

    Numbers of one kind are only divided by their maximum; those in `data.scaled` stay as they are. With `slopes`
    skewed numbers come as they are, too: the target may go with them rather than with their logs. As it does so to
    the end of their tail, that is cut farther out.
    """
    n, columns = data.n_train, []
    tail = min(0.01, max(0.001, 5 / n))  # a lone extreme value must not pull a linear model far out
    shared = same_scale(data)
    for name, values in data.numbers.items():
        if shared and "." not in name:
            columns.append(np.nan_to_num(values / shared))
            continue
        if name in data.scaled:
            columns.append(values)
            continue
        gaps = np.isnan(values)
        if 0.002 < gaps[:n].mean() < 0.998:
            columns.append(gaps.astype(float))
        filled = np.where(gaps, np.nanmedian(values[:n]) if not gaps[:n].all() else 0.0, values)
        low, middle, high = np.quantile(filled[:n], [tail, 0.5, 1 - tail])
        whole = filled
        filled = np.clip(whole, low, high) if high > low else whole
        spread = filled[:n].std() or 1.0
        if abs(np.mean(((filled[:n] - filled[:n].mean()) / spread) ** 3)) > 1.0:
            if slopes:
                reach = (low - SLOPE_REACH * (middle - low), high + SLOPE_REACH * (high - middle))
                columns.append(standardised(np.clip(whole, *reach) if high > low else whole, n))
            filled = np.sign(filled) * np.log1p(np.abs(filled))
        columns.append(standardised(filled, n))
    if not columns:
        return np.zeros((sum(data.sizes), 0), dtype=np.float32)
    return np.column_stack(columns).astype(np.float32)


def standardised(values: np.ndarray, n: int) -> np.ndarray:
    """Mean 0 and standard deviation 1 on the first `n` rows."""
    spread = values[:n].std()
    return np.asarray((values - values[:n].mean()) / (spread if spread > 1e-12 * np.abs(values[:n]).max() else 1.0))


def same_scale(data: Data) -> float:
    """The common maximum when the raw numbers are all of one kind, as pixels are; else 0."""
    raw = [values for name, values in data.numbers.items() if "." not in name]
    if len(raw) < 16 or data.cats:
        return 0.0
    with np.errstate(all="ignore"):
        tops = np.array([np.nanmax(values) for values in raw])
        floors = np.array([np.nanmin(values) for values in raw])
    alike = (floors >= 0).all() and (floors == 0).mean() > 0.8 and np.median(tops) > 0.8 * tops.max()
    return float(tops.max()) if alike else 0.0


def one_hot(codes: np.ndarray, n: int, least: int) -> sparse.csr_matrix:
    """(rows, levels) of one category; levels with fewer than `least` training rows share a column."""
    shifted = codes + 1
    counts = np.bincount(shifted[:n], minlength=shifted.max() + 1)
    column = np.where(counts >= least, np.cumsum(counts >= least), 0)[shifted]
    rows = np.arange(len(codes))
    return sparse.csr_matrix((np.ones(len(codes), dtype=np.float32), (rows, column)))


def linear_design(data: Data, least: int = 3, crosses: bool = False, slopes: bool = True) -> sparse.csr_matrix:
    """Sparse (rows, features): scaled numbers, one-hot categories and, when asked, one-hot crosses."""
    blocks = [sparse.csr_matrix(scaled_numbers(data, slopes))]
    blocks += [one_hot(codes, data.n_train, least) for codes in data.cats.values()]
    if crosses:
        blocks += [one_hot(codes, data.n_train, least) for codes in data.crosses.values()]
    stacked = sparse.hstack(blocks, format="csr")
    return stacked if stacked.shape[1] else sparse.csr_matrix(np.ones((sum(data.sizes), 1), dtype=np.float32))


def dense_design(data: Data, width: int = 1500) -> np.ndarray:
    """float32 (rows, features ≤ width) for distances and neural nets: rare levels of categories are pooled."""
    least = max(2, data.n_train // 200)
    blocks = [scaled_numbers(data)]
    for codes in data.cats.values():
        hot = one_hot(codes, data.n_train, least)
        if hot.shape[1] <= 40:
            blocks.append(hot.toarray())
    dense = np.hstack(blocks)[:, :width]
    return dense if dense.shape[1] else np.ones((sum(data.sizes), 1), dtype=np.float32)
