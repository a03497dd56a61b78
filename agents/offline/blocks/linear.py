"""Linear models, and what every scikit-learn model here shares: aligned probabilities, choice of a setting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from agents.offline.blocks.core import Clock, Data, inner_folds
from agents.offline.blocks.design import linear_design
from agents.offline.blocks.goals import Goal, predict_goals


def raw_of(model: Any, rows: Any, goal: Goal) -> np.ndarray:
    """Predictions in the goal's own shape: values (n,), P(class 1) (n,), or one column per class that occurs."""
    if goal.kind == "value":
        return np.asarray(model.predict(rows), dtype=float).ravel()
    wide = np.zeros((rows.shape[0], goal.classes))
    wide[:, np.asarray(model.classes_, dtype=int)] = model.predict_proba(rows)
    return wide[:, 1] if goal.kind == "binary" else wide


def loss_of(data: Data, goal: Goal, truth: np.ndarray, raw: np.ndarray) -> float:
    """What a setting is chosen by, smaller is better: squared or absolute error, 1 - AUC, else log loss."""
    from sklearn.metrics import roc_auc_score

    if goal.kind == "value":
        gaps = np.abs(truth - raw)
        return float(gaps.mean() if goal.loss == "l1" else (gaps**2).mean())
    if goal.kind == "binary":
        if "auc" in data.metric and len(np.unique(truth)) == 2:
            return 1.0 - float(roc_auc_score(truth, raw))
        raw = np.column_stack([1 - raw, raw])
    if "accuracy" in data.metric:
        return float((raw.argmax(axis=1) != truth).mean()) + 1e-3 * log_loss_of(truth, raw)
    return log_loss_of(truth, raw)


def log_loss_of(truth: np.ndarray, wide: np.ndarray) -> float:
    return float(-np.log(np.clip(wide[np.arange(len(truth)), truth], 1e-6, 1.0)).mean())


def choose(data: Data, goal: Goal, clock: Clock, rows: Any, grid: Sequence[Any], make: Callable[[Any], Any]) -> Any:
    """The setting of the grid with the smallest loss over inner folds (one fold when rows or time are scarce)."""
    if len(grid) == 1:
        return grid[0]
    fold = inner_folds(data, 4, salt=23)[goal.rows]
    tried = [3] if data.times is not None or len(goal.rows) > 20_000 else [0, 1, 2]
    losses: dict[int, list[float]] = {}
    for k in tried:
        for i, setting in enumerate(grid):
            out = fold == k
            if (clock.left() < 0 and losses) or not out.any() or len(np.unique(goal.y[~out])) < 2:
                continue
            model = make(setting).fit(rows[goal.rows[~out]], goal.y[~out])
            losses.setdefault(i, []).append(loss_of(data, goal, goal.y[out], raw_of(model, rows[goal.rows[out]], goal)))
    if not losses:
        return grid[len(grid) // 2]
    most = max(len(found) for found in losses.values())
    best = min((i for i in losses if len(losses[i]) == most), key=lambda i: float(np.mean(losses[i])))
    print(f"chosen {grid[best]}: " + ", ".join(f"{grid[i]} {np.mean(losses[i]):.5f}" for i in losses), flush=True)
    return grid[best]


def tolerance(y: np.ndarray) -> float:
    """How small a logistic model's gradient must be: it begins as small as all but its commonest class are rare."""
    shares = np.unique(y, return_counts=True)[1] / len(y)
    return float(4e-3 * (shares * (1 - shares)).max())


def tuned(
    data: Data, goal: Goal, clock: Clock, rows: Any, grid: Sequence[Any], make: Callable[[Any], Any]
) -> np.ndarray:
    """Chooses a setting, fits it on all training rows, predicts the rows of valid and test."""
    setting = choose(data, goal, Clock(0.8 * clock.left()), rows, grid, make)
    return raw_of(make(setting).fit(rows[goal.rows], goal.y), rows[data.n_train :], goal)


def settings_of(value: Any, default: list[Any]) -> list[Any]:
    """A param that is one value, a list to choose from, or None for the default list."""
    return default if value is None else list(value) if isinstance(value, list | tuple) else [value]


def tamed(data: Data, goal: Goal, rows: Any, raw: np.ndarray) -> np.ndarray:
    """Values drawn to the mean on rows unlike the training rows, where a model that is nearly linear runs away.

    Slopes are left out: a row far in the tail of one number is not unlike the others.
    """
    if goal.kind != "value" or len(goal.rows) > 20_000 or rows.shape[1] > 1000:
        return raw
    return drawn_back(data, goal, linear_design(data, slopes=False).toarray().astype(float), raw)


def drawn_back(data: Data, goal: Goal, dense: np.ndarray, raw: np.ndarray) -> np.ndarray:
    """How unlike a row is, is its leverage in a ridge regression; a training row's is the one without itself."""
    fit, apply = dense[goal.rows], dense[data.n_train :]
    inverse = np.linalg.inv(fit.T @ fit + 30.0 * np.eye(dense.shape[1]))
    within, beyond = (np.einsum("ij,jk,ik->i", part, inverse, part, optimize=True) for part in (fit, apply))
    usual = float(np.quantile(within / np.maximum(1 - within, 1e-3), 0.99))
    return raw * np.minimum(1.0, 2 * usual / np.maximum(beyond, 1e-9))


def linear_model(data: Data, params: dict[str, Any]) -> np.ndarray:
    """Logistic regression or ridge on scaled numbers and one-hot categories.

    With "l1_ratio" above 0 a lasso for classes, whatever the ratio, and an elastic net of that ratio for values.
    """
    from sklearn.linear_model import ElasticNet, LogisticRegression, Ridge
    from sklearn.multiclass import OneVsRestClassifier

    rows = linear_design(data, int(params.get("least", 3)), bool(params.get("crosses")))
    print(f"design {rows.shape}", flush=True)
    ratio = float(params.get("l1_ratio") or 0.0)
    most = int(params.get("max_iter", 200))
    newer = LogisticRegression().penalty == "deprecated"  # scikit-learn 1.8
    if ratio and rows.shape[1] < 2000:
        rows = rows.toarray()

    def fit_one(goal: Goal, clock: Clock) -> np.ndarray:
        def make(strength: float) -> Any:
            if goal.kind != "value" and ratio:  # liblinear knows two classes
                lasso: dict[str, Any] = {"l1_ratio": 1.0} if newer else {"penalty": "l1"}
                lasso |= {"solver": "liblinear", "random_state": data.seed % 2**31}
                return OneVsRestClassifier(LogisticRegression(C=strength, max_iter=most, **lasso))
            if goal.kind != "value":
                return LogisticRegression(C=strength, max_iter=most, tol=tolerance(goal.y))
            if ratio:
                return ElasticNet(alpha=0.01 / strength, l1_ratio=ratio, max_iter=2000, tol=1e-3)
            return Ridge(alpha=1.0 / strength, solver="lsqr" if rows.shape[1] > 2000 else "auto")

        default = [0.003, 0.01, 0.03, 0.1, 0.3, 1.0] if goal.kind == "value" else [0.01, 0.03, 0.1, 0.3, 1.0]
        if goal.classes >= 10:  # few rows of each are easily told apart
            default += [10.0, 100.0]
        if ratio:
            default = [0.03, 0.1, 0.3, 1.0, 3.0, 10.0]
        return tamed(data, goal, rows, tuned(data, goal, clock, rows, settings_of(params.get("C"), default), make))

    return predict_goals(data, fit_one, str(params.get("target", "auto")))
