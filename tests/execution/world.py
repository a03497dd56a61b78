"""Everything an attack can hurt, set up for real; `effects` looks at what was hurt."""

import contextlib
import ctypes
import json
import os
import resource
import secrets
import select
import signal
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

_VICTIM = """
import ctypes, signal, sys, time
counts = open(sys.argv[1], "a", buffering=1)
for number in (signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, lambda n, _: counts.write(f"{n}\\n"))
buffer = ctypes.create_string_buffer(b"private memory")
ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(2**64 - 1), 0, 0, 0)
print(ctypes.addressof(buffer), flush=True)
while True:
    time.sleep(60)
"""
LIBC = ctypes.CDLL(None, use_errno=True)
KEY = "AUTOKAGGLE_TEST_KEY"
FILES = ("state", "linked", "truncated", "mode", "touched", "renamed", "deleted")


class World:
    """Use as a context manager; `targets` tells the attacker where everything is."""

    def __init__(self, folder: Path, file_bytes: int) -> None:
        self.folder, self.file_bytes = folder, file_bytes
        self.canary = secrets.token_hex(16)
        self.home, self.inputs, self.outside = folder / "home", folder / "in", folder / "outside"
        self.rest = contextlib.ExitStack()

    def __enter__(self) -> "World":
        for path in (self.home, self.inputs, self.outside, self.home / ".kaggle"):
            path.mkdir(parents=True)
        for name in FILES:
            (self.folder / name).write_text("original")
        os.chmod(self.folder / "mode", 0o600)
        (self.home / ".bashrc").write_text("original")
        self.secret = self.home / ".kaggle" / "kaggle.json"
        self.secret.write_text(self.canary)
        (self.inputs / "input.bin").write_bytes(b"original")
        os.environ[KEY] = self.canary
        self.rest.callback(os.environ.pop, KEY)
        self.handle = os.open(self.secret, os.O_RDONLY)
        os.set_inheritable(self.handle, True)
        self.rest.callback(os.close, self.handle)
        self._listen()
        self._start_victims()
        self.sysv = LIBC.shmget(0, 4096, 0o600 | 0o1000)
        self.rest.callback(LIBC.shmctl, self.sysv, 0, None)
        self.python = Path(sysconfig.get_paths()["purelib"])
        self.planted = self.python / f"planted_{secrets.token_hex(4)}.txt"
        (self.inputs / "targets.json").write_text(json.dumps(self._targets()))
        return self

    def __exit__(self, *_: object) -> None:
        self.planted.unlink(missing_ok=True)
        self.rest.close()

    def _listen(self) -> None:
        self.tcp = self.rest.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.udp = self.rest.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.udp.bind(("127.0.0.1", 0))
        self.unix_path = self.rest.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self.unix_path.bind(str(self.folder / "socket"))
        self.unix_abstract = self.rest.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self.unix_abstract.bind("\0" + self.canary[:12])

    def _start_victims(self) -> None:
        self.counts = self.folder / "counts"
        command = [sys.executable, "-I", "-S", "-c", _VICTIM, str(self.counts)]
        environment = {**os.environ, KEY: self.canary}
        self.victims = []
        for _ in range(2):
            victim = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, start_new_session=True)
            self.rest.callback(victim.wait)
            self.rest.callback(victim.kill)
            assert victim.stdout is not None
            self.rest.callback(victim.stdout.close)
            self.victims.append(victim)
        first = self.victims[0].stdout
        assert first is not None
        self.address = int(first.readline())
        second = self.victims[1].stdout
        assert second is not None
        second.readline()

    def _targets(self) -> dict[str, Any]:
        plain = {name: str(self.folder / name) for name in FILES}
        return {
            **plain,
            "bashrc": str(self.home / ".bashrc"),
            "secret": str(self.secret),
            "folder": str(self.outside),
            "victim": self.victims[0].pid,
            "second_victim": self.victims[1].pid,
            "address": self.address,
            "tcp": self.tcp.getsockname()[1],
            "udp": self.udp.getsockname()[1],
            "unix_path": str(self.folder / "socket"),
            "unix_abstract": self.canary[:12],
            "handle": self.handle,
            "file_bytes": self.file_bytes,
            "python": str(self.python),
            "python_name": self.planted.name,
            "sysv": self.sysv,
        }

    def effects(self, out: Path) -> set[str]:
        """Names of the attacks that got through."""
        claims = json.loads((out / "claims.json").read_text())
        loot = json.loads((out / "loot.json").read_text())
        first, second = self.victims
        counts = self.counts.read_text().split() if self.counts.exists() else []
        changed = {
            "write state file": self._changed("state"),
            "write ~/.bashrc": (self.home / ".bashrc").read_text() != "original",
            "signal": str(int(signal.SIGUSR1)) in counts,
            "signal a group": str(int(signal.SIGUSR2)) in counts,
            "tcp": _readable(self.tcp),
            "udp": _readable(self.udp),
            "symlink escape": (self.outside / "planted").exists(),
            "hard link": self._changed("linked"),
            "truncate an input": (self.inputs / "input.bin").read_bytes() != b"original",
            "truncate by path": self._changed("truncated"),
            "chmod": (self.folder / "mode").stat().st_mode & 0o777 != 0o600,
            "utime": (self.folder / "touched").stat().st_mtime == 1,
            "rename": not (self.folder / "renamed").exists(),
            "delete": not (self.folder / "deleted").exists(),
            "edit the installed Python": self.planted.exists(),
            "limit another process": resource.prlimit(first.pid, resource.RLIMIT_NOFILE) == (7, 7),
            "kill another": second.poll() is not None,
            "unix abstract socket": _readable(self.unix_abstract),
        }
        datagrams = _all_datagrams(self.unix_path)
        changed |= {"unix path socket": b"unix path" in datagrams, "unix path from a pair": b"pair" in datagrams}
        changed |= {name: self.canary in text for name, text in loot.items()}
        by_effect = {name for name, hurt in changed.items() if hurt}
        only_claimed = {name for name, claim in claims.items() if name not in changed and claim.startswith("done")}
        return by_effect | (only_claimed - LOOTERS)

    def _changed(self, name: str) -> bool:
        return (self.folder / name).read_text() != "original"


LOOTERS = {"read kaggle.json", "key in env", "key in /proc/PID/environ", "inherited fd"}


def _readable(listener: socket.socket) -> bool:
    return bool(select.select([listener], [], [], 0.05)[0])


def _all_datagrams(listener: socket.socket) -> set[bytes]:
    found = set()
    while _readable(listener):
        found.add(listener.recv(100))
    return found
