"""The warm process, `python zygote.py "PARENT SOCKET MODULE…"`: imports the libraries once and forks every run.

It stays outside the sandboxes and never runs a line of an experiment. For each request on SOCKET it forks a guide,
which waits until a sandbox that bubblewrap has built is ready, enters its namespaces and forks the experiment there.
Before the experiment's first line that process has closed every handle, has no capability, can gain none, and is
under bubblewrap's own system-call filter; what it writes to memory is its own. The guide waits for its end and tells
it on the run's status pipe: {"guide-pid"}, then {"code", "peak-mb"} or {"error"}.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import io
import json
import os
import resource
import signal
import socket
import struct
import sys
import threading
from types import ModuleType
from typing import Any, NoReturn

_SET_PDEATHSIG, _SET_DUMPABLE, _CAPBSET_DROP, _SET_NO_NEW_PRIVS = 1, 4, 24, 38
_NAMESPACES = {
    "user": 0x10000000,
    "mnt": 0x00020000,
    "pid": 0x20000000,
    "net": 0x40000000,
    "ipc": 0x08000000,
    "uts": 0x04000000,
    "cgroup": 0x02000000,
}
_MOST = 1 << 17
"""Bytes of a request."""
Request = dict[str, Any]


def main(parent: int, handle: int, modules: list[str]) -> str:
    """Serve until SOCKET is closed; comes back only in an experiment's process, with the script that it shall run."""
    helpers = [importlib.import_module(name) for name in ("launcher", "seccomp")]
    for name in ("launcher", "seccomp"):
        del sys.modules[name]
    helpers[0].die_with(parent, signal.SIGKILL)
    del sys.path[0]
    before = dict(os.environ)
    for module in modules:
        with contextlib.suppress(Exception):  # not installed, or broken: an experiment that wants it will say so
            importlib.import_module(module)
    pools = importlib.import_module("threadpoolctl").ThreadpoolController()
    filter_program = helpers[1].program(strict=False)
    added = {name: value for name, value in os.environ.items() if before.get(name) != value}
    requests = socket.socket(fileno=handle)
    if fault := unfit():
        requests.send(fault.encode())
        os._exit(1)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    requests.send(b"ready")
    while True:
        data, handles, _, _ = socket.recv_fds(requests, _MOST, 3)
        if not data:
            os._exit(0)
        if os.fork() == 0:
            break
        for one in handles:
            os.close(one)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    requests.close()
    gate, log, status = handles
    request = json.loads(data)
    try:
        guide(request, gate, status, helpers[0])
        confine(request, log, status, filter_program, helpers[0])
        pools.limit(limits=request["cores"])
        settle_in(request, added)
    except BaseException as error:
        _tell(status, error=f"{type(error).__name__}: {error}")
        os._exit(1)
    os.close(status)
    return str(sys.argv[0])


def unfit() -> str:
    """Why children of this process would share more than a copy of its memory; empty when they do not."""
    with open("/proc/self/maps") as file:
        shared = [line.split()[-1] for line in file if line.split()[1][1::2] == "ws"]
    if shared:
        return f"a library keeps memory that forks share: {shared[0]}"
    if (threads := len(os.listdir("/proc/self/task"))) != 1:
        return f"a library keeps {threads - 1} threads running"
    if not os.statvfs("/proc/self/exe").f_flag & os.ST_RDONLY:
        return "its program lies where children could change it"
    return ""


def guide(request: Request, gate: int, status: int, launcher: ModuleType) -> None:
    """Enter the sandbox behind `gate`; returns in its new process, and never in the guide itself."""
    launcher._prctl(_SET_PDEATHSIG, signal.SIGKILL)
    _tell(status, **{"guide-pid": os.getpid()})
    launcher.take_limits(request["file_bytes"])
    with socket.socket(fileno=gate) as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        data, extra, _, _ = door.recvmsg(16, socket.CMSG_SPACE(struct.calcsize("3i")))
        if not data:
            os._exit(0)  # bubblewrap failed, and says so itself
        keeper = struct.unpack("3i", extra[0][2])[0]
        outside = os.stat("/")
        _enter(keeper)
        if os.path.samestat(outside, os.stat("/")):
            raise OSError("the sandbox has the root folder of the host")
        child = os.fork()
        if child == 0:
            return
        _, raw = os.waitpid(child, 0)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024.0
    _tell(status, code=os.waitstatus_to_exitcode(raw), **{"peak-mb": peak})
    os._exit(0)


def _enter(pid: int) -> None:
    """Join every namespace of a process; all but the cgroup's must be others than our own."""
    handle = os.pidfd_open(pid)
    flags = 0
    for name, flag in _NAMESPACES.items():
        with contextlib.suppress(FileNotFoundError):
            if os.stat(f"/proc/{pid}/ns/{name}").st_ino != os.stat(f"/proc/self/ns/{name}").st_ino:
                flags |= flag
    if missing := [name for name, flag in _NAMESPACES.items() if not flags & flag and name != "cgroup"]:
        raise OSError(f"the sandbox has no {', '.join(missing)} namespace of its own")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(handle, flags) != 0:
        raise OSError(ctypes.get_errno(), f"setns: {os.strerror(ctypes.get_errno())}")
    os.close(handle)


def confine(request: Request, log: int, status: int, program: bytes, launcher: ModuleType) -> None:
    """Give up what bubblewrap would have taken away before the program's start; of all handles `status` stays."""
    os.setsid()
    os.chdir(request["cwd"])
    null = os.open("/dev/null", os.O_RDONLY)
    for target, source in enumerate((null, log, log)):
        os.dup2(source, target)
    os.closerange(3, status)
    os.closerange(status + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    for capability in range(64):
        with contextlib.suppress(OSError):
            launcher._prctl(_CAPBSET_DROP, capability)
    header, none = struct.pack("=Ii", 0x20080522, 0), bytes(24)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capset(header, none) != 0:
        raise OSError(ctypes.get_errno(), "capset")
    launcher._prctl(_SET_NO_NEW_PRIVS, 1)
    launcher._prctl(_SET_DUMPABLE, 1)  # as after an exec: /proc/self belongs to the process
    launcher._prctl(_SET_PDEATHSIG, signal.SIGKILL)
    launcher.apply_seccomp(program)


def settle_in(request: Request, added: dict[str, str]) -> None:
    """Make this process look like a new `python SCRIPT IN OUT`; `added` are variables that imports have set."""
    os.environ.clear()
    os.environ.update({**added, **request["env"]})
    sys.argv = list(request["argv"])
    sys.path.insert(0, os.path.dirname(sys.argv[0]))
    _retitle([sys.executable, *sys.argv])
    for name, attribute, value in (
        ("tempfile", "tempdir", None),
        ("multiprocessing.process", "ORIGINAL_DIR", request["cwd"]),
    ):
        if name in sys.modules:
            setattr(sys.modules[name], attribute, value)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()


def _retitle(argv: list[str]) -> None:
    """What `ps` shows, as far as there is room."""
    with contextlib.suppress(OSError, ValueError), open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
        start, end = int(fields[45]), int(fields[46])
        text = b"\0".join(os.fsencode(word) for word in argv)[: end - start - 1]
        ctypes.memmove(start, text.ljust(end - start, b"\0"), end - start)


def _tell(status: int, **news: object) -> None:
    with contextlib.suppress(OSError):
        os.write(status, json.dumps(news).encode() + b"\n")


def execute(script: str) -> NoReturn:
    """Run a script as `__main__`, to the end of the process; a traceback begins in the script itself."""
    module = ModuleType("__main__")
    module.__dict__.update(__file__=script, __builtins__=__builtins__, __cached__=None)
    sys.modules["__main__"] = module
    code = 0
    try:
        with open(script, "rb") as file:
            program = compile(file.read(), script, "exec", dont_inherit=True)
        exec(program, module.__dict__)
    except SystemExit as wish:
        code = _exit_code(wish.code)
    except BaseException as error:
        trace = error.__traceback__.tb_next if error.__traceback__ else None
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        code = 1
    _leave(module, code)


def _exit_code(wish: object) -> int:
    if wish is None or isinstance(wish, int):
        return (wish or 0) & 0xFF
    sys.stderr.write(f"{wish}\n")
    return 1


def _leave(module: ModuleType, code: int) -> NoReturn:
    """End as the interpreter does, but without taking thousands of modules apart, which copies all their memory."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for found in (sys.stdout, sys.stderr, *gc.get_objects()):
        if isinstance(found, io.IOBase):  # files that the script left open
            with contextlib.suppress(OSError, ValueError):
                found.flush()
    module.__dict__.clear()
    gc.collect()
    os._exit(code)


if __name__ == "__main__":
    _parent, _handle, *_modules = sys.argv[1].split()
    execute(main(int(_parent), int(_handle), _modules))
