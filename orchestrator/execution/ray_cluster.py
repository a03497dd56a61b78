"""Runs experiments on a Ray cluster: every job in a sandbox of the node that takes it, data moved once per node.

The campaign's state stays on this machine, the head of the campaign; a node gets a job's own inputs, by their content,
and gives back what the job left in OUT. A node that is lost takes its running jobs with it, and Ray runs them again
elsewhere; they are the same jobs, so the results are the same.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

from orchestrator.errors import BadInput, SandboxUnavailable
from orchestrator.execution.cluster_data import Parcels
from orchestrator.execution.jobs import Job, Machine, Outcome, Status
from orchestrator.execution.local import LocalExecutor

_RETRIES = 3
"""How many nodes may be lost under one job."""
_POLL_S = 0.2
_MEMORY_SHARE = 0.9
"""Of what Ray offers on a node, which has left out a third of the machine for its own store."""
_CONNECT_S = 10.0
_NO_CLUSTER = "there is no Ray cluster at execution.address {!r} ({}): start one with `ray start --head`"
_NO_RAY = 'execution.backend is "ray" and Ray is not installed: pip install -e ".[ray]"'


@dataclass(frozen=True)
class Wanted:
    """What one job takes of a node; None: as the cluster is."""

    cores: int | None = None
    memory_gb: float | None = None
    gpus: float = 0.0
    warm: bool = True
    """Whether a node imports the usual libraries once for all its jobs."""


class RayCluster:
    """The executor. `here` runs what must run on this machine."""

    def __init__(
        self, address: str, here: LocalExecutor, wanted: Wanted, time_is_up: Callable[[], bool] = lambda: False
    ) -> None:
        """Join the cluster at `address` ("auto": the one that runs on this machine).

        A job that still runs or waits for a node when `time_is_up` ends as "timeout". Raises BadInput without Ray,
        without a cluster there, or when no node has what one job takes.
        """
        self.here, self.sandbox = here, here.sandbox
        self._ray = _join(address)
        self.machine = _machine(self._ray.nodes(), wanted)
        if here.level != "A":  # runs below level A can see each other's file names on a node
            self.machine = replace(self.machine, at_a_time=1)
        self.cores, self.gpus = self.machine.cores, ceil(wanted.gpus)
        self._remote = _Remote(self._ray, here.level, self.machine, wanted.warm, wanted.gpus, time_is_up)

    @property
    def level(self) -> str:
        """The sandbox level that every node must have: that of this machine."""
        return self.here.level

    def run(
        self,
        jobs: Sequence[Job],
        parallel: int,
        on_done: Callable[[Job, Outcome], None] | None = None,
        *,
        cancel: threading.Event | None = None,
    ) -> list[Outcome]:
        """Like LocalExecutor.run; Outcome.seconds are the experiment's own, without its time in the queue.

        Thread-safe. Raises SandboxUnavailable for a node without a sandbox of this machine's level.
        """
        return LocalExecutor(self._remote, self.machine.at_a_time).run(jobs, parallel, on_done, cancel=cancel)

    def close(self) -> None:
        """Leave the cluster."""
        self._ray.shutdown()


def _join(address: str) -> Any:
    try:
        import ray
    except ImportError:
        raise BadInput(_NO_RAY) from None
    import orchestrator

    _reach(address)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address=address,
            namespace="autokaggle",
            ignore_reinit_error=True,
            configure_logging=False,
            log_to_driver=False,
            runtime_env={"py_modules": [str(Path(orchestrator.__file__).parent)], "excludes": ["**/__pycache__"]},
        )
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        raise BadInput(_NO_CLUSTER.format(address, error)) from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)  # Ray takes it for itself
    return ray


def _reach(address: str) -> None:
    """Ask at the door: Ray itself tries an address, also one that a dead cluster left behind, for minutes."""
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS") or _noted() or address
    if address == "auto" or "://" in address:
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), _CONNECT_S).close()
    except (OSError, ValueError, OverflowError) as error:
        raise BadInput(_NO_CLUSTER.format(address, error)) from None


def _noted() -> str | None:
    """The address that the last `ray start` on this machine left for "auto"."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        from ray._private.utils import read_ray_address

        return read_ray_address() or None
    return None


def _machine(nodes: list[dict[str, Any]], wanted: Wanted) -> Machine:
    """What each job gets, and how many fit on all nodes together."""
    alive = [node["Resources"] for node in nodes if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    if not alive:
        raise BadInput("the Ray cluster has no node with a CPU: add one with `ray start --address=…`")
    cores = wanted.cores or int(min(node["CPU"] for node in alive))
    shares = [node.get("memory", 0) / 2**20 * cores / node["CPU"] for node in alive if node["CPU"] >= cores]
    memory_mb = int(wanted.memory_gb * 1024 if wanted.memory_gb else _MEMORY_SHARE * min(shares, default=0))

    def room(node: dict[str, float]) -> int:
        fits = [node["CPU"] // cores, node.get("memory", 0) // (memory_mb * 2**20 or 1)]
        if wanted.gpus:
            fits.append(node.get("GPU", 0) // wanted.gpus)
        return int(min(fits))

    at_a_time = sum(map(room, alive))
    if at_a_time < 1:
        raise BadInput(
            f"no node of the Ray cluster has {cores} cores, {memory_mb} MB and {wanted.gpus:g} GPUs "
            "for one experiment: lower execution.cores, memory_gb or gpus"
        )
    return Machine(cores, memory_mb, at_a_time, side_by_side=True)


class _Remote:
    """A "sandbox" whose runs are tasks of the cluster."""

    def __init__(
        self, ray: Any, level: str, machine: Machine, warm: bool, gpus: float, time_is_up: Callable[[], bool]
    ) -> None:
        from orchestrator.execution.cluster_node import run_job

        self.level, self._warm, self._time_is_up = level, warm, time_is_up
        self._ray, self._parcels = ray, Parcels(ray.put)
        self._task = ray.remote(
            num_cpus=machine.cores,
            num_gpus=gpus,
            memory=machine.memory_mb << 20,
            max_retries=_RETRIES,
            retry_exceptions=False,
        )(run_job)

    def warm_up(self) -> None:
        """Each node warms up with its first job."""

    def run(self, job: Job, cancel: threading.Event | None = None) -> Outcome:
        exceptions = self._ray.exceptions
        running = self._task.options(name=job.name).remote(self._described(job))
        try:
            while not self._ray.wait([running], timeout=_POLL_S)[0]:
                if cancel is not None and cancel.is_set():
                    self._ray.cancel(running)
                    return _unfinished("lost", "given up")
                if self._time_is_up():
                    self._ray.cancel(running)
                    return _unfinished("timeout", "the campaign's time was up")
            outcome, files = self._ray.get(running)
        except exceptions.RayTaskError as error:
            cause = error.as_instanceof_cause()
            if isinstance(cause, SandboxUnavailable):
                raise SandboxUnavailable(f"on a node of the cluster: {cause}") from None
            raise cause from None
        except exceptions.RayError as error:
            return _unfinished("lost", f"{type(error).__name__}: {error}"[:500])
        for name, data in files.items():
            (job.out / name).write_bytes(data)
        return Outcome(**outcome)

    def _described(self, job: Job) -> dict[str, Any]:
        return {
            "name": job.name,
            "level": self.level,
            "warm": self._warm,
            "script": (job.script.name, job.script.read_bytes()),
            "inputs": {name: self._parcels.of(path) for name, path in job.inputs.items()},
            "limits": vars(job.limits),
            "cores": job.cores,
            "env": job.env,
        }


def _unfinished(status: Status, why: str) -> Outcome:
    return Outcome(status, None, 0.0, 0.0, f"{why}\n")
