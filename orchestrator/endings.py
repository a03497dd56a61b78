"""When a campaign is over: every ending is worked out anew from config.json and rounds/, none is remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator import show
from orchestrator.build import TIME_RESERVE
from orchestrator.ledger import Entry, best_entry, rounds_since_keep

if TYPE_CHECKING:
    from orchestrator.campaign import Campaign

CRASHES_IN_A_ROW = 3
LEAST_SECONDS = 6.0


def reason(campaign: Campaign) -> str | None:
    """Why no further round should start, None to go on."""
    loop, entries = campaign.config.loop, campaign.entries
    if loop.last_round is not None and len(entries) >= loop.last_round:
        more = f", the limit is {loop.last_round}" if len(entries) > loop.last_round else ""
        return f"max rounds: {len(entries)} played{more}"
    left = campaign.seconds_left()
    if left is not None and left < _seconds_for_a_round(entries):
        if loop.minutes is not None:
            return f"wall-clock cap: the next round would not fit into the {show.duration(loop.minutes * 60)}"
        return f"deadline: the next round would not end before {loop.deadline}"
    best = best_entry(entries)
    if loop.target_score is not None and best is not None and _reached(campaign, best["cv"], loop.target_score):
        return f"target score: {best['cv']:.6g} reached {loop.target_score:.6g}"
    if rounds_since_keep(entries) > loop.patience + _wants_a_blend(entries) and _tried_for_long(entries, loop.minutes):
        return f"patience: nothing kept in {rounds_since_keep(entries)} rounds, bold ones among them"
    if _crashed_in_a_row(entries) >= CRASHES_IN_A_ROW:
        return f"fatal: {CRASHES_IN_A_ROW} rounds in a row crashed, the last with: {entries[-1]['reason']}"
    if campaign.is_paid and (why := campaign.costs.exhausted(campaign.next_round)):
        return f"money cap: {why}"
    return None


def is_fatal(why: str) -> bool:
    return why.startswith("fatal")


def _seconds_for_a_round(entries: list[Entry]) -> float:
    """A round is not begun when less is left than a short experiment and a blend with it need.

    Where there is something new to blend, that blend's time is enough: it mostly starts processes.
    """
    complete = [entry for entry in entries if entry["complete"]]
    blends = [entry["seconds"] for entry in complete if entry["role"] == "blend"]
    others = [entry["seconds"] for entry in complete if entry["role"] != "blend"]
    if not others:
        return LEAST_SECONDS
    enough = 1.2 * min(others) + max(TIME_RESERVE, min(blends, default=0.0))
    if len(others) > 1 and complete[-1]["role"] != "blend":
        enough = min(enough, TIME_RESERVE + 1.5 * min(blends, default=1 + 0.3 * min(others)))
    return min(enough, 30.0)


def _tried_for_long(entries: list[Entry], minutes: float | None) -> bool:
    """With a wall-clock cap nothing may be kept for a quarter of it before patience ends: rounds can take seconds."""
    kept = max((entry["elapsed_seconds"] for entry in entries if entry["status"] == "keep"), default=0.0)
    return minutes is None or float(entries[-1]["elapsed_seconds"]) - kept > 0.25 * minutes * 60


def _wants_a_blend(entries: list[Entry]) -> bool:
    """One round more where blends are played and the last had nothing of the models that came since."""
    roles = [entry["role"] for entry in entries if entry["complete"]]
    return "blend" in roles and roles[-1] != "blend"


def _reached(campaign: Campaign, score: float, target: float) -> bool:
    return score >= target if campaign.metric.maximize else score <= target


def _crashed_in_a_row(entries: list[Entry]) -> int:
    count = 0
    for entry in reversed(entries):
        if entry["status"] != "crash":
            break
        count += 1
    return count
