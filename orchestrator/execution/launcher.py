"""The first program of every run: `python -I -S -B launcher.py SPEC.json`, standard library only.

It stays as the parent of everything the experiment starts: it confines the child before exec, adopts orphans, and kills
the whole tree when the experiment ends, when asked (SIGTERM), or when the orchestrator dies. It tells what happened in
JSON lines on a status pipe: {"child-pid"}, then {"exit-code"} or {"error"}. Where the command is bubblewrap, which
tells the first two itself (`narrates`), it keeps bubblewrap's exit status as its own; bubblewrap alone would not do,
since a kill at the instant of its start leaves its child waiting for ever.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import resource
import signal
import struct
import subprocess
import sys
import time
from typing import Any, NoReturn

_LINUX = sys.platform == "linux"
_SET_PDEATHSIG, _SET_SECCOMP, _CAPBSET_DROP, _SET_CHILD_SUBREAPER, _SET_NO_NEW_PRIVS = 1, 22, 24, 36, 38
_CAP_DAC_OVERRIDE = 1
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_MOST_HANDLES = 4096
"""Of a process. The kernel's memory behind them counts for nobody, and all together they could use up the machine's."""
_FILE_RIGHTS = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15


class Stop(BaseException):
    """Asked to end now."""


def process_table() -> dict[int, tuple[int, int, int]]:
    """Process id → (parent's id, start time; 0 where unknown, threads), of every process here that is alive.

    A process whose first thread ended looks like a zombie, but lives on in its other threads.
    """
    if not _LINUX:
        text = subprocess.run(["/bin/ps", "-axo", "pid=,ppid=,stat="], capture_output=True, text=True).stdout
        rows = [line.split() for line in text.splitlines()]
        return {int(pid): (int(parent), 0, 1) for pid, parent, state in rows if not state.startswith("Z")}
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split(maxsplit=20)
                if fields[0] not in (b"Z", b"X") or int(fields[17]) > 1:
                    found[int(entry)] = (int(fields[1]), int(fields[19]), int(fields[17]))
    return found


def descendants(root: int, table: dict[int, tuple[int, int, int]]) -> list[int]:
    """Processes below `root`, parents first. Orphans count where a subreaper or a namespace keeps them below."""
    children: dict[int, list[int]] = {}
    for pid, (parent, _, _) in table.items():
        children.setdefault(parent, []).append(pid)
    tree = [root]
    for pid in tree:
        tree.extend(children.get(pid, ()))
    return tree[1:]


def kill_below(root: int, seconds: float = 5.0) -> bool:
    """Kill all below `root`, newborns too; stopped first, so that none forks while the others die.

    One look that finds nobody proves nothing: a process may fork after its pid was listed and die before it is read.
    """
    end = time.monotonic() + seconds
    empty = 0
    while empty < 2:
        alive = descendants(root, process_table())
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in alive:
                with contextlib.suppress(OSError):
                    os.kill(pid, number)
        childless = root != os.getpid() or _reap()
        empty = empty + 1 if childless and not alive else 0
        if time.monotonic() > end:
            return False
        if not empty:
            time.sleep(0.001)
    return True


def _reap() -> bool:
    """Collect the children that have ended; whether there are no others, which the kernel knows best."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return True
    return False


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def _prctl(option: int, value: int) -> None:
    long = ctypes.c_ulong
    _checked(_libc().prctl(option, long(value), long(0), long(0), long(0)), f"prctl {option}")


def die_with(parent: int, number: int) -> None:
    """Get signal `number` when the thread that started this process ends; on other systems poll for it."""
    if _LINUX:
        _prctl(_SET_PDEATHSIG, number)
    else:
        signal.signal(signal.SIGALRM, lambda *_: _stop() if os.getppid() != parent else None)
        signal.setitimer(signal.ITIMER_REAL, 0.5, 0.5)
    if os.getppid() != parent:
        os._exit(1)


def _stop(*_: object) -> NoReturn:
    raise Stop


def take_limits(file_bytes: int) -> None:
    os.umask(0o077)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    most = file_bytes if hard == resource.RLIM_INFINITY else min(file_bytes, hard)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, _MOST_HANDLES), min(hard, _MOST_HANDLES)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")  # when memory runs out the kernel takes the experiment, not the orchestrator


def apply_landlock(spec: dict[str, Any]) -> None:
    """`handled` = [file system, network, scope] rights that are refused, but for `rules` = [[path, rights], …]."""
    libc = _libc()
    attributes = struct.pack("=QQQ", *spec["handled"])[: spec["size"]]
    ruleset = _checked(libc.syscall(_LANDLOCK_CREATE, attributes, len(attributes), 0), "landlock_create_ruleset")
    for path, rights in spec["rules"]:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        allowed = rights if os.path.isdir(path) else rights & _FILE_RIGHTS
        rule = struct.pack("=Qi", allowed & spec["handled"][0], handle)
        _checked(libc.syscall(_LANDLOCK_ADD, ruleset, 1, rule, 0), f"landlock_add_rule {path}")
        os.close(handle)
    _checked(libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0), "landlock_restrict_self")
    os.close(ruleset)


def apply_seccomp(program: bytes) -> None:
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    _checked(_libc().prctl(_SET_SECCOMP, ctypes.c_ulong(2), header, ctypes.c_ulong(0), ctypes.c_ulong(0)), "seccomp")


def confine(spec: dict[str, Any]) -> None:
    """Give up every privilege but reading files of other owners, then Landlock, then the filter."""
    sys.path.append(os.path.dirname(os.path.abspath(__file__)))
    floor = None if spec["scoped_signals"] else os.getpid()
    program = importlib.import_module("seccomp").program(strict=True, signal_floor=floor)
    for capability in range(64):
        if capability != _CAP_DAC_OVERRIDE:
            with contextlib.suppress(OSError):
                _prctl(_CAPBSET_DROP, capability)
    _prctl(_SET_NO_NEW_PRIVS, 1)
    apply_landlock(spec["landlock"])
    apply_seccomp(program)


def run_child(spec: dict[str, Any], status: int) -> NoReturn:
    """In the fork: become the experiment, or tell why not."""
    supervisor = os.getppid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        os.setsid()
        if _LINUX:
            _prctl(_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != supervisor:
            os._exit(1)
        os.chdir(spec["cwd"])
        take_limits(spec["file_bytes"])
        if spec.get("landlock"):
            confine(spec)
        if spec["narrates"]:
            os.set_inheritable(status, True)
        else:
            os.write(status, json.dumps({"child-pid": os.getpid()}).encode() + b"\n")
        os.execv(spec["argv"][0], spec["argv"])
    except BaseException as error:
        os.write(status, json.dumps({"error": f"{type(error).__name__}: {error}"}).encode() + b"\n")
    os._exit(127)


def supervise(spec: dict[str, Any], status: int) -> int:
    """Run the command to its end; returns the exit status for this process."""
    signal.signal(signal.SIGTERM, _stop)
    code: int | None = None
    try:
        die_with(spec["parent"], signal.SIGTERM)
        if _LINUX:
            _prctl(_SET_CHILD_SUBREAPER, 1)
        child = os.fork()
        if child == 0:
            run_child(spec, status)
        ended = 0
        while ended != child:
            ended, raw = os.wait()
        code = os.waitstatus_to_exitcode(raw)
    except Stop:
        pass
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    kill_below(os.getpid(), seconds=30.0)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / (1024.0 if _LINUX else 1024.0**2)
    news = {"peak-mb": peak} if spec["narrates"] else {"exit-code": code, "peak-mb": peak}
    with contextlib.suppress(OSError):
        os.write(status, json.dumps(news).encode() + b"\n")
    return max(code or 0, 0) if spec["narrates"] else 0


def main(path: str) -> int:
    with open(path) as file:
        spec = json.load(file)
    os.set_inheritable(spec["status"], False)
    return supervise(spec, spec["status"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
