"""Evidence for the Reviewer about one complete run: is it what it seems? Checks state facts, they end nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from orchestrator.competitions.metrics import Metric
from orchestrator.config import Config
from orchestrator.referee.drift import Check, check, data_checks
from orchestrator.referee.earlier import Earlier
from orchestrator.referee.score import fold_score, plainly_decided
from orchestrator.referee.sealed import FoldSet

Array = np.ndarray[Any, Any]
_LOOKED_AT = 100_000
_TOO_GOOD = 0.995
_APART = 0.1


def probe(config: Config, metric: Metric, folds: FoldSet, run: Earlier) -> dict[str, Any]:
    """{"checks": [{"name", "ok", "evidence"}, …]} for a run whose artifacts are intact."""
    oof = np.asarray(run.oof[folds.validated])
    test = np.asarray(run.test)
    checks = [
        _constant(oof, test),
        _range(config.competition.task, folds, oof, test),
        _outside(oof, test),
        _shift(oof, np.asarray(run.folds_test).reshape(-1, folds.outputs)),
        _dispersion(run),
        _too_good(config, metric, folds, run),
        *data_checks(folds, config.cv.seed),
    ]
    return {"checks": checks}


def _constant(oof: Array, test: Array) -> Check:
    flat = [name for name, values in (("out-of-fold", oof), ("test", test)) if not np.ptp(values, axis=0).any()]
    said = f"the {' and '.join(flat)} predictions are constant" if flat else "predictions vary from row to row"
    return check("constant_predictions", not flat, said)


def _range(task: str, folds: FoldSet, oof: Array, test: Array) -> Check:
    """Values beyond what the target ever was, by more than a tenth of its range."""
    if task not in ("regression", "multiregression"):
        low, high = float(min(oof.min(), test.min())), float(max(oof.max(), test.max()))
        return check("range", True, f"probabilities from {low:.4g} to {high:.4g}")
    y = np.asarray(folds.labels).reshape(folds.rows, -1)
    low, high = y.min(axis=0), y.max(axis=0)
    slack = 0.1 * (high - low)
    beyond = max(float(((part < low - slack) | (part > high + slack)).mean()) for part in (oof, test))
    return check("range", beyond < 0.01, f"up to {beyond:.2%} of the predictions lie far outside the target's range")


def _outside(oof: Array, test: Array) -> Check:
    share = float(((test < oof.min(axis=0)) | (test > oof.max(axis=0))).mean())
    return check("test_outside_oof", share < 0.01, f"{share:.2%} of the test predictions lie outside the OOF range")


def _shift(oof: Array, test: Array) -> Check:
    """Kolmogorov-Smirnov distance between out-of-fold and test predictions, the largest over the outputs.

    `test` holds those of every fold's model: their mean varies less than one model does, which is no shift.
    """
    oof, test = (values[:: max(1, len(values) // _LOOKED_AT)] for values in (oof, test))
    distance = max(_ks(a, b) for a, b in zip(oof.T, test.T, strict=True))
    noise = 1.63 * np.sqrt(1 / len(oof) + 1 / len(test))
    said = f"distance between the distributions of OOF and test predictions: {distance:.3f} (noise up to {noise:.3f})"
    return check("prediction_shift", distance < max(_APART, noise), said)


def _ks(a: Array, b: Array) -> float:
    a, b = np.sort(a), np.sort(b)
    points = np.concatenate([a, b])
    return float(
        np.abs(np.searchsorted(a, points, "right") / len(a) - np.searchsorted(b, points, "right") / len(b)).max()
    )


def _dispersion(run: Earlier) -> Check:
    scores = np.array([value for value in run.record["fold_scores"] if value is not None])
    expected = run.record["se"] * np.sqrt(len(scores))
    worst = float(np.abs(scores - scores.mean()).max())
    said = f"fold scores {', '.join(f'{value:.5g}' for value in scores)}: spread {scores.std():.2g}"
    ok = expected == 0 or worst < 4 * expected
    return check("fold_dispersion", ok, f"{said}, row noise per fold about {expected:.2g}")


def _too_good(config: Config, metric: Metric, folds: FoldSet, run: Earlier) -> Check:
    """Where the score lies between a constant prediction (0) and the truth itself (1)."""
    rows = folds.validated
    rows = rows[:: max(1, len(rows) // _LOOKED_AT)]
    y, outputs = np.asarray(folds.labels[rows]), folds.outputs
    truth = (y[:, None] == np.arange(outputs)).astype(float) if outputs > 1 and y.ndim == 1 else y.astype(float)
    truth = truth.reshape(len(rows), outputs)
    mean = np.tile(truth.mean(axis=0), (len(rows), 1))
    ends = []
    for predictions in (mean, truth):
        decided = plainly_decided(metric, folds, rows, predictions, config.competition.classes)
        ends.append(fold_score(metric, folds, rows, decided))
    low, high = ends
    if not np.isfinite(low) or not np.isfinite(high) or high == low:
        return check("too_good", True, "no scale: a constant prediction has no score by this metric")
    skill = (run.record["cv"] - low) / (high - low)
    said = f"CV {run.record['cv']:.5g}, a constant gets {low:.5g}, the truth {high:.5g}: {skill:.1%} of the way"
    return check("too_good", skill < _TOO_GOOD, said)
