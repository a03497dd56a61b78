"""Files on their way to the nodes of a cluster: named by their content, sent once, kept on each node for later jobs."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import tarfile
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from orchestrator.files import Digests

_KEPT_BYTES = 20 << 30
"""What a node keeps; the longest unused goes first."""
_REMEMBERED = 200
"""Contents that stay ready to be fetched; a job that is under way keeps its own."""


class Parcel(NamedTuple):
    """One input: the digest of its content, whether it is a folder, and what fetches its bytes (a tar of a folder)."""

    digest: str
    is_folder: bool
    handle: Any


class Parcels:
    """The sender's side: each content is handed to `put` once. Thread-safe."""

    def __init__(self, put: Callable[[bytes], Any]) -> None:
        self._put = put
        self._lock = threading.Lock()
        self._digests = Digests()
        self._sent: OrderedDict[str, Any] = OrderedDict()

    def of(self, path: Path) -> Parcel:
        """The parcel of a file, or of a folder with all in it (no links)."""
        with self._lock:
            if path.is_dir():
                data = _packed(path)
                digest = hashlib.sha256(data).hexdigest()
                return Parcel(digest, True, self._handle(digest, lambda: data))
            digest = self._digests.of(path)
            return Parcel(digest, False, self._handle(digest, path.read_bytes))

    def _handle(self, digest: str, data: Callable[[], bytes]) -> Any:
        if digest not in self._sent:
            self._sent[digest] = self._put(data())
        self._sent.move_to_end(digest)
        while len(self._sent) > _REMEMBERED:
            self._sent.popitem(last=False)
        return self._sent[digest]


def _packed(folder: Path) -> bytes:
    """A tar that is the same for the same names and contents."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(folder.rglob("*")):
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                continue
            entry = tarfile.TarInfo(str(path.relative_to(folder)))
            entry.type = tarfile.DIRTYPE if path.is_dir() else tarfile.REGTYPE
            entry.mode = 0o755 if path.is_dir() else 0o644
            entry.size = 0 if path.is_dir() else path.stat().st_size
            with contextlib.nullcontext() if path.is_dir() else path.open("rb") as file:
                tar.addfile(entry, file)
    return buffer.getvalue()


class Shelf:
    """The node's side: a folder of contents, shared by all that run on the node. Safe for several processes."""

    def __init__(self, folder: Path, most_bytes: int = _KEPT_BYTES) -> None:
        self.folder, self._most = folder, most_bytes
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, parcel: Parcel, get: Callable[[Any], bytes]) -> Path:
        """Where the content lies on this node; fetched by `get(handle)` when it is not there yet."""
        place = self.folder / parcel.digest
        if not place.exists():
            self._fetch(place, parcel, get)
        with contextlib.suppress(OSError):
            os.utime(place)
        return place

    def _fetch(self, place: Path, parcel: Parcel, get: Callable[[Any], bytes]) -> None:
        data = get(parcel.handle)
        self._make_room(len(data))
        temp = Path(tempfile.mkdtemp(prefix=".new.", dir=self.folder))
        try:
            if parcel.is_folder:
                with tarfile.open(fileobj=io.BytesIO(data)) as tar:
                    tar.extractall(temp / "content", filter="data")
                (temp / "content").mkdir(exist_ok=True)
            else:
                (temp / "content").write_bytes(data)
            with contextlib.suppress(OSError):  # another process was first
                os.rename(temp / "content", place)
        finally:
            shutil.rmtree(temp, ignore_errors=True)

    def _make_room(self, size: int) -> None:
        kept = []
        for path in self.folder.iterdir():
            with contextlib.suppress(OSError):
                inside = sum(file.stat().st_size for file in path.rglob("*")) if path.is_dir() else 0
                kept.append((path.stat().st_mtime, inside + path.stat().st_size, path))
        total = size + sum(item[1] for item in kept)
        for _, own, path in sorted(kept):
            if total <= self._most:
                return
            total -= own
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
