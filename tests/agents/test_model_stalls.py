"""Servers that do not answer, that only show that they live, or that never stop: bounded, retried, booked."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from agents.costs import Caps
from agents.errors import BudgetSpent, ModelUnreachable
from tests.agents.model_desk import PLAN, desk, turn
from tests.agents.test_model_session import DIALECTS, events, first

SOON = {"stalled_minutes": 1.5 / 60}


@DIALECTS
@pytest.mark.parametrize("fault", ["silent", "ping"])
def test_a_reply_that_stalls_is_asked_for_again(backend: str, fault: str, tmp_path: Path) -> None:
    with desk(tmp_path, backend, first(faults=[fault])) as here:
        began = time.monotonic()
        assert here.open(**SOON).ask(turn(here.root)) == "DONE"
        assert time.monotonic() - began < 60
        assert (here.root / "rounds" / "R01_plan.md").read_text() == PLAN
        while len(here.server.requests()) < 3 and time.monotonic() - began < 60:
            time.sleep(0.02)  # the server notes a broken stream when it sees that nobody listens
        assert sorted(request["fault"] for request in here.server.requests()) == ["", "", fault]
        totals, failed = here.costs.totals(), [e for e in events(here.transcript) if e["event"] == "failed"]
        assert len(failed) == 1 and totals.requests == 3 and totals.unanswered_usd == 0.0
        assert totals.usd >= sum(request["billed"] for request in here.server.requests())
        assert totals.usd == pytest.approx(here.billed() + sum(event["usd"] for event in failed))
        waits = [item["text"] for item in here.heard if item["event"] == "wait"]
        assert len(waits) == 1 and ("not a word" in waits[0]) == (fault == "ping")


@DIALECTS
def test_a_server_that_never_answers_ends_in_time_and_within_the_cap(backend: str, tmp_path: Path) -> None:
    with desk(tmp_path, backend, first(faults=["silent"] * 99), caps=Caps(usd=0.3)) as here:
        with pytest.raises(BudgetSpent):
            here.open(**SOON).ask(turn(here.root))
        assert sum(request["billed"] for request in here.server.requests()) <= here.costs.totals().usd <= 0.3
    with (
        desk(tmp_path / "uncapped", backend, first(faults=["silent"] * 99), caps=Caps()) as here,
        pytest.raises(ModelUnreachable),
    ):
        here.open(unreachable_minutes=0.02, **SOON).ask(turn(here.root))


@DIALECTS
def test_a_reply_without_end_is_cut(backend: str, tmp_path: Path) -> None:
    with desk(tmp_path, backend, first(faults=["endless"])) as here:
        assert here.open(max_output_tokens=1024).ask(turn(here.root)) == "DONE"
        failed = next(event for event in events(here.transcript) if event["event"] == "failed")
        assert "longer than any" in failed["why"] and failed["usage"]["output"] == 1024
        assert here.transcript.stat().st_size < 100_000
