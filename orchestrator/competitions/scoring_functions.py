"""The arithmetic of the metrics: plain numpy functions, O(n log n) at most, no state.

Shapes: `y` is (n,); values and labels are (n,); probabilities are (n, k), where k = 1 means "of class 1".
What is undefined (one class only, a constant column) is nan, without a warning.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# --- losses per row -------------------------------------------------------------------------------------------------


def squared(y: Array, p: Array) -> Array:
    return (y - p) ** 2


def absolute(y: Array, p: Array) -> Array:
    return np.abs(y - p)


def squared_log1p(y: Array, p: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return (np.log1p(y) - np.log1p(p)) ** 2


def squared_log(y: Array, p: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return (np.log(y) - np.log(p)) ** 2


def percentage(y: Array, p: Array) -> Array:
    """Error over the true value, a fraction; a true 0 counts as the smallest float step, as scikit-learn does."""
    return np.abs(y - p) / np.maximum(np.abs(y), np.finfo(float).eps)


def root_mean_squared_percentage(y: Array, p: Array) -> float:
    """Root of the mean squared error over the true value, a fraction; rows whose true value is 0 do not count."""
    known = y != 0
    return float(np.sqrt(np.mean(((y[known] - p[known]) / y[known]) ** 2))) if known.any() else float("nan")


def symmetric_percentage(y: Array, p: Array) -> Array:
    """Kaggle's form: 0 to 200, and 0 where both are 0."""
    size = np.abs(y) + np.abs(p)
    return 200 * np.abs(y - p) / np.where(size == 0, 1, size)


def log_losses(y: Array, p: Array) -> Array:
    """Minus the log of the probability given to the true class, clipped to one float step from 0 and 1."""
    eps = np.finfo(float).eps
    return -np.log(np.clip(_of_true_class(y, simplex(p)), eps, 1 - eps))


def balanced_log_loss(y: Array, p: Array) -> float:
    """The mean, over the classes that y has, of the mean log loss in a class."""
    losses = log_losses(y, p)
    return float(np.mean([losses[y == label].mean() for label in np.unique(y)])) if len(y) else float("nan")


def brier_losses(y: Array, p: Array) -> Array:
    """Squared distance to the one-hot truth; for one column half of that, as is usual for two classes."""
    if p.shape[1] == 1:
        return (p[:, 0] - y) ** 2
    return (p**2).sum(axis=1) - 2 * _of_true_class(y, p) + 1


def one_minus(mean: Array) -> Array:
    return 1 - mean


def misses(y: Array, labels: Array) -> Array:
    """1 where the label is wrong; with several target columns, where any of them is."""
    wrong = y != labels
    return (wrong if wrong.ndim == 1 else wrong.any(axis=1)).astype(float)


def rank_losses(y: Array, ranked: Array) -> Array:
    """1 minus the reciprocal rank of the true label in the row's list (n, k); 1 where it is not in the list."""
    hits = ranked == y[:, None]
    return np.where(hits.any(axis=1), 1 - 1 / (hits.argmax(axis=1) + 1), 1.0)


def as_matrix(values: Array) -> Array:
    """(n,) as (n, 1)."""
    return values[:, None] if values.ndim == 1 else values


def simplex(p: Array) -> Array:
    """Probabilities clipped to [0, 1], rows of several classes scaled to sum 1 (a row of zeros: uniform)."""
    p = np.clip(p, 0, 1)
    if p.shape[1] == 1:
        return p
    total = p.sum(axis=1, keepdims=True)
    return np.where(total > 0, p / np.where(total > 0, total, 1), 1 / p.shape[1])


def top_k(p: Array, k: int) -> Array:
    """(n, k) column indices by falling score; ties go to the lower index."""
    if p.shape[1] > 64 and k < p.shape[1]:
        near = np.sort(np.argpartition(-p, k - 1, axis=1)[:, :k], axis=1)
        order = np.argsort(-np.take_along_axis(p, near, axis=1), axis=1, kind="stable")
        return np.take_along_axis(near, order, axis=1)
    return np.argsort(-p, axis=1, kind="stable")[:, :k]


def _of_true_class(y: Array, p: Array) -> Array:
    if p.shape[1] == 1:
        return np.where(y == 1, p[:, 0], 1 - p[:, 0])
    return p[np.arange(len(y)), y]


# --- ranks ----------------------------------------------------------------------------------------------------------


def roc_auc(y: Array, p: Array) -> float:
    """Ties count half. Several classes: one against the rest, mean over the classes that y has."""
    return _one_against_rest(_binary_auc, y, p)


def average_precision(y: Array, p: Array) -> float:
    """Area under the precision-recall steps; several classes as in `roc_auc`."""
    return _one_against_rest(_binary_average_precision, y, p)


def gini(y: Array, p: Array) -> float:
    """Normalised Gini: 1 for the right order. Ties share their values, so for classes 0 and 1 it is 2 * auc - 1."""
    best = _lorenz(y, y) if y.sum() else 0.0
    return _lorenz(y, p[:, 0]) / best if best else float("nan")


def spearman(y: Array, p: Array) -> float:
    return pearson(mean_ranks(y), mean_ranks(p))


def mean_ranks(values: Array) -> Array:
    """Ranks from 1; equal values share the mean of their ranks."""
    order, ends = _tie_blocks(values)
    starts = np.concatenate([[0], ends[:-1]])
    ranks = np.empty(len(values))
    ranks[order] = np.repeat((starts + ends + 1) / 2, ends - starts)
    return ranks


def ndcg(y: Array, p: Array, groups: Array, k: int | None) -> float:
    """Mean over groups of DCG@k with gain 2^y - 1; equal scores share their gain, groups without gain are left out."""
    group = np.unique(groups, return_inverse=True)[1].ravel()
    got = _dcg(group, p, np.exp2(y) - 1, k)
    ideal = _dcg(group, y, np.exp2(y) - 1, k)
    useful = ideal > 0
    return float((got[useful] / ideal[useful]).mean()) if useful.any() else float("nan")


def _one_against_rest(binary: Any, y: Array, p: Array) -> float:
    if p.shape[1] == 1:
        return float(binary(y == 1, p[:, 0]))
    scores = [binary(y == c, p[:, c]) for c in range(p.shape[1]) if 0 < (y == c).sum() < len(y)]
    return float(np.mean(scores)) if scores else float("nan")


def _binary_auc(positive: Array, p: Array) -> float:
    many = int(positive.sum())
    pairs = many * (len(p) - many)
    return (mean_ranks(p)[positive].sum() - many * (many + 1) / 2) / pairs if pairs else float("nan")


def _binary_average_precision(positive: Array, p: Array) -> float:
    if not 0 < positive.sum() < len(p):
        return float("nan")
    order, ends = _tie_blocks(-p)
    found = np.cumsum(positive[order])[ends - 1]
    return float((np.diff(found, prepend=0) / found[-1] * (found / ends)).sum())


def _lorenz(y: Array, by: Array) -> float:
    """Area between the running share of y, rows by falling `by`, and the diagonal."""
    order, ends = _tie_blocks(-by)
    share = np.concatenate([[0.0], np.cumsum(y[order])[ends - 1]]) / y.sum()
    width = np.diff(ends, prepend=0) / len(y)
    return float((width * (share[1:] + share[:-1]) / 2).sum() - 0.5)


def _dcg(group: Array, by: Array, gain: Array, k: int | None) -> Array:
    order = np.lexsort((-by, group))
    group, by, gain = group[order], by[order], gain[order]
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    place = np.arange(len(group)) - np.repeat(starts, np.diff(starts, append=len(group)))
    block = np.cumsum((place == 0) | (np.diff(by, prepend=by[0]) != 0)) - 1
    shared = (np.bincount(block, gain) / np.bincount(block))[block]
    return np.bincount(group, shared / np.log2(place + 2) * (place < (k or len(group))))


def _tie_blocks(values: Array) -> tuple[Array, Array]:
    """The rising order, and where each block of equal values ends in it."""
    order = np.argsort(values)
    ends = np.flatnonzero(np.diff(values[order]) != 0) + 1
    return order, np.append(ends, len(values))


# --- values ---------------------------------------------------------------------------------------------------------


def median_absolute(y: Array, p: Array) -> float:
    return float(np.median(np.abs(y - p)))


def r_squared(y: Array, p: Array) -> float:
    spread = ((y - y.mean()) ** 2).sum()
    return float(1 - ((y - p) ** 2).sum() / spread) if spread > 0 else float("nan")


def pearson(y: Array, p: Array) -> float:
    y, p = y - y.mean(), p - p.mean()
    size = float(np.sqrt((y**2).sum()) * np.sqrt((p**2).sum()))
    return float(np.clip((y * p).sum() / size, -1, 1)) if size > 0 else float("nan")


def quadratic_kappa(y: Array, p: Array) -> float:
    """Distances are between the label values (not their positions); nan when y and p are one and the same constant."""
    by_chance = y.var() + p.var() + (y.mean() - p.mean()) ** 2
    return float(1 - ((y - p) ** 2).mean() / by_chance) if by_chance > 0 else float("nan")


# --- labels: scores of (tp, predicted, actual) counts, each (..., classes), over any leading axes ---------------------


def label_counts(y: Array, labels: Array, classes: int = 2) -> tuple[Array, Array, Array]:
    """Hits, predictions and truths of each class, of `classes` at least; with several 0/1 columns, of each column."""
    if y.ndim == 2:
        return (y & labels).sum(axis=0), labels.sum(axis=0), y.sum(axis=0)
    size = max(y.max() + 1, labels.max() + 1, classes)
    hits, predicted, actual = (np.bincount(x, minlength=size) for x in (y[y == labels], labels, y))
    return hits, predicted, actual


def count_accuracy(tp: Array, predicted: Array, actual: Array) -> Array:
    return tp.sum(axis=-1) / actual.sum(axis=-1)


def count_balanced_accuracy(tp: Array, predicted: Array, actual: Array) -> Array:
    return (tp / np.maximum(actual, 1)).sum(axis=-1) / (actual > 0).sum(axis=-1)


def count_f1(tp: Array, predicted: Array, actual: Array) -> Array:
    """Of class 1, the positive one."""
    return _f1(tp, predicted, actual)[..., 1]


def count_f1_macro(tp: Array, predicted: Array, actual: Array) -> Array:
    """Mean over the classes that are true or predicted somewhere."""
    return _f1(tp, predicted, actual).sum(axis=-1) / np.maximum((predicted + actual > 0).sum(axis=-1), 1)


def count_f1_micro(tp: Array, predicted: Array, actual: Array) -> Array:
    return 2 * tp.sum(axis=-1) / np.maximum((predicted + actual).sum(axis=-1), 1)


def count_f1_weighted(tp: Array, predicted: Array, actual: Array) -> Array:
    return (_f1(tp, predicted, actual) * actual).sum(axis=-1) / np.maximum(actual.sum(axis=-1), 1)


def count_mcc(tp: Array, predicted: Array, actual: Array) -> Array:
    """0 when either side is constant, as scikit-learn has it."""
    n = actual.sum(axis=-1).astype(float)
    cover = tp.sum(axis=-1) * n - (predicted.astype(float) * actual).sum(axis=-1)
    spread = (n**2 - (predicted.astype(float) ** 2).sum(axis=-1)) * (n**2 - (actual.astype(float) ** 2).sum(axis=-1))
    return cover / np.sqrt(np.where(spread > 0, spread, np.inf))


def _f1(tp: Array, predicted: Array, actual: Array) -> Array:
    return 2 * tp / np.maximum(predicted + actual, 1)
