"""How long an experiment will take: the playbook's estimates, corrected by the clock of this campaign."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from agents.offline import guidance as wishes
from agents.offline.notebook import Notebook
from agents.offline.options import bags_of
from agents.offline.recipe import Recipe


class Costs:
    """Seconds of experiments on this data; made once per turn."""

    def __init__(self, notebook: Notebook, playbook: Sequence[Recipe]) -> None:
        self._notebook = notebook
        folds = notebook.number("folds", 5)
        self._turns = 1 + math.ceil((folds - 1) / max(1.0, notebook.number("cores", 1)))
        self._by_recipe: dict[str, list[float]] = {}
        self._by_family: dict[str, list[float]] = {}
        self._all: list[float] = []
        recipes = {recipe.name: recipe for recipe in playbook}
        for run in notebook.runs:
            recipe = recipes.get(run.recipe)
            if recipe is None or not run.complete or run.seconds <= 0:
                continue
            ratio = run.seconds / self.raw(recipe, run.params)
            self._by_recipe.setdefault(recipe.name, []).append(ratio)
            self._by_family.setdefault(recipe.family, []).append(ratio)
            if not wishes.is_blend(recipe.family):
                self._all.append(ratio)

    def estimate(self, recipe: Recipe, params: Mapping[str, Any]) -> float:
        """The nearest measured likes scale the estimate: same recipe, else same family, else (gently) all."""
        raw = self.raw(recipe, params)
        for ratios in (self._by_recipe.get(recipe.name), self._by_family.get(recipe.family)):
            if ratios:
                return raw * median(ratios)
        if wishes.is_blend(recipe.family) or len(self._all) < 2:
            return raw
        return raw * min(3.0, max(0.3, median(self._all)))

    def raw(self, recipe: Recipe, params: Mapping[str, Any]) -> float:
        """The recipe's own estimate for all folds, one core to each, in proportion to its bags."""
        bags, usual = bags_of(self._notebook, recipe, params), bags_of(self._notebook, recipe, {})
        factor = bags / usual if usual else 1.0
        one_fold = recipe.cost(self._notebook.profile, self._notebook.competition)
        return max(0.1, one_fold * factor * self._turns)
