"""What `doctor` says about keys, roles and money."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator import config
from orchestrator.check_players import key_checks, players
from orchestrator.checks import Check

SECRET = "sk-ant-k7Qz9"


def settings(**agents: Any) -> config.Config:
    return config.parse({"agents": agents}, "config.json")


CLAUDE = {"backend": "anthropic", "model": "claude-opus-5-5"}


@pytest.mark.parametrize(
    ("shell", "own", "agents", "ok", "what"),
    [
        ({}, {}, {}, True, "not needed"),
        ({"ANTHROPIC_API_KEY": "x"}, {}, {}, None, "not used, since no role"),
        ({"ANTHROPIC_API_KEY": " "}, {}, {"builder": CLAUDE}, False, "missing, and builder need"),
        ({"ANTHROPIC_API_KEY": "x"}, {}, {"builder": CLAUDE, "reviewer": CLAUDE}, True, "used by builder, reviewer"),
        ({}, {"ANTHROPIC_API_KEY": "…"}, {}, False, "is no key"),
        ({}, {"ANTHROPIC_API_KEY": "x"}, {}, True, "campaign's .env, used by researcher, builder, reviewer"),
        (
            {},
            {"ANTHROPIC_API_KEY": "x"},
            {role: {"backend": "offline"} for role in ("researcher", "builder", "reviewer")},
            None,
            "gives every role another back end",
        ),
    ],
)
def test_keys(shell: dict[str, str], own: dict[str, str], agents: Any, ok: bool | None, what: str) -> None:
    check = key_checks(settings(**agents), own, shell)[0]
    assert check.ok is ok and what in check.what
    assert (check.ok is False) == bool(check.fix)


def named(found: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in found}


def test_roles_show_model_price_and_caps(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"ANTHROPIC_API_KEY={SECRET}\nMY_KEY={SECRET}\n")
    (tmp_path / ".env").chmod(0o644)
    local = {"backend": "openai", "model": "llama", "base_url": "http://localhost:1/v1", "key_variable": ""}
    unknown = {"backend": "openai", "model": "nobody", "key_variable": "MY_KEY"}
    chosen = settings(builder=local, reviewer=unknown)
    found = named(players(tmp_path, chosen, {"OPENAI_API_KEY": SECRET}))
    assert "$2 in and $10 out for a million tokens (genai-prices)" in found["researcher"].what
    assert "a server of your own: free" in found["builder"].what
    assert found["reviewer"].ok is False and "agents.reviewer.price" in found["reviewer"].fix
    assert found["MY_KEY"].ok and found["OPENAI_API_KEY"].ok is None
    assert found[".env"].ok is None and found[".env"].fix.startswith("chmod 600")
    assert found["money"] == Check("money", True, "at most $10.00 a campaign")
    assert not any(SECRET in f"{check}" for check in found.values())


def test_without_a_key_everyone_is_the_built_in_player(tmp_path: Path) -> None:
    found = named(players(tmp_path, config.Config(), {}))
    assert [found[role].what for role in ("researcher", "builder", "reviewer")] == ["the built-in player (offline)"] * 3
    assert all(check.ok for check in found.values())
    assert players(None, config.Config(), {}) == list(found.values())


def test_what_is_wrong_has_a_fix(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"{SECRET}\n")
    (check,) = players(tmp_path, config.Config(), {})
    assert check.ok is False and "line 1" in check.what and check.fix and SECRET not in f"{check}"
    (tmp_path / ".env").unlink()
    (tmp_path / "costs.jsonl").write_text("oops\n")
    uncapped = config.parse({"budget": {"usd": None}}, "config.json")
    assert named(players(tmp_path, uncapped, {}))["money"].ok is False
    (tmp_path / "costs.jsonl").write_text("")
    assert named(players(tmp_path, uncapped, {}))["money"].ok is None


def test_spent_money_is_told(tmp_path: Path) -> None:
    line = {"event": "reserve", "id": "a", "day": "2026-01-01", "role": "builder", "round": 1, "model": "m"}
    (tmp_path / "costs.jsonl").write_text(json.dumps({**line, "price": "config", "usd": 1.5, "tokens": 5}) + "\n")
    assert "$1.50 spent so far" in named(players(tmp_path, config.Config(), {}))["money"].what
