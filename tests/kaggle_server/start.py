"""The server as a test uses it: started in its own process, told what to do, asked what it was asked."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
USER = "ada"
KEY = "0123456789abcdef0123456789abcdef"
TOKEN = "KGAT_fedcba9876543210fedcba9876543210"
REFRESH = "refresh-aa55aa55aa55aa55"


class Kaggle:
    """A running server. Its one user is `USER`, with `KEY`, `TOKEN` and `REFRESH`."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        command = [sys.executable, "-m", "tests.kaggle_server", "--state", str(folder), "--port", str(port)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.control("user", name=USER, key=KEY, token=TOKEN, refresh=REFRESH)

    def environment(self, home: Path, sign_in: str = "json") -> dict[str, str]:
        """The whole environment of a client. `home` is made, with the credentials in it.

        `sign_in`: json (~/.kaggle/kaggle.json), token (~/.kaggle/access_token), oauth (credentials.json), key
        (KAGGLE_USERNAME and KAGGLE_KEY), variable (KAGGLE_API_TOKEN), none.
        """
        config = home / ".kaggle"
        config.mkdir(parents=True, exist_ok=True)
        config.chmod(0o700)
        files = {
            "json": ("kaggle.json", json.dumps({"username": USER, "key": KEY})),
            "token": ("access_token", TOKEN),
            "oauth": ("credentials.json", json.dumps({"refresh_token": REFRESH, "username": USER, "scopes": []})),
        }
        if sign_in in files:
            name, text = files[sign_in]
            (config / name).write_text(text)
            (config / name).chmod(0o600)
        variables = {
            "key": {"KAGGLE_USERNAME": USER, "KAGGLE_KEY": KEY},
            "variable": {"KAGGLE_API_TOKEN": TOKEN},
        }.get(sign_in, {})
        return {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "TMPDIR": str(_made(home / "tmp")),
            "LANG": "C.UTF-8",
            "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
            "http_proxy": f"http://127.0.0.1:{self.port}",
            # what is asked over https goes nowhere
            "https_proxy": f"http://127.0.0.1:{self.port}",
            **variables,
        }

    def control(self, verb: str, **body: Any) -> Any:
        """See control.py. Raises ValueError with the server's words."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("POST", f"/control/{verb}", json.dumps(body, default=str))
            answer = connection.getresponse()
            said = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != 200:
            raise ValueError(said["problem"])
        return said

    def settings(self, **values: Any) -> dict[str, Any]:
        return dict(self.control("settings", **values))

    def competition(self, slug: str, **values: Any) -> None:
        """Define a competition, or change some of its settings: the fields of site.Competition."""
        self.control("competition", slug=slug, **values)

    def fault(self, method: str, *faults: dict[str, Any] | None, always: bool = False) -> None:
        """Plan faults for the next requests of `method`, see faults.py; None lets one through."""
        self.control("plan", method=method, faults=list(faults), always=always)

    def log(self, method: str = "") -> list[dict[str, Any]]:
        """Requests so far, oldest first: of one method, or all."""
        return [entry for entry in self.control("log") if method in ("", entry["method"])]

    def count(self, method: str) -> int:
        return len(self.log(method))

    def leaks(self) -> list[str]:
        """Requests that carried credentials to a host that is not the API."""
        return list(self.control("leaks"))

    def kernel(self, ref: str, **values: Any) -> None:
        """A notebook that someone published: the fields of kernels.Kernel."""
        self.control("kernel", ref=ref, **values)

    def outcomes(self, ref: str, *runs: dict[str, Any]) -> None:
        """How the next runs of a kernel end ("*": of any), instead of being executed: see kernel_runs.begin."""
        self.control("outcomes", ref=ref, runs=list(runs))

    def runs(self, ref: str) -> list[dict[str, Any]]:
        """Versions of a kernel that were pushed, oldest first."""
        return list(self.control("runs", ref=ref))

    def submissions(self, slug: str) -> list[dict[str, Any]]:
        """What was accepted, whether it is listed or not."""
        return list(self.control("made", slug=slug))

    def wait_for(self, method: str, count: int = 1, seconds: float = 10.0) -> None:
        """Until `method` was asked `count` times. Raises TimeoutError."""
        ends = time.monotonic() + seconds
        while self.count(method) < count:
            if time.monotonic() > ends:
                raise TimeoutError(f"{method} was asked {self.count(method)} times in {seconds} s, not {count}")
            time.sleep(0.02)

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


@contextmanager
def kaggle(folder: Path, port: int = 0) -> Iterator[Kaggle]:
    """A server that ends with the block; its own files go into `folder`."""
    server = Kaggle(folder, port)
    try:
        yield server
    finally:
        server.close()


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
