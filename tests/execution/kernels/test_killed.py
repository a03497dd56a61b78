"""The loop, killed while its experiments run at Kaggle: the same command finds them there, and pushes nothing twice."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from tests.kaggle_server.start import ROOT, USER, Kaggle
from tests.kill import harness

KILLS = (("SaveKernel", 1), ("GetKernelSessionStatus", 3), ("SaveKernel", 2))
"""Killed as soon as Kaggle was asked so often, counted over all starts."""


def make_campaign(folder: Path) -> None:
    folder.mkdir()
    harness.make_campaign(folder, 1)
    config = json.loads((folder / "config.json").read_text())
    config["execution"] |= {"backend": "kaggle_kernel", "poll_seconds": 0.1}
    (folder / "config.json").write_text(json.dumps(config))
    script = json.loads((folder / "script.json").read_text())
    script["turns"]["R01/build"][0]["files"]["experiment.py"] += "import time; time.sleep(0.6)\n"
    (folder / "script.json").write_text(json.dumps(script))


def start(folder: Path, server: Kaggle, home: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "orchestrator", "-C", str(folder), "loop", "--plain"]
    with (folder / "shown.log").open("ab") as log:
        return subprocess.Popen(command, cwd=ROOT, env=server.environment(home), stdout=log, stderr=log)


def test_a_killed_loop_finds_its_kernels_again(server: Kaggle, tmp_path: Path) -> None:
    folder, home = tmp_path / "campaign", tmp_path / "home"
    make_campaign(folder)
    before = {method: server.count(method) for method, _ in KILLS}
    for method, count in KILLS:
        process = start(folder, server, home)
        server.wait_for(method, before[method] + count, seconds=30)
        process.kill()
        assert process.wait() == -9, (folder / "shown.log").read_text()
        time.sleep(0.1)
    assert start(folder, server, home).wait(60) == 0, (folder / "shown.log").read_text()
    assert server.count("SaveKernel") - before["SaveKernel"] == 2
    run = json.loads((folder / "rounds" / "R00_campaign.json").read_text())["run"]
    for fold in range(2):
        (push,) = server.control("runs", ref=f"{USER}/autokaggle-{run}-fold-{fold}")
        assert push["status"] == "COMPLETE"
    record = json.loads((folder / "rounds" / "R01_scores.json").read_text())
    assert (record["status"], record["sandbox"]) == ("ok", "kernel")
    state = json.loads((folder / "state.json").read_text())
    assert state["phase"] == "ended"
    assert "Where experiments run" in (folder / "KAGGLE_API.md").read_text()
