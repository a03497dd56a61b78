"""All that the next round could do: new families, feature blocks, bags, tuning, blends, bold mixes."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agents.offline import guidance as wishes
from agents.offline import text
from agents.offline.blending import blends
from agents.offline.notebook import Notebook, Run
from agents.offline.options import Option, applicable, bags_of, closeness
from agents.offline.recipe import Recipe, draw
from agents.offline.tuning import next_params

HASTE = 900.0
"""With fewer seconds left, boldness has no time to pay."""
QUICK = ("lightgbm_quick", "text_quick")
"""First scores: they leave their families as good as untried."""
MOST_BAGS = 10
MANY_COLUMNS = 20
"""From here on some of them may be needless."""

Move = tuple[str, dict[str, Any], dict[str, Any]]
"""What changes, the params, the features."""


def all_options(notebook: Notebook) -> list[Option]:
    """Every option that is not a repetition, in no order of merit."""
    recipes = applicable(notebook)
    by_name = {recipe.name: recipe for recipe in recipes}
    found: list[Option] = list(fresh(notebook, recipes))
    for rank, run in enumerate(bases(notebook, by_name)):
        found += refine(notebook, by_name[run.recipe], run, 0.6**rank)
    found += blends(notebook)
    found += bold(notebook, recipes)
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


def refine(notebook: Notebook, recipe: Recipe, base: Run, weight: float) -> Iterator[Option]:
    """Feature blocks, bags and other hyper-parameters, all around one earlier run."""
    weight *= closeness(notebook, recipe.family) * (0.5 if notebook.limit("seconds_left") < HASTE else 1.0)
    fails = sum(run.parent is not None and run.role != "tune" for run in notebook.of_family(recipe.family))
    role = "diversify" if notebook.blend_leads else "improve"
    for what, params, features in [*_feature_moves(notebook, recipe, base), *_bag_moves(notebook, recipe, base)]:
        hypothesis = f"{recipe.title} gains from {what} over {text.link(base)}"
        yield Option(recipe, role, hypothesis, params, features, 0.6 * weight * 0.8**fails, base.label)
    if step := next_params(notebook, recipe, base):
        # Against a blend, fold 1 of a lone model fails the gate of a tuning, but passes that of a new member.
        role = "diversify" if notebook.blend_leads and "tune" not in notebook.guidance.roles else "tune"
        fails += notebook.failed_tunings(recipe.family)
        changed = [f"{key} {base.params.get(key)} → {new}" for key, new in step.items() if new != base.params.get(key)]
        hypothesis = f"{recipe.title} of {text.link(base)} is not at its optimum: {', '.join(changed)}"
        units = 0.7 * weight * 0.75**fails
        yield Option(recipe, role, hypothesis, step, dict(base.features), units, base.label)


def _feature_moves(notebook: Notebook, recipe: Recipe, base: Run) -> Iterator[Move]:
    facts = notebook.data
    levels, numbers = bool(facts.categories or facts.coded), facts.numbers >= 2
    useful = {"related_numbers": numbers, "interactions": numbers, "group_means": numbers and levels}
    useful |= {"target_encoding": levels, "frequency": levels, "crosses": levels}
    fits = selections(notebook, {**recipe.features, **base.features})
    for name, choices in sorted(recipe.feature_space.items()):
        if not useful.get(name, True):
            continue
        now = base.features.get(name, recipe.features.get(name))
        for value in choices:
            if value != now and (value or now) and fits.get(value, True):
                what = f"{name}: {value}" if value and value is not True else f"{name} {'on' if value else 'off'}"
                yield what, dict(base.params), {**recipe.features, **base.features, name: value}


def selections(notebook: Notebook, features: Mapping[str, Any]) -> dict[Any, bool]:
    """Whether a way to select columns fits: one takes many columns, the other a drift between train and test."""
    many = notebook.data.columns >= MANY_COLUMNS or bool(features.get("interactions"))
    return {"permutation": many, "drift": notebook.drifts}


def _bag_moves(notebook: Notebook, recipe: Recipe, base: Run) -> Iterator[Move]:
    bags = bags_of(notebook, recipe, base.params)
    if bags and bags < MOST_BAGS:
        more = min(MOST_BAGS, max(3, 2 * bags))
        yield f"{more} bags instead of {bags}", {**base.params, "bags": more}, dict(base.features)


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
