"""Of more labelled rows than the time serves some are learned from: which they are, and that everything follows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from orchestrator.campaign import Campaign
from orchestrator.competitions.profile import profile
from orchestrator.errors import BadInput
from orchestrator.files import read_json, write_json
from orchestrator.referee.folds import digest
from orchestrator.referee.seal import read_data
from orchestrator.referee.some_rows import ENOUGH_ROWS, RARE, rows_that_serve, some_rows
from tests.playing import NOON, Script
from tests.referee.conftest import GOOD, ROWS, Stand

USUAL = {"task": "binary", "folds": 3, "seed": 7, "groups": None, "times": None}


def test_time_and_width_say_how_many_rows() -> None:
    assert rows_that_serve(50, None) is None
    assert rows_that_serve(50, 600.0) == rows_that_serve(50, 599.0) == 1_200_000
    assert rows_that_serve(3, 600.0) == rows_that_serve(20, 600.0) == 3_000_000
    assert rows_that_serve(5000, 60.0) == ENOUGH_ROWS
    assert rows_that_serve(50, -3.0) == ENOUGH_ROWS  # the deadline is over: more time for it comes too late


def test_rare_classes_stay() -> None:
    y = np.zeros(5000, dtype=np.int64)
    y[[7, 2000, 4999]] = 2
    y[100:200] = 1
    kept = some_rows(500, y, **{**USUAL, "task": "multiclass"})
    assert len(kept) == 500 and (np.diff(kept) > 0).all()
    assert (y[kept] == 2).sum() == 3 and (y[kept] == 1).sum() >= RARE
    assert np.array_equal(kept, some_rows(500, y, **{**USUAL, "task": "multiclass"}))
    labels = np.column_stack([y == 1, y == 2, y < 9]).astype(float)
    labels[:4990, 2], labels[4990, 2] = np.nan, 0.0
    seen = labels[some_rows(500, labels, **{**USUAL, "task": "multilabel"})]
    assert (seen[:, 0] == 1).sum() >= RARE and (seen[:, 1] == 1).sum() == 3
    assert (seen[:, 2] == 0).sum() == 1 and (seen[:, 2] == 1).sum() == 9
    amounts = np.column_stack([np.ones(5000), np.where(np.arange(5000) == 77, 3.0, np.nan)])
    kept = some_rows(20, amounts, **{**USUAL, "task": "multiregression"})
    assert len(kept) == 20 and 77 in kept


def test_many_classes_leave_room_for_the_others() -> None:
    rng = np.random.default_rng(0)
    y = np.where(rng.random(20_000) < 0.9, 0, rng.integers(1, 300, 20_000))
    kept = some_rows(1000, y, **{**USUAL, "task": "multiclass"})
    assert len(np.unique(y[kept])) == len(np.unique(y))
    assert 0.6 < (y[kept] == 0).mean() < 0.9
    assert set(some_rows(10, np.arange(50) % 2, **USUAL) % 2) == {0, 1}
    labels = (rng.random((5000, 200)) < 0.003).astype(float)
    kept = some_rows(1000, labels, **{**USUAL, "task": "multilabel"})
    assert len(kept) == 1000 and (labels[kept].sum(axis=0) >= 1).all()


def test_groups_stay_whole_and_suffice_for_the_folds() -> None:
    groups = np.repeat(np.arange(40), 25)[np.random.default_rng(0).permutation(1000)]
    settings = {**USUAL, "task": "regression", "groups": groups}
    kept = some_rows(260, np.zeros(1000), **settings)
    assert len(kept) == 250
    assert set(np.unique(groups[kept], return_counts=True)[1]) == {25}
    assert len(some_rows(10, np.zeros(1000), **settings)) == 75
    y = (groups == 11).astype(np.int64)
    kept = some_rows(100, y, **{**settings, "task": "binary"})
    assert set(y[kept]) == {0, 1} and len(kept) == 100


@pytest.mark.parametrize("seed", range(10))
def test_a_giant_group_takes_no_room_from_the_others(seed: int) -> None:
    groups = np.concatenate([np.zeros(600, dtype=np.int64), np.repeat(np.arange(1, 41), 10)])
    settings = {**USUAL, "task": "regression", "groups": groups, "seed": seed}
    kept = some_rows(300, np.zeros(1000), **settings)
    assert len(kept) == 300 and 0 not in groups[kept]
    groups = np.repeat(np.arange(5), [90, 10, 20, 20, 20])
    assert len(some_rows(100, np.zeros(160), **{**settings, "groups": groups})) <= 100


def test_the_latest_moments_stay_where_folds_go_by_time() -> None:
    times = np.repeat(np.arange(100), 10)[::-1].copy()
    settings = {**USUAL, "task": "regression", "times": times}
    kept = some_rows(205, np.zeros(1000), **settings)
    assert list(np.bincount(times[kept])[79:]) == [5, *[10] * 20]
    assert set(times[some_rows(40, np.zeros(1000), **settings)]) == {96, 97, 98, 99}
    few = some_rows(20, np.zeros(1000), **settings)
    assert len(few) == 20 and set(times[few]) == {96, 97, 98, 99}
    assert len(some_rows(10, np.zeros(1000), **{**settings, "times": np.ones(1000)})) == 10
    uneven = np.repeat(np.arange(10), [1] * 9 + [10_000])
    lonely = some_rows(100, np.zeros(10_009), **{**settings, "times": uneven})
    assert len(lonely) == 100 and set(uneven[lonely]) == {6, 7, 8, 9}
    y = (times == 3).astype(np.int64)
    assert set(y[some_rows(205, y, **{**settings, "task": "binary"})]) == {0, 1}


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
    record = profile(stand.root, stand.config, folds.kept, *read_data(stand.root, stand.config))
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
    assert again.kept is not None and before.kept is not None and np.array_equal(again.kept, before.kept)


def test_a_lost_record_is_written_again_from_the_folder(make_stand: Callable[..., Stand]) -> None:
    stand = make_stand(cv__rows=120)
    before = stand.referee().seal()
    told = read_json(stand.files(0).path("folds.json"))
    stand.files(0).path("folds.json").unlink()
    del stand.raw["cv"]["rows"]
    assert stand.referee().seal().hash == before.hash
    assert read_json(stand.files(0).path("folds.json")) == told


def test_a_campaign_sealed_before_rows_could_be_left_out_plays_on(stand: Stand) -> None:
    before = stand.referee().seal()
    manifest = before.folder / "folds.json"
    older = {key: value for key, value in read_json(manifest).items() if key not in ("left_out", "most", "sha256")}
    spec, cv = stand.config.competition, {"strategy": "stratified", "folds": 3, "seed": 7}
    tables = ["train", "test", "id_column", "target_columns", "task", "classes"]
    columns = ["group_column", "time_column", "text_columns", "date_columns", "drop_columns"]
    settings = {key: getattr(spec, key) for key in tables + columns}
    older["fingerprint"] = digest(json.dumps([1, settings, cv], sort_keys=True))
    write_json(manifest, older)
    made = manifest.stat().st_mtime_ns
    stand.files(0).path("folds.json").unlink()
    assert stand.referee().seal().hash == before.hash
    assert manifest.stat().st_mtime_ns == made
    assert read_json(stand.files(0).path("folds.json"))["left_out"] is None


def test_a_shortened_table_is_told(make_stand: Callable[..., Stand]) -> None:
    stand = make_stand(cv__rows=120)
    kept = stand.referee().seal().kept
    pd.read_csv(stand.data / "train.csv")[:100].to_csv(stand.data / "train.csv", index=False)
    with pytest.raises(BadInput, match="has 100 rows, fewer than when the folds were sealed"):
        profile(stand.root, stand.config, kept, *read_data(stand.root, stand.config))


def test_a_campaign_that_leaves_rows_out_says_so_at_every_start(tmp_path: Path) -> None:
    script = Script(tmp_path / "capped", rounds=1)
    script.configure(**{"cv.rows": 30})
    for _ in range(2):
        played = script.play()
        assert "learning from 30 of 60 labelled rows (cv.rows)" in played.notes()
    assert read_json(played.file("R00_profile.json"))["rows"]["train"] == 30
    assert "2 folds of 30 rows (30 more are left out: cv.rows)" in (played.folder / "REPORT.md").read_text()
    assert played.statuses == ["keep"]


@pytest.mark.parametrize(("maximize", "warned"), [(True, True), (False, False), (None, False)])
def test_a_metric_turned_upside_down_is_warned_of(tmp_path: Path, maximize: bool | None, warned: bool) -> None:
    script = Script(tmp_path / "turned", rounds=1)
    script.configure(**{"competition.metric": "rmse", "competition.maximize": maximize})
    notes = script.play().notes()
    assert ("competition.maximize is true in config.json, but rmse is better when lower" in notes) is warned


def test_until_the_settings_are_sealed_those_of_now_count(tmp_path: Path) -> None:
    script = Script(tmp_path / "killed", rounds=1)
    script.configure(**{"cv.rows": 30})
    script.save()
    Campaign(script.folder, now=lambda: NOON, progress=lambda *_, **__: None).close()
    (script.folder / "rounds" / "R00_settings.json").unlink()  # as a kill behind the sealing leaves it
    script.configure(**{"cv.rows": 40, "cv.folds": 3})
    played = script.play()
    assert "learning from 40 of 60 labelled rows" in played.notes()
    assert read_json(played.file("R00_folds.json"))["folds"] == 3


def test_what_a_short_campaign_leaves_out_is_told(tmp_path: Path) -> None:
    script = Script(tmp_path / "hurried", rounds=1, minutes=0.05)
    row = np.arange(ENOUGH_ROWS + 1000)
    table = pd.DataFrame({"id": row, "a": row % 7, "b": row % 11, "y": row % 3})
    table.to_csv(tmp_path / "hurried" / "competition" / "data" / "train.csv", index=False)
    told = (
        "learning from 100,000 of 101,000 labelled rows (what its time serves at first; a new campaign may set cv.rows)"
    )
    assert told in script.play().notes()


@pytest.mark.parametrize(("minutes", "count"), [(7.9, 5), (8.0, 10)])
def test_how_many_folds_the_time_pays_is_settled_once(tmp_path: Path, minutes: float, count: int) -> None:
    script = Script(tmp_path / "folds", rounds=1, minutes=minutes)
    script.configure(**{"cv.folds": None})
    played = script.play()
    assert read_json(played.file("R00_folds.json"))["folds"] == count
    assert len(played.entries[0]["fold_scores"]) == count
    shutil.rmtree(script.folder / "competition" / "sealed")
    script.configure(**{"loop.minutes": 30.0 - 2 * minutes})
    assert script.play().statuses == ["keep"]
    assert read_json(played.file("R00_folds.json"))["folds"] == count
