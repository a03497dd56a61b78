"""Is a gain real? A paired bootstrap over rows, within each fold.

Rows are first pooled into random blocks (of whole groups where the folds keep those whole, and of runs of time), then
blocks are resampled by Poisson weights: for up to some thousand rows that is the plain bootstrap, beyond it costs no
more. A metric that is a mean of row losses, or a function of counts per class, is recomputed for every resample; AUC
through its row influences (which is DeLong's estimate); anything else through pseudo-values of a delete-a-block
jackknife. The same weights meet the new and the old predictions, so what they share cancels.

What this can't see: hundreds of rounds compared on the same folds overfit them slowly, since a gain that passes at
P ≥ 0.9 by luck stays in. A small dispersion of kept gains, and the leaderboard, tell; the folds never change.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from math import exp, factorial
from typing import Any

import numpy as np

from orchestrator.competitions import scoring_functions as sf
from orchestrator.competitions.metrics import Metric
from orchestrator.competitions.own_metric import score_or_nan
from orchestrator.referee.sealed import FoldSet

Array = np.ndarray[Any, Any]
DRAWS = 1000
_FEWEST_SPANS = 5
"""Of time in a fold, by which errors are resampled; of fewer the rows are."""
_BLOCKS = 2048
"""Over all folds."""
_MOST_INFLUENCES = 200_000
_MOST_JACKKNIFE = 20_000
_JACKKNIFE_BLOCKS = 30


@dataclass(frozen=True)
class Comparison:
    """A gain (positive is better) with its standard error and the share of resamples in which it is above zero."""

    gain: float
    se: float
    probability: float

    def __str__(self) -> str:
        return f"gain {self.gain:+.4g} ± {self.se:.2g}, P(gain>0)={self.probability:.2f}"


def fold_draws(metric: Metric, folds: FoldSet, fold: int, decided: Array, seed: int) -> Array:
    """(DRAWS,) resampled scores of one fold's decided predictions, by the same weights for equal `seed` and fold."""
    return _Sample(folds, fold, seed).draws(metric, np.asarray(folds.labels[folds.valid_rows[fold]]), decided)


def standard_error(draws: list[Array]) -> float:
    """Of the mean over folds, from each fold's draws."""
    with np.errstate(invalid="ignore"):
        spread = [float(np.nanvar(values)) for values in draws if not np.isnan(values).all()]
    return float(np.sqrt(np.sum(spread)) / len(spread)) if spread else 0.0


def compare(metric: Metric, new: list[Array], old: list[Array], gain: float) -> Comparison:
    """Compare two lists of fold draws; `gain` is the measured one, of the whole folds."""
    sign = 1.0 if metric.maximize else -1.0
    differences = [sign * (a - b) for a, b in zip(new, old, strict=True)]
    usable = [values for values in differences if not np.isnan(values).all()]
    if not usable:
        return Comparison(gain, 0.0, 0.5)
    total = np.mean([np.where(np.isnan(values), np.nanmean(values), values) for values in usable], axis=0)
    probability = float((total > 0).mean() + (total == 0).mean() / 2)
    return Comparison(gain, float(total.std()), probability)


class _Sample:
    """One fold's rows, pooled into blocks, and the weights of its resamples."""

    def __init__(self, folds: FoldSet, fold: int, seed: int) -> None:
        rows = folds.valid_rows[fold]
        self.rows, self.folds, self._seed = len(rows), folds.folds, (seed, fold)
        self.groups = None if folds.groups is None else np.asarray(folds.groups[rows])
        runs = None if folds.runs is None else np.asarray(folds.runs[rows])
        fewest = _FEWEST_SPANS if folds.strategy == "time" else 2  # one alone would have no spread
        self._in_runs = runs is not None and len(np.unique(runs)) >= fewest
        cluster = runs if self._in_runs else self.groups if folds.strategy == "group" else None
        self._unit = np.arange(self.rows) if cluster is None else np.unique(cluster, return_inverse=True)[1]
        self._count = int(self._unit.max(initial=0)) + 1

    def draws(self, metric: Metric, y: Array, decided: Array) -> Array:
        if metric.base is not None and np.isnan(y).any():
            return self._of_known(metric.base, y, decided)
        with np.errstate(invalid="ignore", divide="ignore"):
            losses = metric.row_losses(y, decided)
            if losses is not None:
                return np.asarray(metric.from_mean(self._means(losses)))
            if metric.base is not None and metric.base.counts is not None:
                pairs = ((y[:, j], decided[:, j]) for j in range(y.shape[1]))
                return np.asarray(np.mean([self._counted(metric.base, *pair) for pair in pairs], axis=0))
            if metric.counts is not None:
                return self._counted(metric, y, decided)
            if (metric.base or metric).name == "auc":
                return self._influenced(y.reshape(len(y), -1), decided.reshape(len(y), -1), metric)
            return self._jackknifed(metric, y, decided)

    def _of_known(self, metric: Metric, y: Array, decided: Array) -> Array:
        """The mean over columns, each of its rows with a label; where a resample has none, without that column."""
        total, columns = np.zeros(DRAWS), np.zeros(DRAWS)
        for known, truth, values in zip(~np.isnan(y.T), y.T, decided.T, strict=True):
            if known.any():
                part = self._part(known)
                draws = part.draws(metric, truth[known], values[known])
                scored = ~np.isnan(draws) & (part._sums(np.ones(part.rows))[1][:, 0] > 0)
                total[scored] += draws[scored]
                columns += scored
        return np.where(columns > 0, total / np.maximum(columns, 1), np.nan)

    def _part(self, known: Array) -> _Sample:
        """Some of the rows, in the same blocks and by the same weights."""
        part = copy(self)
        part.rows, part._unit = int(known.sum()), self._unit[known]
        part.groups = None if self.groups is None else self.groups[known]
        return part

    def _blocks(self, most: int) -> tuple[Array, int]:
        """The block of every row, and how many blocks there are."""
        blocks = max(1, min(self._count, most // self.folds))
        order = np.random.default_rng([*self._seed, 1]).permutation(self._count)
        return (order % blocks)[self._unit], blocks

    def _sums(self, values: Array) -> tuple[Array, Array]:
        """Resampled sums over rows, (DRAWS, columns), and the resampled numbers of rows, (DRAWS, 1)."""
        block, blocks = self._blocks(_BLOCKS)
        weights = _weights(blocks, self._seed)
        columns = values.reshape(len(values), -1).T
        sums = np.column_stack([np.bincount(block, column, minlength=blocks) for column in columns])
        return weights @ sums, weights @ np.bincount(block, minlength=blocks)[:, None]

    def _means(self, values: Array) -> Array:
        sums, counts = self._sums(values)
        means = sums / counts
        return means[:, 0] if values.ndim == 1 else means

    def _counted(self, metric: Metric, y: Array, labels: Array) -> Array:
        """Label metrics of hits, predictions and truths per class (per column, for several 0/1 columns)."""
        assert metric.counts is not None
        y, labels = y.astype(np.int64), np.asarray(labels, dtype=np.int64)
        if y.ndim == 2:
            tables = (y & labels, labels, y)
            return np.asarray(metric.counts(*(self._sums(table)[0] for table in tables)))
        block, blocks = self._blocks(_BLOCKS)
        weights = _weights(blocks, self._seed)
        size = int(max(y.max(), labels.max(), 1)) + 1

        def counted(values: Array, where: Array) -> Array:
            table = np.bincount(where * size + values, minlength=blocks * size)
            return np.asarray(weights @ table.reshape(blocks, size))

        hit = y == labels
        return np.asarray(metric.counts(counted(y[hit], block[hit]), counted(labels, block), counted(y, block)))

    def _influenced(self, y: Array, p: Array, metric: Metric) -> Array:
        """AUC: its value plus the resampled mean of its row influences; classes or columns averaged."""
        some = self._subset(_MOST_INFLUENCES)
        wanted = np.arange(p.shape[1]) if metric.base is None and p.shape[1] > 1 else 1
        truth = y[some] == wanted
        parts = [_auc_influence(truth[:, j], p[some, j]) for j in range(p.shape[1])]
        known = [part for part in parts if part is not None]
        if not known:
            return np.full(DRAWS, np.nan)
        influence = np.zeros(self.rows)
        influence[some] = np.mean(known, axis=0)
        center = metric.score(y[:, 0] if metric.base is None else y, p)
        # zeros elsewhere shrink the mean, and its spread by the root of it, or as much where whole runs go together
        scale = self.rows / len(some) if self._in_runs else np.sqrt(self.rows / len(some))
        return center + scale * self._means(influence)

    def _jackknifed(self, metric: Metric, y: Array, decided: Array) -> Array:
        some = self._subset(_MOST_JACKKNIFE)
        block, blocks = self._blocks(_JACKKNIFE_BLOCKS * self.folds)
        block = block[some]
        groups = None if self.groups is None else self.groups[some]
        y, decided = y[some], decided[some]

        def value(keep: Array) -> float:
            return score_or_nan(metric, y[keep], decided[keep], None if groups is None else groups[keep])

        whole = value(np.ones(len(some), dtype=bool))
        left_out = np.array([value(block != index) for index in range(blocks)])
        left_out[np.isnan(left_out)] = whole
        pseudo = whole + (blocks - 1) * (whole - left_out)
        weights = _weights(blocks, self._seed)
        means = weights @ pseudo / weights.sum(axis=1)
        return whole + (means - whole) * (1.0 if self._in_runs else np.sqrt(len(some) / self.rows))

    def _subset(self, most: int) -> Array:
        """All rows, or so many of them at random that `most` over all folds are not exceeded."""
        share = most // self.folds
        if self.rows <= share:
            return np.arange(self.rows)
        return np.sort(np.random.default_rng([*self._seed, 2]).choice(self.rows, share, replace=False))


def _auc_influence(positive: Array, p: Array) -> Array | None:
    """(rows,) whose mean over any resample is, to first order, what the resample's AUC gains; None when undefined."""
    many, rest = int(positive.sum()), int((~positive).sum())
    if not many or not rest:
        return None
    ranks = sf.mean_ranks(p)
    placed = np.empty(len(p))
    placed[positive] = (ranks[positive] - sf.mean_ranks(p[positive])) / rest
    placed[~positive] = 1 - (ranks[~positive] - sf.mean_ranks(p[~positive])) / many
    auc = placed[positive].mean()
    return (placed - auc) * np.where(positive, len(p) / many, len(p) / rest)


@lru_cache(maxsize=24)
def _weights(blocks: int, seed: tuple[int, int]) -> Array:
    """float32 (DRAWS, blocks) of Poisson weights of mean 1, never all zero, by one table look-up each."""
    ends = np.cumsum([exp(-1) / factorial(count) for count in range(9)])
    table = np.searchsorted(ends, (np.arange(65536) + 0.5) / 65536).astype(np.float32)
    weights = table[np.random.default_rng([*seed, 3]).integers(0, 65536, size=(DRAWS, blocks), dtype=np.uint16)]
    weights[weights.sum(axis=1) == 0, 0] = 1.0
    return weights
