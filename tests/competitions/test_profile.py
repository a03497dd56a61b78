"""The profile: right about small tables, safe as JSON, bounded for wide ones."""

import json
import time

import numpy as np
import pandas as pd
import pytest

from orchestrator import config
from orchestrator.competitions.create import create
from orchestrator.competitions.profile import MAX_COLUMNS, lists_of, profile
from orchestrator.config import CompetitionSection
from orchestrator.referee.seal import read_data
from tests.competitions.making import Folder


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path / "made")
    made.target("y", made.rng.integers(0, 2, 200), 0.5)
    return made


def profiled(folder: Folder) -> dict:
    campaign = folder.path.parent / "campaign"
    create(campaign, folder.write())
    made = config.load(campaign / "config.json", {})
    record = profile(campaign, made, None, *read_data(campaign, made))
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    return record


def test_numbers_categories_and_holes(folder):
    folder.train.loc[:49, "x1"] = float("nan")
    folder.test.loc[0, "colour"] = "green"
    record = profiled(folder)
    x1, colour = record["column_details"]["x1"], record["column_details"]["colour"]
    assert (x1["kind"], x1["missing"], x1["missing_test"], x1["distinct"]) == ("number", 0.25, 0.0, 150)
    assert x1["min"] == pytest.approx(folder.train["x1"].min(), rel=1e-5)
    assert x1["p50"] == pytest.approx(folder.train["x1"].median(), rel=1e-5)
    assert sum(colour["top"].values()) == 200 and colour["unseen_in_test"] == pytest.approx(1 / 60, abs=1e-4)
    assert record["missing_shifts"] == {"x1": [0.25, 0.0]}
    assert record["rows"] == {"train": 200, "test": 60}
    assert record["numeric_columns"] == ["x1", "x2"] and record["categorical_columns"] == ["colour"]
    shares = record["target"]["y"]["shares"]
    assert shares["1"] == pytest.approx(folder.train["y"].mean()) and sum(shares.values()) == pytest.approx(1)


def test_dates_texts_flags_and_constants(folder):
    for frame in (folder.train, folder.test):
        frame["day"] = [f"2020-{row % 12 + 1:02d}-{row % 28 + 1:02d}" for row in range(len(frame))]
        frame["note"] = [f"the {row} brown foxes jump over it" for row in range(len(frame))]
        frame["flag"] = [row % 3 == 0 for row in range(len(frame))]
        frame["same"] = 1
        frame["list"] = [f"[{row}]" for row in range(len(frame))]
    record = profiled(folder)
    assert record["date_columns"] == ["day"] and record["bool_columns"] == ["flag"]
    assert record["text_columns"] == ["note", "list"] and record["json_columns"] == ["list"]
    assert record["constant_columns"] == ["same"]
    assert record["column_details"]["day"]["span"]["train"][0] == "2020-01-01T00:00:00"
    assert record["column_details"]["note"]["words"] == {"mean": 7.0, "max": 7}


def test_regression_targets_tell_their_skew(folder):
    folder.target("y", np.exp(folder.rng.normal(5, 1, 200)), 1.5)
    target = profiled(folder)["target"]["y"]
    assert target["skew"] > 1 > abs(target["skew_of_log1p"])


def test_duplicates_and_columns_of_one_table(folder):
    folder.train["leak"] = 1.5
    folder.test["fresh"] = 1.5
    folder.train.loc[1, ["x1", "x2", "colour"]] = folder.train.loc[0, ["x1", "x2", "colour"]]
    folder.test.loc[5, ["x1", "x2", "colour"]] = folder.train.loc[7, ["x1", "x2", "colour"]]
    record = profiled(folder)
    assert record["duplicates"] == {"train_rows": 1, "test_rows": 0, "test_rows_in_train": 1}
    assert (record["train_only_columns"], record["test_only_columns"]) == (["leak"], ["fresh"])


def test_infinite_and_empty_columns_are_json(folder):
    for frame in (folder.train, folder.test):
        frame["wild"] = [float("inf"), -1.0, 2.0, *range(len(frame) - 3)]
    folder.train["empty"], folder.test["empty"] = None, 1.0
    record = profiled(folder)
    assert record["column_details"]["wild"]["infinite"] == 1 and record["column_details"]["empty"]["missing"] == 1


def test_other_files_are_listed(folder):
    (folder.write() / "pictures").mkdir()
    (folder.path / "pictures" / "1.txt").write_text("one")
    pd.DataFrame({"shop": [1], "city": ["x"]}).to_csv(folder.path / "shops.csv", index=False)
    assert profiled(folder)["files"] == [
        {"name": "pictures/", "files": 1, "bytes": 3},
        {"name": "shops.csv", "files": 1, "bytes": 14, "columns": ["shop", "city"]},
    ]


def test_wide_tables_are_summarised(folder):
    wide = [f"w{number}" for number in range(MAX_COLUMNS + 100)]
    for name, rows in (("train", 200), ("test", 60)):
        numbers = pd.DataFrame(folder.rng.normal(size=(rows, len(wide))), columns=wide)
        setattr(folder, name, pd.concat([getattr(folder, name), numbers], axis=1))
    record = profiled(folder)
    assert len(record["column_details"]) == MAX_COLUMNS and record["columns_not_detailed"] == 103
    assert record["kind_counts"] == {"category": 1, "number": 302}


def test_a_stated_kind_stands():
    lists = lists_of({"name": "category", "n": "number"}, CompetitionSection(text_columns=["name"]))
    assert (lists["text_columns"], lists["numeric_columns"], lists["categorical_columns"]) == (["name"], ["n"], [])


def test_a_hundred_thousand_rows_take_seconds(tmp_path):
    folder = Folder(tmp_path / "big", 100_000, 30_000)
    folder.target("y", folder.rng.integers(0, 2, 100_000), 0.5)
    folder.write()
    started = time.process_time()
    create(tmp_path / "campaign", folder.path)
    made = config.load(tmp_path / "campaign" / "config.json", {})
    profile(tmp_path / "campaign", made, None, *read_data(tmp_path / "campaign", made))
    assert time.process_time() - started < 10


def test_the_share_of_rows_with_one_of_several_targets(folder):
    names = ["a", "b", "c"]
    labels = np.eye(4)[np.arange(200) % 4][:, :3]  # every fourth row has none
    labels[1] = 1
    labels[2, 0] = np.nan
    folder.train[names], folder.sample[names] = labels, 0.5
    folder.train, folder.sample = folder.train.drop(columns="y"), folder.sample.drop(columns="y")
    folder.meta.update(metric="mean_column_auc")
    assert profiled(folder)["one_target"] == (150 - 2) / 200


def test_one_target_has_no_such_share(folder):
    assert profiled(folder)["one_target"] is None


@pytest.mark.parametrize("again", [0, 30])
def test_rows_that_stand_twice_with_their_ids_are_counted(folder, again):
    folder.train = pd.concat([folder.train, folder.train[:again]])
    assert profiled(folder)["repeated_rows"] == again
