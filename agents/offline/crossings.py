"""Crossings: recipe and params of one good run with the features of another, for when nothing else was kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, islice
from typing import Any

from agents.offline import text
from agents.offline.catalogue import BY_NAME, RECIPES
from agents.offline.notebook import Notebook, Run, fingerprint
from agents.offline.options import HASTE, QUICK, STUCK, Option, closeness
from agents.offline.recipe import Recipe
from agents.offline.switches import all_features, applies, changed_blocks, differing, put

BRANCHES, PAIRS = 6, 3
"""How many of the best branches are crossed, and how many pairs of them at most."""


def crossings(notebook: Notebook, recipes: Sequence[Recipe]) -> Iterator[Option]:
    """When nothing was kept for long: recipe and params of one good run with the features of another, both ways."""
    if notebook.stuck < STUCK or notebook.limit("seconds_left") <= HASTE:
        return
    by_name = {recipe.name: recipe for recipe in recipes}
    usual = "diversify" if notebook.blend_leads else "improve"
    role = "bold" if notebook.facts.get("force_bold") or "bold" in notebook.guidance.roles else usual
    weight = (0.2 + 0.05 * min(8, notebook.stuck)) * 0.6 ** failed_crossings(notebook)
    pairs = (children(notebook, by_name, *pair) for pair in combinations(branches(notebook, by_name), 2))
    for rank, found in enumerate(islice(filter(None, pairs), PAIRS)):
        for body, donor, features in found:
            recipe = by_name[body.recipe]
            names = ", ".join(differing(features, all_features(body)))
            says = f"{recipe.title} of {text.link(body)} gains from {names} as in {text.link(donor)}"
            units = weight * 0.8**rank * closeness(notebook, recipe.family)
            yield Option(recipe, role, says, dict(body.params), features, units, body.label)


def children(
    notebook: Notebook, by_name: dict[str, Recipe], one: Run, other: Run
) -> list[tuple[Run, Run, dict[str, Any]]]:
    """Body, donor and features of the crossings of two runs that were never played, in both directions.

    One block alone is no crossing: `switches.feature_moves` changes that.
    """
    found = []
    for body, donor in ((one, other), (other, one)):
        features = exchanged(notebook, by_name[body.recipe], body, donor)
        new = fingerprint(body.recipe, body.params, features) not in notebook.fingerprints
        if new and len(differing(features, all_features(body))) > 1:
            found.append((body, donor, features))
    return found


def failed_crossings(notebook: Notebook) -> int:
    """Runs since the last keep that changed several blocks of their parent and nothing else."""
    since = notebook.best.round if notebook.best else 0
    return sum(len(changed_blocks(notebook, run)) > 1 for run in notebook.runs if run.round > since)


def branches(notebook: Notebook, by_name: dict[str, Recipe]) -> list[Run]:
    """The best runs, best first, without those that differ from a better one of their recipe in a block at most."""
    found: list[Run] = []
    for run in notebook.members:
        better = [all_features(other) for other in found if other.recipe == run.recipe]
        is_new = all(len(differing(all_features(run), theirs)) > 1 for theirs in better)
        if is_new and run.recipe in by_name and run.recipe not in QUICK:
            found.append(run)
    return found[:BRANCHES]


def takes(recipe: Recipe) -> set[str]:
    """The blocks that recipes with this model use: one that reads texts by itself has no use for any."""
    alike = [other for other in RECIPES if other.model == recipe.model]
    return {name for other in alike for name in (*other.features, *other.feature_space)}


def exchanged(notebook: Notebook, recipe: Recipe, body: Run, donor: Run) -> dict[str, Any]:
    """The features of `body` with every block that both models can take as `donor` has it."""
    features, theirs = all_features(body), all_features(donor)
    both = takes(recipe) & takes(BY_NAME[donor.recipe])
    for name in differing(features, theirs):
        if name in both and applies(notebook, recipe, name):
            features = put(recipe, features, name, theirs.get(name))
    return features
