"""Which round a slot goes to, which two are chosen, and when CV and leaderboard disagree."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from orchestrator.config import Config, parse
from orchestrator.submission_policy import WEAK_CORRELATION, Choice, agreement, decide, final_two

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
LATE = datetime(2026, 3, 2, 22, 30, tzinfo=UTC)


def entry(number: int, cv: float | None, status: str = "keep", submitted: str = "", **more: Any) -> dict[str, Any]:
    complete = cv is not None
    return {
        "round": number,
        "cv": cv,
        "se": 0.01,
        "status": status,
        "complete": complete,
        "submitted": submitted,
        **more,
    }


def config(**sections: Any) -> Config:
    return parse(sections, "test")


def choose(entries: list[dict[str, Any]], now: datetime = NOON, remaining: int = 3, **sections: Any) -> Choice:
    return decide(entries, remaining_today=remaining, config=config(**sections), now=now)


def test_the_best_kept_round_goes_out_once() -> None:
    assert choose([entry(1, 0.8), entry(2, 0.82)]).round == 2
    assert choose([entry(1, 0.8), entry(2, 0.82, submitted="accepted")]).round is None
    assert choose([entry(1, 0.8, submitted="accepted"), entry(2, 0.9, "discard")]).round is None


@pytest.mark.parametrize("status", ["accepted", "rejected", "unknown", "duplicate", "sent"])
def test_a_round_with_a_receipt_is_never_chosen_again(status: str) -> None:
    assert choose([entry(1, 0.8, submitted=status)], now=LATE).round is None


def test_nothing_goes_out_without_slots_or_when_held() -> None:
    assert "left today" in choose([entry(1, 0.8)], remaining=0).reason
    assert decide([entry(1, 0.8)], remaining_today=1, config=config(), now=NOON, hold={1}).round is None


def test_crashed_and_incomplete_rounds_are_never_candidates() -> None:
    crashed = [entry(1, None, "crash"), entry(2, 0.9, "discard", complete=False)]
    assert choose(crashed, now=LATE).round is None


def test_the_last_slot_waits_for_a_clear_gain_until_the_day_ends() -> None:
    small = [entry(1, 0.8, submitted="accepted"), entry(2, 0.805)]
    large = [entry(1, 0.8, submitted="accepted"), entry(2, 0.83)]
    assert choose(small, remaining=1).round is None
    assert choose(small, remaining=2).round == 2
    assert choose(large, remaining=1).round == 2
    assert choose(small, remaining=1, now=LATE).round == 2
    assert choose(small, remaining=1, competition={"daily_limit": 1}).round == 2
    assert choose(small, remaining=1, loop={"max_rounds": 2}).round == 2, "no later round can need it"
    assert choose(small, remaining=1, loop={"deadline": "2026-03-02T13:00:00"}).round == 2


def test_a_slot_that_expires_teaches() -> None:
    done = entry(1, 0.8, submitted="accepted")
    copy = entry(2, 0.8, "discard", correlations={"R01": 0.999})
    near = entry(3, 0.79, "discard", correlations={"R01": 0.95})
    far = entry(4, 0.77, "discard", correlations={"R01": 0.9})
    junk = entry(5, 0.3, "discard", correlations={"R01": 0.1})
    entries = [done, copy, near, far, junk]
    assert choose(entries).round is None
    assert choose(entries, now=LATE).round == 4
    assert choose([done, copy, junk], now=LATE).round is None
    assert choose(entries, now=LATE, loop={"deadline": "2026-03-03T12:00:00+00:00"}).round is None
    assert choose(entries, now=LATE, loop={"deadline": "2026-03-30T12:00:00+00:00"}).round == 4


def test_cv_against_leaderboard() -> None:
    assert agreement([entry(n, 0.8 + n / 100, lb=0.7 + n / 90) for n in range(1, 6)]) == pytest.approx(1)
    against = agreement([entry(n, 0.8 + n / 100, lb=0.7 - n / 90) for n in range(1, 6)])
    assert against == pytest.approx(-1) and against < WEAK_CORRELATION
    assert agreement([entry(n, 0.8 + n / 100, lb=0.7 - n / 90) for n in range(1, 4)]) is None, "too few to say"
    assert agreement([entry(1, 0.8, lb=0.7), entry(2, 0.8, lb=None)]) is None
    assert agreement([entry(n, 0.8, lb=n / 10) for n in range(1, 6)]) is None, "all alike"


@pytest.mark.parametrize("sign", [1, -1])
def test_the_final_two_hedge(sign: int) -> None:
    maximize = sign > 0
    alike = entry(2, sign * 0.829, submitted="accepted", correlations={"R01": 0.999})
    other = entry(3, sign * 0.82, submitted="accepted", correlations={"R01": 0.9, "R02": 0.9})
    unsent = entry(4, sign * 0.9)
    best = entry(1, sign * 0.83, submitted="accepted")
    assert [item["round"] for item in final_two([best, alike, other, unsent], maximize=maximize)] == [1, 3]
    assert [item["round"] for item in final_two([best, alike], maximize=maximize)] == [1], "the same twice is no hedge"
    assert [item["round"] for item in final_two([unsent], maximize=maximize)] == [4], "nothing was submitted"
    assert final_two([entry(1, None, "crash")], maximize=maximize) == []


def test_the_leaderboard_decides_the_second_when_cv_fails() -> None:
    scores = [(1, 0.80, 0.9), (2, 0.81, 0.8), (3, 0.82, 0.7), (4, 0.83, 0.6)]
    entries = [entry(number, cv, submitted="accepted", lb=lb) for number, cv, lb in scores]
    assert [item["round"] for item in final_two(entries, maximize=True)] == [4, 1]
