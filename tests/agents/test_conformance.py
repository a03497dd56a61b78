"""What every back end does alike: the same turns bring the same files, the same lines and a readable transcript."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.session import AgentSession, Turn, open_session
from agents.transcript import last_round, spawn_event
from tests.agents.desk import Desk, strategy
from tests.agents.model_desk import desk
from tests.model_server.brain import report

BACKENDS = ("offline", "scripted", "anthropic", "openai")
RECORD = {"status": "ok", "cv": 0.25, "se": 0.01, "reason": "keep", "failure": None, "fold_scores": [0.25]}
CODE = "print('a model')\n"
TEXT = "# Hand-over\nAll is in the registry.\n"


class Stand:
    """One back end with a folder; `open` begins or goes on with its session."""

    def __init__(self, backend: str, root: Path, settings: dict[str, Any], services: Any) -> None:
        self.backend, self.root = backend, root
        self._settings, self._services = settings, services
        self._campaign = Desk(root)
        self._opened: list[AgentSession] = []
        self.runs = 0

    def open(self) -> AgentSession:
        folder = self.root / "sessions" / "builder"
        self._opened.append(open_session("builder", self._settings, folder, 1, 1, self._services))
        return self._opened[-1]

    def close(self) -> None:
        for session in self._opened:
            session.close()

    def run_experiment(self, folds: str = "all") -> dict[str, Any]:
        self.runs += 1
        return RECORD

    def build(self) -> Turn:
        tools = {"run_experiment": self.run_experiment}
        turn = self._campaign.turn("builder", "build", "experiment.py", tools=tools, strategy=strategy("knn"))
        return replace(turn, prompt="Write it, run it.")

    def handover(self) -> Turn:
        return replace(self._campaign.turn("builder", "handover", "handover.md"), prompt="Hand over.")

    @property
    def transcript(self) -> Path:
        return self.root / "sessions" / "builder" / "1.jsonl"


@contextmanager
def stand(backend: str, folder: Path) -> Iterator[Stand]:
    write = {"name": "write_file", "input": {"name": "handover.md", "text": TEXT}}
    code = {"name": "write_file", "input": {"name": "experiment.py", "text": CODE}}
    run = {"name": "run_experiment", "input": {"folds": "all"}}
    script = {
        "R01/handover": [{"tools": [write]}, {"tools": [report("DONE")]}],
        "R01/build": [{"tools": [code, run]}, {"report_cv": True}],
    }
    if backend in ("anthropic", "openai"):
        with desk(folder, backend, script) as here:
            yield Stand(backend, here.root, here.settings(), here.services())
        return
    root = folder / "campaign"
    root.mkdir()
    turns = {
        "R01/handover": [{"files": {"handover.md": TEXT}, "reply": "DONE"}],
        "R01/build": [
            {"files": {"experiment.py": CODE}, "call": ["run_experiment"], "reply": "CV_SCORE={results[0][cv]}"}
        ],
    }
    (root / "script.json").write_text(json.dumps({"turns": turns}))
    yield Stand(backend, root, {"backend": backend, "script": str(root / "script.json")}, None)


@pytest.fixture(params=BACKENDS)
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stand]:
    with stand(request.param, tmp_path) as made:
        yield made
        made.close()


def test_a_turn_makes_its_files_and_ends_with_its_line(here: Stand) -> None:
    session = here.open()
    assert (session.role, session.backend) == ("builder", here.backend)
    turn = here.handover()
    assert session.ask(turn) == "DONE"
    assert turn.makes["handover.md"].read_text().startswith("# Hand-over")
    session.close()


def test_an_experiment_is_written_and_run(here: Stand) -> None:
    session, turn = here.open(), here.build()
    assert session.ask(turn) == "CV_SCORE=0.25"
    assert here.runs == 1
    compile(turn.makes["experiment.py"].read_text(), "experiment.py", "exec")


def test_the_transcript_tells_who_and_what(here: Stand) -> None:
    session = here.open()
    session.ask(here.handover())
    session.close()
    spawn = spawn_event(here.transcript)
    assert spawn is not None and (spawn["backend"], spawn["round"]) == (here.backend, 1)
    assert last_round(here.transcript) == 1
    events = [json.loads(line) for line in here.transcript.read_text().splitlines()]
    assert "R01/handover" in [event.get("id") for event in events if event["event"] == "turn"]


def test_a_session_goes_on_after_a_torn_line(here: Stand) -> None:
    session = here.open()
    session.ask(here.handover())
    session.close()
    with here.transcript.open("ab") as file:
        file.write(b'{"event": "tur')
    session = here.open()
    assert session.wants_respawn() == ""
    assert session.ask(here.handover()) == "DONE"
    session.close()
    assert [json.loads(line) for line in here.transcript.read_text().splitlines()]
