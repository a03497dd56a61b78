"""The examples of prompts/contract.md run as they stand, through the referee, in the sandbox."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agents import prompts
from tests.referee.conftest import ROWS, TEST_ROWS, Stand, make_stand, sandbox  # noqa: F401


def examples() -> list[str]:
    text = (prompts.PROJECT_PROMPTS / "contract.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_the_contracts_examples_run_through_the_referee(make_stand: Callable[..., Stand]) -> None:  # noqa: F811
    stand = make_stand(cv__folds=2)
    first = stand.run(examples()[0])
    assert first["status"] == "ok" and first["verdict"] == "keep", first["reason"]
    assert first["cv"] > 0.7
    blend = {"strategy": {"role": "blend"}, "earlier": [stand.files(1)], "seconds": 60.0}
    second = stand.referee().trial(stand.files(2), examples()[1].encode(), **blend)
    assert second["problem"] == "" and second["score"] == pytest.approx(first["fold_scores"][0]), second["log"]


TARGETS: dict[str, dict[str, Any]] = {
    "multiclass": {"classes": ["low", "mid", "high"], "metric": "logloss", "submission_kind": "class_columns",
                   "submission_columns": ["p0", "p1", "p2"]},
    "multilabel": {"metric": "mean_column_auc", "target_columns": ["u", "v"], "submission_columns": ["u", "v"]},
    "multiregression": {"metric": "mcrmse", "target_columns": ["u", "v"], "submission_columns": ["u", "v"],
                        "submission_kind": "value"},
}  # fmt: skip


@pytest.mark.parametrize("task", TARGETS)
def test_the_example_plays_every_task(make_stand: Callable[..., Stand], task: str) -> None:  # noqa: F811
    settings = {"task": task, "classes": [], **TARGETS[task]}
    stand = make_stand(
        cv__folds=2,
        cv__strategy="kfold",
        competition__date_columns=["day"],
        **{f"competition__{key}": value for key, value in settings.items()},
    )
    train, test = (pd.read_csv(stand.data / f"{name}.csv", dtype={"id": str}) for name in ("train", "test"))
    x = train["x0"].to_numpy()
    day = pd.date_range("2024-01-01", periods=ROWS).astype(str)
    columns: dict[str, Any] = {"target": np.array(["low", "mid", "high"])[np.digitize(x, [-0.5, 0.5])]}
    if task.startswith("multi") and task != "multiclass":
        columns = {"u": x > 0, "v": train["x1"] > 0} if task == "multilabel" else {"u": x, "v": -2 * x}
        columns = {name: np.asarray(values, dtype=float) for name, values in columns.items()}
    train = train.drop(columns="target").assign(day=day, **columns)
    test = test.assign(day=day[:TEST_ROWS])
    train.loc[5:9, ["x1", "city"]] = np.nan
    test.loc[0, "city"] = "Lima"
    sample = pd.DataFrame({"id": test["id"]}).assign(
        **dict.fromkeys(settings.get("submission_columns", ["target"]), 0.0)
    )
    stand.write(train, test, sample)
    found = stand.referee().trial(stand.files(1), examples()[0].encode(), strategy={}, earlier=[], seconds=60)
    assert found["problem"] == "" and found["score"] is not None, found["log"]
    best_constant = {"multiclass": 1.05, "multiregression": 1.2}
    assert found["score"] > 0.8 if task == "multilabel" else found["score"] < best_constant[task]
