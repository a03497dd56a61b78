"""A million rows by 50 columns, played without a key for 10 minutes: python -m benchmarks.million [MINUTES] [ROWS].

Prints the peak memory of all processes together, the time to the first valid submission, and the score on held-out
answers. The bar, on 2 cores and 24 GB: a valid submission within the 10 minutes. The data are made by rule: 40 numbers,
10 categories of 3 to 3,000 values, a binary target that depends on both, and gaps.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from benchmarks.suite import measure
from orchestrator.execution.usage import memory_mb

MINUTES = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
ROWS = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
TEST_ROWS, NUMBERS, CATEGORIES = ROWS // 10, 40, 10
LOOK_S = 0.5


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        make_data(Path(name) / "million")
        peak = Peak()
        peak.start()
        began, campaign = time.time(), Path(name) / "campaign"
        result = measure(Path(name) / "million", campaign, MINUTES, [])
        made = [path.stat().st_mtime - began for path in campaign.glob("rounds/R*_submission.csv")]
        peak.stop.set()
        peak.join()
    print(f"{ROWS:,} rows, {NUMBERS + CATEGORIES} columns, {MINUTES:g} minutes, {len(os.sched_getaffinity(0))} cores")
    print(f"peak memory: {peak.mb / 1024:.1f} GB")
    first = f"after {min(made):.0f} s" if made else "never"
    print(
        f"first complete submission: {first}; the end after {result['seconds']} s, with the time to make the campaign"
    )
    print(f"{result['metric']}: {result['score']} on the held-out answers, {result['cv']} in CV, by {result['final']}")
    print(f"experiments: {result['experiments']}, {result['complete']} complete; {result['error'] or result['ending']}")


def make_data(folder: Path) -> None:
    """`public/` and `private/` of a competition."""
    rng = np.random.default_rng(0)
    rows = ROWS + TEST_ROWS
    table, signal = {"id": np.arange(rows)}, np.zeros(rows, dtype=np.float32)
    for place in range(NUMBERS):
        values = rng.normal(size=rows).astype(np.float32)
        signal += (0.3 / (1 + place)) * values + (0.5 * np.sin(2 * values) if place < 3 else 0)
        values[rng.random(rows) < 0.02 * (place % 4)] = np.nan
        table[f"x{place}"] = values.round(4)
    for place in range(CATEGORIES):
        levels = int(3 * 1000 ** (place / (CATEGORIES - 1)))
        codes = rng.integers(levels, size=rows)
        signal += 0.3 * rng.normal(size=levels).astype(np.float32)[codes]
        table[f"c{place}"] = np.char.add("v", np.arange(levels).astype(str))[codes].astype(object)
    made = pd.DataFrame(table)
    made["target"] = (signal + rng.logistic(size=rows) > 0).astype(int)
    for place in ("public", "private"):
        (folder / place).mkdir(parents=True)
    made[:ROWS].to_csv(folder / "public" / "train.csv", index=False)
    made[ROWS:].drop(columns="target").to_csv(folder / "public" / "test.csv", index=False)
    made[ROWS:][["id"]].assign(target=0.5).to_csv(folder / "public" / "sample_submission.csv", index=False)
    made[ROWS:][["id", "target"]].to_csv(folder / "private" / "answers.csv", index=False)


class Peak(threading.Thread):
    """The most memory that all processes started from here held at one time, shared pages counted once."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.stop = threading.Event()
        self.mb = 0.0

    def run(self) -> None:
        own = psutil.Process()
        while not self.stop.wait(LOOK_S):
            self.mb = max(self.mb, memory_mb((process.pid for process in own.children(recursive=True)), 0.0))


if __name__ == "__main__":
    main()
