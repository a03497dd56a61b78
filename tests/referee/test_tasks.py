"""Every task and kind of metric goes all the way: from a script's .npy to a record and a submission."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.referee.conftest import ROWS, TEST_ROWS, Stand

SCRIPT = """
import json, sys
import numpy as np
task = json.load(open(sys.argv[1] + "/task.json"))
table = np.load(sys.argv[1] + "/data/tables.bin")
np.save(sys.argv[2] + "/valid.npy", table[f"valid_{task['fold']}"])
np.save(sys.argv[2] + "/test.npy", table["test"])
"""
LETTERS = ["a", "b", "c", "d"]
COLUMNS = [f"p_{letter}" for letter in LETTERS]

CASES: dict[str, dict[str, Any]] = {
    "logloss": {"task": "multiclass", "classes": LETTERS, "submission_columns": COLUMNS,
                "submission_kind": "class_columns"},
    "accuracy": {"task": "multiclass", "classes": LETTERS, "submission_kind": "label"},
    "f1_macro": {"task": "multiclass", "classes": LETTERS, "submission_kind": "label"},
    "map@3": {"task": "multiclass", "classes": LETTERS, "submission_kind": "ranked_list", "ranked_k": 3},
    "rmsle": {"task": "regression"},
    "qwk": {"task": "regression", "submission_kind": "label"},
    "mean_column_auc": {"task": "multilabel", "target_columns": ["u", "v"], "submission_columns": ["u", "v"],
                        "submission_kind": "probability"},
    "mcrmse": {"task": "multiregression", "target_columns": ["u", "v"], "submission_columns": ["u", "v"]},
}  # fmt: skip


def targets(
    case: dict[str, Any], metric: str, rng: np.random.Generator
) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """Target columns of train, predictions of train rows, predictions of test rows."""
    rows = ROWS + TEST_ROWS
    if case["task"] == "multiclass":
        y = rng.integers(0, 4, ROWS)
        p = rng.dirichlet(np.ones(4), rows)
        p[:ROWS][np.arange(ROWS), y] += 0.7
        return {"target": np.array(LETTERS)[y]}, p[:ROWS] / p[:ROWS].sum(axis=1, keepdims=True), p[ROWS:]
    if case["task"] == "regression":
        y = rng.integers(0, 5, ROWS).astype(int)
        return {"target": y}, y + 0.5 * rng.normal(size=ROWS), rng.random(TEST_ROWS) * 4
    y2 = rng.random((ROWS, 2)) if case["task"] == "multiregression" else rng.integers(0, 2, (ROWS, 2))
    p2 = np.clip(y2 * 0.3 + 0.7 * rng.random((ROWS, 2)), 0, 1)
    return {"u": y2[:, 0], "v": y2[:, 1]}, p2, rng.random((TEST_ROWS, 2))


@pytest.mark.parametrize("metric", CASES)
def test_the_whole_way(make_stand: Callable[..., Stand], metric: str) -> None:
    case = CASES[metric]
    settings = {"metric": metric, "classes": [], "submission_kind": "value", **case}
    strategy = "stratified" if case["task"] in ("multiclass", "multilabel") else "kfold"
    stand = make_stand(cv__strategy=strategy, cv__folds=2, **{f"competition__{key}": v for key, v in settings.items()})
    train, test = (pd.read_csv(stand.data / f"{name}.csv", dtype={"id": str}) for name in ("train", "test"))
    columns, valid, test_predictions = targets(case, metric, np.random.default_rng(0))
    train = train.drop(columns="target").assign(**columns)
    sample = pd.DataFrame({"id": test["id"]})
    for name in settings.get("submission_columns", ["target"]):
        sample[name] = "a" if case.get("submission_kind") == "label" and settings["classes"] else 0
    stand.write(train, test, sample)
    folds = stand.referee().seal()
    parts = {f"valid_{fold}": valid[rows] for fold, rows in enumerate(folds.valid_rows)}
    with (stand.data / "tables.bin").open("wb") as file:  # an .npz by name is kept from experiments
        np.savez(file, test=test_predictions, **parts)
    record = stand.run(SCRIPT)
    assert (record["status"], record["reason"]) == ("ok", "keep: the first complete score")
    assert record["se"] > 0 and len(record["fold_scores"]) == 2
    again = stand.run(SCRIPT + "#", 2, role="blend", best=1, earlier=(1,))
    assert (again["verdict"], again["gain"], again["correlations"]) == ("discard", 0.0, {"R01": 1.0})
    csv = pd.read_csv(stand.files(1).path("submission.csv"), dtype=str)
    assert csv["id"].tolist() == test["id"].tolist() and list(csv) == list(sample)
    shown = csv.iloc[:, 1]
    if settings["submission_kind"] == "ranked_list":
        assert shown.str.split().map(len).eq(3).all()
    elif settings["submission_kind"] == "label":
        assert set(shown) <= ({*LETTERS} if settings["classes"] else {"0", "1", "2", "3", "4"})
    checks = stand.referee().probes(stand.files(1))["checks"]
    assert len(checks) >= 9 and all(check["evidence"] for check in checks)
