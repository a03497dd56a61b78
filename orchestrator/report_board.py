"""The leaderboard's section of REPORT.md: our place, the medals' lines, and how far CV can be believed."""

from __future__ import annotations

from orchestrator import show
from orchestrator.competitions.medals import MEDALS
from orchestrator.rounds import label
from orchestrator.show import cell, markdown_table
from orchestrator.standings import line
from orchestrator.state import State


def section(state: State, plot: str) -> list[str]:
    """Nothing where no leaderboard was ever read and no round has a leaderboard score."""
    parts = [*_place(state.get("leaderboard")), *_agreement(state.get("agreement"))]
    if not parts:
        return []
    return ["## Leaderboard", *parts, *(["", plot] if plot else [])]


def _place(found: State | None) -> list[str]:
    if not found:
        return []
    rows = []
    for medal in MEDALS:
        mark = found["lines"][medal]
        gap = mark["gap"]
        still = show.NOTHING if gap is None else "reached" if gap <= 0 else show.short(gap)
        rows.append([medal, f"{mark['place']:,}", show.score(mark["score"]), still])
    when = str(found["fetched"])[:16].replace("T", " ")
    text = f"After {label(found['round'])} ({when} UTC): {cell(line(found), 200)}."
    return ["", text, "", *markdown_table(("medal", "last place", "its score", "still to gain"), rows)]


def _agreement(found: State | None) -> list[str]:
    """CV against leaderboard in words; the picture stands with the submissions."""
    if not found:
        return []
    known = "" if found["correlation"] is None else f", their rank correlation is {found['correlation']:.2f}"
    rounds = f"{found['pairs']} rounds have" if found["pairs"] > 1 else "1 round has"
    offset = show.signed(found["offset"])
    lines = ["", f"{rounds} both scores: leaderboard - CV is {offset} in the middle{known}."]
    return lines + [part for warning in found["warnings"] for part in ("", f"> **Warning:** {cell(warning, 300)}")]
