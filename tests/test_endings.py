"""How much time is enough for one more round."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.build import at_most
from orchestrator.endings import _seconds_for_a_round


def played(*rounds: tuple[str, float]) -> list[Any]:
    return [{"complete": True, "role": role, "seconds": seconds} for role, seconds in rounds]


@pytest.mark.parametrize(
    ("rounds", "seconds"),
    [
        ([], 6.0),
        ([("improve", 10.0)], 17.0),
        ([("improve", 10.0), ("diversify", 20.0)], 14.0),
        ([("improve", 10.0), ("diversify", 20.0), ("blend", 6.0)], 18.0),
        ([("improve", 10.0), ("blend", 2.0), ("diversify", 20.0)], 8.0),
        ([("improve", 100.0)], 30.0),
    ],
)
def test_a_last_blend_needs_less_time_than_another_experiment(rounds: Any, seconds: float) -> None:
    assert _seconds_for_a_round(played(*rounds)) == pytest.approx(seconds)


class Left:
    """A campaign with so many seconds left, None where nothing limits it."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds

    def seconds_left(self) -> float | None:
        return self.seconds


@pytest.mark.parametrize(
    ("left", "later", "first"), [(105.0, 100.0, 40.0), (9000.0, 1800.0, 1800.0), (None, 1800.0, 1800.0)]
)
def test_a_first_experiment_leaves_time_for_a_quicker_one(left: float | None, later: float, first: float) -> None:
    campaign: Any = Left(left)
    assert at_most(campaign, 1800.0) == later
    assert at_most(campaign, 1800.0, first=True) == first
