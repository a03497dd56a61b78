"""Hyper-parameters to play next: a step from the best run while little is known, then Optuna's TPE over all runs.

The campaign's own rounds are the trials. One that the gate stopped after its first fold counts by what it lost there,
so a bad trial costs one fold and still teaches.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from agents.offline.notebook import Notebook, Run, fingerprint
from agents.offline.recipe import Recipe, draw

if TYPE_CHECKING:
    import optuna

KNOWN = 10
"""With fewer runs to learn from, what TPE proposes is no nearer to the best than chance, and farther than a step."""
SEEN = 3
"""A param that the best run leaves to the size of the data is asked for once so many runs have set it."""
ASKS = 20
DRAWS = 40

Told = tuple[Run, float]
"""A run and its score, turned so that larger is better."""


def next_params(notebook: Notebook, recipe: Recipe, base: Run) -> dict[str, Any] | None:
    """All params of an experiment like `base`, never played before; None when the space holds no more.

    The same registry, seed and round give the same params.
    """
    told = trials(notebook, recipe, base)
    if len(told) >= KNOWN:
        return asked(notebook, recipe, base, told) or local_step(notebook, recipe, base)
    return local_step(notebook, recipe, base) or asked(notebook, recipe, base, told)


def trials(notebook: Notebook, recipe: Recipe, base: Run) -> list[Told]:
    """The scored runs of the recipe with the features of `base`; with any features when those are too few."""
    found: list[Told] = []
    for run in notebook.runs:
        score = outcome(notebook, base, run) if run.recipe == recipe.name else None
        if score is not None and math.isfinite(score):
            found.append((run, score))
    features = {**recipe.features, **base.features}
    alike = [(run, score) for run, score in found if {**recipe.features, **run.features} == features]
    return alike if len(alike) >= KNOWN else found


def outcome(notebook: Notebook, base: Run, run: Run) -> float | None:
    """The score of a complete run; of one that the gate stopped, that of `base` and the difference on its folds."""
    if run.complete and run.cv is not None:
        return notebook.signed(run.cv)
    if run.status == "crash" or base.cv is None or not (change := changes(notebook, base, run)):
        return None
    return notebook.signed(base.cv) + fmean(change)


def changes(notebook: Notebook, before: Run, after: Run) -> list[float]:
    """By how much `after` is better on each fold that both played, in metric units."""
    pairs = zip(after.folds, before.folds, strict=False)
    return [notebook.signed(new) - notebook.signed(old) for new, old in pairs]


def asked(notebook: Notebook, recipe: Recipe, base: Run, told: Sequence[Told]) -> dict[str, Any] | None:
    """What TPE proposes after the runs told, rounded for reading; None when it only proposes what was played."""
    space = {name: spec for name, spec in sorted(recipe.space.items()) if is_known(recipe, name, base, told)}
    if not space:
        return None
    study, axes = study_of(notebook, recipe), {name: axis(spec) for name, spec in space.items()}
    for run, score in told:
        params = {**recipe.params, **run.params}
        _tell(study, axes, {name: place(spec, params.get(name)) for name, spec in space.items()}, score)
    for _ in range(ASKS):
        proposed = study.ask(axes).params
        values = {name: value_at(spec, proposed[name]) for name, spec in space.items()}
        params = {**recipe.params, **base.params, **values}
        if fingerprint(recipe.name, params, base.features) not in notebook.fingerprints:
            return params
    return None


def is_known(recipe: Recipe, name: str, base: Run, told: Sequence[Told]) -> bool:
    """Whether TPE has something to go by for a param."""
    default = recipe.params.get(name)
    set_by = sum(place(recipe.space[name], run.params.get(name, default)) is not None for run, _ in told)
    return set_by >= (1 if base.params.get(name, default) is not None else SEEN)


def study_of(notebook: Notebook, recipe: Recipe) -> optuna.Study:
    """An empty study in memory, seeded by the campaign, the round and the recipe."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    seed = random.Random(f"{notebook.facts['seed']}/{notebook.round}/{recipe.name}/tpe").getrandbits(32)
    sampler = optuna.samplers.TPESampler(multivariate=True, n_startup_trials=KNOWN, seed=seed)
    return optuna.create_study(sampler=sampler, direction="maximize")


def _tell(study: optuna.Study, axes: dict[str, Any], places: dict[str, Any], score: float) -> None:
    import optuna

    known = {name: value for name, value in places.items() if value is not None}
    kinds = {name: axes[name] for name in known}
    study.add_trial(optuna.trial.create_trial(params=known, distributions=kinds, value=score))


def is_ordered(choices: Sequence[Any]) -> bool:
    """Whether the choices of a list are rising numbers: neighbours are then alike."""
    numbers = all(isinstance(item, int | float) and not isinstance(item, bool) for item in choices)
    return numbers and list(choices) == sorted(choices)


def axis(spec: Any) -> Any:
    """An entry of a space as Optuna's distribution; lists by their places, since a choice may be a list itself."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(spec, list):
        return IntDistribution(0, len(spec) - 1) if is_ordered(spec) else CategoricalDistribution(range(len(spec)))
    kind: Any = IntDistribution if isinstance(spec[0], int) and isinstance(spec[1], int) else FloatDistribution
    return kind(spec[0], spec[1], log=len(spec) == 3)


def place(spec: Any, value: Any) -> Any:
    """Where a value lies on its axis, the nearest place for a number outside of it; None when it has none."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if isinstance(spec, list):
        if value in spec:
            return spec.index(value)
        return min(range(len(spec)), key=lambda i: abs(spec[i] - value)) if number and is_ordered(spec) else None
    if not number:
        return None
    inside = min(spec[1], max(spec[0], value))
    return round(inside) if isinstance(spec[0], int) and isinstance(spec[1], int) else float(inside)


def value_at(spec: Any, where: Any) -> Any:
    """The value at a place of an axis, as `recipe.draw` would round it."""
    if isinstance(spec, list):
        return spec[where]
    return where if isinstance(where, int) else min(spec[1], max(spec[0], float(f"{where:.3g}")))


def local_step(notebook: Notebook, recipe: Recipe, base: Run) -> dict[str, Any] | None:
    """New params near those of `base`, never played before; None when the space holds no more."""
    rng = random.Random(f"{notebook.facts['seed']}/{notebook.round}/{recipe.name}/")
    names = sorted(recipe.space)
    for _ in range(DRAWS if names else 0):
        params = {**recipe.params, **base.params}
        for name in rng.sample(names, rng.randint(1, max(1, (len(names) + 1) // 2))):
            params[name] = step_from(recipe.space[name], params.get(name), rng)
        if fingerprint(recipe.name, params, base.features) not in notebook.fingerprints and params != base.params:
            return params
    return None


def step_from(spec: Any, now: Any, rng: random.Random) -> Any:
    """A value near the present one two times in three, anywhere in the space otherwise."""
    if rng.random() < 1 / 3 or now is None:
        return draw(spec, rng)
    if isinstance(spec, list):
        if now not in spec:
            return rng.choice(spec)
        at = spec.index(now)
        near = [spec[i] for i in (at - 1, at + 1) if 0 <= i < len(spec)]
        return rng.choice(near or spec)
    low, high = spec[0], spec[1]
    if len(spec) == 3 and now > 0:
        fourth = (high / low) ** 0.25
        return draw((type(low)(max(low, now / fourth)), type(high)(min(high, now * fourth)), "log"), rng)
    fourth = (high - low) / 4
    return draw((type(low)(max(low, now - fourth)), type(high)(min(high, now + fourth))), rng)
