"""The offline Builder writes experiments and heals those that failed."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from agents.offline.catalogue import BY_NAME, RECIPES
from orchestrator.referee.workdir import MAX_SCRIPT_BYTES
from tests.agents.desk import Desk, crash, entry, strategy

FIRST = entry(1, "lightgbm_encoded", 0.80, status="keep", role="improve", expected_gain=0.0)


def test_every_recipe_builds_a_script(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    for recipe in RECIPES:
        assert desk.build(strategy(recipe.name)) == "CV_SCORE=0.5"
        ast.parse(desk.text("experiment.py"))


def test_a_plan_of_another_player_is_built_as_far_as_it_is_known(tmp_path: Path) -> None:
    foreign = {
        "family": "gradient boosting with LightGBM",
        "hypothesis": 'say "hi"',
        "expected_gain": 1,
        "params": {"x": 1},
    }
    desk = Desk(tmp_path)
    assert desk.build(foreign) == "CV_SCORE=0.5"
    assert "lightgbm" in desk.text("experiment.py")


@pytest.mark.parametrize("name", [recipe.name for recipe in RECIPES])
def test_a_bold_script_with_a_long_hypothesis_is_no_larger_than_the_host_takes(tmp_path: Path, name: str) -> None:
    recipe, desk = BY_NAME[name], Desk(tmp_path)
    features = {key: choices[-1] for key, choices in recipe.feature_space.items()}
    assert desk.build(strategy(name, features=features, hypothesis="because of much " * 500)) == "CV_SCORE=0.5"
    assert 10_000 < len(desk.text("experiment.py").encode()) <= MAX_SCRIPT_BYTES


def test_a_run_without_a_score_is_reported_as_failed(tmp_path: Path) -> None:
    reply = Desk(tmp_path).build(strategy("knn"), {"cv": None, "status": "gated", "reason": "fold 1 is\nworse"})
    assert reply == "FAILED: fold 1 is worse"


@pytest.mark.parametrize(
    ("failure", "attempt", "expected"),
    [
        ({"kind": "memory", "message": "killed"}, 2, "a smaller model"),
        ({"kind": "crash", "tail": "MemoryError"}, 2, "a smaller model"),
        ({"kind": "timeout", "message": "600 s"}, 2, "fewer rounds"),
        ({"kind": "output", "message": "3 NaN in valid.npy"}, 2, "plain features and target"),
        ({"kind": "crash", "tail": "KeyError: 'city'"}, 2, "without the added features"),
        ({"kind": "crash", "tail": "KeyError: 'city'"}, 3, "the simplest recipe that fits"),
    ],
)
def test_failures_are_healed(tmp_path: Path, failure: dict[str, Any], attempt: int, expected: str) -> None:
    desk = Desk(tmp_path)
    chosen = strategy("lightgbm_encoded")
    desk.build(chosen)
    broken = desk.text("experiment.py")
    assert desk.build(chosen, failure=failure, attempt=attempt) == "CV_SCORE=0.5"
    healed = desk.text("experiment.py")
    assert expected in " ".join(healed.split())
    assert "target_encoding, 10" in broken
    assert "target_encoding, 10" not in healed


def test_a_timeout_makes_the_params_cheaper(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.build(strategy("lightgbm_encoded"), failure={"kind": "timeout"}, attempt=2)
    assert "'rounds': 900" in desk.text("experiment.py")


def test_the_fallback_avoids_what_crashed_before(tmp_path: Path) -> None:
    cheap = ["linear_onehot", "lightgbm_default", "knn"]
    desk = Desk(tmp_path).played(FIRST, *(crash(2 + i, name) for i, name in enumerate(cheap)))
    desk.build(strategy("mlp"), failure={"kind": "crash"}, attempt=3)
    assert not any(f"Recipe {name}:" in desk.text("experiment.py") for name in [*cheap, "mlp"])
