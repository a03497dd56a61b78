"""Default params, features and ranges that recipes share. None means: by the size of the data."""

from __future__ import annotations

from typing import Any

# What a booster sees: dates, parts of strings and text directions always; encodings when asked.
PLAIN: dict[str, Any] = {
    "row_files": True,
    "pixels": 50,
    "date_parts": True,
    "list_counts": True,
    "string_parts": True,
    "row_stats": True,
    "places": True,
    "group_rows": True,
    "recent_levels": True,
    "text_stats": True,
    "text_svd": 24,
    "text_pairs": True,
}
RICH: dict[str, Any] = {**PLAIN, "related_numbers": 40, "crosses": 2, "frequency": 10, "target_encoding": 10}
LINEAR: dict[str, Any] = {**PLAIN, "pixels": 120, "date_parts": "categories", "text_svd": 60}
DENSE: dict[str, Any] = {**LINEAR, "target_encoding": 10}

TABLE_SPACE: dict[str, list[Any]] = {
    "related_numbers": [0, 20, 60],
    "interactions": [0, 4, 6],
    "group_means": [0, 3, 5],
    "target_encoding": [0, 5, 20],
    "frequency": [0, 10],
    "row_stats": [True, False],
    "selection": [False, "drift", "permutation"],
}

LIGHTGBM: dict[str, Any] = {
    "learning_rate": None,
    "rounds": 3000,
    "patience": 50,
    "num_leaves": None,
    "min_data_in_leaf": 20,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.8,
    "lambda_l2": 1.0,
    "native_levels": 60,
    "bags": None,
    "refit": None,
    "target": "auto",
}
LIGHTGBM_SPACE: dict[str, Any] = {
    "learning_rate": (0.01, 0.1, "log"),
    "num_leaves": (8, 128, "log"),
    "min_data_in_leaf": (5, 100, "log"),
    "feature_fraction": (0.3, 1.0),
    "bagging_fraction": (0.6, 1.0),
    "lambda_l2": (0.01, 20.0, "log"),
    "cat_smooth": [5, 10, 30, 100],
    "native_levels": [0, 20, 60, 300],
    "bags": [1, 3, 5, 8],
}
XGBOOST: dict[str, Any] = {
    "learning_rate": None,
    "rounds": 3000,
    "patience": 50,
    "max_depth": 6,
    "min_child_weight": 3.0,
    "subsample": 0.8,
    "colsample": 0.6,
    "reg_lambda": 2.0,
    "bags": None,
    "refit": None,
    "target": "auto",
}
XGBOOST_SPACE: dict[str, Any] = {
    "learning_rate": (0.01, 0.1, "log"),
    "max_depth": [3, 4, 5, 6, 8, 10],
    "min_child_weight": (1.0, 30.0, "log"),
    "subsample": (0.6, 1.0),
    "colsample": (0.3, 1.0),
    "reg_lambda": (0.1, 20.0, "log"),
    "bags": [1, 3, 5],
}
CATBOOST: dict[str, Any] = {
    "learning_rate": None,
    "rounds": 1500,
    "patience": 40,
    "depth": 6,
    "l2_leaf_reg": 3.0,
    "subsample": 0.8,
    "one_hot_max_size": 20,
    "max_ctr_complexity": None,
    "border_count": 128,
    "bags": None,
    "refit": None,
    "target": "auto",
}
CATBOOST_SPACE: dict[str, Any] = {
    "learning_rate": (0.01, 0.1, "log"),
    "depth": [4, 5, 6, 7, 8],
    "l2_leaf_reg": (1.0, 20.0, "log"),
    "subsample": (0.6, 1.0),
    "one_hot_max_size": [2, 5, 20, 60],
    "max_ctr_complexity": [1, 2, 3],
    "border_count": [32, 64, 128, 254],
    "bags": [1, 3],
}

BOOSTERS = {
    "lightgbm": (LIGHTGBM, LIGHTGBM_SPACE, 1.0),
    "xgboost": (XGBOOST, XGBOOST_SPACE, 2.5),
    "catboost": (CATBOOST, CATBOOST_SPACE, 2.5),
}
"""Family → default params, what to tune, seconds relative to LightGBM."""
