"""Gate, keep or discard: what the measured predictions of a round are worth against the best so far."""

from __future__ import annotations

from dataclasses import dataclass
from math import erf, sqrt
from typing import Any

import numpy as np

from orchestrator.competitions.metrics import Metric
from orchestrator.config import Label
from orchestrator.referee.compare import Comparison, compare, fold_draws, standard_error
from orchestrator.referee.earlier import Earlier
from orchestrator.referee.score import Scored, fold_score, plainly_decided, score
from orchestrator.referee.sealed import FoldSet

Array = np.ndarray[Any, Any]
_DIVERSIFY = 3.0
"""A round that wants to be different may be so much worse at the gate, in units of the usual allowance."""


@dataclass(frozen=True)
class Gate:
    passed: bool
    reason: str
    comparison: Comparison


@dataclass(frozen=True)
class Verdict:
    """`keep` or `discard` with its reason; `comparison` is None when there was nothing to compare with."""

    verdict: str
    reason: str
    se: float
    comparison: Comparison | None = None

    @property
    def clearly_worse(self) -> bool:
        return self.comparison is not None and self.comparison.gain < -2 * self.comparison.se


def gate_sigmas(role: str, sigmas: float, against_blend: bool = False) -> float | None:
    """How many standard errors below the best fold 1 may lie; None for no gate.

    A single model seldom beats a blend alone and is wanted as its next member, so the gate is as wide there.
    """
    if role == "blend":
        return None
    return sigmas * (_DIVERSIFY if role == "diversify" or against_blend else 1.0)


def gate(
    metric: Metric, folds: FoldSet, predictions: Array, best: Earlier, sigmas: float, classes: list[Label], seed: int
) -> Gate:
    """Is fold 1 so much worse than the best's fold 1 that the other folds are not worth their time?

    Both sides are decided by the plain rule, since the new one has no other folds to fit a decision on.
    """
    rows = folds.valid_rows[0]
    new, old = (
        plainly_decided(metric, folds, rows, np.asarray(values), classes) for values in (predictions, best.oof[rows])
    )
    gain = metric.gain(fold_score(metric, folds, rows, new), fold_score(metric, folds, rows, old))
    draws = [[fold_draws(metric, folds, 0, decided, seed)] for decided in (new, old)]
    found = compare(metric, draws[0], draws[1], gain)
    passed = not gain < -sigmas * found.se
    how = "passed" if passed else f"discard: more than {sigmas:g} standard errors worse than {best.label}"
    return Gate(passed, f"{how} in fold 1 ({found})", found)


def judge(
    metric: Metric, folds: FoldSet, scored: Scored, best: Earlier | None, record: dict[str, Any] | None, keep: float,
    classes: list[Label], seed: int,
) -> Verdict:  # fmt: skip
    """Keep what is better with probability `keep` or more, or what is the first.

    `record` is the best round's; when its predictions are lost (`best` is None) its recorded score and error are
    compared, as if they were independent of the new ones.
    """
    new = [fold_draws(metric, folds, fold, decided, seed) for fold, decided in enumerate(scored.decided)]
    error = standard_error(new)
    if record is None:
        return Verdict("keep", "keep: the first complete score", error)
    label = f"R{record['round']:02d}"
    if best is None:
        gain, both = metric.gain(scored.cv, record["cv"]), sqrt(error**2 + record["se"] ** 2)
        probability = (1 + erf(gain / both / sqrt(2))) / 2 if both > 0 else float(gain > 0)
        return _by_gain(Comparison(gain, both, probability), error, label, keep)
    other = score(metric, folds, np.asarray(best.oof), classes)
    old = [fold_draws(metric, folds, fold, decided, seed) for fold, decided in enumerate(other.decided)]
    return _by_gain(compare(metric, new, old, metric.gain(scored.cv, other.cv)), error, label, keep)


def _by_gain(found: Comparison, error: float, label: str, keep: float) -> Verdict:
    kept = found.gain > 0 and found.probability >= keep
    word, sign = "keep" if kept else "discard", "≥" if found.probability >= keep else "<"
    return Verdict(word, f"{word}: {found} {sign} {keep:g} against {label}", error, found)
