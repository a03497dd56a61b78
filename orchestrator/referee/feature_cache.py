"""What experiments computed and left for later ones on the same fold: out of OUT/cache, back as IN/cache.

Each fold has a folder of its own, for it may hold what was learned from that fold's training labels. Nothing of it is
read here. It lasts as long as the process: a new version of the project finds none of an older one's.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from itertools import islice
from pathlib import Path

from orchestrator.execution.stage import remove_tree

_NAME = re.compile(r"[0-9a-f]{32}\.npz")
_MB = 2**20
_MOST_FILES = 10_000
"""Of one run."""
_LEAST_BYTES = 4096
"""What an empty file counts: it costs an inode."""


class FeatureCache:
    """Files of about `most_mb` MB in all under `folder`, which is made and emptied when it is first used."""

    def __init__(self, folder: Path, most_mb: float) -> None:
        self._folder, self._most_mb, self._clean = folder, most_mb, False

    def place(self, fold: int | str) -> Path:
        """The folder that goes to the fold as IN/cache."""
        if not self._clean:
            remove_tree(self._folder)
            self._clean = True
        place = self._folder / f"fold_{fold}"
        place.mkdir(parents=True, exist_ok=True)
        return place

    def room_mb(self, folds: int) -> int:
        """How much one run may leave, and a fold's folder may hold."""
        return int(self._most_mb / (folds + 1))

    def take(self, fold: int | str, left: Path, room_mb: float) -> None:
        """Move what a run left: plain files named by hashes, nothing else. The first to come go when room is short.

        Each fold has room of its own, so that what is dropped tells no fold of another one's labels. What can't be
        moved is lost, whatever the run did to its folder.
        """
        place = self.place(fold)
        with suppress(OSError):
            if left.is_dir() and not left.is_symlink():
                _move(left, place)
        _prune(place, room_mb * _MB)

    def close(self) -> None:
        remove_tree(self._folder)


def _move(left: Path, place: Path) -> None:
    with os.scandir(left) as entries:
        found = sorted(islice(entries, _MOST_FILES), key=lambda entry: entry.name)
    for entry in found:
        if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
            os.chmod(entry.path, 0o600)  # else a file that runs as its owner might stay on the host
            os.replace(entry.path, place / entry.name)


def _prune(place: Path, most: float) -> None:
    """The first to come go, by the time of the move, which no run can set."""
    found = sorted((path.stat().st_ctime_ns, path) for path in place.iterdir())
    sizes = {path: _held(path) for _, path in found}
    excess = sum(sizes.values()) - most
    for _, path in found:
        if excess <= 0:
            return
        path.unlink()
        excess -= sizes[path]


def _held(path: Path) -> int:
    """Bytes; a file may have more blocks than its size tells."""
    stat = path.stat()
    return max(stat.st_size, stat.st_blocks * 512, _LEAST_BYTES)
