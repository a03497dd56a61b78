"""Where we stand on a leaderboard, and how far the medals are: Kaggle's public rule by the number of teams.

| teams     | bronze    | silver   | gold        |
|-----------|-----------|----------|-------------|
| 1–99      | top 40 %  | top 20 % | top 10 %    |
| 100–249   | top 40 %  | top 20 % | top 10      |
| 250–999   | top 100   | top 50   | top 10+0.2 %|
| 1000–     | top 10 %  | top 5 %  | top 10+0.2 %|

The lines are drawn on any leaderboard; whether a competition awards medals at all is its host's matter.
"""  # noqa: RUF002

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

MEDALS = ("gold", "silver", "bronze")
"""The best first."""


def places(teams: int) -> dict[str, int]:
    """The last place of each medal among so many teams (≥ 1); shares are rounded down, but never below one place."""
    gold = 10 + teams // 500
    if teams < 100:
        found = (teams // 10, teams // 5, 2 * teams // 5)
    elif teams < 250:
        found = (10, teams // 5, 2 * teams // 5)
    elif teams < 1000:
        found = (gold, 50, 100)
    else:
        found = (gold, teams // 20, teams // 10)
    return {medal: max(1, place) for medal, place in zip(MEDALS, found, strict=True)}


def standing(
    board: Sequence[tuple[str, float]], *, team: str, score: float | None, maximize: bool
) -> dict[str, Any] | None:
    """Our place on `board`, (team, score) in any order; None where there is no other team with a score.

    `score` is our best as we know it, None before the first; a better one of the row of `team` counts instead. Where
    our team's name is not known (""), a row with our very score is taken for ours.
    {"teams", "rank", "score", "medal", "lines": {medal: {"place", "score", "gap"}}}: `gap` is what our score still has
    to gain in metric units, at most 0 where the line is reached and None without a score.
    """
    sign = 1.0 if maximize else -1.0
    others = sorted((value for name, value in board if name != team and math.isfinite(value)), key=lambda v: -sign * v)
    if not team and score in others:
        others.remove(score)
    if not others:
        return None
    known = [value for name, value in board if name == team and math.isfinite(value)]
    known += [score] if score is not None and math.isfinite(score) else []
    ours = max(known, key=lambda value: sign * value, default=None)
    ranked = others if ours is None else sorted([*others, ours], key=lambda value: -sign * value)
    lines: dict[str, dict[str, Any]] = {}
    for medal, place in places(len(ranked)).items():
        line = ranked[place - 1]
        lines[medal] = {"place": place, "score": line, "gap": None if ours is None else sign * (line - ours)}
    rank = None if ours is None else 1 + sum(sign * value > sign * ours for value in others)
    reached = [medal for medal in MEDALS if rank is not None and rank <= lines[medal]["place"]]
    return {
        "teams": len(ranked),
        "rank": rank,
        "score": ours,
        "medal": reached[0] if reached else None,
        "lines": lines,
    }
