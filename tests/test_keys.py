"""Who plays: nobody is billed for a key that merely stands in the shell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator import config, keys
from orchestrator.errors import BadInput

NAME = "ANTHROPIC_API_KEY"


def settings(**agents: Any) -> config.Config:
    return config.parse({"agents": agents}, "config.json")


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=sk-1", "sk-1"),
        ("export A=sk-1", "sk-1"),
        ("  A = sk-1  ", "sk-1"),
        ("A='sk 1#x'", "sk 1#x"),
        ('A="sk-1" # mine', "sk-1"),
        ("A=sk-1 # mine", "sk-1"),
        ("A=sk#1", "sk#1"),
        ("A=a=b==", "a=b=="),
        ("A=", ""),
        ("A=# nothing", ""),
        ("\ufeffA=sk-1\r", "sk-1"),
    ],
)
def test_lines_of_env(tmp_path: Path, line: str, value: str) -> None:
    (tmp_path / ".env").write_text(f"{line}\n# B=2\n\n", encoding="utf-8")
    assert keys.read_env(tmp_path / ".env") == {"A": value}


@pytest.mark.parametrize("line", ["sk-secret", "A B=sk-secret", "A='sk-secret", 'A="sk"-secret', "A=sk -secret", "1=2"])
def test_a_line_that_is_none_is_named_and_not_shown(tmp_path: Path, line: str) -> None:
    (tmp_path / ".env").write_text(f"# mine\n{line}\n")
    with pytest.raises(BadInput, match=r"\.env line 2") as caught:
        keys.read_env(tmp_path / ".env")
    assert "secret" not in str(caught.value)


def test_files_that_are_no_env(tmp_path: Path) -> None:
    assert keys.read_env(tmp_path / ".env") == {}
    (tmp_path / "twice").write_text("A=1\nA=2\n")
    with pytest.raises(BadInput, match="A stands twice"):
        keys.read_env(tmp_path / "twice")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "folder").mkdir()
    for name in ("binary", "folder"):
        with pytest.raises(BadInput, match="can't be read"):
            keys.read_env(tmp_path / name)


def backends(chosen: config.Config, own: dict[str, str]) -> list[str]:
    return [keys.settings(chosen, own, role)["backend"] for role in ("researcher", "builder", "reviewer")]


def test_who_plays() -> None:
    chosen = settings(reviewer={"backend": "offline"}, builder={"backend": "openai", "model": "gpt-6.1-sol"})
    assert backends(chosen, {}) == ["offline", "openai", "offline"]
    assert backends(chosen, {NAME: "x"}) == ["anthropic", "openai", "offline"]
    assert backends(chosen, {"OPENAI_API_KEY": "x"}) == ["openai", "openai", "offline"]
    assert backends(chosen, {NAME: ""}) == ["offline", "openai", "offline"]
    assert keys.settings(chosen, {NAME: "x"}, "researcher")["model"] == keys.DEFAULT_MODELS["anthropic"]


@pytest.mark.parametrize("backend", ["anthropic", "openai"])
def test_the_usual_fallback_model(backend: str) -> None:
    """Only where its price is known; `null` turns it off."""
    usual, own = keys.DEFAULT_FALLBACKS[backend], {keys.KEY_VARIABLES[backend]: "x"}

    def fallback(**builder: Any) -> Any:
        chosen = settings(builder={"backend": backend, **builder})
        keys.check(chosen, own, {})
        return keys.settings(chosen, own, "builder")["fallback_model"]

    assert fallback() == fallback(model=keys.DEFAULT_MODELS[backend]) == usual
    assert fallback(fallback_model=None) is None and fallback(model=usual) is None
    assert fallback(model="m", base_url="http://localhost:1/v1") is None
    assert fallback(model="m", price={"input": 1.0, "output": 1.0}) is None
    assert keys.settings(settings(), {}, "builder")["fallback_model"] is None


def test_a_key_of_the_shell_is_mentioned_only() -> None:
    shell = {NAME: "x", "OPENAI_API_KEY": "y"}
    keys.check(settings(), {}, shell)
    assert keys.idle_keys(settings(), {}, shell) == [NAME, "OPENAI_API_KEY"]
    named = settings(builder={"backend": "anthropic", "model": "claude-opus-5-5"})
    keys.check(named, {}, shell)
    assert keys.idle_keys(named, {}, shell) == ["OPENAI_API_KEY"]
    assert keys.idle_keys(settings(), {NAME: "x"}, {NAME: "x"}) == []


@pytest.mark.parametrize(
    ("builder", "own", "shell", "part"),
    [
        ({"backend": "anthropic", "model": "claude-opus-5-5"}, {}, {}, f"{NAME} is not set"),
        ({"backend": "anthropic"}, {}, {NAME: "x"}, "agents.builder.model"),
        ({"model": "claude-opus-5-5"}, {}, {NAME: "x"}, "agents.builder.backend"),
        ({"backend": "openai", "model": "nobody"}, {"OPENAI_API_KEY": "x"}, {}, "agents.builder.price"),
        ({"summary_model": "nobody"}, {NAME: "x"}, {}, "agents.builder.price"),
        ({"fallback_model": "nobody"}, {NAME: "x"}, {}, "agents.builder.price"),
        ({"backend": "anthropic", "model": "m", "key_variable": "MINE"}, {NAME: "x"}, {}, "MINE is not set"),
    ],
)
def test_what_could_not_play(builder: dict[str, Any], own: dict[str, str], shell: dict[str, str], part: str) -> None:
    with pytest.raises(BadInput) as caught:
        keys.check(settings(builder=builder), own, shell)
    assert part in str(caught.value) and ": " in str(caught.value) and "\n" not in str(caught.value)


def test_what_can_play() -> None:
    keys.check(settings(builder={"backend": "anthropic"}), {NAME: "x"}, {})
    keys.check(settings(builder={"model": "claude-opus-5-5"}), {NAME: "x"}, {})
    local = {"backend": "openai", "model": "llama", "base_url": "http://localhost:1/v1", "key_variable": ""}
    keys.check(settings(builder=local), {}, {})
    unknown = {"agents": {"builder": {"backend": "openai", "model": "nobody"}}, "budget": {"usd": None}}
    keys.check(config.parse(unknown, "config.json"), {"OPENAI_API_KEY": "x"}, {})


def test_who_plays_for_how_much_is_told() -> None:
    assert keys.line_up(settings(), {}) == ""
    assert keys.line_up(settings(builder={"backend": "offline"}), {NAME: "x"}) == (
        "researcher claude-sonnet-5-5, builder offline, reviewer claude-sonnet-5-5; at most $10.00 a campaign"
    )
    budget = {"usd": 5.0, "usd_per_day": 2.0, "tokens_per_round": 1_500_000}
    capped = config.parse({"budget": budget}, "config.json")
    assert keys.caps_in_words(capped) == "$5.00 a campaign, $2.00 a day, 1.5 M tokens a round"
    free = config.parse({"budget": {"usd": None}}, "config.json")
    assert "budget.* sets no cap" in keys.line_up(free, {NAME: "x"})


@pytest.mark.parametrize("key", ["…", "sk 1", "sk-ключ"])
def test_what_can_be_no_key_is_told_in_one_sentence(key: str) -> None:
    with pytest.raises(BadInput, match="ANTHROPIC_API_KEY holds no key but a text with blanks") as caught:
        keys.check(config.Config(), {NAME: key}, {})
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    ("agents", "minutes"),
    [
        ({}, 720.0),
        ({"when_unreachable": "offline"}, 5.0),
        ({"when_unreachable": "offline", "builder": {"unreachable_minutes": 60.0}}, 60.0),
    ],
)
def test_a_player_at_hand_shortens_the_wait_for_a_model(agents: dict[str, Any], minutes: float) -> None:
    assert keys.settings(settings(**agents), {}, "builder")["unreachable_minutes"] == minutes
