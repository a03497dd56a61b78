"""Level "none", and what every level without namespaces shares: the supervisor that keeps and kills the tree.

Level "none" limits and cleans up, but protects nothing: the experiment may read, write and send what its user may.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from orchestrator.execution.jobs import Job, Outcome
from orchestrator.execution.stage import Installation, Stage
from orchestrator.execution.watch import Running, launch


class Bare:
    """No isolation; only when the user asks for it by name."""

    level = "none"

    def __init__(self, python: Installation) -> None:
        self._python = python

    def warm_up(self) -> None:
        """Every run starts from nothing at this level."""

    def run(self, job: Job, cancel: threading.Event | None = None) -> Outcome:
        with Stage(job) as stage:
            return run_supervised(job, stage, self._python, cancel)


def run_supervised(
    job: Job,
    stage: Stage,
    python: Installation,
    cancel: threading.Event | None,
    *,
    prefix: tuple[str, ...] = (),
    shared_mb: Callable[[Running], float] = lambda _: 0.0,
    **confinement: Any,
) -> Outcome:
    """Run a job under the supervising launcher; `prefix` wraps the command, `confinement` is for the launcher."""
    stage.link_inputs(job)
    status = os.pipe()
    argv = [*prefix, str(python.python), str(stage.script), str(stage.inputs), str(job.out.resolve())]
    spec = {"narrates": False, "cwd": str(stage.home), "argv": argv, **confinement}
    environment = python.environment(job.cores, stage.home, stage.tmp, job.env)
    return launch(job, stage, python, spec, environment, status, cancel, shared_mb=shared_mb)
