"""The sealed folder as the referee uses it: loaded, verified, memory-mapped."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.errors import Damaged
from orchestrator.files import read_json_or_none, sha256_file
from orchestrator.referee.folds import train_mask

Array = np.ndarray[Any, Any]
MANIFEST = "folds.json"
_ARRAYS = ("assignment", "labels", "groups", "runs", "kept")
_ALWAYS_HASHED = 8 * 1024 * 1024


@dataclass(frozen=True)
class FoldSet:
    """The folds of a campaign: which row is where, what it is worth, and the tables that experiments get."""

    folder: Path
    manifest: dict[str, Any]
    assignment: Array
    """int16 (rows,): the fold that validates each row, -1 for none."""
    labels: Array
    """Encoded targets: int64 (rows,) class index, float64 (rows,) value, or float64 (rows, targets)."""
    groups: Array | None = None
    """int64 (rows,) group codes, when the competition has a group column."""
    runs: Array | None = None
    """int64 (rows,) codes of the runs of time that stay whole in folds or resampling; older folders lack them."""
    kept: Array | None = None
    """int64 (rows,) which rows of the train table these are, where some were left out."""

    @property
    def folds(self) -> int:
        return int(self.manifest["folds"])

    @property
    def strategy(self) -> str:
        return str(self.manifest["strategy"])

    @property
    def hash(self) -> str:
        return str(self.manifest["hash"])

    @property
    def rows(self) -> int:
        return int(self.manifest["rows"])

    @property
    def test_rows(self) -> int:
        return int(self.manifest["test_rows"])

    @property
    def outputs(self) -> int:
        """How many columns a prediction has."""
        return int(self.manifest["outputs"])

    @cached_property
    def valid_rows(self) -> list[Array]:
        """For each fold, its validation rows, ascending."""
        order = np.argsort(self.assignment, kind="stable")
        edges = np.searchsorted(self.assignment[order], np.arange(self.folds + 1))
        return [order[edges[fold] : edges[fold + 1]] for fold in range(self.folds)]

    @cached_property
    def validated(self) -> Array:
        """The rows that have an out-of-fold prediction, ascending."""
        return np.flatnonzero(self.assignment >= 0)

    def is_intact(self) -> bool:
        """Whether every sealed file still is what the manifest says."""
        try:
            _verify_all(self.folder, self.manifest)
        except Damaged:
            return False
        return True

    def train_count(self, fold: int) -> int:
        return int(np.count_nonzero(train_mask(self.assignment, fold, self.strategy)))

    def valid_count(self, fold: int | str) -> int:
        return self.test_rows if fold == "full" else len(self.valid_rows[int(fold)])

    def tables(self, fold: int | str) -> dict[str, Path]:
        """train, valid and test of a fold; the fold "full" learns from every row and validates on the test rows."""
        test = self.folder / "test.parquet"
        if fold == "full":
            return {"train.parquet": self.folder / "full.parquet", "valid.parquet": test, "test.parquet": test}
        place = self.folder / f"fold_{fold}"
        own = {name: place / name for name in ("train.parquet", "valid.parquet")}
        return {**own, "test.parquet": test}


def load(folder: Path, fingerprint: str) -> FoldSet:
    """Load a sealed folder after comparing every file with the manifest.

    Small files are hashed each time; a big one only when its size or time stamp is not the recorded one.
    Raises Damaged when anything is missing, altered, or was sealed for other settings (`fingerprint`).
    """
    manifest = read_json_or_none(folder / MANIFEST)
    if manifest is None or manifest["fingerprint"] != fingerprint:
        raise Damaged(f"{folder} has no intact {MANIFEST}, or was sealed for other settings")
    _verify_all(folder, manifest)
    names = [name for name in _ARRAYS if f"{name}.npy" in manifest["files"]]
    arrays = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in names}
    return FoldSet(folder, manifest, **arrays)


def stamp_of(path: Path) -> dict[str, Any]:
    """What the manifest records about a file."""
    status = os.lstat(path)
    return {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": sha256_file(path)}


def _verify_all(folder: Path, manifest: dict[str, Any]) -> None:
    for name, stamp in manifest["files"].items():
        _verify(folder / name, stamp)


def _verify(path: Path, stamp: dict[str, Any]) -> None:
    try:
        status = os.lstat(path)
    except OSError:
        raise Damaged(f"{path} is missing") from None
    if status.st_size != stamp["bytes"]:
        raise Damaged(f"{path} has {status.st_size} bytes, not {stamp['bytes']}")
    untouched = status.st_mtime_ns == stamp["mtime_ns"]
    if not (untouched and status.st_size > _ALWAYS_HASHED) and sha256_file(path) != stamp["sha256"]:
        raise Damaged(f"{path} fails its checksum")
