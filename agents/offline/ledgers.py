"""What the registry teaches: gains by role and family, calibration, time per kept gain, failed repeats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

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

    @property
    def seconds_per_keep(self) -> float | None:
        return self.seconds / self.kept if self.kept else None

    @property
    def calibration(self) -> float | None:
        """Real over expected gain; None when nothing was expected."""
        return self.gain / self.expected if self.expected > 0 else None


def tally(runs: Sequence[Run], key: str) -> list[Tally]:
    """Group runs by an attribute ("role", "family"), most productive group first."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(getattr(run, key), []).append(run)
    tallies = [_tally(name, group) for name, group in groups.items()]
    return sorted(tallies, key=lambda item: (-item.gain, -item.kept, item.name))


def total(runs: Sequence[Run]) -> Tally:
    return _tally("all", list(runs))


def _tally(name: str, runs: list[Run]) -> Tally:
    return Tally(
        name=name,
        runs=len(runs),
        kept=sum(run.status == "keep" for run in runs),
        crashed=sum(run.status == "crash" for run in runs),
        gain=sum(kept_gain(run) for run in runs),
        expected=sum(run.expected for run in runs),
        seconds=sum(run.seconds for run in runs),
    )


def kept_gain(run: Run) -> float:
    """What a run added to the best score: its gain when it was kept, else nothing."""
    return max(0.0, run.gain or 0.0) if run.status == "keep" else 0.0


def credits(notebook: Notebook) -> dict[str, float]:
    """Run → the gain it brought: its own, and its share of half of the next kept blend's gain."""
    found = {run.label: kept_gain(run) for run in notebook.runs}
    waiting: list[str] = []
    for run in notebook.runs:
        if not run.is_blend:
            waiting += [run.label] if run.complete else []
            continue
        for label in waiting:
            found[label] += kept_gain(run) / 2 / len(waiting)
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


def repeats(runs: Sequence[Run]) -> list[tuple[Run, int]]:
    """Configurations that were played more than once, with their counts."""
    counts = Counter(run.fingerprint for run in runs)
    first = {run.fingerprint: run for run in reversed(runs)}
    return [(first[mark], count) for mark, count in counts.items() if count > 1]
