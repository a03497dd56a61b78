"""Run a small campaign, kill it at its n-th system call, run it again, and look at what is left."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parent.parent.parent
CALLS = ("write", "fsync", "rename")
"""Python's os.write, os.fsync and os.replace; the names of the system calls behind them on Linux."""

EXPERIMENT = """
import json, struct, sys

inputs, outputs = sys.argv[1:]
task = json.load(open(f"{inputs}/task.json"))
for name in ("valid", "test"):
    rows = task[f"n_{name}"]
    header = ("{'descr': '<f8', 'fortran_order': False, 'shape': (" + str(rows) + ",), }").ljust(117) + chr(10)
    with open(f"{outputs}/{name}.npy", "wb") as file:
        file.write(bytes([0x93]) + b"NUMPY" + bytes([1, 0]) + struct.pack("<H", len(header)) + header.encode())
        file.write(struct.pack(f"<{rows}d", *[PREDICTION + row * 1e-3 for row in range(rows)]))
"""
"""Starts in no time, since it imports nothing: what is killed here is the orchestrator."""


def plan(prediction: str) -> str:
    strategy = {"family": "constant", "recipe": f"always {prediction}", "hypothesis": "near", "expected_gain": 0.1}
    return f"# Plan\n\n```json\n{json.dumps({'strategies': [strategy]})}\n```\n"


def make_campaign(folder: Path, rounds: int) -> None:
    """A regression of 60 rows, graded here, whose second round beats its first; scripted Builder, offline the rest."""
    rng = np.random.default_rng(0)
    data = folder / "competition" / "data"
    private = folder / "competition" / "private"
    data.mkdir(parents=True)
    private.mkdir()
    table = pd.DataFrame({"id": np.arange(90), "a": rng.normal(size=90), "b": rng.normal(size=90)})
    table["y"] = 2 * table["a"] - table["b"] + rng.normal(scale=0.1, size=90)
    table[:60].to_csv(data / "train.csv", index=False)
    table[60:].drop(columns="y").to_csv(data / "test.csv", index=False)
    table[60:][["id"]].assign(y=0.0).to_csv(data / "sample_submission.csv", index=False)
    table[60:][["id", "y"]].to_csv(private / "answers.csv", index=False)
    turns: dict[str, Any] = {"R00/eda": [{"files": {"eda.md": "# EDA\nTwo columns."}}]}
    for number in range(1, rounds + 1):
        prediction = str(5.0 / number**2)
        label = f"R{number:02d}"
        script = EXPERIMENT.replace("PREDICTION", prediction)
        findings = f"# Findings\n\n## Learnings\n- [{label}] always {prediction}\n"
        turns[f"{label}/research"] = [{"files": {"research_raw.md": "raw", "research_brief.md": "brief"}}]
        turns[f"{label}/plan"] = [{"files": {"plan.md": plan(prediction)}}]
        turns[f"{label}/review"] = [{"files": {"review.md": "checks"}, "reply": "APPROVED"}]
        turns[f"{label}/build"] = [
            {"files": {"experiment.py": script}, "call": ["run_experiment"], "reply": "CV_SCORE={results[0][cv]}"}
        ]
        turns[f"{label}/verify"] = [{"files": {"verify.md": "fine"}, "reply": "VERIFIED"}]
        turns[f"{label}/findings"] = [{"files": {"findings.md": findings}, "reply": "SUBMIT: better"}]
    (folder / "script.json").write_text(json.dumps({"turns": turns}))
    agent = {"backend": "scripted", "script": "script.json"}
    config = {
        "competition": {
            "name": "lines",
            "id_column": "id",
            "target_columns": ["y"],
            "task": "regression",
            "metric": "rmse",
            "submission_columns": ["y"],
        },
        "cv": {"folds": 2},
        "agents": {role: agent for role in ("researcher", "builder", "reviewer")},
        "loop": {"max_rounds": rounds},
        "execution": {"cores": 2},
    }
    (folder / "config.json").write_text(json.dumps(config))


class Zygote:
    """One forking process; `run` plays a campaign to its end or to its death."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.kill.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def run(self, folder: Path, *tracer: str) -> int:
        """Play `folder`; with `tracer` arguments under strace. Returns the wait status."""
        pid = self._start(folder, pause=bool(tracer))
        tracing = _attach(pid, tracer) if tracer else None
        status = int(self._line())
        if tracing is not None:
            tracing.wait()
        return status

    def play_for(self, folder: Path, seconds: float, begun: Callable[[], bool]) -> int:
        """Play `folder` until `seconds` after `begun()`, then SIGKILL. Returns the wait status."""
        pid = self._start(folder, pause=False)
        ended = threading.Event()

        def kill() -> None:
            while not begun():
                if ended.wait(0.01):
                    return
            if not ended.wait(seconds):
                os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        status = int(self._line())
        ended.set()
        killer.join()
        return status

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _start(self, folder: Path, pause: bool) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{folder}\t0\t{int(pause)}\n")
        self._process.stdin.flush()
        return int(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def _attach(pid: int, arguments: tuple[str, ...]) -> subprocess.Popen[bytes]:
    _wait_for(pid, "State:\tT")
    tracer = subprocess.Popen(["strace", "-qqq", *arguments, "-p", str(pid)], stderr=subprocess.DEVNULL)
    _wait_for(pid, f"TracerPid:\t{tracer.pid}")
    os.kill(pid, signal.SIGCONT)
    return tracer


def _wait_for(pid: int, text: str) -> None:
    for _ in range(10_000):
        if text in Path(f"/proc/{pid}/status").read_text():
            return
        time.sleep(0.001)
    raise TimeoutError(f"{pid} never showed {text!r}")


def count_points(zygote: Zygote, folder: Path) -> Counter[str]:
    """Play the campaign to its end and count its main thread's calls of each kind."""
    log = Path(f"{folder}.strace")
    status = zygote.run(folder, "-e", f"trace={','.join(CALLS)}", "-o", str(log))
    assert status == 0, Path(f"{folder}.out").read_text()
    return Counter(line.split("(")[0] for line in log.read_text().splitlines() if "(" in line)


def kill_at(zygote: Zygote, folder: Path, call: str, number: int) -> bool:
    """Play until the n-th call of this kind, which SIGKILL ends; whether it was killed there."""
    inject = f"inject={call}:signal=SIGKILL:when={number}"
    status = zygote.run(folder, "-e", f"trace={call}", "-e", inject, "-o", "/dev/null")
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


MOVING = {"timestamp", "seconds", "elapsed_seconds", "peak_mb", "sha256", "fold_seconds", "updated"}


def ledger(folder: Path) -> dict[str, Any]:
    """What must not depend on having been killed: results, registry, learnings, receipts, the competition's list."""
    rows = [line.split("\t") for line in (folder / "results.tsv").read_text().splitlines()]
    return {
        "results": [[cell for place, cell in enumerate(row) if rows[0][place] != "timestamp"] for row in rows],
        "experiments": _still(json.loads((folder / "experiments.json").read_text())),
        "learnings": (folder / "LEARNINGS.md").read_text(),
        "rounds": sorted(path.name for path in (folder / "rounds").iterdir() if not _is_private(path.name)),
        "submitted": sorted(entry["description"].split()[2] for entry in submissions(folder)),
        "final": _still(json.loads((folder / "state.json").read_text())["final"]),
    }


def submissions(folder: Path) -> list[dict[str, Any]]:
    """Every submission that the competition has accepted."""
    path = folder / "competition" / "private" / "submissions.json"
    return list(json.loads(path.read_text())["submissions"]) if path.exists() else []


def _still(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _still(item) for key, item in value.items() if key not in MOVING}
    return [_still(item) for item in value] if isinstance(value, list) else value


def _is_private(name: str) -> bool:
    """A submission that was killed before it arrived is made again under records of its own."""
    return "_frozen_" in name or "_submit" in name


def fresh(template: Path, target: Path) -> Path:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(template, target, symlinks=True)
    return target


def set_rounds(folder: Path, rounds: int) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["loop"]["max_rounds"] = rounds
    path.write_text(json.dumps(config))
