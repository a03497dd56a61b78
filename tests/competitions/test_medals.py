"""The medals' lines by the number of teams, and our place among them."""

from __future__ import annotations

import math
import random

import pytest

from orchestrator.competitions.medals import MEDALS, places, standing


@pytest.mark.parametrize(
    ("teams", "gold", "silver", "bronze"),
    [
        (1, 1, 1, 1),
        (9, 1, 1, 3),
        (50, 5, 10, 20),
        (99, 9, 19, 39),
        (100, 10, 20, 40),
        (249, 10, 49, 99),
        (250, 10, 50, 100),
        (500, 11, 50, 100),
        (999, 11, 50, 100),
        (1000, 12, 50, 100),
        (3587, 17, 179, 358),
        (10_000, 30, 500, 1000),
    ],
)
def test_places_of_the_public_rule(teams: int, gold: int, silver: int, bronze: int) -> None:
    assert places(teams) == {"gold": gold, "silver": silver, "bronze": bronze}


def test_each_medal_lies_behind_the_better_one_for_any_number_of_teams() -> None:
    for teams in range(1, 12_000):
        found = places(teams)
        assert 1 <= found["gold"] <= found["silver"] <= found["bronze"] <= teams


def board(*scores: float) -> list[tuple[str, float]]:
    return [(f"team {place}", score) for place, score in enumerate(scores, 1)]


def test_our_place_and_what_the_medals_still_take() -> None:
    found = standing(board(*(1 - k / 100 for k in range(49))), team="us", score=0.895, maximize=True)
    assert found is not None and (found["rank"], found["teams"], found["medal"]) == (12, 50, "bronze")
    assert found["lines"]["gold"] == {"place": 5, "score": 0.96, "gap": pytest.approx(0.065)}
    assert found["lines"]["silver"]["gap"] == pytest.approx(0.91 - 0.895)
    assert found["lines"]["bronze"]["gap"] < 0


def test_less_is_better_and_ties_share_the_better_place() -> None:
    found = standing(board(1.0, 2.0, 2.0, 3.0, 4.0), team="us", score=2.0, maximize=False)
    assert found is not None and (found["rank"], found["medal"]) == (2, "bronze")
    assert found["lines"]["gold"]["gap"] == pytest.approx(1.0) and found["lines"]["bronze"]["gap"] == 0.0


def test_our_own_row_counts_once_and_the_better_of_both_scores_counts() -> None:
    rows = [*board(0.9, 0.8), ("us", 0.85)]
    for known, rank, score in ((None, 2, 0.85), (0.7, 2, 0.85), (0.95, 1, 0.95)):
        found = standing(rows, team="us", score=known, maximize=True)
        assert found is not None and (found["rank"], found["score"], found["teams"]) == (rank, score, 3)


def test_a_row_with_our_score_is_ours_where_our_name_is_not_known() -> None:
    for score, rank, teams in ((0.8, 2, 3), (0.75, 3, 4), (None, None, 3)):
        found = standing(board(0.9, 0.8, 0.7), team="", score=score, maximize=True)
        assert found is not None and (found["rank"], found["teams"]) == (rank, teams)


def test_without_a_score_of_ours_only_the_lines_are_known() -> None:
    found = standing(board(0.9, 0.8, 0.7), team="us", score=None, maximize=True)
    assert found is not None and found["rank"] is None and found["medal"] is None
    assert {mark["gap"] for mark in found["lines"].values()} == {None} and found["teams"] == 3


def test_a_leaderboard_without_other_teams_says_nothing() -> None:
    assert standing([], team="us", score=0.5, maximize=True) is None
    assert standing([("us", 0.5), ("them", math.nan)], team="us", score=0.5, maximize=True) is None


def test_a_gap_is_what_moves_us_to_the_line() -> None:
    """With the gap gained, the medal is ours: on random leaderboards of both directions, with ties."""
    rng = random.Random(3)
    for _ in range(300):
        maximize = rng.random() < 0.5
        rows = board(*(round(rng.random(), 2) for _ in range(rng.randint(1, 400))))
        score = round(rng.random(), 2)
        found = standing(rows, team="us", score=score, maximize=maximize)
        assert found is not None
        for medal in MEDALS:
            gap = found["lines"][medal]["gap"]
            assert (gap <= 0) == (found["rank"] <= found["lines"][medal]["place"])
            moved = score + (gap if maximize else -gap)
            again = standing(rows, team="us", score=found["lines"][medal]["score"], maximize=maximize)
            assert moved == pytest.approx(found["lines"][medal]["score"])
            assert again is not None and again["rank"] <= found["lines"][medal]["place"]
