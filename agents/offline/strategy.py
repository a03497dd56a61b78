"""Which option to play: value for time, with priors corrected by what this campaign measured."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from math import ceil, isfinite

from agents.offline.catalogue import BY_NAME
from agents.offline.ledgers import calibration
from agents.offline.moves import all_options
from agents.offline.notebook import Notebook
from agents.offline.options import STUCK, Costs, Option, turns
from agents.offline.published import prior

OVERHEAD = 20.0
"""Seconds that a round costs besides its experiment, where time is long: reading, and the risk of a slow fold."""
LONG = 3600.0
"""From so many seconds left on, time is long."""
SHARE_OF_CAP = 0.8
"""An option that would fill more of an experiment's time limit than this is not started."""
SHARE_OF_LEFT = 0.8
"""Nor one of a family never measured here that would take more of the campaign's remaining time."""
SHARE_MEASURED = 0.9
"""Nor one of a family that was measured."""
SHARE_BEFORE_A_SCORE = 0.1
"""While there is no score at all, quick options come first: a good answer early, and a clock for the estimates."""
ALLOTTED = 0.95
"""Of the time left, what an experiment may take before its fits are brought to an end: a fit cut short is worth little,
so that is for estimates that were far off."""
ALLOTTED_FIRST = 0.1
"""The same before there is any score: a valid submission stands after a tenth of the time."""
MANY_ROWS = 100_000
"""From so many on a part of the rows teaches nearly as much as all."""
HURRIED = 0.5
"""The share of its time limit that a booster is given which would take longer."""
LONE = 0.3
"""The share of its worth that a lone model shows at once against a blend; the next blend shows the rest."""
PLANNED_ROUNDS = 12
PLANNED_ROUNDS_SHORT = 20
LAST_CALL = 100.0
GUIDED = 1000.0
"""A wish of the guidance outweighs every estimate."""


@dataclass
class Choice:
    """What to play, what else there was, and why the rest was refused."""

    chosen: list[Option] = field(default_factory=list)
    others: list[Option] = field(default_factory=list)
    refused: list[tuple[Option, str]] = field(default_factory=list)


def choose(notebook: Notebook, count: int = 1, banned: Collection[str] = (), cap: float = float("inf")) -> Choice:
    """The `count` best options of different families; `banned` are fingerprints, `cap` is a limit on cost in seconds.

    Always chooses something when any recipe applies: when all options are refused, the cheapest of them is played.
    """
    choice = Choice()
    notebook = _own_share(notebook, min(count, notebook.facts["strategies"]))
    costs = Costs(notebook)
    reserve = blend_reserve(notebook, costs)
    options = [appraise(notebook, option, costs) for option in all_options(notebook)]
    for option in sorted(options, key=lambda item: (-item.value, item.cost, item.fingerprint)):
        limit = min(time_limit(notebook, option, reserve), cap)
        option = _hurried(notebook, option, limit)
        why = refusal(notebook, option, limit, banned)
        if why:
            choice.refused.append((option, why))
        elif len(choice.chosen) < count and option.recipe.family not in {done.recipe.family for done in choice.chosen}:
            choice.chosen.append(option)
        else:
            choice.others.append(option)
    while len(choice.chosen) < count and choice.others:
        choice.chosen.append(choice.others.pop(0))
    if not choice.chosen and choice.refused:
        _fall_back(notebook, choice, banned)
    choice.chosen = [_timed(notebook, option, reserve) for option in choice.chosen]
    return choice


def _own_share(notebook: Notebook, count: int) -> Notebook:
    """The notebook of one among `count` strategies: those that wait for each other share the time left."""
    queue, left = ceil(count / notebook.facts.get("strategies_at_once", 1)), notebook.limit("seconds_left")
    if queue == 1 or not isfinite(left):
        return notebook
    return replace(notebook, facts={**notebook.facts, "seconds_left": left / queue})


def _fall_back(notebook: Notebook, choice: Choice, banned: Collection[str]) -> None:
    """Everything was refused: time still lets us play, so take the cheapest of the options that break no wish."""
    allowed = [item for item in choice.refused if not item[1].startswith("guidance")] or choice.refused
    pool = [item for item in allowed if item[0].fingerprint not in banned] or allowed
    bold = [item for item in pool if item[0].role == "bold"] if notebook.facts.get("force_bold") else []
    broken, left = {run.recipe for run in notebook.runs if run.status == "crash"}, notebook.limit("seconds_left")

    def order(pair: tuple[Option, str]) -> tuple[bool, bool, float, str]:
        option = pair[0]
        return option.cost > SHARE_OF_LEFT * left, option.recipe.name in broken, option.cost, option.fingerprint

    item = min(bold or pool, key=order)
    choice.refused.remove(item)
    choice.chosen.append(item[0])


def blend_reserve(notebook: Notebook, costs: Costs) -> float:
    """Seconds kept for the last act, a blend, once there is something to blend."""
    if not notebook.members or "blend" in notebook.guidance.banned_roles:
        return 0.0
    return 3.0 + 1.3 * costs.estimate(BY_NAME["blend_weights"], {})


def time_limit(notebook: Notebook, option: Option, reserve: float) -> float:
    """The most seconds an experiment may be estimated at, from its own limit and the campaign's remaining time."""
    cap, left = notebook.limit("experiment_seconds"), notebook.limit("seconds_left")
    if not notebook.scored:
        return max(1.0, min(SHARE_OF_CAP * cap, SHARE_BEFORE_A_SCORE * left))
    if option.recipe.is_blend:
        return max(1.0, min(SHARE_OF_CAP * cap, left - 5.0))
    known = any(run.complete for run in notebook.of_family(option.recipe.family))
    return max(1.0, min(SHARE_OF_CAP * cap, (SHARE_MEASURED if known else SHARE_OF_LEFT) * (left - reserve)))


def _timed(notebook: Notebook, option: Option, reserve: float) -> Option:
    """The option with the seconds after which each fold's fits come to an end; none where time is no matter."""
    left = notebook.limit("seconds_left")
    if option.recipe.is_blend or left > LONG or option.fold_seconds:
        return option
    allotted = max(5.0, (ALLOTTED if notebook.scored else ALLOTTED_FIRST) * (left - reserve))
    return replace(option, fold_seconds=round(allotted / turns(notebook), 1))


def _hurried(notebook: Notebook, option: Option, limit: float) -> Option:
    """On many rows a booster that would take too long learns from a part of them, in half of what it may take."""
    many = notebook.data.rows >= MANY_ROWS and "patience" in option.recipe.params
    if not many or option.cost <= limit or notebook.limit("seconds_left") > LONG:
        return option
    fold_seconds = HURRIED * limit / turns(notebook)
    recipe = replace(option.recipe, features={**option.recipe.features, **option.features})
    if recipe.reading(notebook.data) >= 0.5 * fold_seconds:
        return option
    return replace(option, cost=HURRIED * limit, fold_seconds=round(fold_seconds, 1))


def refusal(notebook: Notebook, option: Option, limit: float, banned: Collection[str]) -> str:
    """Why an option may not be played now; "" when it may."""
    if notebook.facts.get("force_bold") and option.role != "bold":
        return "a bold round is due"
    if option.fingerprint in banned:
        return "the review sent it back"
    if option.role in notebook.guidance.banned_roles:
        return f"guidance: no {option.role}"
    if option.cost > limit:
        return f"would take {option.cost:.0f} s, {limit:.0f} s are left for a round"
    asked = "tune" in notebook.guidance.roles
    if option.role == "tune" and not asked and tuning_is_stale(notebook, option.recipe.family):
        return "two tunings in a row brought nothing"
    return ""


def tuning_is_stale(notebook: Notebook, family: str) -> bool:
    """Two tunings of the family in a row without a keep, and nothing else was kept since."""
    tunes = [run for run in notebook.of_family(family) if run.role == "tune"][-2:]
    if len(tunes) < 2 or any(run.status == "keep" for run in tunes):
        return False
    return notebook.round - tunes[-1].round <= 6


def appraise(notebook: Notebook, option: Option, costs: Costs) -> Option:
    """Fill in gain (metric units), cost (seconds) and value (gain for time)."""
    units = option.units * calibration(notebook, option.role)
    cost = costs.estimate(option.recipe, option.params)
    last = option.role == "blend" and is_last_call(notebook)
    urgency = LAST_CALL if last else wish(notebook, option)
    by = "in guidance.md" if notebook.guidance.understood else "by the review"
    asked = f"asked for {by}" if urgency >= GUIDED else "the last call for a blend" if last else ""
    value = units / slowness(notebook, cost) * urgency * prior(notebook, option)
    if option.role == "blend" and not last:
        value *= patience(notebook, cost)
    lone = notebook.blend_leads and option.role != "blend"
    return replace(option, gain=units * notebook.noise * (LONE if lone else 1.0), cost=cost, value=value, asked=asked)


def slowness(notebook: Notebook, cost: float) -> float:
    """By how much the time that an option takes lessens its value."""
    left = notebook.limit("seconds_left")
    if left > LONG:
        return float((1 + (OVERHEAD + cost) / 60) ** time_pressure(notebook, cost))
    if not notebook.runs:
        return 1.0 + cost**2
    return float((1 + PLANNED_ROUNDS_SHORT * (3.0 + cost) / max(left, 1.0)) ** 0.6)


def time_pressure(notebook: Notebook, cost: float) -> float:
    """The exponent of time in the value: it grows with the rounds' worth of time that an option takes.

    The first round wants a quick score to beat, so time weighs more there.
    """
    if not notebook.runs:
        return 0.5
    rounds = min(PLANNED_ROUNDS, notebook.limit("rounds_left"))
    share = notebook.limit("seconds_left") / max(1.0, rounds)
    return 0.2 + 0.8 * min(1.0, cost / max(3 * share, 1.0))


def patience(notebook: Notebook, cost: float) -> float:
    """A blend that takes much of the time left waits to be the last act: it gets better with every member.

    Not for long, though: a campaign ends when nothing was kept for many rounds, and blends are what is kept.
    """
    if notebook.stuck >= STUCK:
        return 3.0
    return 1.0 if cost < 0.03 * notebook.limit("seconds_left") else 0.02


def is_last_call(notebook: Notebook) -> bool:
    """Whether this may be the last round: what was collected has to be blended now or never."""
    return notebook.limit("rounds_left") <= 1


def wish(notebook: Notebook, option: Option) -> float:
    """How strongly the guidance asks for this option, as a factor of its value.

    A family is asked for until one round has played it, and favoured from then on; with "next" that round ends it.
    """
    factors = [1.0]
    for asked in notebook.guidance.wishes:
        if asked.is_once and notebook.did(asked):
            continue
        named = asked.names(option.recipe.family, option.recipe.name)
        played = [run for run in notebook.runs if asked.names(run.family, run.recipe)]
        fresh = not played or (option.role == asked.role and all(run.recipe != option.recipe.name for run in played))
        first = named and option.role != "bold" and (fresh if asked.role else notebook.did(asked) is None)
        lately = _often_lately(notebook, option.role)
        role = asked.role == option.role and (named or not asked.families) and not lately
        factors.append(GUIDED if role or first else 1.5 if named else 1.0)
    return max(factors)


def _often_lately(notebook: Notebook, role: str) -> bool:
    """A standing wish for a role is followed for three rounds, then value decides again for a while."""
    recent = [run for run in notebook.runs if run.round >= notebook.round - 5]
    return sum(run.role == role for run in recent) >= (1 if role in ("blend", "bold") else 3)
