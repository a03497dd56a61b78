"""Servers that report nonsense, streams that end anywhere, files that were cut or lost, arguments that lead astray."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from agents.costs import Caps
from agents.errors import BudgetSpent
from tests.agents.model_desk import Desk, desk, turn
from tests.agents.test_model_session import DIALECTS, DONE, PLAIN, WRITE, events

LIST: dict[str, Any] = {"name": "list_files", "input": {"folder": "."}}
COUNTS = {
    "anthropic": ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens"),
    "openai": ("prompt_tokens", "completion_tokens", "total_tokens"),
}
NONSENSE = (-5, 10**15, "many", float("nan"), 0)


@DIALECTS
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_nonsense_about_tokens_costs_the_worst_case(backend: str, tmp_path: Path) -> None:
    reported = [dict.fromkeys(COUNTS[backend], value) for value in NONSENSE] + [{}, {COUNTS[backend][-1]: 5}]
    ids = [f"R{number:02d}/plan" for number in range(1, len(reported) + 1)]
    script = {id: [{"tools": [WRITE], "usage": usage}, DONE] for id, usage in zip(ids, reported, strict=True)}
    with desk(tmp_path, backend, script) as here:
        session = here.open()
        for id in ids:
            assert session.ask(turn(here.root, id)) == "DONE"
        asked, answers = (
            [event for event in events(here.transcript) if event["event"] == kind] for kind in ("request", "reply")
        )
        for request, reply, billed in list(zip(asked, answers, here.server.requests(), strict=True))[::2]:
            assert reply["source"] == "estimate" and reply["context_tokens"] < 20_000
            assert billed["billed"] <= reply["usd"] <= request["reserved_usd"]
        assert here.costs.totals().unanswered_usd == 0.0


@DIALECTS
def test_a_server_that_counts_nothing_is_still_capped(backend: str, tmp_path: Path) -> None:
    with desk(tmp_path, backend, {"R01/plan": [{"tools": [LIST], "usage": {}}]}, caps=Caps(usd=0.6)) as here:
        with pytest.raises(BudgetSpent):
            here.open(max_requests=99).ask(turn(here.root))
        assert sum(request["billed"] for request in here.server.requests()) <= here.costs.totals().usd <= 0.6


@DIALECTS
def test_a_stream_may_end_after_any_event(backend: str, tmp_path: Path) -> None:
    """Whatever came is thrown away, and nothing of it is run."""
    last = 11 if backend == "anthropic" else 5
    steps = [{"text": "I write.", "tools": [WRITE], "faults": [f"cut{number}" for number in range(last + 1)]}, DONE]
    with desk(tmp_path, backend, {"R01/plan": steps}, caps=Caps()) as here:
        assert here.open(unreachable_minutes=10_000).ask(turn(here.root)) == "DONE"
        kinds = [event["event"] for event in events(here.transcript)]
        assert kinds.count("failed") == last + 1 and kinds.count("reply") == 2 and kinds.count("tool_start") == 2
        assert here.costs.totals().usd >= sum(request["billed"] for request in here.server.requests())


@DIALECTS
def test_a_journal_may_be_cut_at_any_byte(backend: str, tmp_path: Path) -> None:
    """The turn ends, the history is taken, and what was paid stays paid."""
    with desk(tmp_path, backend, {"R01/plan": [{"tools": [LIST]}, {"tools": [WRITE]}, DONE]}) as here:
        here.open().ask(turn(here.root))
        here.close()
        whole, paid = here.transcript.read_bytes(), here.costs.totals().usd
        first = whole.index(b"\n") + 1
        for number, cut in enumerate([0, first // 2, *range(first, len(whole), 397)]):
            copy = tmp_path / f"copy{number}"
            shutil.copytree(here.root, copy)
            garbage = (b"", b"{}\n", b"\xff\0\n")[number % 3]
            (copy / "sessions" / "builder" / "1.jsonl").write_bytes(whole[:cut] + garbage)
            again = Desk(copy, here.server, backend)
            assert again.open().ask(turn(copy)) == "DONE"
            again.close()
            assert again.costs.totals().usd >= paid - 1e-12
            shutil.rmtree(copy)
        assert all(request["status"] == 200 for request in here.server.requests())


@DIALECTS
def test_the_last_line_of_the_books_may_be_torn(backend: str, tmp_path: Path) -> None:
    """It is put right from the transcript, to the cent."""
    with desk(tmp_path, backend, PLAIN) as here:
        here.open().ask(turn(here.root))
        here.close()
        path = here.root / "costs.jsonl"
        whole, paid = path.read_bytes(), here.costs.totals()
        for cut in range(whole[:-1].rindex(b"\n") + 1, len(whole), 23):
            path.write_bytes(whole[:cut])
            again = Desk(here.root, here.server, backend)
            again.open()
            again.close()
            assert again.costs.totals() == paid, cut


ASTRAY = (
    {"name": "read_file", "input": {"path": "../" * 9 + "etc/passwd"}},
    {"name": "read_file", "input": {"path": "rounds/\0.md"}},
    {"name": "read_file", "input": {"path": "x" * 5000}},
    {"name": "read_file", "input": {"path": "rounds/out.md"}},
    {"name": "read_file", "input": {"path": "rounds/a.md", "first": 10**400}},
    {"name": "search_files", "input": {"text": "canary", "folder": "rounds/away"}},
    {"name": "list_files", "input": {"folder": "/"}},
    {"name": "write_file", "input": {"name": "notes/builder/../../x.md", "text": "x"}},
    {"name": "write_file", "input": {"name": "plan.md\0", "text": "x"}},
    {"name": "edit_file", "input": {"name": "plan.md", "old": "", "new": "\x1f"}},
    {"name": "run_python", "input": {"code": "1", "seconds": 10**400}},
    {"name": "read_file", "input": {"path": {"a": 1}}},
    {"name": "\0", "input": {}},
)


@DIALECTS
def test_arguments_that_lead_astray(backend: str, tmp_path: Path) -> None:
    deep = {"name": "read_file", "input": {}, "raw": '{"path": ' + "[" * 100_000 + "]" * 100_000 + "}"}
    half = {"name": "read_file", "input": {"path": "costs\ud800.jsonl"}}
    calls = [*ASTRAY, *([deep, half] if backend == "openai" else [])]  # to the other SDK these are broken replies
    with desk(tmp_path, backend, {"R01/plan": [{"tools": calls}, {"tools": [WRITE]}, DONE]}) as here:
        (tmp_path / "secret.md").write_text("canary")
        (here.root / "rounds" / "a.md").write_text("a line")
        (here.root / "rounds" / "out.md").symlink_to(tmp_path / "secret.md")
        (here.root / "rounds" / "away").symlink_to(tmp_path)
        (here.root / "rounds" / "R01_plan.md").symlink_to(tmp_path / "secret.md")
        session = here.open(max_output_tokens=100_000)
        assert session.ask(turn(here.root, run_python=lambda code, seconds: float(seconds))) == "DONE"
        results = [event for event in events(here.transcript) if event["event"] == "tool_result"]
        assert [result["is_error"] for result in results] == [True] * len(calls) + [False, False]
        assert not [result for result in results if "canary" in result["content"] or "root:" in result["content"]]


@DIALECTS
def test_names_that_are_no_text_can_be_told(backend: str, tmp_path: Path) -> None:
    """A file may have a name that is not UTF-8."""
    with desk(tmp_path, backend, {"*": [{"tools": [LIST]}, {"tools": [WRITE]}, DONE]}) as here:
        (here.root / "rounds" / "odd\udcff.md").write_text("x")
        assert here.open().ask(turn(here.root)) == "DONE"
        assert here.open().ask(turn(here.root, "R02/plan")) == "DONE"
        assert all(request["status"] == 200 for request in here.server.requests())


@DIALECTS
def test_a_session_that_lost_its_files_begins_anew(backend: str, tmp_path: Path) -> None:
    with desk(tmp_path, backend, {"*": [{"tools": [WRITE]}, DONE]}) as here:
        session = here.open()
        assert session.ask(turn(here.root)) == "DONE"
        shutil.rmtree(here.root / "sessions")
        (here.root / "costs.jsonl").unlink()
        assert session.ask(turn(here.root, "R02/plan")) == "DONE"
        spent = here.costs.totals().usd
        assert here.open().ask(turn(here.root, "R03/plan")) == "DONE"
        assert here.costs.totals().usd > spent and here.transcript.exists()
        assert here.costs.totals().usd == pytest.approx(here.billed())
