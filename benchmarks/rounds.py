"""The orchestrator's own time per round (bar: 0.5 s) and its memory over 200 rounds (bar: flat).

Own time is a round's wall clock less the seconds in which an experiment ran in the sandbox.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from orchestrator.campaign import Campaign
from orchestrator.cli import utc_now
from orchestrator.files import read_json
from orchestrator.journal import Journal
from orchestrator.loop import play
from tests.playing import Script


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        script = Script(folder, rounds, patience=10_000, retro_every=10_000)
        script.configure(**{"agents.respawn_rounds": 10_000})
        script.save()
        memory: list[float] = []

        def hear(event: str, **fields: Any) -> None:
            if event == "verdict":
                memory.append(psutil.Process().memory_info().rss / 2**20)

        campaign = Campaign(folder, now=utc_now, progress=hear)
        started = time.perf_counter()
        play(campaign)
        wall = time.perf_counter() - started
        own = [own_seconds(campaign, number) for number in range(1, rounds + 1)]
        tenth = max(1, rounds // 10)
        print(f"{rounds} rounds in {wall:.0f} s")
        print(f"own time: median {statistics.median(own):.3f} s, max {max(own):.3f} s")
        print(f"own time, last tenth: median {statistics.median(own[-tenth:]):.3f} s")
        print(f"memory: {memory[tenth]:.0f} MB after {tenth + 1} rounds, {memory[-1]:.0f} MB after {rounds}")


def own_seconds(campaign: Campaign, number: int) -> float:
    files = campaign.files(number)
    return Journal(files).seconds - float(sum(read_json(files.path("scores.json"))["fold_seconds"]))


if __name__ == "__main__":
    main()
