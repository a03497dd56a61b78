"""Durable files: one way to write, one lock.

A file lands by: temp in the same folder → fsync → rename → fsync of the folder, so that a reader sees the old bytes
or the new ones, never a mixture, also after a power cut. JSON records carry a checksum of their own content, so a
truncated or bit-flipped one is told from a good one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from orchestrator.errors import CampaignBusy, Damaged

CHECKSUM_KEY = "sha256"


def atomic_write(path: Path, data: bytes | str) -> None:
    """Replace `path` by `data` durably; on any error the old file stands and no temp is left."""
    payload = data.encode("utf-8") if isinstance(data, str) else data
    handle, temp = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temp, 0o644)
        os.replace(temp, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temp)
        raise
    fsync_folder(path.parent)


def fsync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep_temps(folder: Path) -> None:
    """Delete the temps that a killed `atomic_write` left behind."""
    for temp in folder.glob(".*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            temp.unlink()


def sha256_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex digest of a file's bytes, read in one pass with flat memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Digests:
    """SHA-256 of files, each hashed once while its size and time stay."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int], str] = {}

    def of(self, path: Path) -> str:
        """Raises OSError for a file that can't be read."""
        status = path.stat()
        key = (str(path), status.st_size, status.st_mtime_ns)
        if key not in self._known:
            self._known[key] = sha256_file(path)
        return self._known[key]


def read_regular(path: Path) -> bytes:
    """A file's bytes; raises FileNotFoundError, and Damaged for a folder, a pipe or anything else that is no file."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb", closefd=True) as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise Damaged(f"{path} is not a regular file: move it away")
        return file.read()


def json_fault(error: Exception) -> str:
    """What is wrong with a JSON text that a person wrote; a missing comma is told where it is missing."""
    if not isinstance(error, json.JSONDecodeError):
        return str(error)
    told = f"{error.msg} in line {error.lineno}, column {error.colno}"
    line = error.doc[: error.pos].rstrip().count("\n") + 1
    if error.msg.startswith("Expecting ',' delimiter") and line < error.lineno:
        return f"{told} (a comma may be missing at the end of line {line})"
    return told


def write_json(path: Path, record: dict[str, Any]) -> None:
    """Write a record with its own checksum under `sha256`, a key that the record must not use itself."""
    if CHECKSUM_KEY in record:
        raise ValueError(f"{path.name}: the key {CHECKSUM_KEY!r} is the record's own checksum")
    body = {**record, CHECKSUM_KEY: _checksum(record)}
    atomic_write(path, json.dumps(body, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """The record that `write_json` wrote, without its checksum.

    Raises FileNotFoundError when there is none, Damaged when it is torn, empty, flipped or edited by hand.
    """
    try:
        record = json.loads(read_regular(path))
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{path} is not readable as JSON: {error}") from error
    if not isinstance(record, dict) or record.pop(CHECKSUM_KEY, None) != _checksum(record):
        raise Damaged(f"{path} fails its checksum")
    return record


def read_json_or_none(path: Path) -> dict[str, Any] | None:
    """Like `read_json`, with None for a file that is missing or damaged."""
    try:
        return read_json(path)
    except (FileNotFoundError, Damaged):
        return None


def _checksum(body: dict[str, Any]) -> str:
    return sha256_bytes(json.dumps(body, sort_keys=True, separators=(",", ":")).encode())[:32]


@contextlib.contextmanager
def campaign_lock(folder: Path) -> Iterator[Callable[[], None]]:
    """Hold the campaign for this process: freed by the kernel at its death, never by age.

    Gives a check to repeat while playing: it raises CampaignBusy once the lock's file is not the one that is held,
    since another process can hold a new one. Raises CampaignBusy at once when another process plays already.
    """
    from filelock import FileLock, Timeout

    path = folder / ".lock"
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise CampaignBusy(
            f"another `orchestrator loop` is playing {folder.resolve()}: wait for it or stop it first"
        ) from None
    held = path.stat()

    def check() -> None:
        if not (path.exists() and os.path.samestat(held, path.stat())):
            raise CampaignBusy(
                f"{path} was deleted while this campaign was played, so another process may play it now: "
                "see that none does, then run the same command again"
            )

    try:
        yield check
    finally:
        lock.release()
