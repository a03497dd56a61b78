"""Changes of an earlier run's feature blocks: another option, or one block off to learn what it is worth.

What a block is worth is measured by pairs of runs that differ in nothing else; one fold is enough to tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from agents.offline import text
from agents.offline.blending import measured
from agents.offline.catalogue import BY_NAME, RECIPES
from agents.offline.notebook import Notebook, Run
from agents.offline.options import HASTE
from agents.offline.recipe import Recipe
from agents.offline.render import STEPS
from agents.offline.tuning import changes

MANY_COLUMNS = 20
"""From here on some of them may be needless."""
MATTERS = 0.5
"""From so many standard errors of loss without it, a block's other options are worth more, and all are looked at."""
MOST_BONUS = 2.0
LESSON, NEXT_LESSON = 0.5, 0.8
"""What a first lesson is worth, in shares of a change that should gain; and each next one on the run, of the last."""


@dataclass(frozen=True)
class Move:
    """A change of an earlier run; `worth` is a factor of what such changes usually gain.

    A `steady` one is worth as much after changes that failed.
    """

    says: str
    params: dict[str, Any]
    features: dict[str, Any]
    worth: float = 1.0
    steady: bool = False


def all_features(run: Run) -> dict[str, Any]:
    """A run's switches, with those of its recipe that it left out."""
    recipe = BY_NAME.get(run.recipe)
    return {**(recipe.features if recipe else {}), **run.features}


def applies(notebook: Notebook, recipe: Recipe, name: str) -> bool:
    """Whether a block may change anything on this data; blocks without a known condition do where they are tuned."""
    facts = notebook.data
    levels, numbers = bool(facts.categories or facts.coded), facts.numbers >= 2
    known = {"related_numbers": numbers, "interactions": numbers, "group_means": numbers and levels, "row_stats": True}
    known |= {"target_encoding": levels, "frequency": levels, "crosses": levels}
    known |= {"date_parts": bool(notebook.profile["date_columns"]), "string_parts": bool(facts.categories)}
    known |= {"recent_levels": facts.in_series}
    known |= {"text_stats": facts.texts > 0, "text_svd": facts.texts > 0, "text_scores": facts.texts > 0}
    known |= {"text_pairs": facts.texts > 1}
    return known.get(name, name in recipe.feature_space)


def selections(notebook: Notebook, features: Mapping[str, Any]) -> dict[str, bool]:
    """Whether a way to select columns fits: one takes many columns, the other a drift between train and test."""
    many = notebook.data.columns >= MANY_COLUMNS or bool(features.get("interactions"))
    return {"permutation": many, "drift": notebook.drifts}


def feature_moves(notebook: Notebook, recipe: Recipe, base: Run, leads: bool) -> Iterator[Move]:
    """Other options of the blocks, those of a block that matters first; for the leading run also one block off.

    While time is short nothing is played to learn from alone.
    """
    has_time = notebook.limit("seconds_left") > HASTE
    worth_of = worths(notebook, recipe.family) if has_time else {}
    now = {**recipe.features, **base.features}
    idle = without_effect(notebook)
    on = [name for name in STEPS if now.get(name) and applies(notebook, recipe, name) and name not in idle]
    ablated = on if has_time and leads and len(on) > 1 else []
    for name in sorted({*recipe.feature_space, *on} - idle):
        worth = max(0.0, worth_of.get(name, 0.0))
        for value in choices(notebook, recipe, name, now, worth >= MATTERS):
            if value or name not in ablated:
                what = f"{name}: {value}" if value and value is not True else f"{name} {'on' if value else 'off'}"
                says = f"{recipe.title} gains from {what} over {text.link(base)}"
                bonus = min(MOST_BONUS, worth) if value else 0.0
                yield Move(says, dict(base.params), put(recipe, now, name, value), 1 + bonus)
    lessons = sum(run.parent == base.label and was_ablation(notebook, run) for run in notebook.runs)
    for name in ablated:
        says = f"{recipe.title} of {text.link(base)} with {name} off shows what the block is worth"
        yield Move(says, dict(base.params), put(recipe, now, name, None), LESSON * NEXT_LESSON**lessons, steady=True)


def choices(notebook: Notebook, recipe: Recipe, name: str, now: Mapping[str, Any], everywhere: bool) -> list[Any]:
    """What else a block may be set to: the options of the recipe's space, or `everywhere` those of all recipes."""
    if not applies(notebook, recipe, name):
        return []
    found, fits = list(recipe.feature_space.get(name, [])), selections(notebook, now)
    if everywhere:
        found += [value for value in elsewhere(name) if value not in found]
    present = now.get(name)
    return [value for value in found if value != present and (value or present) and fits.get(str(value), True)]


def put(recipe: Recipe, features: dict[str, Any], name: str, option: Any) -> dict[str, Any]:
    """The features with another option of a block; one that is off as by the recipe itself is left out."""
    if option or name in recipe.features:
        falsy = next((value for value in recipe.feature_space.get(name, []) if not value), False)
        return {**features, name: option or falsy}
    return {key: value for key, value in features.items() if key != name}


def elsewhere(name: str) -> list[Any]:
    """The options of a block that any recipe uses."""
    found: list[Any] = []
    for recipe in RECIPES:
        found += [value for value in [recipe.features.get(name), *recipe.feature_space.get(name, [])] if value]
    return [value for place, value in enumerate(found) if value not in found[:place]]


def parent_of(notebook: Notebook, run: Run) -> Run | None:
    """The run whose model and params it has; None where it changed more than features."""
    parent = next((other for other in notebook.runs if other.label == run.parent), None)
    if parent is None or (parent.recipe, parent.params) != (run.recipe, run.params):
        return None
    return parent


def differing(features: Mapping[str, Any], others: Mapping[str, Any]) -> list[str]:
    """The blocks that differ; all the ways to say that one is off are one."""
    return [name for name in STEPS if (features.get(name) or None) != (others.get(name) or None)]


def changed_blocks(notebook: Notebook, run: Run) -> list[str]:
    """The blocks in which a run differs from its parent; none where it changed more than features."""
    parent = parent_of(notebook, run)
    return differing(all_features(run), all_features(parent)) if parent else []


def was_ablation(notebook: Notebook, run: Run) -> bool:
    """Whether the run is its parent with one block off."""
    names = changed_blocks(notebook, run)
    return len(names) == 1 and not all_features(run).get(names[0])


def without_effect(notebook: Notebook) -> set[str]:
    """The blocks that, switched on or off, left a run the predictions of its parent: they find nothing in this data."""
    found: set[str] = set()
    for run in notebook.runs:
        parent, names = parent_of(notebook, run), changed_blocks(notebook, run)
        if parent is None or len(names) != 1 or run.cv != parent.cv or measured(run, parent) != 1.0:
            continue
        switched = not (all_features(run).get(names[0]) and all_features(parent).get(names[0]))
        if switched and names[0] != "selection":  # that one depends on the model, too
            found.add(names[0])
    return found


def worths(notebook: Notebook, family: str) -> dict[str, float]:
    """Block → how much better a run of the family was with it than without, in standard errors; the best of each."""
    found: dict[str, float] = {}
    for run in notebook.of_family(family):
        parent, names = parent_of(notebook, run), changed_blocks(notebook, run)
        if parent is None or len(names) != 1 or run.status == "crash" or notebook.noise <= 0:
            continue
        gains, (name,) = changes(notebook, parent, run), names
        ours, theirs = (all_features(one).get(name) for one in (run, parent))
        if gains and not (ours and theirs):
            worth = fmean(gains) / notebook.noise * (1 if ours else -1)
            found[name] = max(worth, found.get(name, worth))
    return found
