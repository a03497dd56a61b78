"""Whole-process timing: several runs after a warm-up, the median to quote and the range to distrust it by."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def seconds(act: Callable[[], object], runs: int = 7) -> list[float]:
    """Wall-clock seconds of each run, one warm-up run not counted."""
    act()
    found = []
    for _ in range(runs):
        started = time.perf_counter()
        act()
        found.append(time.perf_counter() - started)
    return found


def command(*arguments: str) -> Callable[[], object]:
    """Run `python ARGUMENTS` from the project's root, its output thrown away; fails when it fails."""
    return lambda: subprocess.run([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)


def shown(name: str, values: Sequence[float]) -> str:
    return f"{name:42s} median {statistics.median(values):.3f} s (min {min(values):.3f}, max {max(values):.3f})"
