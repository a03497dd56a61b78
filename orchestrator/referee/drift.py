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
_DRIFT = 0.7
_LEAK = 0.15


def data_checks(folds: FoldSet, seed: int, cores: int) -> list[Check]:
    """Adversarial validation, copies of test rows in train, and what ids and row order tell about the target.

    The result stays beside the sealed tables, since no round changes it.
    """
    path = folds.folder / "drift.json"
    kept = read_json_or_none(path)
    if kept is None or kept["hash"] != folds.hash:
        kept = {"hash": folds.hash, "checks": _compute(folds, seed, cores)}
        write_json(path, kept)
    return list(kept["checks"])


def check(name: str, ok: bool, evidence: str) -> Check:
    return {"name": name, "ok": bool(ok), "evidence": evidence}


def _compute(folds: FoldSet, seed: int, cores: int) -> list[Check]:
    import pandas as pd

    columns = folds.manifest["columns"]
    id_column = folds.manifest["id_column"]
    extra = [id_column] if id_column and id_column not in columns else []
    train = pd.read_parquet(folds.folder / "full.parquet", columns=columns + extra)
    test = pd.read_parquet(folds.folder / "test.parquet", columns=columns + extra)
    kinds = folds.manifest["kinds"]
    usable = [name for name in columns if name not in kinds["text"] and name != id_column]
    return [
        _adversarial(train[usable], test[usable], seed, cores),
        _copies(train[[name for name in columns if name != id_column]], test),
        _order_leak("row_order", np.arange(len(train), dtype=float), folds),
        *([_order_leak("id", _as_numbers(train[id_column]), folds)] if id_column else []),
    ]


def _adversarial(train: pd.DataFrame, test: pd.DataFrame, seed: int, cores: int) -> Check:
    """How well a small model tells test rows from train rows, on rows that it did not learn from."""
    import lightgbm
    import pandas as pd

    name = "adversarial_validation"
    rng = np.random.default_rng(seed)
    picks = [table.iloc[rng.permutation(len(table))[: _ROWS // 2]] for table in (train, test)]
    if min(map(len, picks)) < 20 or train.shape[1] == 0:
        return check(name, True, "too few rows or columns to tell")
    both = pd.concat(picks, ignore_index=True)
    x = np.column_stack([_as_numbers(both[column]) for column in both.columns])
    y = np.repeat([0, 1], [len(pick) for pick in picks])
    order = rng.permutation(len(y))
    learn, look = order[: len(y) // 2], order[len(y) // 2 :]
    settings = {"objective": "binary", "num_leaves": 15, "learning_rate": 0.1, "verbosity": -1, "seed": seed,
                "num_threads": min(cores, 4), "deterministic": True, "force_row_wise": True}  # fmt: skip
    booster = lightgbm.train(settings, lightgbm.Dataset(x[learn], label=y[learn]), num_boost_round=50)
    auc = sf.roc_auc(y[look], np.asarray(booster.predict(x[look])).reshape(-1, 1))
    weight = booster.feature_importance("gain")
    top = [str(train.columns[index]) for index in np.argsort(-weight)[:5] if weight[index] > 0]
    said = f"a model tells test from train rows with AUC {auc:.3f}"
    return check(name, not auc > _DRIFT, f"{said}; by {', '.join(top)}" if auc > 0.55 and top else said)


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
