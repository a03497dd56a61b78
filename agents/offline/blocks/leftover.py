"""Boosting on what a linear model leaves."""

from __future__ import annotations

from typing import Any

import numpy as np

from agents.offline.blocks.boosters import lightgbm_model
from agents.offline.blocks.core import Clock, Data, inner_folds
from agents.offline.blocks.design import linear_design
from agents.offline.blocks.goals import Goal
from agents.offline.blocks.linear import loss_of, raw_of, tamed, tolerance

STRENGTHS = (0.01, 0.1, 1.0)
INNER = 5
DENSE_CELLS = 2e7
FEW = 20_000  # rows; with more one strength is as good as another


def lightgbm_linear_model(data: Data, params: dict[str, Any]) -> np.ndarray:
    """LightGBM that starts from a linear model's predictions: trees need very many splits for a slope."""
    return lightgbm_model(data, params, linear_base)


def linear_base(data: Data, goal: Goal, clock: Clock) -> np.ndarray | None:
    """(rows,) a ridge regression's values or a logistic one's log-odds; None for many classes and where time is short.

    Those of training rows come from models that did not see them, as they will for new rows.
    """
    from sklearn.linear_model import LogisticRegression, Ridge

    if goal.kind == "multiclass":
        return None
    rows = linear_design(data)
    rows = rows.toarray() if rows.shape[0] * rows.shape[1] < DENSE_CELLS else rows
    folds = inner_folds(data, INNER, salt=31)[goal.rows]
    usable = [k for k in range(INNER) if (folds == k).any() and len(np.unique(goal.y[folds != k])) > 1]
    best: tuple[float, Any, np.ndarray] = (np.inf, None, np.zeros(0))
    for strength in STRENGTHS if len(goal.rows) <= FEW else STRENGTHS[1:2]:
        unseen = np.full(len(goal.rows), goal.y.mean())
        model: Any = Ridge(alpha=1.0 / strength)
        if goal.kind == "binary":
            model = LogisticRegression(C=strength, max_iter=200, tol=tolerance(goal.y))
        for k in usable:
            if clock.left() < 0:
                return None
            model.fit(rows[goal.rows[folds != k]], goal.y[folds != k])
            unseen[folds == k] = raw_of(model, rows[goal.rows[folds == k]], goal)
        loss = loss_of(data, goal, goal.y, unseen)
        best = min(best, (loss, model, unseen), key=lambda found: found[0])
    loss, model, unseen = best
    if model is None:  # the loss is undefined, as an AUC of one class
        return None
    raw = tamed(data, goal, rows, raw_of(model.fit(rows[goal.rows], goal.y), rows[data.n_train :], goal))
    print(f"linear base {rows.shape}: loss {loss:.5f}, {clock.left():.1f} s left", flush=True)
    base = np.zeros(sum(data.sizes))
    base[goal.rows], base[data.n_train :] = unseen, raw
    return log_odds(base) if goal.kind == "binary" else base


def log_odds(chances: np.ndarray) -> np.ndarray:
    clipped = np.clip(chances, 1e-5, 1 - 1e-5)
    return np.asarray(np.log(clipped / (1 - clipped)))
