"""How long a campaign of 1,000 rounds takes from the start of the process to its first phase. The bar is 1 s."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.timing import ROOT, seconds, shown
from orchestrator.files import read_json, write_json
from tests.playing import Script

ROUNDS = 1000


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Script(folder, 1).play()
        grow(folder)
        print(shown(f"loop: first phase after {ROUNDS} rounds", seconds(lambda: until_first_phase(folder), runs=5)))


def grow(folder: Path) -> None:
    """Copy round 1's files to rounds 2 … 1,000; one round in ten was submitted."""
    rounds = folder / "rounds"
    first = sorted(rounds.glob("R01_*"))
    result = read_json(rounds / "R01_result.json")
    for number in range(2, ROUNDS + 1):
        for path in first:
            if "_result" in path.name or ("submit" in path.name and number % 10):
                continue
            shutil.copy(path, rounds / path.name.replace("R01", f"R{number:02d}", 1))
        write_json(rounds / f"R{number:02d}_result.json", {**result, "round": number, "status": "discard"})


def until_first_phase(folder: Path) -> float:
    """Start the loop, wait for its first phase's line, kill it."""
    arguments = ["-m", "orchestrator", "-C", str(folder), "loop", "--plain", "--rounds", str(ROUNDS + 1)]
    started = time.perf_counter()
    loop = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with loop:
        assert loop.stdout is not None
        lines = iter(loop.stdout.readline, "")
        seen = next((line for line in lines if f"R{ROUNDS + 1}" in line), None)
        took = time.perf_counter() - started
        loop.kill()
    if seen is None:
        raise SystemExit(f"the loop did not get to round {ROUNDS + 1}")
    return took


if __name__ == "__main__":
    main()
