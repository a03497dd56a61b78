"""Finds the strongest sandbox that works here, by running a real program in it and looking at what got through."""

from __future__ import annotations

import ctypes
import json
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from orchestrator.errors import SandboxUnavailable
from orchestrator.execution.bare import Bare
from orchestrator.execution.bubblewrap import Bubblewrap
from orchestrator.execution.jobs import Job, Limits, Sandbox
from orchestrator.execution.landlock import Landlock
from orchestrator.execution.macos import SandboxExec
from orchestrator.execution.stage import Installation, installation, sweep_stages

LEVELS: dict[str, Callable[[Installation], Sandbox]] = {"A": Bubblewrap, "B": Landlock, "C": SandboxExec, "none": Bare}
_TRIES = 2
"""A busy machine can make a good sandbox fail once; taking the next level for that would be a lasting loss."""
_WELL = {"read_input": True, "semaphore": True, "read_outside": False, "wrote_outside": False, "connected": False}
_TRY = """
import importlib.util, json, multiprocessing, socket, sys
targets = json.load(open(sys.argv[1] + "/probe/targets.json"))
def works(act):
    try:
        act()
    except (OSError, ImportError):
        return False
    return True
json.dump({
    "read_input": works(lambda: open(importlib.util.find_spec("numpy").origin).read()),
    "semaphore": works(multiprocessing.Lock),
    "read_outside": works(lambda: open(targets["canary"]).read()),
    "wrote_outside": works(lambda: open(targets["canary"], "a")),
    "connected": works(lambda: socket.create_connection(("127.0.0.1", targets["port"]), 2)),
}, open(sys.argv[2] + "/report.json", "w"), default=bool)
"""


def probe(choice: str, python: Path | None = None) -> Sandbox:
    """The sandbox of the level asked for; with "auto" the first of A, B, C that holds.

    Takes about a tenth of a second. Raises SandboxUnavailable, saying what to install or to set.
    """
    if choice not in ("auto", *LEVELS):
        raise SandboxUnavailable(f"there is no sandbox level {choice!r}: choose auto, {', '.join(LEVELS)}")
    sweep_stages()
    where = installation(python or Path(sys.executable))
    failures = []
    for level in ("A", "B", "C") if choice == "auto" else (choice,):
        for _ in range(_TRIES):
            try:
                sandbox = LEVELS[level](where)
                check(sandbox)
                return sandbox
            except SandboxUnavailable as error:
                failure = f"{level}: {error}"
        failures.append(failure)
    raise SandboxUnavailable(
        f"no sandbox works here ({'; '.join(failures)}): install bubblewrap (`apt install bubblewrap`, or the like), "
        'or set execution.sandbox to "none" to let experiments read your files and use your network'
    )


def check(sandbox: Sandbox) -> None:
    """Run a small program that tries to get out.

    Raises SandboxUnavailable when it can't do its work, or (levels above "none") when it gets through anywhere.
    """
    with (
        tempfile.TemporaryDirectory(prefix="autokaggle-probe-") as name,
        socket.create_server(("127.0.0.1", 0)) as port,
    ):
        folder = Path(name)
        targets = folder / "targets.json"
        canary = folder / "canary"
        canary.write_text("canary")
        targets.write_text(json.dumps({"canary": str(canary), "port": port.getsockname()[1]}))
        script = folder / "probe.py"
        script.write_text(_TRY)
        out = folder / "out"
        out.mkdir()
        limits = Limits(seconds=60, memory_mb=2000, disk_mb=100, processes=20, log_kb=16)
        outcome = sandbox.run(Job(script, {"probe/targets.json": targets}, out, limits, name="probe"))
        if outcome.status != "ok":
            lines = outcome.log.strip().splitlines() or ["no output"]
            raise SandboxUnavailable(f"a test program ended as {outcome.status}: {(outcome.detail or lines[-1])[:300]}")
        report = json.loads((out / "report.json").read_text())
    wrong = [key for key, value in _WELL.items() if report[key] != value]
    if sandbox.level == "none":
        wrong = [key for key in wrong if _WELL[key]]
    if wrong:
        raise SandboxUnavailable(f"a test program found {', '.join(wrong)} wrong")


def harden_self() -> None:
    """Close this process's memory and /proc/PID/environ, keys included, to other processes of the same user."""
    if sys.platform == "linux":
        result = ctypes.CDLL(None, use_errno=True).prctl(4, ctypes.c_ulong(0), ctypes.c_ulong(0), 0, 0)
        if result != 0:
            raise SandboxUnavailable(f"this process can't be hardened: {os.strerror(ctypes.get_errno())}")
