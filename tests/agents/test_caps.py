"""A cap is never passed, not by one request, by what the server itself bills: random campaigns that die at random."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.model_server.client import ROOT

SEED = 7


def test_no_cap_is_ever_passed(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    count = request.config.getoption("--campaigns")
    command = [sys.executable, "-m", "tests.agents.short_campaigns", str(SEED), str(count), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    played = [json.loads(line) for line in done.stdout.splitlines()]
    spans = [(name, value, cap) for campaign in played for name, value, cap in campaign["spans"]]
    endings = Counter(campaign["ending"] for campaign in played)
    shares = [value / cap for _, value, cap in spans]
    requests, died = (sum(campaign[key] for campaign in played) for key in ("requests", "died"))
    print(f"\n{count} campaigns, {requests} requests, {died} deaths, {len(spans)} spans under a cap")
    print(f"the server billed at most {max(shares):.3f} of a cap; endings: {dict(endings)}")
    assert len(played) == count
    assert not [span for span in spans if span[1] > span[2] + 1e-9]
    assert not [ending for ending in endings if ending.startswith(("failed", "never"))]
    assert sum(number for ending, number in endings.items() if ending.startswith(("usd", "tokens"))) > count / 10
    assert died > count / 2
