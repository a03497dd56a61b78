"""A campaign's data when it is opened: what can't be played is refused, the rest sealed, and what is left out told."""

from __future__ import annotations

import shutil
from datetime import datetime
from typing import TYPE_CHECKING, Any

from orchestrator.competitions.check import check_columns, check_sample
from orchestrator.competitions.check_scoring import check_scoring
from orchestrator.competitions.infer_cv import FOLDS
from orchestrator.competitions.metrics import metric_of
from orchestrator.competitions.profile import profile
from orchestrator.competitions.tables import header
from orchestrator.config import LoopSection
from orchestrator.files import read_json_or_none
from orchestrator.referee.seal import read_data, seal
from orchestrator.referee.some_rows import rows_that_serve

TIME_FOR_TEN = 480.0  # seconds

if TYPE_CHECKING:
    from orchestrator.campaign import Campaign


def check_data(campaign: Campaign) -> dict[str, Any] | None:
    """The first start: what can't be played is refused before anything is written; sealing reads all of it.

    Returns the profile of the tables, which are large at times and read once; None at a later start.
    """
    if campaign.files(0).has("settings.json"):
        return None
    spec, data = campaign.config.competition, campaign.root / "competition" / "data"
    metric = metric_of(spec, campaign.root)
    check_scoring(spec, metric)
    usual = metric if spec.maximize is None else metric_of(spec.model_copy(update={"maximize": None}), campaign.root)
    if metric.maximize != usual.maximize:
        text = (
            f"competition.maximize is {str(metric.maximize).lower()} in config.json, but {usual.name} is better when "
        )
        text += f"{'higher' if usual.maximize else 'lower'}: set it to null, unless the leaderboard is sorted that way"
        campaign.progress("note", text=text, level="warning")
    check_columns(data, spec)
    check_sample(data, spec)
    if not any(campaign.rounds.glob("R01_*")):  # nothing is scored yet, so what config.json says now counts
        campaign.progress("note", text="reading the tables and sealing the folds")
        campaign.files(0).path("folds.json").unlink(missing_ok=True)
        shutil.rmtree(campaign.root / "competition" / "sealed", ignore_errors=True)
    seconds = seconds_to_play(campaign.config.loop, campaign.now())
    most = rows_that_serve(len(header(data / spec.train)), seconds)
    tables = read_data(campaign.root, campaign.config)
    folds = seal(campaign.root, campaign.config, most, folds_that_pay(seconds), tables)
    return profile(campaign.root, campaign.config, folds.kept, *tables)


def folds_that_pay(seconds: float | None) -> int:
    """10 where there is time for twice the work: each model then learns from 90 % of the rows instead of 80."""
    return 10 if seconds is not None and seconds >= TIME_FOR_TEN else FOLDS


def seconds_to_play(loop: LoopSection, now: datetime) -> float | None:
    """As the settings give them: how long this start took so far must not change which rows are sealed."""
    times = [60 * loop.minutes] if loop.minutes else []
    times += [(loop.ends - now).total_seconds()] if loop.ends else []
    return min(times, default=None)


def tell_rows(campaign: Campaign) -> None:
    """Of the labelled rows that were left out when the folds were sealed, if there are any."""
    folds = read_json_or_none(campaign.files(0).path("folds.json")) or {}
    if left_out := folds.get("left_out"):
        why = "cv.rows" if campaign.config.cv.rows else "what its time serves at first; a new campaign may set cv.rows"
        rows = folds["rows"]
        campaign.progress("note", text=f"learning from {rows:,} of {rows + left_out:,} labelled rows ({why})")
