"""Scores of out-of-fold predictions, by the host's own metric on the labels that only the host has.

Label and ordinal metrics need a decision (a threshold, class weights, cut points). It is fit for each fold on the
out-of-fold predictions of the other folds, so that no row's label helps to decide that row. Fold 1 alone, at the gate,
has no other folds yet: there both sides are decided by the plain rule (0.5, the likeliest class, rounding).

A round's score is the plain mean of its fold scores, as everybody reports it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from orchestrator.competitions.decisions import Decision, fit_decision
from orchestrator.competitions.metrics import Metric
from orchestrator.config import Label
from orchestrator.referee.sealed import FoldSet

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Scored:
    """Predictions, decided and scored fold by fold."""

    fold_scores: list[float]
    """nan where the metric is undefined (auc of a fold with one class)."""
    decided: list[Array]
    """For each fold, what was graded."""
    decision: Decision
    """Fit on all out-of-fold predictions: for the test rows."""

    @property
    def cv(self) -> float:
        known = [score for score in self.fold_scores if not np.isnan(score)]
        return float(np.mean(known)) if known else float("nan")


def score(metric: Metric, folds: FoldSet, oof: Array, classes: list[Label]) -> Scored:
    """Score `oof` (rows, outputs) on every fold; rows that no fold validates are not looked at."""
    places = folds.valid_rows
    every = folds.validated
    final = fit_decision(metric, folds.labels[every], oof[every], classes)
    decided = []
    for rows in places:
        decision = final
        if metric.kind in ("label", "ordinal"):
            others = np.setdiff1d(every, rows, assume_unique=True)
            decision = fit_decision(metric, folds.labels[others], oof[others], classes)
        decided.append(decision.apply(oof[rows]))
    scores = [fold_score(metric, folds, rows, values) for rows, values in zip(places, decided, strict=True)]
    return Scored(scores, decided, final)


def fold_score(metric: Metric, folds: FoldSet, rows: Array, decided: Array) -> float:
    groups = None if folds.groups is None else folds.groups[rows]
    return metric.score(folds.labels[rows], decided, groups)


def plainly_decided(metric: Metric, folds: FoldSet, rows: Array, predictions: Array, classes: list[Label]) -> Array:
    """Predictions of `rows`, decided by the rule that learns nothing from predictions."""
    if metric.kind == "ordinal":
        others = np.setdiff1d(folds.validated, rows, assume_unique=True)
        known = np.asarray(folds.labels[others], dtype=float)
        return fit_decision(metric, known, known, classes).apply(predictions)
    return fit_decision(metric, folds.labels[rows[:1]], predictions[:1], classes).apply(predictions)
