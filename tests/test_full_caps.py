"""Whole campaigns under random caps: what the server billed stays below them, and what is raised goes on."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from orchestrator.campaign import Campaign
from orchestrator.cli import utc_now
from orchestrator.loop import play
from tests import model_campaign
from tests.model_server.client import ModelServer


@pytest.mark.parametrize("seed", range(4))
def test_a_whole_campaign_stays_below_its_caps(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    name = ("usd", "tokens", "usd_per_round", "tokens_per_round")[seed]
    cap = rng.uniform(0.2, 0.4) if name.startswith("usd") else rng.randint(60_000, 160_000)
    with ModelServer(tmp_path / "server", {}) as server:
        server.play(model_campaign.turns(), bytes_per_token=rng.choice([1, 2, 4]))
        folder = tmp_path / "camp"
        folder.mkdir()
        model_campaign.make(folder, server, 2, **{f"budget__{name}": cap})
        campaign = Campaign(folder, now=utc_now, progress=lambda *_, **__: None)
        try:
            why = play(campaign)
        finally:
            campaign.players.close()
            campaign.costs.close()
        billed = [request for request in server.requests() if request["status"] == 200]
    kind = "billed" if name.startswith("usd") else "tokens"
    rounds = {request["turn"][:3] for request in billed}
    spans = [(label,) for label in rounds] if "round" in name else [tuple(rounds)]
    sums = [sum(request[kind] for request in billed if request["turn"][:3] in span) for span in spans]
    print(f"\n{name}: {max(sums):,.4g} of {cap:,.4g}, {why}")
    assert max(sums) <= cap
    assert why.startswith("money cap") or any("budget." in entry["reason"] for entry in campaign.entries)
