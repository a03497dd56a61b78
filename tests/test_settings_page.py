"""Every setting is explained to a person, with its value and its default."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.cli import main
from orchestrator.config import Config, parse
from orchestrator.errors import BadInput
from orchestrator.settings_page import page


def test_every_setting_has_its_value_and_a_meaning() -> None:
    blocks = page(Config()).replace("\n    ", "\t").splitlines()
    assert len(blocks) > 100 and any(block.startswith("agents.builder.price.input = null") for block in blocks)
    assert [block for block in blocks if "\t" not in block or " = " not in block or "None" in block] == []


def test_a_changed_value_stands_beside_its_default() -> None:
    config = parse({"cv": {"folds": 7}}, "config.json")
    assert page(config, "folds").startswith("cv.folds = 7  (default 5)\n    How many parts")


def test_what_may_be_a_key_is_not_shown() -> None:
    builder = {"backend": "openai", "model": "m", "key_variable": "hf_canary", "base_url": "https://x.io/v1?key=canary"}
    text = page(parse({"agents": {"builder": builder}}, "config.json"), "agents.builder")
    assert "canary" not in text and text.count("(not shown)") == 2
    assert "https://x.io/v1" in page(parse({"agents": {"builder": {**builder, "base_url": "https://x.io/v1"}}}, ""))


def test_a_name_that_no_setting_has_is_told_with_the_nearest() -> None:
    with pytest.raises(BadInput, match=r"no setting is called 'fold\.s': did you mean 'folds'"):
        page(Config(), "fold.s")


def test_a_word_of_no_key_is_looked_for_in_the_meanings() -> None:
    assert page(Config(), "Dates").startswith("competition.time_column") and "date_columns" in page(Config(), "dates")
    assert "competition.time_column" not in page(Config(), "date_c")


def test_the_command_shows_a_campaigns_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text('{"loop": {"minutes": 12.5}}')
    assert main(["-C", str(tmp_path), "settings", "minutes"]) == 0
    assert "loop.minutes = 12.5  (default null)" in capsys.readouterr().out
    assert main(["-C", str(tmp_path), "settings", "colour"]) == 2
    assert main(["-C", str(tmp_path / "nowhere"), "settings"]) == 2
