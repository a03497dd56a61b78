"""Recipes on text columns alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agents.offline.recipe import Facts, Recipe, text_seconds


def wordy(f: Facts) -> bool:
    return f.texts > 0


def lone_text(f: Facts) -> bool:
    """What there is besides the text (a date, a counter) can hardly matter."""
    return f.texts > 0 and f.numbers + f.categories <= 2 * f.texts


def language(
    name: str,
    title: str,
    members: list[str],
    hint: float,
    per_row: float,
    fits: Callable[[Facts], bool] = wordy,
    **params: Any,
) -> Recipe:
    """A recipe on the text columns alone."""
    return Recipe(
        name=name,
        family="text_linear",
        title=title,
        model="language_model",
        params={"members": members, "C": 8.0, "alpha": 0.1, "calibrate": False, "max_terms": 300_000, **params},
        space={"C": (1.0, 40.0, "log"), "alpha": (0.01, 1.0, "log"), "max_terms": [100_000, 300_000, 600_000]},
        features={},
        fits=fits,
        seconds=text_seconds(per_row),
        hint=lambda f: hint * (1.0 if lone_text(f) else 0.6),
    )


TEXT_RECIPES: tuple[Recipe, ...] = (
    language("text_logistic", "TF-IDF of words and characters with a linear model", ["logistic"], 0.6, 2e-3, C=20.0),
    language("text_words", "TF-IDF of words alone with a linear model", ["logistic_single"], 0.5, 3e-4, C=4.0),
    language("text_nbsvm", "NB-SVM: linear models on TF-IDF weighted by naive Bayes", ["nbsvm"], 0.4, 2e-3, C=4.0),
    language(
        "text_bayes",
        "Calibrated mix of naive Bayes models of words and characters",
        ["nb_word", "nb_char", "complement"],
        0.5,
        7e-4,
        calibrate=True,
    ),
    language(
        "text_stack",
        "Stack of linear and naive Bayes text models, calibrated on out-of-fold scores",
        ["nb_word", "nb_char", "complement", "ridge"],
        0.9,
        1.1e-3,
        calibrate=True,
        C=20.0,
    ),
)
