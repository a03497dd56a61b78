"""Neural nets (scikit-learn): one for each target, or one for all of many."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from agents.offline.blocks.core import Clock, Data, holdout
from agents.offline.blocks.design import dense_design
from agents.offline.blocks.goals import Goal, goals, predict_goals
from agents.offline.blocks.linear import raw_of

SHARED = 3  # targets, from which on one net learns them together
PATIENCE = 8  # epochs


def mlp_model(data: Data, params: dict[str, Any]) -> np.ndarray:
    """The mean of a few small neural nets on scaled columns, each stopped early."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    rows = dense_design(data)
    problems = goals(data, str(params.get("target", "auto")))
    if len(problems) >= SHARED and all(len(goal.rows) == data.n_train for goal in problems):
        return shared_nets(data, problems, rows, params)

    def fit_one(goal: Goal, clock: Clock) -> np.ndarray:
        kind: Any = MLPRegressor if goal.kind == "value" else MLPClassifier
        rare = goal.kind != "value" and np.bincount(goal.y).min() < 10

        def one(bag: int) -> np.ndarray:
            net = kind(
                **settings_of_net(data, params, len(goal.rows), bag),
                early_stopping=not rare and len(goal.rows) > 200,
                n_iter_no_change=PATIENCE,
                max_iter=min(int(params["epochs"]), max(3, int(40_000 * clock.left() / len(goal.rows)))),
            )
            return raw_of(net.fit(rows[goal.rows], goal.y), rows[data.n_train :], goal)

        return mean_of_bags(int(params["bags"]), clock, one)

    return predict_goals(data, fit_one, str(params.get("target", "auto")))


def shared_nets(data: Data, problems: list[Goal], rows: np.ndarray, params: dict[str, Any]) -> np.ndarray:
    """The mean of a few nets that learn all targets at once: what one target teaches serves the others.

    Each keeps the epoch that is best on a part of the rows left out, by the mean loss over the targets.
    """
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    values = problems[0].kind == "value"
    y = np.column_stack([goal.y for goal in problems])
    kind: Any = MLPRegressor if values else MLPClassifier
    bags = int(params["bags"])

    def one(bag: int) -> np.ndarray:
        out = holdout(data, 10, bag)
        net = kind(**settings_of_net(data, params, int((~out).sum()), bag))
        clock = Clock(1.25 * max(0.45, 0.9 / (bags - bag)) * data.clock.left())
        best = trained(net, rows[: data.n_train], y, out, int(params["epochs"]), clock)
        return outputs_of(best, rows[data.n_train :])

    found = mean_of_bags(bags, data.clock, one)
    return np.hstack([goal.restore(column) for goal, column in zip(problems, found.T, strict=True)])


def settings_of_net(data: Data, params: dict[str, Any], n: int, bag: int) -> dict[str, Any]:
    """What both kinds of net have in common; they learn from `n` rows."""
    return {
        "hidden_layer_sizes": tuple(int(size) for size in params["layers"]),
        "alpha": float(params["alpha"]),
        "learning_rate_init": float(params["learning_rate"]),
        "batch_size": min(int(params["batch"]), n),
        "random_state": data.seed % 2**31 + bag,
    }


def mean_of_bags(bags: int, clock: Clock, fit: Callable[[int], np.ndarray]) -> np.ndarray:
    """The mean of `fit` of 0, 1, …, as many as there is time for, and one at least."""
    total, done, started = np.zeros(0), 0, clock.left()
    for bag in range(bags):
        total, done = fit(bag) + (total if done else 0.0), done + 1
        if clock.left() < 1.3 * (started - clock.left()) / done:
            break
    return total / done


def trained(net: Any, rows: np.ndarray, y: np.ndarray, out: np.ndarray, epochs: int, clock: Clock) -> Any:
    """The net after its best epoch on the rows that are `out`."""
    best, least, since = net, np.inf, 0
    more = {"classes": np.arange(y.shape[1])} if hasattr(net, "predict_proba") else {}
    for epoch in range(epochs):
        net.partial_fit(rows[~out], y[~out], **more)
        loss = mean_loss(y[out], outputs_of(net, rows[out]), bool(more)) if out.any() else -epoch
        since += 1
        if loss < least:
            best, least, since = copy.deepcopy(net), loss, 0
        if since >= PATIENCE or clock.left() < 0:
            break
    print(f"{epoch + 1} epochs, {since} after the best ({least:.5f})", flush=True)
    return best


def outputs_of(net: Any, rows: np.ndarray) -> np.ndarray:
    return np.asarray(net.predict_proba(rows) if hasattr(net, "predict_proba") else net.predict(rows), dtype=float)


def mean_loss(y: np.ndarray, found: np.ndarray, probabilities: bool) -> float:
    """Log loss or squared error, over all rows and targets."""
    if not probabilities:
        return float(((y - found) ** 2).mean())
    found = np.clip(found, 1e-6, 1 - 1e-6)
    return float(-np.where(y == 1, np.log(found), np.log(1 - found)).mean())
