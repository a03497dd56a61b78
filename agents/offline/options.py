"""What an experiment could be: an option, and which recipes of the playbook may become one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.offline import guidance as wishes
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


def applicable(notebook: Notebook, playbook: Sequence[Recipe]) -> list[Recipe]:
    """The recipes that fit the data and that the guidance allows, blends left out."""
    return [
        recipe
        for recipe in playbook
        if not wishes.is_blend(recipe.family)
        and recipe.applies(notebook.profile, notebook.competition)
        and notebook.guidance.allows(recipe.family, recipe.name)
    ]


def untried(notebook: Notebook, playbook: Sequence[Recipe]) -> list[str]:
    """Families that apply and were never played, the most promising first."""
    tried = {run.family for run in notebook.runs}
    hints: dict[str, float] = {}
    for recipe in applicable(notebook, playbook):
        if recipe.family not in tried:
            hints[recipe.family] = max(hints.get(recipe.family, 0.0), hint(notebook, recipe))
    return sorted(hints, key=lambda family: (-hints[family], family))


def closeness(notebook: Notebook, family: str) -> float:
    """1 for a family that leads or was never measured, towards 0.2 the further its best run lies behind."""
    best = next((run for run in notebook.members if run.family == family), None)
    if best is None or notebook.noise <= 0:
        return 1.0
    return 0.2 + 0.8 * 0.5 ** (notebook.lag(best) / (4 * notebook.noise))


def hint(notebook: Notebook, recipe: Recipe) -> float:
    """The playbook's prior strength of a recipe on this data, 0 to 1."""
    return recipe.gain_hint(notebook.profile, notebook.competition)


def bags_of(notebook: Notebook, recipe: Recipe, params: Mapping[str, Any]) -> int:
    """How many seeds an experiment averages; 0 for a recipe without bags. Boosters left to themselves take 5 or 1."""
    if "bags" not in recipe.params:
        return 0
    bags = params.get("bags") or recipe.params["bags"]
    return int(bags or (5 if notebook.rows < 5000 else 1))
