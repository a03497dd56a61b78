"""The place on the leaderboard: asked once a round, kept through failures, told by status and report."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from orchestrator.campaign import Campaign
from orchestrator.competitions.metrics import get_metric
from orchestrator.cv_lb import comparison
from orchestrator.errors import CompetitionError
from orchestrator.files import read_json
from orchestrator.report import write_report
from orchestrator.standings import Standings, history, recorded
from orchestrator.views import status
from tests import made_campaign as made
from tests.playing import NOON, Script


@dataclass
class Site:
    """A leaderboard that can be counted, changed and cut off."""

    board: list[tuple[str, float]] = field(default_factory=lambda: [(f"t{k}", 1 - k / 100) for k in range(60)])
    down: bool = False
    asked: int = 0
    team: str = "us"

    def leaderboard(self) -> list[tuple[str, float]]:
        self.asked += 1
        if self.down:
            raise CompetitionError("the site is down")
        return self.board


class Place:
    """What the standings need of a campaign."""

    def __init__(self, root: Path) -> None:
        self.rounds = root / "rounds"
        self.rounds.mkdir(exist_ok=True)
        self.competition, self.metric = Site(), get_metric("auc")
        self.time, self.notes = NOON, cast("list[str]", [])

    def now(self) -> datetime:
        return self.time

    def progress(self, event: str, **fields: Any) -> None:
        self.notes.append(str(fields["text"]))

    def open(self) -> Standings:
        return Standings(cast(Campaign, self))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def entries(*scores: float | None) -> list[dict[str, Any]]:
    return [made.entry(number, lb=score) for number, score in enumerate(scores, 1)]


def test_a_round_asks_once_and_a_restart_knows(place: Place) -> None:
    standings = place.open()
    first = standings.take(1, entries(0.805))
    assert first is not None and (first["rank"], first["teams"], first["medal"]) == (21, 61, "bronze")
    assert standings.take(1, entries(0.805)) == first == place.open().take(1, entries(0.9))
    assert place.competition.asked == 1 and place.notes == [
        "leaderboard: place 21 of 61 (top 34 %), bronze; 0.085 to silver"
    ]


def test_a_young_standing_serves_until_our_score_changes(place: Place) -> None:
    standings = place.open()
    standings.take(1, entries(0.8))
    assert standings.take(2, entries(0.8, None)) is standings.latest and place.competition.asked == 1
    better = standings.take(3, entries(0.8, None, 0.995))
    assert better is not None and (better["rank"], better["medal"], place.competition.asked) == (2, "gold", 2)
    place.time += timedelta(hours=1)
    standings.take(4, entries(0.8, None, 0.995))
    assert place.competition.asked == 3 and history(standings.records) == [[1, 21, 61], [3, 2, 61], [4, 2, 61]]


def test_the_end_looks_again_once_our_score_has_changed(place: Place) -> None:
    standings = place.open()
    standings.take(1, entries(None))
    assert standings.take(1, entries(None), again=True) is standings.latest and place.competition.asked == 1
    last = standings.take(1, entries(0.995), again=True)
    assert last is not None and last["rank"] == 2 and [last] == standings.records == place.open().records


def test_a_failure_keeps_the_last_one_and_is_not_repeated_in_the_round(place: Place) -> None:
    standings = place.open()
    assert place.competition.asked == 0
    known = standings.take(1, entries(0.8))
    place.competition.down = True
    for _ in range(3):
        assert standings.take(2, entries(0.8, 0.9)) == known
    assert place.competition.asked == 2 and standings.failure(2) == "the site is down"
    assert place.notes[-1] == f"the leaderboard could not be read: the site is down; that of {NOON.isoformat()} stays"
    place.competition.down = False
    again = standings.take(3, entries(0.8, 0.9))
    assert again is not None and again["round"] == 3 and again["score"] == 0.9


def test_damaged_and_odd_records(place: Place) -> None:
    place.competition.board = [("\x1b[2Jbad\nname", 0.9), ("t", float("nan")), ("u", 0.8)]
    found = place.open().take(1, entries(None))
    assert found is not None and found["rank"] is None and found["top"] == [["bad name", 0.9], ["u", 0.8]]
    (place.rounds / "R02_leaderboard.json").write_text("{}")
    assert recorded(place.rounds) == [found] and recorded(place.rounds / "nowhere") == []
    place.competition.board = [("us", 0.9)]
    place.time += timedelta(days=1)
    assert place.open().take(3, entries(None)) == found


def test_a_campaign_with_a_leaderboard_shows_its_place(tmp_path: Path) -> None:
    script = Script(tmp_path / "campaign", 2)
    (script.folder / "competition/private/leaderboard.csv").write_text("rank,score\n1,0.001\n2,1.4\n3,900\n")
    played = script.play()
    state = read_json(script.folder / "state.json")
    assert state["leaderboard"]["teams"] == 4 and state["ranks"][-1][1:] == [state["leaderboard"]["rank"], 4]
    assert "top" not in state["leaderboard"] and "leaderboard: place" in played.notes()
    shown = status(script.folder)
    assert f"place {state['leaderboard']['rank']} of 4" in shown
    (script.folder / "state.json").unlink()
    assert f"place {state['leaderboard']['rank']} of 4" in status(script.folder)
    text = write_report(script.folder, NOON).read_text()
    assert "## Leaderboard" in text and "| gold |" in text
    assert ("report/places.png" in text) == (len(state["ranks"]) > 1)


def test_a_campaign_without_other_teams_has_no_leaderboard(tmp_path: Path) -> None:
    script = Script(tmp_path / "campaign", 1)
    script.play()
    state = read_json(script.folder / "state.json")
    assert state["leaderboard"] is None and state["ranks"] == []
    assert "place " not in status(script.folder) and "| gold |" not in write_report(script.folder, NOON).read_text()
    assert not list((script.folder / "rounds").glob("*leaderboard*"))


def pairs(*both: tuple[float, float], se: float = 0.002) -> list[dict[str, Any]]:
    return [made.entry(number, cv=cv, lb=lb, se=se) for number, (cv, lb) in enumerate(both, 1)]


def test_an_offset_is_no_fault_and_a_round_off_the_line_is_named() -> None:
    calm = pairs((0.80, 0.77), (0.81, 0.781), (0.82, 0.789), (0.83, 0.80))
    found = comparison(calm, maximize=True)
    assert found is not None and found["warnings"] == [] and found["offset"] == pytest.approx(-0.03, abs=0.001)
    assert found["correlation"] == pytest.approx(1.0) and found["pairs"] == 4
    leaking = [*calm, made.entry(5, cv=0.90, lb=0.80, se=0.002)]
    for maximize, side in ((True, "worse"), (False, "better"), (None, "lower")):
        found = comparison(leaking, maximize=maximize)
        assert found is not None and len(found["warnings"]) == 1
        assert found["warnings"][0].startswith(f"R05: its leaderboard score is 0.07 {side} than its CV says")


def test_noise_is_forgiven_and_few_rounds_say_nothing() -> None:
    off = pairs((0.80, 0.77), (0.81, 0.78), (0.82, 0.79), (0.83, 0.795), se=0.01)
    found = comparison(off, maximize=True)
    assert found is not None and found["warnings"] == []
    lucky = pairs((0.80, 0.81), (0.81, 0.87), (0.82, 0.88), se=0.01)
    few_rows = comparison(lucky, maximize=True, public=0.05)
    many_rows = comparison(lucky, maximize=True)
    assert few_rows is not None and few_rows["warnings"] == [] and many_rows is not None
    assert [line[:3] for line in many_rows["warnings"]] == ["R01"]
    two = comparison(pairs((0.8, 0.7), (0.9, 0.1)), maximize=True)
    assert two is not None and two["warnings"] == [] and two["correlation"] is None
    assert comparison(entries(None, None), maximize=True) is None


def test_a_weak_correlation_warns_and_says_when_it_means_little() -> None:
    clear = pairs((0.80, 0.83), (0.81, 0.82), (0.82, 0.81), (0.83, 0.80), se=0.02)
    found = comparison(clear, maximize=True)
    assert (
        found is not None
        and "hardly agree: rank correlation -1.00 over 4 rounds: trust neither" in found["warnings"][0]
    )
    near = pairs((0.800, 0.803), (0.801, 0.802), (0.802, 0.801), (0.803, 0.800), se=0.02)
    found = comparison(near, maximize=True)
    assert found is not None and "differ by less than their noise" in found["warnings"][0]


def test_warnings_reach_status_and_report(tmp_path: Path) -> None:
    made.config(tmp_path)
    rounds = [(0.80, 0.77), (0.81, 0.781), (0.82, 0.789), (0.83, 0.80), (0.90, 0.80)]
    for number, (cv, lb) in enumerate(rounds, 1):
        made.finish(tmp_path, made.entry(number, cv=cv, se=0.002), lb)
    shown = status(tmp_path)
    assert "warning" in shown and "R05: its leaderboard score is 0.07 worse" in shown
    text = write_report(tmp_path, NOON).read_text()
    assert "**Warning:** R05: its leaderboard score" in text and "5 rounds have both scores" in text
