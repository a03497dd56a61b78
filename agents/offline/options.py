"""What an experiment could be: an option, which recipes may become one, and how long it will take."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from agents.offline.catalogue import BY_NAME, RECIPES
from agents.offline.notebook import Notebook, Run, fingerprint
from agents.offline.recipe import Recipe

HASTE = 900.0
"""With fewer seconds left, boldness has no time to pay."""
STUCK = 4
"""After so many rounds without a keep a blend is due, and crossings are."""
QUICK = ("lightgbm_quick", "text_quick")
"""First scores: they leave their families as good as untried."""
USUAL_RATE = 0.05
"""Learning rate of boosters that the recipes' estimates hold for."""
START_SECONDS = 2.5
"""To start a fold's process and read its tables, until it was measured."""
BLEND_START, BLEND_ROW = 0.5, 1e-5
"""The same for a blend, which does nothing else: seconds, and seconds per row."""


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
    asked: str = ""  # what outweighs its value for time
    fold_seconds: float | None = None  # after which a fold brings its fit to an end

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
            "fold_seconds": self.fold_seconds,
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
    """How many seeds an experiment averages; 0 for a recipe without bags."""
    if "bags" not in recipe.params:
        return 0
    return int(params.get("bags") or recipe.params["bags"] or notebook.data.usual_bags)


def turns(notebook: Notebook, folds: int | None = None) -> int:
    """How many times the longest fold: the first runs alone, the others side by side."""
    count = notebook.facts["folds"] if folds is None else folds
    return 1 + math.ceil((count - 1) / max(1, notebook.facts.get("folds_at_once", notebook.facts["cores"])))


class Costs:
    """Seconds of experiments on this data: the recipes' estimates, corrected by the clock of this campaign.

    A fold takes the start of its process and the fit; what was measured scales the fit alone. What stopped on its way
    counts too: a gated run by the folds that it did, a failed one as a lower bound.
    """

    def __init__(self, notebook: Notebook) -> None:
        self._notebook = notebook
        self._measured: list[tuple[Recipe, float]] = []
        self._bounds: list[tuple[Recipe, float]] = []
        self._blends = [run.seconds for run in notebook.runs if run.is_blend and run.complete]
        ended = [run for run in notebook.runs if run.folds and run.seconds > 0]
        self._start = min([START_SECONDS, *(0.8 * run.seconds / self._turns(len(run.folds)) for run in ended)])
        for run in notebook.runs:
            if run.recipe in BY_NAME and run.seconds > 0 and not run.is_blend:
                self._note(BY_NAME[run.recipe], run)

    def _note(self, recipe: Recipe, run: Run) -> None:
        if run.status == "crash":
            fold = re.search(r"\bfold (\d+)", run.reason)
            self.note_failure(recipe, run.params, run.seconds, int(fold[1]) if fold else 0)
        elif run.complete or run.folds:
            turns = self._turns(None if run.complete else len(run.folds))
            self._measured.append((recipe, self._ratio(recipe, run.params, run.seconds / turns)))

    def note_failure(self, recipe: Recipe, params: Mapping[str, Any], seconds: float, fold: int) -> None:
        """It ended after `seconds` within `fold` (from 1; 0 is unknown): counted as if half of that fold was done."""
        if fold:
            self._bounds.append((recipe, self._ratio(recipe, params, seconds / (self._turns(fold) - 0.5))))

    def _ratio(self, recipe: Recipe, params: Mapping[str, Any], fold_seconds: float) -> float:
        """By how much a fit took longer than estimated."""
        return max(0.05, (fold_seconds - self._start) / self.fit(recipe, params))

    def _turns(self, folds: int | None = None) -> int:
        return turns(self._notebook, folds)

    def estimate(self, recipe: Recipe, params: Mapping[str, Any]) -> float:
        """The nearest measured likes scale the estimate: same recipe, else same family, else (gently) all."""
        if recipe.is_blend and self._blends:
            return median(self._blends)
        if recipe.is_blend:
            start = min(self._start, BLEND_START + BLEND_ROW * self._notebook.data.rows_all)
            return (start + self.fit(recipe, params)) * self._turns()
        same = [ratio for known, ratio in self._measured if known.name == recipe.name]
        family = [ratio for known, ratio in self._measured if known.family == recipe.family]
        at_least = [ratio for known, ratio in self._bounds if known.family == recipe.family]
        scale = median(same or family) if same or family else self._general()
        return (self._start + self.fit(recipe, params) * max(scale, *at_least, 0.0)) * self._turns()

    def _general(self) -> float:
        """How slow models are here for their estimates; believed more the more runs tell it."""
        ratios = [ratio for _, ratio in self._measured]
        ratios += [ratio for _, ratio in self._bounds if ratio > 1]
        return min(10.0, max(0.3, median(ratios) ** (1 - 0.5 ** len(ratios)))) if ratios else 1.0

    def fit(self, recipe: Recipe, params: Mapping[str, Any]) -> float:
        """The recipe's own estimate of one fold's fit on one core, in proportion to its bags or trees."""
        bags, usual = bags_of(self._notebook, recipe, params), bags_of(self._notebook, recipe, {})
        slow = USUAL_RATE / float(params.get("learning_rate") or USUAL_RATE) if "patience" in recipe.params else 1.0
        encoded = self._notebook.data.encoding_seconds if recipe.features.get("target_encoding") else 0.0
        size = bags / usual if usual else float(params.get("trees", 1)) / float(recipe.params.get("trees", 1))
        reading = recipe.reading(self._notebook.data)
        return (recipe.cost(self._notebook.data) - reading) * size * slow**0.7 + reading + encoded
