"""One job on a node of a cluster: inputs from the node's shelf, the node's own sandbox, OUT sent back."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from orchestrator.execution.cluster_data import Parcel, Shelf
from orchestrator.execution.gpus import CHOICE, nodes
from orchestrator.execution.jobs import Job, Limits, Outcome, Sandbox
from orchestrator.execution.ladder import harden_self, probe
from orchestrator.execution.stage import remove_tree

_MOST_FILES, _MOST_BYTES = 20, 4 << 30
"""Of OUT, what is sent back."""


@cache
def node_sandbox(level: str, warm: bool) -> Sandbox:
    """This node's sandbox, of the campaign's level. Raises SandboxUnavailable."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a node started in a script's background ignores it,
        signal.signal(signal.SIGINT, signal.default_int_handler)  # and it is how Ray ends a job that is given up
    with contextlib.suppress(OSError):
        harden_self()
    sandbox = probe(level, Path(sys.executable))
    if warm:
        sandbox.warm_up()
    return sandbox


def run_job(described: dict[str, Any]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Run a job as `ray_cluster` describes it; its outcome's fields, and the files of OUT by name."""
    import ray

    sandbox = node_sandbox(described["level"], described["warm"])
    shelf = Shelf(Path(tempfile.gettempdir()) / f"autokaggle-shelf-{os.getuid()}")
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="autokaggle-node-"))
        stack.callback(remove_tree, folder)
        name, source = described["script"]
        script, out = folder / name, folder / "out"
        script.write_bytes(source)
        out.mkdir()
        inputs = {key: shelf.path(Parcel(*parcel), ray.get) for key, parcel in described["inputs"].items()}
        limits = Limits(**described["limits"])
        environment = {**described["env"], **_devices()}
        devices = nodes() if CHOICE in environment else ()
        job = Job(script, inputs, out, limits, described["cores"], environment, described["name"], devices)
        outcome: Outcome = sandbox.run(job)
        return dict(vars(outcome)), _collected(out)


def _devices() -> dict[str, str]:
    """Which GPUs Ray gave to this job."""
    return {name: os.environ[name] for name in (CHOICE,) if os.environ.get(name)}


def _collected(out: Path) -> dict[str, bytes]:
    """The regular files at the top of OUT, no link followed, as far as they are not too many or too large."""
    found: dict[str, bytes] = {}
    room = _MOST_BYTES
    for name in sorted(os.listdir(out))[:_MOST_FILES]:
        with contextlib.suppress(OSError):
            handle = os.open(out / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(handle, "rb") as file:
                status = os.fstat(handle)
                if stat.S_ISREG(status.st_mode) and status.st_size <= room:
                    found[name] = file.read(room)
                    room -= len(found[name])
    return found
