"""An orchestrator that is killed while a sandbox is still starting leaves nothing of it alive."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.execution.launcher import process_table
from tests.execution.conftest import sandbox_or_skip

KILLS = 20
RUN = """
import sys
from pathlib import Path
from orchestrator.execution.jobs import Job, Limits
from orchestrator.execution.ladder import LEVELS
from orchestrator.execution.stage import installation

sandbox = LEVELS["A" if sys.argv[1] == "warm" else sys.argv[1]](installation(Path(sys.executable)))
if sys.argv[1] == "warm":
    sandbox.warm_up("threadpoolctl")
    sandbox.run(Job(Path(sys.argv[2]) / "first.py", {}, Path(sys.argv[2]) / "first", Limits(60, 500)))
folder = Path(sys.argv[2])
limits = Limits(seconds=60, memory_mb=500, disk_mb=10, processes=10, log_kb=4)
print("now", flush=True)
sandbox.run(Job(folder / sys.argv[3], {}, folder / "out", limits, name="sleeper"))
"""


def alive(script: str) -> list[int]:
    found = []
    for pid in process_table():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(word.endswith(script.encode()) for word in command[:-2]):
            found.append(pid)
    return found


@pytest.mark.parametrize("level", ["A", "warm", "B"])
def test_killed_while_it_starts(level: str, tmp_path: Path) -> None:
    sandbox_or_skip(level)
    rng = random.Random(level)
    script = f"orphan_{level}.py"
    (tmp_path / script).write_text("import time\ntime.sleep(300)\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "first").mkdir()
    (tmp_path / "first.py").touch()
    for _ in range(KILLS):
        host = subprocess.Popen(
            [sys.executable, "-c", RUN, level, str(tmp_path), script], stdout=subprocess.PIPE, text=True
        )
        assert host.stdout is not None
        assert host.stdout.readline() == "now\n"
        time.sleep(rng.uniform(0.0, 0.12))
        host.kill()
        host.wait()
        host.stdout.close()
        end = time.monotonic() + 5.0
        while (left := alive(script)) and time.monotonic() < end:
            time.sleep(0.02)
        assert not left
