"""Greedy blending: better than its members, blind for the fold it serves, and quick."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from orchestrator.competitions.metrics import get_metric
from orchestrator.referee.blend import back, forward, weights
from orchestrator.referee.earlier import Earlier, for_blends, worth_showing
from orchestrator.referee.folds import assign
from orchestrator.referee.sealed import FoldSet
from orchestrator.rounds import RoundFiles


def fold_set(y: np.ndarray, folds: int = 4) -> FoldSet:
    manifest = {"folds": folds, "strategy": "kfold", "hash": "x", "rows": len(y), "test_rows": 1, "outputs": 1}
    return FoldSet(Path("."), manifest, assign("kfold", folds, 0, y, task="regression"), y, None)


def members(rows: int, count: int, task: str, seed: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=rows)
    noisy = {f"R{index + 1:02d}": signal + rng.normal(size=rows) for index in range(count)}
    if task == "regression":
        return signal, {label: value[:, None] for label, value in noisy.items()}
    return (signal > 0).astype(np.int64), {label: 1 / (1 + np.exp(-1.5 * v))[:, None] for label, v in noisy.items()}


@pytest.mark.parametrize(("name", "task"), [("rmse", "regression"), ("auc", "binary"), ("logloss", "binary"),
                                            ("accuracy", "binary"), ("qwk", "regression")])  # fmt: skip
def test_equally_good_members_share_the_weight(name: str, task: str) -> None:
    y, oofs = members(3000, 4, task)
    blend = weights(get_metric(name), fold_set(y), oofs, 0, task=task)
    assert sum(blend.weights.values()) == pytest.approx(1)
    assert len(blend.weights) >= 3 and max(blend.weights.values()) <= 0.5
    assert all(round(value * 50) == pytest.approx(value * 50) for value in blend.weights.values())


def test_a_useless_member_gets_nothing() -> None:
    y, oofs = members(2000, 2, "binary")
    oofs["R99"] = np.random.default_rng(9).random((2000, 1))
    assert "R99" not in weights(get_metric("logloss"), fold_set(y), oofs, 1, task="binary").weights


def test_a_metric_of_your_own_that_fails_costs_no_blend(tmp_path: Path) -> None:
    path = tmp_path / "metric.py"
    path.write_text("MAXIMIZE, PREDICTION = False, 'value'\ndef score(y_true, y_pred):\n    raise KeyError\n")
    y, oofs = members(200, 2, "regression")
    assert sum(weights(get_metric("own", path), fold_set(y), oofs, 0, task="regression").weights.values()) == 1


def test_what_is_unlike_the_others_is_chosen_before_the_best_of_many_alike() -> None:
    rng = np.random.default_rng(3)
    y, alike = rng.normal(size=2000), rng.normal(size=2000)
    oofs = {f"R{n:02d}": (y + alike + 0.05 * rng.normal(size=2000))[:, None] for n in range(1, 31)}
    oofs["R50"] = (y + 1.1 * rng.normal(size=2000))[:, None]
    shares = weights(get_metric("rmse"), fold_set(y), oofs, 0, task="regression").weights
    assert 0.35 < shares["R50"] < 0.65


def test_blends_are_no_members_of_blends_where_there_are_others() -> None:
    def played(label: str, role: str | None) -> Earlier:
        return Earlier(label, {} if role is None else {"role": role}, *[np.zeros((2, 1))] * 2, np.zeros((1, 2, 1)))

    first, old, blend = played("R01", "improve"), played("R02", None), played("R03", "blend")
    assert list(for_blends([first, old, blend])) == ["R01", "R02"]
    assert list(for_blends([blend])) == ["R03"]


def test_blends_do_not_push_models_out_of_what_is_shown() -> None:
    rounds = [(float(number), number > 30, RoundFiles(Path(), number)) for number in range(1, 61)]
    shown = [files.number for files in worth_showing(rounds)]
    assert shown == [60, *range(30, 0, -1), *range(59, 50, -1)]


def test_the_served_fold_has_no_say() -> None:
    y, oofs = members(800, 3, "regression")
    folds = fold_set(y)
    before = weights(get_metric("rmse"), folds, oofs, 2, task="regression")
    rows = folds.valid_rows[2]
    y[rows] = oofs["R02"][rows, 0]
    assert weights(get_metric("rmse"), folds, oofs, 2, task="regression") == before
    assert weights(get_metric("rmse"), folds, oofs, "full", task="regression") != before


def test_rank_space_rescues_a_member_on_another_scale() -> None:
    y, oofs = members(3000, 2, "binary")
    oofs["R02"] = oofs["R02"] ** 20
    blend = weights(get_metric("auc"), fold_set(y), oofs, 0, task="binary")
    assert blend.space == "rank" and len(blend.weights) == 2


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_logit_space_and_back_is_the_same(task: str) -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(3), 50)
    p = p if task == "multiclass" else p[:, :1]
    assert back("logit", forward("logit", p, task), task) == pytest.approx(p, abs=1e-5)


def test_time_is_bounded_on_many_rows_and_members() -> None:
    y, oofs = members(200_000, 15, "binary")
    folds = fold_set(y)
    folds.valid_rows  # noqa: B018
    started = time.process_time()
    blend = weights(get_metric("auc"), folds, oofs, 0, task="binary", thorough=False)
    assert blend.weights and time.process_time() - started < 1.5
