"""Recipes of linear models on the columns of a table."""

from __future__ import annotations

from agents.offline.defaults import DENSE, LINEAR
from agents.offline.recipe import Facts, Recipe
from agents.offline.text_recipes import lone_text


def smooth_hint(f: Facts) -> float:
    """Distances and kernels shine on pictures, and on few rows of numbers of one kind."""
    if f.pictures:
        return 0.95
    return 0.85 if not f.categories and f.numbers >= 16 and f.rows < 10_000 else 0.4 if f.rows < 20_000 else 0.15


LINEAR_RECIPES: tuple[Recipe, ...] = (
    Recipe(
        "linear_onehot",
        "linear",
        "Regularised linear model on scaled numbers and one-hot categories",
        "linear_model",
        LINEAR,
        params={"C": None, "least": 3, "l1_ratio": 0.0, "crosses": False, "max_iter": 200, "target": "auto"},
        space={"C": (0.003, 10.0, "log"), "least": [2, 3, 5, 10]},
        seconds=lambda f: 0.2 + 8e-6 * f.rows * (f.columns + 20 * f.categories + 5) ** 0.7 * f.outputs**0.5,
        hint=lambda f: 0.9 if f.crowded else 0.5 if f.rows < 5000 else 0.25,
    ),
    Recipe(
        "linear_sparse",
        "linear_sparse",
        "Linear model that leaves most columns out (lasso)",
        "linear_model",
        LINEAR,
        params={"C": None, "least": 3, "l1_ratio": 1.0, "crosses": False, "target": "auto"},
        space={"C": (0.02, 10.0, "log"), "least": [2, 3, 5, 10]},
        fits=lambda f: f.numbers >= 20 and f.rows < 100 * f.numbers,
        seconds=lambda f: 0.4 + 1.5e-4 * (f.rows * (f.columns + 20 * f.categories + 5)) ** 0.87 * f.outputs,
        hint=lambda f: 0.9 if f.rows < 10 * f.numbers else 0.3,
    ),
    Recipe(
        "discriminant",
        "discriminant",
        "Normally distributed classes of one covariance, drawn to a simpler one",
        "discriminant_model",
        DENSE,
        params={"shrinkage": None},
        space={"shrinkage": (0.01, 0.9, "log")},
        fits=lambda f: not f.values and f.numbers >= 2 and not lone_text(f) and f.rows > 4 * f.outputs,
        seconds=lambda f: 0.2 + 1e-7 * f.outputs**0.5 * f.rows * (f.columns + 10 * f.categories) ** 1.5,
        hint=lambda f: 0.95 if f.crowded else 0.5 * smooth_hint(f),
    ),
    Recipe(
        "linear_crosses",
        "linear_crosses",
        "Sparse logistic or ridge regression on one-hot categories, their pairs and triples",
        "linear_model",
        {"date_parts": "categories", "string_parts": True, "crosses": 3},
        params={"C": None, "least": 2, "crosses": True, "max_iter": 150, "target": "auto"},
        space={"C": (0.03, 5.0, "log"), "least": [1, 2, 3, 5]},
        feature_space={"crosses": [2, 3]},
        fits=lambda f: f.categories >= 2 or f.coded >= 2,
        seconds=lambda f: 4e-4 * f.rows * f.outputs**0.5,
        hint=lambda f: 0.9 if f.coded >= max(2, f.numbers) and not f.values else 0.2,
    ),
    Recipe(
        "ridge_seasons",
        "seasons",
        "Ridge on levels, slopes, weekdays and the waves of a year, of each name of a series and of all",
        "seasonal_model",
        {**LINEAR, "recent_levels": False, "text_stats": False, "text_svd": False},
        params={"C": None, "target": "auto"},
        space={"C": (0.003, 10.0, "log"), "target": ["auto", "log"]},
        feature_space={"recent_levels": [True, False]},
        fits=lambda f: f.in_series and f.values and f.columns > 0 and f.rows <= 500_000,  # 3 kB of memory for each
        seconds=lambda f: 0.5 + 8e-5 * f.rows * f.outputs,
        hint=lambda f: 0.8,
    ),
    Recipe(
        "ridge_log",
        "linear",
        "Elastic net on the logarithm of a skewed target, with combined columns",
        "linear_model",
        {**LINEAR, "related_numbers": 40, "target_encoding": 10},
        params={"C": None, "least": 5, "l1_ratio": 0.5, "crosses": False, "target": "log"},
        space={"C": (0.1, 30.0, "log"), "least": [2, 5, 10], "l1_ratio": [0.0, 0.2, 0.5, 0.9]},
        fits=lambda f: f.values and f.columns > 0,
        seconds=lambda f: 0.2 + 1e-5 * min(f.rows, 100_000) * (f.columns + 20 * f.categories) ** 0.7 * f.outputs,
        hint=lambda f: 0.8 if f.rows < 3000 and f.columns >= 20 else 0.4,
    ),
)
