"""Which round to submit, and which two to choose at the end: pure functions over the registry's entries.

An entry counts by `round`, `status`, `cv`, `se`, `complete`, `correlations`, `submitted` (the receipt's status, empty
when there is none) and `lb`.
"""

from __future__ import annotations

import statistics
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

from orchestrator.config import Config
from orchestrator.ledger import Entry
from orchestrator.rounds import label
from orchestrator.show import finite

EXPIRY = timedelta(hours=3)
"""A slot left so near to the end of its day is as good as lost."""
LAST_DAYS = 2.0
"""So near to the deadline slots are for the rounds that may win, not for learning."""
TEACHING_RANGE = 5.0
"""Standard errors around the best CV score within which a leaderboard score teaches something."""
FEW_PAIRS = 4
WEAK_CORRELATION = 0.3
ALIKE = 0.98
WENT_OUT = ("accepted", "unknown", "duplicate", "sent")
"""Statuses of rounds that are, or may be, at the competition."""
NOT_YET = ("rejected", "held", "sent")
"""Statuses whose reason a person wants to read."""


@dataclass(frozen=True)
class Choice:
    """The round to submit now, or None; `reason` says why in either case."""

    round: int | None
    reason: str


def decide(
    entries: Sequence[Entry], *, remaining_today: int, config: Config, now: datetime, hold: Collection[int] = ()
) -> Choice:
    """Spend a slot on the best kept round; near the end of a day also on the one that teaches most.

    A keep beat the noise when it was made. The last of several daily slots waits for a gain above one standard error
    until the day is nearly over or the campaign is. `hold`: rounds not to submit now.
    """
    if remaining_today <= 0:
        return Choice(None, "no submission is left today")
    free = [entry for entry in entries if _free(entry) and entry["round"] not in hold]
    done = [entry for entry in entries if _went_out(entry) and _usable(entry)]
    kept = [entry for entry in entries if entry["status"] == "keep" and _usable(entry)]
    best = kept[-1] if kept else None
    expiring = _day_left(now) <= EXPIRY
    days = _days_left(config, now)
    if best is not None and best in free:
        why_wait = "" if expiring or _ending(entries, days, config) else _why_wait(best, done, remaining_today, config)
        if why_wait:
            return Choice(None, why_wait)
        return Choice(best["round"], f"cv {best['cv']:.6g}, the {'best kept round' if done else 'first submission'}")
    if not expiring:
        return Choice(None, "no kept round is new")
    if days is not None and days <= LAST_DAYS:
        return Choice(None, "the last days' submissions are for better rounds")
    return _teach(free, done, best)


def agreement(entries: Sequence[Entry]) -> float | None:
    """The rank correlation of CV and leaderboard over the rounds that have both; None for too few to say."""
    pairs = [(entry["cv"], entry["lb"]) for entry in entries if _usable(entry) and finite(entry.get("lb")) is not None]
    if len(pairs) < FEW_PAIRS:
        return None
    cv, lb = zip(*pairs, strict=True)
    try:
        return statistics.correlation(_ranks(cv), _ranks(lb))
    except statistics.StatisticsError:  # all alike
        return None


def final_two(entries: Sequence[Entry], *, maximize: bool) -> list[dict[str, Any]]:
    """At most two {round, why}: the best kept round, and the best hedge against its being wrong.

    A hedge is unlike the first and within the noise of it, or the leaderboard's choice when CV and leaderboard
    disagree; where there is none, one round is all that is worth handing in. Only submitted rounds can be chosen at a
    competition, so these are meant where there are any.
    """
    usable = [entry for entry in entries if _usable(entry)]
    pool = [entry for entry in usable if _went_out(entry)] or usable
    kept = [entry for entry in pool if entry["status"] == "keep"]
    if not kept:
        return []
    sign = 1.0 if maximize else -1.0
    first = max(kept, key=lambda entry: (sign * entry["cv"], -entry["round"]))
    chosen = [{"round": first["round"], "why": "the best kept round"}]
    others = [entry for entry in pool if entry is not first]
    scored = [entry for entry in others if finite(entry.get("lb")) is not None]
    agree = agreement(entries)
    if scored and agree is not None and agree < WEAK_CORRELATION:
        second = max(scored, key=lambda entry: (sign * entry["lb"], entry["round"]))
        why = "best leaderboard score of the others, as CV and leaderboard disagree"
        return [*chosen, {"round": second["round"], "why": why}]
    near = [entry for entry in others if sign * (first["cv"] - entry["cv"]) <= 2 * _noise(first)]
    unlike = [entry for entry in near if _likeness(first, entry) <= ALIKE]
    if not unlike:
        return chosen
    second = min(unlike, key=lambda entry: (_likeness(first, entry), -sign * entry["cv"]))
    return [*chosen, {"round": second["round"], "why": "least like the first among those within the noise of it"}]


def _why_wait(best: Entry, done: Sequence[Entry], remaining: int, config: Config) -> str:
    """Why the day's last slot should not go to `best` yet, or nothing."""
    own, site = config.submissions.daily_limit, config.competition.daily_limit
    daily = (site if own is None else min(own, site)) - config.submissions.reserve
    if remaining > 1 or daily < 2 or not done:
        return ""
    gain = min(abs(best["cv"] - entry["cv"]) for entry in done)
    return "" if gain > _noise(best) else "the day's last submission waits for a gain above one standard error"


def _teach(free: Sequence[Entry], done: Sequence[Entry], best: Entry | None) -> Choice:
    """The unsubmitted round whose leaderboard score would tell most: far from those submitted, and not a copy."""
    if best is None:
        return Choice(None, "nothing was kept yet")
    scale = _noise(best)
    near = [entry for entry in free if abs(entry["cv"] - best["cv"]) <= TEACHING_RANGE * scale]
    near = [entry for entry in near if not any(_likeness(entry, other, 0.9) > ALIKE for other in done)]
    if not near:
        return Choice(None, "no round would teach anything new")

    def lesson(entry: Entry) -> float:
        gap: float = min((abs(entry["cv"] - other["cv"]) for other in done), default=scale) / scale
        return min(gap, TEACHING_RANGE) + min((1 - _likeness(entry, other, 0.9) for other in done), default=1.0)

    chosen = max(near, key=lambda entry: (lesson(entry), entry["round"]))
    return Choice(
        chosen["round"], f"cv {chosen['cv']:.6g}, a slot that expires today, to learn how CV and LB go together"
    )


def _usable(entry: Entry) -> bool:
    """All folds ran, so its CV score and its predictions stand."""
    return finite(entry.get("cv")) is not None and bool(entry.get("complete"))


def _free(entry: Entry) -> bool:
    return _usable(entry) and entry["status"] in ("keep", "discard") and not entry.get("submitted")


def _went_out(entry: Entry) -> bool:
    return entry.get("submitted") in WENT_OUT


def _noise(entry: Entry) -> float:
    """The standard error, never 0."""
    return max(finite(entry.get("se")) or 0.0, 1e-12)


def _likeness(one: Entry, other: Entry, unknown: float = 1.0) -> float:
    """Correlation of their predictions as the later one noted it."""
    later, earlier = (one, other) if one["round"] > other["round"] else (other, one)
    found = finite((later.get("correlations") or {}).get(label(earlier["round"])))
    return unknown if found is None else found


def _day_left(now: datetime) -> timedelta:
    utc = now.astimezone(UTC)
    return datetime.combine(utc.date() + timedelta(days=1), time(), UTC) - utc


def _days_left(config: Config, now: datetime) -> float | None:
    """Until the deadline; None without one."""
    ends = config.loop.ends
    return None if ends is None else (ends - now) / timedelta(days=1)


def _ending(entries: Sequence[Entry], days: float | None, config: Config) -> bool:
    """Whether no later round may need the slot."""
    last = max((entry["round"] for entry in entries), default=0)
    rounds_over = config.loop.last_round is not None and last >= config.loop.last_round
    return rounds_over or (days is not None and days <= EXPIRY / timedelta(days=1))


def _ranks(values: Sequence[float]) -> list[float]:
    """Places in ascending order, ties shared."""
    return [sum(other < value for other in values) + sum(other == value for other in values) / 2 for value in values]
