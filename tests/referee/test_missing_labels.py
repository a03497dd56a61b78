"""Several targets, each known for half of the rows: from a folder of tables to scores, verdicts, checks and grades."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from orchestrator import config as settings
from orchestrator.competitions.create import create
from orchestrator.competitions.local import LocalCompetition
from orchestrator.competitions.metrics import get_metric
from orchestrator.errors import BadInput
from orchestrator.execution.jobs import Sandbox
from orchestrator.execution.local import LocalExecutor
from orchestrator.referee.blend import weights
from orchestrator.referee.folds import assign
from orchestrator.referee.labels import encode
from orchestrator.referee.run import Referee
from orchestrator.referee.sealed import FoldSet
from orchestrator.rounds import RoundFiles
from tests.competitions.making import Folder
from tests.referee.conftest import sandbox  # noqa: F401
from tests.referee.test_compare import draws
from tests.referee.test_tasks import SCRIPT

ROWS, TEST_ROWS = 400, 80
NAMES = ["t0", "t1", "t2"]
EVALUATION = {
    "multiregression": "Submissions are scored on the mean column-wise root mean squared error (MCRMSE).",
    "multilabel": "Submissions are scored on the mean column-wise ROC AUC.",
}


def truths(task: str, rows: int, seed: int = 0) -> np.ndarray:
    """(rows, 3), half of it nan; the first five rows have no label at all."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(rows, 3)) * [1, 5, 20] if task == "multiregression" else rng.integers(0, 2, (rows, 3))
    y = np.where(rng.random((rows, 3)) < 0.5, np.nan, y)
    y[:5] = np.nan
    return y


def by_hand(task: str, y: np.ndarray, p: np.ndarray) -> float:
    """The mean over columns of the rmse, or of the share of pairs in order, of the known labels."""
    scores = []
    for truth, given in zip(y.T, p.T, strict=True):
        known = ~np.isnan(truth)
        truth, given = truth[known], given[known]
        pairs = given[truth == 1][:, None] - given[truth == 0]
        auc = (pairs > 0).mean() + (pairs == 0).mean() / 2 if task == "multilabel" else 0.0
        scores.append(auc if task == "multilabel" else np.sqrt(np.mean((truth - given) ** 2)))
    return float(np.mean(scores))


@dataclass
class Made:
    """A campaign, the folder that it came from, and the true labels of its rows."""

    campaign: Path
    folder: Folder
    lines: list[str]
    y: np.ndarray

    @property
    def config(self) -> settings.Config:
        return settings.load(self.campaign / "config.json", {})


def made(path: Path, task: str, evaluation: str = "") -> Made:
    folder, y = Folder(path / "source", ROWS, TEST_ROWS), truths(task, ROWS)
    shown = 0.5 if task == "multilabel" else 1.25
    for name, column in zip(NAMES, y.T, strict=True):
        folder.target(name, column, shown)
    folder.answers = folder.test[["id"]].assign(**dict(zip(NAMES, truths(task, TEST_ROWS, 1).T, strict=True)))
    folder.described(evaluation or EVALUATION[task])
    lines = create(path / "campaign", folder.write())
    (path / "campaign" / "rounds").mkdir()
    return Made(path / "campaign", folder, lines, y[~np.isnan(y).all(axis=1)])


def guesses(task: str, y: np.ndarray, noise: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    size = np.nanstd(y, axis=0)
    p = np.nan_to_num(y, nan=float(np.nanmean(y))) + noise * size * rng.normal(size=y.shape)
    return p if task == "multiregression" else 1 / (1 + np.exp(-p))


@pytest.mark.parametrize("task", EVALUATION)
def test_the_whole_way(tmp_path: Path, sandbox: Sandbox, task: str) -> None:  # noqa: F811
    one = made(tmp_path, task)
    config = one.config
    lost = ROWS - len(one.y)
    assert (config.competition.task, lost < 80) == (task, True)
    assert f"Left out {lost} rows of train.csv that have no target." in one.lines
    referee = Referee(one.campaign, config, LocalExecutor(sandbox, 2))
    folds = referee.seal()
    assert np.array_equal(folds.labels, one.y, equal_nan=True)
    table = pd.read_parquet(folds.tables(0)["train.parquet"])
    others = np.setdiff1d(np.arange(len(one.y)), folds.valid_rows[0])
    assert np.array_equal(table[NAMES].to_numpy(), one.y[others], equal_nan=True)

    def run(number: int, oof: np.ndarray, best: int | None) -> dict[str, Any]:
        files = RoundFiles(one.campaign / "rounds", number)
        files.path("experiment.py").write_text(f"{SCRIPT}# {number}\n")
        parts = {f"valid_{fold}": oof[rows] for fold, rows in enumerate(folds.valid_rows)}
        test = guesses(task, truths(task, TEST_ROWS, 1), 0.8, 9)
        with (one.campaign / "competition" / "data" / "tables.bin").open("wb") as file:
            np.savez(file, test=test, **parts)
        before = [RoundFiles(one.campaign / "rounds", earlier) for earlier in range(1, number)]
        champion = before[best - 1] if best else None
        record = referee.run(files, strategy={"role": "improve"}, best=champion, earlier=before, seconds=60)
        assert record["status"] == "ok", record["reason"]
        return record

    poor, good = guesses(task, one.y, 1.2, 2), guesses(task, one.y, 0.6, 3)
    first, second = run(1, poor, None), run(2, good, 1)
    for record, oof in ((first, poor), (second, good)):
        scores = [by_hand(task, one.y[rows], oof[rows]) for rows in folds.valid_rows]
        assert record["fold_scores"] == pytest.approx(scores)
        assert record["cv"] == pytest.approx(np.mean(scores))
    assert second["verdict"] == "keep" and second["se"] > 0 and abs(second["correlations"]["R01"]) < 1
    mixture = weights(referee.metric, folds, {"R01": poor, "R02": good}, "full", task=task)
    assert sum(mixture.weights.values()) == pytest.approx(1) and mixture.weights["R02"] > 0.5
    checks = {check["name"]: check for check in referee.probes(RoundFiles(one.campaign / "rounds", 2))["checks"]}
    assert checks["row_order_leak"]["ok"] and "up to 0.0" in checks["row_order_leak"]["evidence"]
    assert "nan" not in str(checks)

    site = LocalCompetition(one.campaign, config, now=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    grade = site.grade(RoundFiles(one.campaign / "rounds", 2).path("submission.csv"))
    hoped = by_hand(task, truths(task, TEST_ROWS, 1), guesses(task, truths(task, TEST_ROWS, 1), 0.8, 9))
    assert grade.score == pytest.approx(hoped), grade.error
    assert grade.public is not None and grade.private is not None


def test_a_metric_of_whole_rows_plays_on_the_whole_rows(tmp_path: Path) -> None:
    one = made_of_labels(tmp_path, "Submissions are scored on micro-averaged F1 (f1_micro).")
    whole = int((~np.isnan(one.y)).all(axis=1).sum())
    assert not get_metric(one.config.competition.metric, task="multilabel").multi
    assert (
        f"Left out {ROWS - whole} rows of train.csv that lack a target, since f1_micro looks at whole rows."
        in one.lines
    )
    table = pd.read_csv(one.campaign / "competition" / "data" / "train.csv")
    assert len(encode(table, one.config.competition)) == whole
    table.loc[3, "t1"] = np.nan
    with pytest.raises(BadInput, match=r"1 rows have no t1 \(f1_micro needs every target of a row\)"):
        encode(table, one.config.competition)


def made_of_labels(path: Path, evaluation: str) -> Made:
    folder, y = Folder(path / "source", ROWS, TEST_ROWS), truths("multilabel", ROWS)
    for name, column in zip(NAMES, y.T, strict=True):
        folder.target(name, column, 0)
    folder.described(evaluation)
    return Made(path / "campaign", folder, create(path / "campaign", folder.write()), y)


@pytest.mark.parametrize("name", ["rmse", "mae", "r2", "spearman", "auc", "logloss", "f1", "accuracy"])
def test_standard_error_is_that_of_the_known_labels(name: str) -> None:
    metric = get_metric(name).columnwise()
    task = "multiregression" if metric.kind == "value" else "multilabel"
    y = truths(task, 1200)[5:]
    p = guesses(task, y, 1.0, 4)
    p = (p > 0.6).astype(np.int64) if metric.kind == "label" else p
    manifest = {"folds": 2, "strategy": "kfold", "hash": "x", "rows": len(y), "test_rows": 1, "outputs": 3}
    folds = FoldSet(Path("."), manifest, assign("kfold", 2, 0, y, task=task), y, None)
    rows, found = folds.valid_rows[0], draws(metric, folds, p)[0]
    rng = np.random.default_rng(0)
    resampled = [metric.score(y[some], p[some]) for some in rng.choice(rows, (500, len(rows)))]
    assert float(found.mean()) == pytest.approx(metric.score(y[rows], p[rows]), abs=0.3 * np.std(resampled))
    assert float(found.std()) == pytest.approx(np.std(resampled), rel=0.15)


def test_a_column_that_no_row_of_a_fold_knows_is_left_out() -> None:
    y = truths("multiregression", 60)[5:]
    p = guesses("multiregression", y, 1.0, 4)
    manifest = {"folds": 2, "strategy": "kfold", "hash": "x", "rows": len(y), "test_rows": 1, "outputs": 3}
    folds = FoldSet(Path("."), manifest, assign("kfold", 2, 0, y, task="multiregression"), y, None)
    y[folds.valid_rows[0], 1] = np.nan
    y[folds.valid_rows[0], 2] = np.where(np.arange(len(folds.valid_rows[0])) < 3, 0.5, np.nan)
    metric, rows = get_metric("mcrmse"), folds.valid_rows[0]
    assert metric.score(y[rows], p[rows]) == pytest.approx(
        by_hand("multiregression", y[rows][:, [0, 2]], p[rows][:, [0, 2]])
    )
    found = draws(metric, folds, p)[0]
    assert found.shape == (1000,) and np.isfinite(found).all()


@pytest.mark.parametrize("task", EVALUATION)
def test_folds_share_out_the_known_labels(task: str) -> None:
    y = truths(task, 1000)[5:]
    y[np.arange(len(y)) % 50 > 0, 2] = np.nan
    y = y[~np.isnan(y).all(axis=1)]
    home = assign("stratified", 5, 0, y, task=task)
    for column in y.T:
        share = np.bincount(home[~np.isnan(column)], minlength=5)
        assert share.min() >= 0.75 * share.mean() - 1, share
    rare = np.bincount(home[~np.isnan(y[:, 2])], minlength=5)
    assert rare.min() >= 1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("float(np.nanmean(np.abs(y - p)))", ""),
        ("float(np.mean(np.abs(y - p)))", "score of mine is nan; y_true is nan where a row lacks a target"),
        ("float(np.bincount(y.astype(int).ravel())[0])", "fails: .*; y_true is nan where a row lacks a target"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
def test_an_own_metric_gets_the_missing_labels_or_says_so_at_once(tmp_path: Path, body: str, said: str) -> None:
    one = made(tmp_path, "multiregression")
    code = f"import numpy as np\nMAXIMIZE = False\nPREDICTION = 'value'\ndef score(y, p):\n    return {body}\n"
    (one.campaign / "mine.py").write_text(code)
    section = one.config.competition.model_copy(update={"metric_file": "mine.py"})
    referee = Referee(one.campaign, one.config.model_copy(update={"competition": section}), None)
    if not said:
        y = referee.seal().labels
        assert referee.metric.score(y, np.zeros(y.shape)) == pytest.approx(np.nanmean(np.abs(y)))
        return
    with pytest.raises(BadInput, match=said):
        referee.seal()
