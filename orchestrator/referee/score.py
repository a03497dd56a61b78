"""Scores of out-of-fold predictions, by the host's own metric on labels that only the host has; gate, keep or discard.

Label and ordinal metrics need a decision (a threshold, class weights, cut points). It is fit for each fold on the
out-of-fold predictions of the other folds, so that no row's label helps to decide that row. Fold 1 alone, at the gate,
has no other folds yet: there both sides are decided by the plain rule (0.5, the likeliest class, rounding).

A round's score is the plain mean of its fold scores, as everybody reports it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erf, sqrt
from typing import Any

import numpy as np

from orchestrator.competitions.decisions import Decision, fit_decision
from orchestrator.competitions.metrics import Metric, columns, get_metric
from orchestrator.config import Label
from orchestrator.referee.compare import Comparison, compare, fold_draws, standard_error
from orchestrator.referee.earlier import Earlier
from orchestrator.referee.sealed import FoldSet

Array = np.ndarray[Any, Any]
_DIVERSIFY = 3.0
"""A round that wants to be different may be so much worse at the gate, in units of the usual allowance."""

_BLEND_KEEP = 0.6
_SMOOTH_KEEP = 0.9


@dataclass(frozen=True)
class Scored:
    """Predictions, decided and scored fold by fold."""

    fold_scores: list[float]
    """nan where the metric is undefined (auc of a fold with one class)."""
    decided: list[Array]
    """For each fold, what was graded."""
    decision: Decision
    """Fit on all out-of-fold predictions: for the test rows."""
    spoiled: list[int]
    """Folds whose score is undefined because of the predictions: constants, for a correlation."""

    @property
    def cv(self) -> float:
        known = [score for score in self.fold_scores if not np.isnan(score)]
        return float(np.mean(known)) if known else float("nan")


def score(metric: Metric, folds: FoldSet, oof: Array, classes: list[Label]) -> Scored:
    """Score `oof` (rows, outputs) on every fold; rows that no fold validates are not looked at."""
    every = folds.validated
    final = fit_decision(metric, folds.labels[every], oof[every], classes)
    scores, decided, spoiled = [], [], []
    for fold, rows in enumerate(folds.valid_rows):
        decision = final
        if metric.kind in ("label", "ordinal"):
            others = np.setdiff1d(every, rows, assume_unique=True)
            decision = fit_decision(metric, folds.labels[others], oof[others], classes)
        decided.append(decision.apply(oof[rows]))
        scores.append(fold_score(metric, folds, rows, decided[fold]))
        if _spoils(metric, np.asarray(folds.labels[rows]), decided[fold]):
            spoiled.append(fold)
    return Scored(scores, decided, final, spoiled)


def _spoils(metric: Metric, y: Array, decided: Array) -> bool:
    """Whether a column's score is undefined where the truth itself would have one.

    Means leave undefined scores out, so predictions could choose what they are graded on.
    """
    if metric.kind != "value":
        return False
    one = metric.base or metric
    pairs = columns(y, decided) if metric.base else [(y, decided)]
    return any(np.isnan(one.score(truth, p)) and not np.isnan(one.score(truth, truth)) for truth, p in pairs)


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


@dataclass(frozen=True)
class Verdict:
    """`keep` (`pass`, at the gate) or `discard`, and why; `comparison` is None when there was nothing to compare."""

    verdict: str
    reason: str
    se: float
    comparison: Comparison | None = None

    @property
    def clearly_worse(self) -> bool:
        return self.comparison is not None and self.comparison.gain < -2 * self.comparison.se


def keep_bar(role: str, keep: float, tries: int = 0) -> float:
    """The probability of a gain that a keep needs, after so many other `tries` at the same best.

    Of many that are no better one looks so by chance: the doubt that is allowed is shared among them (Bonferroni).
    A blend needs less: its weights did not see the rows that judge it, and a mean of good models is the better bet
    even where the noise hides its gain.
    """
    if role == "blend":
        return min(keep, _BLEND_KEEP)
    return 1 - (1 - keep) / (1 + tries) if tries else keep


def gate_sigmas(role: str, sigmas: float, against_blend: bool = False) -> float | None:
    """How many standard errors below the best fold 1 may lie; None for no gate.

    A single model seldom beats a blend alone and is wanted as its next member, so the gate is as wide there.
    """
    if role == "blend":
        return None
    return sigmas * (_DIVERSIFY if role == "diversify" or against_blend else 1.0)


def gate(
    metric: Metric, folds: FoldSet, predictions: Array, best: Earlier, sigmas: float, classes: list[Label], seed: int,
    note: str = "",
) -> Verdict:  # fmt: skip
    """Is fold 1 so much worse than the best's fold 1 that the other folds are not worth their time?

    `note` says in the reason why it is so many `sigmas`.
    Both sides are decided by the plain rule, since the new one has no other folds to fit a decision on.
    """
    rows = folds.valid_rows[0]
    new, old = (
        plainly_decided(metric, folds, rows, np.asarray(values), classes) for values in (predictions, best.oof[rows])
    )
    gain = metric.gain(fold_score(metric, folds, rows, new), fold_score(metric, folds, rows, old))
    first, other = ([fold_draws(metric, folds, 0, decided, seed)] for decided in (new, old))
    found = compare(metric, first, other, gain)
    if gain < -sigmas * found.se:
        how = f"discard: more than {sigmas:g} standard errors worse than {best.label} in fold 1 ({found}){note}"
        return Verdict("discard", how, found.se, found)
    return Verdict("pass", f"passed in fold 1 ({found})", found.se, found)


def judge(
    metric: Metric, folds: FoldSet, oof: Array, scored: Scored, best: Earlier | None, record: dict[str, Any] | None,
    keep: float, classes: list[Label], task: str, seed: int, note: str = "",
) -> Verdict:  # fmt: skip
    """Keep what is better with probability `keep` or more, or what is the first; `note` says why it is so much.

    Decisions change for few rows, so that a metric of decisions hardly tells good models apart. There the smooth loss
    behind the metric has a say unless the gain is sure: it must be better, and a round that is no worse is also kept
    when it surely is.

    `record` is the best round's; when its predictions are lost (`best` is None) its recorded score and error are
    compared, as if they were independent of the new ones.
    """
    new = [fold_draws(metric, folds, fold, decided, seed) for fold, decided in enumerate(scored.decided)]
    error = standard_error(new)
    if record is None:
        return Verdict("keep", "keep: the first complete score", error)
    if best is None:
        gain, both = metric.gain(scored.cv, record["cv"]), sqrt(error**2 + record["se"] ** 2)
        probability = (1 + erf(gain / both / sqrt(2))) / 2 if both > 0 else float(gain > 0)
        found = Comparison(gain, both, probability)
    else:
        other = score(metric, folds, np.asarray(best.oof), classes)
        old = [fold_draws(metric, folds, fold, decided, seed) for fold, decided in enumerate(other.decided)]
        found = compare(metric, new, old, metric.gain(scored.cv, other.cv))
    kept = found.gain > 0 and found.probability >= keep
    sign = "≥" if found.probability >= keep else "<"
    loss = smooth(metric, task)
    sure = max(keep, _SMOOTH_KEEP)
    if loss is not metric and best is not None and found.gain >= 0 and found.probability < sure:
        behind = _compared_smoothly(loss, folds, oof, np.asarray(best.oof), classes, seed)
        kept = behind.gain > 0 and (kept or behind.probability >= sure)
        note += f"; decided by {loss.name}: {behind}"
    word = "keep" if kept else "discard"
    return Verdict(word, f"{word}: {found} {sign} {keep:.3g}{note} against R{record['round']:02d}", error, found)


def smooth(metric: Metric, task: str) -> Metric:
    """The metric itself, or the loss that stands for it where decisions would make a comparison noisy."""
    if metric.kind == "label":
        return get_metric("logloss", task=task)
    if metric.kind == "ordinal":
        return get_metric("logloss" if task == "multiclass" else "rmse", task=task)
    return metric


def _compared_smoothly(
    loss: Metric, folds: FoldSet, new: Array, old: Array, classes: list[Label], seed: int
) -> Comparison:
    """The gain of undecided predictions, by a loss that takes them as they are."""
    scored = [score(loss, folds, oof, classes) for oof in (new, old)]
    first, other = (
        [fold_draws(loss, folds, fold, part, seed) for fold, part in enumerate(one.decided)] for one in scored
    )
    return compare(loss, first, other, loss.gain(scored[0].cv, scored[1].cv))
