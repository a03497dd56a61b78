"""What `doctor` says about Kaggle, asked through the real client."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestrator.check_kaggle import kaggle
from orchestrator.checks import Check
from orchestrator.config import Config, as_json, parse
from tests.kaggle_server.start import KEY, ROOT, USER, Kaggle


def now() -> datetime:
    return datetime.now(UTC)


def looked(environment: dict[str, str], slug: str, **submissions: Any) -> dict[str, Check]:
    section = {"competition": {"kind": "kaggle", "slug": slug}, "submissions": submissions}
    found = kaggle(None, parse(section, "test"), environment, True, now)
    assert all(check.ok or check.fix for check in found)
    assert not any(KEY in f"{check.what}{check.fix}" for check in found)
    return {check.name: check for check in found}


WELL = {"entered": True, "phone_needed": False, "code_only": False, "deadline": "2099-12-31T23:59:00Z"}


def test_all_is_well(server: Kaggle, tmp_path: Path) -> None:
    server.competition("well", title="A good one", daily_limit=4)
    found = looked(server.environment(tmp_path), "well")
    assert all(check.ok for check in found.values())
    assert found["Kaggle account"].what.startswith(f"{USER}, by ") and found["Kaggle's clock"].ok
    assert found["competition"].what == "A good one, ends 2099-12-31; 4 of 4 submissions left today"


@pytest.mark.parametrize(
    ("settings", "ok", "what", "fix"),
    [
        ({"entered": False}, False, "has not joined", "https://www.kaggle.com/competitions/sick/rules"),
        ({"phone_needed": True}, False, "verify your phone number", "https://www.kaggle.com/settings"),
        ({"code_only": True}, True, "computed by notebooks at Kaggle", ""),
        ({"deadline": "2020-01-01T00:00:00Z"}, None, "ended on 2020-01-01", "late"),
    ],
)
def test_what_is_wrong_with_a_competition(
    server: Kaggle, tmp_path: Path, settings: dict[str, Any], ok: bool | None, what: str, fix: str
) -> None:
    server.competition("sick", **{**WELL, **settings})
    check = looked(server.environment(tmp_path), "sick")["competition"]
    assert check.ok is ok and what in check.what and fix in check.fix


def test_a_clock_that_is_wrong(server: Kaggle, tmp_path: Path) -> None:
    server.settings(clock_offset_s=26 * 3600.0)
    found = looked(server.environment(tmp_path), "no-such-competition")
    server.settings(clock_offset_s=0.0)
    clock = found["Kaggle's clock"]
    assert clock.ok is False and "26 hours behind Kaggle's" in clock.what and "set-ntp" in clock.fix
    assert found["competition"].ok is False and "no-such-competition" in found["competition"].what


def test_a_stale_token(server: Kaggle, tmp_path: Path) -> None:
    environment = {**server.environment(tmp_path, "none"), "KAGGLE_API_TOKEN": "KGAT_" + "0" * 32}
    account = looked(environment, "well")["Kaggle account"]
    assert account.ok is False and "expired or revoked" in account.what and "settings/api" in account.fix


def test_no_network(server: Kaggle, tmp_path: Path) -> None:
    environment = {**server.environment(tmp_path), "http_proxy": "http://127.0.0.1:9"}
    found = looked(environment, "well")
    assert list(found) == ["Kaggle", "Kaggle account"]
    account = found["Kaggle account"]
    assert account.ok is False and account.fix == "check the network"
    assert account.what.endswith("connection: Connection refused)") and "HTTP" not in account.what


def test_the_command(server: Kaggle, tmp_path: Path) -> None:
    """The whole of it, in the environment of a user."""
    server.competition("command", **WELL)
    config = parse({"competition": {"kind": "kaggle", "slug": "command"}}, "test")
    assert isinstance(config, Config)
    (tmp_path / "config.json").write_text(as_json(config))
    (tmp_path / ".env").write_text(f"KAGGLE_USERNAME={USER}\nKAGGLE_KEY={KEY}\n")
    (tmp_path / ".env").chmod(0o600)
    environment = {**server.environment(tmp_path / "home", "none"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", "-C", str(tmp_path), "doctor"],
        env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert f"{USER}, by KAGGLE_KEY in the campaign's .env" in done.stdout, done.stdout + done.stderr
    assert "submissions left today" in done.stdout and KEY not in done.stdout
