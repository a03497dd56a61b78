"""state.json: where the campaign stands, for people and for `status`.

A summary only: the loop takes every decision from rounds/ and writes this file anew, so that losing it costs nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator import money
from orchestrator.cv_lb import comparison, public_rows
from orchestrator.files import read_json_or_none, write_json
from orchestrator.ledger import best_entry
from orchestrator.standings import summary

if TYPE_CHECKING:
    from orchestrator.campaign import Campaign

State = dict[str, Any]


def read_state(campaign: Path) -> State | None:
    """The last summary, None when there is none that can be trusted."""
    return read_json_or_none(campaign / "state.json")


def write_state(
    campaign: Campaign, round_number: int, phase: str, ending: str | None = None, final: State | None = None
) -> None:
    """Write the summary of this instant; all of it but the clock follows from config.json and rounds/."""
    config, entries = campaign.config, campaign.entries
    best = best_entry(entries)
    kept = sum(entry["status"] == "keep" for entry in entries)
    state = {
        "campaign": campaign.identity.run,
        "competition": config.competition.name,
        "metric": campaign.metric.name,
        "maximize": campaign.metric.maximize,
        "round": round_number,
        "phase": phase,
        "waiting": campaign.waiting,
        "rounds": len(entries),
        "kept": kept,
        "best": None if best is None else {key: best[key] for key in ("round", "family", "cv", "se", "lb")},
        "agents": campaign.players.generations(),
        "submits": config.submissions.enabled,
        "submissions": campaign.submission_counts(),
        "cv_lb": [[entry["round"], entry["cv"], entry["lb"]] for entry in entries if entry["lb"] is not None],
        "agreement": comparison(
            entries,
            maximize=campaign.metric.maximize,
            public=public_rows(campaign.rounds, config.competition.public_fraction),
        ),
        **summary(campaign.standings.records),
        "elapsed_seconds": round(campaign.elapsed(), 1),
        "minutes": config.loop.minutes,
        "max_rounds": config.loop.last_round,
        "usd": campaign.usd(),
        "usd_cap": config.budget.usd,
        "paid": campaign.is_paid,
        "money": money.figures(campaign.costs, round_number, kept),
        "sandbox": campaign.executor.sandbox.level,
        "updated": campaign.now().isoformat(timespec="seconds"),
        "ending": ending,
        "final": final,
    }
    write_json(campaign.root / "state.json", state)
