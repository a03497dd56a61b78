"""What single providers and servers do in their own way, and what a conversation must survive."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agents.errors import ContextFull, ModelUnusable
from agents.session import open_session
from tests.agents.model_desk import PLAN, Desk, desk, turn
from tests.agents.test_model_session import DIALECTS, DONE, WRITE, events, first
from tests.model_server.brain import report

LIST = {"name": "list_files", "input": {"folder": "."}}


def called(name: str, id: str, arguments: dict[str, Any], **more: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": id, "type": "function", "function": function, **more}


@DIALECTS
def test_a_reply_that_is_only_thought_does_not_spoil_the_history(backend: str, tmp_path: Path) -> None:
    script = {"R01/plan": [{"tools": [WRITE], "faults": ["thinking_only"]}, {"tools": [WRITE]}, DONE]}
    with desk(tmp_path, backend, script) as here:
        assert here.open().ask(turn(here.root)) == "DONE"
        assert next(event["stop"] for event in events(here.transcript) if event["event"] == "reply") == "truncated"
        assert here.costs.totals().usd == pytest.approx(here.billed())


def test_a_search_pauses_and_is_paid(tmp_path: Path) -> None:
    """Only the Researcher may look outside."""
    steps = [{"search": "tricks", "brings": 20_000, "stop": "pause_turn"}, {"text": "Found.", "tools": [WRITE]}, DONE]
    with desk(tmp_path, "anthropic", {"R01/plan": steps}) as here:
        assert here.open("researcher", web_search=True).ask(turn(here.root, role="researcher")) == "DONE"
        assert all(request["searching"] for request in here.server.requests())
        assert here.costs.totals().searches == 1
        journal = events(here.root / "sessions" / "researcher" / "1.jsonl")
        reserved = [event["reserved_usd"] for event in journal if event["event"] == "request"]
        paid = [event["usd"] for event in journal if event["event"] == "reply"]
        assert paid[0] > 0.1 and all(most >= usd for most, usd in zip(reserved, paid, strict=True))
        assert here.costs.totals().usd == pytest.approx(here.billed())
        assert "server_tool_use" in (here.root / "sessions" / "researcher" / "1.jsonl").read_text()
        here.server.play({"R02/plan": [{"tools": [WRITE]}, DONE]})
        assert here.open("builder", web_search=True).ask(turn(here.root, "R02/plan")) == "DONE"
        assert not here.server.requests()[-1]["searching"]


@pytest.mark.parametrize("raw", ['{"name": "plan.md", "te', '"plan.md"', "[1]", "{}{}"])
@pytest.mark.parametrize("stop", ["max_tokens", None])
def test_arguments_that_are_no_object_are_not_sent_back(raw: str, stop: str | None, tmp_path: Path) -> None:
    broken = {"tools": [LIST, {"name": "write_file", "input": {}, "raw": raw}], "stop": stop}
    with desk(tmp_path, "openai", {"R01/plan": [broken, {"tools": [WRITE]}, DONE]}) as here:
        assert here.open().ask(turn(here.root)) == "DONE"
        reply = next(event for event in events(here.transcript) if event["event"] == "reply")
        assert reply["content"]["tool_calls"][1]["function"]["arguments"] == raw
        results = [event["is_error"] for event in events(here.transcript) if event["event"] == "tool_result"]
        assert results == [stop is not None, True, False, False]


def test_calls_that_all_have_the_same_index_stay_apart(tmp_path: Path) -> None:
    signed = {"extra_content": {"google": {"thought_signature": "S1"}}}
    look, write = called("list_files", "a", {"folder": "."}, **signed), called("write_file", "b", WRITE["input"])
    bare = {"id": "c", "type": "function", "function": {"name": "leaderboard", "arguments": ""}}
    nameless = {key: value for key, value in called("list_files", "", {"folder": "."}).items() if key != "id"}
    deltas = [{"tool_calls": [{**call, "index": 0}]} for call in (bare, look, write, nameless, nameless)]
    others = [{**nameless, "id": f"call_{place}"} for place in (3, 4)]
    whole = {"role": "assistant", "tool_calls": [bare, look, write, *others]}
    with desk(tmp_path, "openai", {"R01/plan": [{"deltas": deltas, "whole": whole}, DONE]}) as here:
        assert here.open().ask(turn(here.root)) == "DONE"
        assert (here.root / "rounds" / "R01_plan.md").read_text() == PLAN


def test_what_a_provider_adds_comes_back_whole(tmp_path: Path) -> None:
    def thought(**fields: Any) -> dict[str, Any]:
        return {"reasoning_details": [{"type": "reasoning.text", "index": 0, **fields}]}

    sealed = {"reasoning_details": [{"type": "reasoning.encrypted", "index": 1, "data": "D"}]}
    call = called("write_file", "a", WRITE["input"])
    arguments = call["function"]["arguments"]
    begun = {**call, "index": 0, "function": {"name": "write_file", "arguments": arguments[:20]}}
    rest = {"index": 0, "function": {"arguments": arguments[20:]}}
    deltas = [
        thought(text="First "), thought(text="this."), thought(signature="S"), sealed,
        {"tool_calls": [begun]}, {"tool_calls": [rest]}, {"annotations": [{"url": "u"}]}, {"mood": {"calm": 1}},
    ]  # fmt: skip
    details = [{**thought(text="First this.", signature="S")["reasoning_details"][0]}, *sealed["reasoning_details"]]
    added = {"annotations": [{"url": "u"}], "mood": {"calm": 1}}
    whole = {"role": "assistant", "reasoning_details": details, "tool_calls": [call], **added}
    with desk(tmp_path, "openai", {"R01/plan": [{"deltas": deltas, "whole": whole}, DONE]}) as here:
        assert here.open().ask(turn(here.root)) == "DONE"


def test_half_a_character_reaches_no_file(tmp_path: Path) -> None:
    half = {"name": "report", "input": {}, "raw": '{"line": "DONE \\ud83d"}'}
    with desk(tmp_path, "openai", {"R01/plan": [{"tools": [WRITE]}, {"tools": [half]}]}) as here:
        assert here.open().ask(turn(here.root)) == "DONE ?"
        assert here.open().ask(turn(here.root)) == "DONE ?"


@DIALECTS
def test_a_refused_conversation_is_not_the_end_of_a_campaign(backend: str, tmp_path: Path) -> None:
    """A new one that is refused needs a person, an old one a new session."""
    refused = {"tools": [report("DONE")], "faults": ["400"]}
    with desk(tmp_path, backend, {"R01/plan": [refused], "R02/plan": [{"tools": [WRITE]}, refused]}) as here:
        with pytest.raises(ModelUnusable, match="400"):
            here.open().ask(turn(here.root))
        with pytest.raises(ContextFull, match="400"):
            here.open(generation=2).ask(turn(here.root, "R02/plan"))


@DIALECTS
def test_a_server_that_repeats_the_key(backend: str, tmp_path: Path) -> None:
    with desk(tmp_path, backend, first()) as here:
        here.environment = {"MINE": "sk-canary-wrong"}
        with pytest.raises(ModelUnusable, match=r"401.*agents.builder.key_variable") as caught:
            here.open(key_variable="MINE").ask(turn(here.root))
        assert "canary" not in str(caught.value)
        assert "(key)" in here.transcript.read_text()
        assert not [path for path in here.root.rglob("*") if path.is_file() and "canary" in path.read_text()]


@DIALECTS
def test_retries_that_cost_money_become_rare(backend: str, tmp_path: Path) -> None:
    faults = {"R01/plan": ["500"] * 11, "R02/plan": ["reset"] * 11}
    script = {id: [{"tools": [WRITE], "faults": listed}, DONE] for id, listed in faults.items()}
    longest = []
    with desk(tmp_path, backend, script) as here:
        for id in script:
            here.heard.clear()
            assert here.open(max_wait_s=400).ask(turn(here.root, id)) == "DONE"
            longest.append(max(item["seconds"] for item in here.heard if item["event"] == "wait"))
    assert 45 <= longest[0] <= 75 and 300 <= longest[1] <= 400


def test_a_session_keeps_the_price_of_its_own_model(tmp_path: Path) -> None:
    """The configuration may name another model by now, which holds from the next session on."""
    with desk(tmp_path, "anthropic", {}) as here:
        elsewhere: dict[str, Any] = {"base_url": "https://models.example.com", "price": None}
        with pytest.raises(ModelUnusable, match="price"):
            here.open(model="nobody-knows", **elsewhere)
        assert not here.transcript.exists()
        here.open(model="claude-opus-5-5", base_url=None, price=None).close()
        here.open(model="nobody-knows", base_url=None, price=None).close()


def test_services_are_lent_to_every_back_end(tmp_path: Path) -> None:
    with desk(tmp_path, "openai", {}) as here:
        for backend in ("offline", "openai"):
            settings = {**here.settings(), "backend": backend}
            folder = Desk(tmp_path / backend, here.server, backend).root / "sessions" / "builder"
            session = open_session("builder", settings, folder, 1, 1, here.services())
            assert session.wants_respawn() == ""
            session.close()
