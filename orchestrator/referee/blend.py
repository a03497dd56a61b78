"""Blend weights for `previous/weights.json`, from out-of-fold predictions.

Two answers are averaged: greedy selection with replacement (Caruana et al., ICML 2004), and a plain mean from which
members are dropped while that helps. Each errs in its own way on few rows, and their mean on folds that neither saw is
seldom behind the better one. A fold's weights are fit on the other folds' predictions alone, so that a blend's score
stays honest, and are rounded to 0.02, so that they carry nothing but themselves. Spaces in which the weighted mean is
taken, always per column:

probability, value   the predictions as they are
logit                log(p / (1 - p)) and back; for classes that exclude each other log(p), exp and rows scaled to sum 1
rank                 mean rank within the array at hand (the fold's rows, or the test rows) divided by its length
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from orchestrator.competitions import scoring_functions as sf
from orchestrator.competitions.metrics import Metric
from orchestrator.competitions.own_metric import score_or_nan
from orchestrator.referee.earlier import RANKED, flat_view
from orchestrator.referee.score import smooth
from orchestrator.referee.sealed import FoldSet

Array = np.ndarray[Any, Any]
MOST_MODELS = 20
_DISTINCT, _ALIKE = 10, 0.98
"""Of these so many are chosen for being unlike better ones: where there are many rounds the best are alike."""
_STEP = 0.02
_PATIENCE = 5
_TINY = 1e-6


class Blend(NamedTuple):
    """What `weights.json` says: weights by round label, which sum to 1, and the space they hold in."""

    weights: dict[str, float]
    space: str


def weights(
    metric: Metric, folds: FoldSet, oofs: dict[str, Array], fold: int | str, *, task: str, thorough: bool = True
) -> Blend:
    """The best blend of `oofs` (label → (rows, outputs)) on all folds but `fold`; on all of them for "full".

    At most 10,000 rows are looked at, the same ones each time. Not `thorough`: 2,000, and greedy selection alone.
    """
    judge = smooth(metric, task)
    most_rows, steps = (10_000, 20) if thorough else (2_000, 10)
    places = [rows for index, rows in enumerate(folds.valid_rows) if index != fold]
    share = max(1, most_rows // max(len(places), 1))
    places = [rows if len(rows) <= share else rows[np.linspace(0, len(rows) - 1, share).astype(int)] for rows in places]
    rows = np.concatenate(places)
    y = np.asarray(folds.labels[rows])
    groups = None if folds.groups is None else np.asarray(folds.groups[rows])

    def loss(predictions: Array) -> float:
        value = judge.gain(score_or_nan(judge, y, predictions, groups), 0.0)
        return -value if np.isfinite(value) else float("inf")

    parts = {label: [np.asarray(oof[place]) for place in places] for label, oof in oofs.items()}
    alone = {label: loss(np.concatenate(pieces)) for label, pieces in parts.items()}
    chosen = sorted(alone, key=lambda label: (alone[label], label))
    if len(chosen) > MOST_MODELS:
        view = flat_view(metric, y, task)
        chosen = _varied({label: view(np.concatenate(parts[label])) for label in chosen})
    found = []
    for space in _spaces(judge, task):
        stack = [np.concatenate([forward(space, piece, task) for piece in parts[label]]) for label in chosen]
        found.append((*_fitted(stack, lambda mean, space=space: loss(back(space, mean, task)), steps, thorough), space))
    shares, _, space = min(found, key=lambda item: item[1])
    return Blend(_rounded(dict(zip(chosen, shares, strict=True))), space)


def _varied(views: dict[str, Array]) -> list[str]:
    """At most MOST_MODELS, best first as they come: those unlike the chosen before them, then the best."""
    apart: list[str] = []
    for label, view in views.items():
        if len(apart) < _DISTINCT and all(sf.pearson(view, views[other]) < _ALIKE for other in apart):
            apart.append(label)
    others = [label for label in views if label not in apart][: MOST_MODELS - len(apart)]
    return [label for label in views if label in apart or label in others]


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


def _fitted(stack: list[Array], loss: Any, steps: int, thorough: bool) -> tuple[Array, float]:
    """Shares (models,) that sum to 1, and the loss with them."""
    shares = _greedy(stack, loss, steps)
    if thorough:
        shares = (shares + _pruned(stack, loss)) / 2
    mean = sum((share * member for share, member in zip(shares, stack, strict=True)), np.zeros_like(stack[0]))
    return shares, loss(mean)


def _pruned(stack: list[Array], loss: Any) -> Array:
    """Equal shares of the members that are left when dropping another helps no more."""
    live, total = list(range(len(stack))), sum(stack, np.zeros_like(stack[0]))
    best = loss(total / len(live))
    while len(live) > 1:
        least, place = min((loss((total - stack[index]) / (len(live) - 1)), index) for index in live)
        if least >= best:
            break
        best, total = least, total - stack[place]
        live.remove(place)
    return np.array([float(index in live) / len(live) for index in range(len(stack))])


def _greedy(stack: list[Array], loss: Any, steps: int) -> Array:
    """Shares by how often each member was added at the best moment."""
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
    return np.array(best[0]) / sum(best[0])


def _rounded(shares: dict[str, float]) -> dict[str, float]:
    """Shares in steps of 0.02 that sum to 1, the largest remainders rounded up; zeros left out."""
    units = round(1 / _STEP)
    exact = {label: share * units for label, share in shares.items()}
    floors = {label: int(share) for label, share in exact.items()}
    missing = units - sum(floors.values())
    for label in sorted(exact, key=lambda label: (floors[label] - exact[label], label))[:missing]:
        floors[label] += 1
    return {label: round(share * _STEP, 2) for label, share in floors.items() if share}
