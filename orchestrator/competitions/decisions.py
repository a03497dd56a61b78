"""From probabilities and values to what is graded: labels, grades, ranked lists; fit on out-of-fold predictions.

Against overfitting, a threshold or class weight is searched on a curve smoothed over 5 % of its candidates, and is
taken only when a bootstrap of the rows says that its gain over the plain rule (0.5, the likeliest class) is clear:
more than `CLEAR` standard errors. Otherwise the plain rule stays, as it always does on tiny data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from orchestrator.competitions import scoring_functions as sf
from orchestrator.competitions.metrics import Metric, columns
from orchestrator.competitions.scoring_functions import Array
from orchestrator.errors import BadInput

CountScore = Callable[[Array, Array, Array], Array]
DecisionKind = Literal["values", "probabilities", "classes", "thresholds", "cuts", "top_k"]
CLEAR = 1.0
CLEAR_ACCURACY = 2.0
"""Accuracy's plain rule is the best one for honest probabilities, so leaving it takes more."""
CANDIDATES = 256
MOST_ROWS = 200_000
_SEED = 0
# Several 0/1 columns under one joint metric: the metric of a column that its threshold is fit on.
_OF_COLUMN: dict[str, CountScore] = {
    "accuracy": sf.count_accuracy,
    "f1_macro": sf.count_f1,
    "f1_weighted": sf.count_f1,
}


@dataclass(frozen=True)
class Decision:
    """How predictions (n,) or (n, outputs), finite, become what the metric grades.

    values: clipped to numbers = (low, high), None being open. probabilities: clipped to [0, 1], rows of several
    classes scaled to sum 1. classes: position of the largest p * numbers. thresholds: 0 or 1 per column. cuts: the
    value is put between numbers, its place names one of levels. top_k: numbers[0] class positions, best first.
    """

    kind: DecisionKind
    numbers: tuple[float | None, ...] = ()
    levels: tuple[float, ...] = ()

    def apply(self, predictions: Array) -> Array:
        """(n,) or (n, columns): ints for classes, thresholds, top_k and whole levels, floats else."""
        p = np.asarray(predictions, float)
        matrix = sf.as_matrix(p)
        if self.kind == "values":
            low, high = self.numbers
            return p if low is None and high is None else np.clip(p, low, high)
        if self.kind == "probabilities":
            return sf.simplex(matrix).reshape(p.shape)
        if self.kind == "top_k":
            return sf.top_k(matrix, int(self.numbers[0] or 1))
        numbers = np.asarray(self.numbers, float)
        if self.kind == "classes":
            return np.argmax(matrix * numbers, axis=1)
        if self.kind == "thresholds":
            decided = (matrix >= numbers).astype(np.int64)
            return decided[:, 0] if decided.shape[1] == 1 else decided
        levels = np.asarray(self.levels)
        whole = np.array_equal(levels, np.rint(levels))
        graded = levels[np.searchsorted(numbers, _one_value(matrix), side="right")]
        return graded.astype(np.int64) if whole else graded

    def as_dict(self) -> dict[str, Any]:
        """Safe for JSON; `from_dict` gives the same decision back."""
        return {"kind": self.kind, "numbers": list(self.numbers), "levels": list(self.levels)}

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Decision:
        """Raises BadInput for a record that `as_dict` did not make."""
        if not isinstance(record, dict) or record.get("kind") not in get_args(DecisionKind):
            raise BadInput(f"not a decision: {str(record)[:200]}")
        return cls(record["kind"], tuple(record.get("numbers", ())), tuple(record.get("levels", ())))


def fit_decision(metric: Metric, y: Array, pred: Array, classes: Sequence[Any] = ()) -> Decision:
    """The decision that suits the metric, fit on labels `y` and their out-of-fold predictions; deterministic.

    `y` is (n,) or (n, targets), nan where one of several is not known, `pred` (n,) or (n, outputs); rows with a
    prediction that is not finite are left out. `classes` only tells how many there are where `pred` does
    not. With nothing to learn from, the plain rule.
    """
    y, matrix = np.asarray(y), sf.as_matrix(np.asarray(pred, float))
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    usable = np.isfinite(matrix).all(axis=1)
    y, matrix = y[usable], matrix[usable]
    if metric.kind == "ordinal":
        return _fit_cuts(y.astype(float), _one_value(matrix), len(classes))
    if metric.name.startswith("map@"):
        return Decision("top_k", (metric.k,))
    if metric.kind != "label":
        many = matrix.shape[1] > 1 and y.ndim == 1 and metric.kind == "probability" and metric.high == 1
        return Decision("probabilities") if many else Decision("values", (metric.low, metric.high))
    if y.ndim == 2:
        return Decision("thresholds", _column_thresholds(metric, y, matrix))
    y = y.astype(np.int64)
    if matrix.shape[1] == 1:
        return Decision("thresholds", (_threshold(metric.counts, y, matrix[:, 0]),))
    # The likeliest class is the best one for accuracy, which of single labels f1_micro is too.
    plain = metric.counts in (sf.count_accuracy, sf.count_f1_micro)
    weights = _class_weights(None if plain else metric.counts, y, matrix)
    return Decision("classes", tuple(np.exp(weights).tolist()))


def _one_value(matrix: Array) -> Array:
    """A value per row; of class probabilities, the expected class position."""
    return matrix[:, 0] if matrix.shape[1] == 1 else sf.simplex(matrix) @ np.arange(matrix.shape[1])


# --- thresholds and class weights -------------------------------------------------------------------------------------


def _column_thresholds(metric: Metric, y: Array, matrix: Array) -> tuple[float, ...]:
    if metric.name == "f1_micro":  # all columns count as one
        return (_threshold(sf.count_f1, *columns(y.ravel(), matrix.ravel())[0]),) * matrix.shape[1]
    counts = metric.counts if metric.multi else _OF_COLUMN.get(metric.name)
    return tuple(_threshold(counts, *pair) for pair in columns(y, matrix))


def _threshold(counts: CountScore | None, y: Array, p: Array) -> float:
    odds = _class_weights(counts, y.astype(np.int64), np.column_stack([1 - p, p]))
    return float(1 / (1 + np.exp(odds[1] - odds[0])))


def _class_weights(counts: CountScore | None, y: Array, p: Array) -> Array:
    """(classes,) logs of weights, all 0 for the plain rule; coordinate ascent from the best of three starts."""
    size = p.shape[1]
    plain = np.zeros(size)
    if counts is None or len(np.unique(y)) < 2:
        return plain
    most = int(np.clip(4e7 / size**2, 5000, MOST_ROWS))
    if len(y) > most:
        rows = np.random.default_rng(_SEED).choice(len(y), most, replace=False)
        y, p = y[rows], p[rows]
    logs = np.log(np.clip(p, 1e-15, 1))
    prior = np.log((np.bincount(y, minlength=size) + 1) / (len(y) + size))

    def score(weights: Array) -> float:
        return float(counts(*sf.label_counts(y, np.argmax(logs + weights, axis=1), size)))

    best = max((plain, -prior / 2, -prior), key=score)
    for _ in range(3):
        before = best
        for c in range(1 if size == 2 else 0, size):
            best = _move(counts, y, logs, best, c)
        if score(best) <= score(before) or np.array_equal(best, before):
            best = max(before, best, key=score)
            break
    chosen = best - best.mean()
    clear = CLEAR_ACCURACY if counts is sf.count_accuracy else CLEAR
    old, new = np.argmax(logs, axis=1), np.argmax(logs + chosen, axis=1)
    return chosen if _clearly_better(counts, y, old, new, size, clear) else plain


def _move(counts: CountScore, y: Array, logs: Array, weights: Array, c: int) -> Array:
    """The weights with class c's moved to the top of its smoothed curve: all its candidates are counted at once."""
    size, rivals = len(weights), logs + weights
    rivals[:, c] = -np.inf
    rival = rivals.argmax(axis=1)
    margin = rivals[np.arange(len(y)), rival] - logs[:, c]  # a row goes to c when the weight exceeds it
    points = _grid(margin, margin[y == c])
    if not len(points):
        return weights
    place = np.searchsorted(points, margin, side="right")
    left = _cumulated(place, rival, size, len(points))
    left_hits = _cumulated(place[y == rival], rival[y == rival], size, len(points))
    predicted, tp = left[-1] - left, left_hits[-1] - left_hits
    predicted[:, c] = left.sum(axis=1)
    tp[:, c] = np.bincount(place[y == c], minlength=len(points) + 1).cumsum()
    actual = np.bincount(y, minlength=size)
    curve = counts(tp[:-1], predicted[:-1], np.broadcast_to(actual, tp[:-1].shape))
    moved = weights.copy()
    moved[c] = points[int(np.argmax(_smooth(curve)))]
    return moved


def _cumulated(place: Array, rival: Array, size: int, points: int) -> Array:
    """(points + 1, classes): rows of each rival whose place is at most the index."""
    return np.bincount(place * size + rival, minlength=(points + 1) * size).reshape(points + 1, size).cumsum(axis=0)


def _grid(values: Array, extra: Array) -> Array:
    """Points midway between spread-out values: quantiles of all, and of the few that matter."""
    steps = np.linspace(0, 1, CANDIDATES)
    parts = [np.quantile(part, steps) for part in (values, extra) if len(part)]
    edges = np.unique(np.concatenate(parts)) if parts else np.empty(0)
    return (edges[1:] + edges[:-1]) / 2


def _smooth(curve: Array) -> Array:
    half = len(curve) // 40
    padded = np.pad(curve, half, mode="edge")
    return np.convolve(padded, np.full(2 * half + 1, 1 / (2 * half + 1)), mode="valid")


def _clearly_better(counts: CountScore, y: Array, old: Array, new: Array, size: int, clear: float) -> bool:
    """Whether labels `new` gain more than `clear` bootstrap standard errors over `old`; needs 20 rows."""
    if len(y) < 20:
        return False
    cells, many = np.unique((y * size + old) * size + new, return_counts=True)
    truth, old, new = cells // size**2, cells // size % size, cells % size

    def scores(weights: Array, labels: Array) -> Array:
        hits = _indicator(truth, size) * (truth == labels)[:, None]
        return counts(weights @ hits, weights @ _indicator(labels, size), weights @ _indicator(truth, size))

    draws = np.random.default_rng(_SEED).multinomial(len(y), many / len(y), size=200)
    gain = float(scores(many, new) - scores(many, old))
    return gain > clear * float(np.std(scores(draws, new) - scores(draws, old)))


def _indicator(labels: Array, size: int) -> Array:
    return np.eye(size, dtype=np.int64)[labels]


# --- cut points -------------------------------------------------------------------------------------------------------


def _fit_cuts(y: Array, value: Array, classes: int) -> Decision:
    """Cut points for quadratic kappa: each in turn goes to its best place among quantiles, until none moves.

    Starts are plain rounding and the quantiles that match the levels' frequencies; the better end wins, so that on
    these rows it is never worse than rounding.
    """
    levels, many = np.unique(y, return_counts=True)
    if len(levels) < 2:
        known = levels if len(levels) and not classes else np.arange(max(classes, 1), dtype=float)
        return Decision("cuts", tuple(((known[1:] + known[:-1]) / 2).tolist()), tuple(known.tolist()))
    rounding = (levels[1:] + levels[:-1]) / 2
    matched = np.quantile(value, many.cumsum()[:-1] / len(y))
    points = np.unique(np.concatenate([_grid(value, np.empty(0)), rounding, matched]))
    order = np.argsort(value, kind="stable")
    below = np.searchsorted(value[order], points, side="left")  # rows under each point
    rows = np.concatenate([[0], below, [len(y)]])
    total = np.concatenate([[0.0], np.cumsum(y[order] - y.mean())])[rows]
    kappa = _Kappa(levels - y.mean(), rows, total, float(y.var()))
    ends = [kappa.climb(np.searchsorted(points, start) + 1) for start in (rounding, matched)]
    best = max(ends, key=kappa.score)
    return Decision("cuts", tuple(points[best - 1].tolist()), tuple(levels.tolist()))


@dataclass(frozen=True)
class _Kappa:
    """Quadratic kappa of any cut points in O(levels): `rows` and `total` (of y, centred) are sums below each point."""

    levels: Array
    rows: Array
    total: Array
    variance: float

    def score(self, cuts: Array) -> float:
        """`cuts`: one index into `rows` per boundary between levels, rising."""
        return float(self._scores(cuts[None, :])[0])

    def climb(self, cuts: Array) -> Array:
        for _ in range(20):
            before = cuts
            for j in range(len(cuts)):
                low = cuts[j - 1] if j else 1
                high = cuts[j + 1] if j + 1 < len(cuts) else len(self.rows) - 2
                choices = np.repeat(cuts[None, :], high - low + 1, axis=0)
                choices[:, j] = np.arange(low, high + 1)
                scores = self._scores(choices)
                if scores.max() > scores[cuts[j] - low]:
                    cuts = choices[int(scores.argmax())]
            if np.array_equal(cuts, before):
                break
        return cuts

    def _scores(self, cuts: Array) -> Array:
        edges = np.pad(cuts, ((0, 0), (1, 1)), constant_values=((0, 0), (0, len(self.rows) - 1)))
        inside = np.diff(self.rows[edges], axis=1) / self.rows[-1]
        with_y = (np.diff(self.total[edges], axis=1) @ self.levels) / self.rows[-1]
        return np.asarray(2 * with_y / (self.variance + inside @ self.levels**2))
