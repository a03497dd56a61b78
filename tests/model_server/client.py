"""The server as a test uses it: started in its own process, asked what it was asked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
PRICE = {"input": 4.0, "output": 20.0, "cache_read": 0.2, "cache_write": 5.0}
"""USD per million tokens."""


class ModelServer:
    """A context manager; `turns` is the script, see `brain.py`."""

    def __init__(self, folder: Path, turns: dict[str, Any]) -> None:
        self.folder = folder
        self._script = folder / "model_script.json"
        folder.mkdir(parents=True, exist_ok=True)
        self.play(turns)
        command = [sys.executable, "-m", "tests.model_server", "--script", str(self._script), "--state", str(folder)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def play(self, turns: dict[str, Any], bytes_per_token: int = 4) -> None:
        """Change the script, and how dense tokens are."""
        script = {"price": PRICE, "turns": turns, "bytes_per_token": bytes_per_token}
        self._script.write_text(json.dumps(script))

    def url(self, backend: str) -> str:
        base = f"http://127.0.0.1:{self.port}"
        return base if backend == "anthropic" else f"{base}/v1"

    def requests(self) -> list[dict[str, Any]]:
        """Every request so far, oldest first."""
        path = self.folder / "requests.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def asked(self) -> int:
        """How many requests there were so far."""
        path = self.folder / "requests.jsonl"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def __enter__(self) -> ModelServer:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
