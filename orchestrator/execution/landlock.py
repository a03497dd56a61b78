"""Level B: Landlock (ABI ≥ 3) with the strict system-call filter, for containers and distributions without namespaces.

The experiment sees the host's paths, but may open only the Python installation, its inputs and its own folders.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import threading
from collections.abc import Iterator
from pathlib import Path

from orchestrator.errors import SandboxUnavailable
from orchestrator.execution import seccomp
from orchestrator.execution.bare import run_supervised
from orchestrator.execution.jobs import Job, Outcome
from orchestrator.execution.stage import SYSTEM_ETC, Installation, Stage

_VERSION_QUERY = (444, None, 0, 1)
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_FILE, _MAKE_REG = (1 << bit for bit in (0, 1, 2, 3, 5, 8))
_REFER, _TRUNCATE, _IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
_FIRST_RIGHTS = (1 << 13) - 1
_CONNECT_AND_BIND, _ABSTRACT_SOCKETS_AND_SIGNALS = 3, 3
_MAKE_DEVICES_AND_SOCKETS = 1 << 6 | 1 << 11 | 1 << 9

_READ = _EXECUTE | _READ_FILE | _READ_DIR
_OWN = (_FIRST_RIGHTS | _REFER | _TRUNCATE) & ~_MAKE_DEVICES_AND_SOCKETS
_DEVICES = ("null", "zero", "full", "random", "urandom")
_SHM = Path("/dev/shm")


def kernel_abi() -> int:
    """The Landlock version of this kernel; 0 without it."""
    if not os.path.exists("/proc/self/status") or not seccomp.supported():
        return 0
    return max(ctypes.CDLL(None, use_errno=True).syscall(*_VERSION_QUERY), 0)


class Landlock:
    """IN is a private folder of links, OUT the real folder; HOME, TMPDIR and the working folder are scratch on disk.

    `abi` pretends an older kernel.
    """

    level = "B"

    def __init__(self, python: Installation, abi: int | None = None) -> None:
        if not seccomp.supported():
            raise SandboxUnavailable(f"no system-call table for {platform.machine()}")
        self._abi = kernel_abi() if abi is None else min(abi, kernel_abi())
        if self._abi < 3:
            raise SandboxUnavailable(f"Landlock of this kernel is at version {self._abi}, 3 is needed")
        self._python = python
        self._shared = SharedMemory()

    def warm_up(self) -> None:
        """Every run starts from nothing at this level."""

    def run(self, job: Job, cancel: threading.Event | None = None) -> Outcome:
        with Stage(job) as stage, self._shared.use():
            return run_supervised(
                job, stage, self._python, cancel, shared_mb=lambda _: self._shared.new_mb(),
                landlock=self._ruleset(job, stage), scoped_signals=self._abi >= 6,
            )  # fmt: skip

    def _ruleset(self, job: Job, stage: Stage) -> dict[str, object]:
        """As the launcher takes it; older kernels know fewer fields (of 8 bytes) and rights."""
        size = 8 if self._abi < 4 else 16 if self._abi < 6 else 24
        file_system = _FIRST_RIGHTS | _REFER | _TRUNCATE | (_IOCTL_DEVICE if self._abi >= 5 else 0)
        handled = [file_system, _CONNECT_AND_BIND, _ABSTRACT_SOCKETS_AND_SIGNALS]
        return {"size": size, "handled": handled, "rules": list(self._rules(job, stage))}

    def _rules(self, job: Job, stage: Stage) -> Iterator[tuple[str, int]]:
        system = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
        other = ("/proc", "/sys/devices/system/cpu", "/sys/fs/cgroup", *(f"/etc/{name}" for name in SYSTEM_ETC))
        inputs = (path.resolve() for path in job.inputs.values())
        for path in (*map(Path, (*system, *other)), *self._python.folders, stage.inputs, stage.script.parent, *inputs):
            if path.exists():
                yield str(path), _READ
        for path in (job.out.resolve(), stage.scratch):
            yield str(path), _OWN
        for name in _DEVICES:
            yield f"/dev/{name}", _READ_FILE | _WRITE_FILE
        if _SHM.is_dir():  # semaphores of multiprocessing; not listable, so other programs' names stay unknown
            yield str(_SHM), _READ_FILE | _WRITE_FILE | _TRUNCATE | _MAKE_REG | _REMOVE_FILE


class SharedMemory:
    """What experiments put in /dev/shm, which has no owner but the user: counted while they run, deleted after."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active = 0
        self._before: set[str] = set()

    @contextlib.contextmanager
    def use(self) -> Iterator[None]:
        """Hold for the time of a run; the last of several that overlap cleans up."""
        with self._lock:
            if self._active == 0:
                self._before = {path.name for path in self._files()}
            self._active += 1
        try:
            yield
        finally:
            with self._lock:
                self._active -= 1
                if self._active == 0:
                    self._delete_abandoned()

    def new_mb(self) -> float:
        total = 0.0
        for path in self._files():
            if path.name not in self._before:
                with contextlib.suppress(FileNotFoundError):
                    total += path.lstat().st_blocks * 512 / 1048576.0
        return total

    def _files(self) -> list[Path]:
        try:
            return [path for path in _SHM.iterdir() if path.is_file() and not path.is_symlink()]
        except OSError:
            return []

    def _delete_abandoned(self) -> None:
        fresh = [path for path in self._files() if path.name not in self._before]
        if not fresh:
            return
        in_use = _mapped_files()
        for path in fresh:
            with contextlib.suppress(OSError):
                status = path.lstat()
                if status.st_uid == os.getuid() and status.st_ino not in in_use:
                    path.unlink()


def _mapped_files() -> set[int]:
    """Inodes of /dev/shm that a process which can be looked at has mapped.

    Not their names: a semaphore is mapped under a passing name before it gets its own.
    """
    found: set[int] = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/maps") as file:
            found.update(int(line.split(maxsplit=5)[4]) for line in file if str(_SHM) in line)
    return found
