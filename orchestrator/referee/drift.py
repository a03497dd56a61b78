"""What the data alone can tell the Reviewer: drift, copies and leaks between train and test. Computed once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.competitions import scoring_functions as sf
from orchestrator.files import read_json_or_none, write_json
from orchestrator.referee.sealed import FoldSet

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray[Any, Any]
Check = dict[str, Any]
_ROWS = 5_000
_HASHED_ROWS = 200_000
_BINS = 16
_DRIFT = 0.7
_LEAK = 0.15


def data_checks(folds: FoldSet, seed: int) -> list[Check]:
    """Adversarial validation, copies of test rows in train, and what ids and row order tell about the target.

    The result stays beside the sealed tables, since no round changes it.
    """
    path = folds.folder / "drift.json"
    kept = read_json_or_none(path)
    if kept is None or kept["hash"] != folds.hash:
        kept = {"hash": folds.hash, "checks": _compute(folds, seed)}
        write_json(path, kept)
    return list(kept["checks"])


def check(name: str, ok: bool, evidence: str) -> Check:
    return {"name": name, "ok": bool(ok), "evidence": evidence}


def _compute(folds: FoldSet, seed: int) -> list[Check]:
    import pandas as pd

    columns = folds.manifest["columns"]
    id_column = folds.manifest["id_column"]
    extra = [id_column] if id_column and id_column not in columns else []
    train = pd.read_parquet(folds.folder / "full.parquet", columns=columns + extra)
    test = pd.read_parquet(folds.folder / "test.parquet", columns=columns + extra)
    kinds = folds.manifest["kinds"]
    usable = [name for name in columns if name not in kinds["text"] and name != id_column]
    return [
        _adversarial(train[usable], test[usable], seed),
        _copies(train[[name for name in columns if name != id_column]], test),
        _order_leak("row_order", np.arange(len(train), dtype=float), folds),
        *([_order_leak("id", _as_numbers(train[id_column]), folds)] if id_column else []),
    ]


def _adversarial(train: pd.DataFrame, test: pd.DataFrame, seed: int) -> Check:
    """How well a model tells test rows from train rows, on rows that it did not learn from.

    The model adds up one binned log odds per column: quick, and enough for the drifts that hurt.
    """
    import pandas as pd

    name = "adversarial_validation"
    rng = np.random.default_rng(seed)
    picks = [table.iloc[rng.permutation(len(table))[: _ROWS // 2]] for table in (train, test)]
    if min(map(len, picks)) < 20 or train.shape[1] == 0:
        return check(name, True, "too few rows or columns to tell")
    both = pd.concat(picks, ignore_index=True)
    y = np.repeat([0, 1], [len(pick) for pick in picks])
    order = rng.permutation(len(y))
    learn, look = order[: len(y) // 2], order[len(y) // 2 :]
    odds = np.column_stack([_log_odds(_as_numbers(both[column]), y, learn) for column in both.columns])[look]
    auc = sf.roc_auc(y[look], odds.sum(axis=1, keepdims=True))
    alone = [sf.roc_auc(y[look], column[:, None]) for column in odds.T]
    top = [
        f"{train.columns[index]} ({alone[index]:.2f})" for index in np.argsort(alone)[::-1][:5] if alone[index] > 0.55
    ]
    said = f"a model tells test from train rows with AUC {auc:.3f}"
    return check(name, not auc > _DRIFT, f"{said}; by {', '.join(top)}" if top else said)


def _log_odds(x: Array, y: Array, learn: Array) -> Array:
    """(rows,) log odds of y = 1 in the row's bin of x, counted on the rows `learn`; NaN is a bin of its own."""
    known = x[learn][np.isfinite(x[learn])]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)[1:-1])) if len(known) else np.empty(0)
    place = np.where(np.isfinite(x), np.searchsorted(edges, x, side="right"), len(edges) + 1)
    counts = [np.bincount(place[learn][y[learn] == side], minlength=len(edges) + 2) + 1.0 for side in (0, 1)]
    return np.log(counts[1] / counts[1].sum() / (counts[0] / counts[0].sum()))[place]


def _copies(train: pd.DataFrame, test: pd.DataFrame) -> Check:
    """Test rows whose features all stand in a train row too."""
    import pandas as pd

    if train.shape[1] == 0:
        return check("duplicates", True, "no feature columns")
    looked = test[list(train.columns)].iloc[:_HASHED_ROWS]
    hashes = [pd.util.hash_pandas_object(table, index=False) for table in (train.iloc[:_HASHED_ROWS], looked)]
    share = float(hashes[1].isin(hashes[0]).mean())
    return check("duplicates", share < 0.01, f"{share:.2%} of the test rows have all the features of some train row")


def _order_leak(name: str, by: Array, folds: FoldSet) -> Check:
    """The largest rank correlation of an order with a target column (with a class, for several classes)."""
    rng = np.random.default_rng(0)
    rows = np.sort(rng.permutation(folds.rows)[: 4 * _ROWS])
    y = np.asarray(folds.labels[rows], dtype=float).reshape(len(rows), -1)
    classes = len(folds.manifest["classes"])
    if classes > 2 and y.shape[1] == 1:
        y = (y == np.arange(min(classes, 50))).astype(float)
    found = [sf.spearman(by[rows], column) for column in y.T if np.ptp(column) > 0]
    strongest = max((abs(value) for value in found if np.isfinite(value)), default=0.0)
    noise = 4 / np.sqrt(max(len(rows), 1))
    said = f"rank correlation of {name.replace('_', ' ')} with the target is up to {strongest:.3f}"
    return check(f"{name}_leak", strongest < max(_LEAK, noise), said)


def _as_numbers(column: pd.Series) -> Array:
    """float64 values; texts become numbers where they all are, else the order of their first appearance."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return column.to_numpy(dtype=float, na_value=np.nan)
    numbers = pd.to_numeric(column, errors="coerce")
    if numbers.notna().all():
        return numbers.to_numpy(dtype=float)
    codes = pd.factorize(column, sort=True)[0]
    return np.where(codes < 0, np.nan, codes.astype(float))
