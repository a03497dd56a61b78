"""The loop: research → plan → review → code → verify → submit → learn, round after round, until an ending."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from orchestrator import endings
from orchestrator.campaign import Campaign
from orchestrator.errors import (
    AutoKaggleError,
    BadInput,
    CampaignOver,
    Capped,
    FatalEnding,
    MetricFailed,
    ProtocolError,
    Stopped,
    Written,
)
from orchestrator.final import grade_final
from orchestrator.journal import Journal
from orchestrator.phases import ROUND, ROUND_ZERO, Phase, Stage, run_phase
from orchestrator.state import write_state
from orchestrator.submitting import submit_last, wait_for_scores


def play(campaign: Campaign) -> str:
    """Play rounds until an ending; returns its reason."""
    with _stop_at_step(campaign):
        why = _play_on(campaign)
    finish(campaign, why)
    return why


def _play_on(campaign: Campaign) -> str:
    try:
        if campaign.config.execution.warm:
            campaign.executor.here.sandbox.warm_up()
        play_round(campaign, 0, ROUND_ZERO)
        while (why := endings.reason(campaign)) is None:
            campaign.reload_config()
            play_round(campaign, campaign.next_round, ROUND)
    except CampaignOver as over:
        return str(over) if isinstance(over, Capped | Written) else f"fatal: {over}"
    return why


def play_round(campaign: Campaign, number: int, phases: tuple[Phase, ...]) -> None:
    """All phases of one round. A round that can't be saved is recorded as a crash and the next one begins."""
    files = campaign.files(number)
    stage = Stage(campaign, files, Journal(files))
    if number:
        campaign.progress("round", round=number)
    for phase in phases:
        if campaign.stopping:
            raise Stopped
        campaign.check_lock()
        try:
            run_phase(stage, phase)
        except (CampaignOver, Stopped):
            raise
        except Exception as error:
            if isinstance(error, BadInput) and (number == 0 or not isinstance(error, MetricFailed)):
                raise
            if number == 0 and isinstance(error, ProtocolError):
                raise FatalEnding(f"round 0 can't be finished: {error}") from error
            if number == 0:
                raise
            _record_crash(stage, phase.name, error)
            return
    _announce(campaign, number)


def _record_crash(stage: Stage, phase: str, error: Exception) -> None:
    """Give the round up: its reason goes into the journal, and `learn` writes its row."""
    if isinstance(error, OSError):
        raise CampaignOver(f"{error} (mend it and run the same command again)") from error
    if not isinstance(error, AutoKaggleError):
        stage.campaign.progress("note", text="".join(traceback.format_exception(error)), level="error")
    stage.journal.end("crash", f"{phase}: {type(error).__name__}: {error}"[:500], 0.0)
    run_phase(stage, ROUND[-1])
    _announce(stage.campaign, stage.number)


def finish(campaign: Campaign, why: str) -> None:
    """Grade what the campaign would hand in, write the summary and the report."""
    from orchestrator.report import write_report

    if not endings.is_fatal(why):
        submit_last(campaign)
        wait_for_scores(campaign)
    campaign.waiting = None
    final = grade_final(campaign)
    number = campaign.entries[-1]["round"] if campaign.entries else 0
    write_state(campaign, number, "ended", ending=why, final=final)
    where = write_report(campaign.root, campaign.now())
    campaign.progress("ending", reason=why, final=final, where=str(where))


def _announce(campaign: Campaign, number: int) -> None:
    if not number:
        return
    last: dict[str, Any] = campaign.entries[-1]
    shown = {key: last[key] for key in ("round", "cv", "se", "status", "reason")}
    campaign.progress("verdict", **shown, usd=campaign.usd(), submissions=campaign.submission_counts())


@contextmanager
def _stop_at_step(campaign: Campaign) -> Iterator[None]:
    """The first signal stops after the current step, a second one at once (only the main thread can listen)."""

    def handler(number: int, frame: FrameType | None) -> None:
        if campaign.stopping:
            raise KeyboardInterrupt
        campaign.stopping = True
        campaign.progress("note", text="stopping after this step; Ctrl-C again stops now", level="warning")

    before = {}
    with suppress(ValueError):
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
