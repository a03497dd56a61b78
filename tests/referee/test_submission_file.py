"""Submissions in every form that samples take, and what a validator must refuse."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from orchestrator.competitions.decisions import Decision
from orchestrator.config import CompetitionSection, parse
from orchestrator.errors import BadInput, OutputRejected
from orchestrator.referee.submission_file import build, validate

PLAIN = Decision("values", (None, None))


def spec_of(tmp_path: Path, sample: str, test_ids: list[Any] | None, **values: Any) -> CompetitionSection:
    (tmp_path / "sample_submission.csv").write_text(sample)
    rows = test_ids if test_ids is not None else [0] * (len(sample.splitlines()) - 1)
    pd.DataFrame({"id" if test_ids is not None else "x": rows}).to_csv(tmp_path / "test.csv", index=False)
    base = {"id_column": "id" if test_ids is not None else None, "target_columns": ["y"], "submission_columns": ["y"]}
    return parse({"competition": {**base, **values}}, "config.json").competition


def lines(spec: CompetitionSection, folder: Path, predictions: Any, decision: Decision = PLAIN) -> list[str]:
    csv = build(spec, folder, np.asarray(predictions, dtype=float), decision)
    validate(spec, csv, folder / "sample_submission.csv")
    return csv.decode().splitlines()


def test_rows_follow_the_samples_ids_which_stay_as_they_are_written(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "id,y\n007,0\n010,0\n003,0\n", ["003", "007", "010"], task="regression")
    assert lines(spec, tmp_path, [[3.0], [7.25], [1e-12]]) == ["id,y", "007,7.25", "010,1e-12", "003,3"]


def test_without_an_id_the_order_counts_and_other_columns_stay(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "note,y\na,0\nb,0\n", None, task="regression")
    assert lines(spec, tmp_path, [[1.5], [2.5]]) == ["note,y", "a,1.5", "b,2.5"]


@pytest.mark.parametrize(
    ("shown", "classes", "expected"),
    [
        (["False", "False"], [False, True], ["True", "False"]),
        (["true", "false"], [False, True], ["true", "false"]),
        (["0", "0"], [0, 1], ["1", "0"]),
        (["False", "True"], [0, 1], ["True", "False"]),
        (["1", "0"], [False, True], ["1", "0"]),
        (["0.0", "1.0"], [0, 1], ["1.0", "0.0"]),
        (["N", "N"], ["N", "Y"], ["Y", "N"]),
        (["", ""], [3.0, 4.0], ["4", "3"]),
        (["0.5", "0.5"], [0.5, 1.0], ["1.0", "0.5"]),
    ],
)
def test_labels_are_spelled_as_in_the_sample(
    tmp_path: Path, shown: list[str], classes: list[Any], expected: list[str]
) -> None:
    sample = "id,y\n" + "".join(f"{index},{text}\n" for index, text in enumerate(shown))
    spec = spec_of(tmp_path, sample, [0, 1], task="binary", classes=classes, submission_kind="label")
    got = lines(spec, tmp_path, [[0.9], [0.2]], Decision("thresholds", (0.5,)))
    assert [line.split(",")[1] for line in got[1:]] == expected


def test_multiclass_labels_and_columns_that_sum_to_one(tmp_path: Path) -> None:
    p = [[0.2, 0.5, 0.3], [1.0, 0.0, 0.0]]
    spec = spec_of(
        tmp_path, "id,y\n1,b\n2,b\n", [1, 2], task="multiclass", classes=["a", "b", "c"], submission_kind="label"
    )
    assert lines(spec, tmp_path, p, Decision("classes", (1.0, 1.0, 2.0)))[1:] == ["1,c", "2,a"]
    assert lines(spec, tmp_path, p)[1:] == ["1,b", "2,a"]
    columns = ["C_a", "C_b", "C_c"]
    spec = spec_of(tmp_path, "id,C_a,C_b,C_c\n1,0,0,1\n2,0,0,1\n", [1, 2], task="multiclass", classes=["a", "b", "c"],
                   submission_kind="class_columns", submission_columns=columns)  # fmt: skip
    rough = np.random.default_rng(0).random((2, 3)) / 3
    csv = build(spec, tmp_path, rough, PLAIN)
    table = pd.read_csv(io.BytesIO(csv))
    assert table[columns].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-8)
    validate(spec, csv, tmp_path / "sample_submission.csv")


def test_ranked_lists_grades_and_several_targets(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "id,y\n1,a b\n2,a b\n", [1, 2], task="multiclass", classes=["a", "b", "c"],
                   submission_kind="ranked_list", ranked_k=2)  # fmt: skip
    p = [[0.1, 0.6, 0.3], [0.5, 0.1, 0.4]]
    assert lines(spec, tmp_path, p, Decision("top_k", (2,)))[1:] == ["1,b c", "2,a c"]
    spec = spec_of(tmp_path, "id,y\n1,0\n2,0\n", [1, 2], task="regression", submission_kind="label")
    cuts = Decision("cuts", (0.5, 1.5), (0.0, 1.0, 2.0))
    assert lines(spec, tmp_path, [[1.7], [0.2]], cuts)[1:] == ["1,2", "2,0"]
    spec = spec_of(tmp_path, "id,u,v\n1,0,0\n2,0,0\n", [1, 2], task="multilabel", target_columns=["u", "v"],
                   submission_columns=["u", "v"], submission_kind="label")  # fmt: skip
    assert lines(spec, tmp_path, [[0.9, 0.1], [0.4, 0.6]], Decision("thresholds", (0.5, 0.5)))[1:] == ["1,1,0", "2,0,1"]
    spec = spec_of(tmp_path, "id,u,v\n1,0,0\n2,0,0\n", [1, 2], task="multiregression", target_columns=["u", "v"],
                   submission_columns=["u", "v"])  # fmt: skip
    low = Decision("values", (0.0, None))
    assert lines(spec, tmp_path, [[0.9, -1], [4, 6]], low)[1:] == ["1,0.9,0", "2,4,6"]


@pytest.mark.parametrize(
    ("sample", "ids", "rows", "said"),
    [
        ("id,y\n1,0\n2,0\n", [1, 3], 2, "the id '2' is not in test.csv"),
        ("id,y\n1,0\n2,0\n", [1, 2], 3, "2 rows, test.csv has 3"),
        ("id,z\n1,0\n2,0\n", [1, 2], 2, "lacks"),
        ("id,y\n1,0\n2,0\n", [1, 1], 2, "more than one row"),
    ],
)
def test_a_sample_that_does_not_fit_the_test_table(
    tmp_path: Path, sample: str, ids: list[int], rows: int, said: str
) -> None:
    spec = spec_of(tmp_path, sample, ids, task="regression")
    with pytest.raises(BadInput, match=said):
        build(spec, tmp_path, np.zeros((rows, 1)), PLAIN)


@pytest.mark.parametrize(
    ("csv", "said"),
    [
        ("id,y\n1,0.5\n", "1 rows"),
        ("id,y\n1,0.5\n2,0.5\n3,0\n", "3 rows"),
        ("y,id\n0.5,1\n0.5,2\n", "columns"),
        ("id,y,z\n1,0.5,0\n2,0.5,0\n", "columns"),
        ("id,y\n2,0.5\n1,0.5\n", "column id differs"),
        ("id,y\n1,0.5\n1,0.5\n", "column id differs"),
        ("id,y\n1,nan\n2,0.5\n", "'nan' in row 1"),
        ("id,y\n1,0.5\n2,inf\n", "'inf' in row 2"),
        ("id,y\n1,0.5\n2,\n", "'' in row 2"),
        ("id,y\n1,0.5\n2,True\n", "'True' in row 2"),
        ("", "no CSV"),
        ("id,y\n1,0.5,7,8\n2\n", "rows|column|no CSV"),
    ],
)
def test_a_bad_csv_is_refused(tmp_path: Path, csv: str, said: str) -> None:
    spec = spec_of(tmp_path, "id,y\n1,0\n2,0\n", [1, 2], task="regression")
    with pytest.raises(OutputRejected, match=said):
        validate(spec, csv.encode(), tmp_path / "sample_submission.csv")


def test_labels_that_do_not_exist_and_columns_that_do_not_sum_to_one_are_refused(tmp_path: Path) -> None:
    sample = tmp_path / "sample_submission.csv"
    spec = spec_of(tmp_path, "id,y\n1,a\n", [1], task="binary", classes=["a", "b"], submission_kind="label")
    with pytest.raises(OutputRejected, match="'c', which is no label"):
        validate(spec, b"id,y\n1,c\n", sample)
    spec = spec_of(tmp_path, "id,a,b\n1,0,1\n", [1], task="binary", classes=["a", "b"], submission_kind="class_columns",
                   submission_columns=["a", "b"])  # fmt: skip
    with pytest.raises(OutputRejected, match="sum to 1"):
        validate(spec, b"id,a,b\n1,0.5,0.4\n", sample)
    assert lines(spec, tmp_path, [[0.25]])[1:] == ["1,0.75,0.25"]
