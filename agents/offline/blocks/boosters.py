"""Gradient boosting with LightGBM, XGBoost and CatBoost, on the processor or a GPU."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from agents.offline.blocks.bags import boost, learning_rate
from agents.offline.blocks.core import Clock, Data
from agents.offline.blocks.design import tree_table
from agents.offline.blocks.goals import Goal, predict_goals
from agents.offline.blocks.pace import LARGE, LEAST_ROUNDS, Place

LEAST_GAIN = 2e-5  # of the loss in standard units; without it a fit of pure noise improves by 1e-9 for ever
FEWEST = 50  # rows that CatBoost takes a share of: it refuses a share without a row
MOST_LEVELS = 30  # of relevance, above 0
BaseOf = Callable[[Data, Goal, Clock], np.ndarray | None]


def threads(data: Data, cells: int) -> int:
    """More than one thread pays on large tables only: on small ones they wait for each other."""
    return int(data.task.get("cores") or 1) if cells > LARGE else 1


def ranking(data: Data) -> bool:
    return data.groups is not None and "ndcg" in data.metric and data.task["task"] == "regression"


def relevances(y: np.ndarray) -> np.ndarray:
    """Targets as the levels 0, 1, …: 31 at most, for LightGBM doubles the worth of a row with each."""
    levels = np.unique(y, return_inverse=True)[1]
    return levels * MOST_LEVELS // max(levels.max(), MOST_LEVELS)


def by_order(scores: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A ranking's scores, of which the order alone means something, spread evenly over the targets' range."""
    from scipy.stats import rankdata

    return np.asarray(y.min() + np.ptp(y) * (rankdata(scores) - 1) / max(len(scores) - 1, 1))


def lightgbm_model(data: Data, params: dict[str, Any], base_of: BaseOf | None = None) -> np.ndarray:
    """LightGBM; few-level categories are native, ndcg with groups is learned as a ranking.

    `base_of` gives what all rows start from, in the units of the model's raw scores.
    """
    import lightgbm as lgb

    table, codes = tree_table(data)
    native = [c for c in codes if table[c].max() + 1 <= int(params.get("native_levels", 60))]
    matrix, names = table.to_numpy(np.float32 if len(data.y) > 50_000 else np.float64), list(table.columns)
    native_at = [names.index(c) for c in native]
    apply_matrix = matrix[data.n_train :]

    def fit_one(goal: Goal, clock: Clock) -> np.ndarray:
        rate = learning_rate(params, len(goal.rows))
        objective = {"binary": "binary", "multiclass": "multiclass", "value": goal.loss}[goal.kind]
        relevance = relevances(data.y) if ranking(data) else None
        base = base_of(data, goal, Clock(0.4 * clock.left())) if base_of and relevance is None else None
        settings = {
            "objective": "lambdarank" if relevance is not None else objective,
            "num_leaves": int(params["num_leaves"] or (15 if len(goal.rows) < 3000 else 31)),
            "min_data_in_leaf": max(1, min(int(params["min_data_in_leaf"]), len(goal.rows) // 20)),
            "feature_fraction": float(params["feature_fraction"]),
            "bagging_fraction": float(params["bagging_fraction"]),
            "bagging_freq": 1,
            "lambda_l2": float(params["lambda_l2"]),
            "cat_smooth": float(params.get("cat_smooth", 10)),
            "num_threads": threads(data, matrix.size),
            "max_bin": 100 if len(goal.rows) < 5000 else 255,
            "verbosity": -1,
            "feature_pre_filter": False,
            "deterministic": True,
            "force_row_wise": True,
        }
        if goal.kind == "multiclass":
            settings["num_class"] = goal.classes

        def dataset(rows: np.ndarray, reference: Any = None) -> Any:
            rows = np.sort(rows)
            label, sizes = goal.y[rows], None
            if relevance is not None and data.groups is not None:
                rows = rows[np.argsort(data.groups[goal.rows[rows]], kind="stable")]
                label = relevance[goal.rows[rows]]
                sizes = np.unique(data.groups[goal.rows[rows]], return_counts=True)[1]
            start = None if base is None else base[goal.rows[rows]]
            shown = matrix[goal.rows[rows]]
            return lgb.Dataset(
                shown, label, group=sizes, reference=reference, init_score=start, categorical_feature=native_at
            )

        def fit(
            rows: np.ndarray, out: np.ndarray | None, most: int, bag: int, clock: Clock, faster: float
        ) -> tuple[np.ndarray, int]:
            def stop(env: Any) -> None:
                if clock.left() < 0 and env.iteration >= LEAST_ROUNDS:
                    raise lgb.callback.EarlyStopException(env.iteration, env.evaluation_result_list)

            train = dataset(rows)
            patience = lgb.early_stopping(int(params["patience"]), verbose=False, min_delta=LEAST_GAIN)
            stops: list[Any] = [stop] if out is None else [stop, patience]
            watch = None if out is None else [dataset(out, train)]
            seeded = {**settings, "seed": data.seed + 17 * bag, "learning_rate": faster * rate}
            model = lgb.train(seeded, train, most, valid_sets=watch, callbacks=stops)
            rounds = model.best_iteration or model.current_iteration()
            found = model.predict(apply_matrix, num_iteration=rounds, raw_score=base is not None)
            if base is not None:
                found = found + base[data.n_train :]
                found = 1 / (1 + np.exp(-found)) if goal.kind == "binary" else found
            return np.asarray(found), rounds

        raw = boost(data, goal, params, clock, fit)
        return raw if relevance is None else by_order(raw, goal.y)

    return predict_goals(data, fit_one, str(params.get("target", "auto")))


def xgboost_model(data: Data, params: dict[str, Any]) -> np.ndarray:
    """XGBoost with histograms; categories as codes (their encodings carry the signal)."""
    import xgboost as xgb

    table, _ = tree_table(data)
    values = table.to_numpy(np.float32)
    matrix = np.where(np.isfinite(values), values, np.float32(np.nan))
    apply_matrix = xgb.DMatrix(matrix[data.n_train :])
    place = Place(data, matrix.size)

    class Deadline(xgb.callback.TrainingCallback):
        def __init__(self, end: Clock) -> None:
            super().__init__()
            self.end = end

        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            return epoch >= LEAST_ROUNDS and self.end.left() < 0

    def fit_one(goal: Goal, clock: Clock) -> np.ndarray:
        rate = learning_rate(params, len(goal.rows))
        value = "reg:absoluteerror" if goal.loss == "l1" else "reg:squarederror"
        settings = {
            "objective": {"binary": "binary:logistic", "multiclass": "multi:softprob", "value": value}[goal.kind],
            "max_depth": int(params["max_depth"]),
            "min_child_weight": min(float(params["min_child_weight"]), len(goal.rows) / 200),
            "subsample": float(params["subsample"]),
            "colsample_bytree": float(params["colsample"]),
            "lambda": float(params["reg_lambda"]),
            "tree_method": "hist",
            "max_bin": 64 if len(goal.rows) < 5000 else 256,
            "nthread": threads(data, matrix.size),
            "verbosity": 0,
        }
        if goal.kind == "multiclass":
            settings["num_class"] = goal.classes

        def fit(
            gpu: bool, rows: np.ndarray, out: np.ndarray | None, most: int, bag: int, clock: Clock, faster: float
        ) -> tuple[np.ndarray, int]:
            device = {"device": "cuda"} if gpu else {}
            train = xgb.DMatrix(matrix[goal.rows[rows]], goal.y[rows])
            watch = [] if out is None else [(xgb.DMatrix(matrix[goal.rows[out]], goal.y[out]), "out")]
            patience = [xgb.callback.EarlyStopping(int(params["patience"]), min_delta=LEAST_GAIN)] if watch else []
            model = xgb.train(
                {**settings, **device, "seed": data.seed + 17 * bag, "eta": faster * rate},
                train,
                most,
                evals=watch,
                verbose_eval=False,
                callbacks=[*patience, Deadline(clock)],
            )
            learned_on = json.loads(model.save_config())["learner"]["generic_param"]["device"] if gpu else "cuda"
            if not learned_on.startswith("cuda"):  # XGBoost takes the processor without a word
                raise RuntimeError("XGBoost finds no GPU")
            rounds = model.best_iteration + 1 if watch else model.num_boosted_rounds()
            return model.predict(apply_matrix, iteration_range=(0, rounds)), rounds

        return boost(data, goal, params, clock, place.bind(fit, np.arange(len(goal.rows)), rate, clock))

    return predict_goals(data, fit_one, str(params.get("target", "auto")))


def catboost_model(data: Data, params: dict[str, Any]) -> np.ndarray:
    """CatBoost with its own ordered encoding of categories."""
    from catboost import CatBoost, Pool

    table, codes = tree_table(data)
    numbers = [c for c in table.columns if c not in codes]
    table[numbers] = table[numbers].astype(np.float32)

    def pool(rows: np.ndarray, label: np.ndarray | None = None) -> Any:
        return Pool(table.iloc[rows], label, cat_features=codes)

    apply_pool = pool(np.arange(data.n_train, len(table)))
    place = Place(data, table.size)

    class Deadline:
        def __init__(self, end: Clock) -> None:
            self.end = end

        def after_iteration(self, info: Any) -> bool:
            return info.iteration < LEAST_ROUNDS or self.end.left() > 0

    def fit_one(goal: Goal, clock: Clock) -> np.ndarray:
        rate = 2.0 * learning_rate(params, len(goal.rows))
        value = "MAE" if goal.loss == "l1" else "RMSE"
        settings = {
            "loss_function": {"binary": "Logloss", "multiclass": "MultiClass", "value": value}[goal.kind],
            "depth": int(params["depth"]),
            "l2_leaf_reg": float(params["l2_leaf_reg"]),
            "one_hot_max_size": int(params.get("one_hot_max_size", 20)),
            "border_count": int(params.get("border_count", 128)),
            "max_ctr_complexity": int(params.get("max_ctr_complexity") or (2 if len(codes) <= 12 else 1)),
            "thread_count": threads(data, table.size),
            "allow_writing_files": False,
            "logging_level": "Silent",
        }
        if len(goal.rows) < FEWEST:
            settings["bootstrap_type"] = "No"
        elif goal.kind != "value" or len(goal.rows) < 50_000:
            settings["bootstrap_type"], settings["subsample"] = "Bernoulli", float(params["subsample"])

        def fit(
            gpu: bool, rows: np.ndarray, out: np.ndarray | None, most: int, bag: int, clock: Clock, faster: float
        ) -> tuple[np.ndarray, int]:
            extra = {} if out is None else {"od_type": "Iter", "od_wait": int(params["patience"])}
            seeded = {"iterations": most, "random_seed": data.seed + 17 * bag, "learning_rate": faster * rate}
            device = {"task_type": "GPU", "devices": "0"} if gpu else {}
            model = CatBoost({**settings, **device, **extra, **seeded})
            stops = None if gpu else [Deadline(clock)]  # CatBoost refuses callbacks on a GPU
            watch = None if out is None else pool(goal.rows[out], goal.y[out])
            model.fit(pool(goal.rows[rows], goal.y[rows]), eval_set=watch, callbacks=stops)
            kind = {"binary": "Probability", "multiclass": "Probability", "value": "RawFormulaVal"}[goal.kind]
            raw = np.asarray(model.predict(apply_pool, prediction_type=kind))
            return raw[:, 1] if goal.kind == "binary" else raw, int(model.tree_count_)

        return boost(data, goal, params, clock, place.bind(fit, np.arange(len(goal.rows)), rate / 2.0, clock))

    return predict_goals(data, fit_one, str(params.get("target", "auto")))
