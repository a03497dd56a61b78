"""Evidence for the Reviewer about one complete run: is it what it seems? Checks state facts, they end nothing.

What the data alone can tell (drift, copies and leaks between train and test) is computed once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.competitions import scoring_functions as sf
from orchestrator.competitions.metrics import Metric
from orchestrator.competitions.own_metric import score_or_nan
from orchestrator.config import Config
from orchestrator.files import read_json_or_none, write_json
from orchestrator.referee.earlier import Earlier
from orchestrator.referee.score import plainly_decided
from orchestrator.referee.sealed import FoldSet

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray[Any, Any]
Check = dict[str, Any]
_LOOKED_AT = 100_000
_TOO_GOOD = 0.995
_APART = 0.1
_ROWS = 5_000
_HASHED_ROWS = 200_000
_BINS = 16
_DRIFT = 0.7
_LEAK = 0.15


def probe(config: Config, metric: Metric, folds: FoldSet, run: Earlier) -> dict[str, Any]:
    """{"checks": [{"name", "ok", "evidence"}, …]} for a run whose artifacts are intact."""
    oof = np.asarray(run.oof[folds.validated])
    test = np.asarray(run.test)
    checks = [
        _constant(oof, test),
        _range(config.competition.task, folds, oof, test),
        _outside(oof, test),
        _shift(oof, np.asarray(run.folds_test).reshape(-1, folds.outputs)),
        _dispersion(run),
        _too_good(config, metric, folds, run),
        *_data_checks(folds, config.cv.seed),
    ]
    return {"checks": checks}


def _constant(oof: Array, test: Array) -> Check:
    flat = [name for name, values in (("out-of-fold", oof), ("test", test)) if not np.ptp(values, axis=0).any()]
    said = f"the {' and '.join(flat)} predictions are constant" if flat else "predictions vary from row to row"
    return _check("constant_predictions", not flat, said)


def _range(task: str, folds: FoldSet, oof: Array, test: Array) -> Check:
    """Values beyond what the target ever was, by more than a tenth of its range."""
    if task not in ("regression", "multiregression"):
        low, high = float(min(oof.min(), test.min())), float(max(oof.max(), test.max()))
        return _check("range", True, f"probabilities from {low:.4g} to {high:.4g}")
    y = np.asarray(folds.labels).reshape(folds.rows, -1)
    low, high = np.nanmin(y, axis=0), np.nanmax(y, axis=0)
    slack = 0.1 * (high - low)
    beyond = max(float(((part < low - slack) | (part > high + slack)).mean()) for part in (oof, test))
    return _check("range", beyond < 0.01, f"up to {beyond:.2%} of the predictions lie far outside the target's range")


def _outside(oof: Array, test: Array) -> Check:
    share = float(((test < oof.min(axis=0)) | (test > oof.max(axis=0))).mean())
    return _check("test_outside_oof", share < 0.01, f"{share:.2%} of the test predictions lie outside the OOF range")


def _shift(oof: Array, test: Array) -> Check:
    """Kolmogorov-Smirnov distance between out-of-fold and test predictions, the largest over the outputs.

    `test` holds those of every fold's model: their mean varies less than one model does, which is no shift.
    """
    oof, test = (values[:: max(1, len(values) // _LOOKED_AT)] for values in (oof, test))
    distance = max(_ks(a, b) for a, b in zip(oof.T, test.T, strict=True))
    noise = 1.63 * np.sqrt(1 / len(oof) + 1 / len(test))
    said = f"distance between the distributions of OOF and test predictions: {distance:.3f} (noise up to {noise:.3f})"
    return _check("prediction_shift", distance < max(_APART, noise), said)


def _ks(a: Array, b: Array) -> float:
    a, b = np.sort(a), np.sort(b)
    points = np.concatenate([a, b])
    return float(
        np.abs(np.searchsorted(a, points, "right") / len(a) - np.searchsorted(b, points, "right") / len(b)).max()
    )


def _dispersion(run: Earlier) -> Check:
    scores = np.array([value for value in run.record["fold_scores"] if value is not None])
    expected = run.record["se"] * np.sqrt(len(scores))
    worst = float(np.abs(scores - scores.mean()).max())
    said = f"fold scores {', '.join(f'{value:.5g}' for value in scores)}: spread {scores.std():.2g}"
    ok = expected == 0 or worst < 4 * expected
    return _check("fold_dispersion", ok, f"{said}, row noise per fold about {expected:.2g}")


def _too_good(config: Config, metric: Metric, folds: FoldSet, run: Earlier) -> Check:
    """Where the score lies between a constant prediction (0) and the truth itself (1)."""
    rows = folds.validated
    rows = rows[:: max(1, len(rows) // _LOOKED_AT)]
    y, outputs = np.asarray(folds.labels[rows]), folds.outputs
    truth = (y[:, None] == np.arange(outputs)).astype(float) if outputs > 1 and y.ndim == 1 else y.astype(float)
    truth = truth.reshape(len(rows), outputs)
    mean = np.tile(truth.mean(axis=0), (len(rows), 1))
    if (holes := np.isnan(truth)).any():
        mean[:] = np.where(holes, 0.0, truth).sum(axis=0) / np.maximum((~holes).sum(axis=0), 1)
        truth = np.where(holes, mean, truth)
    ends = []
    for predictions in (mean, truth):
        decided = plainly_decided(metric, folds, rows, predictions, config.competition.classes)
        ends.append(score_or_nan(metric, y, decided, None if folds.groups is None else folds.groups[rows]))
    low, high = ends
    if not np.isfinite(low) or not np.isfinite(high) or high == low:
        return _check("too_good", True, "no scale: a constant prediction has no score by this metric")
    skill = (run.record["cv"] - low) / (high - low)
    said = f"CV {run.record['cv']:.5g}, a constant gets {low:.5g}, the truth {high:.5g}: {skill:.1%} of the way"
    return _check("too_good", skill < _TOO_GOOD, said)


def _data_checks(folds: FoldSet, seed: int) -> list[Check]:
    """Adversarial validation, copies of test rows in train, and what ids and row order tell about the target.

    The result stays beside the sealed tables, since no round changes it.
    """
    path = folds.folder / "drift.json"
    kept = read_json_or_none(path)
    if kept is None or kept["hash"] != folds.hash:
        kept = {"hash": folds.hash, "checks": _compute(folds, seed)}
        write_json(path, kept)
    return list(kept["checks"])


def _check(name: str, ok: bool, evidence: str) -> Check:
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
        return _check(name, True, "too few rows or columns to tell")
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
    return _check(name, not auc > _DRIFT, f"{said}; by {', '.join(top)}" if top else said)


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
        return _check("duplicates", True, "no feature columns")
    looked = test[list(train.columns)].iloc[:_HASHED_ROWS]
    hashes = [pd.util.hash_pandas_object(table, index=False) for table in (train.iloc[:_HASHED_ROWS], looked)]
    share = float(hashes[1].isin(hashes[0]).mean())
    return _check("duplicates", share < 0.01, f"{share:.2%} of the test rows have all the features of some train row")


def _order_leak(name: str, by: Array, folds: FoldSet) -> Check:
    """The largest rank correlation of an order with a target column (with a class, for several classes)."""
    rng = np.random.default_rng(0)
    rows = np.sort(rng.permutation(folds.rows)[: 4 * _ROWS])
    y = np.asarray(folds.labels[rows], dtype=float).reshape(len(rows), -1)
    classes = len(folds.manifest["classes"])
    if classes > 2 and y.shape[1] == 1:
        y = (y == np.arange(min(classes, 50))).astype(float)
    strongest, ok = 0.0, True
    for column in y.T:
        known = ~np.isnan(column)
        if known.any() and np.ptp(column[known]) > 0:
            value = abs(sf.spearman(by[rows][known], column[known]))
            if np.isfinite(value):
                strongest = max(strongest, value)
                ok = ok and value < max(_LEAK, 4 / np.sqrt(known.sum()))
    said = f"rank correlation of {name.replace('_', ' ')} with the target is up to {strongest:.3f}"
    return _check(f"{name}_leak", ok, said)


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
