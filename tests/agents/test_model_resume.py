"""SIGKILL in the middle of a model's turn: another process goes on, nothing answered is asked or paid again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.costs import Totals
from tests.agents.model_desk import Desk, desk, turn
from tests.agents.test_model_session import DIALECTS, PLAN, events
from tests.model_server.brain import report
from tests.model_server.client import ROOT

CHILD = """
import json, os, signal, sys, time
from datetime import UTC, datetime
from pathlib import Path
from agents.costs import Caps, CostBook
from agents.services import Services
from agents.session import open_session
from tests.agents.model_desk import KEY, turn

root, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
now = lambda: datetime.now(UTC)

class Mortal(CostBook):
    def reserve(self, id, **fields):
        super().reserve(id, **fields)
        die("reserved", id)

    def settle(self, id, *fields):
        die("answered", id)
        super().settle(id, *fields)

def die(place, id):
    if id.endswith("/2") and (root / "die").exists() and (root / "die").read_text() == place:
        os.kill(os.getpid(), signal.SIGKILL)

costs = Mortal(root / "costs.jsonl", Caps(usd=10.0), now)
environment = {"ANTHROPIC_API_KEY": KEY, "OPENAI_API_KEY": KEY}
services = Services(root, costs, lambda *_, **__: None, now, time.sleep, environment)

def slow(**_):
    (root / "runs").open("a").write("run\\n")
    time.sleep(30)

session = open_session("builder", settings, root / "sessions" / "builder", 1, 1, services)
print(session.ask(turn(root, run_python=slow, run_experiment=slow)), flush=True)
"""
LOOK = {"name": "run_python", "input": {"code": "print(1)"}}
RUN = {"name": "run_experiment", "input": {"folds": "all"}}
LIST = {"name": "list_files", "input": {"folder": "."}}
WRITE = {"name": "write_file", "input": {"name": "plan.md", "text": PLAN}}


def play(here: Desk) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(here.root), json.dumps(here.settings())]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, "NO_PROXY": "*"})


def kill_when(here: Desk, there: Callable[[], bool]) -> None:
    """Start the turn and kill it as soon as `there()` holds."""
    child = play(here)
    end = time.monotonic() + 30
    while not there() and time.monotonic() < end:
        time.sleep(0.005)
    assert there()
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert child.stdout is not None
    child.stdout.close()


def finish(here: Desk) -> tuple[str, Totals]:
    """Go on in this process, which knows nothing but the files: (the turn's line, what the books say then)."""

    def look(*_: Any, **__: Any) -> dict[str, Any]:
        with (here.root / "runs").open("a") as file:
            file.write("run\n")
        return {"cv": 0.5}

    again = Desk(here.root, here.server, here.backend)
    try:
        line = again.open().ask(turn(here.root, run_python=look, run_experiment=look))
        return line, again.costs.totals()
    finally:
        again.close()


def count(path: Path, kind: str) -> int:
    if not path.exists():
        return 0
    return sum(f'"event": "{kind}"' in line for line in path.read_text().splitlines())


@DIALECTS
@pytest.mark.parametrize(("tool", "runs", "synthetic"), [(LOOK, 1, 1), (RUN, 2, 0)])
def test_killed_during_a_tool(backend: str, tool: Any, runs: int, synthetic: int, tmp_path: Path) -> None:
    """What had begun is told as interrupted, an experiment is run again, what had not begun is run."""
    script = {"R01/plan": [{"tools": [LIST, tool, WRITE]}, {"tools": [report("DONE")]}]}
    with desk(tmp_path, backend, script) as here:
        kill_when(here, lambda: runs_of(here) > 0)
        with here.transcript.open("ab") as file:
            file.write(b'{"event": "tool_res')  # and a torn line
        assert finish(here)[0] == "DONE"
        results = [event for event in events(here.transcript) if event["event"] == "tool_result"]
        assert runs_of(here) == runs
        assert sum(bool(event.get("synthetic")) for event in results) == synthetic
        assert [event["is_error"] for event in results] == [False, bool(synthetic), False, False]
        assert turn(here.root).makes["plan.md"].read_text() == PLAN
        assert [request["status"] for request in here.server.requests()] == [200, 200]


@DIALECTS
def test_killed_while_a_request_is_under_way(backend: str, tmp_path: Path) -> None:
    """Nobody knows what it cost: it counts in full, and the turn goes on."""
    script = {"R01/plan": [{"tools": [WRITE]}, {"tools": [report("DONE")], "seconds": 2.0}]}
    with desk(tmp_path, backend, script) as here:
        kill_when(here, lambda: count(here.transcript, "request") == 2)
        line, totals = finish(here)
        assert line == "DONE"
        assert len([request for request in here.server.requests() if request["step"] == 0]) == 1
        paid = sum(event["usd"] for event in events(here.transcript) if event["event"] == "reply")
        assert totals.usd - totals.unanswered_usd == pytest.approx(paid)
        assert totals.unanswered_usd > 0.0 and totals.usd > sum(r["billed"] for r in here.server.requests())


@DIALECTS
@pytest.mark.parametrize("place", ["reserved", "answered"])
def test_killed_around_the_books(backend: str, place: str, tmp_path: Path) -> None:
    """What is reserved and was never sent is free again; what is answered is settled from the reply's own record."""
    script = {"R01/plan": [{"tools": [WRITE]}, {"tools": [report("DONE")]}]}
    with desk(tmp_path, backend, script) as here:
        (here.root / "die").write_text(place)
        child = play(here)
        child.communicate(timeout=60)
        assert child.returncode == -signal.SIGKILL
        line, totals = finish(here)
        assert line == "DONE"
        assert len(here.server.requests()) == 2
        assert totals.usd == pytest.approx(here.billed())
        assert totals.unanswered_usd == 0.0


def runs_of(here: Desk) -> int:
    path = here.root / "runs"
    return path.read_text().count("run\n") if path.exists() else 0
