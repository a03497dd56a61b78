"""The table of phases: who does what in a round, and which files prove that it is done."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator import build
from orchestrator.competitions.base import NeedsPerson
from orchestrator.competitions.profile import profile
from orchestrator.errors import CampaignOver, CompetitionError, FatalEnding, ProtocolError, Stopped
from orchestrator.files import atomic_write, read_json, write_json
from orchestrator.journal import Journal
from orchestrator.ledger import best_entry, plan_header, rounds_since_keep, with_submission
from orchestrator.referee.seal import read_data
from orchestrator.rounds import RoundFiles
from orchestrator.state import write_state
from orchestrator.submission_policy import NOT_YET, decide
from orchestrator.submitting import FORBIDDEN, forbidden

if TYPE_CHECKING:
    from orchestrator.campaign import Campaign

MAX_STARTS = 10
"""A phase that took the orchestrator down so often is given up."""


@dataclass
class Stage:
    """One round being played: the campaign, the round's files and its journal."""

    campaign: Campaign
    files: RoundFiles
    journal: Journal

    @property
    def number(self) -> int:
        return self.files.number

    def ask(self, role: str, phase: str, *makes: str, **facts: Any) -> str:
        """One agent turn of this round; see `Players.ask`."""
        return self.campaign.players.ask(role, phase, self.files, makes=makes, facts=facts)

    def scores(self) -> dict[str, Any]:
        """The referee's record of this round's experiment."""
        return read_json(self.files.path("scores.json"))


@dataclass(frozen=True)
class Phase:
    name: str
    makes: tuple[str, ...]
    run: Callable[[Stage], str]
    applies: Callable[[Stage], bool] = lambda stage: True


def run_phase(stage: Stage, phase: Phase) -> None:
    """Skip what is done or does not apply, else do it and write it down: this is also how a killed round goes on."""
    if stage.journal.is_done(phase.name, phase.makes) or not phase.applies(stage):
        return
    if stage.journal.starts(phase.name) >= MAX_STARTS:
        again = f": delete {stage.files.path('phases.json')} to try again" if stage.number == 0 else ""
        raise ProtocolError(f"{phase.name} was begun {MAX_STARTS} times and never ended{again}")
    stage.journal.begin(phase.name)
    stage.campaign.place, stage.campaign.waiting = (stage.number, phase.name), None
    write_state(stage.campaign, *stage.campaign.place)
    stage.campaign.progress("phase", round=stage.number, phase=phase.name)
    started = time.monotonic()
    try:
        reply = phase.run(stage)
    except (CampaignOver, Stopped):
        stage.journal.take_back(phase.name)
        raise
    seconds = time.monotonic() - started
    stage.journal.end(phase.name, reply, seconds)
    stage.campaign.progress("phase_done", round=stage.number, phase=phase.name, reply=reply, seconds=seconds)


def _profile(stage: Stage) -> str:
    campaign = stage.campaign
    found = campaign.profile
    if found is None:
        kept = campaign.referee.seal().kept
        found = profile(campaign.root, campaign.config, kept, *read_data(campaign.root, campaign.config))
    write_json(stage.files.path("profile.json"), found)
    if again := found["repeated_rows"]:
        text = f"{again:,} training rows stand there more than once, id and all: CV will look better than it is"
        stage.campaign.progress("note", text=text, level="warning")
    return "DONE"


def _folds(stage: Stage) -> str:
    folds = stage.campaign.referee.seal()
    left_out = folds.manifest.get("left_out")
    cut = f" of {folds.rows:,} rows ({left_out:,} more are left out: cv.rows)" if left_out else ""
    return f"{folds.folds} folds{cut}, hash {folds.hash[:12]}"


def _eda(stage: Stage) -> str:
    return stage.ask("builder", "eda", "eda.md")


def _retro(stage: Stage) -> str:
    return stage.ask("reviewer", "retro", "retro.md")


def _research(stage: Stage) -> str:
    return stage.ask("researcher", "research", "research_raw.md", "research_brief.md")


def _plan(stage: Stage) -> str:
    since, patience = rounds_since_keep(stage.campaign.entries), stage.campaign.config.loop.patience
    reply = stage.ask("builder", "plan", "plan.md", force_bold=since > 0 and since % patience == 0)
    _tell_unheard(stage)
    return reply


def _tell_unheard(stage: Stage) -> None:
    """Lines of guidance.md that the plan does not meet, each once: a person at the console reads no plans."""
    for line in stage.files.path("plan.md").read_text(encoding="utf-8", errors="replace").splitlines():
        unheard = re.match(r"\s*[-*]\s+[*_`]*(not (?:understood|followed|followed yet)\b.*)", line, re.IGNORECASE)
        about = unheard[1].partition(" (")[0] if unheard else ""
        if unheard and about not in stage.campaign.told:
            stage.campaign.told.add(about)
            stage.campaign.progress("note", text=f"guidance.md: {unheard[1].rstrip('*_`')}", level="warning")


def _review(stage: Stage) -> str:
    return stage.ask("reviewer", "review", "review.md")


def _revise(stage: Stage) -> str:
    """The Builder's one second try; the first plan is kept beside it."""
    first = stage.files.path("plan_v1.md")
    if not first.exists():
        atomic_write(first, stage.files.path("plan.md").read_bytes())
    reply = stage.ask("builder", "revise", "plan.md", verdict=stage.journal.reply("review"))
    _tell_unheard(stage)
    return reply


def _build(stage: Stage) -> str:
    strategies = plan_header(stage.files.path("plan.md").read_text(encoding="utf-8"))
    return build.build(stage.campaign, stage.files, strategies)


def _verify(stage: Stage) -> str:
    write_json(stage.files.path("probes.json"), stage.campaign.referee.probes(stage.files))
    return stage.ask("reviewer", "verify", "verify.md")


def _findings(stage: Stage) -> str:
    return stage.ask("builder", "findings", "findings.md", verify=stage.journal.reply("verify"))


def _submit(stage: Stage) -> str:
    """Look at the scores that came in, and spend a submission when the policy says so."""
    try:
        reply = _spend(stage)
    except NeedsPerson as error:
        raise FatalEnding(str(error)) from error
    except CompetitionError as error:
        return f"none: {error}"
    stage.campaign.count_submissions()
    return reply


def _spend(stage: Stage) -> str:
    """A slot on this round, or on an earlier one that teaches more, or on none."""
    campaign, ledger = stage.campaign, stage.campaign.submissions
    wish = stage.journal.reply("findings")
    ledger.scores()
    if forbidden(campaign):
        return f"none: {FORBIDDEN}"
    if wish.startswith("HOLD") and not build.held_back(wish):
        return f"none: {wish.removeprefix('HOLD: ')}"
    entries = [*campaign.entries, build.entry(stage)]
    waiting = {number for number, receipt in ledger.receipts().items() if receipt.status == "sent"}
    held = {entry["round"] for entry in entries if entry["held"] and entry["status"] == "keep"}
    choice = decide(
        entries,
        remaining_today=ledger.remaining_today(),
        hold=waiting | held,
        config=campaign.config,
        now=campaign.now(),
    )
    if choice.round is None:
        return f"none: {choice.reason}"
    receipt = ledger.submit(campaign.files(choice.round), choice.reason)
    with suppress(CompetitionError):  # what was just sent may well be looked at later
        ledger.scores()
    why = f"{choice.reason}: {receipt.reason}" if receipt.status in NOT_YET else choice.reason
    campaign.progress("submit", round=choice.round, status=receipt.status, reason=why)
    return f"R{choice.round:02d} {receipt.status}: {why}"


def _learn(stage: Stage) -> str:
    campaign, entry = stage.campaign, build.entry(stage)
    campaign.standings.take(stage.number, [*campaign.entries, with_submission(campaign.rounds, entry)])
    write_json(stage.files.path("result.json"), entry)
    stage.campaign.take_up(stage.number)
    return "DONE"


def _ran(stage: Stage) -> bool:
    return stage.files.has("scores.json") and stage.scores()["status"] == "ok"


def _may_submit(stage: Stage) -> bool:
    return stage.campaign.config.submissions.enabled and (_ran(stage) or best_entry(stage.campaign.entries) is not None)


ROUND_ZERO = (
    Phase("profile", ("profile.json",), _profile),
    Phase("folds", ("folds.json",), _folds),
    Phase("eda", ("eda.md",), _eda),
)

ROUND = (
    Phase("retro", ("retro.md",), _retro, lambda s: s.number % s.campaign.config.loop.retro_every == 0),
    Phase("research", ("research_raw.md", "research_brief.md"), _research),
    Phase("plan", ("plan.md",), _plan),
    Phase("review", ("review.md",), _review),
    Phase("revise", ("plan.md", "plan_v1.md"), _revise, lambda s: s.journal.reply("review").startswith("REVISE")),
    Phase("build", ("experiment.py", "scores.json"), _build),
    Phase("verify", ("probes.json", "verify.md"), _verify, _ran),
    Phase("findings", ("findings.md",), _findings),
    Phase("submit", (), _submit, _may_submit),
    Phase("learn", ("result.json",), _learn),
)
