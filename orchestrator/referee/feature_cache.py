"""What experiments computed and left for later ones on the same fold: out of OUT/cache, back as IN/cache.

Each fold has a folder of its own, for it may hold what was learned from that fold's training labels. Nothing of it is
read here. It lasts as long as the process: a new version of the project finds none of an older one's.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from orchestrator.execution.stage import remove_tree

_NAME = re.compile(r"[0-9a-f]{32}\.npz")
_MB = 2**20


class FeatureCache:
    """Files of at most `most_mb` MB in all under `folder`, which is made and emptied when it is first used."""

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
        """How much one run may leave."""
        return int(self._most_mb / (folds + 1))

    def take(self, fold: int | str, left: Path) -> None:
        """Move what a run left: plain files named by hashes, nothing else. The oldest go when room is short."""
        if left.is_symlink() or not left.is_dir():
            return
        place = self.place(fold)
        for entry in sorted(os.scandir(left), key=lambda entry: entry.name):
            if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                os.replace(entry.path, place / entry.name)
        self._prune()

    def _prune(self) -> None:
        files = [(path.stat(), path) for path in self._folder.glob("fold_*/*.npz")]
        total = sum(stat.st_size for stat, _ in files)
        for stat, path in sorted(files, key=lambda item: (item[0].st_mtime, item[1])):
            if total <= self._most_mb * _MB:
                return
            path.unlink()
            total -= stat.st_size

    def close(self) -> None:
        remove_tree(self._folder)
