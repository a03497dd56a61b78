"""Short campaigns: what the offline policy plays when time is scarce, and what it learns from time-outs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.offline.blocks.bags import boost
from agents.offline.blocks.core import Clock, Data
from agents.offline.blocks.goals import goals
from agents.offline.catalogue import BY_NAME
from agents.offline.notebook import NO_PROFILE, read
from agents.offline.options import Costs
from agents.offline.recipe import Facts
from agents.offline.workshop import diagnose
from tests.agents.desk import COMPETITION, TABLE, TEXT, Desk, crash, entry, strategy

FIRST = entry(1, "lightgbm_encoded", 0.80, status="keep", role="improve", expected_gain=0.0)


@pytest.mark.parametrize("profile", [TABLE, TEXT])
@pytest.mark.parametrize("left", [200.0, 600.0])
def test_without_a_score_a_third_of_the_time_is_the_limit(tmp_path: Path, profile: dict[str, Any], left: float) -> None:
    (plan,) = Desk(tmp_path, profile=profile).plan(seconds_left=left)
    assert plan["cost_s"] <= left * 0.35


def test_many_rows_do_not_keep_a_booster_from_being_played(tmp_path: Path) -> None:
    """It learns from a part of them in its time; without that a weak model that is quick anywhere would be left."""
    many = {**TABLE, "rows": {"train": 1_000_000, "test": 100_000}}
    desk = Desk(tmp_path, profile=many).played(entry(1, "lightgbm_quick", 0.7, status="keep", seconds=150.0))
    (plan,) = desk.plan(seconds_left=400.0)
    assert plan["family"] in ("lightgbm", "xgboost", "catboost")
    assert plan["recipe"] != "lightgbm_quick"
    assert 0.3 * 400 < plan["cost_s"] <= 0.5 * 400
    assert plan["fold_seconds"] == pytest.approx(plan["cost_s"] / 3, abs=0.1), "of three turns"


def test_many_texts_are_first_read_by_the_quickest_recipe(tmp_path: Path) -> None:
    """A booster on scores of text models can learn from fewer rows, but has to read all of them."""
    details = {"body": {"kind": "text", "characters": {"mean": 330.0, "max": 5000}}}
    many = {**TEXT, "rows": {"train": 160_000, "test": 40_000}, "column_details": details}
    (plan,) = Desk(tmp_path, profile=many).plan(seconds_left=140.0)
    assert plan["recipe"] == "text_quick"


def test_when_nothing_fits_the_cheapest_that_did_not_fail_is_played(tmp_path: Path) -> None:
    (cheapest,) = Desk(tmp_path, number=1).plan(seconds_left=30.0)
    (tmp_path / "b").mkdir()
    (other,) = Desk(tmp_path / "b").played(crash(1, cheapest["recipe"])).plan(seconds_left=30.0)
    assert other["recipe"] != cheapest["recipe"]


def cost(recipe: str, desk: Desk, *runs: dict[str, Any]) -> float:
    notebook = read(desk.played(FIRST, *runs).turn("builder", "plan"))
    return Costs(notebook).estimate(BY_NAME[recipe], BY_NAME[recipe].params)


def test_time_outs_gated_and_slow_runs_raise_the_estimates(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    usual = cost("catboost_native", desk)
    assert usual < 200
    reason = "timeout: fold 1 did not end within the 500 s that all folds have together"
    late = {**crash(2, "catboost_native"), "reason": reason, "seconds": 500.0}
    assert cost("catboost_native", desk, late) == pytest.approx(3000)
    assert cost("catboost_native", desk, {**late, "reason": reason.replace("1", "4", 1)}) == pytest.approx(600)
    assert cost("extra_trees", desk, late) > 1.5 * cost("extra_trees", desk)
    assert cost("catboost_native", desk, {**late, "reason": "ValueError: boom"}) == pytest.approx(usual)
    gated = entry(2, "catboost_native", 0.7, complete=False, fold_scores=[0.7], seconds=100.0)
    assert cost("catboost_native", desk, gated) == pytest.approx(300)
    slow = entry(2, "extra_trees", 0.79, seconds=3000.0)
    assert cost("catboost_native", desk, slow) > 1.5 * usual


def timed_out(desk: Desk, recipe: str, seconds: float, **facts: Any) -> str:
    chosen = strategy(recipe)
    desk.build(chosen)
    desk.put(desk.name("scores.json"), {"seconds": seconds})
    message = f"fold 1 did not end within the {seconds:.0f} s that all folds have together"
    return desk.build(chosen, failure={"kind": "timeout", "message": message, "fold": 1}, attempt=2, **facts)


def test_after_a_time_out_something_cheaper_is_played_while_there_is_time(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert timed_out(desk, "mlp", 100.0, seconds_left=3000.0) == "CV_SCORE=0.5"
    assert "Recipe mlp:" in desk.text("experiment.py")
    assert "'epochs': 30" in desk.text("experiment.py")
    assert timed_out(desk, "mlp", 100.0, seconds_left=120.0) == "CV_SCORE=0.5"
    assert "Recipe lightgbm_quick:" in desk.text("experiment.py")


def test_no_second_try_is_made_that_can_not_work(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    reply = timed_out(desk, "lightgbm_encoded", 60.0, seconds_left=6.0)
    assert reply.startswith("FAILED: fold 1 did not end within the 60 s")
    assert "nothing fits in the time that is left" in reply
    assert "after a time-out" not in desk.text("experiment.py")


@pytest.mark.parametrize("rows", [1000, 6000, 20_000])
def test_the_estimates_count_the_bags_that_a_booster_really_takes(rows: int) -> None:
    n = rows * 4 // 5
    y = np.arange(n, dtype=float) % 2
    data = Data({"task": "binary"}, Path(), 1, (n, 0, 3), y, Clock(600))
    fits = []

    def fit(
        part: np.ndarray, out: np.ndarray | None, most: int, bag: int, clock: Clock, faster: float
    ) -> tuple[np.ndarray, int]:
        fits.append(out is not None)
        return np.zeros(3), 10

    boost(data, goals(data)[0], {"rounds": 10}, Clock(600), fit)
    profile = {**NO_PROFILE, "rows": {"train": rows, "test": 3}}
    assert sum(fits) == Facts.of(profile, COMPETITION).usual_bags


@pytest.mark.parametrize(
    ("tail", "kind"),
    [
        ("KeyError: 'finance'", "crash"),
        ("tenant_info is missing", "crash"),
        ("Input contains NaN.", "output"),
        ("value is inf", "output"),
    ],
)
def test_bad_numbers_are_words(tail: str, kind: str) -> None:
    assert diagnose({"kind": "crash", "tail": tail}) == kind


def test_topics_of_texts_are_counted_for_every_recipe_that_takes_them() -> None:
    facts = Facts.of({**NO_PROFILE, **TEXT}, COMPETITION)
    assert BY_NAME["linear_onehot"].cost(facts) > 1e-3 * facts.rows
