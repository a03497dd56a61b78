"""Level C: `sandbox-exec` on macOS. UNTESTED: written from the profile language's public documentation.

There is no subreaper and no process namespace: a child that leaves its session and outlives its parent is not found.
"""

from __future__ import annotations

import os
import platform
import threading
from pathlib import Path

from orchestrator.errors import SandboxUnavailable
from orchestrator.execution.bare import run_supervised
from orchestrator.execution.jobs import Job, Outcome
from orchestrator.execution.stage import Installation, Stage

_PROGRAM = "/usr/bin/sandbox-exec"
_HEAD = """(version 1)
(deny default)
(allow process-fork)
(allow process-exec)
(allow signal (target same-sandbox))
(allow sysctl-read)
(allow ipc-posix-sem)
(allow ipc-posix-shm)
(allow mach-lookup (global-name "com.apple.system.opendirectoryd.libinfo"))
(allow file-read-metadata)
(allow file-read* file-write-data (literal "/dev/null") (literal "/dev/zero"))
(allow file-read* (literal "/dev/random") (literal "/dev/urandom") (literal "/"))
"""
_SYSTEM = ("/usr/lib", "/usr/share", "/usr/bin", "/bin", "/System", "/Library/Frameworks", "/private/var/db/timezone")


class SandboxExec:
    """Default deny; the network is not in the profile, so it is denied."""

    level = "C"

    def __init__(self, python: Installation) -> None:
        if platform.system() != "Darwin" or not os.path.exists(_PROGRAM):
            raise SandboxUnavailable("sandbox-exec is only on macOS")
        self._python = python

    def warm_up(self) -> None:
        """Every run starts from nothing at this level."""

    def run(self, job: Job, cancel: threading.Event | None = None) -> Outcome:
        with Stage(job) as stage:
            prefix = (_PROGRAM, "-p", profile(self._python, job, stage))
            return run_supervised(job, stage, self._python, cancel, prefix=prefix)


def profile(python: Installation, job: Job, stage: Stage) -> str:
    """The rules of one job, in the profile language."""
    inputs = [path.resolve() for path in job.inputs.values()]
    readable = [*map(Path, _SYSTEM), *python.folders, stage.inputs, stage.script.parent, *inputs]
    reads = "".join(f"(allow file-read* (subpath {_quoted(path)}))\n" for path in readable)
    writes = "".join(f"(allow file* (subpath {_quoted(path)}))\n" for path in (job.out.resolve(), stage.scratch))
    return _HEAD + reads + writes


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'
