"""What the registry teaches: gains by role and family, calibration, time per kept gain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agents.offline import text
from agents.offline.notebook import Notebook, Run


@dataclass(frozen=True)
class Tally:
    """The record of a group of runs; gains in metric units, seconds of wall clock."""

    name: str
    runs: int
    kept: int
    crashed: int
    gain: float
    expected: float
    seconds: float


def tally(runs: Sequence[Run], key: str) -> list[Tally]:
    """Group runs by an attribute ("role", "family"), most productive group first."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(getattr(run, key), []).append(run)
    tallies = [total(group, name) for name, group in groups.items()]
    return sorted(tallies, key=lambda item: (-item.gain, -item.kept, item.name))


def total(runs: Sequence[Run], name: str = "all") -> Tally:
    return Tally(
        name=name,
        runs=len(runs),
        kept=sum(run.status == "keep" for run in runs),
        crashed=sum(run.status == "crash" for run in runs),
        gain=sum(run.kept_gain for run in runs),
        expected=sum(run.expected for run in runs),
        seconds=sum(run.seconds for run in runs),
    )


def table(runs: Sequence[Run], key: str) -> str:
    """The groups as a Markdown table."""
    rows = [
        (item.name, str(item.runs), str(item.kept), text.signed(item.gain), text.duration(item.seconds))
        for item in tally(runs, key)
    ]
    return text.table((key, "runs", "kept", "gain", "time"), rows)


def credits(notebook: Notebook) -> dict[str, float]:
    """Run → the gain it brought: its own, and its share of half of the next kept blend's gain."""
    found = {run.label: run.kept_gain for run in notebook.runs}
    waiting: list[str] = []
    for run in notebook.runs:
        if not run.is_blend:
            waiting += [run.label] if run.complete else []
            continue
        for label in waiting:
            found[label] += run.kept_gain / 2 / len(waiting)
        waiting = []
    return found


def calibration(notebook: Notebook, role: str) -> float:
    """By how much to scale an expectation of this role, from this campaign's own record.

    Shrunk towards 1 by four rounds' worth of belief, kept within 0.1 … 3.
    """
    runs = [run for run in notebook.runs if run.role == role and run.status != "crash" and run.expected > 0]
    if not runs:
        return 1.0
    belief = 4 * sum(run.expected for run in runs) / len(runs)
    earned = credits(notebook)
    ratio = (sum(earned[run.label] for run in runs) + belief) / (sum(run.expected for run in runs) + belief)
    return min(3.0, max(0.1, ratio))
