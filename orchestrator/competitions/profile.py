"""Round 0's profile: what the tables hold, as one bounded JSON object that agents read instead of the data."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.competitions.infer_columns import Kind, kinds_of, parse_dates, thinned
from orchestrator.competitions.tables import header
from orchestrator.config import CompetitionSection, Config
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray[Any, Any]
MAX_COLUMNS = 200
MAX_NAMES = 1000
MAX_FILES = 100
TOP = 10
MAX_ROWS = 200_000
"""Quantiles, deviation and skew come from about so many rows."""
MAX_CLASSES = 100
QUANTILES = {"p01": 0.01, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p99": 0.99}


def lists_of(found: dict[str, Kind], spec: CompetitionSection) -> dict[str, list[str]]:
    """numeric_, categorical_, text_, date_ and bool_columns among the columns `found`.

    What config.json lists as text or date stands; a column with one value is in no list.
    """
    lists: dict[str, list[str]] = {f"{key}_columns": [] for key in ("numeric", "categorical", "text", "date", "bool")}
    keys = {"number": "numeric", "category": "categorical", "json": "text"}
    for name, kind in found.items():
        stated = "text" if name in spec.text_columns else "date" if name in spec.date_columns else kind
        if stated != "constant":
            lists[f"{keys.get(stated, stated)}_columns"].append(name)
    return lists


def profile(
    campaign: Path, config: Config, kept: Array | None, train: pd.DataFrame, test: pd.DataFrame
) -> dict[str, Any]:
    """Describe train and test of a campaign (`referee.seal.read_data`); JSON-safe (no NaN), 200 columns in detail.

    `kept`: the rows of train that the campaign learns from, where not all. Raises BadInput when train lacks some.
    """
    spec, data = config.competition, campaign / "competition" / "data"
    ids = [spec.id_column] if spec.id_column else []
    given = len(train)
    if kept is not None:
        if kept[-1] >= given:
            raise BadInput(f"{data / spec.train} has {given} rows, fewer than when the folds were sealed: restore it")
        train = train.iloc[kept]
    train_only = [name for name in train.columns if name not in test.columns and name not in spec.target_columns]
    out = {*spec.target_columns, *spec.drop_columns, *(name for name in ids if name not in spec.date_columns)}
    features = [name for name in train.columns if name in test.columns and name not in out]
    kinds = kinds_of(train[features])
    details = {name: _column(train[name], test[name], kinds[name]) for name in features[:MAX_COLUMNS]}
    record = {
        "rows": {"train": len(train), "test": len(test)},
        "rows_left_out": given - len(train),
        "columns": {"train": len(train.columns), "test": len(test.columns), "features": len(features)},
        "memory_mb": round((train.memory_usage(deep=True).sum() + test.memory_usage(deep=True).sum()) / 1e6, 1),
        "target": {name: _target(train[name], config) for name in spec.target_columns if name in train.columns},
        "one_target": _one_target(train, config),
        "kind_counts": {kind: list(kinds.values()).count(kind) for kind in sorted(set(kinds.values()))},
        **{key: names[:MAX_NAMES] for key, names in lists_of(kinds, spec).items()},
        "constant_columns": [name for name in features if kinds[name] == "constant"][:MAX_NAMES],
        "json_columns": [name for name in features if kinds[name] == "json"][:MAX_NAMES],
        "train_only_columns": [name for name in train_only if name not in ids],
        "test_only_columns": [name for name in test.columns if name not in train.columns],
        "missing_shifts": _missing_shifts(train, test, features),
        "duplicates": _duplicates(train, test, features),
        "repeated_rows": _repeated_rows(train, spec.id_column),
        "column_details": details,
        "columns_not_detailed": max(0, len(features) - MAX_COLUMNS),
        "files": _files(data, {spec.train, spec.test, spec.sample_submission}),
    }
    safe: dict[str, Any] = _json_safe(record)
    return safe


def _column(train: pd.Series, test: pd.Series, kind: Kind) -> dict[str, Any]:
    """One column: kind, holes, distinct values, and the numbers that its kind calls for."""
    values = train.dropna()
    entry: dict[str, Any] = {
        "kind": kind,
        "missing": round(1 - len(values) / len(train), 4),
        "missing_test": round(float(test.isna().mean()), 4),
        "distinct": int(values.nunique()),
    }
    if kind == "number":
        entry |= _numbers(values)
    elif kind == "date":
        entry |= _dates(train, test)
    elif kind in ("text", "json"):
        entry |= _lengths(values.astype(str))
    else:
        texts = values.astype(str)
        entry["top"] = {str(text)[:80]: int(count) for text, count in texts.value_counts().head(TOP).items()}
        fresh = test.dropna().astype(str)
        entry["unseen_in_test"] = round(float((~fresh.isin(texts.drop_duplicates())).mean()), 4) if len(fresh) else 0.0
    return entry


def _numbers(values: pd.Series) -> dict[str, Any]:
    numbers = values.astype(float)
    finite = numbers[numbers.abs() != math.inf]
    if len(finite) == 0:
        return {"infinite": len(numbers)}
    few = thinned(finite, MAX_ROWS)
    places = few.quantile(list(QUANTILES.values()))
    return {
        "min": finite.min(),
        "max": finite.max(),
        "mean": finite.mean(),
        "std": few.std(),
        "skew": few.skew() if len(few) > 2 else None,
        "zeros": round(float((finite == 0).mean()), 4),
        "whole": all(bool((part % 1 == 0).all()) for part in (few, finite)),  # some tell of most that they are not
        "infinite": len(numbers) - len(finite),
        **dict(zip(QUANTILES, places, strict=True)),
    }


def _dates(train: pd.Series, test: pd.Series) -> dict[str, Any]:
    parsed = {"train": parse_dates(train), "test": parse_dates(test)}
    spans = {name: [dates.min(), dates.max()] for name, dates in parsed.items() if dates is not None}
    return {"span": {name: [date.isoformat() for date in span] for name, span in spans.items()}}


def _lengths(texts: pd.Series) -> dict[str, Any]:
    sample = thinned(texts)
    characters, words = sample.str.len(), sample.str.count(r"\s+") + 1
    return {
        "characters": {"mean": characters.mean(), "max": int(characters.max())},
        "words": {"mean": words.mean(), "max": int(words.max())},
    }


def _target(values: pd.Series, config: Config) -> dict[str, Any]:
    known = values.dropna()
    entry: dict[str, Any] = {"missing": int(values.isna().sum()), "distinct": int(known.nunique())}
    if config.competition.task in ("binary", "multiclass", "multilabel") or entry["distinct"] <= 20:
        shares = known.astype(str).value_counts(normalize=True)
        entry["shares"] = {str(text)[:80]: round(float(share), 6) for text, share in shares.head(MAX_CLASSES).items()}
        entry["rarest_rows"] = int(known.value_counts().min()) if len(known) else 0
    if known.dtype.kind in "iuf" and config.competition.task in ("regression", "multiregression"):
        entry |= _numbers(known)
        if len(known) > 2 and known.min() > -1:
            import numpy as np

            entry["skew_of_log1p"] = known.astype(float).map(np.log1p).skew()
    return entry


def _one_target(train: pd.DataFrame, config: Config) -> float | None:
    """Of several targets of 0 and 1, the share of rows in which exactly one is 1; None for other tasks."""
    if config.competition.task != "multilabel":
        return None
    labels = train[config.competition.target_columns].astype(float)
    return round(float(((labels.sum(axis=1) == 1) & labels.notna().all(axis=1)).mean()), 4)


def _missing_shifts(train: pd.DataFrame, test: pd.DataFrame, features: list[str]) -> dict[str, list[float]]:
    """Columns whose share of holes differs most between train and test, by 2 points or more: [train, test]."""
    left, right = train[features].isna().mean(), test[features].isna().mean()
    gaps = (left - right).abs().sort_values(ascending=False)
    return {name: [round(left[name], 4), round(right[name], 4)] for name in gaps[gaps >= 0.02].index[:20]}


def _duplicates(train: pd.DataFrame, test: pd.DataFrame, features: list[str]) -> dict[str, int]:
    """Rows with the same features as an earlier one, and test rows with the features of a train row."""
    if not features:
        return {"train_rows": 0, "test_rows": 0, "test_rows_in_train": 0}
    left, right = _row_hashes(train[features]), _row_hashes(test[features])
    return {
        "train_rows": int(left.duplicated().sum()),
        "test_rows": int(right.duplicated().sum()),
        "test_rows_in_train": int(right.isin(left).sum()),
    }


def _repeated_rows(train: pd.DataFrame, id_column: str | None) -> int:
    """Rows that are the same as an earlier one to the id: a file put together twice rather than two alike cases."""
    if id_column not in train.columns or not (again := train[id_column].duplicated(keep=False)).any():
        return 0
    return int(_row_hashes(train[again]).duplicated().sum())


def _row_hashes(frame: pd.DataFrame) -> pd.Series:
    """One number per row; numbers count as equal whatever their type."""
    import numpy as np
    import pandas as pd

    total = np.zeros(len(frame), dtype=np.uint64)
    for name in frame.columns:
        column = frame[name]
        numeric = pd.api.types.is_numeric_dtype(column.dtype)
        column = column.astype("float64") if numeric else column.astype("string").fillna("").astype(object)
        total = total * np.uint64(1000003) + pd.util.hash_array(column.to_numpy(), categorize=True)
    return pd.Series(total)


def _files(data: Path, tables: set[str]) -> list[dict[str, Any]]:
    """The other files beside the tables: name, how many (for a folder), bytes, and the columns of a table."""
    entries: list[dict[str, Any]] = []
    for path in sorted(data.iterdir()):
        if path.name in tables or path.name.startswith("."):
            continue
        inside = [item for item in path.rglob("*") if item.is_file()] if path.is_dir() else [path]
        entry: dict[str, Any] = {"name": path.name + ("/" if path.is_dir() else ""), "files": len(inside)}
        entry["bytes"] = sum(item.stat().st_size for item in inside)
        if path.is_file() and path.suffix in (".csv", ".tsv", ".parquet"):
            entry["columns"] = _columns_of(path)
        entries.append(entry)
    return entries[:MAX_FILES]


def _columns_of(path: Path) -> list[str]:
    try:
        return header(path)[:50]
    except BadInput:
        return []


def _json_safe(value: Any) -> Any:
    """Plain Python types, floats at six significant digits, and None for what is no number."""
    if isinstance(value, dict):
        return {str(key): _json_safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_safe(item) for item in value]
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
