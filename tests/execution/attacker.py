"""The experiment from hell: `python attacker.py IN OUT` tries every attack of targets.json and writes what it claims.

Stands alone; run inside a sandbox. Most attacks are judged by their effect on the host, the others by the claim here.
"""

import contextlib
import ctypes
import json
import mmap
import os
import platform
import resource
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
X86 = platform.machine() == "x86_64"
IN, OUT = Path(sys.argv[1]), Path(sys.argv[2])
TARGETS = json.loads((IN / "targets.json").read_text())
VICTIM = TARGETS["victim"]
LOOT: dict[str, str] = {}


def checked(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")


def call(x86: int, arm: int, *arguments: object) -> None:
    checked(LIBC.syscall(ctypes.c_long(x86 if X86 else arm), *arguments))


def write_state() -> None:
    Path(TARGETS["state"]).write_text("forged")


def write_bashrc() -> None:
    with open(TARGETS["bashrc"], "a") as file:
        file.write("forged")


def read_secret() -> None:
    LOOT["read kaggle.json"] = Path(TARGETS["secret"]).read_text()


def own_environment() -> None:
    LOOT["key in env"] = json.dumps(dict(os.environ))


def other_environment() -> None:
    for name in [str(VICTIM), *filter(str.isdigit, os.listdir("/proc"))]:
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{name}/environ").read_bytes().decode(errors="replace")
            LOOT["key in /proc/PID/environ"] = LOOT.get("key in /proc/PID/environ", "") + text


def trace() -> None:
    call(101, 117, 0x4206, VICTIM, 0, 0)  # PTRACE_SEIZE


def signal_victim() -> None:
    os.kill(VICTIM, signal.SIGUSR1)


def signal_everybody_of_victim() -> None:
    os.killpg(VICTIM, signal.SIGUSR2)


def tcp() -> None:
    with socket.create_connection(("127.0.0.1", TARGETS["tcp"]), 2) as link:
        link.sendall(b"tcp")


def udp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.sendto(b"udp", ("127.0.0.1", TARGETS["udp"]))


def unix_path() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.sendto(b"unix path", TARGETS["unix_path"])


def unix_path_from_pair() -> None:
    with socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0] as link:
        link.sendto(b"pair", TARGETS["unix_path"])


def unix_abstract() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.sendto(b"unix abstract", "\0" + TARGETS["unix_abstract"])


def symlink_escape() -> None:
    link = OUT / "link"
    link.symlink_to(TARGETS["folder"])
    (link / "planted").write_text("planted")


def hard_link() -> None:
    os.link(TARGETS["linked"], OUT / "hard")
    (OUT / "hard").write_text("forged")


def namespace() -> None:
    checked(LIBC.unshare(0x10000000))


def namespace_by_clone() -> None:
    call(56, 220, 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0)


def inherited() -> None:
    LOOT["inherited fd"] = os.pread(TARGETS["handle"], 1000, 0).decode()


def big_file() -> None:
    with open(OUT / "big", "wb") as file:
        file.truncate(TARGETS["file_bytes"] + 1)
    os.unlink(OUT / "big")


def truncate_input() -> None:
    os.close(os.open(IN / "input.bin", os.O_RDONLY | os.O_TRUNC))


def truncate_by_path() -> None:
    os.truncate(TARGETS["truncated"], 0)


def change_mode() -> None:
    os.chmod(TARGETS["mode"], 0o777)


def touch() -> None:
    os.utime(TARGETS["touched"], (1, 1))


def rename_away() -> None:
    os.rename(TARGETS["renamed"], OUT / "moved")


def delete() -> None:
    os.unlink(TARGETS["deleted"])


def edit_python() -> None:
    target = Path(TARGETS["python"]) / TARGETS["python_name"]
    target.write_text("forged")


def limit_victim() -> None:
    resource.prlimit(VICTIM, resource.RLIMIT_NOFILE, (7, 7))


def shared_memory() -> None:
    call(30, 196, TARGETS["sysv"], 0, 0x1000)  # shmat, read-only


def vsock() -> None:
    socket.socket(40, socket.SOCK_STREAM).close()


def memory_of_victim() -> None:
    local = mmap.mmap(-1, 4096)
    vector = (ctypes.c_size_t * 2)(ctypes.addressof(ctypes.c_char.from_buffer(local)), 16)
    remote = (ctypes.c_size_t * 2)(TARGETS["address"], 16)
    call(310, 270, VICTIM, vector, 1, remote, 1, 0)


def kill_victim() -> None:
    os.kill(TARGETS["second_victim"], signal.SIGKILL)


ATTACKS: dict[str, Callable[[], None]] = {
    "write state file": write_state,
    "write ~/.bashrc": write_bashrc,
    "read kaggle.json": read_secret,
    "key in env": own_environment,
    "key in /proc/PID/environ": other_environment,
    "ptrace": trace,
    "signal": signal_victim,
    "tcp": tcp,
    "udp": udp,
    "unix path socket": unix_path,
    "unix abstract socket": unix_abstract,
    "symlink escape": symlink_escape,
    "new user namespace": namespace,
    "inherited fd": inherited,
    "file over the limit": big_file,
    "signal a group": signal_everybody_of_victim,
    "unix path from a pair": unix_path_from_pair,
    "hard link": hard_link,
    "namespace by clone": namespace_by_clone,
    "truncate an input": truncate_input,
    "truncate by path": truncate_by_path,
    "chmod": change_mode,
    "utime": touch,
    "rename": rename_away,
    "delete": delete,
    "edit the installed Python": edit_python,
    "limit another process": limit_victim,
    "System V memory": shared_memory,
    "vsock": vsock,
    "read memory of another": memory_of_victim,
    "kill another": kill_victim,
}


def attempt(act: Callable[[], None]) -> str:
    try:
        act()
    except (OSError, AttributeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return "done"


def in_fork(act: Callable[[], None]) -> str:
    """For attacks that change the process that makes them."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, attempt(act).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        return file.read()


def main() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    forked = {"new user namespace", "namespace by clone", "ptrace", "limit another process"}
    claims = {name: (in_fork if name in forked else attempt)(act) for name, act in ATTACKS.items()}
    for rest in (OUT / "link", OUT / "hard", OUT / "moved"):
        with contextlib.suppress(OSError):
            shutil.rmtree(rest) if rest.is_dir() and not rest.is_symlink() else rest.unlink()
    (OUT / "claims.json").write_text(json.dumps(claims))
    (OUT / "loot.json").write_text(json.dumps(LOOT))
    print("loot:", sorted(LOOT))


main()
