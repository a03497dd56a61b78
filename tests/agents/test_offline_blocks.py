"""Parts of an experiment that are clever for speed or safety, against their plain forms."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics import log_loss, roc_auc_score

from agents.offline.blocks import read_blocks
from agents.offline.blocks.amounts import add_amounts
from agents.offline.blocks.bags import FAST, FASTEST, boost, haste, some_of
from agents.offline.blocks.boosters import by_order, catboost_model, lightgbm_model, relevances
from agents.offline.blocks.classic import extra_trees_model
from agents.offline.blocks.core import (
    Clock,
    Data,
    holdout,
    inner_folds,
    load,
    moments_of,
    read_column,
    rows_in_time,
    to_numbers,
    varies,
)
from agents.offline.blocks.goals import Goal, goals, predict_goals
from agents.offline.blocks.language import char_counts, cut, language_model
from agents.offline.blocks.leftover import lightgbm_linear_model, linear_base
from agents.offline.blocks.linear import drawn_back, linear_model, tolerance
from agents.offline.blocks.strings import string_parts
from agents.offline.blocks.texts import text_pairs
from agents.offline.defaults import CATBOOST, LIGHTGBM


def data_of(n: int, seconds: float = 600.0) -> Data:
    return Data({"task": "regression"}, Path(), 1, (n, 0, 2), np.zeros(n), Clock(seconds))


def test_runs_of_letters_are_those_of_the_vectorizer() -> None:
    rng = random.Random(0)
    texts = ["".join(rng.choices("abcé漢 \n  😀.", k=rng.randrange(30))) for _ in range(300)] + ["", " ", "ab"]
    found = char_counts(texts, 2, 4, 3)
    plain = CountVectorizer(ngram_range=(2, 4), analyzer="char", min_df=3, lowercase=False).fit_transform(texts)
    assert found.shape == plain.shape
    key = [sorted(map(tuple, np.asarray(table.T.toarray(), dtype=int))) for table in (found, plain)]
    assert key[0] == key[1]


def test_long_texts_are_cut_where_there_is_too_much_of_them() -> None:
    texts = ["a" * 3000, "b" * 10, "c" * 700]
    assert cut(texts, 5000) == texts
    assert [len(text) for text in cut(texts, 1500)] == [500, 10, 500]
    assert [len(text) for text in cut(texts, 30)] == [300, 10, 300], "a text's beginning is always looked at"
    assert [len(text) for text in cut(texts, 30, 40)] == [40, 10, 40]


def test_runs_longer_than_every_text_are_nothing() -> None:
    assert char_counts(["a", "b"], 2, 5, 1).shape == (2, 0)


def test_linear_values_are_drawn_back_where_a_row_is_like_none() -> None:
    rng = np.random.default_rng(0)
    rows = np.vstack([rng.normal(size=(500, 3)), [[0.5, 0.5, 0.5], [40.0, 40.0, 40.0]]])
    goal = Goal("value", np.zeros(500), np.arange(500), "l2", lambda raw: raw)
    usual, far = drawn_back(data_of(500), goal, rows, np.array([1.0, 30.0]))
    assert usual == 1.0
    assert 0 < far < 3


@pytest.mark.parametrize(
    ("seconds", "least", "most"), [(600.0, 1.0, 1.0), (5.0, 1.5, FASTEST), (0.1, FASTEST, FASTEST)]
)
def test_boosters_learn_faster_only_where_their_time_is_scarce(seconds: float, least: float, most: float) -> None:
    clock = Clock(seconds)

    def fit(
        rows: np.ndarray, out: np.ndarray | None, rounds: int, bag: int, own: Clock, faster: float
    ) -> tuple[np.ndarray, int]:
        clock.end -= 0.05 * rounds  # seconds that the rounds take
        return np.zeros(2), rounds

    faster, share = haste(data_of(10), np.arange(10), 300, clock, fit)
    assert least <= faster <= most
    assert share == 1.0, "few rows are all needed"


@pytest.mark.parametrize(("needs", "hurried"), [([30, 30, 30], [True, True, False]), ([5, 300, 300], [True] * 3)])
def test_later_targets_are_paced_by_what_earlier_ones_needed(needs: list[int], hurried: list[bool]) -> None:
    data, speeds, measured = data_of(100), [], []
    goal = Goal("value", np.arange(100.0), np.arange(100), "l2", lambda raw: raw)
    for need in needs:
        clock = Clock(15.0)  # 240 rounds less the measuring, where 375 are usual

        def fit(
            rows: np.ndarray,
            out: np.ndarray | None,
            most: int,
            bag: int,
            own: Clock,
            faster: float,
            need: int = need,
            clock: Clock = clock,
        ) -> tuple[np.ndarray, int]:
            if out is None:  # measures the pace
                measured.append(most)
                clock.end -= 0.05 * most
                return np.zeros(2), most
            speeds.append(faster)
            done = min(need / faster, max(0.0, own.left()) / 0.05)
            own.end -= 0.05 * done + 1e-9
            return np.zeros(2), int(done)

        boost(data, goal, {"bags": 1, "rounds": 3000, "patience": 50}, clock, fit)
    assert [speed > 1 for speed in speeds] == hurried
    assert measured == [4, 16], "the first target's pace is every target's"


@pytest.mark.parametrize(("seconds", "least", "most"), [(3000.0, 1.0, 1.0), (60.0, 0.4, 0.7), (6.0, 0.1, 0.1)])
def test_boosters_learn_from_a_part_of_many_rows_where_time_is_scarce(
    seconds: float, least: float, most: float
) -> None:
    clock, n = Clock(seconds), 500_000

    def fit(
        rows: np.ndarray, out: np.ndarray | None, rounds: int, bag: int, own: Clock, faster: float
    ) -> tuple[np.ndarray, int]:
        clock.end -= 1e-6 * len(rows) * (rounds + 5)  # half a second for each round on all rows
        return np.zeros(2), rounds

    faster, share = haste(data_of(n), np.arange(n), 300, clock, fit)
    assert faster <= FAST
    assert least <= share <= most
    rows = np.arange(n)
    goal = Goal("multiclass", (rows == 7).astype(int), rows, "l2", lambda raw: raw)
    assert len(some_of(goal, rows, 0.1, 1)) == n, "no class is lost"
    goal.y = rows % 2
    assert 0.09 * n < len(some_of(goal, rows, 0.1, 1)) < 0.11 * n


@pytest.mark.parametrize(("seconds", "least", "most"), [(600.0, 40, 40), (0.01, 4, 36)])
def test_a_forest_grows_as_long_as_its_clock_lets_it(
    capsys: pytest.CaptureFixture[str], seconds: float, least: int, most: int
) -> None:
    data = data_of(400, seconds)
    data.y, data.numbers["x"] = np.arange(400.0), np.arange(402.0)
    params = {"trees": 40, "min_leaf": 1, "max_features": 1.0, "most_rows": 1000}
    found = extra_trees_model(data, params)
    assert found.shape == (2, 1)
    assert least <= int(capsys.readouterr().out.split()[0]) <= most


def test_percentages_are_learned_as_logs_of_what_counts() -> None:
    data = data_of(6)
    data.task, data.y = {"task": "regression", "metric": "rmspe"}, np.array([0.0, 1.0, 10.0, 100.0, 0.0, 1000.0])
    (goal,) = goals(data)
    assert goal.rows.tolist() == [1, 2, 3, 5]
    assert np.diff(goal.y) == pytest.approx([np.diff(goal.y)[0]] * 3)
    assert goal.restore(goal.y).ravel() == pytest.approx([1, 10, 100, 1000])


@pytest.mark.parametrize("classes", [2, 3])
def test_a_balanced_loss_takes_classes_for_equally_frequent(classes: int) -> None:
    data, share = data_of(60), np.array([0.5, 0.4, 0.1])[-classes:] / np.array([0.5, 0.4, 0.1])[-classes:].sum()
    kind = "binary" if classes == 2 else "multiclass"
    data.task = {"task": kind, "metric": "balanced_logloss", "classes": list(range(classes))}
    data.y = np.repeat(np.arange(classes), np.round(60 * share).astype(int)).astype(float)
    usual = np.tile(share[1:] if classes == 2 else share, (2, 1))
    assert predict_goals(data, lambda goal, clock: usual) == pytest.approx(np.full(usual.shape, 1 / classes), abs=1e-6)


@pytest.mark.parametrize("task", ["multilabel", "multiregression"])
def test_a_target_without_a_label_is_predicted_as_0(task: str) -> None:
    data, known = data_of(6), np.arange(6) % 2.0
    data.task, data.y = {"task": task}, np.column_stack([known, np.full(6, np.nan)])
    found = predict_goals(data, lambda goal, clock: np.ones(2))
    assert found.shape == (2, 2)
    assert found[:, 1].tolist() == [0.0, 0.0]


def test_targets_of_which_a_row_has_one_are_learned_together() -> None:
    data, classes = data_of(8), np.array([0, 1, 2, 0, 1, 2, 3, 0])  # 3: none
    data.task, data.y = {"task": "multilabel"}, np.eye(4)[classes][:, :3]
    data.y[7, 1] = np.nan
    (goal,) = goals(data, "joint")
    assert goal.kind == "multiclass" and goal.rows.tolist() == list(range(7))
    assert goal.y.tolist() == classes[:7].tolist()
    assert goal.restore(np.eye(4)).tolist() == np.eye(4)[:, :3].tolist()
    assert len(goals(data)) == 3


@pytest.mark.parametrize("n", [2, 6, 20])
def test_catboost_learns_from_a_handful_of_rows(n: int) -> None:
    data = data_of(n)
    data.task, data.y = {"task": "binary", "cores": 1}, np.arange(n) % 2.0
    data.numbers["x"] = np.append(data.y, [0.0, 1.0])
    found = catboost_model(data, {**CATBOOST, "rounds": 10})
    assert found.shape == (2, 1)
    assert np.isfinite(found).all()


@pytest.mark.parametrize(
    "shape", ["%Y-%m-%d %H:%M:%S UTC", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S"]
)
def test_dates_of_every_shape_are_read(shape: str) -> None:
    moments = pd.Series(pd.date_range("2011-02-03 04:05:06", periods=60, freq="31h"))
    texts = moments.dt.strftime(shape).where(np.arange(60) != 7)
    found = moments_of(texts)
    assert found.isna().tolist() == (np.arange(60) == 7).tolist()
    assert (found.dropna() == moments[found.notna()]).all()


def test_dates_of_two_shapes_in_one_column_are_read() -> None:
    found = moments_of(pd.Series(["2011-02-03", "4 May 2012", "no date", None, "2011-02-03 10:00"]))
    assert found.dt.strftime("%Y-%m-%d %H").tolist()[:2] == ["2011-02-03 00", "2012-05-04 00"]
    assert found.isna().tolist() == [False, False, True, True, False]


@pytest.mark.parametrize(("most", "members"), [(None, ["nb_single"]), (100, ["nb_single"]), (300, ["logistic_single"])])
def test_text_models_learn_from_a_part_of_the_rows(tmp_path: Path, most: int | None, members: list[str]) -> None:
    rng, words = np.random.default_rng(0), [f"word{i}" for i in range(40)]
    y = rng.integers(0, 2, 1000).astype(float)
    texts = [" ".join(rng.choice(words[: 30 - 20 * int(label)], 12)) for label in y]
    task = {"task": "binary", "classes": [0, 1], "metric": "auc"}
    data = Data(task, tmp_path, 1, (800, 100, 100), y[:800], Clock(600), texts={"body": texts})
    params = {"members": members, "C": 4.0, "alpha": 0.1, "calibrate": members == ["nb_single"], "max_terms": 1000}
    found = language_model(data, {**params, "most_rows": most}).ravel()
    assert found.shape == (200,)
    assert found[y[800:] == 1].mean() > found[y[800:] == 0].mean() + 0.5


@pytest.mark.parametrize(
    ("strings", "amounts"),
    [
        (["18M", "2", "24M"], {".m0": [18, None, 24], ".0": [None, 2, None]}),
        (["12.5 lbs", "1 lb", "-3 lb"], {".lb0": [12.5, 1, -3]}),
        (["$1,200.50", "$7", "~ $90"], {".0": [1200.5, 7, 90]}),
        (["-1h 20m", "45m", "-0h 2m", "0h 3m"], {".0": [-4800, 2700, -120, 180]}),
        (["1.5e-05 mg", "2 mg", "-7.0E3 mg"], {".mg0": [1.5e-5, 2, -7000]}),
        (["2 weeks", "1 year", "3 days"], {".0": [2 * 604800, 3.156e7, 3 * 86400]}),
        (["5'11\"", "6'0\"", "5'2\""], {".0": [5 * 304.8 + 11 * 25.4, 6 * 304.8, 5 * 304.8 + 2 * 25.4]}),
        (["172HP 1.6L", "90.5HP 2L", "300HP"], {".hp0": [172, 90.5, 300], ".l0": [1.6, 2, None]}),
        (["20-30", "5-8", "1-2"], {".0": [20, 5, 1], ".1": [30, 8, 2]}),
        (["3.4k", "2M", "120"], {".0": [3400, 2e6, 120]}),
        (["A/5 2117", "C85", "9_01"], {}),
        (["1.2.3", "1.4.0", "2.0.1"], {}),
    ],
)
def test_amounts_are_read_with_their_units(strings: list[str], amounts: dict[str, list[float | None]]) -> None:
    data = data_of(4)
    add_amounts(data, "", pd.Series([*strings, None]))
    found = {name: [None if np.isnan(value) else value for value in values] for name, values in data.numbers.items()}
    assert found == {name: pytest.approx([*values, None]) for name, values in amounts.items()}


@pytest.mark.parametrize(
    ("form", "nothing_else"),
    [
        ("${0:,}", True),
        ("{0}h {1}m", True),
        ("{0}HP {1}L", True),
        ("{0}HP {1}L {4}", False),
        ("{0}-{1}", False),
        ("{3}{0} ng", False),
        ("{0}{2}", False),
    ],
)
def test_strings_that_are_amounts_alone_have_no_parts(form: str, nothing_else: bool) -> None:
    data = data_of(300)
    data.strings["size"] = pd.Series(
        [
            form.format(row * 7, row % 5, "ABCDE"[row % 5], "<" * (row % 3 == 0), ["gas", "oil"][row % 2])
            for row in range(300)
        ]
    )
    string_parts(data, True)
    assert data.numbers and ("size.length" not in data.numbers) == nothing_else


def test_streets_are_no_amounts() -> None:
    names = [f"{number} {chr(65 + number % 26)}oak St" for number in range(200)]
    data = data_of(200)
    add_amounts(data, "street", pd.Series(names))
    assert not data.numbers


@pytest.mark.parametrize("members", [["nb_single"], ["logistic"]])
def test_how_a_name_ends_is_learned(tmp_path: Path, members: list[str]) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 1000).astype(float)
    names = ["".join(rng.choice(list("abcdefgh"), rng.integers(4, 9))) + "ab"[int(label)] for label in y]
    task = {"task": "binary", "classes": [0, 1], "metric": "auc"}
    data = Data(task, tmp_path, 1, (800, 100, 100), y[:800], Clock(600), texts={"name": names})
    params = {"members": members, "C": 4.0, "alpha": 0.1, "calibrate": False, "max_terms": 10_000}
    assert roc_auc_score(y[800:], language_model(data, params).ravel()) > 0.95


@pytest.mark.parametrize(("hurry", "found"), [(True, False), (False, True)])
def test_in_a_hurry_the_ends_of_long_texts_are_not_looked_at(tmp_path: Path, hurry: bool, found: bool) -> None:
    y = np.arange(200) % 2
    texts = ["x" * 30_000 + (" good" if label else " bad") for label in y]
    task = {"task": "binary", "classes": [0, 1], "metric": "auc"}
    data = Data(task, tmp_path, 1, (160, 20, 20), y[:160].astype(float), Clock(5), texts={"body": texts})
    params = {"members": ["nb_single"], "C": 4.0, "alpha": 0.1, "calibrate": False, "max_terms": 1000, "hurry": hurry}
    told = language_model(data, params).ravel()
    assert (roc_auc_score(y[160:], told) > 0.9) == found


@pytest.mark.parametrize(
    ("seconds", "time", "rows"), [(None, None, 200_000), (0.1, None, 100_001), (0.1, "day", 200_000)]
)
def test_of_very_many_rows_as_many_are_read_as_there_is_time_for(
    tmp_path: Path, seconds: float | None, time: str | None, rows: int
) -> None:
    table = pd.DataFrame({"x": np.arange(200_010.0), "day": np.arange(200_010) % 9})
    labels = np.where(np.arange(200_000) == 10, "rare", np.where(np.arange(200_000) % 2, "a", "b"))
    table[:200_000].assign(y=labels).to_parquet(tmp_path / "train.parquet")
    table[200_000:].to_parquet(tmp_path / "test.parquet")
    task = {"task": "multiclass", "classes": ["a", "b", "rare"], "target_columns": ["y"], "time_column": time}
    (tmp_path / "task.json").write_text(json.dumps(task))
    data = load(tmp_path, 1, seconds)
    assert data.sizes == (rows, 0, 10) and len(data.y) == rows
    assert (np.diff(data.numbers["x"]) > 0).all(), "in their order"
    assert set(data.y[data.numbers["x"][:rows] == 10]) == {2}, "a class of one row stays"


def test_of_each_class_and_label_some_rows_are_read() -> None:
    y = np.zeros((200_000, 2))
    y[:60, 0], y[::2, 1] = 1.0, 1.0
    found = [rows_in_time(labels, 1000, seed, True) for labels in (y[:, 0], y) for seed in range(5)]
    assert all(10 <= (rows < 60).sum() < 20 and 1000 <= len(rows) < 1050 for rows in found)


@pytest.mark.parametrize(
    ("values", "so"),
    [
        ([1, 1], False),
        ([1, 2], True),
        ([np.nan, np.nan], False),
        ([1, np.nan], True),
        ([-1, -1], False),
        ([-1, 0], True),
    ],
)
def test_a_column_varies_where_it_holds_two_things(values: list[float], so: bool) -> None:
    assert varies(np.array(values)) == so


def test_classes_of_one_row_leave_boosters_a_part_to_stop_on() -> None:
    y = np.repeat([0, 1, 2, 3, 4], [200, 200, 1, 1, 1])
    goal = Goal("multiclass", y, np.arange(len(y)), "l2", lambda raw: raw, 5)
    data = replace(data_of(len(y)), y=y, task={"task": "multiclass"})

    def fit(
        rows: np.ndarray, out: np.ndarray | None, most: int, bag: int, clock: Clock, faster: float
    ) -> tuple[np.ndarray, int]:
        assert set(y[rows]) == {0, 1, 2, 3, 4}
        assert out is not None and set(y[out]) == {0, 1}
        return np.zeros(2), most

    boost(data, goal, {"bags": 4, "rounds": 10}, data.clock, fit)


def test_a_ranking_has_as_many_levels_as_lightgbm_takes_and_keeps_its_order() -> None:
    assert relevances(np.array([0.0, 3.0, 1.0])).tolist() == [0, 2, 1]
    many = relevances(np.arange(1000.0))
    assert (many.min(), many.max()) == (0, 30) and (np.diff(many) >= 0).all()
    scores = np.array([1e6, -3.0, 0.1, 0.2])
    spread = by_order(scores, np.array([-1.0, 2.0]))
    assert np.argsort(spread).tolist() == np.argsort(scores).tolist()
    assert (spread.min(), spread.max(), len(set(spread))) == (-1.0, 2.0, 4)


def test_numbers_beyond_any_measure_are_missing() -> None:
    found = to_numbers(pd.Series([1.5, -np.finfo(float).max, np.inf, np.nan, 1e20]))
    assert np.isnan(found).tolist() == [False, True, True, True, False]


@pytest.mark.parametrize("form", ["%d/%m/%Y", "%m/%d/%Y", "%Y-%m-%d", "%d %B %Y"])
@pytest.mark.parametrize("listed", [True, False])
def test_the_latest_block_is_the_latest_however_dates_are_written(form: str, listed: bool) -> None:
    data = data_of(300)
    data.task |= {"time_column": "when", "date_columns": ["when"] if listed else []}
    texts = pd.Series(pd.date_range("2015-01-05", periods=302).strftime(form))
    texts[7] = None
    read_column(data, "when", texts)
    assert np.flatnonzero(holdout(data, 3)).tolist() == list(range(200, 300))


def test_times_that_are_no_dates_are_in_the_order_of_their_texts() -> None:
    data = data_of(300)
    data.task |= {"time_column": "when"}
    read_column(data, "when", pd.Series([f"step {place:03d}" for place in reversed(range(302))]))
    assert np.flatnonzero(holdout(data, 3)).tolist() == list(range(100)), "the latest"


def test_where_runs_of_time_are_validated_inner_folds_are_runs_too() -> None:
    data = data_of(3000)
    data.task |= {"time_column": "hour", "cv_strategy": "blocks"}
    hours = np.random.default_rng(0).permutation(3002) // 3
    read_column(data, "hour", pd.Series(hours))
    outs = [holdout(data, 5, bag)[np.argsort(hours[:3000], kind="stable")] for bag in range(5)]
    assert (np.sum(outs, axis=0) == 1).all(), "each row is held out in one of the bags"
    for out in outs:
        assert out.sum() == pytest.approx(600, abs=10)
        lengths = np.diff(np.flatnonzero(np.diff(out, prepend=-1, append=-1)))
        assert lengths.min() > 60 and len(lengths) > 6, "several long runs, each with known rows beside it"
    folds = inner_folds(data, 4, salt=3)
    by_hour = pd.Series(folds).groupby(hours[:3000]).nunique()
    assert by_hour.max() == 1 and set(folds) == {0, 1, 2, 3}


@pytest.mark.parametrize("strategy", ["time", "kfold", "group", None])
def test_with_any_other_folds_the_latest_rows_are_held_out(strategy: str | None) -> None:
    data = data_of(300)
    data.task |= {"time_column": "hour", "cv_strategy": strategy}
    read_column(data, "hour", pd.Series(range(302)))
    assert np.flatnonzero(holdout(data, 3, bag=1)).tolist() == list(range(200, 300))


def test_words_of_a_rare_class_are_learned() -> None:
    rng = np.random.default_rng(0)
    texts = [" ".join(f"w{i}" for i in rng.integers(0, 400, 30)) for _ in range(6000)]
    rare = rng.random(6000) < 0.01
    told = [f"{text} w{rng.integers(400, 410)}" if yes else text for text, yes in zip(texts, rare, strict=True)]
    n = 4000
    task = {"task": "multilabel", "target_columns": ["rare"], "metric": "mean_column_auc"}
    data = Data(task, Path(), 1, (n, 0, 2000), rare[:n, None].astype(float), Clock(600))
    data.texts["said"] = told
    params = {"members": ["logistic_single"], "C": 4.0, "alpha": 0.1, "calibrate": False, "max_terms": 10_000}
    assert roc_auc_score(rare[n:], language_model(data, params)[:, 0]) > 0.95


def test_rare_classes_are_learned_as_far_as_common_ones() -> None:
    assert tolerance(np.arange(100) % 2) == pytest.approx(1e-3)
    assert tolerance(np.arange(100) < 1) == pytest.approx(4e-5, rel=0.02)


def test_a_forest_is_never_certain() -> None:
    rng = np.random.default_rng(0)
    rows, label = rng.normal(size=(300, 4)), np.arange(300.0) % 30
    task = {"task": "multiclass", "metric": "log_loss", "classes": list(range(30))}
    data = Data(task, Path(), 1, (290, 0, 10), label[:290], Clock(600))
    data.numbers = {f"x{i}": rows[:, i] for i in range(4)}
    found = extra_trees_model(data, {"trees": 10, "min_leaf": 1, "max_features": 1.0, "most_rows": 1000})
    assert found.min() > 1e-4
    assert np.allclose(found.sum(axis=1), 1.0)


def test_a_sparse_linear_model_finds_the_few_columns_that_matter() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(1200, 150))
    label = (rows[:, :4].sum(axis=1) + 0.3 * rng.normal(size=1200) > 0).astype(float)
    n, scores = 200, []
    for ratio in (0.0, 1.0):
        data = Data({"task": "binary", "metric": "auc"}, Path(), 1, (n, 0, 1000), label[:n], Clock(600))
        data.numbers = {f"x{i}": rows[:, i] for i in range(150)}
        scores.append(roc_auc_score(label[n:], linear_model(data, {"l1_ratio": ratio})[:, 0]))
    assert scores[1] > max(0.95, scores[0] + 0.05)


def test_no_two_blocks_give_one_name_to_two_things() -> None:
    """They end up in one file, where the last of them would stand for both."""
    names = [name for piece in read_blocks()[1] for name in piece.names]
    assert len(names) > 100
    assert sorted(names) == sorted(set(names))


def test_what_was_searched_for_is_compared_with_what_was_found() -> None:
    data, rng = data_of(400), np.random.default_rng(0)
    words = [f"{a}{b}" for a in ("lamp", "chair", "door", "table") for b in ("ish", "er", "ing", "less", "ful", "y")]
    asked = [" ".join(rng.choice(words, 2, replace=False)) for _ in range(402)]
    found = [f"{text} and more" if row % 2 else "something else altogether" for row, text in enumerate(asked)]
    data.strings = {"query": pd.Series(asked), "colour": pd.Series(rng.choice(["light red", "deep blue"], 402))}
    data.texts = {"title": found}
    text_pairs(data, True)
    assert {name.split(".")[0] for name in data.numbers} == {"query~title"}
    shared = data.numbers["query~title.shared"]
    assert set(shared[1::2]) == {2.0} and set(shared[::2]) == {0.0}


def slopes_and_a_step(task: str, seconds: float = 600.0) -> tuple[Data, np.ndarray]:
    """1,200 rows, 800 to learn from, that 12 slopes and one step make; the truth of the others."""
    rng = np.random.default_rng(3)
    columns = rng.normal(size=(1200, 12))
    score = columns @ np.linspace(0.5, 1.0, 12) + 2.0 * (columns[:, 0] > 0.5) + 0.1 * rng.normal(size=1200)
    y = score if task == "regression" else (score > 1.0).astype(float)
    about = {"task": task, "classes": [0, 1], "metric": "rmse" if task == "regression" else "log_loss"}
    numbers = {f"x{i}": values for i, values in enumerate(columns.T)}
    return Data(about, Path(), 1, (800, 200, 200), y[:800], Clock(seconds), numbers=numbers), y[800:]


@pytest.mark.parametrize("task", ["regression", "binary"])
def test_trees_on_what_a_linear_model_leaves_need_no_splits_for_slopes(task: str) -> None:
    errors = []
    for model in (lightgbm_model, lightgbm_linear_model):
        data, truth = slopes_and_a_step(task)
        found = model(data, LIGHTGBM).ravel()
        errors.append(np.sqrt(np.mean((found - truth) ** 2)) if task == "regression" else log_loss(truth, found))
    assert errors[1] < 0.7 * errors[0]


def test_without_time_for_a_linear_model_trees_start_from_nothing() -> None:
    data, _ = slopes_and_a_step("regression")
    (goal,) = goals(data)
    assert linear_base(data, goal, Clock(-1.0)) is None
    base = linear_base(data, goal, Clock(60.0))
    assert base is not None and np.corrcoef(base[:800], data.y)[0, 1] > 0.95


def test_a_target_may_go_with_a_skewed_number_or_with_its_log() -> None:
    rng = np.random.default_rng(5)
    skewed = rng.exponential(size=700)
    for y in (2.5 * skewed, np.log1p(skewed)):
        data = Data({"task": "regression", "metric": "rmse"}, Path(), 1, (500, 100, 100), y[:500], Clock(60))
        data.numbers["distance"] = skewed
        off = np.abs(linear_model(data, {"C": [0.1, 1.0]}).ravel() - y[500:])
        assert off.mean() < 0.035 * y.std()  # 0.038 where the tail is cut at its outer hundredth


def test_a_row_far_in_the_tail_is_not_taken_for_unlike() -> None:
    rng = np.random.default_rng(0)
    x = rng.exponential(size=2600)
    y = x + 0.2 * x.std() * rng.normal(size=2600)
    data = Data({"task": "regression", "metric": "rmse"}, Path(), 1, (600, 1000, 1000), y[:600], Clock(60))
    data.numbers["x"] = x
    off = linear_model(data, {"C": [1.0]}).ravel() - y[600:]
    tail = x[600:] > np.quantile(x[:600], 0.99)
    assert np.sqrt((off[tail] ** 2).mean()) < 0.6 * y.std()  # 0.9 and 1.5 where such rows are drawn to the mean
