"""How much time is enough for one more round."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.build import at_most
from orchestrator.endings import _seconds_for_a_round, _wants_a_blend


def played(*rounds: tuple[str, float]) -> list[Any]:
    return [{"complete": True, "role": role, "seconds": seconds} for role, seconds in rounds]


@pytest.mark.parametrize(
    ("rounds", "seconds"),
    [
        ([], 6.0),
        ([("improve", 10.0)], 17.0),
        ([("improve", 10.0), ("diversify", 20.0)], 11.0),
        ([("improve", 10.0), ("diversify", 20.0), ("blend", 6.0)], 18.0),
        ([("improve", 10.0), ("blend", 2.0), ("diversify", 20.0)], 8.0),
        ([("improve", 100.0)], 30.0),
    ],
)
def test_a_last_blend_needs_less_time_than_another_experiment(rounds: Any, seconds: float) -> None:
    assert _seconds_for_a_round(played(*rounds)) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("left", "scored", "rounds", "seconds"),
    [
        (105.0, True, None, 100.0),
        (105.0, False, None, 40.0),
        (105.0, False, 1, 100.0),
        (9000.0, False, None, 1800.0),
        (None, False, None, 1800.0),
    ],
)
def test_a_first_experiment_leaves_time_for_a_quicker_one(
    left: float | None, scored: bool, rounds: int | None, seconds: float
) -> None:
    loop, entries = SimpleNamespace(last_round=rounds), [{"round": 1, "complete": True}] if scored else []
    campaign: Any = SimpleNamespace(
        seconds_left=lambda: left, config=SimpleNamespace(loop=loop), entries=entries, files=lambda number: number
    )
    assert at_most(campaign, 1800.0) == seconds


@pytest.mark.parametrize(
    ("roles", "due"),
    [
        ([], False),
        (["improve", "diversify"], False),
        (["improve", "diversify", "blend"], False),
        (["improve", "blend", "bold"], True),
    ],
)
def test_patience_waits_for_a_blend_of_the_last_models_where_blends_are_played(roles: list[str], due: bool) -> None:
    assert _wants_a_blend(played(*((role, 1.0) for role in roles))) is due
