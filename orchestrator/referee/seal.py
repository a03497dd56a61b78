"""Round 0: split the data once and seal it, so that every experiment of the campaign meets the same folds.

The folder is built beside its place and renamed into it. Whoever loses it (a disk error, an edit) gets the same one
again: the assignment depends on the data, config.json and the most rows allowed, which `R00_folds.json` remembers
beside its hash. A rebuilt folder that differs ends the campaign, because its scores could not be compared with the
earlier ones.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.competitions.infer_cv import FOLDS
from orchestrator.competitions.stray_words import read_features
from orchestrator.config import CompetitionSection, Config
from orchestrator.errors import Damaged, FatalEnding
from orchestrator.files import fsync_folder, read_json_or_none, write_json
from orchestrator.referee.folds import digest, train_mask
from orchestrator.referee.labelled_rows import labelled_rows
from orchestrator.referee.labels import class_values, output_count
from orchestrator.referee.sealed import MANIFEST, FoldSet, load, stamp_of
from orchestrator.rounds import RoundFiles

if TYPE_CHECKING:
    import pandas as pd

    Pair = tuple[pd.DataFrame, pd.DataFrame]

Array = np.ndarray[Any, Any]
_CODEC = "lz4"
_AT_ONCE = 2
"""Folds that are written side by side: each is a copy of nearly the whole table."""
_FORMAT = 1


def seal(
    campaign: Path, config: Config, most: int | None = None, count: int = FOLDS, tables: Pair | None = None
) -> FoldSet:
    """The campaign's folds: loaded when they are intact, built otherwise.

    What was sealed before says how many labelled rows there are at most, and how many folds where `cv.folds` is null;
    at first `cv.rows` does, or else `most` and `count`. `tables` are train and test where they were read before
    (`read_data`). Raises BadInput for data or settings that can't be split,
    FatalEnding when a rebuilt folder would differ from the one that earlier rounds were scored with.
    """
    folder = campaign / "competition" / "sealed"
    record = RoundFiles(campaign / "rounds", 0).path("folds.json")
    told = read_json_or_none(record)
    before = told or read_json_or_none(folder / MANIFEST)
    most = before.get("most") if before else config.cv.rows or most
    config = with_folds(config, before["folds"] if before else count)
    fingerprint = fingerprint_of(config, most)
    try:
        folds = load(folder, fingerprint)
    except Damaged:
        build(campaign, config, expected=before["hash"] if before else None, most=most, tables=tables)
        folds = load(folder, fingerprint)
    if told is None:
        record.parent.mkdir(exist_ok=True)
        keys = ("hash", "strategy", "folds", "seed", "rows", "left_out", "most")
        write_json(record, {key: folds.manifest.get(key) for key in keys})
    return folds


def with_folds(config: Config, count: int) -> Config:
    """`config`, of which cv.folds is `count` where it is null."""
    return config.model_copy(update={"cv": config.cv.model_copy(update={"folds": config.cv.folds or count})})


def fingerprint_of(config: Config, most: int | None) -> str:
    """A hash of the settings that decide what the sealed folder holds."""
    tables = ["train", "test", "id_column", "target_columns", "task", "classes"]
    columns = ["group_column", "time_column", "text_columns", "date_columns", "drop_columns"]
    relevant = {key: getattr(config.competition, key) for key in tables + columns}
    relevant |= {"most": most} if most else {}
    return digest(json.dumps([_FORMAT, relevant, config.cv.model_dump(exclude={"rows"})], sort_keys=True))


def build(
    campaign: Path, config: Config, *, expected: str | None, most: int | None, tables: Pair | None = None
) -> None:
    """Build the sealed folder from competition/data; `expected` is the hash it must have, when one is known.

    cv.folds must be a number (`with_folds`). Of more labelled rows than `most` the others stay out (see
    `some_rows`), and kept.npy tells which are in.
    """
    home = campaign / "competition"
    for leftover in home.glob(".sealed.*"):
        shutil.rmtree(leftover, ignore_errors=True)
    temp = Path(tempfile.mkdtemp(prefix=".sealed.", dir=home))
    try:
        _fill(temp, tables or read_data(campaign, config), config, expected, most)
        _swap(temp, home / "sealed")
    finally:
        shutil.rmtree(temp, ignore_errors=True)


def read_data(campaign: Path, config: Config) -> Pair:
    """Train and test as they are sealed and described; ids are texts. Raises BadInput when one can't be read."""
    spec = config.competition
    ids = [] if spec.id_column is None or spec.id_column in spec.date_columns else [spec.id_column]
    return read_features(campaign / "competition" / "data", spec, ids)


def _fill(temp: Path, tables: Pair, config: Config, expected: str | None, most: int | None) -> None:
    spec, cv, (train, test) = config.competition, config.cv, tables
    rows, given = labelled_rows(train, test, config), len(train)
    kept = rows.choose(most, config) if most is not None and most < given else None
    if kept is not None:
        train, rows = train.iloc[kept].reset_index(drop=True), rows.at(kept)
    assignment = rows.assign(config)
    identity = digest("\n".join(map(str, test[spec.id_column].tolist()))) if spec.id_column in test.columns else ""
    found = digest(cv.strategy, cv.count, cv.seed, assignment, rows.y, len(test), identity)
    if expected is not None and found != expected:
        raise FatalEnding(
            f"the sealed folds can't be rebuilt: {spec.train}, {spec.test} or the cv settings changed under a running "
            f"campaign, or a newer version of this program reads or splits the tables otherwise, so new scores could "
            f"not be compared with the old; restore them, or start a new campaign"
        )
    columns = _feature_columns(train, test, config)
    id_column = spec.id_column if spec.id_column in train.columns and spec.id_column in test.columns else None
    extra = [id_column] if id_column is not None and id_column not in columns else []
    train, test = _harmonise(train, test, extra + columns)
    arrays = {"assignment": assignment, "labels": rows.y, "groups": rows.groups, "runs": rows.runs, "kept": kept}
    for name, array in arrays.items():
        if array is not None:
            np.save(temp / f"{name}.npy", array, allow_pickle=False)
    _write_tables(temp, train, test, rows.y, assignment, config)
    manifest = {
        "hash": found,
        "fingerprint": fingerprint_of(config, most),
        "strategy": cv.strategy,
        "folds": cv.count,
        "seed": cv.seed,
        "rows": len(rows.y),
        "left_out": given - len(rows.y),
        "most": most,
        "test_rows": len(test),
        "outputs": output_count(spec),
        "y_dtype": str(rows.y.dtype),
        "classes": spec.classes,
        "id_column": id_column,
        "columns": columns,
        "kinds": _kinds(train, columns, spec),
        "files": _flushed(temp),
    }
    write_json(temp / MANIFEST, manifest)


def _flushed(folder: Path) -> dict[str, Any]:
    """Every file and folder below goes to the disk; the stamps of the files, by name."""
    for path in folder.rglob("*"):
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(zip(files, pool.map(lambda name: stamp_of(folder / name), files), strict=True))


def _feature_columns(train: pd.DataFrame, test: pd.DataFrame, config: Config) -> list[str]:
    """What train and test share, in train's order, without targets, dropped columns and ids (but for a date as id)."""
    spec = config.competition
    out = {*spec.target_columns, *spec.drop_columns, *({spec.id_column} - {*spec.date_columns})}
    return [name for name in train.columns if name in test.columns and name not in out]


def _kinds(train: pd.DataFrame, columns: list[str], spec: CompetitionSection) -> dict[str, list[str]]:
    """The features by kind, as task.json lists them: each in exactly one list."""
    import pandas as pd

    kinds: dict[str, list[str]] = {name: [] for name in ("numeric", "categorical", "text", "date", "bool")}
    for name in columns:
        dtype = train[name].dtype
        if name in spec.date_columns:
            kind = "date"
        elif name in spec.text_columns:
            kind = "text"
        elif pd.api.types.is_bool_dtype(dtype):
            kind = "bool"
        else:
            kind = "numeric" if pd.api.types.is_numeric_dtype(dtype) else "categorical"
        kinds[kind].append(name)
    return kinds


def _harmonise(train: pd.DataFrame, test: pd.DataFrame, columns: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Only `columns`, with one type each in both tables, of the types that parquet knows."""
    import pandas as pd

    left, right = train[columns].copy(deep=False), test[columns].copy(deep=False)
    for name in columns:
        kinds = (left[name].dtype, right[name].dtype)
        if kinds[0] == kinds[1] and str(kinds[0]) != "object":
            continue
        numeric = all(pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind) for kind in kinds)
        for table in (left, right):
            column = table[name]
            table[name] = column.astype("float64") if numeric else column.astype("string").astype("str")
    return left, right


def _write_tables(
    temp: Path, train: pd.DataFrame, test: pd.DataFrame, y: Array, assignment: Array, config: Config
) -> None:
    import pyarrow as pa

    spec, cv = config.competition, config.cv
    features = labelled = pa.Table.from_pandas(train, preserve_index=False)
    classes = spec.task in ("binary", "multiclass")
    targets = [class_values(spec.classes, y)] if classes else [pa.array(column) for column in y.reshape(len(y), -1).T]
    for name, values in zip(spec.target_columns, targets, strict=True):
        labelled = labelled.append_column(name, values)
    _write(temp / "test.parquet", pa.Table.from_pandas(test, preserve_index=False))
    _write(temp / "full.parquet", labelled)

    def write_fold(fold: int) -> None:
        place = temp / f"fold_{fold}"
        place.mkdir()
        _write(place / "train.parquet", labelled.filter(pa.array(train_mask(assignment, fold, cv.strategy))))
        _write(place / "valid.parquet", features.filter(pa.array(assignment == fold)))

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(write_fold, range(cv.count)))


def _write(path: Path, table: Any) -> None:
    import pyarrow.parquet as pq

    text = [field.name for field in table.schema if str(field.type) in ("string", "large_string")]
    pq.write_table(table, path, compression=_CODEC, use_dictionary=text or False, write_statistics=False)


def _swap(temp: Path, place: Path) -> None:
    old = place.with_name(".sealed.old")
    with contextlib.suppress(FileNotFoundError):
        os.rename(place, old)
    os.rename(temp, place)
    fsync_folder(place.parent)
    shutil.rmtree(old, ignore_errors=True)
