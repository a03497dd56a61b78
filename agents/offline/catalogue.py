"""The recipes: defaults that are good without tuning, and what is worth tuning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agents.offline.defaults import BOOSTERS, DENSE, PLAIN, RICH, TABLE_SPACE
from agents.offline.linear_recipes import LINEAR_RECIPES, smooth_hint
from agents.offline.recipe import Facts, Judge, Recipe, anything
from agents.offline.text_recipes import TEXT_RECIPES, language, lone_text, wordy

SHARED_NET = 3
"""From so many targets on one neural net learns them together (`blocks.nets`)."""
SLOPES_MATTER = 100_000
"""Rows; with more of them trees have splits for what a linear model knows."""
MANY_TARGETS = 10
"""Where one model for each is slow, and what the targets share is much."""


def tabular(f: Facts) -> bool:
    return f.columns > 0


def exclusive(f: Facts) -> bool:
    return f.exclusive


def booster_seconds(relative: float, outputs: float, thin: float) -> Judge:
    """Seconds by rows x columns x models, `relative` to LightGBM (measured: a bag on 10,000 x 60 takes about 1 s).

    `thin` is the time for a column that is 0 nearly everywhere, for another's.
    """

    def seconds(f: Facts) -> float:
        width = f.columns - (1 - thin) * f.thin + 60 * f.texts + 8
        return (
            relative
            * f.outputs**outputs
            * f.usual_bags
            * (0.15 + (1e-6 * min(f.rows, 200_000) + 1e-6 * f.rows) * width)
        )

    return seconds


def square_seconds(most: int, per_row: float) -> Judge:
    """Seconds for models whose time grows with the square of rows, up to `most` of them; edges tell classes apart."""
    return lambda f: (
        (0.3 if f.pictures else 1.0) * f.outputs**0.5 * per_row * min(f.rows, most) ** 2 * (1 + f.columns / 50) / 1e6
    )


def tree_hint(high: float) -> Judge:
    return lambda f: high * (0.45 if lone_text(f) or f.trees_lag else 1.0)


def encoded_hint(f: Facts) -> float:
    """Without categories there is nothing to encode."""
    return 0.4 if lone_text(f) or f.trees_lag else 0.95 if f.coded else 0.75 if f.categories else 0.5


def net_hint(f: Facts) -> float:
    """One net for many targets sees what they share."""
    many = f.outputs >= MANY_TARGETS and f.task != "multiclass" and not lone_text(f)
    return 0.9 if many else 0.8 if f.pictures else 0.55 if f.rows > 1000 else 0.35


def booster(
    name: str,
    family: str,
    title: str,
    features: dict[str, Any],
    hint: Judge,
    *,
    label: str = "",
    params: dict[str, Any] | None = None,
    fits: Callable[[Facts], bool] = anything,
    slower: float = 1.0,
    model: str = "",
) -> Recipe:
    """A gradient boosting recipe; the family gives model, defaults and space, `label` is another name for it.

    `slower` is its time for the family's usual one, `model` another function than the family's.
    """
    defaults, space, seconds = BOOSTERS[family]
    return Recipe(
        name=name,
        family=label or family,
        title=title,
        model=model or f"{family}_model",
        features=features,
        params={**defaults, **(params or {})},
        space=space,
        seconds=booster_seconds(
            seconds * slower, 1.1 if family == "catboost" else 0.7, 0.1 if family == "lightgbm" else 0.5
        ),
        hint=hint,
        fits=fits,
        # with text or linear models a selection of columns would make a file of more than 100 kB
        feature_space={
            name: some
            for name, some in TABLE_SPACE.items()
            if name != "selection" or not (model or "text_scores" in features)
        },
    )


def joint(family: str, name: str, hint: float) -> Recipe:
    """A booster on several targets as the classes of one problem (`blocks.goals.joint_goal`)."""
    return booster(
        f"{family}_joint",
        family,
        f"{name} on all targets at once as classes, since a row has one of them",
        PLAIN,
        lambda f: hint,
        label="joint_classes",
        params={"target": "joint"},
        fits=exclusive,
    )


RECIPES: tuple[Recipe, ...] = (
    booster(
        "lightgbm_quick",
        "lightgbm",
        "LightGBM in a hurry on plain columns",
        {"pixels": 50, "date_parts": True, "string_parts": True, "places": True, "group_rows": True},
        lambda f: 0.3 if lone_text(f) or f.trees_lag else 0.45,
        params={"learning_rate": 0.1, "rounds": 300, "patience": 15, "bags": 1},
        fits=tabular,
        slower=0.2,
    ),
    language(
        "text_quick",
        "Naive Bayes on words, calibrated",
        ["nb_single"],
        0.45,
        6e-5,
        lone_text,
        calibrate=True,
        max_terms=100_000,
        most_rows=30_000,
        hurry=True,
    ),
    booster("lightgbm_default", "lightgbm", "LightGBM on plain columns, date and string parts", PLAIN, tree_hint(0.8)),
    booster(
        "lightgbm_encoded",
        "lightgbm",
        "LightGBM with target and count encodings, category pairs and combinations of related numbers",
        RICH,
        encoded_hint,
        params={"feature_fraction": 0.35},
        slower=1.4,
    ),
    booster(
        "lightgbm_interactions",
        "lightgbm",
        "LightGBM with products and ratios of the strongest numbers and distances from category means",
        {**PLAIN, "related_numbers": 40, "interactions": 6, "group_means": 4, "frequency": 10},
        lambda f: (0.85 if not f.categories and not f.coded else 0.65) if f.numbers >= 4 else 0.2,
        fits=lambda f: f.numbers >= 2,
        params={"feature_fraction": 0.35},
        slower=1.8,
    ),
    booster(
        "lightgbm_recent",
        "lightgbm",
        "LightGBM on how far the target is from what its series had lately",
        PLAIN,
        lambda f: 0.7,
        label="recent_levels",
        params={"target": "recent"},
        fits=lambda f: f.in_series and f.values and tabular(f),
    ),
    booster(
        "lightgbm_leftover",
        "lightgbm",
        "LightGBM on what a linear model leaves",
        PLAIN,
        tree_hint(0.85),
        label="lightgbm_leftover",
        fits=lambda f: tabular(f) and not f.in_series and f.task != "multiclass" and f.rows <= SLOPES_MATTER,
        slower=1.4,
        model="lightgbm_linear_model",
    ),
    booster("xgboost_default", "xgboost", "XGBoost on plain columns, date and string parts", PLAIN, tree_hint(0.75)),
    booster(
        "xgboost_encoded",
        "xgboost",
        "XGBoost on target and count encodings and category pairs",
        RICH,
        encoded_hint,
        slower=1.3,
    ),
    booster(
        "catboost_native",
        "catboost",
        "CatBoost with native categories and their combinations",
        PLAIN,
        lambda f: 0.3 if lone_text(f) or f.trees_lag else 0.9 if f.categories or f.coded else 0.75,
    ),
    joint("lightgbm", "LightGBM", 0.9),
    joint("xgboost", "XGBoost", 0.85),
    booster(
        "text_svd_boost",
        "lightgbm",
        "LightGBM on out-of-fold scores of text models, text style and topics, and the table",
        {**PLAIN, "pixels": False, "text_svd": 40, "text_scores": ["nb_word", "nb_char", "ridge"]},
        lambda f: 0.95,
        label="text_boost",
        fits=wordy,
        params={"learning_rate": 0.03, "num_leaves": 15, "min_data_in_leaf": 40, "feature_fraction": 0.4},
    ),
    *TEXT_RECIPES,
    *LINEAR_RECIPES,
    Recipe(
        "svm_rbf",
        "svm",
        "Support vector machine with an RBF kernel, calibrated",
        "svm_model",
        DENSE,
        params={"C": 8.0, "gamma": 1.0, "most_rows": 12_000, "target": "auto"},
        space={"C": (0.5, 50.0, "log"), "gamma": (0.1, 5.0, "log")},
        fits=tabular,
        seconds=square_seconds(12_000, 0.2),
        hint=smooth_hint,
    ),
    Recipe(
        "knn",
        "knn",
        "Nearest neighbours weighted by distance",
        "knn_model",
        DENSE,
        params={"neighbors": None, "p": 2, "most_rows": 60_000, "target": "auto"},
        space={"neighbors": [[3, 5, 10], [10, 20, 40], [20, 50, 100]], "p": [1, 2]},
        fits=tabular,
        seconds=square_seconds(30_000, 0.15),
        hint=lambda f: 0.7 * smooth_hint(f),
    ),
    Recipe(
        "kernel_ridge",
        "kernel",
        "Kernel ridge for values, kernel approximation with logistic regression for classes",
        "kernel_model",
        DENSE,
        params={"C": None, "gamma": 0.5, "components": 500, "most_rows": 4_000, "target": "auto"},
        space={"C": (0.3, 300.0, "log"), "gamma": (0.05, 5.0, "log"), "components": [300, 600, 1000]},
        fits=tabular,
        seconds=square_seconds(4_000, 0.25),
        hint=lambda f: 0.8 * smooth_hint(f),
    ),
    Recipe(
        "mlp",
        "mlp",
        "A few small neural nets on scaled columns",
        "mlp_model",
        DENSE,
        params={
            "layers": [128, 64],
            "alpha": 1e-3,
            "learning_rate": 2e-3,
            "batch": 128,
            "epochs": 100,
            "bags": 3,
            "target": "auto",
        },
        space={
            "layers": [[64], [128, 64], [256, 128], [256, 128, 64]],
            "alpha": (1e-5, 1.0, "log"),
            "learning_rate": (5e-4, 1e-2, "log"),
            "batch": [32, 128, 512],
            "bags": [3, 5],
        },
        fits=tabular,
        seconds=lambda f: (
            (1.0 if f.task == "multiclass" or f.outputs >= SHARED_NET else f.outputs**0.8)
            * (0.4 + 7e-4 * min(f.rows, 100_000) * (1 + f.columns / 100))
        ),
        hint=net_hint,
    ),
    Recipe(
        "extra_trees",
        "extra_trees",
        "Extremely randomised trees with target encodings",
        "extra_trees_model",
        {**PLAIN, "related_numbers": 20, "frequency": 10, "target_encoding": 10},
        params={"trees": 200, "min_leaf": 2, "max_features": 0.5, "most_rows": 300_000, "target": "auto"},
        space={"min_leaf": [1, 2, 3, 5, 10], "max_features": (0.1, 1.0), "trees": [200, 500, 800]},
        feature_space=TABLE_SPACE,
        fits=tabular,
        seconds=lambda f: (
            1.1e-5 * min(f.rows, 300_000) * (f.columns + 5) * (f.outputs if f.task != "multiclass" else 1)
        ),
        hint=lambda f: 0.5 if f.values or f.trees_lag else 0.7 if f.numbers >= 10 else 0.6,
    ),
    Recipe(
        "blend_weights",
        "blend",
        "Weighted mean of earlier rounds, with the host's weights from the other folds",
        "blend_model",
        {},
        params={"weights": "host", "members": [], "space": None},
        space={"space": ["value", "logit", "rank"]},
        seconds=lambda f: 1e-6 * f.rows_all,
        hint=lambda f: 0.9,
    ),
    Recipe(
        "blend_mean",
        "blend",
        "Plain mean of earlier rounds",
        "blend_model",
        {},
        params={"weights": "equal", "members": [], "space": None},
        space={"space": ["value", "logit", "rank"]},
        seconds=lambda f: 1e-6 * f.rows_all,
        hint=lambda f: 0.6,
    ),
)

BY_NAME = {recipe.name: recipe for recipe in RECIPES}
NAMES = frozenset(BY_NAME) | {recipe.family for recipe in RECIPES}
"""What a line of guidance may call by its exact name."""
