"""All that the next round could do: new families, feature blocks, bags, tuning, blends, bold mixes."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from agents.offline import guidance as wishes
from agents.offline import text
from agents.offline.blending import blends
from agents.offline.crossings import crossings
from agents.offline.notebook import Notebook, Run
from agents.offline.options import HASTE, QUICK, Option, applicable, bags_of, closeness
from agents.offline.recipe import Recipe, draw
from agents.offline.switches import Move, feature_moves, selections, was_ablation
from agents.offline.tuning import next_params

MOST_BAGS = 10
FEW, FEW_BAGS = 3, 3.0
"""With fewer bags more of them are worth so many usual changes to a blend: it is the one change that seldom fails."""


def all_options(notebook: Notebook) -> list[Option]:
    """Every option that is not a repetition, in no order of merit."""
    recipes = applicable(notebook)
    by_name = {recipe.name: recipe for recipe in recipes}
    found: list[Option] = list(fresh(notebook, recipes))
    for rank, run in enumerate(bases(notebook, by_name)):
        found += refine(notebook, by_name[run.recipe], run, rank)
    found += blends(notebook)
    found += bold(notebook, recipes)
    found += crossings(notebook, recipes)
    unique = {option.fingerprint: option for option in reversed(found)}
    return [option for mark, option in unique.items() if mark not in notebook.fingerprints]


def bases(notebook: Notebook, by_name: dict[str, Recipe]) -> list[Run]:
    """The best run of each of the three best families: what tuning starts from."""
    found: dict[str, Run] = {}
    for run in notebook.members:
        if run.recipe in by_name and run.recipe not in QUICK:
            found.setdefault(run.family, run)
    return list(found.values())[:3]


def fresh(notebook: Notebook, recipes: Sequence[Recipe]) -> Iterator[Option]:
    """Recipes never played, worth their prior strength and their novelty."""
    top = strongest(notebook, recipes)
    played = [run.family for run in notebook.runs if run.recipe not in QUICK and not run.parent]
    kinds = {wishes.kind_of(family) for family in played}
    names = {run.recipe for run in notebook.runs}
    why = "makes errors of another kind than what is there" if notebook.best else "sets the score to beat"
    for recipe in recipes:
        if recipe.name in names:
            continue
        novelty = 0.6 ** played.count(recipe.family) * (1.25 if wishes.kind_of(recipe.family) not in kinds else 1.0)
        crashes = sum(run.status == "crash" for run in notebook.of_family(recipe.family))
        strength = recipe.hint(notebook.data) / top
        yield Option(
            recipe=recipe,
            role="diversify" if notebook.best else "improve",
            hypothesis=f"{recipe.title} fits this data and {why}",
            params={**recipe.params, **in_haste(notebook, recipe)},
            features=dict(recipe.features),
            units=1.5 * strength**2 * novelty * 0.4**crashes * closeness(notebook, recipe.family),
        )


def in_haste(notebook: Notebook, recipe: Recipe) -> dict[str, Any]:
    """Half the bags while time is short: another family brings more than a second bag."""
    hasty = notebook.limit("seconds_left") < HASTE and "patience" in recipe.params and recipe.params["bags"] is None
    return {"bags": notebook.data.usual_bags // 2} if hasty else {}


def strongest(notebook: Notebook, recipes: Sequence[Recipe]) -> float:
    """The largest hint of the recipes."""
    return max((recipe.hint(notebook.data) for recipe in recipes), default=1.0)


def refine(notebook: Notebook, recipe: Recipe, base: Run, rank: int) -> Iterator[Option]:
    """Feature blocks, bags and other hyper-parameters, all around one of the best runs."""
    hasty = notebook.limit("seconds_left") < HASTE
    weight = 0.6**rank * closeness(notebook, recipe.family) * (0.5 if hasty else 1.0)
    fails = failed_changes(notebook, recipe.family, hasty)
    role = "diversify" if notebook.blend_leads else "improve"
    for move in [*feature_moves(notebook, recipe, base, rank == 0), *_bag_moves(notebook, recipe, base)]:
        units = 0.6 * weight * move.worth * (1.0 if move.steady else 0.8**fails)
        yield Option(recipe, role, move.says, move.params, move.features, units, base.label)
    tunes = "tune" not in notebook.guidance.banned_roles
    if tunes and (step := next_params(notebook, recipe, base)):
        # Against a blend, fold 1 of a lone model fails the gate of a tuning, but passes that of a new member.
        role = "diversify" if notebook.blend_leads and "tune" not in notebook.guidance.roles else "tune"
        fails += notebook.failed_tunings(recipe.family)
        changed = [f"{key} {base.params.get(key)} → {new}" for key, new in step.items() if new != base.params.get(key)]
        hypothesis = f"{recipe.title} of {text.link(base)} is not at its optimum: {', '.join(changed)}"
        units = 0.7 * weight * 0.75**fails
        yield Option(recipe, role, hypothesis, step, dict(base.features), units, base.label)


def failed_changes(notebook: Notebook, family: str, hasty: bool) -> int:
    """How many changes of its runs the family has seen, but for tunings and, where there is time, for lessons."""
    changed = [run for run in notebook.of_family(family) if run.parent is not None and run.role != "tune"]
    return sum(hasty or not was_ablation(notebook, run) for run in changed)


def _bag_moves(notebook: Notebook, recipe: Recipe, base: Run) -> Iterator[Move]:
    bags = bags_of(notebook, recipe, base.params)
    if bags and bags < MOST_BAGS:
        more = min(MOST_BAGS, max(3, 2 * bags))
        says = f"{recipe.title} gains from {more} bags instead of {bags} over {text.link(base)}"
        worth = FEW_BAGS if bags < FEW and notebook.blend_leads else 1.0
        yield Move(says, {**base.params, "bags": more}, dict(base.features), worth, steady=True)


def bold(notebook: Notebook, recipes: Sequence[Recipe]) -> Iterator[Option]:
    """Several changes at once: every feature block on, more bags, parameters far from those that were played.

    Against a blend a lone model has no chance, so then only when a bold round is asked for.
    """
    asked = notebook.facts.get("force_bold") or "bold" in notebook.guidance.roles
    if notebook.blend_leads and not asked:
        return
    bases_by_name = {run.recipe: run for run in reversed(notebook.members)}
    since = notebook.best.round if notebook.best else 0
    failed = sum(run.role == "bold" and run.round > since for run in notebook.runs)
    top = strongest(notebook, recipes)
    for recipe in recipes:
        if recipe.name in QUICK:
            continue
        base = bases_by_name.get(recipe.name)
        rng = random.Random(f"{notebook.facts['seed']}/{notebook.round}/bold/{recipe.name}")
        params = {**recipe.params, **(base.params if base else {})}
        for name in rng.sample(sorted(recipe.space), (len(recipe.space) + 1) // 2):
            params[name] = draw(recipe.space[name], rng)
        if bags := bags_of(notebook, recipe, params):
            params["bags"] = max(3, bags)
        features = {**recipe.features, **(base.features if base else {})}
        for name, choices in sorted(recipe.feature_space.items()):
            fits = selections(notebook, features)
            if fitting := [value for value in choices if value and fits.get(value, True)]:
                features[name] = fitting[-1]
        units = (0.3 + 0.1 * min(8, notebook.stuck)) * 0.6**failed * closeness(notebook, recipe.family)
        units *= 0.2 if notebook.limit("seconds_left") < HASTE and not asked else 1.0
        yield Option(
            recipe=recipe,
            role="bold",
            hypothesis=f"{recipe.title} with all feature blocks, other parameters and bags finds what small steps miss",
            params=params,
            features=features,
            units=units * recipe.hint(notebook.data) / top,
            parent=base.label if base else None,
        )
