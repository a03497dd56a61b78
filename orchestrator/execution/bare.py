"""Level "none", and what every level without namespaces shares: the supervisor that keeps and kills the tree.

Level "none" limits and cleans up, but protects nothing: the experiment may read, write and send what its user may.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from typing import Any

from orchestrator.errors import SandboxUnavailable
from orchestrator.execution.jobs import Job, Outcome, Tick
from orchestrator.execution.stage import LAUNCHER, Installation, Stage
from orchestrator.execution.watch import Running, start, watch


class Bare:
    """No isolation; only when the user asks for it by name."""

    level = "none"

    def __init__(self, python: Installation) -> None:
        self._python = python

    def run(self, job: Job, on_tick: Tick | None = None, cancel: threading.Event | None = None) -> Outcome:
        with Stage(job) as stage:
            return run_supervised(job, stage, self._python, {}, on_tick, cancel)


def run_supervised(
    job: Job,
    stage: Stage,
    python: Installation,
    confinement: dict[str, Any],
    on_tick: Tick | None,
    cancel: threading.Event | None,
    prefix: tuple[str, ...] = (),
    shared_mb: Callable[[Running], float] = lambda _: 0.0,
) -> Outcome:
    """Run a job under the supervising launcher; `confinement` is what the launcher applies, `prefix` a wrapper."""
    if not python.python.exists():
        raise SandboxUnavailable(f"{python.python} is gone")
    stage.link_inputs(job)
    status = os.pipe()
    spec = {
        "supervise": True,
        "parent": os.getpid(),
        "status": status[1],
        "file_bytes": job.limits.disk_mb << 20,
        "cwd": str(stage.home),
        "argv": [*prefix, str(python.python), str(stage.script), str(stage.inputs), str(job.out.resolve())],
        **confinement,
    }
    path = stage.folder / "spec.json"
    path.write_text(json.dumps(spec))
    environment = python.environment(job, stage.home, stage.tmp)
    command = [str(python.python), "-I", "-S", "-B", str(LAUNCHER), str(path)]
    process, log = start(command, environment, status, job.limits.log_kb)
    run = Running(process, status[0], (job.out, stage.scratch), shared_mb)
    return watch(run, log, job, on_tick, cancel)
