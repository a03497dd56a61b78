"""Downloading a competition's files through Kaggle's client: slice by slice, checked against the listing.

The archive of all files is fetched first; what it lacks comes one by one. What the client leaves when it fails may be
the text of an error in place of a file, so only what grew, and is no such text, is gone on with.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from orchestrator.competitions.kaggle.archives import ArchiveRefused, Budget, is_archive, unpack
from orchestrator.competitions.kaggle.errors import NeedsPerson, NotThere, TryLater
from orchestrator.competitions.kaggle.records import RemoteFile
from orchestrator.errors import CompetitionError

SLICE_S = 600.0
"""A download is looked at so often; what has arrived by then is gone on with."""
TRIES = 5
"""Of a download that brings nothing new."""
ARCHIVES = 2
"""How often the archive of all files is fetched anew when it is not what the listing says."""
MOST_SINGLE = 200
LONGEST_WAIT_S = 300.0
ERROR_BODIES = (b"<?xml", b"<Error", b"<!DOCTYPE", b"<!doctype", b"<html", b'{"error', b'{"code')
MARKER = ".kaggle-partial"


class Source(Protocol):
    """Where files come from: the part of KaggleClient that is needed here."""

    def files(self, slug: str) -> list[RemoteFile]: ...

    def download(self, slug: str, name: str | None, folder: Path, *, timeout_s: float) -> Path: ...


@dataclass
class Download:
    """One competition on its way into the folder `incoming`; `listed`: path in the folder → as Kaggle lists it."""

    source: Source
    slug: str
    incoming: Path
    listed: dict[str, RemoteFile]
    say: Callable[[str], None]
    sleep: Callable[[float], object]
    slice_s: float = SLICE_S

    def into(self, files: Path) -> tuple[Budget, list[str]]:
        """Bring all of it into the new folder `files`: what its archives may still unpack to, and notes for people."""
        budget, notes = self._all_at_once(files)
        for name in self._missing(files):
            self._one(name, files)
        return budget, notes

    def _all_at_once(self, files: Path) -> tuple[Budget, list[str]]:
        """The archive of everything; a damaged one is fetched anew, and where there is none, `files` stays empty."""
        incoming = self.incoming / "all"
        total = sum(one.bytes for one in self.listed.values())
        self.say(f"downloading {self.slug}: {len(self.listed)} files, {_size(total)}")
        problem = ""
        for _ in range(ARCHIVES):
            try:
                archive = self._download(None, incoming)
            except NotThere:
                break
            budget = Budget.for_archive(archive.stat().st_size, files.parent)
            try:
                shutil.rmtree(files, ignore_errors=True)
                _take_in(archive, files, self.listed, budget)
                before, problem = problem, self._differences(files)
                if not problem or before == problem:
                    return budget, [f"{problem}: twice, so it is taken as it came"] if problem else []
            except ArchiveRefused as error:
                problem = str(error)
            self.say(f"{problem}; downloading again")
            _forget(incoming)
        shutil.rmtree(files, ignore_errors=True)
        files.mkdir()
        if len(self.listed) > MOST_SINGLE:
            raise TryLater(f"the archive of {self.slug} can't be used: {problem or 'there is none'}; try again later")
        return Budget.for_archive(total, files.parent), []

    def _differences(self, files: Path) -> str:
        """What came in another size than the listing says; files that did not come are another matter."""
        for name, one in self.listed.items():
            path = files / name
            if path.is_file() and path.stat().st_size != one.bytes:
                return f"{name} has {path.stat().st_size:,} bytes where Kaggle lists {one.bytes:,}"
        return ""

    def _missing(self, files: Path) -> list[str]:
        found = [name for name in self.listed if not (files / name).is_file()]
        if len(found) > MOST_SINGLE:
            raise TryLater(f"{len(found)} files of {self.slug} are not in its archive; try again later")
        return found

    def _one(self, name: str, files: Path) -> None:
        """One file by itself, in a folder of its own: the client flattens names, which then collide."""
        one = self.listed[name]
        incoming = self.incoming / hashlib.sha256(name.encode()).hexdigest()[:16]
        for _ in range(ARCHIVES):
            path = self._download(one.name, incoming)
            if path.stat().st_size != one.bytes and path.suffix == ".zip":
                path = _only_member(path, incoming)
            size = path.stat().st_size
            if size == one.bytes:
                target = files / name
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, target)
                return
            _forget(incoming)
        raise TryLater(
            f"{name} of {self.slug} came with {size:,} bytes where Kaggle lists {one.bytes:,}; try again later"
        )

    def _download(self, name: str | None, folder: Path) -> Path:
        """One file, slice by slice. What brings nothing new is forgotten: it may be the body of an error."""
        failures, seconds = 0, self.slice_s
        while True:
            folder.mkdir(parents=True, exist_ok=True)
            before = _arrived(folder)
            try:
                return _checked(self.source.download(self.slug, name, folder, timeout_s=seconds), folder)
            except (NeedsPerson, NotThere):
                raise
            except CompetitionError as error:
                after_s = error.after_s if isinstance(error, TryLater) else None
                failures, seconds = failures + 1, 2 * seconds
                if _arrived(folder) > before and not _is_error(folder, name):
                    failures, seconds = 1, self.slice_s
                    self.say(f"{self.slug}: {_size(_arrived(folder))} are here; going on")
                else:
                    _forget(folder)
                if failures >= TRIES or (after_s or 0) > LONGEST_WAIT_S:
                    raise
                self.sleep(min(2.0 * 3 ** (failures - 1), 60.0) if after_s is None else after_s)


def _take_in(archive: Path, files: Path, listed: Mapping[str, RemoteFile], budget: Budget) -> None:
    """The archive unpacked; the one file of a competition may come as it is."""
    name = next(iter(listed))
    if (
        len(listed) == 1
        and archive.stat().st_size == listed[name].bytes
        and not (is_archive(archive.name) and not is_archive(name))
    ):
        (files / name).parent.mkdir(parents=True)
        shutil.copyfile(archive, files / name)
        return
    unpack(archive, files, budget)


def _only_member(archive: Path, folder: Path) -> Path:
    """The file in a zip that Kaggle made of one file; the archive itself when there is none."""
    made = folder / "unpacked"
    shutil.rmtree(made, ignore_errors=True)
    try:
        unpack(archive, made, Budget.for_archive(archive.stat().st_size, folder))
    except ArchiveRefused:
        return archive
    found = [path for path in made.rglob("*") if path.is_file()]
    return found[0] if len(found) == 1 else archive


def _checked(path: Path, folder: Path) -> Path:
    """Where the client says that the file lies, held against where it was to put it."""
    inside = path.parent.resolve().is_relative_to(folder.resolve())
    if not inside or not path.exists() or not stat.S_ISREG(path.lstat().st_mode):
        raise TryLater("Kaggle's client left no file where it was to")
    return path


def _arrived(folder: Path) -> int:
    return sum(path.stat().st_size for path in _parts_in(folder))


def _parts_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(MARKER)]


def _is_error(folder: Path, name: str | None) -> bool:
    """Whether what has arrived is the text of an error, which storage sends in place of the rest of a file."""
    if name is not None and name.lower().endswith((".xml", ".html", ".htm", ".json", ".svg")):
        return False
    starts = []
    for path in _parts_in(folder):
        with path.open("rb") as file:
            starts.append(file.read(16))
    return any(start.startswith(ERROR_BODIES) for start in starts)


def _forget(folder: Path) -> None:
    """Delete what has arrived together with its marker."""
    shutil.rmtree(folder, ignore_errors=True)


def _size(count: int) -> str:
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"
