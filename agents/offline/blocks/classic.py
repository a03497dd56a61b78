"""Models by distance, kernels and forests (scikit-learn)."""

from __future__ import annotations

from typing import Any

import numpy as np

from agents.offline.blocks.core import Clock, Data, inner_folds
from agents.offline.blocks.design import dense_design, tree_table
from agents.offline.blocks.goals import Goal, predict_goals
from agents.offline.blocks.linear import raw_of, settings_of, tuned


def few_rows(data: Data, goal: Goal, most: int) -> Goal:
    """The goal on at most `most` of its training rows, where time grows with the square of rows; keeps every class."""
    if len(goal.rows) <= most:
        return goal
    order = np.random.default_rng(data.seed).permutation(len(goal.rows))
    firsts = np.unique(goal.y[order], return_index=True)[1] if goal.kind != "value" else np.zeros(0, dtype=int)
    kept = np.unique(np.concatenate([order[firsts], order[:most]]))
    return Goal(goal.kind, goal.y[kept], goal.rows[kept], goal.loss, goal.restore, goal.classes)


def affordable(data: Data, goal: Goal, clock: Clock, rows: np.ndarray, model: Any, most: int, fits: int) -> Goal:
    """The goal on as many rows as `fits` fits and predictions have time for, judged by a trial on 1,000 rows."""
    most, apply_rows = min(most, len(goal.rows)), len(rows) - data.n_train
    if most > 1500:
        trial, started = few_rows(data, goal, 1000), clock.left()
        model.fit(rows[trial.rows], trial.y)
        fit_time, started = started - clock.left(), clock.left()
        model.predict(rows[:1000])
        predict_time = started - clock.left()

        def seconds(k: float) -> float:
            return fits * fit_time * k**2 + predict_time * k * (apply_rows / 1000 + fits * k / 4)

        while most > 1500 and seconds(most / 1000) > 0.6 * clock.left():
            most = int(0.8 * most)
    return few_rows(data, goal, most)


def svm_model(data: Data, params: dict[str, Any]) -> np.ndarray:
    """Support vectors with an RBF kernel; probabilities from a logistic model on out-of-fold decisions."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC, SVR

    rows = dense_design(data)
    gamma = float(params["gamma"]) / max(1e-9, rows.shape[1] * float(rows[: data.n_train].var()))

    def fit_one(goal: Goal, clock: Clock) -> np.ndarray:
        apply_rows, trial = rows[data.n_train :], SVR(gamma=gamma) if goal.kind == "value" else SVC(gamma=gamma)
        goal = affordable(data, goal, clock, rows, trial, int(params["most_rows"]), 7)
        if goal.kind == "value":
            grid = settings_of(params.get("C"), [1.0, 10.0])
            return tuned(data, goal, clock, rows, grid, lambda c: SVR(C=c, gamma=gamma, epsilon=0.03, cache_size=500))
        strength = float(settings_of(params.get("C"), [5.0])[0])

        def decide(fit: np.ndarray, where: np.ndarray) -> np.ndarray:
            model = SVC(C=strength, gamma=gamma, cache_size=500, decision_function_shape="ovr")
            model.fit(rows[goal.rows[fit]], goal.y[fit])
            found = model.decision_function(where).reshape(len(where), -1)
            wide = np.full((len(where), goal.classes if found.shape[1] > 1 else 1), found.min() if found.size else 0.0)
            columns = np.asarray(model.classes_, dtype=int) if found.shape[1] > 1 else np.zeros(1, dtype=int)
            wide[:, columns] = found
            return wide

        fold = inner_folds(data, 4, salt=5)[goal.rows]
        outside = decide(np.arange(len(goal.rows)), apply_rows)
        inside = np.zeros((len(goal.rows), outside.shape[1]))
        for k in np.unique(fold):
            fit, out = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
            if len(np.unique(goal.y[fit])) == goal.classes:
                inside[out] = decide(fit, rows[goal.rows[out]])
        return raw_of(LogisticRegression(C=10.0, max_iter=1000).fit(inside, goal.y), outside, goal)

    return predict_goals(data, fit_one, str(params.get("target", "auto")))


def knn_model(data: Data, params: dict[str, Any]) -> np.ndarray:
    """Nearest neighbours, weighted by distance; their number is chosen on inner folds."""
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    rows = dense_design(data, width=300)

    def fit_one(goal: Goal, clock: Clock) -> np.ndarray:
        kind: Any = KNeighborsRegressor if goal.kind == "value" else KNeighborsClassifier
        goal = affordable(data, goal, clock, rows, kind(20), int(params["most_rows"]), 6)
        most = max(1, len(goal.rows) // 2)
        grid = sorted({min(most, k) for k in settings_of(params.get("neighbors"), [3, 5, 10, 20, 40])})
        raw = tuned(data, goal, clock, rows, grid, lambda k: kind(k, weights="distance", p=int(params.get("p", 2))))
        return raw if goal.kind == "value" else cautious(raw, goal, 0.02)

    return predict_goals(data, fit_one, str(params.get("target", "auto")))


def discriminant_model(data: Data, params: dict[str, Any]) -> np.ndarray:
    """Linear discriminant analysis; how far the covariance is drawn to a simple one is chosen on inner folds."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    rows = dense_design(data, width=1000)
    varied = rows[: data.n_train].std(axis=0) > 1e-6
    rows = rows[:, varied] if varied.any() else rows

    def fit_one(goal: Goal, clock: Clock) -> np.ndarray:
        grid = settings_of(params.get("shrinkage"), ["auto", 0.01, 0.1, 0.5])
        raw = tuned(data, goal, clock, rows, grid, lambda s: LinearDiscriminantAnalysis(solver="lsqr", shrinkage=s))
        return cautious(raw, goal, 0.001)

    return predict_goals(data, fit_one)


def cautious(raw: np.ndarray, goal: Goal, share: float) -> np.ndarray:
    """Probabilities with a share of the classes' own: no vote for a class is not certainty."""
    prior = np.bincount(goal.y, minlength=goal.classes) / len(goal.y)
    return (1 - share) * raw + share * (prior[1] if goal.kind == "binary" else prior)


def kernel_model(data: Data, params: dict[str, Any]) -> np.ndarray:
    """Kernel ridge for values; a Gaussian-kernel approximation with logistic regression for classes."""
    from sklearn.kernel_approximation import Nystroem
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    rows = dense_design(data)
    gamma = float(params["gamma"]) / max(1e-9, rows.shape[1] * float(rows[: data.n_train].var()))

    def fit_one(goal: Goal, clock: Clock) -> np.ndarray:
        goal = few_rows(data, goal, int(params["most_rows"]))
        size = min(int(params["components"]), len(goal.rows) // 2)

        def make(strength: float) -> Any:
            if goal.kind == "value":
                return KernelRidge(alpha=1.0 / strength, kernel="rbf", gamma=gamma)
            basis = Nystroem(gamma=gamma, n_components=size, random_state=data.seed % 2**31)
            return make_pipeline(basis, LogisticRegression(C=strength, max_iter=300))

        return tuned(data, goal, clock, rows, settings_of(params.get("C"), [1.0, 10.0, 100.0]), make)

    return predict_goals(data, fit_one, str(params.get("target", "auto")))


def extra_trees_model(data: Data, params: dict[str, Any]) -> np.ndarray:
    """Extremely randomised trees on numbers and category codes."""
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    table, _ = tree_table(data)
    rows = np.nan_to_num(table.to_numpy(np.float32), nan=-999.0, posinf=1e9, neginf=-1e9)

    def fit_one(goal: Goal, clock: Clock) -> np.ndarray:
        goal = few_rows(data, goal, int(params["most_rows"]))
        kind: Any = ExtraTreesRegressor if goal.kind == "value" else ExtraTreesClassifier
        trees = int(params["trees"]) if len(goal.rows) < 50_000 else int(params["trees"]) // 3 + 1
        forest = kind(
            warm_start=True,
            min_samples_leaf=int(params["min_leaf"]),
            max_features=float(params["max_features"]),
            n_jobs=int(data.task.get("cores") or 1),
            random_state=data.seed % 2**31,
        )
        started = clock.left()
        for part in range(1, 11):
            forest.set_params(n_estimators=-(-trees * part // 10)).fit(rows[goal.rows], goal.y)
            if clock.left() < 1.5 * (started - clock.left()) / part:
                break
        print(f"{len(forest.estimators_)} trees, {started - clock.left():.1f} s", flush=True)
        raw = raw_of(forest, rows[data.n_train :], goal)
        return raw if goal.kind == "value" else cautious(raw, goal, 0.01)

    return predict_goals(data, fit_one, str(params.get("target", "auto")))
