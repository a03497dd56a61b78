"""What Kaggle tells about a competition, asked once at the start and kept beside its data for the next campaign."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from orchestrator.competitions.kaggle.errors import TryLater
from orchestrator.competitions.kaggle.records import CompetitionInfo, LeaderboardRow, made
from orchestrator.competitions.kaggle.slug import url_of
from orchestrator.errors import CompetitionError
from orchestrator.files import read_json_or_none, write_json

MOST_SCORES = 5000


class Teller(Protocol):
    """The part of KaggleClient that is needed here."""

    def competition(self, slug: str) -> CompetitionInfo: ...

    def pages(self, slug: str) -> dict[str, str]: ...

    def leaderboard(self, slug: str) -> list[LeaderboardRow]: ...


@dataclass(frozen=True)
class Facts:
    """`scores`: of the leaderboard, the best first."""

    info: CompetitionInfo
    pages: dict[str, str] = field(default_factory=dict)
    scores: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def ask(teller: Teller, slug: str, home: Path) -> Facts:
    """Everything that Kaggle tells, kept in `home`. The board may be missing, for a competition without one.

    Raises CompetitionError when the competition or its pages can't be had.
    """
    notes: list[str] = []
    info, pages = teller.competition(slug), teller.pages(slug)
    try:
        scores = [row.score for row in teller.leaderboard(slug)][:MOST_SCORES]
    except TryLater:
        raise
    except CompetitionError as error:
        scores = []
        notes.append(f"The leaderboard can't be read: {error}")
    record = {**dataclasses.asdict(info), "deadline": info.deadline.isoformat() if info.deadline else None}
    write_json(home / "facts.json", {"info": record, "pages": pages, "scores": scores})
    return Facts(info, pages, scores, notes)


def ask_or_remember(teller: Callable[[], Teller], slug: str, home: Path) -> Facts:
    """For those who may be offline: what Kaggle tells, else what it told before, else nothing but the name."""
    try:
        return ask(teller(), slug, home)
    except CompetitionError as error:
        why = f"Kaggle was not asked ({error})"
    record: dict[str, Any] | None = read_json_or_none(home / "facts.json")
    if record is None:
        info = CompetitionInfo(slug, slug, url_of(slug), "", None, 0, False, False, False)
        return Facts(info, notes=[f"{why}: metric, deadline and limits are guessed from the data alone."])
    info = made(CompetitionInfo, record["info"])
    return Facts(info, record["pages"], record["scores"], [f"{why}: this is what it said before."])
