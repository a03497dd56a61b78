"""Level A: bubblewrap. Own namespaces of every kind, an allow-list of read-only binds, and a system-call filter."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import socket
import subprocess
import threading
from pathlib import Path

from orchestrator.errors import SandboxUnavailable
from orchestrator.execution import seccomp
from orchestrator.execution.jobs import Job, Outcome
from orchestrator.execution.nursery import MODULES, Nursery, NurseryGone
from orchestrator.execution.stage import SYSTEM_ETC, Installation, Stage
from orchestrator.execution.watch import Running, Warm, launch

_KEEP_OPEN = ["/bin/sh", "-c", "echo >&0; read line; exit 0"]
"""Tells on its stdin, a socket, that the sandbox stands, and ends when the other side is closed."""
_GPU_SYSTEM = ("/sys/devices", "/sys/bus/pci", "/sys/module/nvidia", "/sys/module/nvidia_uvm")
"""Where the NVIDIA driver looks up what machine it is on."""
_IN, _OUT, _HOME, _TMP = Path("/work/in"), Path("/work/out"), Path("/work/home"), Path("/tmp")


class Bubblewrap:
    """IN is /work/in, OUT /work/out; HOME and the working folder are scratch on disk, /tmp is scratch in RAM."""

    level = "A"

    def __init__(self, python: Installation) -> None:
        program = shutil.which("bwrap", path="/usr/bin:/usr/local/bin:/bin")
        if program is None:
            raise SandboxUnavailable("bubblewrap is not installed")
        if not seccomp.supported():
            raise SandboxUnavailable(f"no system-call table for {platform.machine()}")
        self._bwrap, self._python = program, python
        usage = subprocess.run([program, "--help"], capture_output=True, text=True).stdout
        self._can_size = "--size BYTES" in usage
        self._nursery: Nursery | None = None

    def warm_up(self, modules: str = MODULES) -> None:
        """Begin to import the usual libraries, for runs to start with them, until the calling thread ends."""
        if self._nursery is None:
            cores = len(os.sched_getaffinity(0))
            with contextlib.suppress(NurseryGone):
                environment = self._python.environment(cores, _HOME, _TMP)
                self._nursery = Nursery(self._bwrap, self._python, environment, modules)

    @property
    def is_warm(self) -> bool:
        """Whether runs start with the usual libraries; known for sure after a first run."""
        return self._nursery is not None

    @property
    def warm_pid(self) -> int | None:
        return self._nursery.pid if self._nursery else None

    def run(self, job: Job, cancel: threading.Event | None = None) -> Outcome:
        if self._nursery is not None and not job.devices:  # what a GPU's driver keeps does not survive a fork
            try:
                return self._run_warm(self._nursery, job, cancel)
            except (NurseryGone, SandboxUnavailable):
                self._nursery = None  # what hurts bubblewrap itself shows again below
        with Stage(job) as stage:
            argv = [str(self._python.python), _script(job), str(_IN), str(_OUT)]
            return self._launch(job, stage, argv, cancel)

    def _run_warm(self, nursery: Nursery, job: Job, cancel: threading.Event | None) -> Outcome:
        """The same sandbox around a program that only keeps it open, and the experiment forked into it."""
        ours, theirs = socket.socketpair()
        with Stage(job) as stage, ours, theirs:

            def join(log: int, status: int) -> None:
                request = {
                    "argv": [_script(job), str(_IN), str(_OUT)],
                    "env": self._python.environment(job.cores, _HOME, _TMP, job.env),
                    "cwd": str(_HOME),
                    "cores": job.cores,
                    "file_bytes": job.limits.disk_mb << 20,
                }
                nursery.fork(request, [ours.fileno(), log, status])
                ours.close()

            return self._launch(job, stage, _KEEP_OPEN, cancel, Warm(theirs, join))

    def _launch(
        self, job: Job, stage: Stage, argv: list[str], cancel: threading.Event | None, warm: Warm | None = None
    ) -> Outcome:
        with os.fdopen(os.memfd_create("filter"), "r+b") as program:
            program.write(seccomp.program(strict=False, memory_files=bool(job.devices)))
            program.seek(0)
            status = os.pipe()
            environment = self._python.environment(job.cores, _HOME, _TMP, job.env)
            command = self._command(job, stage, environment, status[1], program.fileno(), argv)
            return launch(
                job, stage, self._python, {"narrates": True, "cwd": "/", "argv": command}, environment, status, cancel,
                fds=(program.fileno(),), shared_mb=lambda run: _tmpfs_mb(run, self._size(job)), namespace=True,
                warm=warm,
            )  # fmt: skip

    def _command(
        self, job: Job, stage: Stage, environment: dict[str, str], status: int, program: int, argv: list[str]
    ) -> list[str]:
        binds = [word for name, path in job.inputs.items() for word in ("--ro-bind", str(path), str(_IN / name))]
        return [
            *(self._bwrap, "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"),
            *("--json-status-fd", str(status), "--seccomp", str(program), "--clearenv"),
            *(word for name, value in environment.items() for word in ("--setenv", name, value)),
            *self._system(job),
            *("--dir", str(_IN), *binds, "--ro-bind", str(stage.script), _script(job)),
            *("--bind", str(job.out.resolve()), str(_OUT), "--bind", str(stage.home), str(_HOME)),
            *_read_only_proc(job),
            *("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", str(_HOME)),
            *("--", *argv),
        ]

    def _system(self, job: Job) -> list[str]:
        """Binds of what a Python program reads, and the mounts of the sandbox's own."""
        words = ["--ro-bind", "/usr", "/usr"]
        for name in ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"):
            if os.path.islink(name):
                words += ["--symlink", os.readlink(name), name]
            elif os.path.isdir(name):
                words += ["--ro-bind", name, name]
        for name in (*(f"/etc/{name}" for name in SYSTEM_ETC), "/sys/devices/system/cpu"):
            words += ["--ro-bind-try", name, name]
        words += ["--proc", "/proc", "--dev", "/dev", *self._tmpfs("/dev/shm", job), *self._tmpfs("/tmp", job)]
        for node in job.devices:
            words += ["--dev-bind-try", str(node), str(node)]
        for name in _GPU_SYSTEM if job.devices else ():
            words += ["--ro-bind-try", name, name]
        for folder in self._python.folders:
            words += ["--ro-bind", str(folder), str(folder)]
        return words

    def _tmpfs(self, path: str, job: Job) -> list[str]:
        """A file system in RAM, a little larger than the memory limit, which is then what a full one runs into."""
        size = self._size(job)
        return [*(("--size", str(size)) if size else ()), "--tmpfs", path]

    def _size(self, job: Job) -> int | None:
        """Bytes of each file system in RAM, None where this bubblewrap leaves that to the kernel."""
        return job.limits.memory_mb * 5 // 4 << 20 if self._can_size else None


def _read_only_proc(job: Job) -> list[str]:
    """All of /proc, but where a GPU is let in the run's own processes: its driver names its threads there."""
    if not job.devices:
        return ["--remount-ro", "/proc"]
    with os.scandir("/proc") as entries:
        shared = sorted(entry.path for entry in entries if not entry.name.isdigit() and not entry.is_symlink())
    return [word for path in shared for word in ("--ro-bind-try", path, path)]


def _script(job: Job) -> str:
    return f"/work/{job.script.name}"


def _tmpfs_mb(run: Running, size: int | None) -> float:
    """What lies in /tmp and /dev/shm of a running sandbox, each known by its size.

    While the sandbox is being set up these paths lead elsewhere for an instant, even to a disk of the host.
    """
    used = 0.0
    for name in ("tmp", "dev/shm"):
        with contextlib.suppress(OSError):
            mount = f"/proc/{run.child}/root/{name}"
            if os.stat(mount).st_dev == os.stat(f"/{name}").st_dev:
                continue
            space = os.statvfs(mount)
            if size is None or space.f_blocks * space.f_frsize == size:
                used += (space.f_blocks - space.f_bfree) * space.f_frsize / 1048576.0
    return used
