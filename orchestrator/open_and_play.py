"""Opening a campaign and playing it to an ending, with its lock and its display: what `loop` and `run` share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestrator.errors import BadInput, Stopped


def overrides_of(*, rounds: int | None, minutes: float | None, no_sandbox: bool) -> dict[str, Any]:
    """The command line's settings as dotted keys of config.json. Raises BadInput for a number that is none."""
    overrides: dict[str, Any] = {}
    for option, key, value in (("rounds", "loop.max_rounds", rounds), ("minutes", "loop.minutes", minutes)):
        if value is not None and value <= 0:
            raise BadInput(f"--{option} {value:g}: give a number above 0")
        if value is not None:
            overrides[key] = value
    if no_sandbox:
        overrides["execution.sandbox"] = "none"
    return overrides


def open_and_play(
    root: Path,
    overrides: dict[str, Any],
    *,
    now: Callable[[], datetime],
    plain: bool,
    takeover: bool = False,
    execute: bool = True,
) -> int:
    """Play until an ending; the exit code (0, 5 for a fatal ending, 130 when a person stopped it).

    `execute=False` ends where the first experiment is written.
    """
    from orchestrator.execution import harden_self
    from orchestrator.files import campaign_lock
    from orchestrator.ui import Display

    harden_self()
    with campaign_lock(root) as check_lock, Display(root, now=now, plain=plain) as display:
        from orchestrator.campaign import Campaign
        from orchestrator.endings import is_fatal
        from orchestrator.loop import play

        campaign = Campaign(
            root,
            now=now,
            progress=display,
            overrides=overrides,
            takeover=takeover,
            execute=execute,
            check_lock=check_lock,
        )
        display(
            "campaign",
            name=campaign.config.competition.name,
            metric=campaign.metric.name,
            maximize=campaign.metric.maximize,
            sandbox=campaign.executor.sandbox.level,
            round=campaign.next_round,
            minutes=campaign.config.loop.minutes,
            max_rounds=campaign.config.loop.last_round,
            usd_cap=campaign.config.budget.usd,
            paid=campaign.is_paid,
            submissions=campaign.config.submissions.enabled,
        )
        try:
            why = play(campaign)
        except Stopped:
            display("note", text="stopped after the current step; the same command goes on")
            return 130
        finally:
            campaign.close()
    return 5 if is_fatal(why) else 0
