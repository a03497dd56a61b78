"""The campaign's side of its submissions: where they go, today's count, and at the end the last one and the scores."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from agents.guidance_file import forbids_submissions
from orchestrator.competitions.base import Competition
from orchestrator.config import Config
from orchestrator.errors import CompetitionError, FatalEnding, Stopped
from orchestrator.ledger import best_entry
from orchestrator.rounds import label
from orchestrator.submission_policy import NOT_YET, WENT_OUT

if TYPE_CHECKING:
    from orchestrator.campaign import Campaign

FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 30.0
FORBIDDEN = "guidance.md says not to submit"


def open_competition(
    root: Path, config: Config, *, now: Callable[[], datetime], environment: Mapping[str, str], own: Mapping[str, str]
) -> Competition:
    """The place that config.json names; `own` are the variables of the campaign's `.env`. Asks nobody anything."""
    if config.competition.kind == "kaggle":
        from orchestrator.competitions.kaggle.site import KaggleCompetition

        return KaggleCompetition.open(root, config, environment, own)
    from orchestrator.competitions.local import LocalCompetition

    return LocalCompetition(root, config, now=now)


def check_access(campaign: Campaign) -> None:
    """At the start: raise CompetitionError when this campaign could never submit; a bad moment is only noted."""
    if campaign.config.competition.kind != "kaggle" or not campaign.config.submissions.enabled:
        return
    from orchestrator.competitions.kaggle.errors import TryLater

    try:
        campaign.competition.limits()
    except TryLater as error:
        campaign.progress("note", text=str(error), level="warning")
    except CompetitionError:
        campaign.competition.close()
        raise


def counts(campaign: Campaign) -> dict[str, int]:
    """{"today", "left_today"} as the competition tells now; empty when it can't be asked or nothing is submitted."""
    if campaign.config.competition.kind != "local" and not campaign.config.submissions.enabled:
        return {}
    try:
        return campaign.submissions.counts()
    except CompetitionError:
        return {}


def forbidden(campaign: Campaign) -> bool:
    """Whether guidance.md forbids submissions now; the orchestrator asks itself, whatever the players answer."""
    path = campaign.root / "guidance.md"
    return path.is_file() and forbids_submissions(path.read_text(encoding="utf-8", errors="replace"))


def submit_last(campaign: Campaign) -> None:
    """At the end: submit the best kept round when that was not to be had, or not wanted, while it was played."""
    best = best_entry(campaign.entries)
    if campaign.config.competition.kind == "local" or not campaign.config.submissions.enabled or best is None:
        return
    receipt = campaign.submissions.receipts().get(best["round"])
    if best["held"] or (receipt is not None and receipt.status in WENT_OUT):
        return
    tag = label(best["round"])
    if forbidden(campaign):
        campaign.progress("note", text=f"{tag} is not submitted: {FORBIDDEN}", level="warning")
        return
    try:
        if campaign.submissions.remaining_today() <= 0:
            campaign.progress("note", text=f"{tag} is not submitted: no submission is left today", level="warning")
            return
        reason = f"cv {best['cv']:.6g}, the best kept round"
        receipt = campaign.submissions.submit(campaign.files(best["round"]), reason)
    except (CompetitionError, FatalEnding) as error:
        campaign.progress("note", text=f"{tag} is not submitted: {error}", level="warning")
        return
    why = receipt.reason if receipt.status in NOT_YET else reason
    campaign.progress("submit", round=best["round"], status=receipt.status, reason=why)
    campaign.take_up_scores()
    campaign.count_submissions()


def wait_for_scores(campaign: Campaign) -> None:
    """At the end: give what was submitted the time to show up and to be scored, as long as config.json says."""
    if campaign.config.competition.kind == "local" or not campaign.submissions.receipts():
        return
    left = campaign.seconds_left()
    patience = campaign.config.submissions.wait_minutes * 60
    end = time.monotonic() + (patience if left is None else max(0.0, min(patience, left)))
    pause = FIRST_PAUSE_S
    while True:
        try:
            campaign.submissions.scores()
        except (CompetitionError, FatalEnding) as error:
            campaign.progress("note", text=f"the last scores are not known: {error}", level="warning")
            return
        campaign.take_up_scores()
        waiting = sorted(campaign.submissions.waiting())
        if not waiting or time.monotonic() >= end:
            campaign.standings.take(campaign.entries[-1]["round"], campaign.entries, again=True)
            return
        campaign.progress("note", text=f"waiting for the score of {', '.join(map(label, waiting))}")
        try:
            campaign.sleep(min(pause, max(0.1, end - time.monotonic())))
        except Stopped:
            return
        pause = min(2 * pause, LONGEST_PAUSE_S)
