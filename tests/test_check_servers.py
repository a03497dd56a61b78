"""What `doctor` learns by asking the servers of models: each once, for free, and never for long."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator import config
from orchestrator.check_servers import servers
from orchestrator.checks import Check
from tests.model_server.client import ModelServer

GOOD = "sk-canary-31d9"


def ask(where: dict[str, str], key: str, folder: Path, seconds: float = 8.0) -> list[Check]:
    """The checks of a campaign whose roles play at these addresses, offline where none is named."""
    roles: dict[str, Any] = {role: {"backend": "offline"} for role in ("researcher", "builder", "reviewer")}
    for role, url in where.items():
        backend = "openai" if url.endswith("/v1") else "anthropic"
        roles[role] = {"backend": backend, "base_url": url, "model": "scripted-model", "price": PRICE}
    (folder / ".env").write_text(f"ANTHROPIC_API_KEY={key}\nOPENAI_API_KEY={key}\n", encoding="utf-8")
    return servers(folder, config.parse({"agents": roles}, "config.json"), {}, seconds)


PRICE = {"input": 1.0, "output": 2.0}


def test_each_server_is_asked_once_and_costs_nothing(tmp_path: Path) -> None:
    with ModelServer(tmp_path / "server", {}) as server:
        claude, other = server.url("anthropic"), server.url("openai")
        where = {"researcher": claude, "builder": other, "reviewer": claude}
        found = ask(where, GOOD, tmp_path)
        assert [check.name for check in found] == ["server of researcher, reviewer", "server of builder"]
        assert all(check.ok and "takes the key" in check.what for check in found)
        refused = ask(where, "sk-wrong", tmp_path)
        assert all(check.ok is False and "refused (401" in check.what and check.fix for check in refused)
        assert not any("sk-wrong" in f"{check}" for check in refused)
        (lost,) = ask({"builder": f"{server.url('anthropic')}/elsewhere/v1"}, GOOD, tmp_path)
        assert lost.ok is None and "does not say whether the key holds (404" in lost.what
        assert server.asked() == 0


@pytest.mark.parametrize("tail", ["", "/v1"])
def test_a_closed_port_and_a_silent_server(tail: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as port:
        url = f"http://127.0.0.1:{port.getsockname()[1]}{tail}"
        began = time.monotonic()
        (silent,) = ask({"builder": url}, GOOD, tmp_path, seconds=0.3)
        assert time.monotonic() - began < 8
    (closed,) = ask({"builder": url}, GOOD, tmp_path)
    for check in (silent, closed):
        assert check.ok is False and f"{url}: not reachable (" in check.what and "base_url" in check.fix


@pytest.mark.parametrize("key", ["…", "'sk 1'", "sk-ключ"])
def test_a_placeholder_is_not_sent(key: str, tmp_path: Path) -> None:
    (check,) = ask({"builder": "http://127.0.0.1:9/v1"}, key, tmp_path)
    assert check.ok is None and check.what.endswith("not tried")


def test_without_models_nobody_is_asked(tmp_path: Path) -> None:
    assert servers(tmp_path, config.Config(), {"ANTHROPIC_API_KEY": GOOD}) == []
