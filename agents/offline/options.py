"""What an experiment could be: an option, which recipes may become one, and how long it will take."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from agents.offline.catalogue import BY_NAME, RECIPES
from agents.offline.notebook import Notebook, fingerprint
from agents.offline.recipe import Recipe


@dataclass(frozen=True)
class Option:
    """One possible experiment.

    `units` is the expected gain in standard errors, `gain` the calibrated one in metric units, `cost` is in seconds.
    """

    recipe: Recipe
    role: str
    hypothesis: str
    params: dict[str, Any]
    features: dict[str, Any]
    units: float
    parent: str | None = None
    gain: float = 0.0
    cost: float = 0.0
    value: float = 0.0

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.recipe.name, self.params, self.features)

    def strategy(self, final: str) -> dict[str, Any]:
        """The option as one strategy of a plan's header."""
        return {
            "family": self.recipe.family,
            "recipe": self.recipe.name,
            "role": self.role,
            "hypothesis": self.hypothesis,
            "expected_gain": float(f"{self.gain:.4g}"),
            "parent": self.parent,
            "features": self.features,
            "params": self.params,
            "final": final,
            "cost_s": round(self.cost, 1),
        }


def applicable(notebook: Notebook) -> list[Recipe]:
    """The recipes that fit the data and that the guidance allows, the strongest first; blends left out."""
    found = [
        recipe
        for recipe in RECIPES
        if not recipe.is_blend and recipe.fits(notebook.data) and notebook.guidance.allows(recipe.family, recipe.name)
    ]
    return sorted(found, key=lambda recipe: (-recipe.hint(notebook.data), recipe.name))


def untried(notebook: Notebook) -> list[str]:
    """Families that apply and were never played, the most promising first."""
    tried = {run.family for run in notebook.runs}
    hints: dict[str, float] = {}
    for recipe in applicable(notebook):
        if recipe.family not in tried:
            hints.setdefault(recipe.family, recipe.hint(notebook.data))
    return sorted(hints, key=lambda family: (-hints[family], family))


def closeness(notebook: Notebook, family: str) -> float:
    """1 for a family that leads or was never measured, towards 0.2 the further its best run lies behind."""
    best = next((run for run in notebook.members if run.family == family), None)
    if best is None or notebook.noise <= 0:
        return 1.0
    return 0.2 + 0.8 * 0.5 ** (notebook.lag(best) / (4 * notebook.noise))


def bags_of(notebook: Notebook, recipe: Recipe, params: Mapping[str, Any]) -> int:
    """How many seeds an experiment averages; 0 for a recipe without bags. Boosters left to themselves take 5 or 1."""
    if "bags" not in recipe.params:
        return 0
    return int(params.get("bags") or recipe.params["bags"] or (5 if notebook.data.rows < 5000 else 1))


class Costs:
    """Seconds of experiments on this data: the recipes' estimates, corrected by the clock of this campaign."""

    def __init__(self, notebook: Notebook) -> None:
        self._notebook = notebook
        self._turns = 1 + math.ceil((notebook.facts["folds"] - 1) / max(1, notebook.facts["cores"]))
        self._measured = [
            (BY_NAME[run.recipe], run.seconds / self.raw(BY_NAME[run.recipe], run.params))
            for run in notebook.runs
            if run.recipe in BY_NAME and run.complete and run.seconds > 0
        ]

    def estimate(self, recipe: Recipe, params: Mapping[str, Any]) -> float:
        """The nearest measured likes scale the estimate: same recipe, else same family, else (gently) all."""
        raw = self.raw(recipe, params)
        same = [ratio for known, ratio in self._measured if known.name == recipe.name]
        family = [ratio for known, ratio in self._measured if known.family == recipe.family]
        if same or family:
            return raw * median(same or family)
        models = [ratio for known, ratio in self._measured if not known.is_blend]
        if recipe.is_blend or len(models) < 2:
            return raw
        return raw * min(3.0, max(0.3, median(models)))

    def raw(self, recipe: Recipe, params: Mapping[str, Any]) -> float:
        """The recipe's own estimate for all folds, one core to each, in proportion to its bags."""
        bags, usual = bags_of(self._notebook, recipe, params), bags_of(self._notebook, recipe, {})
        return recipe.cost(self._notebook.data) * (bags / usual if usual else 1.0) * self._turns
