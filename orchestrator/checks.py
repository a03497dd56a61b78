"""What `doctor` looks at on the machine itself: processors, memory, file systems."""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import stat
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

GIB = 1024**3
CGROUP = Path("/sys/fs/cgroup")
NETWORK_FILE_SYSTEMS = ("nfs", "cifs", "smb", "9p", "afs", "fuse.sshfs", "fuse.rclone", "fuse.drive", "fuse.s3fs")


@dataclass(frozen=True)
class Check:
    """`ok`: True fine, False the loop would fail or misbehave, None worth knowing. `fix` says what to do."""

    name: str
    ok: bool | None
    what: str
    fix: str = ""


def package(name: str) -> str | None:
    """The installed version, without importing the package."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def private(name: str, path: Path, otherwise: bool | None = None) -> Check | None:
    """What there is to say of a file with secrets that others may read: `otherwise` is how bad that is."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        return Check(name, otherwise, f"{path} can be read by others (mode {mode:o})", f"chmod 600 {path}")
    return None


def cores(folder: Path = CGROUP) -> Check:
    """How many processors this process may use: its affinity, and the share that a container gives it."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroup_cores(folder)
    text = f"{allowed} of {os.cpu_count()} usable"
    if quota is None or quota >= allowed:
        return Check("cores", True, text)
    wanted = max(1, math.floor(quota))
    fix = f"set execution.cores to {wanted} in config.json, so that threads don't wait for each other"
    return Check("cores", None, f"{text}, but this container's quota is {quota:g}", fix)


def cgroup_cores(folder: Path) -> float | None:
    """The container's processor quota, None without one."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        quota, period = (folder / "cpu.max").read_text().split()[:2]
        return None if quota == "max" else int(quota) / int(period)
    with contextlib.suppress(OSError, ValueError):
        one = int((folder / "cpu" / "cpu.cfs_quota_us").read_text())
        return one / int((folder / "cpu" / "cpu.cfs_period_us").read_text()) if one > 0 else None
    return None


def cgroup_memory(folder: Path) -> int | None:
    """The container's memory limit in bytes, None without one."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            return int((folder / name).read_text())
    return None


def memory(folder: Path = CGROUP) -> Check:
    """Total and free memory, or the container's limit when that is less."""
    import psutil

    status = psutil.virtual_memory()
    limit = cgroup_memory(folder)
    total, free = status.total, status.available
    note = ""
    if limit is not None and limit < total:
        total, free, note = limit, min(free, limit), " (this container's limit)"
    text = f"{free / GIB:.1f} GiB free of {total / GIB:.1f} GiB{note}"
    if free < GIB:
        return Check("memory", False, text, "close other programs or take a machine with at least 4 GiB")
    if free < 3 * GIB:
        return Check("memory", None, text, "large boosting models want 4 GiB and more; expect some `memory` failures")
    return Check("memory", True, text)


def file_system(folder: Path, mounts: Path = Path("/proc/mounts")) -> Check:
    """The kind of file system under a folder: locks and fsync are weaker over a network."""
    kind = file_system_kind(folder, mounts)
    if kind.startswith(NETWORK_FILE_SYSTEMS):
        fix = "keep the campaign on a local disk; over a network two machines may both believe that they hold its lock"
        return Check("file system", None, f"{folder} is on {kind}, a network file system", fix)
    return Check("file system", True, kind or "unknown kind")


def file_system_kind(folder: Path, mounts: Path) -> str:
    """The type of the mount that holds `folder`; empty where that can't be known."""
    try:
        lines = [line.split() for line in mounts.read_text().splitlines()]
    except OSError:
        return ""
    path = folder.resolve()
    held = [
        (len(where), number, kind)
        for number, (_, where, kind, *_) in enumerate(line for line in lines if len(line) >= 3)
        if path.is_relative_to(where.replace("\\040", " "))
    ]
    return max(held)[2] if held else ""


def writable(folder: Path) -> list[Check]:
    """A file can be made here, and a lock on it keeps a second holder out."""
    try:
        with tempfile.NamedTemporaryFile(prefix=".doctor-", dir=folder) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with open(file.name, "rb") as other:
                locks = _is_locked(other.fileno())
    except OSError as error:
        fix = f"make it writable for this user: chmod u+w {folder}, or use a folder of your own"
        return [Check("folder", False, f"{folder}: {error.strerror}", fix)]
    lock = Check("lock", True, "a second holder is kept out")
    if not locks:
        lock = Check("lock", False, f"locks have no effect in {folder}", "put the campaign on a local disk")
    return [Check("folder", True, f"{folder} is writable"), lock]


def _is_locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
