"""The campaign as the offline policy sees it: one read of its files at the start of a turn.

Nothing here writes. A file that is missing or torn reads as empty, because a policy without memory still plays.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

from agents.offline import guidance as wishes
from agents.session import Turn

MINIMIZED = ("rmse", "rmsle", "mse", "mae", "mape", "smape", "logloss", "log_loss", "brier", "error", "loss", "pinball")
"""Parts of the names of metrics that are better when smaller, for a campaign that does not say."""


@dataclass(frozen=True)
class Run:
    """One experiment of the registry; scores are in metric units, `seconds` are wall clock of all folds."""

    label: str
    round: int
    variant: int
    family: str
    recipe: str
    role: str
    status: str
    reason: str
    hypothesis: str
    expected: float
    gain: float | None
    cv: float | None
    se: float | None
    folds: tuple[float, ...]
    params: dict[str, Any]
    features: dict[str, Any]
    parent: str | None
    correlations: dict[str, float]
    complete: bool
    seconds: float
    submitted: bool
    lb: float | None

    @property
    def is_blend(self) -> bool:
        return self.role == "blend" or wishes.is_blend(self.family)

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.recipe, self.params, self.features)


@dataclass(frozen=True)
class Notebook:
    """Everything that decides: profile, registry, notes and wishes."""

    round: int
    seed: int
    competition: dict[str, Any]
    profile: dict[str, Any]
    runs: tuple[Run, ...]
    learnings: str
    knowledge: dict[str, str]
    guidance: wishes.Guidance
    facts: Mapping[str, Any]

    @cached_property
    def maximize(self) -> bool:
        """Whether a larger score is better: as the facts or the config say, else as the registry's gains show."""
        for value in (self.facts.get("maximize"), self.competition.get("maximize")):
            if isinstance(value, bool):
                return value
        best: Run | None = None
        for run in self.runs:
            if best and run.gain and run.cv is not None and best.cv is not None and run.cv != best.cv:
                return (run.cv > best.cv) == (run.gain > 0)
            best = run if run.status == "keep" else best
        name = str(self.competition.get("metric", "")).lower()
        return not any(part in name for part in MINIMIZED)

    @cached_property
    def best(self) -> Run | None:
        """The last kept run: every keep beat the best before it."""
        return next((run for run in reversed(self.runs) if run.status == "keep"), None)

    @cached_property
    def scored(self) -> tuple[Run, ...]:
        """Rounds that went through all folds and have a score, best first (no losers of parallel rounds)."""
        found = [run for run in self.runs if run.complete and run.cv is not None and "_v" not in run.label]
        return tuple(sorted(found, key=lambda run: (-self.signed(run.cv), run.label)))

    @cached_property
    def members(self) -> tuple[Run, ...]:
        """What a blend can draw from: complete runs that are no blends themselves, best first."""
        return tuple(run for run in self.scored if not run.is_blend)

    @cached_property
    def noise(self) -> float:
        """One standard error of a score here, in metric units; 0.0 before anything was measured."""
        errors = [run.se for run in self.scored if run.se]
        return median(errors) if errors else 0.0

    @cached_property
    def fingerprints(self) -> frozenset[str]:
        return frozenset(run.fingerprint for run in self.runs)

    @property
    def rows(self) -> int:
        """Rows of the training table."""
        return int(self.profile.get("rows_train") or 1000)

    @property
    def stuck(self) -> int:
        """Rounds since the last keep."""
        last = self.best.round if self.best else 0
        return len({run.round for run in self.runs if run.round > last})

    def signed(self, cv: float | None) -> float:
        """A score turned so that larger is better."""
        if cv is None:
            return float("-inf")
        return cv if self.maximize else -cv

    def lag(self, run: Run) -> float:
        """How far a scored run is behind the best single scored run, in metric units (≥ 0)."""
        return max(0.0, self.signed(self.members[0].cv) - self.signed(run.cv)) if self.members else 0.0

    def of_family(self, family: str) -> list[Run]:
        return [run for run in self.runs if run.family == family]

    def tries_without_gain(self, family: str, role: str = "tune") -> int:
        """How many times in a row, up to now, this family was played in this role and not kept."""
        tries = [run for run in self.runs if run.family == family and run.role == role]
        count = 0
        for run in reversed(tries):
            if run.status == "keep":
                break
            count += 1
        return count

    def correlation(self, first: Run, second: Run) -> float | None:
        """Of their out-of-fold predictions, as the referee measured it; None when it did not."""
        older, newer = sorted((first, second), key=lambda run: (run.round, run.variant))
        value = newer.correlations.get(older.label)
        return value if value is not None else older.correlations.get(newer.label)

    def number(self, name: str, default: float) -> float:
        """A numeric fact; None and missing read as the default."""
        value = self.facts.get(name)
        return float(value) if isinstance(value, int | float) else default


def fingerprint(recipe: str, params: Mapping[str, Any], features: Mapping[str, Any]) -> str:
    """The identity of a configuration: equal ones would give equal out-of-fold predictions."""
    return json.dumps([recipe, params, features], sort_keys=True, default=str)


def read(turn: Turn, names: Iterable[str] = ()) -> Notebook:
    """Read the campaign's files from `turn.needs`, or from their usual places; `names` as in guidance.parse."""
    config = read_json(turn.campaign / "config.json")
    competition = turn.facts.get("competition") or config.get("competition") or {}
    seed = turn.facts.get("seed", config.get("cv", {}).get("seed", 0))
    registry = read_json(_place(turn, "registry", "experiments.json"))
    return Notebook(
        round=turn.round,
        seed=int(seed),
        competition=dict(competition),
        profile=flattened(read_json(_place(turn, "profile", "rounds/R00_profile.json"))),
        runs=tuple(runs_of(registry.get("experiments", []))),
        learnings=read_text(_place(turn, "learnings", "LEARNINGS.md")),
        knowledge=_knowledge(turn, config.get("knowledge_files", [])),
        guidance=wishes.parse(read_text(_place(turn, "guidance", "guidance.md")), names),
        facts=turn.facts,
    )


def flattened(profile: dict[str, Any]) -> dict[str, Any]:
    """The profile with the sizes that the playbook asks for at its top: rows, levels of columns, length of texts."""
    rows, details = profile.get("rows"), profile.get("column_details")
    rows = rows if isinstance(rows, dict) else {}
    details = details if isinstance(details, dict) else {}
    lengths = [((item.get("characters") or {}).get("mean") or 0.0) for item in details.values()]
    found = {
        "rows_train": rows.get("train"),
        "rows_test": rows.get("test"),
        "cardinalities": {name: item.get("distinct") for name, item in details.items()},
        "text": {"mean_length": max(lengths, default=0.0)},
    }
    return {**found, **profile}


def runs_of(entries: Iterable[Mapping[str, Any]]) -> list[Run]:
    """The registry's entries as runs, the losers of parallel rounds too, in the order they were played."""
    runs: list[Run] = []
    for entry in entries:
        runs.append(_run(entry, winner=True))
        runs.extend(_run({**entry, "variants": [], **loser}, winner=False) for loser in entry.get("variants") or [])
    return runs


def _run(entry: Mapping[str, Any], *, winner: bool) -> Run:
    number, variant = int(entry.get("round", 0)), int(entry.get("variant") or 0)
    label = f"R{number:02d}" if winner or not variant else f"R{number:02d}_v{variant}"
    return Run(
        label=label,
        round=number,
        variant=variant,
        family=str(entry.get("family") or "unknown"),
        recipe=str(entry.get("recipe") or ""),
        role=str(entry.get("role") or ""),
        status=str(entry.get("status") or "crash"),
        reason=str(entry.get("reason") or ""),
        hypothesis=str(entry.get("hypothesis") or ""),
        expected=float(entry.get("expected_gain") or 0.0),
        gain=_float(entry.get("gain")),
        cv=_float(entry.get("cv")),
        se=_float(entry.get("se")),
        folds=tuple(float(score) for score in entry.get("fold_scores") or [] if score is not None),
        params=dict(entry.get("params") or {}),
        features=dict(entry.get("features") or {}),
        parent=entry.get("parent"),
        correlations={
            name: float(value) for name, value in (entry.get("correlations") or {}).items() if value is not None
        },
        complete=bool(entry.get("complete")),
        seconds=float(entry.get("seconds") or 0.0),
        submitted=entry.get("submitted") in (True, "accepted"),
        lb=_float(entry.get("lb")),
    )


def _float(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _place(turn: Turn, name: str, usual: str) -> Path:
    return turn.needs.get(name, turn.campaign / usual)


def _knowledge(turn: Turn, names: Iterable[str]) -> dict[str, str]:
    paths = {path.name: path for name, path in turn.needs.items() if name.startswith("knowledge")}
    paths.update({name: turn.campaign / name for name in names if Path(name).name not in paths})
    return {name: text for name, path in sorted(paths.items()) if (text := read_text(path))}


def read_text(path: Path) -> str:
    """A note's text; "" when there is none. At most 200 kB are read."""
    try:
        with path.open("rb") as file:
            return file.read(200_000).decode("utf-8", errors="replace")
    except OSError:
        return ""


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; {} when it is missing, torn or no object."""
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
