"""A run of a kernel: its code really runs, in a folder laid out like Kaggle's, or it ends as a test has planned.

The code finds its inputs at $AUTOKAGGLE_KERNEL_INPUT (/kaggle/input there), one folder for each source by its slug;
what it leaves in its working folder is its output.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tests.kaggle_server import competitions
from tests.kaggle_server.site import Site

TOO_LONG = "Your notebook was stopped because it exceeded the maximum run time."


@dataclass
class Run:
    """One version of a kernel and its session. `ended` is set by the process, or by polls where none runs."""

    number: int
    source: str
    folder: Path
    gpu: bool
    request: dict[str, Any]
    polls: int = 0
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    failure: str = ""
    status: str = "COMPLETE"
    """What it ends as."""
    events: list[dict[str, Any]] = field(default_factory=list)
    planned: dict[str, Any] | None = None
    process: subprocess.Popen[bytes] | None = None

    @property
    def working(self) -> Path:
        return self.folder / "working"

    def files(self) -> dict[str, Path]:
        """Output: name as listed → path."""
        found = sorted(path for path in self.working.rglob("*") if path.is_file())
        named = {path.relative_to(self.working).as_posix(): path for path in found}
        renamed = (self.planned or {}).get("names", {})
        return {renamed.get(name, name): path for name, path in named.items()}

    def log(self) -> str:
        return json.dumps(self.events)

    def seconds(self) -> float:
        return (self.ended or time.monotonic()) - self.started


def begin(site: Site, run: Run, planned: dict[str, Any] | None) -> None:
    """Start the code, or write down what is planned: {"status", "failure", "files": {name: text}, "log", "names"}."""
    run.working.mkdir(parents=True, exist_ok=True)
    run.planned = planned
    if planned is not None:
        run.status, run.failure = planned.get("status", "COMPLETE"), planned.get("failure", "")
        for name, text in planned.get("files", {}).items():
            path = run.working / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        run.events = [_event("stdout", line, 0.1) for line in planned.get("log", "").splitlines(keepends=True)]
    elif site.settings.kernel_execute:
        inputs = run.folder / "input"
        _mount(site, run, inputs)
        threading.Thread(target=_execute, args=(site, run, inputs), daemon=True).start()


def in_process(site: Site, run: Run) -> bool:
    return run.planned is None and site.settings.kernel_execute


def status(site: Site, run: Run) -> str:
    """What a poll is told, which may also be what ends a run without a process."""
    run.polls += 1
    waiting, running = site.settings.kernel_queue_polls, site.settings.kernel_run_polls
    if run.polls <= waiting:
        return "QUEUED"
    if run.polls <= waiting + running:
        return "RUNNING"
    if run.ended is None:
        if in_process(site, run):
            return "RUNNING"
        finish(site, run, time.monotonic())
    return run.status


def finish(site: Site, run: Run, now: float) -> None:
    with site.lock:
        run.ended = now
        if run.gpu:
            hours = (run.planned or {}).get("hours", run.seconds() / 3600)
            site.settings.gpu_used_hours += hours


def stop_all(site: Site) -> None:
    """End every process that still runs."""
    for kernel in list(site.kernels.values()):
        for run in kernel.runs:
            if run.process is not None and run.ended is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(run.process.pid, signal.SIGKILL)


def _execute(site: Site, run: Run, inputs: Path) -> None:
    script = run.folder / "script.py"
    script.write_text(_code(run))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(run.folder),
        "LANG": "C.UTF-8",
        "AUTOKAGGLE_KERNEL_INPUT": str(inputs),
        "KAGGLE_KERNEL_RUN_TYPE": "Batch",
        "OMP_NUM_THREADS": "1",
    }
    run.process = subprocess.Popen(
        [sys.executable, "-u", str(script)],
        cwd=run.working,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert run.process.stdout is not None and run.process.stderr is not None
    readers = [
        threading.Thread(target=_read, args=(run, "stdout", run.process.stdout)),
        threading.Thread(target=_read, args=(run, "stderr", run.process.stderr)),
    ]
    for reader in readers:
        reader.start()
    limit = run.request.get("sessionTimeoutSeconds") or site.settings.kernel_limit_s
    try:
        code = run.process.wait(limit)
    except subprocess.TimeoutExpired:
        os.killpg(run.process.pid, signal.SIGKILL)
        code, run.failure = run.process.wait(), TOO_LONG
    for reader in readers:
        reader.join()
    run.status = "COMPLETE" if code == 0 else "ERROR"
    finish(site, run, time.monotonic())


def _read(run: Run, stream: str, pipe: IO[bytes]) -> None:
    for line in pipe:
        run.events.append(_event(stream, line.decode(errors="replace"), run.seconds()))


def _event(stream: str, text: str, seconds: float) -> dict[str, Any]:
    return {"stream_name": stream, "time": round(seconds, 6), "data": text}


def _code(run: Run) -> str:
    if run.request.get("kernelType") != "notebook":
        return run.source
    cells = json.loads(run.source).get("cells", [])
    return "\n".join("".join(cell["source"]) for cell in cells if cell.get("cell_type") == "code")


def _mount(site: Site, run: Run, inputs: Path) -> None:
    inputs.mkdir(parents=True, exist_ok=True)
    for ref in run.request.get("datasetDataSources", []):
        if ref in site.datasets:
            shutil.copytree(site.datasets[ref].versions[-1].folder, inputs / ref.partition("/")[2])
    for slug in run.request.get("competitionDataSources", []):
        if slug in site.competitions:
            for name, path in competitions.files_of(site.competitions[slug]).items():
                target = inputs / slug / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
    for ref in run.request.get("kernelDataSources", []):
        if ref in site.kernels and site.kernels[ref].runs:
            shutil.copytree(site.kernels[ref].runs[-1].working, inputs / ref.partition("/")[2])
