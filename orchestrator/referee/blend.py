"""Blend weights for `previous/weights.json`: greedy selection with replacement on out-of-fold predictions.

A fold's weights are fit on the other folds' predictions alone, so that a blend's score stays honest, and are rounded
to 0.05, so that they carry nothing but themselves. Spaces in which the weighted mean is taken, always per column:

probability, value   the predictions as they are
logit                log(p / (1 - p)) and back; for classes that exclude each other log(p), exp and rows scaled to sum 1
rank                 mean rank within the array at hand (the fold's rows, or the test rows) divided by its length
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from orchestrator.competitions import scoring_functions as sf
from orchestrator.competitions.metrics import Metric
from orchestrator.referee.earlier import RANKED
from orchestrator.referee.score import smooth
from orchestrator.referee.sealed import FoldSet

Array = np.ndarray[Any, Any]
MOST_MODELS = 12
_STEP = 0.05
_PATIENCE = 5
_TINY = 1e-6


class Blend(NamedTuple):
    """What `weights.json` says: weights by round label, which sum to 1, and the space they hold in."""

    weights: dict[str, float]
    space: str


def weights(
    metric: Metric,
    folds: FoldSet,
    oofs: dict[str, Array],
    fold: int | str,
    *,
    task: str,
    most_rows: int,
    steps: int = 20,
) -> Blend:
    """The best blend of `oofs` (label → (rows, outputs)) on all folds but `fold`; on all of them for "full".

    At most `most_rows` rows are looked at, the same ones each time.
    """
    judge = smooth(metric, task)
    places = [rows for index, rows in enumerate(folds.valid_rows) if index != fold]
    share = max(1, most_rows // max(len(places), 1))
    places = [rows if len(rows) <= share else rows[np.linspace(0, len(rows) - 1, share).astype(int)] for rows in places]
    rows = np.concatenate(places)
    y = np.asarray(folds.labels[rows])
    groups = None if folds.groups is None else np.asarray(folds.groups[rows])

    def loss(predictions: Array) -> float:
        value = judge.gain(judge.score(y, predictions, groups), 0.0)
        return -value if np.isfinite(value) else float("inf")

    parts = {label: [np.asarray(oof[place]) for place in places] for label, oof in oofs.items()}
    alone = {label: loss(np.concatenate(pieces)) for label, pieces in parts.items()}
    chosen = sorted(alone, key=lambda label: (alone[label], label))[:MOST_MODELS]
    found = []
    for space in _spaces(judge, task):
        stack = [np.concatenate([forward(space, piece, task) for piece in parts[label]]) for label in chosen]
        found.append((*_greedy(stack, lambda mean, space=space: loss(back(space, mean, task)), steps), space))
    counts, _, space = min(found, key=lambda item: item[1])
    return Blend(_rounded(dict(zip(chosen, counts, strict=True))), space)


def forward(space: str, predictions: Array, task: str) -> Array:
    """(rows, outputs) into the space where the weighted mean is taken."""
    if space == "rank":
        return np.column_stack([sf.mean_ranks(column) / len(column) for column in predictions.T])
    if space == "logit":
        clipped = np.clip(predictions, _TINY, 1 - _TINY)
        return np.log(clipped) if task == "multiclass" else np.log(clipped / (1 - clipped))
    return predictions


def back(space: str, mean: Array, task: str) -> Array:
    """The weighted mean as predictions again; ranks stay ranks."""
    if space != "logit":
        return mean
    if task == "multiclass":
        powers = np.exp(mean)
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))
    return np.asarray(1 / (1 + np.exp(-mean)))


def _spaces(judge: Metric, task: str) -> tuple[str, ...]:
    if task in ("regression", "multiregression"):
        return ("value",)
    if task == "binary" and judge.name in RANKED:
        return ("probability", "rank")
    exclusive = judge.kind == "probability" and task in ("binary", "multiclass")
    return ("probability", "logit") if exclusive else ("probability",)


def _greedy(stack: list[Array], loss: Any, steps: int) -> tuple[list[int], float]:
    """How often each member was added at the best moment, and the loss there."""
    counts = [0] * len(stack)
    total = np.zeros_like(stack[0])
    found_at = 0
    best: tuple[list[int], float] = (counts, float("inf"))
    for step in range(1, steps + 1):
        losses = [loss((total + member) / step) for member in stack]
        winner = int(np.argmin(losses))
        counts = [count + (index == winner) for index, count in enumerate(counts)]
        total = total + stack[winner]
        if losses[winner] < best[1] - 1e-12 or step == 1:
            best = (counts, float(losses[winner]))
            found_at = step
        elif step - found_at >= _PATIENCE:
            break
    return best


def _rounded(counts: dict[str, int]) -> dict[str, float]:
    """Shares in steps of 0.05 that sum to 1, the largest remainders rounded up; zeros left out."""
    units = round(1 / _STEP)
    total = sum(counts.values())
    exact = {label: count * units / total for label, count in counts.items()}
    floors = {label: int(share) for label, share in exact.items()}
    missing = units - sum(floors.values())
    for label in sorted(exact, key=lambda label: (floors[label] - exact[label], label))[:missing]:
        floors[label] += 1
    return {label: round(share * _STEP, 2) for label, share in floors.items() if share}
