"""Turns: what a player is handed, and what its answer must be."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents import prompts
from agents.session import Turn
from agents.transcript import generations
from orchestrator.build import at_most, complete
from orchestrator.errors import OutputRejected
from orchestrator.execution.jobs import together
from orchestrator.files import atomic_write, read_json_or_none
from orchestrator.ledger import Entry, plan_header
from orchestrator.referee.workdir import MAX_SCRIPT_BYTES
from orchestrator.rounds import RoundFiles, label

if TYPE_CHECKING:
    from orchestrator.campaign import Campaign

BRIEF_WORDS = 500

GRAMMAR = {
    "eda": r"DONE",
    "retro": r"DONE",
    "handover": r"DONE",
    "research": r"DONE",
    "plan": r"DONE",
    "review": r"APPROVED|REVISE: .+",
    "revise": r"REVISED",
    "build": r"CV_SCORE=-?\d+(\.\d+)?([eE][-+]?\d+)?|FAILED: .+",
    "fix": r"CV_SCORE=-?\d+(\.\d+)?([eE][-+]?\d+)?|FAILED: .+",
    "verify": r"VERIFIED|REJECT: .+",
    "findings": r"(SUBMIT|HOLD): .+",
}


def session_folder(campaign: Campaign, role: str) -> Path:
    return campaign.root / "sessions" / role


class Turns:
    """Makes the turns of one campaign."""

    def __init__(self, campaign: Campaign) -> None:
        self._campaign = campaign

    def make(
        self,
        role: str,
        phase: str,
        files: RoundFiles,
        makes: tuple[str, ...],
        turn_id: str,
        tools: Mapping[str, Callable[..., Any]],
        facts: Mapping[str, Any],
        elsewhere: Mapping[str, Path] | None = None,
    ) -> Turn:
        """One turn, ready to ask; `elsewhere` holds files to make that are not the round's."""
        targets = {**{name: files.path(name) for name in makes}, **(elsewhere or {})}
        needs = self._needs(role, files)
        facts = {**self._facts(), **facts}
        return Turn(
            id=turn_id or f"{files.label}/{phase}",
            role=role,
            phase=phase,
            round=files.number,
            prompt=self._prompt(role, phase, files, needs, targets, facts),
            campaign=self._campaign.root,
            needs=needs,
            makes=targets,
            write=lambda name, text: _land(targets, name, text),
            tools={**self._campaign.toolset.of_turn(files), **tools},
            facts=facts,
        )

    def _needs(self, role: str, files: RoundFiles) -> dict[str, Path]:
        """Every file that the player may want: the campaign's, round 0's, this round's."""
        root, zero = self._campaign.root, self._campaign.files(0)
        known = {
            "learnings": root / "LEARNINGS.md",
            "registry": root / "experiments.json",
            "kaggle_api": root / "KAGGLE_API.md",
            "guidance": root / "guidance.md",
            "profile": zero.path("profile.json"),
            "eda": zero.path("eda.md"),
        }
        for number, name in enumerate(self._campaign.config.knowledge_files, 1):
            known[f"knowledge_{number}"] = root / name
        generation = max(generations(session_folder(self._campaign, role)), default=0)
        known["handover"] = session_folder(self._campaign, role) / f"handover_{generation - 1}.md"
        whole_round = RoundFiles(files.folder, files.number)
        for name in ("retro.md", "research_brief.md", "plan.md", "plan_v1.md", "review.md", "verify.md"):
            known[name.split(".")[0]] = whole_round.path(name)
        for name in ("experiment.py", "scores.json", "probes.json", "run.log"):
            known[name.split(".")[0]] = files.path(name)
        return {name: path for name, path in known.items() if path.is_file() and path.stat().st_size > 0}

    def _facts(self) -> dict[str, Any]:
        """The small figures that decide: time, money, submissions, noise."""
        campaign = self._campaign
        config = campaign.config
        left = campaign.seconds_left()
        money = campaign.costs.headroom(campaign.place[0])
        played = len(campaign.entries)
        folds = read_json_or_none(campaign.files(0).path("folds.json")) or campaign.referee.seal().manifest
        return {
            "seed": config.cv.seed,
            "folds": folds["folds"],
            "cv_strategy": config.cv.strategy,
            "metric": campaign.metric.name,
            "maximize": campaign.metric.maximize,
            "competition": config.competition.model_dump(),
            "cores": campaign.executor.cores,
            "seconds_left": left,
            "money_left_usd": None if money is None else round(money, 2),
            "seconds_per_round": campaign.elapsed() / played if played else None,
            "experiment_seconds": _experiment_seconds(campaign),
            "rounds_left": None if config.loop.last_round is None else config.loop.last_round - played,
            "submissions_left": campaign.submission_counts().get("left_today", "unknown"),
            **_failed(campaign.entries),
            "strategies": config.loop.parallel_strategies,
            **_at_once(campaign),
            "keep_probability": config.referee.keep_probability,
            "final": config.final,
        }

    def _prompt(
        self,
        role: str,
        phase: str,
        files: RoundFiles,
        needs: Mapping[str, Path],
        makes: Mapping[str, Path],
        facts: Mapping[str, Any],
    ) -> str:
        root = self._campaign.root
        guidance = needs["guidance"].read_text(encoding="utf-8", errors="replace") if "guidance" in needs else "(none)"
        shown = {key: value for key, value in facts.items() if key != "competition"}
        return prompts.render(
            root,
            phase,
            label=files.label,
            role=role,
            needs="\n".join(f"- {name}: {path}" for name, path in needs.items()),
            makes="\n".join(f"- {name}: {path}" for name, path in makes.items()) or "- (nothing)",
            facts="\n".join(f"- {key}: {value}" for key, value in shown.items()),
            guidance=guidance.strip(),
        )


def _experiment_seconds(campaign: Campaign) -> float:
    """What config.json allows one experiment; less while none has a score and time is short."""
    seconds = campaign.config.execution.experiment_minutes * 60
    return seconds if complete(campaign) else at_most(campaign, seconds)


def _at_once(campaign: Campaign) -> dict[str, int]:
    """How much runs at a time where experiments run on other machines; here `cores` tells it."""
    if (machine := campaign.executor.machine) is None:
        return {}
    strategies = together(machine, campaign.config.loop.parallel_strategies)
    return {"strategies_at_once": strategies, "folds_at_once": ceil(machine.at_a_time / strategies)}


def _failed(entries: list[Entry]) -> dict[str, Any]:
    """What the competition said about submissions that it took and could not score, or did not take."""
    found = {label(entry["round"]): entry["submission_error"] for entry in entries if entry.get("submission_error")}
    return {"failed_submissions": dict(list(found.items())[-3:])} if found else {}


def _land(targets: Mapping[str, Path], name: str, text: str) -> None:
    """Validate and write one of the files that a turn makes."""
    if name not in targets:
        raise OutputRejected(f"{name!r} is not a file of this turn: it makes {', '.join(targets) or 'none'}")
    if not text.strip():
        raise OutputRejected(f"{name} is empty")
    if name == "research_brief.md" and len(text.split()) >= BRIEF_WORDS:
        raise OutputRejected(f"{name} has {len(text.split())} words, the limit is {BRIEF_WORDS - 1}: shorten it")
    if name == "experiment.py" and len(text.encode()) > MAX_SCRIPT_BYTES:
        raise OutputRejected(f"{name} has {len(text.encode())} bytes, the limit is {MAX_SCRIPT_BYTES}")
    if name == "plan.md":
        try:
            plan_header(text)
        except ValueError as error:
            raise OutputRejected(str(error)) from None
    atomic_write(targets[name], text)


def problem_of(phase: str, reply: str, files: RoundFiles, makes: tuple[str, ...]) -> str:
    missing = [name for name in makes if not files.has(name)]
    if missing:
        return f"it did not write {', '.join(missing)}"
    if not lenient(phase, reply):
        return f"the reply {reply[:120]!r} is none of {GRAMMAR[phase]}"
    return ""


def lenient(phase: str, reply: str) -> str:
    """The reply itself when it follows the grammar, else the last line that does, else nothing."""
    for line in [reply, *reversed(reply.splitlines())]:
        line = line.strip().strip("`*.")
        if re.fullmatch(GRAMMAR[phase], line):
            return line
    return ""
