"""The folders that one experiment runs in: `.work/<round>/<random>/fold_k/{in,out}`, made fresh and cleared away."""

from __future__ import annotations

import json
import os
import re
import tempfile
import warnings
from contextlib import suppress
from mmap import PROT_READ, mmap
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.competitions.metrics import Metric
from orchestrator.competitions.tables import header
from orchestrator.config import CompetitionSection, Config
from orchestrator.errors import BadInput, OutputRejected
from orchestrator.execution.stage import remove_tree
from orchestrator.referee.earlier import Earlier
from orchestrator.referee.feature_cache import FeatureCache
from orchestrator.referee.sealed import FoldSet

Array = np.ndarray[Any, Any]
MAX_SCRIPT_BYTES = 100_000
_SAFE_NAME = re.compile(r"[\w-][\w.-]*")
_TABLES = (".csv", ".tsv", ".parquet", ".json", ".jsonl", ".ndjson")
_OPAQUE = re.compile(
    r"\.(zip|7z|rar|tar|tgz|tbz2?|txz|gz|bz2|xz|zst"
    r"|feather|arrow|orc|pkl|pickle|joblib|npy|npz|h5|hdf5?|xlsx?|sqlite3?|rds|rdata|dta|sav)(\.|$)",
    re.IGNORECASE,
)
"""May hold the labelled table under any name: people unpack where they downloaded, and keep tables in other forms."""
_FILES_OF_ROWS = 20
"""So many opaque files in a folder are one for each row, or for each of many groups, and no table."""


def read_script(path: Path) -> bytes:
    """The experiment's source, once it is a regular file of at most 100 kB.

    Raises OutputRejected; whether it compiles is another question, see `syntax_error`.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise OutputRejected(f"{path.name} can't be read as a regular file: {error.strerror}") from None
    with os.fdopen(handle, "rb") as file:
        if not path.is_file():
            raise OutputRejected(f"{path.name} is not a regular file")
        source = file.read(MAX_SCRIPT_BYTES + 1)
    if len(source) > MAX_SCRIPT_BYTES:
        raise OutputRejected(f"{path.name} is larger than {MAX_SCRIPT_BYTES // 1000} kB: a script carries no data")
    return source


def syntax_error(source: bytes, name: str) -> str | None:
    """One sentence with the line when the source does not compile."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source, name, "exec", dont_inherit=True)
    except SyntaxError as error:
        return f"{name} line {error.lineno}: {error.msg}"
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        return f"{name} does not compile: {type(error).__name__}" + (f": {error}" if str(error) else "")
    return None


class Workdir:
    """The scratch folder of one run: a context manager that leaves nothing. `fold` is an index or "full"."""

    def __init__(
        self,
        folder: Path,
        script: str,
        source: bytes,
        folds: FoldSet,
        earlier: list[Earlier],
        data: dict[str, Path],
        cache: FeatureCache | None = None,
    ) -> None:
        """`script` is the name that tracebacks will show."""
        self._round, self.folds, self.earlier, self.data, self._cache = folder, folds, earlier, data, cache
        remove_tree(folder)
        folder.mkdir(parents=True)
        # never the same path twice: an experiment of a killed orchestrator may live on for some milliseconds
        self.folder = Path(tempfile.mkdtemp(dir=folder))
        self.script = self.folder / script
        self.script.write_bytes(source)

    def __enter__(self) -> Workdir:
        return self

    def __exit__(self, *_: object) -> None:
        remove_tree(self._round)

    def out(self, fold: int | str) -> Path:
        return self.folder / f"fold_{fold}" / "out"

    def inputs(self, fold: int | str, task: dict[str, Any], weights: dict[str, Any] | None) -> dict[str, Path]:
        """Lay out one fold and name what goes under IN; OUT is new and empty."""
        self.clear_fold(fold)
        self.out(fold).mkdir(parents=True)
        place = self.out(fold).with_name("in")
        previous, data = place / "previous", place / "data"
        previous.mkdir(parents=True)
        data.mkdir()
        for other in self.earlier:
            for name, array in zip(("valid", "test"), other.seen_in(self.folds, fold), strict=True):
                np.save(previous / f"{other.label}_{name}.npy", array, allow_pickle=False)
        if weights is not None:
            (previous / "weights.json").write_text(json.dumps(weights, indent=1))
        (place / "task.json").write_text(json.dumps(task, indent=1))
        named = {**self.folds.tables(fold), "task.json": place / "task.json", "previous": previous}
        if self._cache is not None:
            named["cache"] = self._cache.place(fold)
        return {**named, **({f"data/{name}": path for name, path in self.data.items()} or {"data": data})}

    @property
    def cache_mb(self) -> int:
        """How much a run may leave in OUT/cache, and find in IN/cache."""
        return self._cache.room_mb(self.folds.folds) if self._cache is not None else 0

    def keep(self, fold: int | str) -> None:
        """Keep what a run left in OUT/cache for later experiments on this fold."""
        if self._cache is not None:
            self._cache.take(fold, self.out(fold) / "cache", self.cache_mb)

    def clear_fold(self, fold: int | str) -> None:
        remove_tree(self.folder / f"fold_{fold}")


def sweep_workdirs(campaign: Path) -> None:
    """Delete what the experiments of a killed loop left under `.work`; only while no other loop plays the campaign."""
    for folder in [*(campaign / ".work").glob("R[0-9]*"), campaign / ".work" / "trial", campaign / ".work" / "cache"]:
        remove_tree(folder)


def data_files(data: Path, spec: CompetitionSection) -> dict[str, Path]:
    """The competition's other files and folders, by name; never the labelled table, nor what may be a copy of it.

    Names that are not plain (spaces, hidden files, links) are left out.
    """
    labelled, tables = Path(spec.train).name.split(".")[0], _own_tables(spec)
    return {
        entry.name: entry
        for entry in (sorted(data.iterdir()) if data.is_dir() else [])
        if entry.name not in tables
        and _SAFE_NAME.fullmatch(entry.name)
        and not entry.is_symlink()
        and (entry.is_dir() or not (entry.name.split(".")[0] == labelled or _OPAQUE.search(entry.name)))
        and not _holds_labels(entry, {*spec.target_columns, *spec.submission_columns})
    }


def hidden_files(data: Path, spec: CompetitionSection) -> list[str]:
    """The other files and folders that `data_files` leaves out, but for those whose names begin with a dot."""
    known = {*data_files(data, spec), *_own_tables(spec)}
    return sorted(entry.name for entry in data.iterdir() if entry.name not in known and entry.name[0] != ".")


def _own_tables(spec: CompetitionSection) -> set[str]:
    return {Path(name).parts[0] for name in (spec.train, spec.test, spec.sample_submission)}


def _holds_labels(entry: Path, targets: set[str]) -> bool:
    """Is it a table with a target column, or a folder with one or with a form of it that is not looked into?"""
    if not entry.is_dir():
        return _names_target(entry, targets)
    opaque = 0
    for place, _, names in os.walk(entry):
        opaque += sum(bool(_OPAQUE.search(name)) for name in names)
        tables = sorted(name for name in names if name.lower().endswith(_TABLES))
        # files for each row are alike
        if any(_names_target(Path(place, name), targets) for name in (tables if len(tables) < 500 else tables[:20])):
            return True
    return 0 < opaque < _FILES_OF_ROWS


def _names_target(entry: Path, targets: set[str]) -> bool:
    if not entry.name.lower().endswith(_TABLES):
        return False
    if entry.suffix.lower() == ".parquet":
        from pyarrow import ArrowInvalid, parquet

        try:
            return not targets.isdisjoint(parquet.read_schema(entry).names)
        except (ArrowInvalid, OSError):
            return False
    with entry.open("rb") as file:
        if entry.suffix.lower() not in (".csv", ".tsv"):
            keys = b"|".join(re.escape(json.dumps(name)).encode() for name in sorted(targets))
            return entry.stat().st_size > 0 and bool(
                re.search(rb"(%s)\s*:" % keys, mmap(file.fileno(), 0, prot=PROT_READ))
            )
        names = re.split(r"[,;\t]", file.readline(1 << 20).decode("utf-8", errors="replace"))
    with suppress(BadInput):  # what is no table for us may be one for a script
        names += header(entry)
    return not targets.isdisjoint(name.strip(' "\r\n\ufeff') for name in names)


def task_record(config: Config, folds: FoldSet, metric: Metric, fold: int | str, **run: Any) -> dict[str, Any]:
    """What task.json says; `run` is what differs from round to round."""
    spec, manifest = config.competition, folds.manifest
    return {
        "fold": fold,
        "seed": config.cv.seed,
        "task": spec.task,
        "metric": metric.name,
        "maximize": metric.maximize,
        "metric_kind": metric.kind,
        "classes": spec.classes,
        "outputs": folds.outputs,
        "id_column": manifest["id_column"],
        "target_columns": spec.target_columns,
        "group_column": spec.group_column if spec.group_column in manifest["columns"] else None,
        "time_column": spec.time_column if spec.time_column in manifest["columns"] else None,
        "cv_strategy": folds.strategy,
        **{f"{kind}_columns": names for kind, names in manifest["kinds"].items()},
        "n_train": folds.rows if fold == "full" else folds.train_count(int(fold)),
        "n_valid": folds.valid_count(fold),
        "n_test": folds.test_rows,
        **run,
    }
