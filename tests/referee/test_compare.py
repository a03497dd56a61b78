"""Standard errors against theory and brute force; keep or discard on gains that are real, absent or shared."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from orchestrator.competitions.metrics import Metric, get_metric
from orchestrator.referee.compare import compare, fold_draws, standard_error
from orchestrator.referee.earlier import Earlier
from orchestrator.referee.folds import assign
from orchestrator.referee.score import judge, keep_bar, score
from orchestrator.referee.sealed import FoldSet


def fold_set(y: np.ndarray, folds: int = 5, groups: np.ndarray | None = None, strategy: str = "kfold") -> FoldSet:
    manifest = {"folds": folds, "strategy": strategy, "hash": "x", "rows": len(y), "test_rows": 1, "outputs": 1}
    task = "regression"
    return FoldSet(Path("."), manifest, assign(strategy, folds, 0, y, task=task, groups=groups), y, groups)


def draws(metric: Metric, folds: FoldSet, decided: np.ndarray, seed: int = 1) -> list[np.ndarray]:
    return [fold_draws(metric, folds, fold, decided[folds.valid_rows[fold]], seed) for fold in range(folds.folds)]


def cv(metric: Metric, folds: FoldSet, decided: np.ndarray) -> float:
    groups = [None if folds.groups is None else folds.groups[rows] for rows in folds.valid_rows]
    parts = zip(folds.valid_rows, groups, strict=True)
    return float(np.mean([metric.score(folds.labels[rows], decided[rows], group) for rows, group in parts]))


def data(name: str, rows: int, seed: int = 0, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    metric = get_metric(name)
    signal = rng.normal(size=rows)
    if metric.kind == "value":
        return signal + 3, signal + 3 + noise * rng.normal(size=rows)
    if metric.kind == "ordinal":
        return np.clip(np.rint(signal + 2), 0, 4), np.clip(np.rint(signal + 2 + noise * rng.normal(size=rows)), 0, 4)
    y = (signal > 0).astype(np.int64)
    p = 1 / (1 + np.exp(-(signal + noise * rng.normal(size=rows))))
    return y, (p > 0.5).astype(np.int64) if metric.kind == "label" else p[:, None]


NAMES = ["auc", "logloss", "accuracy", "f1", "mcc", "balanced_accuracy", "rmse", "mae", "r2", "medae", "qwk",
         "average_precision", "spearman", "gini"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_standard_error_matches_the_spread_over_fresh_samples(name: str) -> None:
    metric = get_metric(name)
    scores = []
    for seed in range(60):
        y, decided = data(name, 1000, seed=100 + seed)
        scores.append(cv(metric, fold_set(y), decided))
    truth = float(np.std(scores))
    estimates = []
    for seed in range(5):
        y, decided = data(name, 1000, seed=seed)
        estimates.append(standard_error(draws(metric, fold_set(y), decided)))
    assert np.mean(estimates) == pytest.approx(truth, rel=0.35)


@pytest.mark.parametrize("name", ["auc", "f1", "rmse", "qwk", "accuracy"])
def test_a_clear_gain_is_seen_and_the_same_predictions_are_a_coin_flip(name: str) -> None:
    metric = get_metric(name)
    y, worse = data(name, 2000, noise=1.5)
    _, better = data(name, 2000, noise=0.5)
    folds = fold_set(y)
    new, old = draws(metric, folds, better), draws(metric, folds, worse)
    gain = metric.gain(cv(metric, folds, better), cv(metric, folds, worse))
    up, down = compare(metric, new, old, gain), compare(metric, old, new, -gain)
    assert gain > 0 and up.probability > 0.99 and down.probability < 0.01
    assert up.se == pytest.approx(down.se)
    same = compare(metric, old, old, 0.0)
    assert (same.probability, same.se) == (0.5, 0.0)


def test_pairing_cancels_what_both_share() -> None:
    metric = get_metric("rmse")
    y, first = data("rmse", 2000)
    second = first + 0.01 * np.random.default_rng(5).normal(size=len(y))
    folds = fold_set(y)
    new, old = draws(metric, folds, first), draws(metric, folds, second)
    assert compare(metric, new, old, 0.0).se < standard_error(new) / 20


def test_probability_is_calibrated_when_there_is_no_gain() -> None:
    metric = get_metric("mae")
    hits = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        y = rng.normal(size=100)
        folds = fold_set(y)
        one, two = (y + rng.normal(size=100) for _ in range(2))
        gain = metric.gain(cv(metric, folds, one), cv(metric, folds, two))
        hits.append(compare(metric, draws(metric, folds, one), draws(metric, folds, two), gain).probability >= 0.9)
    assert 0.04 <= np.mean(hits) <= 0.18


def test_whole_groups_are_resampled() -> None:
    groups = np.repeat(np.arange(100), 20)
    shared = np.random.default_rng(0).normal(size=100)[groups]
    y = np.zeros(2000)
    metric = get_metric("mse")
    alone = standard_error(draws(metric, fold_set(y), shared))
    together = standard_error(draws(metric, fold_set(y, groups=groups, strategy="group"), shared))
    assert together > 3 * alone


def test_whole_runs_of_time_are_resampled() -> None:
    runs = np.repeat(np.arange(20), 100)
    shock = np.random.default_rng(0).normal(size=20)[runs]
    y, metric = np.zeros(2000), get_metric("mse")
    plain = fold_set(y, groups=runs, strategy="group")
    rows = replace(plain, groups=None, manifest={**plain.manifest, "strategy": "blocks"})
    assert standard_error(draws(metric, replace(rows, runs=runs), shock)) > 3 * standard_error(
        draws(metric, rows, shock)
    )


def test_a_fold_of_one_run_has_a_spread_too() -> None:
    runs = np.repeat(np.arange(5), 40)
    y, noise = np.zeros(200), np.random.default_rng(0).normal(size=200)
    folds = replace(fold_set(y, groups=runs, strategy="group"), groups=None, runs=runs)
    assert standard_error(draws(get_metric("mse"), folds, noise)) > 0


def test_of_long_runs_more_rows_tell_no_more() -> None:
    """Metrics that are resampled on a part of the rows: the part has all of the runs."""
    spreads = []
    for length in (400, 8000):
        runs = np.repeat(np.arange(20), length)
        shock = np.random.default_rng(0).normal(size=20)[runs] + 0.1 * np.random.default_rng(1).normal(size=len(runs))
        folds = replace(fold_set(np.zeros(len(runs)), groups=runs, strategy="group"), groups=None, runs=runs)
        spreads.append(standard_error(draws(get_metric("medae"), folds, shock)))
    assert spreads[1] == pytest.approx(spreads[0], rel=0.25)


def test_a_fold_without_both_classes_is_left_out() -> None:
    metric = get_metric("auc")
    y = np.zeros(50, dtype=np.int64)
    folds = fold_set(y, folds=2)
    y[folds.valid_rows[0][:5]] = 1
    p = np.random.default_rng(0).random((50, 1))
    found = draws(metric, folds, p)
    assert np.isnan(found[1]).all() and not np.isnan(found[0]).any()
    assert standard_error(found) > 0
    assert compare(metric, found, found, 0.0).probability == 0.5


def test_ranking_within_groups_and_several_columns_have_errors_too() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), 10)
    y = rng.integers(0, 4, 600).astype(float)
    ranking = get_metric("ndcg@5")
    folds = fold_set(y, groups=groups, strategy="group")
    assert standard_error(draws(ranking, folds, y + rng.normal(size=600))) > 0
    labels = rng.integers(0, 2, (600, 3))
    p = np.clip(labels * 0.4 + rng.random((600, 3)) * 0.6, 0, 1)
    for name in ("auc", "logloss", "f1"):
        metric = get_metric(name, task="multilabel")
        decided = (p > 0.5).astype(np.int64) if metric.kind == "label" else p
        base = fold_set(labels[:, 0])
        several = FoldSet(base.folder, base.manifest, base.assignment, labels, None)
        assert 0 < standard_error(draws(metric, several, decided)) < 0.1


def test_a_metric_of_your_own_that_fails_on_resamples_has_an_error_too(tmp_path: Path) -> None:
    (tmp_path / "metric.py").write_text(
        "from sklearn.metrics import log_loss\nMAXIMIZE = False\nPREDICTION = 'probability'\n"
        "def score(y_true, y_pred):\n    return log_loss(y_true, y_pred)\n"
    )
    y = np.zeros(60, dtype=np.int64)
    y[::12] = 1
    folds = FoldSet(Path("."), fold_set(y).manifest, np.arange(60) // 12, y, None)
    assert all(y[rows].sum() == 1 for rows in folds.valid_rows), "without that row the metric fails"
    p = np.random.default_rng(0).random((60, 1))
    assert 0 < standard_error(draws(get_metric("own", tmp_path / "metric.py"), folds, p)) < 1


@pytest.mark.parametrize("name", ["auc", "logloss", "f1", "rmse", "r2", "average_precision"])
def test_a_million_rows_stay_fast(name: str) -> None:
    metric = get_metric(name)
    y, decided = data(name, 1_000_000)
    folds = fold_set(y)
    folds.valid_rows  # noqa: B018
    started = time.process_time()
    error = standard_error(draws(metric, folds, decided))
    assert error > 0
    assert time.process_time() - started < 2.0


@pytest.mark.parametrize(
    ("role", "tries", "bar"), [("improve", 0, 0.9), ("improve", 1, 0.95), ("tune", 9, 0.99), ("blend", 30, 0.6)]
)
def test_the_more_was_tried_the_surer_a_gain_must_be_but_for_blends(role: str, tries: int, bar: float) -> None:
    assert keep_bar(role, 0.9, tries) == pytest.approx(bar)


@pytest.mark.parametrize(("steep", "flips", "kept"), [(1.0, 3, True), (9.0, 3, False), (9.0, 60, True)])
def test_a_gain_of_decisions_that_is_not_sure_needs_the_smooth_loss(steep: float, flips: int, kept: bool) -> None:
    """A blend that decides a few rows better: not when its probabilities got worse for it, unless the rows are many."""
    rng, rows, accuracy = np.random.default_rng(0), 600, get_metric("accuracy", task="binary")
    y = rng.integers(0, 2, rows)
    odds = (2 * y - 1) + 1.5 * rng.normal(size=rows)
    new = odds.copy()
    wrong = np.flatnonzero((odds > 0) != y)[:flips]
    right = np.flatnonzero((odds > 0) == y)[: 2 * flips // 3]
    new[wrong], new[right] = 0.1 * (2 * y[wrong] - 1), 0.1 - 0.2 * y[right]
    manifest = {"folds": 3, "strategy": "kfold", "hash": "x", "rows": rows, "test_rows": 1, "outputs": 1}
    folds = FoldSet(Path("."), manifest, assign("kfold", 3, 0, y, task="binary"), y, None)
    before, after = (1 / (1 + np.exp(-values))[:, None] for values in (odds, steep * new))
    best = Earlier("R01", {}, before, np.zeros((1, 1)), np.zeros((3, 1, 1)))
    record, scored = {"round": 1, "cv": 0.0, "se": 0.0}, score(accuracy, folds, after, [0, 1])
    found = judge(accuracy, folds, after, scored, best, record, keep_bar("blend", 0.9), [0, 1], "binary", 5)
    assert found.comparison is not None and found.comparison.gain > 0
    assert (found.verdict == "keep") is kept, found.reason
