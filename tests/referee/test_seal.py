"""Round 0: what the sealed folder holds, and that it survives damage but not changed data."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from orchestrator.errors import BadInput, Damaged, FatalEnding
from orchestrator.files import read_json, write_json
from orchestrator.referee.sealed import load
from tests.referee.conftest import ROWS, TEST_ROWS, Stand


def test_tables_hold_what_each_side_may_know(stand: Stand) -> None:
    folds = stand.referee().seal()
    assert stat.S_IMODE(folds.folder.stat().st_mode) == 0o700
    features = ["id", "x0", "x1", "x2", "city"]
    raw = pd.read_csv(stand.data / "train.csv", dtype={"id": str})
    for fold in range(3):
        tables = {name: pd.read_parquet(path) for name, path in folds.tables(fold).items()}
        assert list(tables["train.parquet"]) == [*features, "target"]
        assert list(tables["valid.parquet"]) == list(tables["test.parquet"]) == features
        rows = folds.valid_rows[fold]
        assert tables["valid.parquet"]["id"].tolist() == raw["id"].iloc[rows].tolist()
        others = np.setdiff1d(np.arange(ROWS), rows)
        assert tables["train.parquet"]["id"].tolist() == raw["id"].iloc[others].tolist()
        assert tables["train.parquet"]["target"].tolist() == raw["target"].iloc[others].tolist()
        assert folds.train_count(fold) == len(others)
    assert len(tables["test.parquet"]) == TEST_ROWS
    assert tables["test.parquet"]["id"].iloc[0] == "0200"
    assert np.array_equal(folds.labels, stand.truth.astype(int))
    record = read_json(stand.files(0).path("folds.json"))
    told = {"strategy": "stratified", "folds": 3, "seed": 7, "rows": ROWS, "left_out": 0, "most": None}
    assert record == {"hash": folds.hash, **told}


@pytest.mark.parametrize("name", ["folds.json", "assignment.npy", "labels.npy", "fold_1/valid.parquet", "test.parquet"])
@pytest.mark.parametrize("damage", ["flip", "cut", "lose"])
def test_a_damaged_folder_is_rebuilt_to_the_same_bytes(stand: Stand, name: str, damage: str) -> None:
    folds = stand.referee().seal()
    before = {path.relative_to(folds.folder): path.read_bytes() for path in folds.folder.rglob("*.[np][pa]*")}
    path = folds.folder / name
    data = path.read_bytes()
    if damage == "lose":
        path.unlink()
    else:
        middle = len(data) // 2
        path.write_bytes(
            data[:middle] if damage == "cut" else data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        )
    with pytest.raises(Damaged):
        load(folds.folder, str(folds.manifest["fingerprint"]))
    again = stand.referee().seal()
    assert again.hash == folds.hash
    assert {path.relative_to(again.folder): path.read_bytes() for path in again.folder.rglob("*.[np][pa]*")} == before
    assert not list(again.folder.parent.glob(".sealed.*"))


def test_an_intact_folder_is_loaded_not_built(stand: Stand) -> None:
    folds = stand.referee().seal()
    made = (folds.folder / "folds.json").stat().st_mtime_ns
    (stand.data / "train.csv").unlink()
    assert stand.referee().seal().hash == folds.hash
    assert (folds.folder / "folds.json").stat().st_mtime_ns == made


@pytest.mark.parametrize("change", ["labels", "rows", "test order", "seed"])
def test_other_data_under_a_running_campaign_ends_it(stand: Stand, change: str) -> None:
    folds = stand.referee().seal()
    train, test = (pd.read_csv(stand.data / f"{name}.csv", dtype={"id": str}) for name in ("train", "test"))
    if change == "labels":
        train.loc[3, "target"] = "yes" if train.loc[3, "target"] == "no" else "no"
    elif change == "rows":
        train = train[:-1]
    elif change == "test order":
        test = test[::-1]
    else:
        stand.raw["cv"]["seed"] = 8
    stand.write(train, test, pd.read_csv(stand.data / "sample_submission.csv", dtype={"id": str}))
    (folds.folder / "labels.npy").unlink()
    with pytest.raises(FatalEnding, match="changed under a running"):
        stand.referee().seal()
    assert not list(folds.folder.parent.glob(".sealed.*"))


def test_a_column_more_is_no_reason_to_end(stand: Stand) -> None:
    folds = stand.referee().seal()
    stand.raw["competition"]["drop_columns"] = ["x2"]
    again = stand.referee().seal()
    assert again.hash == folds.hash and again.manifest["columns"] == ["x0", "x1", "city"]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("classes", ["no", "maybe"], "'yes', which competition.classes does not list"),
        ("classes", ["no"], "list the different labels"),
        ("target_columns", ["y"], "target_columns"),
        ("task", "regression", "not numeric"),
    ],
)
def test_settings_that_do_not_fit_the_data_are_named(stand: Stand, key: str, value: object, said: str) -> None:
    stand.raw["competition"][key] = value
    with pytest.raises(BadInput, match=said):
        stand.referee().seal()
    assert not (stand.root / "competition" / "sealed").exists()


def test_three_labels_are_not_binary(stand: Stand) -> None:
    cities = sorted(set(pd.read_csv(stand.root / "competition/data/train.csv")["city"]))
    stand.raw["competition"] |= {"target_columns": ["city"], "classes": cities}
    with pytest.raises(BadInput, match=f"'binary', but city has {len(cities)} labels: set it to 'multiclass'"):
        stand.referee().seal()


@pytest.mark.parametrize(("factor", "said"), [(1e31, "values of 1e.30 or more"), (np.inf, "infinite values")])
def test_numbers_that_nothing_can_learn_are_refused(stand: Stand, factor: float, said: str) -> None:
    table = pd.read_csv(stand.root / "competition/data/train.csv")
    table["x0"] *= factor
    table.to_csv(stand.root / "competition/data/train.csv", index=False)
    stand.raw["competition"] |= {"target_columns": ["x0"], "task": "regression", "metric": "rmse"}
    with pytest.raises(BadInput, match=said):
        stand.referee().seal()


def test_types_agree_between_train_and_test(make_stand: Callable[..., Stand], tmp_path: Path) -> None:
    stand = make_stand(competition__classes=[False, True])
    n = 40
    train = pd.DataFrame({"id": range(n), "a": range(n), "b": ["x", "1"] * (n // 2), "c": [True, None] * (n // 2)})
    train["flag"] = [True, False] * (n // 2)
    train["target"] = [True, False] * (n // 2)
    test = pd.DataFrame({"id": range(n), "a": [0.5, None] * (n // 2), "b": range(n), "c": [True, False] * (n // 2)})
    test["flag"] = True
    stand.write(train, test, pd.DataFrame({"id": range(n), "target": False}))
    folds = stand.referee().seal()
    tables = [pd.read_parquet(path) for path in folds.tables(0).values()]
    for name in ("id", "a", "b", "c", "flag"):
        assert len({str(table[name].dtype) for table in tables}) == 1
    assert folds.manifest["kinds"] == {
        "numeric": ["a"], "categorical": ["b", "c"], "text": [], "date": [], "bool": ["flag"]
    }  # fmt: skip
    assert tables[0]["target"].dtype == bool


def test_time_folds_train_on_the_past_only(make_stand: Callable[..., Stand]) -> None:
    stand = make_stand(cv__strategy="time", competition__time_column="when")
    train = pd.read_csv(stand.data / "train.csv", dtype={"id": str})
    test = pd.read_csv(stand.data / "test.csv", dtype={"id": str})
    days = pd.date_range("2020-01-01", periods=ROWS).strftime("%Y-%m-%d")
    train["when"] = np.random.default_rng(0).permutation(days)
    test["when"] = "2021-01-01"
    stand.write(train, test, pd.read_csv(stand.data / "sample_submission.csv", dtype={"id": str}))
    folds = stand.referee().seal()
    assert len(folds.validated) == 150
    for fold in range(3):
        tables = {name: pd.read_parquet(path) for name, path in folds.tables(fold).items()}
        assert tables["train.parquet"]["when"].max() < tables["valid.parquet"]["when"].min()
        assert len(tables["train.parquet"]) == folds.train_count(fold) == 50 * (fold + 1)


def in_time(stand: Stand, order: np.ndarray, times: list[object]) -> np.ndarray:
    """The fold of each row as they follow in time, where row i of train is the order[i]-th and has times[order[i]]."""
    train, test, sample = (
        pd.read_csv(stand.data / f"{name}.csv", dtype={"id": str}) for name in ("train", "test", "sample_submission")
    )
    stand.write(train.assign(when=[times[place] for place in order]), test.assign(when=times[-1]), sample)
    return stand.referee().seal().assignment[np.argsort(order)]


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y %H:%M", "offsets", "numbers"])
def test_times_are_in_order_however_they_are_written(make_stand: Callable[..., Stand], form: str) -> None:
    stand = make_stand(cv__strategy="time", competition__time_column="when")
    moments = pd.date_range("2015-03-01", periods=ROWS, tz="Europe/Rome")
    written: list[object] = list(moments.strftime("%Y-%m-%d %H:%M:%S%z" if form == "offsets" else form))
    folds = in_time(stand, np.random.default_rng(0).permutation(ROWS), [*range(ROWS)] if form == "numbers" else written)
    assert (np.diff(folds) >= 0).all() and len(np.unique(folds)) == 4


@pytest.mark.parametrize("dates", [True, False])
def test_a_row_without_a_time_is_the_earliest(make_stand: Callable[..., Stand], dates: bool) -> None:
    stand = make_stand(cv__strategy="time", competition__time_column="when")
    times: list[object] = list(pd.date_range("2015-03-01", periods=ROWS).strftime("%d/%m/%Y") if dates else range(ROWS))
    times[150] = None
    folds = in_time(stand, np.arange(ROWS), times)
    assert folds[150] == -1 and (np.diff(np.delete(folds, 150)) >= 0).all()


@pytest.mark.parametrize("form", ["%b-%Y", "%b %Y", "%m/%Y", "quarters", "%H:%M"])
def test_times_that_are_no_whole_dates_are_in_order(make_stand: Callable[..., Stand], form: str) -> None:
    stand = make_stand(cv__strategy="time", competition__time_column="when")
    moments = pd.date_range("2001-01-01", periods=ROWS, freq="7min" if form == "%H:%M" else "QS")
    written: list[object] = list(moments.to_period("Q").astype(str) if form == "quarters" else moments.strftime(form))
    folds = in_time(stand, np.random.default_rng(0).permutation(ROWS), written)
    assert (np.diff(folds) >= 0).all() and len(np.unique(folds)) == 4


def test_days_and_months_are_told_apart_by_train_and_test_together(make_stand: Callable[..., Stand]) -> None:
    stand = make_stand(cv__strategy="time", competition__time_column="when")
    days = [f"{day:02d}/{month:02d}/{year}" for year in (2001, 2002) for month in range(1, 13) for day in range(1, 10)]
    times: list[object] = [*days[:ROWS], "31/12/2003"]
    folds = in_time(stand, np.random.default_rng(0).permutation(ROWS), times)
    assert (np.diff(folds) >= 0).all() and len(np.unique(folds)) == 4


def test_whole_runs_of_time_are_remembered(make_stand: Callable[..., Stand]) -> None:
    stand = make_stand(cv__strategy="blocks", competition__time_column="when")
    days = pd.date_range("2001-01-01", periods=ROWS + TEST_ROWS)
    held = np.arange(len(days)) % 26 >= 20
    train, test, sample = (
        pd.read_csv(stand.data / f"{name}.csv", dtype={"id": str}) for name in ("train", "test", "sample_submission")
    )
    train["when"], test["when"] = days[~held].strftime("%d/%m/%Y"), days[held].strftime("%d/%m/%Y")
    stand.write(train, test, sample)
    folds = stand.referee().seal()
    assert folds.runs is not None and len(np.unique(folds.runs)) == 40
    assert all(len(np.unique(folds.assignment[folds.runs == run])) == 1 for run in range(40))
    (folds.folder / "runs.npy").unlink()
    manifest = read_json(folds.folder / "folds.json")
    del manifest["files"]["runs.npy"]
    write_json(folds.folder / "folds.json", manifest)
    older = stand.referee().seal()
    assert older.runs is None and older.hash == folds.hash, "a folder without them is valid"


def test_what_is_no_time_is_refused(make_stand: Callable[..., Stand]) -> None:
    stand = make_stand(cv__strategy="time", competition__time_column="city")
    with pytest.raises(BadInput, match="'city' can't be read as dates"):
        stand.referee().seal()


def test_groups_are_remembered_and_holes_stand_alone(make_stand: Callable[..., Stand]) -> None:
    stand = make_stand(cv__strategy="group", competition__group_column="city")
    train = pd.read_csv(stand.data / "train.csv", dtype={"id": str})
    train["city"] = [f"c{index % 30}" if index % 50 else None for index in range(ROWS)]
    test = pd.read_csv(stand.data / "test.csv", dtype={"id": str})
    stand.write(train, test, pd.read_csv(stand.data / "sample_submission.csv", dtype={"id": str}))
    folds = stand.referee().seal()
    assert folds.groups is not None and len(np.unique(folds.groups)) == 30 + 4
    for group in np.unique(folds.groups):
        assert len(np.unique(folds.assignment[folds.groups == group])) == 1


def test_the_manifest_is_plain_json(stand: Stand) -> None:
    folds = stand.referee().seal()
    assert json.loads((folds.folder / "folds.json").read_text())["rows"] == ROWS
