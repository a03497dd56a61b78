"""One experiment from script to record, in the real sandbox."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from orchestrator.files import read_json, write_json
from orchestrator.referee.earlier import ARTIFACTS
from tests.referee.conftest import GOOD, HEADER, POOR, ROWS, TEST_ROWS, Stand

FAIR = (
    HEADER
    + """
save(sigmoid(column("valid", "x0") + column("valid", "x1")), sigmoid(column("test", "x0") + column("test", "x1")))
"""
)


def test_a_good_run_leaves_every_artifact_and_an_honest_score(stand: Stand) -> None:
    stand.cores = 1  # the folds end in their order
    record = stand.run(GOOD)
    files, folds = stand.files(1), stand.referee().seal()
    assert (record["status"], record["verdict"], record["failure"]) == ("ok", "keep", None)
    assert record == read_json(files.path("scores.json"))
    oof, test, folds_test = (np.load(files.path(ARTIFACTS[name])) for name in ("oof", "test", "folds_test"))
    assert oof.shape == (ROWS, 1) and test.shape == (TEST_ROWS, 1) and folds_test.shape == (3, TEST_ROWS, 1)
    assert folds_test.dtype == np.float32
    scores = [roc_auc_score(stand.truth[rows], oof[rows, 0]) for rows in folds.valid_rows]
    assert record["fold_scores"] == pytest.approx(scores) and record["cv"] == pytest.approx(np.mean(scores))
    assert 0.01 < record["se"] < 0.05
    for name, value in record["hashes"].items():
        assert hashlib.sha256(files.path(ARTIFACTS[name]).read_bytes()).hexdigest() == value
    log = files.path("run.log").read_text()
    assert log.count("fine") == 3 and "=== fold 3: ok" in log
    sample = pd.read_csv(stand.data / "sample_submission.csv", dtype=str)
    csv = pd.read_csv(files.path("submission.csv"), dtype={"id": str})
    assert csv["id"].tolist() == sample["id"].tolist() and list(csv) == ["id", "target"]
    assert csv["target"].tolist()[::-1] == pytest.approx(test[:, 0].tolist(), rel=1e-8)
    assert not (stand.root / ".work" / "R01").exists()
    assert next(fields["fold"] for name, fields in stand.events if name == "fold_done") == 1


def test_the_same_script_does_not_run_twice_but_a_changed_one_or_a_lost_artifact_does(stand: Stand) -> None:
    first = stand.run(GOOD)
    path = stand.files(1).path("scores.json")
    made = path.stat().st_mtime_ns
    assert stand.run(GOOD) == first and path.stat().st_mtime_ns == made
    stand.files(1).path("oof.npy").write_bytes(b"torn")
    again = stand.run(GOOD)
    assert again["hashes"] == first["hashes"] and path.stat().st_mtime_ns > made
    other = stand.run(GOOD + "# changed\n")
    assert other["script_sha256"] != first["script_sha256"] and other["cv"] == first["cv"]


def test_a_failed_script_leaves_no_artifacts_of_the_one_before(stand: Stand) -> None:
    stand.cores = 1  # fold 1 is the one that fails
    stand.run(GOOD)
    record = stand.run("raise ValueError('no luck')")
    assert record["failure"]["kind"] == "crash" and "no luck" in record["failure"]["tail"]
    assert (record["verdict"], record["cv"], record["failure"]["fold"]) == ("crash", None, 1)
    assert not any(stand.files(1).has(name) for name in ARTIFACTS.values())
    assert "no luck" in stand.files(1).path("run.log").read_text()
    assert stand.run("raise ValueError('no luck')") == record


def test_gate_stops_a_clearly_worse_round_and_lets_a_blend_pass(stand: Stand) -> None:
    stand.run(GOOD)
    record = stand.run(POOR, 2, best=1, earlier=(1,))
    assert (record["status"], record["verdict"], record["cv"]) == ("gated", "discard", None)
    assert len(record["fold_scores"]) == 1 and record["gain"] < 0 and record["against"] == "R01"
    assert not stand.files(2).has("oof.npy")
    full = stand.run(POOR + "#", 3, role="blend", best=1)
    assert (full["status"], full["verdict"]) == ("ok", "discard")
    assert full["reason"].startswith("discard: gain -0.")
    assert full["reason"].endswith("< 0.6 (what a blend needs) against R01")


def test_keep_needs_a_gain_that_the_bootstrap_believes(stand: Stand) -> None:
    stand.run(FAIR)
    better = stand.run(GOOD, 2, best=1, earlier=(1,))
    assert (better["verdict"], better["gain"] > 0, better["probability"] >= 0.9) == ("keep", True, True)
    assert better["correlations"] == {"R01": better["max_correlation"]} and 0.5 < better["max_correlation"] < 0.95
    seed = GOOD.replace('column("valid", "x0")', 'column("valid", "x0") + 1e-9 * column("valid", "x1")')
    same = stand.run(seed, 3, best=2, earlier=(1, 2))
    assert (same["verdict"], same["gain"]) == ("discard", 0.0)
    assert same["correlations"]["R02"] > 0.999


def test_a_lost_best_is_compared_by_its_record(stand: Stand) -> None:
    stand.run(POOR)
    stand.files(1).path("oof.npy").unlink()
    record = stand.run(GOOD, 2, best=1, earlier=(1,))
    assert (record["verdict"], record["against"], record["correlations"]) == ("keep", "R01", {})


def test_in_holds_the_contract(stand: Stand) -> None:
    (stand.data / "prices.csv").write_text("a\n1\n")
    (stand.data / "images").mkdir()
    (stand.data / "images" / "1.txt").write_text("x")
    (stand.data / ".hidden").write_text("x")
    for name in ("stand.zip", "raw.tar.gz", "train.csv.gz", "train.parquet"):
        (stand.data / name).write_text("may hold the labels")
    stand.run(GOOD)
    listing = (
        GOOD
        + """
import pyarrow.parquet
train, valid = (pyarrow.parquet.read_table(f"{IN}/{name}.parquet") for name in ("train", "valid"))
assert train.column_names == [*valid.column_names, "target"] and len(valid) == task["n_valid"]
assert np.array_equal(valid["x0"].to_numpy(), column("valid", "x0"))
found = sorted(os.path.relpath(os.path.join(top, name), IN) for top, _, names in os.walk(IN, followlinks=True)
               for name in names if "columns" not in top)
print("LIST", json.dumps(found))
print("TASK", json.dumps(task))
"""
    )
    stand.run(listing, 2, role="blend", best=1, earlier=(1,))
    log = stand.files(2).path("run.log").read_text()
    found = json.loads(next(line for line in log.splitlines() if line.startswith("LIST"))[5:])
    assert found == [
        "data/images/1.txt", "data/prices.csv", "previous/R01_test.npy", "previous/R01_valid.npy",
        "previous/weights.json", "task.json", "test.parquet", "train.parquet", "valid.parquet",
    ]  # fmt: skip
    tasks = [json.loads(line[5:]) for line in log.splitlines() if line.startswith("TASK")]
    assert [task["fold"] for task in tasks] == [0, 1, 2]
    task = tasks[0]
    assert task["n_train"] + task["n_valid"] == ROWS and task["n_test"] == TEST_ROWS
    assert task["numeric_columns"] == ["x0", "x1", "x2"] and task["categorical_columns"] == ["city"]
    assert (task["classes"], task["outputs"], task["id_column"]) == (["no", "yes"], 1, "id")
    assert (task["metric"], task["maximize"], task["metric_kind"]) == ("auc", True, "probability")
    assert (task["time_column"], task["cv_strategy"]) == (None, "stratified")
    assert (task["data"], task["previous"], task["cores"]) == (["columns", "images", "prices.csv"], ["R01"], 1)
    assert 0 < task["seconds"] <= 60 and tasks[1]["cores"] == 1
    assert tasks[1]["memory_mb"] == task["memory_mb"] == 2048 // 3


def test_refit_learns_from_all_rows_and_predicts_the_test_rows(stand: Stand) -> None:
    script = (
        HEADER
        + """
share = (column("train", "target") == "yes").mean()
full = task["fold"] == "full"
assert full == (len(column("valid", "x0")) == task["n_test"])
test = np.full(task["n_test"], share if full else 0.1)
save(test if full else sigmoid(column("valid", "x0")), test)
"""
    )
    record = stand.run(script, final="refit")
    assert record["final"] == "refit"
    assert np.load(stand.files(1).path("test.npy")) == pytest.approx(np.full((TEST_ROWS, 1), stand.truth.mean()))
    assert np.load(stand.files(1).path("folds_test.npy")) == pytest.approx(0.1)
    broken = script + "assert not full, 'no refit'\n"
    record = stand.run(broken, 2, final="refit")
    assert (record["status"], record["final"]) == ("ok", "mean")
    assert np.load(stand.files(2).path("test.npy")) == pytest.approx(0.1)
    assert "no refit" in stand.files(2).path("run.log").read_text()


def test_a_blend_of_previous_predictions_scores_as_the_host_would(stand: Stand) -> None:
    stand.run(GOOD)
    stand.run(FAIR, 2)
    blend = (
        HEADER
        + """
plan = json.load(open(IN + "/previous/weights.json"))
total = lambda part: sum(w * np.load(f"{IN}/previous/{r}_{part}.npy") for r, w in plan["weights"].items())
save(total("valid"), total("test"))
"""
    )
    record = stand.run(blend, 3, role="blend", best=1, earlier=(1, 2))
    assert record["status"] == "ok"
    one, two = (np.load(stand.files(number).path("oof.npy")) for number in (1, 2))
    got = np.load(stand.files(3).path("oof.npy"))
    folds = stand.referee().seal()
    for rows in folds.valid_rows:
        share = (got[rows] - two[rows]) / (one[rows] - two[rows])
        assert np.ptp(share) < 1e-4
        assert share.mean() * 20 == pytest.approx(round(share.mean() * 20), abs=1e-3)


@pytest.mark.parametrize("constant_in", ["fold", "column"])
def test_a_constant_does_not_take_itself_out_of_a_mean_of_correlations(
    make_stand: Callable[..., Stand], constant_in: str
) -> None:
    targets = ["x1", "x2"] if constant_in == "column" else ["x2"]
    task, metric = ("multiregression", "mean_column_spearman") if targets[1:] else ("regression", "spearman")
    stand = make_stand(
        competition__task=task, competition__metric=metric, competition__classes=[], cv__strategy="kfold",
        competition__target_columns=targets, competition__submission_kind="value",
        competition__submission_columns=targets,
    )  # fmt: skip
    sample = stand.data / "sample_submission.csv"
    pd.read_csv(sample, dtype=str).assign(x1=0, x2=0).to_csv(sample, index=False)
    spoil = "valid[:, -1] = 0" if targets[1:] else "valid *= task['fold'] != 1"
    script = (
        HEADER
        + f"""
valid, test = (np.random.default_rng(0).normal(size=(task[name], {len(targets)})) for name in ("n_valid", "n_test"))
"""
    )
    assert stand.run(script + "save(valid, test)")["status"] == "ok"
    record = stand.run(script + spoil + "\nsave(valid, test)")
    assert (record["status"], record["failure"]["kind"], record["cv"]) == ("failed", "output", None)
    assert f"undefined for these predictions in fold {1 if targets[1:] else 2}" in record["reason"]


def test_numbers_are_told_apart_by_their_errors(make_stand: Callable[..., Stand]) -> None:
    """Predictions of numbers that any model gets nearly right all agree, here 0.999; the errors do not."""
    stand = make_stand(
        competition__task="regression", competition__metric="rmse", competition__classes=[], cv__strategy="kfold",
        competition__target_columns=["x2"], competition__submission_kind="value",
        competition__submission_columns=["x2"],
    )  # fmt: skip
    sample = stand.data / "sample_submission.csv"
    pd.read_csv(sample, dtype=str).assign(x2=0).to_csv(sample, index=False)
    truth = np.asarray(stand.referee().seal().labels, dtype=float).ravel()
    places = [rows.tolist() for rows in stand.referee().seal().valid_rows]
    script = (
        HEADER
        + f"""
rows, truth = {places}[task["fold"]], np.array({truth.round(4).tolist()})
noise = np.random.default_rng(SEED + task["fold"]).normal(size=len(rows))
save(truth[rows] + 0.03 * noise, np.zeros(task["n_test"]))
"""
    )
    for number in (1, 2):
        assert stand.run(script.replace("SEED", f"{10 * number}"), number, earlier=(1,)[: number - 1])["status"] == "ok"
    one, two = (np.load(stand.files(number).path("oof.npy")).ravel() for number in (1, 2))
    assert np.corrcoef(one, two)[0, 1] > 0.998
    record = json.loads(stand.files(2).path("scores.json").read_text())
    assert abs(record["correlations"]["R01"]) < 0.3


@pytest.mark.parametrize(("steepness", "kept"), [(1.5, True), (1.0, False)])
def test_where_decisions_are_alike_the_smooth_loss_tells(
    make_stand: Callable[..., Stand], steepness: float, kept: bool
) -> None:
    """Steeper probabilities decide every row as before: accuracy gains nothing, the log loss behind it does or not."""
    stand = make_stand(competition__metric="accuracy", competition__submission_kind="label")
    flat = GOOD.replace('sigmoid(column("valid", "x0"))', 'sigmoid(STEEP * column("valid", "x0"))')
    assert stand.run(flat.replace("STEEP", "1.0"), 1)["verdict"] == "keep"
    record = stand.run(flat.replace("STEEP", str(steepness)), 2, best=1)
    assert abs(record["gain"]) < 1e-9
    assert (record["verdict"] == "keep") is kept
    assert "decided by logloss" in record["reason"]


def test_label_metrics_are_decided_by_the_host(make_stand: Callable[..., Stand]) -> None:
    stand = make_stand(competition__metric="f1", competition__submission_kind="label")
    record = stand.run(GOOD.replace("sigmoid(column", "0.1 * sigmoid(column"))
    assert record["cv"] > 0.7 and record["decision"]["kind"] == "thresholds"
    csv = pd.read_csv(stand.files(1).path("submission.csv"), dtype=str)
    assert set(csv["target"]) == {"no", "yes"}
    stand.run(POOR, 2)
    again = stand.run(GOOD + "#", 3, best=2)
    assert again["verdict"] == "keep"


def test_folds_that_go_by_time_have_no_gate_and_predict_by_all_that_is_known(make_stand: Callable[..., Stand]) -> None:
    """Test lies behind train: a mean would be drawn back by models that know nothing of the last folds."""
    stand = make_stand(cv__strategy="time", competition__time_column="x2")
    script = HEADER + "known = np.full(task['n_test'], len(column('train', 'x0')) / 1000)\n"
    good = script + "save(sigmoid(column('valid', 'x0')) if task['fold'] != 'full' else known, known)\n"
    assert stand.run(good)["final"] == "refit"
    assert np.load(stand.files(1).path("test.npy")) == pytest.approx(ROWS / 1000)
    poor = script + "assert task['fold'] != 'full'\nsave(sigmoid(-column('valid', 'x0')), known)\n"
    record = stand.run(poor, 2, best=1, earlier=(1,))
    assert (record["status"], record["verdict"], record["final"]) == ("ok", "discard", "last")
    folds = stand.referee().seal()
    assert np.load(stand.files(2).path("test.npy")) == pytest.approx(folds.train_count(folds.folds - 1) / 1000)
    blend = (
        HEADER
        + """
valid, test = (np.load(f"{IN}/previous/R01_{name}.npy") for name in ("valid", "test"))
save(valid, test)
"""
    )
    stand.run(blend, 3, role="blend", earlier=(1,))
    assert np.load(stand.files(3).path("test.npy")) == pytest.approx(ROWS / 1000)


def test_time_folds_leave_rows_without_predictions(make_stand: Callable[..., Stand]) -> None:
    stand = make_stand(cv__strategy="time", competition__time_column="x2")
    record = stand.run(GOOD)
    assert record["status"] == "ok"
    earliest = stand.referee().seal().assignment < 0
    assert 0 < earliest.sum() < ROWS and np.array_equal(
        np.isnan(np.load(stand.files(1).path("oof.npy"))).ravel(), earliest
    )
    record = stand.run(POOR, 2, role="blend", best=1, earlier=(1,))
    assert record["verdict"] == "discard" and "R01" in record["correlations"]


def test_the_time_for_all_folds_is_shared(stand: Stand) -> None:
    record = stand.run(HEADER + "import time\ntime.sleep(0 if task['fold'] == 0 else 60)", seconds=3.0)
    assert record["failure"]["kind"] in ("output", "timeout")
    slow = GOOD + "import time\ntime.sleep(0 if task['fold'] == 0 else 60)\n"
    record = stand.run(slow, seconds=4.0)
    assert (record["failure"]["kind"], record["failure"]["fold"] > 1) == ("timeout", True)
    assert record["seconds"] < 9


def test_probes_state_facts_about_a_complete_run(stand: Stand) -> None:
    stand.run(GOOD)
    found = stand.referee().probes(stand.files(1))
    checks = {check["name"]: check for check in found["checks"]}
    assert set(checks) == {
        "constant_predictions", "range", "test_outside_oof", "prediction_shift", "fold_dispersion", "too_good",
        "adversarial_validation", "duplicates", "row_order_leak", "id_leak",
    }  # fmt: skip
    assert all(checks[name]["ok"] for name in checks if name != "test_outside_oof")
    assert json.loads(json.dumps(found)) == found


def test_the_record_survives_a_round_trip_through_a_damaged_file(stand: Stand) -> None:
    first = stand.run(GOOD)
    path = stand.files(1).path("scores.json")
    path.write_text(path.read_text().replace('"cv": 0.', '"cv": 1.'))
    again = stand.run(GOOD)
    assert again["cv"] == first["cv"]
    write_json(path, {**again, "hashes": {**again["hashes"], "oof": "0" * 64}})
    assert stand.run(GOOD)["hashes"] == first["hashes"]
