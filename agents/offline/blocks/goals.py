"""Targets as single problems: classes, transformed values, each learned in its share of the time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from agents.offline.blocks.core import Clock, Data


@dataclass
class Goal:
    """One target for one model: binary, multiclass (only the classes that occur) or value (transformed)."""

    kind: str
    y: np.ndarray
    rows: np.ndarray  # training rows that have this label
    loss: str  # l2 | l1, for values
    restore: Callable[[np.ndarray], np.ndarray]  # raw predictions → (rows, outputs)
    classes: int = 2


def class_goal(y: np.ndarray, rows: np.ndarray, outputs: int) -> Goal:
    present, codes = np.unique(y.astype(int), return_inverse=True)

    def restore(raw: np.ndarray) -> np.ndarray:
        full = np.zeros((len(raw), outputs))
        full[:, present] = raw
        return full

    return Goal("multiclass", codes, rows, "l2", restore, len(present))


def value_goal(y: np.ndarray, rows: np.ndarray, metric: str, target: str, room: float = 0.1) -> Goal:
    """Logs for metrics of relative error (or when asked), absolute loss for mae; the model's units are standard.

    Errors of root mean squared percentage are those of logs, nearly; values of 0 do not count there. Predictions leave
    the range of `y` by `room` of it at most.
    """
    counted = y > 0
    if "rmspe" in metric and target != "raw" and (y >= 0).all() and counted.any():
        y, rows = y[counted], rows[counted]
        metric = "rmse_log"
    relative = "msle" in metric or "mape" in metric
    plain_log = "log" in metric and "msle" not in metric and y.min() > 0
    forward, back = (lambda v: v), (lambda v: v)
    if target != "raw" and plain_log:
        forward, back = np.log, np.exp
    elif target != "raw" and (relative or "log" in metric or target == "log") and y.min() > -1:
        forward, back = np.log1p, np.expm1
    z = forward(y)
    centre, scale = float(z.mean()), float(z.std()) or 1.0
    z = (z - centre) / scale
    low, high = z.min() - room * np.ptp(z), z.max() + room * np.ptp(z)

    def restore(raw: np.ndarray) -> np.ndarray:
        values = back(np.clip(raw.reshape(-1, 1), low, high) * scale + centre)
        return np.maximum(values, 0.0) if relative and y.min() >= 0 else values

    absolute = ("mae" in metric or "absolute" in metric or "mape" in metric) and "rmse" not in metric
    return Goal("value", z, rows, "l1" if absolute else "l2", restore)


def joint_goal(y: np.ndarray) -> Goal:
    """Several targets of 0 and 1 as the classes of one problem, for rows that have one as a rule; one more for none."""
    rows = np.flatnonzero(np.isfinite(y).all(axis=1))
    none = y.shape[1]
    goal = class_goal(np.where(y[rows].any(axis=1), y[rows].argmax(axis=1), none), rows, none + 1)
    return replace(goal, restore=lambda raw: goal.restore(raw)[:, :none])


def goals(data: Data, target: str = "auto") -> list[Goal]:
    """The targets of this task as single problems."""
    kind, everything = data.task["task"], np.arange(data.n_train)
    room = 0.3 if data.task.get("cv_strategy") == "time" else 0.1  # what grows goes on growing
    if kind == "multilabel" and target == "joint":
        return [joint_goal(data.y)]
    if kind == "multiclass":
        return [class_goal(data.y, everything, len(data.task["classes"]))]
    found = []
    for column in [data.y] if data.y.ndim == 1 else list(data.y.T):
        rows = np.flatnonzero(np.isfinite(column))
        if not len(rows):  # no label of this target is known here
            rows, column = everything, np.zeros(data.n_train)
        if kind in ("binary", "multilabel"):
            found.append(Goal("binary", column[rows].astype(int), rows, "l2", lambda raw: raw.reshape(-1, 1)))
        else:
            found.append(value_goal(column[rows], rows, data.metric, target, room))
    if target == "recent" and data.levels:
        near = [from_level(goal, level, data.n_train) for goal, level in zip(found, data.levels, strict=False)]
        return near + found[len(near) :]  # only the first targets have levels
    return found


def from_level(goal: Goal, level: np.ndarray, n: int) -> Goal:
    """How far values are from what their series were lately (`series.recent_levels`), which may leave the old range."""
    if goal.kind != "value":
        return goal
    apart = goal.y - level[goal.rows]
    return replace(goal, y=apart, restore=lambda raw: goal.restore(raw.reshape(-1) + level[n:]))


def predict_goals(data: Data, fit_one: Callable[[Goal, Clock], np.ndarray], target: str = "auto") -> np.ndarray:
    """Runs fit_one (→ predictions for valid + test rows) per target, each with its share of the time left."""
    parts, problems = [], goals(data, target)
    for i, goal in enumerate(problems):
        apply_rows = data.sizes[1] + data.sizes[2]
        if len(np.unique(goal.y)) < 2:
            raw = np.ones((apply_rows, 1)) * float(goal.y[0] if goal.kind != "multiclass" else 1.0)
        else:
            raw = fit_one(goal, Clock(1.25 * data.clock.left() / (len(problems) - i)))
        parts.append(goal.restore(np.asarray(raw, dtype=float)))
    found = np.hstack(parts)
    return evened(data, found) if "balanced" in data.metric and "log" in data.metric else found


def evened(data: Data, found: np.ndarray) -> np.ndarray:
    """Probabilities of classes as they were if all classes were as frequent."""
    if data.task["task"] not in ("binary", "multiclass"):
        return found
    two = found if found.shape[1] > 1 else np.hstack([1 - found, found])
    share = np.bincount(data.y.astype(int), minlength=two.shape[1]) / len(data.y)
    weighed = two / np.maximum(share, 0.5 / len(data.y))
    weighed /= np.maximum(weighed.sum(axis=1, keepdims=True), 1e-12)
    return np.asarray(weighed if found.shape[1] > 1 else weighed[:, 1:])
