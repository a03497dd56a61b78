"""Assignments: balanced, deterministic, never splitting what belongs together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.competitions.time_blocks import time_blocks
from orchestrator.errors import BadInput
from orchestrator.referee.folds import assign, digest, train_mask


def test_stratified_spreads_rare_classes_over_all_folds() -> None:
    y = np.repeat(np.arange(99), 9)
    assignment = assign("stratified", 5, 1, y, task="multiclass")
    for label in range(99):
        counts = np.bincount(assignment[y == label], minlength=5)
        assert counts.min() >= 1 and counts.max() <= 2
    assert np.ptp(np.bincount(assignment)) <= 1


@settings(deadline=None, max_examples=40)
@given(rows=st.integers(12, 80), folds=st.integers(2, 6), seed=st.integers(0, 9), classes=st.integers(1, 12))
def test_every_row_has_a_fold_and_folds_are_even(rows: int, folds: int, seed: int, classes: int) -> None:
    y = np.random.default_rng(seed).integers(0, classes, rows)
    for strategy in ("stratified", "kfold"):
        assignment = assign(strategy, folds, seed, y, task="multiclass")
        assert np.ptp(np.bincount(assignment, minlength=folds)) <= 1
        assert np.array_equal(assignment, assign(strategy, folds, seed, y, task="multiclass"))


def test_the_seed_decides_and_the_digest_tells() -> None:
    y = np.arange(50) % 2
    first, second = (assign("kfold", 5, seed, y, task="binary") for seed in (1, 2))
    assert not np.array_equal(first, second)
    assert digest(first) != digest(second)
    assert digest(first) == digest(assign("kfold", 5, 1, y, task="binary"))
    assert digest(first) != digest(first.astype(np.int32))


def test_multilabel_balances_each_label_also_the_rare_ones() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random((400, 6)) < [0.5, 0.3, 0.2, 0.1, 0.05, 0.025]).astype(float)
    assignment = assign("stratified", 4, 0, y, task="multilabel")
    share = np.array([y[assignment == fold].sum(axis=0) for fold in range(4)])
    assert (np.ptp(share, axis=0) <= 6).all()


def test_stratified_regression_gives_each_fold_the_same_targets() -> None:
    y = np.random.default_rng(0).lognormal(size=500)
    even = assign("stratified", 5, 0, y, task="regression")
    plain = assign("kfold", 5, 0, y, task="regression")
    spread = [np.std([np.log(y[a == fold]).mean() for fold in range(5)]) for a in (even, plain)]
    assert spread[0] < spread[1] / 3


def test_groups_stay_whole_and_folds_balanced() -> None:
    rng = np.random.default_rng(0)
    groups = rng.zipf(1.5, 2000) % 300
    y = (groups % 7 == 0).astype(int)
    assignment = assign("group", 5, 0, y, task="binary", groups=groups)
    for group in np.unique(groups):
        assert len(np.unique(assignment[groups == group])) == 1
    assert set(assignment) == set(range(5))


def test_equal_groups_give_equal_folds_and_classes() -> None:
    groups = np.repeat(np.arange(100), 5)
    y = (groups % 4 == 0).astype(int)
    assignment = assign("group", 5, 0, y, task="binary", groups=groups)
    assert np.bincount(assignment).tolist() == [100] * 5
    assert np.bincount(assignment[y == 1]).tolist() == [25] * 5


def test_time_validates_only_what_comes_later() -> None:
    times = np.random.default_rng(0).permutation(600) // 3
    assignment = assign("time", 5, 0, np.zeros(600), task="regression", times=times)
    assert np.bincount(assignment + 1).tolist() == pytest.approx([100] * 6, abs=3)
    for fold in range(5):
        learn, check = train_mask(assignment, fold, "time"), assignment == fold
        assert times[learn].max() < times[check].min()


@pytest.mark.parametrize(("stretch", "rows"), [(0.0, 100), (500.0, 100), (20.0, 60), (0.5, 12)])
def test_time_validates_as_far_ahead_as_test_is(stretch: float, rows: int) -> None:
    """At least a tenth of all rows, at most as many as in equal parts."""
    times = np.random.default_rng(0).permutation(600) // 3
    assignment = assign("time", 5, 0, np.zeros(600), task="regression", times=times, stretch=stretch)
    assert np.bincount(assignment + 1)[1:].tolist() == pytest.approx([rows] * 5, abs=3)
    assert times[assignment == -1].max() < times[assignment >= 0].min()


def test_time_with_one_crowded_moment_still_fills_every_fold() -> None:
    times = np.concatenate([np.zeros(90), np.arange(1, 11)])
    assignment = assign("time", 4, 0, np.zeros(100), task="regression", times=times)
    assert (np.bincount(assignment + 1, minlength=5) > 0).all()


def test_blocks_are_as_long_as_the_runs_of_test() -> None:
    days = np.repeat(np.arange(300), 4)
    in_test = days % 30 >= 25  # five days of each thirty
    train, test = days[~in_test], days[in_test]
    order = np.random.default_rng(0).permutation(len(train))
    assignment = np.empty(len(train), dtype=int)
    runs = time_blocks(train[order], test)
    assignment[order] = assign("blocks", 5, 0, np.zeros(len(train)), task="regression", runs=runs)
    assert np.bincount(assignment).tolist() == pytest.approx([200] * 5, abs=20)
    by_day = assignment.reshape(-1, 4)
    assert (by_day == by_day[:, :1]).all(), "the rows of a day stay together"
    lengths = np.diff(np.flatnonzero(np.diff(by_day[:, 0], prepend=-9, append=-9)))
    assert lengths.min() >= 4 and np.median(lengths) < 13


@pytest.mark.parametrize(
    ("strategy", "extra", "word"),
    [
        ("kfold", {}, "rows"),
        ("group", {"groups": np.zeros(40, dtype=int)}, "groups"),
        ("group", {}, "group_column"),
        ("time", {"times": np.zeros(40)}, "time_column"),
        ("time", {}, "time_column"),
        ("blocks", {"times": np.arange(40)}, "train and test"),
        ("blocks", {"runs": time_blocks(np.arange(40), np.arange(100, 140))}, "runs of time"),
    ],
)
def test_too_little_to_split_is_said_with_the_fix(strategy: str, extra: dict, word: str) -> None:
    rows = 40 if extra or strategy != "kfold" else 5
    with pytest.raises(BadInput, match=word):
        assign(strategy, 5, 0, np.zeros(rows, dtype=int), task="binary", **extra)
