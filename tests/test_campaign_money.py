"""Money and keys of a campaign that is open: edits take effect between rounds, unusable ones do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agents.prices import Usage
from orchestrator import endings
from orchestrator.campaign import Campaign
from orchestrator.errors import BadInput
from tests.playing import NOON, Script

LOCAL = {"backend": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1", "key_variable": ""}


def opened(script: Script) -> tuple[Campaign, list[str]]:
    script.save()
    notes: list[str] = []

    def hear(event: str, **fields: Any) -> None:
        if event == "note":
            notes.append(fields["text"])

    return Campaign(script.folder, now=lambda: NOON, progress=hear), notes


def spend(campaign: Campaign, usd: float, number: int = 1) -> None:
    id = f"builder/1/{campaign.costs.totals().requests}"
    campaign.costs.reserve(
        id, role="builder", round=number, turn="R01/plan", model="m", source="config", usd=usd, tokens=10
    )
    campaign.costs.settle(id, Usage(input=10), usd, "config")


def test_a_key_that_is_added_plays_from_the_next_round_on(tmp_path: Path) -> None:
    script = Script(tmp_path / "c", 3)
    script.configure(**{"agents.reviewer": {}})
    campaign, notes = opened(script)
    assert not campaign.is_paid
    path = campaign.root / ".env"
    path.write_text("ANTHROPIC_API_KEY=sk-canary\n")
    campaign.reload_config()
    assert campaign.is_paid and campaign.agent_settings("reviewer")["backend"] == "anthropic"
    assert "reviewer claude-sonnet-5-5; at most $10.00 a campaign" in notes[-1]
    assert campaign.services.environment["ANTHROPIC_API_KEY"] == "sk-canary"
    path.write_text("sk-canary\n")
    campaign.reload_config()
    assert campaign.is_paid and "line 1 is not NAME=value" in notes[-1] and "sk-canary" not in "".join(notes)
    path.unlink()
    campaign.reload_config()
    assert not campaign.is_paid and notes[-1] == "players: nobody who is paid"
    assert "ANTHROPIC_API_KEY" not in campaign.services.environment


def test_caps_are_read_again_and_an_unusable_role_is_not(tmp_path: Path) -> None:
    script = Script(tmp_path / "c", 3)
    script.configure(**{"agents.builder": LOCAL, "budget.usd": 5.0})
    campaign, notes = opened(script)
    assert any("builder m" in note and "at most $5.00 a campaign" in note for note in notes)
    script.configure(**{"budget.usd": 7.0})
    campaign.reload_config()
    assert campaign.costs.headroom(1) == 7.0
    script.configure(**{"agents.builder": {**LOCAL, "key_variable": "NOT_SET"}})
    campaign.reload_config()
    assert "NOT_SET is not set" in notes[-1] and campaign.agent_settings("builder")["key_variable"] == ""
    with pytest.raises(BadInput, match="NOT_SET"):
        opened(script)


def test_a_cap_ends_only_campaigns_that_models_play(tmp_path: Path) -> None:
    script = Script(tmp_path / "c", 3)
    script.configure(**{"agents.builder": LOCAL, "budget.usd": 2.0, "budget.usd_per_day": 1.0})
    campaign, _ = opened(script)
    assert endings.reason(campaign) is None
    spend(campaign, 1.0)
    assert "today (UTC)" in str(endings.reason(campaign)) and "wait for tomorrow" in str(endings.reason(campaign))
    script.configure(**{"budget.usd_per_day": None})
    campaign.reload_config()
    assert endings.reason(campaign) is None
    spend(campaign, 1.0, number=2)
    assert str(endings.reason(campaign)).startswith("money cap: 2.00 USD of 2.00 USD")
    assert campaign.usd() == 2.0
    script.configure(**{"agents.builder": {"backend": "offline"}})
    campaign.reload_config()
    assert endings.reason(campaign) is None
    campaign.costs.close()


def test_a_damaged_ledger_is_refused_with_the_fix(tmp_path: Path) -> None:
    script = Script(tmp_path / "c", 3)
    (script.folder / "costs.jsonl").write_text("oops\n")
    with pytest.raises(BadInput, match="line 1 is damaged"):
        opened(script)


def test_a_lost_ledger_does_not_count_from_zero_by_itself(tmp_path: Path) -> None:
    script = Script(tmp_path / "c", 3)
    transcript = script.folder / "sessions" / "builder" / "1.jsonl"
    transcript.parent.mkdir(parents=True)
    transcript.write_text('{"event": "spawn", "round": 1}\n{"event": "request", "req": "builder/1/1"}\n')
    with pytest.raises(BadInput, match="is missing, though models were asked"):
        opened(script)
    (script.folder / "costs.jsonl").touch()
    opened(script)[0].close()
