"""Predictions of earlier rounds: what a new experiment may see of them, and what it is compared with.

In fold k an experiment sees what each earlier round's fold-k model said about fold k's validation rows and about the
test rows, and nothing else. Other folds' models learned from fold k's labels, and a script could carry labels in the
digits of its predictions; for the same reason no prediction on a labelled row of IN/train is ever handed out. The fold
"full" validates on the test rows, so there both files hold the mean test predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.competitions import scoring_functions as sf
from orchestrator.competitions.metrics import Metric
from orchestrator.errors import Damaged
from orchestrator.files import Digests, read_json_or_none
from orchestrator.referee.sealed import FoldSet
from orchestrator.rounds import RoundFiles

Array = np.ndarray[Any, Any]
ARTIFACTS = {"oof": "oof.npy", "test": "test.npy", "folds_test": "folds_test.npy", "submission": "submission.csv"}
MOST_SHOWN = 40
"""Earlier rounds that an experiment sees: bounds the disk, memory and open files of long campaigns."""
_CORRELATED_ROWS = 50_000
RANKED = ("auc", "gini", "average_precision", "spearman")
"""Metrics of the order of the predictions alone."""


@dataclass(frozen=True)
class Earlier:
    """One complete earlier round, memory-mapped."""

    label: str
    record: dict[str, Any]
    oof: Array
    """(rows, outputs)."""
    test: Array
    """(n_test, outputs), what was submitted."""
    folds_test: Array
    """float32 (folds, n_test, outputs)."""

    def seen_in(self, folds: FoldSet, fold: int | str) -> tuple[Array, Array]:
        """(valid, test) as an experiment of that fold may see them."""
        if fold == "full":
            return self.test, self.test
        return self.oof[folds.valid_rows[int(fold)]], self.folds_test[int(fold)].astype(np.float64)


class Archive:
    """Opens earlier rounds and remembers which of their files were hashed already."""

    def __init__(self) -> None:
        self._digests = Digests()

    def intact(self, files: RoundFiles, record: dict[str, Any], needed: Collection[str] = tuple(ARTIFACTS)) -> bool:
        """Whether the artifacts (all, or those `needed`) are there with the bytes that the record names."""
        known = {name: value for name, value in record["hashes"].items() if name in needed}
        return all(self._hash(files.path(ARTIFACTS[name])) == value for name, value in known.items())

    def open(self, files: RoundFiles, folds: FoldSet, needed: Collection[str] = tuple(ARTIFACTS)) -> Earlier:
        """Raises Damaged unless the round's record and predictions are complete and fit these folds.

        Arrays that are not `needed` stay empty.
        """
        record = read_json_or_none(files.path("scores.json"))
        if record is None or record["status"] != "ok" or not self.intact(files, record, needed):
            raise Damaged(f"the predictions of {files.label} are not complete or not what they were")
        test = (folds.test_rows, folds.outputs)
        shapes = {"oof": (folds.rows, folds.outputs), "test": test, "folds_test": (folds.folds, *test)}
        arrays = {name: np.empty(0) for name in shapes}
        for name, shape in shapes.items():
            if name in needed:
                arrays[name] = np.load(files.path(ARTIFACTS[name]), mmap_mode="r", allow_pickle=False)
                if arrays[name].shape != shape:
                    raise Damaged(f"the predictions of {files.label} do not fit the sealed folds")
        return Earlier(files.label, record, **arrays)

    def open_all(self, rounds: Iterable[RoundFiles], folds: FoldSet, metric: Metric) -> list[Earlier]:
        """The intact ones among the best MOST_SHOWN, in the order of the rounds; blends but the very best come last."""
        scored = []
        for files in rounds:
            record = read_json_or_none(files.path("scores.json"))
            if record is not None and record["cv"] is not None:
                scored.append((metric.gain(record["cv"], 0.0), record.get("role") == "blend", files))
        found = []
        for files in sorted(worth_showing(scored), key=lambda files: files.number):
            with suppress(Damaged):
                found.append(self.open(files, folds))
        return found

    def _hash(self, path: Path) -> str | None:
        try:
            return self._digests.of(path)
        except OSError:
            return None


def worth_showing(scored: list[tuple[float, bool, RoundFiles]]) -> list[RoundFiles]:
    """MOST_SHOWN of (gain, whether it is a blend, files): the best, then models by their gain, then blends."""
    ranked = sorted(scored, key=lambda item: item[0], reverse=True)
    return [files for _, _, files in [*ranked[:1], *sorted(ranked[1:], key=lambda item: item[1])][:MOST_SHOWN]]


def for_blends(earlier: Iterable[Earlier]) -> dict[str, Array]:
    """Label → out-of-fold predictions of the rounds that are no blends; of all where there are no others.

    A blend among the members of another hides them: its weights were fit on the same rows.
    """
    found = {other.label: other.oof for other in earlier if other.record.get("role") != "blend"}
    return found or {other.label: other.oof for other in earlier}


def correlations(metric: Metric, folds: FoldSet, oof: Array, earlier: list[Earlier], task: str) -> dict[str, float]:
    """Pearson's correlation with each earlier round's out-of-fold predictions, as `flat_view` sees them."""
    rows = folds.validated
    rows = rows[:: max(1, -(-len(rows) // _CORRELATED_ROWS))]
    view = flat_view(metric, np.asarray(folds.labels[rows]), task)
    own = view(oof[rows])
    found = {other.label: sf.pearson(own, view(other.oof[rows])) for other in earlier}
    return {label: round(float(value), 5) for label, value in found.items() if np.isfinite(value)}


def flat_view(metric: Metric, y: Array, task: str) -> Callable[[Array], Array]:
    """What of predictions (rows, outputs) for the truth `y` is compared by correlation, as one long array.

    For classes the predictions, or their ranks for ranking metrics; for numbers the errors, since predictions of
    numbers that any model gets nearly right all agree. Errors are in each target's own standard deviations.
    """
    name = (metric.base or metric).name
    truth = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
    logs = "log" in name and bool(np.nanmin(truth) > -1)

    def flat(values: Array) -> Array:
        values = np.asarray(values, dtype=np.float64)
        if task in ("regression", "multiregression"):
            return _errors(values, truth, logs).ravel()
        return (np.column_stack([sf.mean_ranks(column) for column in values.T]) if name in RANKED else values).ravel()

    return flat


def _errors(values: Array, truth: Array, logs: bool) -> Array:
    """(rows, targets) what is missing to the truth, of logarithms where the metric is; 0 where there is no label."""
    if logs:
        values, truth = np.log1p(np.maximum(values, -0.99)), np.log1p(truth)
    wrong = values - truth
    if (unknown := np.isnan(wrong).all(axis=0)).any():
        wrong[:, unknown] = 0.0
    return np.where(np.isfinite(wrong), wrong / np.maximum(np.nanstd(wrong, axis=0), 1e-12), 0.0)
