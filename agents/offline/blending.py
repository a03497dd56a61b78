"""Which runs are worth blending, and when a new blend is worth a round."""

from __future__ import annotations

from collections.abc import Iterator

from agents.offline import guidance as wishes
from agents.offline.catalogue import RECIPES
from agents.offline.notebook import Notebook, Run
from agents.offline.options import Option

TWINS = 0.995
"""Members of a blend that correlate more than this are the same model to it."""
SAME = 0.9995
"""A new member that correlates as much with the best run can't improve on it."""
MAX_MEMBERS = 20
MOST_EQUAL = 6
"""Of those the best so many where all get the same weight."""


def blend_members(notebook: Notebook) -> list[Run]:
    """The runs worth blending, best first: close to the best, none a twin of a better one, none without a weight."""
    limit = max(12 * notebook.noise, 1e-12)
    chosen: list[Run] = []
    idle = weightless(notebook)
    for run in notebook.members:
        if (
            run.label not in idle
            and notebook.lag(run) <= limit
            and all(correlation(run, other) < TWINS for other in chosen)
        ):
            chosen.append(run)
    return chosen[:MAX_MEMBERS]


def weightless(notebook: Notebook) -> set[str]:
    """The members that got no weight in the last blend: it equals one of the runs that it was made of.

    That stands until something new is kept.
    """
    last = last_blend(notebook)
    if last is None or last.status == "keep" or not last.correlations or abs(last.gain or 0.0) > 0.01 * notebook.noise:
        return set()
    if notebook.best is None or notebook.best.round > last.round:
        return set()
    twin = max(last.correlations, key=lambda label: last.correlations[label])
    if last.correlations[twin] < 0.9999:
        return set()
    used = next((run.params.get("members") for run in notebook.runs if run.label == twin and run.is_blend), None)
    return set(last.params.get("members") or []) - {twin, *(used or [])}


def measured(first: Run, second: Run) -> float | None:
    """The correlation of their out-of-fold predictions, which the referee noted with the later of the two."""
    return first.correlations.get(second.label, second.correlations.get(first.label))


def correlation(first: Run, second: Run) -> float:
    """Measured, or guessed from the families when the referee has no figure."""
    figure = measured(first, second)
    if figure is not None:
        return figure
    if first.family == second.family:
        return 0.99
    return 0.985 if wishes.kind_of(first.family) == wishes.kind_of(second.family) else 0.96


def last_blend(notebook: Notebook) -> Run | None:
    return next((run for run in reversed(notebook.runs) if run.is_blend and run.status != "crash"), None)


def blended_before(notebook: Notebook) -> set[str]:
    """The runs that the last finished blend could draw from."""
    last = last_blend(notebook)
    return {run.label for run in notebook.members if run.round < last.round} if last else set()


def adds_nothing(notebook: Notebook, run: Run) -> bool:
    """Whether it gives the best's predictions again, or is no better and no other than one that got no weight."""
    best = notebook.best
    if best is None or best is run:
        return False
    idle = [other for other in notebook.members if other.label in weightless(notebook)]
    return (measured(run, best) or 0.0) >= SAME or any(
        notebook.lag(run) >= notebook.lag(other) and correlation(run, best) >= correlation(other, best)
        for other in idle
    )


def blends(notebook: Notebook) -> Iterator[Option]:
    """Blends of the diverse members, once there is something new to blend."""
    members = blend_members(notebook)
    old = blended_before(notebook)
    new = [run for run in members if run.label not in old and not adds_nothing(notebook, run)]
    if len(members) < 2 or not new:
        return
    closest = [max(correlation(run, other) for other in members if other is not run) for run in members]
    spread = 1 - sum(closest) / len(closest)
    freshness = 1.0 if not old else 0.4 + 0.6 * len(new) / len(members)
    if old and len(new) < 2 and new[0] is not members[0]:
        freshness *= 0.25  # one more member that is not the best can wait for the next
    shown = f"{'they' if len(members) == 2 else 'closest pairs'} correlate {1 - spread:.4f}"
    shown += " on average" if len(members) > 2 else ""
    labels = sorted(run.label for run in members)
    few = sorted(run.label for run in members[:MOST_EQUAL])
    recipes = [recipe for recipe in RECIPES if recipe.is_blend]
    top = max(recipe.hint(notebook.data) for recipe in recipes)
    for recipe in recipes:
        yield Option(
            recipe=recipe,
            role="blend",
            hypothesis=f"{', '.join(labels)} err differently ({shown})",
            params={**recipe.params, "members": few if recipe.params["weights"] == "equal" else labels},
            features={},
            units=min(2.5, 0.8 + 40 * spread) * freshness * recipe.hint(notebook.data) / top,
            parent=notebook.best.label if notebook.best else None,
        )
