"""Watching one run: time, memory, disk, processes; ending the whole tree; telling how it ended."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.errors import SandboxUnavailable
from orchestrator.execution.jobs import Job, Outcome, Status
from orchestrator.execution.launcher import descendants, kill_below, process_table
from orchestrator.execution.output import LogKeeper
from orchestrator.execution.stage import LAUNCHER, Installation, Stage
from orchestrator.execution.usage import disk_mb, free_mb, memory_mb, ram_devices, resident_mb, unlinked_mb

_FAST, _FULL = 0.05, 0.2
_FREE_FLOOR_MB = 100.0
_OWN_PROCESSES = 2
"""Bubblewrap itself, and the first process of its namespace."""
_WARM_PROCESSES = 1
"""What keeps the sandbox of a warm run open."""
_ANSWER_S = 20.0
"""A warm process that has not forked a run by then has stopped: the fork takes milliseconds."""


@dataclass(frozen=True)
class Warm:
    """A run whose experiment is forked into its sandbox from outside."""

    keeper: socket.socket
    """stdin of the program in the sandbox."""
    join: Callable[[int, int], None]
    """Ask for the fork, which gets the write ends of the log and of the status pipe."""


@dataclass
class Running:
    """A started run: `process` is the supervisor, `status` the pipe on which it tells what happens."""

    process: subprocess.Popen[bytes]
    status: int
    folders: tuple[Path, ...]
    """What counts as disk: OUT and scratch."""
    shared_mb: Callable[[Running], float]
    """Memory that lies in files in RAM, mapped or not."""
    namespace: bool
    """The child is the first process of a process namespace: its death is everybody's."""
    warm: bool = False
    """The experiment is no child of `process`: its guide, `guide`, tells how it ended."""
    guide: int | None = None
    child: int | None = None
    child_handle: int | None = None
    exit_code: int | None = None
    peak_mb: float = 0.0
    error: str | None = None
    ended: bool = False
    seen: dict[int, int] = field(default_factory=dict)
    """Process id → start time, of the tree as last looked at."""
    _partial: bytes = b""

    def listen(self, seconds: float) -> None:
        """Wait for news; `ended` once the status pipe has no writer."""
        if self.ended or not _readable(self.status, seconds):
            return
        data = os.read(self.status, 4096)
        self.ended = not data
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError):
                self._note(json.loads(line))

    def _note(self, news: dict[str, object]) -> None:
        if isinstance(child := news.get("child-pid"), int):
            self.child = child
            if self.namespace:
                with contextlib.suppress(OSError):
                    self.child_handle = os.pidfd_open(child)
        if isinstance(guide := news.get("guide-pid"), int):
            self.guide = guide
        if isinstance(code := news.get("code"), int):
            self.exit_code = code
        if not self.warm and isinstance(code := news.get("exit-code"), int):
            self.exit_code = 128 - code if self.namespace and 128 < code <= 192 else code
        if isinstance(peak := news.get("peak-mb"), float):
            self.peak_mb = max(self.peak_mb, peak)
        if isinstance(error := news.get("error"), str):
            self.error = error

    def kill(self) -> None:
        """End every process of the run and wait until they are gone."""
        if self.child_handle is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.child_handle, signal.SIGKILL)
            _readable(self.child_handle, 10.0)  # it is when the namespace is empty
            os.close(self.child_handle)
            self.child_handle = None
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        end = time.monotonic() + 10.0
        while not self.ended and time.monotonic() < end:
            self.listen(0.1)
            if self.warm and self.guide is None and self.process.poll() is not None:
                break  # the pipe's last writer waits in the queue of a warm process that has stopped
        if not self.ended:
            kill_below(self.process.pid)
            self.process.kill()
        self.process.wait()
        table = process_table()
        for pid, start in self.seen.items():  # whoever outlived a supervisor that was killed from outside
            if table.get(pid, (0, -1, 0))[1] == start:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)


def _readable(handle: int, seconds: float) -> bool:
    """Wait for it; unlike select() this takes handles above 1023."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(max(seconds, 0.0) * 1000))


class Gauge:
    """What a running tree uses, measured often where it is cheap and seldom where it is not."""

    def __init__(self, run: Running, job: Job) -> None:
        self.run, self.limits = run, job.limits
        self.memory = self.peak = self.disk = 0.0
        self.full_disk = ""
        self._next_full = self._next_disk = self._next_unlinked = 0.0
        self._growth = 0.0
        self._processes = self._threads = 0
        self._unlinked_ram = self._unlinked_disk = 0.0

    def pause(self) -> float:
        """Seconds until the next look: shorter when memory would pass the limit soon."""
        return 0.01 if self.memory + 3 * self._growth > self.limits.memory_mb else _FAST

    def excess(self, now: float) -> Status | None:
        """The limit that is passed now, if any."""
        full = now >= self._next_full
        if full:
            self._next_full = now + _FULL
            self._look_at_tree()
        if now >= self._next_unlinked:
            self._look_at_unlinked(now)
        self._look_at_memory()
        if now >= self._next_disk:
            self._look_at_disk(now)
        if self.memory > self.limits.memory_mb:
            return "memory"
        if self._processes > self.limits.processes or self._threads > self.limits.threads:
            return "processes"
        if self.disk > self.limits.disk_mb:
            return "disk"
        return "nospace" if self.full_disk else None

    def _look_at_tree(self) -> None:
        table = process_table()
        tree = descendants(self.run.process.pid, table)
        if self.run.guide in table:
            tree += descendants(self.run.guide, table)
        self.run.seen = {pid: table[pid][1] for pid in tree}
        own = (_OWN_PROCESSES if self.run.namespace else 0) + (_WARM_PROCESSES if self.run.warm else 0)
        self._threads = sum(table[pid][2] for pid in tree) - own
        self._processes = len(tree) - own
        if not 0 < self._processes <= self.limits.processes // 4:  # not begun yet, or in a hurry
            self._next_full = 0.0

    def _look_at_memory(self) -> None:
        shared = self.run.shared_mb(self.run) + self._unlinked_ram
        before, self.memory = self.memory, resident_mb(self.run.seen) + shared
        if self.memory > self.limits.memory_mb:
            self.memory = memory_mb(self.run.seen, shared)
        self._growth = self.memory - before
        self.peak = max(self.peak, self.memory)

    def _look_at_unlinked(self, now: float) -> None:
        """Open files without a name; those in RAM count here unless the sandbox's own file systems hold them."""
        unlinked = unlinked_mb(self.run.seen)
        ram = ram_devices(f"/proc/{self.run.child}/root") - {folder.stat().st_dev for folder in self.run.folders}
        self._unlinked_disk = sum(size for device, size in unlinked.items() if device not in ram)
        if not self.run.namespace:
            self._unlinked_ram = sum(size for device, size in unlinked.items() if device in ram)
        pause = _FULL if self.run.namespace else self.pause() / 2
        self._next_unlinked = now + max(pause, 5 * (time.monotonic() - now))

    def _look_at_disk(self, now: float) -> None:
        self.disk = self._unlinked_disk + sum(disk_mb(folder) for folder in self.run.folders)
        self.full_disk = full_disk(self.run.folders)
        self._next_disk = now + max(_FULL, 5 * (time.monotonic() - now))


def full_disk(folders: tuple[Path, ...]) -> str:
    """Which disk has next to nothing left, for a person; empty when none."""
    for folder in folders:
        if (free := free_mb(folder)) < _FREE_FLOOR_MB:
            mount = next(path for path in (folder.resolve(), *folder.resolve().parents) if path.is_mount())
            return f"the disk of {mount} has only {free:.0f} MB free"
    return ""


def launch(
    job: Job,
    stage: Stage,
    python: Installation,
    spec: dict[str, object],
    environment: dict[str, str],
    status: tuple[int, int],
    cancel: threading.Event | None,
    *,
    fds: tuple[int, ...] = (),
    shared_mb: Callable[[Running], float],
    namespace: bool = False,
    warm: Warm | None = None,
) -> Outcome:
    """Start the launcher on `spec`, with nothing inherited but the write end of `status` and `fds`, and watch it.

    In its own session, so that a Ctrl-C in the terminal reaches the orchestrator alone.
    """
    path = stage.folder / "spec.json"
    path.write_text(
        json.dumps({"parent": os.getpid(), "status": status[1], "file_bytes": job.limits.disk_mb << 20, **spec})
    )
    reader, writer = os.pipe()
    try:
        if warm:
            warm.join(writer, status[1])
        process = subprocess.Popen(
            [str(python.python), "-I", "-S", "-B", str(LAUNCHER), str(path)],
            stdin=warm.keeper.fileno() if warm else subprocess.DEVNULL,
            stdout=writer,
            stderr=writer,
            env=environment,
            cwd="/",
            pass_fds=(status[1], *fds),
            start_new_session=True,
        )
    except BaseException as error:
        os.close(reader)
        os.close(status[0])
        if isinstance(error, OSError):
            raise SandboxUnavailable(f"{python.python} is gone or does not start: {error}") from None
        raise
    finally:
        os.close(writer)
        os.close(status[1])
        if warm:
            warm.keeper.close()
    run = Running(process, status[0], (job.out, stage.scratch), shared_mb, namespace, warm is not None)
    return watch(run, LogKeeper(reader, job.limits.log_kb * 1024), job, cancel)


def watch(run: Running, log: LogKeeper, job: Job, cancel: threading.Event | None) -> Outcome:
    """Follow a run to its end and leave nothing of it alive, also when this raises.

    Raises SandboxUnavailable when it was the sandbox that failed.
    """
    began = time.monotonic()
    gauge = Gauge(run, job)
    reason: Status | None = None
    try:
        while reason is None:
            run.listen(min(gauge.pause(), began + job.limits.seconds - time.monotonic()))
            if run.ended:
                break
            now = time.monotonic()
            if run.warm and run.guide is None and now - began >= min(_ANSWER_S, job.limits.seconds):
                raise SandboxUnavailable("the warm process does not answer")
            reason = gauge.excess(now)
            if now - began >= job.limits.seconds:
                reason = "timeout"
            if cancel is not None and cancel.is_set():
                reason = "lost"
    finally:
        seconds = time.monotonic() - began
        run.kill()
        os.close(run.status)
    log.join(5.0)
    return _outcome(run, log, job, gauge, reason, seconds)


def _outcome(run: Running, log: LogKeeper, job: Job, gauge: Gauge, reason: Status | None, seconds: float) -> Outcome:
    code = None if reason else run.exit_code
    peak = max(gauge.peak, run.peak_mb)
    if reason is None:
        if run.error is not None:
            raise SandboxUnavailable(f"the sandbox failed to start {job.name}: {run.error}")
        if code is None and run.process.returncode > 0:
            raise SandboxUnavailable(f"the sandbox failed to start {job.name}: {log.text().strip()[-500:]}")
        reason = _status(code, sum(disk_mb(folder) for folder in run.folders), peak, job)
        if reason == "failed" and (detail := full_disk(run.folders)):
            return Outcome("nospace", code, seconds, peak, log.text(), detail)
    return Outcome(reason, code, seconds, peak, log.text(), gauge.full_disk if reason == "nospace" else "")


def _status(code: int | None, disk: float, peak: float, job: Job) -> Status:
    if code is None:
        return "lost"
    if disk > job.limits.disk_mb or (code != 0 and disk > 0.98 * job.limits.disk_mb):
        return "disk"
    if code == -signal.SIGKILL and peak > 0.5 * job.limits.memory_mb:
        return "memory"  # nobody here killed it: the kernel did, for want of memory
    return "ok" if code == 0 else "failed"
