"""The Builder at work: writes the experiment, has it run, and heals it when it failed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.offline import guidance as wishes
from agents.offline import text
from agents.offline.costs import Costs
from agents.offline.names import NAMES, RECIPES
from agents.offline.notebook import Notebook, fingerprint, read
from agents.offline.options import applicable, hint
from agents.offline.playbook import render
from agents.offline.recipe import Recipe
from agents.session import Turn

COSTLY = ("rounds", "trees", "bags", "epochs", "max_iter", "most_rows", "components")
"""Params that cost time in proportion."""
BULKY = ("num_leaves", "max_depth", "depth", "max_terms", "max_features", "components", "most_rows", "batch", "bags")
"""Params that cost memory."""
SAFE = ("date_parts", "text_stats", "text_svd")
FALLBACK_TRY = 3
"""From this try on the simplest recipe is played instead."""


@dataclass(frozen=True)
class Blueprint:
    """What goes into one experiment file."""

    recipe: Recipe
    params: dict[str, Any]
    features: dict[str, Any]
    note: str = ""


def build(turn: Turn) -> str:
    """Write experiment.py for the strategy of this turn (healed after a failure) and run it."""
    notebook = read(turn, NAMES)
    strategy = dict(turn.facts.get("strategy") or {})
    blueprint = draft(notebook, strategy)
    failure = turn.facts.get("failure")
    if failure:
        blueprint = heal(notebook, blueprint, failure, int(turn.facts.get("attempt") or 2))
    title = f"R{turn.round:02d}: {strategy.get('role', 'improve')} with {blueprint.recipe.title}"
    hypothesis = str(strategy.get("hypothesis") or "the plan states none")
    hypothesis += f" ({blueprint.note})" if blueprint.note else ""
    script = render(
        blueprint.recipe, blueprint.params, blueprint.features, title=title, hypothesis=hypothesis, seed=notebook.seed
    )
    turn.write("experiment.py", script)
    report = turn.tools["run_experiment"]()
    if report.get("cv") is not None:
        return f"CV_SCORE={float(report['cv'])!r}"
    return f"FAILED: {text.one_line(str(report.get('reason') or report.get('status') or 'no score'))}"


def draft(notebook: Notebook, strategy: Mapping[str, Any]) -> Blueprint:
    """The strategy as its recipe reads it; a plan of another player may name only a family, or nothing known."""
    recipe = _recipe_of(notebook, strategy)
    params = _known(strategy.get("params"), {**recipe.params, **recipe.space})
    if wishes.is_blend(recipe.family) and "members" not in recipe.params:
        params.pop("members", None)
    return Blueprint(recipe, {**recipe.params, **params}, {**recipe.features, **_switches(strategy.get("features"))})


def _recipe_of(notebook: Notebook, strategy: Mapping[str, Any]) -> Recipe:
    name, family = str(strategy.get("recipe")), str(strategy.get("family"))
    fitting = applicable(notebook, RECIPES) or list(RECIPES)
    tests: list[Callable[[Recipe], bool]] = [
        lambda recipe: recipe.name == name,
        lambda recipe: recipe.family == family,
        lambda recipe: bool(wishes.keys_of(recipe.family) & wishes.keys_of(f"{family} {name}")),
    ]
    for test in tests:
        found = [recipe for recipe in [*fitting, *RECIPES] if test(recipe)]
        if found:
            return found[0]
    return max(fitting, key=lambda recipe: hint(notebook, recipe))


def _known(given: Any, allowed: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in dict(given or {}).items() if name in allowed}


def _switches(given: Any) -> dict[str, Any]:
    known = {name for recipe in RECIPES for name in [*recipe.features, *recipe.feature_space]}
    return {name: value for name, value in dict(given or {}).items() if name in known}


def heal(notebook: Notebook, broken: Blueprint, failure: Mapping[str, Any], attempt: int) -> Blueprint:
    """Another experiment after a failure: smaller, quicker, safer or plainer, and the simplest recipe at last."""
    kind = diagnose(failure)
    if attempt >= FALLBACK_TRY:
        return simplest(notebook, broken)
    if kind == "memory":
        params = shrink(broken, BULKY, 0.4)
        return Blueprint(
            broken.recipe, params, plain(broken), "after a lack of memory: a smaller model, no added features"
        )
    if kind == "timeout":
        params = shrink(broken, COSTLY, 0.3)
        params = _faster(broken.recipe, params)
        return Blueprint(broken.recipe, params, plain(broken), "after a time-out: fewer rounds, no added features")
    if kind == "output":
        params = {**broken.params, **({"target": "raw"} if "target" in broken.params else {})}
        return Blueprint(broken.recipe, params, plain(broken), "after unusable predictions: plain features and target")
    if broken.features != plain(broken):
        return Blueprint(broken.recipe, broken.params, plain(broken), "after a crash: without the added features")
    if broken.params != dict(broken.recipe.params):
        return Blueprint(
            broken.recipe, dict(broken.recipe.params), broken.features, "after a crash: the recipe's own params"
        )
    return simplest(notebook, broken)


def diagnose(failure: Mapping[str, Any]) -> str:
    """memory | timeout | output | crash, from the referee's kind and the last lines of the log."""
    kind = str(failure.get("kind") or "")
    tail = f"{failure.get('message', '')} {failure.get('tail', '')}".lower()
    if kind == "memory" or any(
        word in tail for word in ("memoryerror", "out of memory", "bad_alloc", "cannot allocate")
    ):
        return "memory"
    if kind == "timeout" or "timed out" in tail:
        return "timeout"
    if kind == "output" or any(word in tail for word in ("nan", "infinity", "not finite", "contains inf")):
        return "output"
    return "crash"


def shrink(broken: Blueprint, names: Sequence[str], factor: float) -> dict[str, Any]:
    """Scale the whole-number params of these names, never below 1."""
    params = dict(broken.params)
    for name in names:
        value = params.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 1:
            params[name] = max(1, math.floor(value * factor))
        elif name == "bags" and name in {**broken.recipe.params, **broken.recipe.space}:
            params[name] = 1
    return params


def _faster(recipe: Recipe, params: dict[str, Any]) -> dict[str, Any]:
    rate = params.get("learning_rate")
    if "rounds" in params and isinstance(rate, float):
        return {**params, "learning_rate": min(0.3, 2.5 * rate)}
    return params


def plain(broken: Blueprint) -> dict[str, Any]:
    """Every feature switch off, but for those without which a text or a date would not be seen at all."""
    return {name: value if name in SAFE else False for name, value in broken.features.items()}


def simplest(notebook: Notebook, broken: Blueprint) -> Blueprint:
    """The cheapest other recipe that fits and has not crashed here, one that was not played before if there is any."""
    costs = Costs(notebook, RECIPES)
    crashed = {run.recipe for run in notebook.runs if run.status == "crash"} | {broken.recipe.name}
    pool = [recipe for recipe in applicable(notebook, RECIPES) if recipe.name not in crashed]
    if not pool:
        return Blueprint(broken.recipe, dict(broken.recipe.params), plain(broken), "nothing simpler fits")

    def order(recipe: Recipe) -> tuple[bool, float, str]:
        played = fingerprint(recipe.name, recipe.params, recipe.features) in notebook.fingerprints
        return played, costs.estimate(recipe, recipe.params), recipe.name

    recipe = min(pool, key=order)
    note = f"after {broken.recipe.name} failed: the simplest recipe that fits"
    return Blueprint(recipe, dict(recipe.params), dict(recipe.features), note)
