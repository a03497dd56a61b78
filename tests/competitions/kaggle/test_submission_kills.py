"""Processes killed while they submit over HTTP, at every step around the point of no return and in mid-request."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.competitions.kaggle.client import KaggleClient
from tests.competitions.kaggle.desk import Desk, kill_in_flight
from tests.competitions.kaggle.submission_kills import kill_everywhere
from tests.kaggle_server.start import Kaggle

CLOSE = ("before sent", "after sent", "before create_submission", "after create_submission")
"""The rest are killed by `python -m tests.competitions.kaggle.submission_kills`."""


@pytest.fixture(autouse=True)
def forks() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # later Pythons warn of forking beside threads
        yield


def test_killed_around_the_point_of_no_return(server: Kaggle, client: KaggleClient, tmp_path: Path) -> None:
    ends = kill_everywhere(server, client, tmp_path, CLOSE.__contains__)
    print(dict(ends))
    assert ends == {"accepted": 2, "unknown": 2}, "given up only between the sent mark and the request"


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ({"kind": "hang_after", "seconds": 5.0}, "accepted"),
        ({"kind": "hang", "seconds": 5.0}, "unknown"),
        ({"kind": "late", "seconds": 1.0}, "accepted"),
    ],
)
def test_killed_while_kaggle_holds_the_request(
    server: Kaggle, client: KaggleClient, tmp_path: Path, fault: dict[str, Any], status: str
) -> None:
    desk = Desk(server, client, tmp_path, f"flight-{fault['kind'].replace('_', '-')}")
    desk.ledger()
    server.fault("CreateSubmission", fault)
    kill_in_flight(desk, 1, "CreateSubmission", tmp_path / "told.txt")
    if fault["kind"] == "late":
        time.sleep(1.2)
    receipt = desk.end(1)
    assert receipt.status == status
    assert desk.requests() == 1 and len(desk.accepted) == (status == "accepted")
