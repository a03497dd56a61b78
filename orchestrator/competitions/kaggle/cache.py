"""A competition's data on this machine: downloaded once, checked, unpacked, shared by all campaigns.

CACHE/SLUG/lock         held by the one process that changes anything here
CACHE/SLUG/incoming/    what is on its way, with the marker from which Kaggle's client goes on
CACHE/SLUG/data-KEY/    finished: files/ and record.json; KEY stands for the listing's names, sizes and dates

A finished folder appears by one rename, so a kill at any moment costs what had not arrived yet and no more.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.competitions.kaggle.archives import safe_parts, unpack_nested
from orchestrator.competitions.kaggle.download import SLICE_S, Download, Source
from orchestrator.competitions.kaggle.errors import NotThere
from orchestrator.competitions.kaggle.records import RemoteFile
from orchestrator.errors import BadInput
from orchestrator.files import fsync_folder, read_json_or_none, write_json

SPARE_BYTES = 256 << 20


@dataclass(frozen=True)
class Data:
    """A finished folder, and sentences on what is not in it."""

    folder: Path
    notes: list[str]


def cache_home(environment: Mapping[str, str] = os.environ) -> Path:
    """Where downloads are kept for all campaigns."""
    given = environment.get("XDG_CACHE_HOME", "")
    root = Path(given) if given.startswith("/") else Path(environment.get("HOME") or Path.home()) / ".cache"
    return root / "autokaggle" / "kaggle"


@contextmanager
def cache_of(slug: str, root: Path, say: Callable[[str], None]) -> Iterator[Path]:
    """The competition's part of the cache, for this process alone; waits for another that has it."""
    from filelock import FileLock, Timeout

    home = root / slug
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(home / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"another process fetches the data of {slug}: waiting for it")
        lock.acquire()
    try:
        yield home
    finally:
        lock.release()


def cached(home: Path) -> Data | None:
    """The newest finished folder; None without one."""
    found = [path for path in home.glob("data-*") if path.is_dir()]
    return _open(max(found, key=lambda path: path.stat().st_mtime_ns)) if found else None


def obtain(
    source: Source,
    slug: str,
    home: Path,
    say: Callable[[str], None],
    *,
    sleep: Callable[[float], object] = time.sleep,
    slice_s: float = SLICE_S,
) -> Data:
    """The competition's data as Kaggle lists them now, from the cache or downloaded into it.

    The caller holds `cache_of`. Raises NeedsPerson, NotThere and TryLater, BadInput for a full disk or data that can't
    be used; the next call goes on from what has arrived.
    """
    files = source.files(slug)
    if not files:
        raise NotThere(f"{slug} has no data files: it can't be played from tables")
    listed = {"/".join(safe_parts(f"the listing of {slug}", one.name)): one for one in files}
    done = home / f"data-{_key(files)}"
    if not done.is_dir():
        both = 2 * sum(one.bytes for one in files)  # the archive and what is in it lie there together
        check_room(home, both - bytes_in(home / "incoming"), ", or point XDG_CACHE_HOME to a larger disk")
        _land(Download(source, slug, home / "incoming", listed, say, sleep, slice_s), done)
    _sweep(home, keep=done.name)
    return _open(done)


def _land(download: Download, done: Path) -> None:
    """Download, check, unpack, and give it its name."""
    stage = done.with_name(f".{done.name}.new")
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir()
    budget, notes = download.into(stage / "files")
    notes += unpack_nested(stage / "files", budget)
    write_json(stage / "record.json", {"notes": notes})
    os.sync()  # the files must not be empty after a power cut, when the rename is there
    os.replace(stage, done)
    fsync_folder(done.parent)


def _open(done: Path) -> Data:
    record = read_json_or_none(done / "record.json") or {"notes": []}
    return Data(done / "files", list(record["notes"]))


def _key(files: Sequence[RemoteFile]) -> str:
    facts = sorted([one.name, one.bytes, one.created.isoformat() if one.created else ""] for one in files)
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def check_room(place: Path, needed: int, otherwise: str = "") -> None:
    """Raises BadInput when `place` has less than `needed` bytes and some to spare."""
    free, needed = shutil.disk_usage(place).free, needed + SPARE_BYTES
    if free < needed:
        raise BadInput(
            f"{place} has {free / 1e9:.1f} GB free and the data need {needed / 1e9:.1f} GB: free some space{otherwise}"
        )


def _sweep(home: Path, keep: str) -> None:
    """Delete what earlier listings and broken-off calls have left."""
    for path in home.iterdir():
        if path.name not in (keep, "lock") and path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
