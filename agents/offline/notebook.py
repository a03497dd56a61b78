"""The campaign as the offline policy sees it: one read of its files at the start of a turn.

Nothing here writes. A file that is missing or torn reads as empty, because a policy without memory still plays.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import median
from typing import Any

from agents.offline import guidance as wishes
from agents.offline import published
from agents.offline.catalogue import NAMES
from agents.offline.recipe import Facts
from agents.offline.vocabulary import brought_by
from agents.session import Turn

NO_PROFILE: dict[str, Any] = {
    "rows": {"train": 1000, "test": 0},
    **{f"{kind}_columns": [] for kind in ("numeric", "categorical", "text", "date", "bool")},
    **{key: {} for key in ("column_details", "target", "missing_shifts", "duplicates")},
}


@dataclass(frozen=True)
class Run:
    """One experiment of the registry; scores are in metric units, `seconds` are wall clock of all folds."""

    label: str
    round: int
    family: str
    recipe: str
    role: str
    status: str
    reason: str
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
    lb: float | None

    @property
    def is_blend(self) -> bool:
        return self.role == "blend" or wishes.is_blend(self.family)

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.recipe, self.params, self.features)

    @property
    def kept_gain(self) -> float:
        """What the run added to the best score: its gain when it was kept, else nothing."""
        return max(0.0, self.gain or 0.0) if self.status == "keep" else 0.0


@dataclass(frozen=True)
class Notebook:
    """Everything that decides: profile, registry, notes, wishes, and the facts of the turn."""

    round: int
    profile: dict[str, Any]
    data: Facts
    runs: tuple[Run, ...]
    learnings: str
    knowledge: dict[str, str]
    guidance: wishes.Guidance
    facts: Mapping[str, Any]
    others: Mapping[str, float] = field(default_factory=dict)
    """Technique → how many of the public sources use it, 0 to 1; empty where there are none."""
    drifts: bool = False
    """Whether the referee's probes told test rows from training rows."""

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
    def hearsay(self) -> dict[str, float]:
        """`others` without what a complete run measured here."""
        if not self.others:
            return {}
        used = [brought_by(run.family, run.recipe, run.role, run.params, run.features) for run in self.scored]
        return {name: weight for name, weight in self.others.items() if not any(name in one for one in used)}

    @cached_property
    def noise(self) -> float:
        """One standard error of a score here, in metric units; 0.0 before anything was measured."""
        errors = [run.se for run in self.scored if run.se]
        return median(errors) if errors else 0.0

    @cached_property
    def fingerprints(self) -> frozenset[str]:
        return frozenset(run.fingerprint for run in self.runs)

    @property
    def competition(self) -> dict[str, Any]:
        """The competition section of config.json."""
        return dict(self.facts["competition"])

    @property
    def blend_leads(self) -> bool:
        return self.best is not None and self.best.is_blend

    @property
    def stuck(self) -> int:
        """Rounds since the last keep."""
        last = self.best.round if self.best else 0
        return len({run.round for run in self.runs if run.round > last})

    def signed(self, cv: float | None) -> float:
        """A score turned so that larger is better."""
        if cv is None:
            return float("-inf")
        return cv if self.facts["maximize"] else -cv

    def lag(self, run: Run) -> float:
        """How far a scored run is behind the best single scored run, in metric units (≥ 0)."""
        return max(0.0, self.signed(self.members[0].cv) - self.signed(run.cv)) if self.members else 0.0

    def did(self, wish: wishes.Wish) -> Run | None:
        """The first run that did what a wish asks for, kept or not."""
        later = (run for run in self.runs if run.round >= wish.since)
        return next((run for run in later if wish.asks_for(run.role, run.family, run.recipe)), None)

    def of_family(self, family: str) -> list[Run]:
        return [run for run in self.runs if run.family == family]

    def failed_tunings(self, family: str) -> int:
        """How many times in a row, up to now, this family was tuned and not kept."""
        count = 0
        for run in self.of_family(family):
            if run.role == "tune":
                count = 0 if run.status == "keep" else count + 1
        return count

    def limit(self, name: str) -> float:
        """A fact that limits (seconds_left, experiment_seconds, rounds_left); infinity when it is not set."""
        value = self.facts.get(name)
        return float("inf") if value is None else float(value)


def fingerprint(recipe: str, params: Mapping[str, Any], features: Mapping[str, Any]) -> str:
    """The identity of a configuration: equal ones would give equal out-of-fold predictions."""
    return json.dumps([recipe, params, features], sort_keys=True, default=str)


def fingerprint_of(strategy: Mapping[str, Any]) -> str:
    """The identity of a plan's strategy."""
    return fingerprint(str(strategy.get("recipe")), strategy.get("params") or {}, strategy.get("features") or {})


def read(turn: Turn) -> Notebook:
    """Read the campaign's files of this turn."""
    profile = {**NO_PROFILE, **read_json(turn, "profile")}
    return Notebook(
        round=turn.round,
        profile=profile,
        data=Facts.of(profile, turn.facts["competition"], turn.facts.get("cv_strategy", "")),
        runs=tuple(runs_of(read_json(turn, "registry").get("experiments", []))),
        learnings=read_text(turn, "learnings"),
        knowledge={path.name: read_text(turn, n) for n, path in turn.needs.items() if n.startswith("knowledge_")},
        guidance=_guidance(turn),
        facts=turn.facts,
        others=published.weights(read_text(turn, "research_brief")),
        drifts=_drifts(turn),
    )


def _drifts(turn: Turn) -> bool:
    """What the last probes say; they say the same of the data in every round."""
    for number in range(turn.round - 1, 0, -1):
        try:
            record = json.loads((turn.campaign / "rounds" / f"R{number:02d}_probes.json").read_bytes())
            checks = {check["name"]: check["ok"] for check in record["checks"]}
        except (OSError, ValueError, TypeError, KeyError):
            continue  # a round without a complete run
        return not checks.get("adversarial_validation", True)
    return False


def _guidance(turn: Turn) -> wishes.Guidance:
    """What guidance.md asks for; a line with "next" means the rounds since it was written, not earlier ones."""
    found = wishes.parse(read_text(turn, "guidance"), NAMES)
    found.wishes = [
        replace(wish, since=_first_round(turn, wish.line)) if wish.is_once else wish for wish in found.wishes
    ]
    return found


def _first_round(turn: Turn, line: str) -> int:
    """Since which round every plan answers the line; the present one when the last plan did not."""
    first, answer = turn.round, re.compile(rf"^- (not )?followed[^:]*: {re.escape(line)}( \(|$)", re.I | re.M)
    for number in range(turn.round - 1, 0, -1):
        path = turn.campaign / "rounds" / f"R{number:02d}_plan.md"
        try:
            plan = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # a round that ended before its plan
        if not answer.search(plan):
            break
        first = number
    return first


def runs_of(entries: list[dict[str, Any]]) -> list[Run]:
    """The registry's entries as runs, the losers of parallel rounds too, in the order they were played.

    A loser that beat the best before was not kept all the same: its round's winner was.
    """
    runs: list[Run] = []
    for entry in entries:
        label = f"R{entry['round']:02d}"
        runs.append(_run(label, entry))
        for loser in entry["variants"]:
            run = _run(f"{label}_v{loser['variant']}", {**entry, "lb": None, **loser})
            runs.append(replace(run, status="discard") if run.status == "keep" else run)
    return runs


def _run(label: str, entry: dict[str, Any]) -> Run:
    """What a plan left out is null in its entry."""
    return Run(
        label=label,
        round=entry["round"],
        family=entry["family"] or "unknown",
        recipe=entry["recipe"] or "",
        role=entry["role"] or "",
        status=entry["status"],
        reason=entry["reason"],
        expected=float(entry["expected_gain"] or 0.0),
        gain=entry["gain"],
        cv=entry["cv"],
        se=entry["se"],
        folds=tuple(score for score in entry["fold_scores"] if score is not None),
        params=entry["params"] or {},
        features=entry["features"] or {},
        parent=entry["parent"],
        correlations={name: value for name, value in entry["correlations"].items() if value is not None},
        complete=entry["complete"],
        seconds=entry["seconds"],
        lb=entry["lb"],
    )


def read_text(turn: Turn, name: str) -> str:
    """One of the files that the turn needs; "" when there is none. At most 200 kB are read."""
    try:
        with turn.needs[name].open("rb") as file:
            return file.read(200_000).decode("utf-8", errors="replace")
    except (KeyError, OSError):
        return ""


def read_json(turn: Turn, name: str) -> dict[str, Any]:
    """One of the turn's JSON files; {} when it is missing, torn or no object."""
    try:
        record = json.loads(turn.needs[name].read_bytes())
    except (KeyError, OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
