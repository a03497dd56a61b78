"""Probes: silent on clean data, loud on what was planted."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from orchestrator.files import atomic_write, sha256_bytes, write_json
from orchestrator.referee.earlier import ARTIFACTS
from orchestrator.referee.score import score
from tests.referee.conftest import ROWS, TEST_ROWS, Stand


def checks_of(stand: Stand, oof: np.ndarray, test: np.ndarray, folds_test: np.ndarray | None = None) -> dict[str, Any]:
    """The checks on given predictions, filed as a complete round."""
    referee = stand.referee()
    folds, files = referee.seal(), stand.files(1)
    oof, test = oof.reshape(-1, 1).astype(float), test.reshape(-1, 1).astype(float)
    each = np.repeat(test[None], folds.folds, axis=0) if folds_test is None else folds_test
    hashes = {}
    for name, array in (("oof", oof), ("test", test), ("folds_test", each.astype(np.float32))):
        buffer = io.BytesIO()
        np.save(buffer, array)
        atomic_write(files.path(ARTIFACTS[name]), buffer.getvalue())
        hashes[name] = sha256_bytes(buffer.getvalue())
    scored = score(referee.metric, folds, oof, [])
    record = {"round": 1, "status": "ok", "hashes": hashes, "cv": scored.cv, "se": 0.02}
    write_json(files.path("scores.json"), {**record, "fold_scores": scored.fold_scores})
    return {check["name"]: check for check in referee.probes(files)["checks"]}


def noisy(stand: Stand, noise: float, seed: int = 0) -> np.ndarray:
    return np.clip(stand.truth + noise * np.random.default_rng(seed).normal(size=ROWS), -2, 3) / 5 + 0.4


@pytest.fixture
def uniform() -> np.ndarray:
    return np.random.default_rng(1).random(TEST_ROWS)


def test_constant_and_shifted_predictions_are_seen(stand: Stand, uniform: np.ndarray) -> None:
    found = checks_of(stand, np.full(ROWS, 0.3), np.full(TEST_ROWS, 0.3))
    assert not found["constant_predictions"]["ok"]
    found = checks_of(stand, noisy(stand, 0.3), uniform * 0.1)
    assert found["constant_predictions"]["ok"]
    assert not found["prediction_shift"]["ok"] and not found["test_outside_oof"]["ok"]
    found = checks_of(stand, noisy(stand, 1.0), noisy(stand, 1.0, seed=5)[:TEST_ROWS])
    assert found["prediction_shift"]["ok"]


def test_a_metric_that_fails_on_the_truth_gives_no_scale(make_stand: Callable[..., Stand], uniform: np.ndarray) -> None:
    stand = make_stand(competition__metric="own", competition__metric_file="metric.py")
    (stand.root / "metric.py").write_text(
        "MAXIMIZE, PREDICTION = False, 'probability'\ndef score(y_true, y_pred):\n"
        "    assert 0 < y_pred.min() and y_pred.max() < 1\n    return abs(y_true - y_pred).mean()\n"
    )
    assert "no scale" in checks_of(stand, noisy(stand, 0.1), uniform)["too_good"]["evidence"]


def test_a_score_near_the_truth_is_too_good(stand: Stand, uniform: np.ndarray) -> None:
    assert not checks_of(stand, stand.truth * 0.9 + 0.05, uniform)["too_good"]["ok"]
    assert checks_of(stand, noisy(stand, 1.0), uniform)["too_good"]["ok"]


def test_one_odd_fold_is_seen(stand: Stand, uniform: np.ndarray) -> None:
    folds = stand.referee().seal()
    oof = noisy(stand, 0.3)
    assert checks_of(stand, oof, uniform)["fold_dispersion"]["ok"]
    oof[folds.valid_rows[1]] = 1 - oof[folds.valid_rows[1]]
    assert not checks_of(stand, oof, uniform)["fold_dispersion"]["ok"]


@pytest.mark.parametrize("plant", ["drift", "duplicates", "row_order", "id"])
def test_what_is_wrong_with_the_data_is_seen(make_stand: Callable[..., Stand], uniform: np.ndarray, plant: str) -> None:
    stand = make_stand()
    train, test = (pd.read_csv(stand.data / f"{name}.csv", dtype={"id": str}) for name in ("train", "test"))
    names = {
        "drift": "adversarial_validation",
        "duplicates": "duplicates",
        "row_order": "row_order_leak",
        "id": "id_leak",
    }
    if plant == "drift":
        test["x1"] += 2
    elif plant == "duplicates":
        test.iloc[:10, 1:] = train.iloc[:10, 1:5].to_numpy()
    elif plant == "row_order":
        train = train.sort_values("target").reset_index(drop=True)
    else:
        order = np.argsort(np.argsort(train["target"] + train["id"]))
        train["id"] = [f"{place:04d}" for place in order]
    stand.write(train, test, pd.DataFrame({"id": test["id"], "target": 0.5}))
    stand.truth = (train["target"] == "yes").to_numpy()
    found = checks_of(stand, noisy(stand, 1.0), uniform)
    assert not found[names[plant]]["ok"]
    assert sum(not found[name]["ok"] for name in names.values()) == 1
    if plant == "drift":
        assert "x1" in found[names[plant]]["evidence"]


def test_regression_far_outside_the_target_is_seen(make_stand: Callable[..., Stand], uniform: np.ndarray) -> None:
    stand = make_stand(competition__task="regression", competition__metric="rmse", competition__classes=[],
                       competition__submission_kind="value", cv__strategy="kfold")  # fmt: skip
    train = pd.read_csv(stand.data / "train.csv", dtype={"id": str})
    train["target"] = np.random.default_rng(0).random(ROWS)
    stand.write(
        train, *(pd.read_csv(stand.data / f"{name}.csv", dtype={"id": str}) for name in ("test", "sample_submission"))
    )
    good = train["target"].to_numpy() * 0.5 + 0.2
    assert checks_of(stand, good, uniform)["range"]["ok"]
    assert not checks_of(stand, good, uniform * 10)["range"]["ok"]


def test_data_checks_are_computed_once(stand: Stand, uniform: np.ndarray) -> None:
    first = checks_of(stand, noisy(stand, 1.0), uniform)
    sealed = stand.root / "competition" / "sealed"
    made = (sealed / "drift.json").stat().st_mtime_ns
    assert checks_of(stand, noisy(stand, 1.0), uniform) == first
    assert (sealed / "drift.json").stat().st_mtime_ns == made
    (sealed / "drift.json").write_text("{")
    assert checks_of(stand, noisy(stand, 1.0), uniform) == first
