"""What a role may see of a campaign's folder, and the one place besides a turn's files where it may write.

Every path is held against a short list of open places after all links in it are resolved. The labelled table, the
held-out answers, the sealed folds, other roles' sessions, hidden files and the settings stay out of sight.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO

READ_CHARS = 11_000
"""What one reading gives; the rest is read from where it stopped."""
LINE_BYTES = 4_000
"""A longer line is shown as several."""
SCAN_BYTES = 64_000_000
"""How far into a file one reading goes."""
SEARCHED_BYTES = 5_000_000
NOTE_CHARS = 100_000
_OPEN = (("rounds",), ("competition", "data"), ("competition", "research"), ("prompts",), ("notes",))
_DOCUMENTS = (".md", ".txt", ".html")
_CLOSED_FILES = ("config.json", "state.json", "REPORT.md", "loop.log")
"""The last three may tell what the held-out answers say about this campaign."""
_ARCHIVE = re.compile(r"\.(zip|7z|rar|tar|tgz|tbz2?|txz)(\.|$)", re.IGNORECASE)
"""Could hold the labelled table under any name."""
_LISTED, _MATCHES, _SHOWN_OF_LINE = 300, 100, 300


class Refused(ValueError):
    """The model asked for something that it may not have, or that is not there; the text is for the model."""


class Shelf:
    """The files of one campaign as one role sees them."""

    def __init__(self, campaign: Path, role: str) -> None:
        self.root = Path(os.path.realpath(campaign))
        self._role = role

    def find(self, name: str, lent: Collection[Path] = ()) -> Path:
        """The file or folder that a path names; `lent` are files of the turn, open wherever they lie.

        Raises Refused for what this role may not see, whether it exists or not.
        """
        path = Path(os.path.normpath(self.root / name))
        real = Path(os.path.realpath(path))
        if path in lent or real in lent:
            return real
        if not real.is_relative_to(self.root) or real != path or not self._is_open(path.relative_to(self.root)):
            raise Refused(f"{name} is not a file that you may see")
        return real

    def listing(self, folder: str, pattern: str) -> str:
        """Name and size of the files below a folder, at most 300 lines."""
        found = [
            f"{path.relative_to(self.root)}  {path.lstat().st_size:,} bytes"
            for path in self._below(folder)
            if fnmatchcase(path.name, pattern)
        ]
        more = [f"… and {len(found) - _LISTED} more: name a folder or a pattern"] if len(found) > _LISTED else []
        return "\n".join([*found[:_LISTED], *more]) or "(no files)"

    def read(self, path: Path, first: int = 1, last: int | None = None) -> str:
        """Lines `first` to `last` (from 1), as many as fit; says where to read on."""
        lines: list[str] = []
        room, number, more = READ_CHARS, 0, False
        with open_text(path) as file:
            while raw := file.readline(LINE_BYTES):
                number += 1
                if file.tell() > SCAN_BYTES:
                    raise Refused(f"{path.name} is too large to read this far: look at it with run_python")
                if number < first:
                    continue
                line = raw.decode("utf-8", errors="replace").rstrip("\r\n")
                room -= len(line) + 1
                if (last is not None and number > last) or (room < 0 and lines):
                    more = True
                    break
                lines.append(line)
        if not lines:
            raise Refused(f"{path.name} has {number} lines: none of them was asked for")
        go_on = f"\n… there is more: go on with first={first + len(lines)}" if more else ""
        return "\n".join(lines) + go_on

    def search(self, wanted: str, folder: str) -> str:
        """Lines that hold one of the texts in `a|b`, case ignored; no regular expressions, which could run forever."""
        words = [word.lower() for word in wanted.split("|") if word]
        if not words:
            raise Refused("say what to look for")
        found: list[str] = []
        for path in self._below(folder):
            if path.lstat().st_size > SEARCHED_BYTES:
                continue
            try:
                with open_text(path) as file:
                    text = file.read().decode("utf-8", errors="replace")
            except Refused:
                continue
            for number, line in enumerate(text.splitlines(), 1):
                if any(word in line.lower() for word in words):
                    found.append(f"{path.relative_to(self.root)}:{number}: {line.strip()[:_SHOWN_OF_LINE]}")
                    if len(found) == _MATCHES:
                        return "\n".join([*found, f"… only the first {_MATCHES}: name a folder or rarer words"])
        return "\n".join(found) or "(no match)"

    def note(self, name: str) -> Path:
        """The path of a note of the role's own. Raises Refused for any other name."""
        if not re.fullmatch(rf"notes/{self._role}/[\w-]{{1,60}}\.md", name, re.ASCII):
            raise Refused(f"{name!r} is neither a file of this turn nor notes/{self._role}/<name>.md")
        path = self.root / name
        if os.path.realpath(path) != str(path):
            raise Refused(f"{name} lies behind a link")
        return path

    def write_note(self, name: str, text: str) -> None:
        if len(text) > NOTE_CHARS:
            raise Refused(f"a note has at most {NOTE_CHARS:,} characters")
        put(self.note(name), text)

    def is_foreign(self, path: Path) -> bool:
        """Whether the text comes from the competition, or may: long results of tools are kept without their fence."""
        results = self.root / "sessions" / self._role / "results"
        return path.is_relative_to(self.root / "competition") or path.is_relative_to(results)

    def _is_open(self, inside: Path) -> bool:
        parts = inside.parts
        if any(part.startswith(".") for part in parts):
            return False
        if len(parts) <= 1:
            return inside.name not in _CLOSED_FILES
        if parts[:2] == ("sessions", self._role):
            return not inside.name.endswith(".jsonl")
        if parts[:2] == ("competition", "data"):
            return len(parts) == 2 or not self._is_labelled(parts[2])
        if parts[:2] == ("competition", "research"):
            return len(parts) == 2 or (len(parts) == 3 and inside.suffix == ".md")
        if parts[0] == "competition":
            return len(parts) == 2 and inside.suffix in _DOCUMENTS
        return any(parts[: len(place)] == place for place in _OPEN)

    def _is_labelled(self, name: str) -> bool:
        """The labelled table, or something that may hold it: what experiments do not get either."""
        try:
            settings = json.loads((self.root / "config.json").read_text(encoding="utf-8-sig"))
            train = str(settings["competition"]["train"])
        except (OSError, ValueError, KeyError, TypeError):
            train = "train.csv"
        return name.split(".")[0] == Path(train).name.split(".")[0] or _ARCHIVE.search(name) is not None

    def _below(self, folder: str) -> Iterator[Path]:
        """Regular files that the role may see, by name; the root itself is walked place by place."""
        start = self.root if folder in ("", ".", "./") else self.find(folder)
        if not start.is_dir():
            raise Refused(f"{folder} is not a folder")
        if start == self.root:
            yield from self._regular(start, sorted(os.listdir(start)))
            for place in (*_OPEN, ("sessions", self._role)):
                if (inner := self.root.joinpath(*place)).is_dir() and os.path.realpath(inner) == str(inner):
                    yield from self._walk(inner)
            return
        yield from self._walk(start)

    def _walk(self, start: Path) -> Iterator[Path]:
        for place, folders, names in os.walk(start):
            folders[:] = sorted(name for name in folders if self._is_open(Path(place, name).relative_to(self.root)))
            yield from self._regular(Path(place), sorted(names))

    def _regular(self, folder: Path, names: Collection[str]) -> Iterator[Path]:
        for name in names:
            path = folder / name
            if self._is_open(path.relative_to(self.root)) and stat.S_ISREG(path.lstat().st_mode):
                yield path


def open_text(path: Path) -> BinaryIO:
    """A regular text file, opened so that neither a link nor a pipe does harm. Raises Refused for anything else."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    file = os.fdopen(handle, "rb")
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        file.close()
        raise Refused(f"{path.name} is not a regular file")
    if b"\0" in file.read(8192):
        file.close()
        raise Refused(f"{path.name} is not text: look at it with run_python")
    file.seek(0)
    return file


def put(path: Path, text: str) -> None:
    """Replace a file as a whole and durably; a kill leaves the old one or the new one."""
    data = text.encode("utf-8")
    path.parent.mkdir(parents=True, exist_ok=True)
    temp = path.with_name(f".{path.name}.tmp")
    with open(temp, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temp, path)
