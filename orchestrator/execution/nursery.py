"""The warm process as the orchestrator sees it: start it, let it fork runs into sandboxes, do without it when it fails.

The libraries that nearly every experiment imports take about two seconds of a core; a fork of a process that has them
takes some milliseconds. `zygote.py` says what keeps the forks apart.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

from orchestrator.execution.stage import Installation

MODULES = """numpy pandas pyarrow.parquet scipy.sparse scipy.stats scipy.optimize threadpoolctl joblib sklearn.ensemble
sklearn.linear_model sklearn.model_selection sklearn.preprocessing sklearn.metrics sklearn.neural_network
sklearn.feature_extraction.text sklearn.decomposition sklearn.svm sklearn.neighbors sklearn.gaussian_process
sklearn.naive_bayes sklearn.isotonic lightgbm xgboost catboost"""
_PROGRAM = Path(__file__).with_name("zygote.py")
_TITLE = 400
"""Bytes kept free for the command line that a fork shows."""
_PATIENCE = 60.0
_ALONE = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""No thread begins at an import: a fork takes along the one that forks, and locks that others hold for ever."""


class NurseryGone(Exception):
    """There is no warm process to fork from: start the run from nothing."""


class Nursery:
    """One warm process for all runs; it ends with this object. Thread-safe."""

    def __init__(
        self, bubblewrap: str, python: Installation, environment: dict[str, str], modules: str = MODULES
    ) -> None:
        """Start it and return at once; `environment` is what its imports see. It ends with the thread that starts it.

        Raises NurseryGone where it does not even start.
        """
        self._lock = threading.Lock()
        self._ready: bool | None = None
        self._fault = ""
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs, _read_only_root(bubblewrap) as root:
                process = _start(theirs, f"{root}{os.path.realpath(python.python)}", python, environment, modules)
        except (OSError, ValueError) as error:
            self._socket.close()
            raise NurseryGone(str(error)) from None
        self.pid = process.pid
        weakref.finalize(self, _end, self._socket, process)

    def fork(self, request: dict[str, object], handles: list[int]) -> None:
        """Have a run forked; waits for the imports when they are not done. Raises NurseryGone."""
        with self._lock:
            if not self._is_ready():
                raise NurseryGone(self._fault)
            try:
                socket.send_fds(self._socket, [json.dumps(request).encode()], handles)
            except OSError as error:
                self._ready, self._fault = False, str(error)
                raise NurseryGone(self._fault) from None

    def _is_ready(self) -> bool:
        if self._ready is None:
            self._socket.settimeout(_PATIENCE)
            try:
                self._fault = self._socket.recv(1000).decode()
            except OSError as error:
                self._fault = str(error)
            self._socket.settimeout(None)
            self._ready = self._fault == "ready"
        return self._ready


def _start(
    theirs: socket.socket, program: str, python: Installation, environment: dict[str, str], modules: str
) -> subprocess.Popen[bytes]:
    arguments = f"{os.getpid()} {theirs.fileno()} {modules}"
    return subprocess.Popen(
        [str(python.python), str(_PROGRAM), arguments.ljust(len(arguments) + _TITLE)],
        executable=program,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**environment, **_ALONE},
        cwd="/",
        pass_fds=(theirs.fileno(),),
        start_new_session=True,
    )


def _end(ours: socket.socket, process: subprocess.Popen[bytes]) -> None:
    ours.close()
    process.kill()
    process.wait()


@contextlib.contextmanager
def _read_only_root(bubblewrap: str) -> Iterator[str]:
    """The host's root folder as a path on which every file is read-only, for as long as anybody uses the file.

    A fork's /proc/self/exe leads to the Python program of the warm process. Through a mount that can be written, its
    owner could change that file's mode and times, and so leave notes for other runs.
    """
    command = [bubblewrap, "--die-with-parent", "--ro-bind", "/", "/", "--", "/bin/sh", "-c", "echo $$; read x"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as holder:
        assert holder.stdin is not None and holder.stdout is not None
        yield f"/proc/{int(holder.stdout.readline())}/root"
        holder.stdin.close()
