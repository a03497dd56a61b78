"""Selection of columns: what goes, what stays, and on which data nothing happens."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.offline.blocks.core import Clock, Data
from agents.offline.blocks.select import selection
from agents.offline.catalogue import BY_NAME
from agents.offline.moves import all_options
from agents.offline.notebook import read
from agents.offline.render import render
from tests.agents.desk import TABLE, Desk, entry
from tests.agents.test_playbook import make_inputs

USEFUL = [f"u{i}" for i in range(5)]


def data_of(
    columns: dict[str, np.ndarray], y: np.ndarray, test: int = 300, seconds: float = 600.0, **task: Any
) -> Data:
    """Columns of all rows and the labels of the first; the last `test` rows are those of test."""
    n = len(y)
    rows = len(next(iter(columns.values()))) if columns else n + test
    kinds = {"task": "regression", "metric": "rmse", "target_columns": ["y"], "classes": []} | task
    data = Data(kinds, Path(), 1, (n, rows - n - test, test), y, Clock(seconds))
    for name, values in columns.items():
        getattr(data, "cats" if values.dtype.kind == "i" else "numbers")[name] = values
    return data


def left(data: Data) -> set[str]:
    return {*data.numbers, *data.cats}


def noisy(rows: int, kind: str = "regression", noise: int = 60, seconds: float = 600.0) -> Data:
    """Five useful columns and as many of noise as asked for, one in six of them categories."""
    rng = np.random.default_rng(5)
    columns = {name: rng.normal(size=rows + 300) for name in USEFUL}
    columns |= {f"n{i}": rng.integers(0, 9, rows + 300) if i % 6 == 0 else rng.normal(size=rows + 300)
                for i in range(noise)}  # fmt: skip
    x = np.column_stack([columns[name][:rows] for name in USEFUL])
    value = x @ [1.0, 1.0, -1.0, 1.0, -1.0] + 0.3 * rng.normal(size=rows)
    names = [f"t{i}" for i in range(2)] if kind.startswith("multi") and kind != "multiclass" else ["y"]
    classes = {"binary": [0, 1], "multiclass": [0, 1, 2], "multilabel": [0, 1]}.get(kind, [])
    y = {
        "binary": (value > 0).astype(float),
        "multiclass": np.digitize(value, [-1.0, 1.0]).astype(float),
        "multiregression": np.column_stack([x[:, 0] + x[:, 1], x[:, 2] - x[:, 3] * x[:, 4]]),
        "multilabel": np.column_stack([x[:, 0] + x[:, 1] > 0, x[:, 2] - x[:, 3] + x[:, 4] > 0]).astype(float),
    }.get(kind, value)
    if y.ndim > 1:
        y[::7, 0] = np.nan
    return data_of(columns, y, seconds=seconds, task=kind, target_columns=names, classes=classes)


@pytest.mark.parametrize("kind", ["regression", "binary", "multiclass", "multiregression", "multilabel"])
def test_what_is_useful_stays_and_most_noise_goes(kind: str) -> None:
    data = noisy(700, kind)
    selection(data, "permutation")
    assert set(USEFUL) <= left(data)
    assert 10 <= len(left(data)) <= 30


def test_the_same_data_lose_the_same_columns() -> None:
    found = []
    for _ in range(2):
        data = noisy(300, noise=30)
        selection(data, "permutation")
        found.append(left(data))
    assert found[0] == found[1]
    assert len(found[0]) < 35


def test_the_time_of_an_experiment_is_no_time_for_a_selection() -> None:
    data = noisy(600, seconds=1.0)
    selection(data, "permutation")
    assert len(left(data)) == 65


def odd(kind: str, n: int = 300) -> Data:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=n + 100), rng.normal(size=n)
    columns = {
        "nothing": {},
        "one": {"x": x},
        "constant": {"x": np.ones(n + 100), "z": np.zeros(n + 100), "c": np.zeros(n + 100, dtype=int)},
        "gaps": {"x": np.where(rng.random(n + 100) < 0.5, np.nan, x), "z": np.full(n + 100, np.nan), "w": x * 1e300,
                 "c": rng.integers(-1, 4, n + 100)},
        "levels": {"a": rng.integers(0, 200, n + 100), "b": rng.integers(0, 5, n + 100)},
    }.get(kind, {"x": x, "z": rng.normal(size=n + 100), "c": rng.integers(0, 3, n + 100)})  # fmt: skip
    data = data_of(columns, np.full(n, 2.0) if kind == "same label" else y, test=100)
    if kind in ("groups", "one group"):
        data.groups = rng.integers(0, 12 if kind == "groups" else 1, n)
    if kind == "times":
        data.times = np.sort(rng.random(n))
    return data


@pytest.mark.parametrize("option", ["permutation", "drift"])
@pytest.mark.parametrize(
    "kind", ["nothing", "one", "constant", "gaps", "levels", "groups", "one group", "times", "same label"]
)
def test_odd_data_that_teach_nothing_lose_nothing(kind: str, option: str) -> None:
    data = odd(kind)
    before = left(data)
    selection(data, option)
    assert left(data) == before


@pytest.mark.parametrize("option", ["permutation", "drift"])
def test_a_handful_of_rows_tells_nothing(option: str) -> None:
    data = noisy(30)
    data.numbers["counter"] = np.arange(330.0)
    selection(data, option)
    assert len(left(data)) == 66


@pytest.mark.parametrize("steers", ["groups", "times"])
def test_groups_and_times_are_respected_and_noise_goes_all_the_same(steers: str) -> None:
    data = noisy(700)
    if steers == "groups":
        data.groups = np.arange(700) // 14
    else:
        data.times = np.arange(700.0)
    selection(data, "permutation")
    assert set(USEFUL) <= left(data) and len(left(data)) <= 30


def drifting(shift: bool = True) -> Data:
    """Two useful columns, one of them higher in test; a counter of rows; columns of noise."""
    rng = np.random.default_rng(7)
    n, rows = 900, 1200
    columns = {name: rng.normal(size=rows) for name in ("stable", "moved", *(f"n{i}" for i in range(10)))}
    columns["counter"] = np.arange(rows) + 0.0 if shift else rng.permutation(rows) + 0.0
    y = columns["stable"][:n] + 2 * columns["moved"][:n] + 0.2 * rng.normal(size=n)
    if shift:
        columns["moved"][n:] += 0.5
    return data_of(columns, y)


def test_a_counter_of_rows_goes_and_what_the_target_needs_stays(capsys: pytest.CaptureFixture[str]) -> None:
    data = drifting()
    selection(data, "drift")
    assert "counter" not in data.numbers
    assert {"stable", "moved"} <= set(data.numbers) and len(data.numbers) >= 10
    assert "AUC 1.0" in capsys.readouterr().out


def test_without_drift_nothing_goes() -> None:
    data = drifting(shift=False)
    selection(data, "drift")
    assert len(data.numbers) == 13


def test_encodings_are_no_drift_and_go_with_their_category() -> None:
    data = drifting(shift=False)
    rng = np.random.default_rng(1)
    data.cats["shop"] = np.concatenate([rng.integers(0, 20, 900), rng.integers(15, 35, 300)])
    data.numbers["shop.mean0.0"] = np.concatenate([rng.normal(size=900), np.full(300, 9.0)])
    data.numbers["n1.mean0.0"] = data.numbers["shop.mean0.0"] + 1
    data.learned |= {"shop.mean0.0", "n1.mean0.0"}
    selection(data, "drift")
    assert "shop" not in data.cats and "shop.mean0.0" not in data.numbers
    assert len(data.numbers) == 14 and "n1.mean0.0" in data.numbers


def test_what_was_found_is_kept_for_later_experiments(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    found, seconds = [], []
    for _ in range(2):
        data = noisy(700)
        data.task["cache_mb"], data.folder, data.out = 10, tmp_path, tmp_path
        started = time.monotonic()
        selection(data, "permutation")
        seconds.append(time.monotonic() - started)
        found.append(left(data))
    assert found[0] == found[1] and len(list((tmp_path / "cache").iterdir())) == 1
    assert seconds[1] < seconds[0]


@pytest.mark.parametrize("option", ["permutation", "drift"])
def test_wide_tables_end_in_their_time(option: str) -> None:
    """A fifth of what is left is for searching: too little here to tell anything, where a whole search drops most."""
    table = np.random.default_rng(2).normal(size=(6_000, 500)).astype(np.float32)
    data = data_of({f"n{i}": values for i, values in enumerate(table)}, table[0, :300] + 0.0, test=150, seconds=3.0)
    started = time.monotonic()
    selection(data, option)
    assert time.monotonic() - started < 16
    assert len(data.numbers) == 6_000


def offered(desk: Desk) -> set[str]:
    """Ways to select columns among all that the next round could do with one change."""
    options = all_options(read(desk.turn("builder", "plan")))
    return {str(o.features["selection"]) for o in options if o.features.get("selection") and o.role != "bold"}


@pytest.mark.parametrize(
    ("columns", "probed", "found"),
    [
        (3, None, set()),
        (40, None, {"permutation"}),
        (3, False, {"drift"}),
        (40, True, {"permutation"}),
        (40, False, {"permutation", "drift"}),
    ],
)
def test_a_selection_is_offered_where_columns_are_many_or_drift(
    tmp_path: Path, columns: int, probed: bool | None, found: set[str]
) -> None:
    profile = {**TABLE, "numeric_columns": [f"n{i}" for i in range(columns)]}
    desk = Desk(tmp_path, profile=profile).played(entry(1, "lightgbm_default", 0.80, status="keep"))
    if probed is not None:
        checks = [{"name": "adversarial_validation", "ok": probed, "evidence": "AUC"}]
        desk.put("rounds/R01_probes.json", {"checks": checks})
    assert offered(desk) == found


def test_torn_probes_tell_of_no_drift(tmp_path: Path) -> None:
    desk = Desk(tmp_path, profile=TABLE).played(entry(1, "lightgbm_default", 0.80, status="keep"))
    desk.put("rounds/R01_probes.json", "{")
    assert offered(desk) == set()


def test_an_experiment_selects_after_all_other_steps(tmp_path: Path) -> None:
    make_inputs("binary", tmp_path / "in")
    (tmp_path / "out").mkdir()
    script, recipe = tmp_path / "experiment.py", BY_NAME["lightgbm_encoded"]
    params = {"rounds": 40, "bags": 1}
    script.write_text(render(recipe, params, {"selection": "permutation"}, title="t", hypothesis="h", seed=1))
    command = [sys.executable, "-I", str(script), "in", "out"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "selection by permutation: " in done.stdout
    assert np.isfinite(np.load(tmp_path / "out" / "valid.npy")).all()
