"""Model sessions over HTTP, with the real SDKs: every fault ends right, in the files and in the books."""

from __future__ import annotations

import itertools
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from agents.costs import Caps
from agents.errors import (
    BudgetSpent,
    ContextFull,
    ModelRefused,
    ModelUnreachable,
    ModelUnusable,
    OffProtocol,
)
from tests.agents.model_desk import KEY, PLAN, desk, turn
from tests.model_server.brain import report

DIALECTS = pytest.mark.parametrize("backend", ["anthropic", "openai"])
WRITE: dict[str, Any] = {"name": "write_file", "input": {"name": "plan.md", "text": PLAN}}
DONE = {"tools": [report("DONE")]}
PLAIN = {"R01/plan": [{"text": "I write.", "tools": [WRITE]}, DONE]}


def first(**step: Any) -> dict[str, Any]:
    """The plain turn with more in its first step."""
    return {"R01/plan": [{"tools": [WRITE], **step}, DONE]}


@DIALECTS
@pytest.mark.parametrize("fault", ["429", "529", "500", "sse_error", "reset", "eof"])
def test_passing_faults_are_waited_out(backend: str, fault: str, tmp_path: Path) -> None:
    with desk(tmp_path, backend, first(faults=[fault, fault])) as here:
        assert here.open().ask(turn(here.root)) == "DONE"
        assert (here.root / "rounds" / "R01_plan.md").read_text() == PLAN
        assert [item["event"] for item in here.heard] == ["wait", "wait", "answered"]
        totals = here.costs.totals()
        assert totals.unanswered_usd == 0.0
        certain = fault in ("429", "529", "500")
        assert totals.usd == pytest.approx(here.billed()) if certain else totals.usd > here.billed()


@DIALECTS
def test_a_long_retry_after_is_capped_and_shown(backend: str, tmp_path: Path) -> None:
    with desk(tmp_path, backend, first(faults=["429"], retry_after=7200)) as here:
        before = here.time
        assert here.open(max_wait_s=600).ask(turn(here.root)) == "DONE"
        assert (here.time - before).total_seconds() == 600
        assert [item["seconds"] for item in here.heard if item["event"] == "wait"] == [600]


@DIALECTS
def test_no_network_for_hours(backend: str, tmp_path: Path) -> None:
    with desk(tmp_path, backend, PLAIN) as here:
        with socket.create_server(("127.0.0.1", 0)) as port:
            closed = f"http://127.0.0.1:{port.getsockname()[1]}"
        session = here.open(base_url=closed, unreachable_minutes=120)
        with pytest.raises(ModelUnreachable, match=r"1[12][0-9] minutes.*refused"):
            session.ask(turn(here.root))
        assert here.costs.totals().usd == 0.0
        session.close()
        assert here.open().ask(turn(here.root)) == "DONE"
        assert sum(event["event"] == "turn" for event in events(here.transcript)) == 1


def test_the_first_wait_says_who_takes_over_and_the_next_turn_does_not_wait(tmp_path: Path) -> None:
    with desk(tmp_path, "openai", PLAIN) as here:
        with socket.create_server(("127.0.0.1", 0)) as port:
            closed = f"http://127.0.0.1:{port.getsockname()[1]}"
        session = here.open(base_url=closed, unreachable_minutes=5, when_unreachable="offline")
        with pytest.raises(ModelUnreachable):
            session.ask(turn(here.root))
        waits = [item for item in here.heard if item["event"] == "wait"]
        takes = [item["text"].endswith("; the built-in player takes over at 00:05 UTC") for item in waits]
        assert takes == [True, *[False] * (len(waits) - 1)] and len(waits) > 3
        assert {item["since"] for item in waits} == {"2026-01-01T00:00:00+00:00"}
        assert all(item["since"] < item["until"] <= "2026-01-01T00:05:00+00:00" for item in waits[1:])
        with pytest.raises(ModelUnreachable):
            session.ask(turn(here.root, "R01/findings", ()))
        assert sum(item["event"] == "wait" for item in here.heard) == len(waits)


@DIALECTS
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": "no-such-model"}, "agents.builder.model"),
        ({"base_url": "127.0.0.1/v1"}, "agents.builder.base_url"),
        ({"key_variable": "WRONG"}, "WRONG is not set"),
        ({"price": None, "model": "nobody-knows", "base_url": "https://models.example.com"}, "agents.builder.price"),
    ],
)
def test_what_needs_a_person(backend: str, changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    with desk(tmp_path, backend, PLAIN) as here, pytest.raises(ModelUnusable, match=words):
        here.open(**changes).ask(turn(here.root))


@DIALECTS
def test_the_providers_own_spend_limit(backend: str, tmp_path: Path) -> None:
    with (
        desk(tmp_path, backend, first(faults=["429_spend_limit"])) as here,
        pytest.raises(ModelUnusable, match="spend limit"),
    ):
        here.open().ask(turn(here.root))


@DIALECTS
def test_a_refusal_is_rephrased_once_and_never_stored(backend: str, tmp_path: Path) -> None:
    with desk(tmp_path, backend, {"R01/plan": [{"stop": "refusal"}]}) as here:
        with pytest.raises(ModelRefused, match="twice" if backend == "openai" else "twice frontier_llm"):
            here.open().ask(turn(here.root))
        kinds = [event["event"] for event in events(here.transcript)]
        assert "reply" not in kinds and kinds.count("failed") == 2 and kinds.count("note") == 1
        assert here.costs.totals().usd == pytest.approx(here.billed())
        here.server.play(PLAIN)
        assert here.open(generation=2).ask(turn(here.root)) == "DONE"


@DIALECTS
def test_a_cut_off_reply_runs_nothing(backend: str, tmp_path: Path) -> None:
    cut = {"text": "long", "tools": [{**WRITE, "input": {"name": "plan.md", "text": "half"}}], "stop": "max_tokens"}
    with desk(tmp_path, backend, {"R01/plan": [cut, {"tools": [WRITE]}, DONE]}) as here:
        assert here.open().ask(turn(here.root)) == "DONE"
        assert (here.root / "rounds" / "R01_plan.md").read_text() == PLAN


@DIALECTS
def test_bad_calls_are_answered_with_an_error(backend: str, tmp_path: Path) -> None:
    bad = [
        {"name": "fly", "input": {}},
        {"name": "write_file", "input": {"name": "plan.md"}},
        {"name": "read_file", "input": {"path": "../../etc/passwd"}},
        {"name": "run_experiment", "input": {"folds": "all"}},
        *([{"name": "read_file", "input": {}, "raw": '{"path": '}] if backend == "openai" else []),
    ]
    early = {"tools": [report("DONE")]}
    with desk(tmp_path, backend, {"R01/plan": [{"tools": bad}, early, {"tools": [WRITE]}, DONE]}) as here:
        assert here.open().ask(turn(here.root)) == "DONE"
        results = [event for event in events(here.transcript) if event["event"] == "tool_result"]
        assert [result["is_error"] for result in results] == [True] * (len(bad) + 1) + [False, False]


@DIALECTS
def test_a_turn_without_a_report_is_asked_for_it_once(backend: str, tmp_path: Path) -> None:
    silent = {"R01/plan": [{"tools": [WRITE]}, {"text": "All written."}, {"text": "It is so.\nDONE"}]}
    with desk(tmp_path, backend, silent) as here:
        assert here.open().ask(turn(here.root)) == "DONE"
        assert len(here.server.requests()) == 3


@DIALECTS
def test_a_turn_that_never_ends_is_ended(backend: str, tmp_path: Path) -> None:
    endless = {"R01/plan": [{"tools": [{"name": "list_files", "input": {"folder": "."}}]}]}
    with desk(tmp_path, backend, endless) as here, pytest.raises(OffProtocol, match="12 requests"):
        here.open().ask(turn(here.root))


@DIALECTS
def test_a_full_context(backend: str, tmp_path: Path) -> None:
    with desk(tmp_path, backend, PLAIN) as here, pytest.raises(ContextFull):
        here.open(model="small-window").ask(turn(here.root))


@DIALECTS
def test_a_long_context_asks_for_a_new_session(backend: str, tmp_path: Path) -> None:
    with desk(tmp_path, backend, PLAIN) as here:
        session = here.open(context_cap=100)
        assert session.wants_respawn() == ""
        session.ask(turn(here.root))
        assert "context_cap" in session.wants_respawn()


@DIALECTS
def test_a_cap_is_kept_by_shorter_replies_and_then_by_stopping(backend: str, tmp_path: Path) -> None:
    long = {"R01/plan": [{"tools": [{"name": "list_files", "input": {"folder": "."}}], "text": "x" * 4000}]}
    with desk(tmp_path, backend, long, caps=Caps(usd=0.30)) as here:
        with pytest.raises(BudgetSpent, match=r"budget\.usd"):
            here.open(max_requests=1000).ask(turn(here.root))
        asked = [event["max_tokens"] for event in events(here.transcript) if event["event"] == "request"]
        assert asked[0] == 4000 and 1024 <= asked[-1] <= 2000
        assert here.costs.totals().usd == pytest.approx(here.billed())
        assert 0.2 < here.billed() <= 0.30


@DIALECTS
def test_the_prefix_stays_in_the_cache(backend: str, tmp_path: Path) -> None:
    script = {f"R{number:02d}/plan": PLAIN["R01/plan"] for number in range(1, 9)}
    with desk(tmp_path, backend, script) as here:
        for number in range(1, 9):
            session = here.open()
            assert session.ask(turn(here.root, f"R{number:02d}/plan")) == "DONE"
            session.close()  # a new process would go on with the very same bytes
        requests = here.server.requests()
        for before, after in itertools.pairwise(requests):
            assert after["read"] == before["total"]
        assert here.costs.totals().usd == pytest.approx(here.billed())


@DIALECTS
def test_the_system_prompt_of_a_session_is_frozen(backend: str, tmp_path: Path) -> None:
    with desk(tmp_path, backend, {**PLAIN, "R02/plan": PLAIN["R01/plan"]}) as here:
        here.open().ask(turn(here.root))
        (here.root / "prompts").mkdir()
        (here.root / "prompts" / "builder.md").write_text("You are somebody else now.")
        here.open().ask(turn(here.root, "R02/plan"))
        requests = here.server.requests()
        assert requests[-1]["read"] == requests[-2]["total"]
        assert "somebody else" not in here.transcript.read_text()


def test_the_key_is_in_no_file(tmp_path: Path) -> None:
    for backend in ("anthropic", "openai"):
        with desk(tmp_path / backend, backend, first(faults=["500", "reset"])) as here:
            here.open().ask(turn(here.root))
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 6
    assert not [path for path in written if KEY.encode() in path.read_bytes()]


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
