"""Of more labelled rows than the time serves some are learned from: which they are, and that everything follows."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from orchestrator.competitions.profile import profile
from orchestrator.files import read_json
from orchestrator.referee.some_rows import ENOUGH_ROWS, RARE, rows_that_serve, some_rows
from tests.playing import Script
from tests.referee.conftest import GOOD, ROWS, Stand

USUAL = {"task": "binary", "strategy": "stratified", "folds": 3, "seed": 7, "groups": None, "times": None}


def test_time_and_width_say_how_many_rows() -> None:
    assert rows_that_serve(50, None) is None
    assert rows_that_serve(50, 600.0) == 1_200_000
    assert rows_that_serve(3, 600.0) == rows_that_serve(20, 600.0) == 3_000_000
    assert rows_that_serve(5000, 60.0) == rows_that_serve(50, -3.0) == ENOUGH_ROWS


def test_rare_classes_stay() -> None:
    y = np.zeros(5000, dtype=np.int64)
    y[[7, 2000, 4999]] = 2
    y[100:200] = 1
    kept = some_rows(500, y, **{**USUAL, "task": "multiclass"})
    assert len(kept) == 500 and (np.diff(kept) > 0).all()
    assert (y[kept] == 2).sum() == 3 and (y[kept] == 1).sum() >= RARE
    assert np.array_equal(kept, some_rows(500, y, **{**USUAL, "task": "multiclass"}))
    labels = np.column_stack([y == 1, y == 2]).astype(float)
    marks = labels[some_rows(500, labels, **{**USUAL, "task": "multilabel", "strategy": "kfold"})].sum(axis=0)
    assert marks[0] >= RARE and marks[1] == 3


def test_groups_stay_whole_and_suffice_for_the_folds() -> None:
    groups = np.repeat(np.arange(40), 25)[np.random.default_rng(0).permutation(1000)]
    settings = {**USUAL, "task": "regression", "strategy": "group", "groups": groups}
    kept = some_rows(260, np.zeros(1000), **settings)
    assert len(kept) == 250
    assert set(np.unique(groups[kept], return_counts=True)[1]) == {25}
    assert len(some_rows(10, np.zeros(1000), **settings)) == 75


def test_the_latest_moments_stay_where_folds_go_by_time() -> None:
    times = np.repeat(np.arange(100), 10)[::-1].copy()
    settings = {**USUAL, "task": "regression", "strategy": "time", "times": times}
    assert sorted(set(times[some_rows(205, np.zeros(1000), **settings)])) == list(range(79, 100))
    assert sorted(set(times[some_rows(10, np.zeros(1000), **settings)])) == [96, 97, 98, 99]
    assert len(some_rows(10, np.zeros(1000), **{**settings, "times": np.ones(1000)})) == 1000


def test_a_campaign_goes_by_the_rows_that_are_kept(make_stand: Callable[..., Stand]) -> None:
    stand = make_stand(cv__rows=120)
    folds = stand.referee().seal()
    assert folds.kept is not None and folds.rows == len(folds.kept) == 120
    assert np.array_equal(folds.labels, stand.truth[folds.kept].astype(int))
    raw = pd.read_csv(stand.data / "train.csv", dtype={"id": str}).iloc[folds.kept]
    for fold in range(3):
        tables = {name: pd.read_parquet(path) for name, path in folds.tables(fold).items()}
        assert tables["valid.parquet"]["id"].tolist() == raw["id"].iloc[folds.valid_rows[fold]].tolist()
        assert len(tables["train.parquet"]) + len(tables["valid.parquet"]) == 120
    assert len(pd.read_parquet(folds.tables("full")["train.parquet"])) == 120
    assert read_json(stand.files(0).path("folds.json"))["left_out"] == ROWS - 120
    record = profile(stand.root, stand.config, folds.kept)
    assert (record["rows"]["train"], record["rows_left_out"]) == (120, ROWS - 120)
    assert stand.run(GOOD)["status"] == "ok"


def test_a_lost_folder_is_rebuilt_of_the_same_rows_whatever_the_time(make_stand: Callable[..., Stand]) -> None:
    stand = make_stand(cv__rows=120)
    before = stand.referee().seal()
    del stand.raw["cv"]["rows"]
    stand.raw["loop"] = {"minutes": 600.0}
    shutil.rmtree(before.folder)
    again = stand.referee().seal()
    assert again.hash == before.hash
    assert np.array_equal(again.kept, before.kept)


def test_a_campaign_that_leaves_rows_out_says_so(tmp_path: Path) -> None:
    script = Script(tmp_path / "capped", rounds=1)
    script.configure(**{"cv.rows": 30})
    played = script.play()
    assert "learning from 30 of 60 labelled rows, as cv.rows says" in played.notes()
    assert read_json(played.file("R00_profile.json"))["rows"]["train"] == 30
    assert played.statuses == ["keep"]


def test_what_a_short_campaign_leaves_out_is_told(tmp_path: Path) -> None:
    script = Script(tmp_path / "hurried", rounds=1, minutes=0.05)
    row = np.arange(ENOUGH_ROWS + 1000)
    table = pd.DataFrame({"id": row, "a": row % 7, "b": row % 11, "y": row % 3})
    table.to_csv(tmp_path / "hurried" / "competition" / "data" / "train.csv", index=False)
    told = "learning from 100,000 of 101,000 labelled rows, which is what its time serves (cv.rows overrules it)"
    assert told in script.play().notes()
