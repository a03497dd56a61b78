"""Our place on the leaderboard, round by round: asked at most once a round, kept in R<NN>_leaderboard.json.

A leaderboard that can't be read changes nothing: the last known one stays, with its time. Places carry no decision of
the loop; they are there for people and for the players' view.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.competitions.medals import MEDALS, standing
from orchestrator.errors import BadInput, CompetitionError
from orchestrator.files import read_json_or_none, write_json
from orchestrator.ledger import Entry
from orchestrator.rounds import RoundFiles
from orchestrator.show import finite, one_line, score, short

if TYPE_CHECKING:
    from orchestrator.campaign import Campaign

TOP = 20
"""Rows of other teams that are kept."""
YOUNG = timedelta(minutes=30)
"""A standing so fresh is not asked for again unless our own score has changed."""
_NAME = re.compile(r"^R(\d{2,})_leaderboard\.json$")
Standing = dict[str, Any]


def recorded(folder: Path) -> list[Standing]:
    """The standings of `rounds/`, ascending by round; damaged ones are left out."""
    if not folder.is_dir():
        return []
    found = {int(match[1]): entry for entry in folder.iterdir() if (match := _NAME.match(entry.name))}
    records = (read_json_or_none(found[number]) for number in sorted(found))
    return [record for record in records if record is not None]


def history(records: Sequence[Standing]) -> list[list[int]]:
    """[round, rank, teams] wherever we had a rank."""
    return [[record["round"], record["rank"], record["teams"]] for record in records if record["rank"] is not None]


def summary(records: Sequence[Standing]) -> dict[str, Any]:
    """What state.json says of the leaderboard: the last standing (without the top rows) and the history."""
    last = {key: value for key, value in records[-1].items() if key != "top"} if records else None
    return {"leaderboard": last, "ranks": history(records)}


class Standings:
    """The standings of one campaign."""

    def __init__(self, campaign: Campaign) -> None:
        self._campaign = campaign
        self.records = recorded(campaign.rounds)
        self._asked: dict[int, str] = {}
        """Rounds whose asking failed in this process, and why."""

    @property
    def latest(self) -> Standing | None:
        return self.records[-1] if self.records else None

    def take(self, number: int, entries: Sequence[Entry], *, again: bool = False) -> Standing | None:
        """The standing as of the end of round `number`; the last known one when it can't be had, None without any.

        Asks the competition unless this round has (`again`: even then), or what is known is young and our best score
        the same.
        """
        last, ours = self.latest, _best(entries, self._campaign.metric.maximize)
        if last is not None and ((last["round"] >= number and not again) or self._is_fresh(last, ours)):
            return last
        if number in self._asked:
            return last
        try:
            board = self._campaign.competition.leaderboard()
        except (CompetitionError, BadInput) as error:
            self._asked[number] = str(error)
            kept = f"; that of {last['fetched']} stays" if last else ""
            self._campaign.progress("note", text=f"the leaderboard could not be read: {error}{kept}", level="warning")
            return last
        found = self._standing(number, board, ours)
        if found is None:
            return last
        write_json(RoundFiles(self._campaign.rounds, number).path("leaderboard.json"), found)
        self.records = [*(record for record in self.records if record["round"] != number), found]
        self._campaign.progress("note", text=f"leaderboard: {line(found)}")
        return found

    def failure(self, number: int) -> str:
        """Why round `number`'s asking failed in this process, or nothing."""
        return self._asked.get(number, "")

    def _standing(self, number: int, board: Sequence[tuple[str, float]], ours: float | None) -> Standing | None:
        maximize, team = self._campaign.metric.maximize, str(getattr(self._campaign.competition, "team", ""))
        found = standing(board, team=team, score=ours, maximize=maximize)
        if found is None:
            return None
        when = self._campaign.now().isoformat(timespec="seconds")
        top = [[one_line(name, 60), value] for name, value in board[:TOP] if finite(value) is not None]
        return {"round": number, "fetched": when, "known": ours, **found, "team": one_line(team, 60), "top": top}

    def _is_fresh(self, last: Standing, ours: float | None) -> bool:
        age = self._campaign.now() - datetime.fromisoformat(last["fetched"])
        return last["known"] == ours and timedelta() <= age < YOUNG


def line(found: Standing) -> str:
    """`place 120 of 2,345 (top 5.1 %), silver; 0.0012 to gold`; without a score of ours the lines alone."""
    lines = found["lines"]
    if found["rank"] is None:
        marks = ", ".join(f"{medal} {score(lines[medal]['score'])}" for medal in reversed(MEDALS))
        return f"{found['teams']:,} teams, no score of ours; {marks}"
    share = 100 * found["rank"] / found["teams"]
    place = f"place {found['rank']:,} of {found['teams']:,} (top {share:.{0 if share >= 10 else 1}f} %)"
    ahead = [medal for medal in reversed(MEDALS) if found["rank"] > lines[medal]["place"]]
    gap = f"; {short(lines[ahead[0]]['gap'])} to {ahead[0]}" if ahead else ""
    return f"{place}, {found['medal'] or 'no medal'}{gap}"


def _best(entries: Sequence[Entry], maximize: bool) -> float | None:
    """Our best leaderboard score."""
    known = [value for entry in entries if (value := finite(entry.get("lb"))) is not None]
    return (max if maximize else min)(known, default=None)
