"""The client's process from outside: started when it is needed, killed when it does not answer, restarted after."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from orchestrator.competitions.kaggle.child import HOME_PREFIX
from orchestrator.competitions.kaggle.credentials import Credentials

MOST_ANSWER_BYTES = 256 << 20
LOG_BYTES = 1 << 16
START_S = 30.0
"""For importing the client, on a cold disk."""


class Died(Exception):
    """The process ended, or was ended, before it answered."""


class Child:
    """One process and its pipes; one call at a time, from any thread."""

    def __init__(self, credentials: Credentials, environment: Mapping[str, str], python: Path) -> None:
        self.credentials = credentials
        self._environment = environment
        self._python = python
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._home = Path()
        self._handles: list[int] = []
        self._fresh = True
        self._log = b""

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def log(self) -> str:
        """The end of what the client printed, without secrets."""
        return self.credentials.redact(self._log.decode(errors="replace"))

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The reply to one request; raises Died, after which the process is gone."""
        with self._lock:
            try:
                if self._process is None:
                    self._start()
                more = START_S if self._fresh else 0.0
                line = self._talk(json.dumps({**request, "seconds": seconds}).encode(), seconds + 2.0 + more)
                self._fresh = False
                reply = json.loads(self.credentials.redact(line.decode()))
            except BaseException as error:
                self._end()
                if isinstance(error, OSError | ValueError):
                    raise Died(f"its process ended: {self._last_line() or error}") from error
                raise
            return dict(reply)

    def close(self) -> None:
        with self._lock:
            self._end()

    def _start(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix=HOME_PREFIX))  # mode 0700
        requests, to_child = os.pipe()
        from_child, answers = os.pipe()
        log, printed = os.pipe()
        self._handles = [to_child, from_child, log]
        argv = [str(self._python), "-P", "-B", str(Path(__file__).with_name("child.py")), str(requests), str(answers)]
        try:
            self._process = subprocess.Popen(
                argv,
                cwd=self._home,
                env=self.credentials.environment(self._home, self._environment),
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                pass_fds=(requests, answers),
                start_new_session=True,
            )
        finally:
            for handle in (requests, answers, printed):
                os.close(handle)
        self._fresh = True
        fields = ("kind", "source", "secret", "username")
        candidates = [{name: getattr(one, name) for name in fields} for one in self.credentials.found]
        os.write(to_child, json.dumps({"candidates": candidates}).encode() + b"\n")

    def _talk(self, request: bytes, seconds: float) -> bytes:
        to_child, answers, log = self._handles
        end = time.monotonic() + seconds
        waiting, line = request + b"\n", bytearray()
        os.set_blocking(to_child, False)
        while True:
            left = end - time.monotonic()
            if left <= 0:
                raise Died("no answer in time")
            readable, writable, _ = select.select([answers, log], [to_child] if waiting else [], [], left)
            if writable:
                waiting = waiting[os.write(to_child, waiting) :]
            if log in readable:
                self._note(log)
            if answers in readable:
                block = os.read(answers, 1 << 20)
                line += block
                if not block:
                    self._note(log)
                    raise OSError("it closed its pipe")
                if line.endswith(b"\n"):
                    return bytes(line)
                if len(line) > MOST_ANSWER_BYTES:
                    raise OSError("its answer is far too long")

    def _note(self, log: int) -> None:
        os.set_blocking(log, False)
        with suppress(BlockingIOError):
            self._log = (self._log + os.read(log, LOG_BYTES))[-LOG_BYTES:]

    def _last_line(self) -> str:
        lines = [line for line in self.log.splitlines() if line.strip()]
        return lines[-1].strip()[:200] if lines else ""

    def _end(self) -> None:
        process, self._process = self._process, None
        for handle in self._handles:
            with suppress(OSError):
                os.close(handle)
        self._handles = []
        if process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(self._home, ignore_errors=True)


def default_python() -> Path:
    return Path(sys.executable)
