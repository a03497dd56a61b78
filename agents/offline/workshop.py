"""The Builder at work: writes the experiment, has it run, and heals it when it failed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from agents.offline import guidance as wishes
from agents.offline import text
from agents.offline.catalogue import BY_NAME, RECIPES
from agents.offline.notebook import Notebook, fingerprint, read, read_json
from agents.offline.options import Costs, applicable
from agents.offline.recipe import Recipe
from agents.offline.render import STEPS, render, without_idle
from agents.session import Turn

COSTLY = ("rounds", "trees", "bags", "epochs", "max_iter", "most_rows", "components")
"""Params that cost time in proportion."""
BULKY = ("num_leaves", "max_depth", "depth", "max_terms", "max_features", "components", "most_rows", "batch", "bags")
"""Params that cost memory."""
SAFE = ("date_parts", "text_stats", "text_svd")
MEMORY_WORDS = ("memoryerror", "out of memory", "bad_alloc", "cannot allocate")
BAD_NUMBERS = re.compile(r"\b(nan|inf|infinity)\b|not finite")
QUICKER = 0.4
"""The share of the time that the quicker version of an experiment is trusted to take."""
SHARE_OF_LEFT = 0.8
"""Of the time left, what a try after a time-out may be estimated at."""
FALLBACK_TRY = 3
"""From this try on the simplest recipe is played instead."""

MOST_BYTES = 100_000
"""Of an experiment's file."""
SPARED = ("selection", "places", "pixels")
"""Blocks that it may do without."""
LONGEST_HYPOTHESIS = 1000
"""Characters; the whole of it is in the plan."""


@dataclass(frozen=True)
class Blueprint:
    """What goes into one experiment file."""

    recipe: Recipe
    params: dict[str, Any]
    features: dict[str, Any]
    note: str = ""


def build(turn: Turn) -> str:
    """Write experiment.py for the strategy of this turn (healed after a failure) and run it."""
    notebook, strategy = read(turn), turn.facts["strategy"]
    blueprint = draft(notebook, strategy)
    if turn.facts.get("failure"):
        failure = turn.facts["failure"]
        seconds = float(read_json(turn, "scores").get("seconds") or 0.0)
        healed = heal(notebook, blueprint, failure, turn.facts["attempt"], seconds)
        if healed is None:
            return f"FAILED: {text.one_line(failure.get('message', ''), 120)}; nothing fits in the time that is left"
        blueprint = healed
    note = f" ({blueprint.note})" if blueprint.note else ""
    title = f"R{turn.round:02d}: {strategy.get('role', 'improve')} with {blueprint.recipe.title}"
    script = fitting_script(
        replace(blueprint, features=without_idle(blueprint.features, notebook.data)),
        title=title,
        hypothesis=f"{text.one_line(strategy['hypothesis'], LONGEST_HYPOTHESIS)}{note}",
        seed=turn.facts["seed"],
        seconds=strategy.get("fold_seconds"),
    )
    turn.write("experiment.py", script)
    report = turn.tools["run_experiment"]()
    if report["cv"] is not None:
        return f"CV_SCORE={float(report['cv'])!r}"
    return f"FAILED: {text.one_line(report['reason'])}"


def fitting_script(blueprint: Blueprint, **rest: Any) -> str:
    """The experiment, without the first of `SPARED` where it would be larger than the host takes."""
    features, script = dict(blueprint.features), ""
    for name in ("", *SPARED):
        if name:
            features = {**features, name: False}
            rest["hypothesis"] += f" (without {name}: the file would be larger than the host takes)"
        script = render(blueprint.recipe, blueprint.params, features, **rest)
        if len(script.encode()) <= MOST_BYTES:
            break
    return script


def draft(notebook: Notebook, strategy: Mapping[str, Any]) -> Blueprint:
    """The strategy as its recipe reads it; a plan of another player may name only a family, or nothing known."""
    recipe = recipe_of(notebook, strategy)
    params = {k: v for k, v in (strategy.get("params") or {}).items() if k in {**recipe.params, **recipe.space}}
    switches = {k: v for k, v in (strategy.get("features") or {}).items() if k in STEPS}
    return Blueprint(recipe, {**recipe.params, **params}, {**recipe.features, **switches})


def recipe_of(notebook: Notebook, strategy: Mapping[str, Any]) -> Recipe:
    """The recipe of that name, else the first of that family, of a similar name, or that fits best."""
    name, family = str(strategy.get("recipe")), str(strategy["family"])
    if name in BY_NAME:
        return BY_NAME[name]
    keys = wishes.keys_of(f"{family} {name}")
    fitting = applicable(notebook)
    ranked = sorted(RECIPES, key=lambda recipe: recipe not in fitting)
    of_family = [recipe for recipe in ranked if recipe.family == family]
    alike = [recipe for recipe in ranked if wishes.keys_of(recipe.family) & keys]
    return [*of_family, *alike, *fitting, *ranked][0]


def heal(
    notebook: Notebook, broken: Blueprint, failure: Mapping[str, Any], attempt: int, seconds: float = 0.0
) -> Blueprint | None:
    """Another experiment after a failure: smaller, quicker, safer or plainer, and the simplest recipe at last.

    None when a time-out, after `seconds`, leaves no time for anything quicker.
    """
    if diagnose(failure) == "timeout":
        return quicker(notebook, broken, int(failure.get("fold") or 1), attempt, seconds)
    if attempt >= FALLBACK_TRY:
        return simplest(notebook, broken)
    kind, bare = diagnose(failure), replace(broken, features=plain(broken))
    if kind == "memory":
        note = "after a lack of memory: a smaller model, no added features"
        return replace(bare, params=shrink(broken, BULKY, 0.4), note=note)
    if kind == "output":
        params = {**broken.params, **({"target": "raw"} if "target" in broken.params else {})}
        return replace(bare, params=params, note="after unusable predictions: plain features and target")
    if broken.features != bare.features:
        return replace(bare, note="after a crash: without the added features")
    if broken.params != broken.recipe.params:
        return replace(broken, params=dict(broken.recipe.params), note="after a crash: the recipe's own params")
    return simplest(notebook, broken)


def quicker(notebook: Notebook, broken: Blueprint, fold: int, attempt: int, seconds: float) -> Blueprint | None:
    """The same with fewer rounds, else another recipe that is clearly cheaper; None when neither fits in the time."""
    costs = Costs(notebook)
    costs.note_failure(broken.recipe, broken.params, seconds, fold)
    before = costs.estimate(broken.recipe, broken.params)
    room = SHARE_OF_LEFT * min(notebook.limit("seconds_left"), notebook.limit("experiment_seconds"))
    params = faster(shrink(broken, COSTLY, 0.3))
    if attempt < FALLBACK_TRY and params != broken.params and QUICKER * before <= room:
        note = "after a time-out: fewer rounds, no added features"
        return replace(broken, params=params, features=plain(broken), note=note)
    other = simplest(notebook, broken, costs)
    cost = costs.estimate(other.recipe, other.params)
    return other if other.recipe is not broken.recipe and cost <= min(room, before / 2) else None


def diagnose(failure: Mapping[str, Any]) -> str:
    """memory | timeout | output | crash, from the referee's kind and the last lines of the log."""
    kind = failure["kind"]
    tail = f"{failure.get('message', '')} {failure.get('tail', '')}".lower()
    if kind == "memory" or any(word in tail for word in MEMORY_WORDS):
        return "memory"
    if kind == "timeout" or "timed out" in tail:
        return "timeout"
    if kind == "output" or BAD_NUMBERS.search(tail):
        return "output"
    return "crash"


def shrink(broken: Blueprint, names: tuple[str, ...], factor: float) -> dict[str, Any]:
    """Scale the whole-number params of these names, never below 1."""
    params = dict(broken.params)
    for name in names:
        value = params.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 1:
            params[name] = max(1, math.floor(value * factor))
        elif name == "bags" and name in {**broken.recipe.params, **broken.recipe.space}:
            params[name] = 1
    return params


def faster(params: dict[str, Any]) -> dict[str, Any]:
    """A larger learning rate, for fewer rounds."""
    rate = params.get("learning_rate")
    if "rounds" in params and isinstance(rate, float):
        return {**params, "learning_rate": min(0.3, 2.5 * rate)}
    return params


def plain(broken: Blueprint) -> dict[str, Any]:
    """Every feature switch off, but for those without which a text or a date would not be seen at all."""
    return {name: value if name in SAFE else False for name, value in broken.features.items()}


def simplest(notebook: Notebook, broken: Blueprint, costs: Costs | None = None) -> Blueprint:
    """The cheapest other recipe that fits and has not crashed here, one that was not played before if there is any."""
    costs = costs or Costs(notebook)
    crashed = {run.recipe for run in notebook.runs if run.status == "crash"} | {broken.recipe.name}
    pool = [recipe for recipe in applicable(notebook) if recipe.name not in crashed]
    if not pool:
        params = dict(broken.recipe.params)
        return replace(broken, params=params, features=plain(broken), note="nothing simpler fits")

    def order(recipe: Recipe) -> tuple[bool, float, str]:
        played = fingerprint(recipe.name, recipe.params, recipe.features) in notebook.fingerprints
        return played, costs.estimate(recipe, recipe.params), recipe.name

    recipe = min(pool, key=order)
    note = f"after {broken.recipe.name} failed: the simplest recipe that fits"
    return Blueprint(recipe, dict(recipe.params), dict(recipe.features), note)
