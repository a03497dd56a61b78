"""Unpacking what a competition sends: nothing lands outside the folder, nothing swells without end.

Zip, tar, tar.gz and gz are unpacked. An archive that tries to escape (.., absolute names, links, devices) or that
swells beyond its budget is refused as a whole; one of another kind, or an encrypted one, is left out with a sentence.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from orchestrator.competitions.kaggle.zip_members import zip_members
from orchestrator.errors import BadInput

RATIO = 200
"""What an archive may unpack to, in its own bytes, once it is above `FREE_BYTES`."""
FREE_BYTES = 1 << 30
MEMBERS = 1_000_000
DEPTH = 3
CHUNK = 1 << 20
MOST_AT_ONCE = 1 << 24
"""No header of an honest tar is longer."""
_OURS = re.compile(r"\.(zip|tar|tgz|tar\.gz|gz)$", re.IGNORECASE)
_FOREIGN = re.compile(r"\.(7z|rar|bz2|tbz2?|xz|txz|zst|lz4|z|z\d\d|cab|ace|\d{3})$", re.IGNORECASE)
_LITTER = {"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"}


class ArchiveRefused(BadInput):
    """An archive that is damaged, or that no honest program made."""


class ArchiveUnsupported(ArchiveRefused):
    """An archive that can't be opened here; the other files may do without it."""


@dataclass
class Budget:
    """What is left of the bytes and members that one download may unpack to, nested archives counted in."""

    bytes: int
    members: int = MEMBERS

    @classmethod
    def for_archive(cls, size: int, folder: Path) -> Budget:
        """For an archive of `size` bytes unpacked in `folder`; never more than the disk holds."""
        free = shutil.disk_usage(folder).free - FREE_BYTES // 2
        return cls(max(0, min(max(FREE_BYTES, RATIO * size), free)))

    def take_member(self, archive: str) -> None:
        self.members -= 1
        if self.members < 0:
            raise ArchiveRefused(
                f"{archive} holds more files than are unpacked here: it may be a trap; unpack it yourself"
            )

    def take_bytes(self, count: int, archive: str) -> None:
        self.bytes -= count
        if self.bytes < 0:
            raise ArchiveRefused(
                f"{archive} unpacks to more than its size or the free disk space allows: "
                "free some space, or unpack it yourself"
            )


@dataclass(frozen=True)
class Member:
    """One entry of an archive: a folder, or a regular file that `open` reads."""

    name: str
    is_folder: bool
    open: Any


def is_archive(name: str) -> bool:
    """Whether a name says that this is an archive, of a kind that is known here or not."""
    return bool(_OURS.search(name) or _FOREIGN.search(name))


def unpack(archive: Path, target: Path, budget: Budget) -> None:
    """Unpack into the new folder `target`: all of it or nothing.

    Raises ArchiveRefused with one sentence, ArchiveUnsupported for kinds and passwords that can't be opened here.
    """
    stage = target.with_name(f".{target.name}.unpacking")
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    try:
        _write_all(archive, stage, budget)
        os.replace(stage, target)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def unpack_nested(folder: Path, budget: Budget, *, keep: bool = False, depth: int = DEPTH) -> list[str]:
    """Put what is in every archive below `folder` beside it; returns a sentence for each that is left out.

    The one file of an archive takes its place; several get a folder of the archive's name. No file is overwritten.
    The archives go away, unless `keep`. Runs again after a kill: an archive goes away last.
    """
    notes: list[str] = []
    for place, folders, names in os.walk(folder):
        folders.sort()
        for path in [Path(place) / name for name in sorted(names) if is_archive(name)]:
            try:
                notes += _beside(path, budget, depth)
            except ArchiveUnsupported as error:
                notes.append(str(error))
            if not keep:
                path.unlink()
    return notes


def _beside(archive: Path, budget: Budget, depth: int) -> list[str]:
    if depth == 0:
        raise ArchiveUnsupported(f"{archive.name} lies {DEPTH} archives deep and is left out: unpack it yourself")
    stem = _OURS.sub("", archive.name) or "archive"
    made = archive.with_name(f".{archive.name}.unpacked")
    shutil.rmtree(made, ignore_errors=True)
    try:
        unpack(archive, made, budget)
        notes = unpack_nested(made, budget, depth=depth - 1)
        entries = sorted(made.iterdir())
        alone = len(entries) == 1 and (entries[0].is_file() or entries[0].name == stem)
        source = entries[0] if alone and entries[0].name != archive.name else made
        target = archive.with_name(stem if source is made else source.name)
        if target.exists():
            return [*notes, f"{archive.name} is left out: {target.name} is there already"]
        os.replace(source, target)
        return notes
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _write_all(archive: Path, stage: Path, budget: Budget) -> None:
    try:
        for member in _members(archive, budget):
            budget.take_member(archive.name)
            parts = safe_parts(archive.name, member.name)
            if not parts or _LITTER & set(parts):
                continue
            path = stage.joinpath(*parts)
            if member.is_folder:
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            with member.open() as source:
                _copy(source, path, archive.name, budget)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        where = Path(str(error.filename)).name
        raise ArchiveRefused(f"{archive.name} holds {where!r} twice: unpack it yourself") from None
    except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ArchiveRefused(f"{archive.name} is damaged ({_short(error)}): get it again") from None
    except OSError as error:
        why = error.strerror or _short(error)
        raise ArchiveRefused(f"{archive.name} can't be unpacked ({why}): see to the disk, then try again") from None


def _members(archive: Path, budget: Budget) -> Iterator[Member]:
    with archive.open("rb") as file:
        start = file.read(512)
    if _FOREIGN.search(archive.name):
        raise ArchiveUnsupported(f"{archive.name} is of a kind that can't be unpacked here: unpack it yourself")
    if start.startswith(b"PK"):
        return _zip(archive)
    if start.startswith(b"\x1f\x8b"):
        with gzip.open(archive) as packed:
            inside = packed.read(512)
        if inside[257:262] == b"ustar":
            return _tar(archive, gzip.open(archive), budget)
        name = re.sub(r"\.gz$", "", archive.name, flags=re.IGNORECASE)
        return iter([Member(name, False, lambda: gzip.open(archive))])
    if start[257:262] == b"ustar":
        return _tar(archive, archive.open("rb"), budget)
    raise ArchiveRefused(f"{archive.name} is no archive, whatever its name says: get it again")


def _zip(archive: Path) -> Iterator[Member]:
    for info, open_member in zip_members(archive, ArchiveRefused):
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ArchiveRefused(f"{archive.name} holds {info.filename!r}, a link or a device: unpack it yourself")
        if info.flag_bits & 0x1:
            raise ArchiveUnsupported(
                f"{archive.name} is encrypted and is left out: unpack it yourself, with its password"
            )
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2):
            method = info.compress_type
            raise ArchiveUnsupported(f"{archive.name} uses the compression method {method}: unpack it yourself")
        yield Member(info.orig_filename, info.is_dir(), open_member)


def _tar(archive: Path, file: Any, budget: Budget) -> Iterator[Member]:
    with _Guarded(file, archive.name, budget.bytes) as guarded, tarfile.open(fileobj=guarded, mode="r:") as tar:  # type: ignore[call-overload]
        for info in tar:
            if not (info.isreg() or info.isdir()):
                raise ArchiveRefused(f"{archive.name} holds {info.name!r}, a link or a device: unpack it yourself")
            yield Member(info.name, info.isdir(), lambda info=info: tar.extractfile(info))
            tar.members = []  # an iterated tar keeps every header


class _Guarded:
    """A file that is never read in one huge piece, as tarfile reads headers, nor skipped through without end."""

    def __init__(self, file: IO[bytes], name: str, most: int) -> None:
        self._file, self._name, self._most = file, name, most

    def __enter__(self) -> _Guarded:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MOST_AT_ONCE:
            raise ArchiveRefused(f"{self._name} has a header of {size} bytes: unpack it yourself")
        return self._file.read(size)

    def seek(self, position: int, whence: int = 0) -> int:
        if position > self._most + MOST_AT_ONCE:
            raise ArchiveRefused(f"{self._name} claims to be endless: unpack it yourself")
        return self._file.seek(position, whence)

    def tell(self) -> int:
        return self._file.tell()


def safe_parts(archive: str, name: str) -> list[str]:
    """The names on the way to a member; raises ArchiveRefused for one that leads out of the folder."""
    plain = unicodedata.normalize("NFC", name.replace("\\", "/"))
    parts = [part for part in plain.split("/") if part not in ("", ".")]
    leads_out = plain.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:", plain)
    if leads_out or any(unicodedata.category(mark) in ("Cc", "Cs") for mark in plain):
        raise ArchiveRefused(
            f"{archive} holds the name {name[:80]!r}, which leads out of its folder: unpack it yourself"
        )
    return parts


def _copy(source: IO[bytes], path: Path, archive: str, budget: Budget) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with os.fdopen(handle, "wb") as target:
        while chunk := source.read(CHUNK):
            budget.take_bytes(len(chunk), archive)
            target.write(chunk)


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
