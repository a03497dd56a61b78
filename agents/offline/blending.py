"""Which runs are worth blending, and when a new blend is worth a round."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agents.offline import guidance as wishes
from agents.offline.notebook import Notebook, Run
from agents.offline.options import Option, hint
from agents.offline.recipe import Recipe

TWINS = 0.995
"""Members of a blend that correlate more than this are the same model to it."""
GUESSED_CORRELATION = {"same": 0.99, "boosters": 0.985, "other": 0.96}
MAX_MEMBERS = 12


def blend_members(notebook: Notebook) -> list[Run]:
    """The runs worth blending, best first: close to the best, none a twin of a better one."""
    limit = max(12 * notebook.noise, 1e-12)
    chosen: list[Run] = []
    for run in notebook.members:
        if len(chosen) == MAX_MEMBERS:
            break
        near = not chosen or notebook.lag(run) <= limit
        if near and all(correlation(notebook, run, other) < TWINS for other in chosen):
            chosen.append(run)
    return chosen


def correlation(notebook: Notebook, first: Run, second: Run) -> float:
    """Measured, or guessed from the families when the referee has no figure."""
    measured = notebook.correlation(first, second)
    if measured is not None:
        return measured
    if first.family == second.family:
        return GUESSED_CORRELATION["same"]
    boosters = wishes.kind_of(first.family) == wishes.kind_of(second.family)
    return GUESSED_CORRELATION["boosters" if boosters else "other"]


def blended_before(notebook: Notebook) -> set[str]:
    """The runs that the last finished blend could draw from."""
    last = next((run for run in reversed(notebook.runs) if run.is_blend and run.status != "crash"), None)
    return {run.label for run in notebook.members if run.round < last.round} if last else set()


def blends(notebook: Notebook, playbook: Sequence[Recipe]) -> Iterator[Option]:
    """Blends of the diverse members, once there is something new to blend."""
    members = blend_members(notebook)
    old = blended_before(notebook)
    new = [run for run in members if run.label not in old]
    if len(members) < 2 or not new:
        return
    closest = [max(correlation(notebook, run, other) for other in members if other is not run) for run in members]
    spread = 1 - sum(closest) / len(closest)
    freshness = 1.0 if not old else 0.4 + 0.6 * len(new) / len(members)
    if old and len(new) < 2 and new[0] is not members[0]:
        freshness *= 0.25  # one more member that is not the best can wait for the next
    labels = sorted(run.label for run in members)
    for recipe in playbook:
        if wishes.is_blend(recipe.family) and recipe.applies(notebook.profile, notebook.competition):
            top = max(1e-9, max(hint(notebook, r) for r in playbook if wishes.is_blend(r.family)))
            yield Option(
                recipe=recipe,
                role="blend",
                hypothesis=f"{', '.join(labels)} err differently (closest pairs correlate {1 - spread:.4f} on average)",
                params={**recipe.params, "members": labels},
                features=dict(recipe.features),
                units=min(2.5, 0.8 + 40 * spread) * freshness * hint(notebook, recipe) / top,
                parent=notebook.best.label if notebook.best else None,
            )
