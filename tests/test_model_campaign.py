"""Whole campaigns whose players are models on a local server: killed, capped, refused, cut off from the network."""

from __future__ import annotations

import json
import os
import random
import socket
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from agents.costs import Caps, CostBook
from orchestrator.campaign import Campaign
from orchestrator.cli import main, utc_now
from orchestrator.errors import BadInput, Stopped
from orchestrator.loop import play
from orchestrator.phases import MAX_STARTS
from orchestrator.views import status
from tests import model_campaign
from tests.kill import harness
from tests.model_campaign import KEY, ROUNDS
from tests.model_server.client import ModelServer

KILLS = 40


def start(folder: Path, heard: list[dict[str, Any]] | None = None) -> tuple[str, Campaign]:
    """Play in this process; the ending and the campaign, its sessions closed."""

    def hear(event: str, **fields: Any) -> None:
        if heard is not None:
            heard.append({"event": event, **fields})

    campaign = Campaign(folder, now=utc_now, progress=hear)
    try:
        return play(campaign), campaign
    finally:
        campaign.players.close()
        campaign.costs.close()


def test_killed_forty_times(tmp_path: Path) -> None:
    """The ledger of an undisturbed run, nothing asked twice but what was in flight, every cent accounted for."""
    zygote = harness.Zygote()
    with ModelServer(tmp_path / "calm_server", model_campaign.turns()) as server:
        calm = make(tmp_path / "calm", server)
        assert os.waitstatus_to_exitcode(zygote.run(calm)) == 0
        wanted = ledger(calm)
        asked = len(server.requests())
    assert len(wanted["results"]) == ROUNDS + 1
    assert [len(sessions(calm, role)) for role in ("researcher", "builder", "reviewer")] == [2, 2, 2]
    with ModelServer(tmp_path / "server", model_campaign.turns()) as server:
        folder = make(tmp_path / "killed", server)
        rng = random.Random(7)
        killed = 0
        while killed < KILLS:
            # Requests are counted, not seconds: a slow machine gets as far as a fast one, and 40 kills find room.
            share = max(0, asked - server.asked()) // (KILLS - killed)
            goal = server.asked() + rng.randint(0, share)
            status = zygote.play_for(folder, rng.uniform(0.0, 0.15), lambda goal=goal: server.asked() >= goal)
            if not os.WIFSIGNALED(status):
                break
            killed += 1
        assert os.waitstatus_to_exitcode(zygote.run(folder)) == 0
        requests = server.requests()
    zygote.close()
    assert killed == KILLS
    assert ledger(folder) == wanted
    again = sum(count - 1 for count in Counter((r["turn"], r["step"]) for r in requests).values())
    books = CostBook(folder / "costs.jsonl", Caps(), utc_now).totals()
    settled = books.usd - books.unanswered_usd
    billed = sum(request["billed"] for request in requests)
    print(f"\n{killed} kills, {len(requests)} requests ({asked} undisturbed), {again} asked again, "
          f"billed {billed:.4f}, settled {settled:.4f}, unanswered {books.unanswered_usd:.4f} USD")  # fmt: skip
    assert all(request["status"] == 200 for request in requests)
    assert again <= killed
    assert settled == pytest.approx(sum(event["usd"] for event in replies(folder)))
    assert settled <= billed + 1e-9 <= books.usd + 2e-9
    assert not [path for path in files(tmp_path) if path.name != ".env" and KEY.encode() in path.read_bytes()]


def test_the_money_cap_ends_the_campaign_and_a_higher_one_goes_on(tmp_path: Path) -> None:
    with ModelServer(tmp_path / "server", model_campaign.turns()) as server:
        folder = make(tmp_path / "camp", server, rounds=3, budget__usd=0.25)
        why, campaign = start(folder)
        assert why.startswith("money cap") and "budget.usd" in why
        assert sum(request["billed"] for request in server.requests()) <= 0.25
        assert campaign.usd() <= 0.25
        harness_set(folder, budget__usd=10.0)
        why, campaign = start(folder)
        assert why == "max rounds: 3 played"
        assert sum(entry["usd"] for entry in campaign.entries) <= campaign.usd()


def test_without_network_the_offline_player_stands_in_and_the_record_says_so(tmp_path: Path) -> None:
    with ModelServer(tmp_path / "server", model_campaign.turns()) as server, socket.create_server(("", 0)) as port:
        folder = make(tmp_path / "camp", server, rounds=1, agents__when_unreachable="offline")
        closed = f"http://127.0.0.1:{port.getsockname()[1]}"
        port.close()
        harness_set(folder, agents__reviewer__base_url=closed, agents__reviewer__unreachable_minutes=0.001)
        heard: list[dict[str, Any]] = []
        why, campaign = start(folder, heard)
        assert why == "max rounds: 1 played"
        assert campaign.entries[0]["stand_in"] == ["R01/review", "R01/verify"]
        assert campaign.entries[0]["status"] == "keep"
        assert any("built-in player takes R01/review" in item.get("text", "") for item in heard)


def test_a_model_that_is_not_there_waits_for_a_person(tmp_path: Path) -> None:
    with ModelServer(tmp_path / "server", model_campaign.turns()) as server:
        folder = make(tmp_path / "camp", server, rounds=1)
        harness_set(folder, agents__reviewer__model="no-such-model")
        why, _ = start(folder)
        assert why.startswith("fatal: reviewer: no-such-model") and "agents.reviewer.model" in why
        harness_set(folder, agents__reviewer__model="scripted-model")
        assert start(folder)[0] == "max rounds: 1 played"


def test_a_refusal_goes_to_the_fallback_model(tmp_path: Path) -> None:
    script = {**model_campaign.turns(), "R01/plan": [{"stop": "refusal"}]}
    with ModelServer(tmp_path / "server", script) as server:
        folder = make(tmp_path / "camp", server, rounds=2, agents__builder__fallback_model="second-model")
        heard: list[dict[str, Any]] = []
        why, _ = start(folder)
        assert why.startswith("fatal") and "refused R01/plan twice" in why
        assert "name another model as agents.builder.fallback_model" in why
        server.play({**model_campaign.turns(), "R01/plan": model_campaign.turns()["*/plan"]})
        assert start(folder, heard)[0] == "max rounds: 2 played"
        assert {request["model"] for request in server.requests()} == {"scripted-model", "second-model"}
        assert spawned(folder, "builder")[-1]["settings"]["model"] == "second-model"


def test_a_context_that_is_refused_as_too_long_gets_a_new_session(tmp_path: Path) -> None:
    with ModelServer(tmp_path / "server", model_campaign.turns()) as server:
        folder = make(tmp_path / "camp", server, rounds=4, agents__builder__model="middle-window")
        heard: list[dict[str, Any]] = []
        assert start(folder, heard)[0] == "max rounds: 4 played"
        assert any(request.get("error", "").startswith("prompt is too long") for request in server.requests())
        assert any("a new session goes on where it was" in item.get("text", "") for item in heard)
        assert (folder / "sessions" / "builder" / "handover_1.md").read_text().startswith("# Hand-over")
        assert [entry["stand_in"] for entry in entries(folder)] == [[]] * 4


def test_another_model_in_the_config_takes_over_at_the_next_round(tmp_path: Path) -> None:
    with ModelServer(tmp_path / "server", model_campaign.turns()) as server:
        folder = make(tmp_path / "camp", server, rounds=1)
        assert start(folder)[0] == "max rounds: 1 played"
        harness_set(folder, agents__builder__model="better-model", loop__max_rounds=2)
        harness_set(folder, agents__reviewer={"backend": "offline"})
        assert start(folder)[0] == "max rounds: 2 played"
        assert [spawn["settings"]["model"] for spawn in spawned(folder, "builder")] == [
            "scripted-model",
            "better-model",
        ]
        assert [spawn["backend"] for spawn in spawned(folder, "reviewer")] == ["anthropic", "offline"]


def test_an_edit_reaches_a_session_that_is_open(tmp_path: Path) -> None:
    with ModelServer(tmp_path / "server", model_campaign.turns()) as server:
        folder = make(tmp_path / "camp", server, rounds=2)

        def hear(event: str, **fields: Any) -> None:
            if event == "verdict":
                harness_set(folder, agents__builder__max_output_tokens=1500)

        campaign = Campaign(folder, now=utc_now, progress=hear)
        play(campaign)
        campaign.players.close()
        campaign.costs.close()
        asked = {(r["turn"][:3], r["limit"]) for r in server.requests() if r["dialect"] == "openai"}
        assert asked == {("R00", 2000), ("R01", 2000), ("R02", 1500)}
        assert len(spawned(folder, "builder")) == 1


def test_a_key_in_the_shell_alone_is_mentioned_and_not_spent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    harness.make_campaign(tmp_path, 1)
    harness_set(tmp_path, **{f"agents__{role}": {} for role in ("researcher", "builder", "reviewer")})
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    heard: list[dict[str, Any]] = []
    campaign = Campaign(tmp_path, now=utc_now, progress=lambda event, **fields: heard.append(fields))
    assert {campaign.agent_settings(role)["backend"] for role in ("researcher", "builder", "reviewer")} == {"offline"}
    assert [item for item in heard if "ANTHROPIC_API_KEY stands in the shell" in item.get("text", "")]
    (tmp_path / ".env").write_text("ANTHROPIC_API_KEY=abc\n")
    campaign = Campaign(tmp_path, now=utc_now, progress=lambda *_, **__: None)
    assert campaign.agent_settings("builder")["model"] == "claude-sonnet-5-5"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"agents__builder": {"backend": "openai", "model": "nobody-knows"}}, "agents.builder.price"),
        ({"agents__builder": {"backend": "openai", "model": "m", "key_variable": "NOPE"}}, "NOPE is not set"),
        ({"agents__builder": {"backend": "openai", "base_url": "localhost:8000", "model": "m"}}, "http://"),
        ({"agents__builder": {"backend": "openai", "base_url": "http://localhost:8000"}}, "base_url needs model"),
    ],
)
def test_a_model_that_can_not_play_is_refused_at_the_start(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    harness.make_campaign(tmp_path, 1)
    harness_set(tmp_path, **changes)
    (tmp_path / ".env").write_text("OPENAI_API_KEY=abc\n")
    with pytest.raises(BadInput, match=words):
        Campaign(tmp_path, now=utc_now, progress=lambda *_, **__: None)
    assert not (tmp_path / "rounds").exists()


def test_a_broken_env_file_names_its_line(tmp_path: Path) -> None:
    harness.make_campaign(tmp_path, 1)
    (tmp_path / ".env").write_text("# keys\nOPENAI_API_KEY\n")
    with pytest.raises(BadInput, match=r"\.env line 2"):
        Campaign(tmp_path, now=utc_now, progress=lambda *_, **__: None)


def make(folder: Path, server: ModelServer, rounds: int = ROUNDS, **changes: Any) -> Path:
    folder.mkdir()
    model_campaign.make(folder, server, rounds, **changes)
    return folder


def harness_set(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(model_campaign.changed(json.loads(path.read_text()), changes)))


def ledger(folder: Path) -> dict[str, Any]:
    """As the kill test's, without money: what was in flight at a kill is paid for."""
    found = harness.ledger(folder)
    for entry in found["experiments"]["experiments"]:
        del entry["usd"]
    return found


def entries(folder: Path) -> list[dict[str, Any]]:
    return list(json.loads((folder / "experiments.json").read_text())["experiments"])


def sessions(folder: Path, role: str) -> list[Path]:
    return sorted((folder / "sessions" / role).glob("*.jsonl"))


def spawned(folder: Path, role: str) -> list[dict[str, Any]]:
    return [json.loads(path.read_text().splitlines()[0]) for path in sessions(folder, role)]


def replies(folder: Path) -> list[dict[str, Any]]:
    """Every request that the transcripts know the cost of."""
    events = [
        json.loads(line)
        for role in ("researcher", "builder", "reviewer")
        for path in sessions(folder, role)
        for line in path.read_text().splitlines()
    ]
    return [event for event in events if event["event"] in ("reply", "failed") and "usd" in event]


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_cap_for_a_round_gives_up_the_round_alone(tmp_path: Path) -> None:
    endless = [{"tools": [{"name": "list_files", "input": {"folder": "."}}], "text": "x" * 3000}]
    with ModelServer(tmp_path / "server", {**model_campaign.turns(), "R02/plan": endless}) as server:
        folder = make(tmp_path / "camp", server, rounds=3, budget__usd_per_round=0.35)
        why, campaign = start(folder)
        assert why == "max rounds: 3 played"
        assert [entry["status"] for entry in campaign.entries] == ["keep", "crash", "keep"]
        assert "budget.usd_per_round" in campaign.entries[1]["reason"]
        assert all(entry["usd"] <= 0.35 for entry in campaign.entries)


def test_a_stop_while_a_provider_is_waited_for_is_heard_at_once(tmp_path: Path) -> None:
    script = {**model_campaign.turns(), "R01/plan": [{**model_campaign.turns()["*/plan"][0], "faults": ["529"] * 99}]}
    with ModelServer(tmp_path / "server", script) as server:
        folder = make(tmp_path / "camp", server, rounds=1)
        harness_set(folder, agents__builder__max_wait_s=900.0)

        def hear(event: str, **fields: Any) -> None:
            if event == "wait" and fields["seconds"] > 1.0:
                campaign.stopping = True

        campaign = Campaign(folder, now=utc_now, progress=hear)
        began = time.monotonic()
        with pytest.raises(Stopped):
            play(campaign)
        campaign.players.close()
        campaign.costs.close()
        assert time.monotonic() - began < 15
        assert "waiting  " in status(folder) and "builder: 529: " in status(folder)
        server.play(model_campaign.turns())
        assert start(folder)[0] == "max rounds: 1 played"


@pytest.mark.parametrize(
    ("changes", "ending", "code"),
    [
        ({"agents__builder__model": "no-such-model"}, "fatal: builder: no-such-model", 5),
        ({"budget__usd": 0.01}, "money cap: ", 0),
        ({"budget__tokens_per_round": 2000}, "money cap: 0 tokens", 0),
        ({"agents__builder__base_url": "closed", "agents__builder__unreachable_minutes": 0.001}, "no answer for", 5),
        ({"agents__builder__max_requests": 2}, "fatal: round 0 can't be finished", 5),
    ],
)
def test_round_0_ends_like_any_other_and_goes_on(
    changes: dict[str, Any], ending: str, code: int, tmp_path: Path
) -> None:
    endless = {"R00/eda": [{"tools": [{"name": "list_files", "input": {"folder": "."}}]}]}
    script = {**model_campaign.turns(), **(endless if "agents__builder__max_requests" in changes else {})}
    with ModelServer(tmp_path / "server", script) as server:
        folder = make(tmp_path / "camp", server, rounds=1)
        before = (folder / "config.json").read_text()
        with socket.create_server(("127.0.0.1", 0)) as port:
            closed = f"http://127.0.0.1:{port.getsockname()[1]}"
        harness_set(folder, **{key: closed if value == "closed" else value for key, value in changes.items()})
        for _ in range(MAX_STARTS + 1 if ending == "money cap: " else 1):
            assert main(["loop", "-C", str(folder), "--plain"]) == code
        assert ending in json.loads((folder / "state.json").read_text())["ending"]
        assert ending.removeprefix("fatal: ") in (folder / "REPORT.md").read_text()
        (folder / "config.json").write_text(before)
        write, done = model_campaign.turns()["R00/eda"]
        server.play({**model_campaign.turns(), "R00/eda": [write] * 4 + [done]})
        assert start(folder)[0] == "max rounds: 1 played"
