"""The append-only journal of one session: one JSON object a line, fsynced; a torn last line is cut off on open."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


class Transcript:
    """Events of `sessions/<role>/<generation>.jsonl`, oldest first."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._repair()

    def append(self, event: str, **fields: Any) -> None:
        """Add one event; it is durable when this returns."""
        text = json.dumps({"event": event, **fields}, ensure_ascii=False, default=str) + "\n"
        line, size = text.encode("utf-8", errors="replace"), os.fstat(self._file).st_size
        try:
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
        except OSError:
            os.ftruncate(self._file, size)  # a full disk: half a line would spoil the next one
            raise
        os.fsync(self._file)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_bytes().splitlines()]

    def is_empty(self) -> bool:
        return os.fstat(self._file).st_size == 0

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _repair(self) -> None:
        data = self.path.read_bytes()
        good = 0
        for line in data.splitlines(keepends=True):
            if not line.endswith(b"\n") or not _is_event(line):
                break
            good += len(line)
        if good < len(data):
            os.ftruncate(self._file, good)


def _is_event(line: bytes) -> bool:
    try:
        event = json.loads(line)
    except ValueError:
        return False
    return isinstance(event, dict) and isinstance(event.get("event"), str)


def spawn_event(path: Path) -> dict[str, Any] | None:
    """How a session was spawned, None when its transcript has no whole first line."""
    try:
        with path.open("rb") as file:
            first = json.loads(file.readline())
        return first if isinstance(first["round"], int) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def last_turn(path: Path) -> str:
    """The id of the last turn in a transcript, empty before the first."""
    with path.open("rb") as file:
        turns = [line for line in file if line.startswith(b'{"event": "turn"')]
    try:
        return str(json.loads(turns[-1])["id"])
    except (IndexError, ValueError, KeyError):
        return ""


def last_round(path: Path) -> int | None:
    """The round of the last turn in a transcript, None before the first."""
    try:
        return int(last_turn(path).split("/")[0].removeprefix("R"))
    except ValueError:
        return None


def tells_of_requests(path: Path) -> bool:
    """Whether a model was asked in this session: it may have cost money."""
    with path.open("rb") as file:
        return any(line.startswith(b'{"event": "request"') for line in file)


def generations(folder: Path) -> list[int]:
    """The generations that have a transcript in `sessions/<role>`, ascending."""
    if not folder.is_dir():
        return []
    return sorted(int(entry.stem) for entry in folder.glob("*.jsonl") if entry.stem.isdigit())
