"""What config.json may say about metric, task, form and columns before anything is sealed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.competitions.check import check_columns
from orchestrator.competitions.check_scoring import check_scoring
from orchestrator.competitions.metrics import get_metric
from orchestrator.config import CompetitionSection
from orchestrator.errors import BadInput

GUESSED = {
    "target_columns": ["y"], "submission_columns": ["y"], "task": "binary", "classes": [0, 1], "metric": "accuracy",
    "submission_kind": "label",
}  # fmt: skip
CLASSES = {"task": "multiclass", "classes": ["a", "b", "c"]}
COLUMNS = {"submission_columns": ["a", "b", "c"]}
TWO = {"target_columns": ["u", "v"], "submission_columns": ["u", "v"], "classes": []}
AMOUNT = {"task": "regression", "classes": [], "submission_kind": "value"}
OWN = "MAXIMIZE = True\nPREDICTION = {!r}\ndef score(y, p):\n    return 0.5\n"


def section(**changes: Any) -> CompetitionSection:
    return CompetitionSection.model_validate({**GUESSED, **changes})


def check(spec: CompetitionSection, folder: Path = Path()) -> None:
    check_scoring(
        spec, get_metric(spec.metric, folder / spec.metric_file if spec.metric_file else None, task=spec.task)
    )


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"metric": "AUC ROC"}, "submission_kind is 'label', but auc takes probabilities: set it to 'probability'"),
    ({"metric": "log_loss"}, "but logloss takes probabilities: set it to 'probability'"),
    (
        {"metric": "rmse"},
        "task is 'binary', but rmse takes numbers: set it to 'regression' and competition.submission_kind to 'value'",
    ),
    ({"metric": "auc", "submission_kind": "value", "task": "regression"}, "set it to 'binary' or 'multiclass', or"),
    ({**AMOUNT, "metric": "f1"}, "submission_kind to 'label' and competition.classes to the list of the labels"),
    ({"submission_kind": "probability"}, "accuracy takes labels: set it to 'label'"),
    ({"submission_kind": "value"}, "accuracy takes labels: set it to 'label'"),
    ({**AMOUNT, "metric": "rmse", "submission_kind": "label"}, "rmse takes numbers: set it to 'value'"),
    ({**CLASSES, "metric": "log_loss"}, "set it to 'class_columns'"),
    ({**CLASSES, "metric": "log_loss", "submission_kind": "class_columns"}, "names 1, but"),
    ({**CLASSES, "metric": "map@3"}, "map@3 takes lists of labels: set it to 'ranked_list'"),
    ({**CLASSES, "metric": "map@3", "submission_kind": "ranked_list"}, "ranked_k is 0, but map@3 takes lists of 3"),
    ({**TWO, "task": "multilabel", "metric": "auc"}, "mean_column_auc takes probabilities: set it to 'probability'"),
    ({**TWO, "task": "multilabel", "metric": "auc", "submission_kind": "class_columns"}, "set it to 'probability'"),
    ({**TWO, "task": "multilabel", "metric": "mcrmse"}, "set it to 'multiregression'"),
    ({**AMOUNT, "metric": "ndcg@5"}, "group_column is not set, but ndcg@5 ranks rows within groups"),
    ({**CLASSES, "metric": "qwk", "submission_kind": "value"}, "qwk takes grades: set it to 'label'"),
]
RIGHT: list[dict[str, Any]] = [
    GUESSED,
    {"metric": "f1"},
    {"metric": "auc", "submission_kind": "probability"},
    {"metric": "auc", "submission_kind": "value"},
    {"metric": "auc", "submission_kind": "class_columns", "submission_columns": ["no", "yes"]},
    {**CLASSES, "metric": "accuracy"},
    {**CLASSES, **COLUMNS, "metric": "accuracy", "submission_kind": "class_columns"},
    {**CLASSES, **COLUMNS, "metric": "log_loss", "submission_kind": "class_columns"},
    {**CLASSES, "metric": "map@3", "submission_kind": "ranked_list", "ranked_k": 3},
    {**CLASSES, "metric": "qwk"},
    {**TWO, "task": "multilabel", "metric": "f1_micro"},
    {**TWO, "task": "multilabel", "metric": "mean column-wise AUC", "submission_kind": "probability"},
    {**TWO, "task": "multiregression", "metric": "mcrmse", "submission_kind": "value"},
    {**AMOUNT, "metric": "rmsle"},
    {**AMOUNT, "metric": "gini"},
    {**AMOUNT, "metric": "qwk", "submission_kind": "label"},
    {**AMOUNT, "metric": "ndcg", "group_column": "query"},
]


@pytest.mark.parametrize(("changes", "sentence"), WRONG)
def test_what_does_not_go_together_is_refused_with_what_to_set(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        check(section(**changes))
    assert sentence in str(caught.value) and str(caught.value).startswith("config.json: competition.")


@pytest.mark.parametrize("changes", RIGHT)
def test_what_goes_together_is_taken(changes: dict[str, Any]) -> None:
    check(section(**changes))


def test_a_metric_of_ones_own_tells_labels_from_numbers_alone(tmp_path: Path) -> None:
    (tmp_path / "metric.py").write_text(OWN.format("probability"))
    check(section(metric_file="metric.py", submission_kind="probability"), tmp_path)
    check(section(metric_file="metric.py", **AMOUNT), tmp_path)
    with pytest.raises(BadInput, match="takes probabilities: set it to 'probability'"):
        check(section(metric_file="metric.py"), tmp_path)
    (tmp_path / "metric.py").write_text(OWN.format("label"))
    check(section(metric_file="metric.py"), tmp_path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"text_columns": ["Nmae"]},
            "text_columns names 'Nmae', no column of train.csv and test.csv; did you mean 'Name'",
        ),
        ({"date_columns": ["WHEN"]}, "did you mean 'when'"),
        ({"drop_columns": ["zzz"]}, "the columns are id, Name, when, site, y"),
        ({"group_column": "sit"}, "group_column names 'sit', no column of train.csv; did you mean 'site'"),
        ({"time_column": "then"}, "did you mean 'when'"),
        ({"target_columns": ["Y"]}, "did you mean 'y'"),
        ({"target_columns": ["y", "y"]}, "target_columns names a column twice"),
        ({"drop_columns": ["id", "Name", "when", "site"]}, "drop_columns leaves no feature"),
    ],
)
def test_a_misspelt_column_is_named(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    (tmp_path / "train.csv").write_text("id,Name,when,site,y\n1,a,2020-01-01,x,0\n")
    (tmp_path / "test.csv").write_text("id,Name,when,site\n2,b,2020-01-02,x\n")
    named = {"text_columns": ["Name"], "date_columns": ["when"], "drop_columns": ["y"], "group_column": "site"}
    check_columns(tmp_path, section(**named))
    with pytest.raises(BadInput) as caught:
        check_columns(tmp_path, section(**{**named, **changes}))
    assert sentence in str(caught.value)
