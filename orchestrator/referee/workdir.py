"""The folders that one experiment runs in: `.work/<round>/fold_k/{in,out}`, made fresh and cleared away."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.config import CompetitionSection, Config
from orchestrator.errors import OutputRejected
from orchestrator.execution.stage import remove_tree
from orchestrator.referee.earlier import Earlier
from orchestrator.referee.sealed import FoldSet

Array = np.ndarray[Any, Any]
MAX_SCRIPT_BYTES = 100_000
_SAFE_NAME = re.compile(r"[\w-][\w.-]*")


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
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source, name, "exec", dont_inherit=True)
    except SyntaxError as error:
        return f"{name} line {error.lineno}: {error.msg}"
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        return f"{name} does not compile: {error}"
    return None


class Workdir:
    """The scratch folder of one run; `fold` is an index or "full"."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, name: str, source: bytes) -> Path:
        """An empty folder with the script in it, by the name that tracebacks will show."""
        self.clear()
        self.folder.mkdir(parents=True)
        script = self.folder / name
        script.write_bytes(source)
        return script

    def out(self, fold: int | str) -> Path:
        return self.folder / f"fold_{fold}" / "out"

    def inputs(
        self, fold: int | str, folds: FoldSet, task: dict[str, Any], earlier: list[Earlier], data: dict[str, Path],
        weights: dict[str, Any] | None,
    ) -> dict[str, Path]:  # fmt: skip
        """Lay out one fold and name what goes under IN; OUT is new and empty."""
        self.clear_fold(fold)
        self.out(fold).mkdir(parents=True)
        place = self.out(fold).with_name("in")
        previous = place / "previous"
        previous.mkdir(parents=True)
        for other in earlier:
            valid, test = other.seen_in(folds, fold)
            np.save(previous / f"{other.label}_valid.npy", valid, allow_pickle=False)
            np.save(previous / f"{other.label}_test.npy", test, allow_pickle=False)
        if weights is not None:
            (previous / "weights.json").write_text(json.dumps(weights, indent=1))
        (place / "task.json").write_text(json.dumps(task, indent=1))
        named = {**folds.tables(fold), "task.json": place / "task.json", "previous": previous}
        if data:
            return {**named, **{f"data/{name}": path for name, path in data.items()}}
        (place / "data").mkdir()
        return {**named, "data": place / "data"}

    def clear_fold(self, fold: int | str) -> None:
        remove_tree(self.folder / f"fold_{fold}")

    def clear(self) -> None:
        remove_tree(self.folder)


def data_files(data: Path, spec: CompetitionSection) -> dict[str, Path]:
    """The competition's other files and folders, by name; never the labelled table, nor an archive or copy of it.

    Names that are not plain (spaces, hidden files, links) are left out.
    """
    labelled = Path(spec.train).name.split(".")[0]
    tables = {Path(name).parts[0] for name in (spec.train, spec.test, spec.sample_submission)}
    entries = sorted(data.iterdir()) if data.is_dir() else []
    return {
        entry.name: entry
        for entry in entries
        if entry.name not in tables
        and not (entry.name.split(".")[0] == labelled and not entry.is_dir())
        and _SAFE_NAME.fullmatch(entry.name)
        and not entry.is_symlink()
    }


def task_record(
    config: Config, folds: FoldSet, fold: int | str, *, number: int, metric: Any, cores: int, seconds: float,
    memory_mb: int, data: dict[str, Path], previous: list[str],
) -> dict[str, Any]:  # fmt: skip
    """What task.json says."""
    spec, manifest = config.competition, folds.manifest
    full = fold == "full"
    kinds = manifest["kinds"]
    return {
        "round": number,
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
        **{f"{kind}_columns": kinds[kind] for kind in ("numeric", "categorical", "text", "date", "bool")},
        "n_train": folds.rows if full else folds.train_count(int(fold)),
        "n_valid": folds.test_rows if full else len(folds.valid_rows[int(fold)]),
        "n_test": folds.test_rows,
        "cores": cores,
        "seconds": round(seconds, 1),
        "memory_mb": memory_mb,
        "data": sorted(data),
        "previous": previous,
    }
