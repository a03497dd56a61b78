"""Model sessions over 60 rounds: input tokens of a round (bar: round 60 no more than 1.2 times round 10), the share of
input read from the provider's cache (bar: 90 %), and the time that a turn takes beside the model's own.

The model is the tests' local server, which counts tokens and keeps a prefix cache as the providers do.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from orchestrator.campaign import Campaign
from orchestrator.cli import utc_now
from orchestrator.loop import play
from tests import model_campaign
from tests.model_server.client import ModelServer


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    with tempfile.TemporaryDirectory() as name, ModelServer(Path(name) / "server", model_campaign.turns()) as server:
        folder = Path(name) / "campaign"
        folder.mkdir()
        model_campaign.make(folder, server, rounds, agents__respawn_rounds=15, budget__usd=100.0)
        campaign = Campaign(folder, now=utc_now, progress=lambda *_, **__: None)
        started = time.perf_counter()
        why = play(campaign)
        seconds = time.perf_counter() - started
        campaign.players.close()
        sent: Counter[int] = Counter()
        count: Counter[int] = Counter()
        for request in server.requests():
            number = int(request["turn"][1:].split("/")[0])
            sent[number] += request["total"]
            count[number] += 1
        totals = campaign.costs.totals()
        early, late = _life(sent, 15), _life(sent, rounds)
        print(f"{why}; {seconds:.0f} s, {totals.requests} requests, {totals.usd:.2f} USD at the script's price")
        print(f"input tokens of a round: {sent[10]:,} in round 10, {sent[rounds]:,} in round {rounds}: "
              f"ratio {sent[rounds] / sent[10]:.2f}")  # fmt: skip
        print(f"mean of rounds 1-15: {early:,.0f}, of the last 15: {late:,.0f}: ratio {late / early:.2f}")
        print(f"read from the cache: {totals.cached_share:.1%} of the input")


def _life(sent: Counter[int], last: int) -> float:
    """Mean over the rounds of one session's life that end with `last`."""
    chosen = [sent[number] for number in range(max(1, last - 14), last + 1)]
    return sum(chosen) / len(chosen)


if __name__ == "__main__":
    main()
