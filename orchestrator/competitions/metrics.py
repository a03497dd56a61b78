"""The competition's metric: by Kaggle's or scikit-learn's name, or from a person's own metric.py."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from orchestrator.competitions import scoring_functions as sf
from orchestrator.competitions.scoring_functions import Array
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from orchestrator.config import CompetitionSection

Kind = Literal["probability", "label", "value", "ordinal", "ranking"]
Score = Callable[[Array, Array], float]
MULTI_TASKS = ("multilabel", "multiregression")
SMALLEST_POSITIVE = 1e-6
"""Where predictions under a logarithm are clipped."""


@dataclass(frozen=True)
class Metric:
    """How predictions are scored. `y` is (n,) or (n, targets), predictions (n,) or (n, outputs).

    Where `y` (n, targets) is nan the label is not known: a mean over columns takes each column's known rows, a
    person's own metric gets the nan, and no other metric takes any.

    Label and ordinal metrics take predictions that are decided already: class positions, or whole numbers.
    """

    name: str
    maximize: bool
    kind: Kind
    losses: Callable[[Array, Array], Array] | None = None
    """Loss of each row, when the score is `finish` of their mean."""
    finish: Callable[[Array], Array] = np.asarray
    whole: Score | None = None
    """The score of all rows, when it is no mean."""
    counts: Callable[[Array, Array, Array], Array] | None = None
    """Label metrics: the score of hits, predictions and truths per class, over leading axes."""
    low: float | None = None
    high: float | None = None
    transform: Literal["log1p", "log"] | None = None
    """Train on this of the target."""
    grouped: bool = False
    """Ranks rows within groups."""
    k: int | None = None
    joint: bool = False
    """Takes several target columns at once, instead of a mean over them."""
    base: Metric | None = None
    """Set for a mean over target columns: the metric of one column."""

    @property
    def multi(self) -> bool:
        return self.base is not None

    def columnwise(self) -> Metric:
        """The mean of this metric over target columns."""
        if self.kind in ("ordinal", "ranking"):
            raise BadInput(f'metric "{self.name}" has no mean over target columns: use one target column')
        return replace(self, name=f"mean_column_{self.name}", joint=False, base=self)

    def gain(self, new: float, old: float) -> float:
        """Positive = `new` is better."""
        return new - old if self.maximize else old - new

    def predictions_valid(self, predictions: Array) -> Array:
        """Into the metric's domain: logs get what they can take, probabilities [0, 1] and rows of sum 1."""
        if self.kind == "probability" and self.high == 1 and predictions.ndim == 2 and not (self.multi or self.joint):
            return sf.simplex(predictions)
        return predictions if self.low is None and self.high is None else np.clip(predictions, self.low, self.high)

    def score(self, y: Array, predictions: Array, groups: Array | None = None) -> float:
        """One number; nan when it is undefined: no rows, predictions not finite, auc of one class, log of 0.

        Columns (or classes, for auc and average precision) where it is undefined are left out of a mean over them.
        """
        if self._needs_columns(y):
            return self.columnwise().score(y, predictions, groups)
        if self.base is not None:
            scores = [self.base.score(*pair, groups) for pair in columns(y, predictions)]
            known = [score for score in scores if not np.isnan(score)]
            return float(np.mean(known)) if known else float("nan")
        if len(y) == 0 or not np.isfinite(predictions).all():
            return float("nan")
        y, predictions = self._prepared(y, predictions)
        if self.losses is not None:
            score = float(self.from_mean(np.mean(self.losses(y, predictions))))
            return score if np.isfinite(score) else float("nan")
        if self.counts is not None:
            return float(self.counts(*sf.label_counts(y, predictions)))
        if self.grouped:
            if groups is None:
                raise BadInput(f'metric "{self.name}" ranks rows within groups: set competition.group_column')
            return sf.ndcg(y, predictions, groups, self.k)
        assert self.whole is not None
        return float(self.whole(y, predictions))

    def row_losses(self, y: Array, predictions: Array) -> Array | None:
        """(n,) losses, or (n, columns) for a mean over columns; `from_mean` of their mean over rows is the score.

        Every label must be known. None when the score is no function of such means. A resample of the rows is then a
        matter of weights.
        """
        if self.losses is None or self._needs_columns(y):
            return None
        if self.base is not None:
            losses = [self.base.row_losses(*pair) for pair in columns(y, predictions)]
            return np.column_stack([loss for loss in losses if loss is not None])
        return np.asarray(self.losses(*self._prepared(y, predictions)))

    def from_mean(self, mean_loss: Any) -> Any:
        """The score of a mean loss, or of a stack of them; a mean over columns takes (..., columns)."""
        scores = self.finish(np.asarray(mean_loss, float))
        scores = scores.mean(axis=-1) if self.multi else scores
        return float(scores) if scores.ndim == 0 else scores

    def _needs_columns(self, y: Array) -> bool:
        return y.ndim == 2 and y.shape[1] > 1 and not (self.multi or self.joint)

    def _prepared(self, y: Array, predictions: Array) -> tuple[Array, Array]:
        """Lengths checked, types and shapes as the functions of this kind want them."""
        y, predictions = np.asarray(y), np.asarray(predictions)
        if len(y) != len(predictions):
            raise ValueError(f"{len(y)} labels, {len(predictions)} predictions")
        y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
        flat = predictions.ravel() if predictions.size == len(y) else predictions
        if self.name.startswith("map@"):
            listed = predictions.dtype.kind in "iu"
            return y.astype(np.int64), (predictions if listed else sf.top_k(predictions, self.k or 1))[:, : self.k]
        if self.kind == "probability":
            matrix = sf.as_matrix(predictions.astype(float))
            return y if self.name == "gini" else _whole(y), self.predictions_valid(matrix)
        if flat.shape != y.shape:
            raise ValueError(f"labels {y.shape}, predictions {predictions.shape}")
        if self.kind == "label":
            return _whole(y), flat.astype(np.int64)
        return y.astype(float), self.predictions_valid(flat.astype(float))


def columns(y: Array, predictions: Array) -> list[tuple[Array, Array]]:
    """Truth and predictions of each column, in the rows where its label is known."""
    y, predictions = sf.as_matrix(np.asarray(y)), sf.as_matrix(np.asarray(predictions))
    if y.shape != predictions.shape:
        raise ValueError(f"labels {y.shape}, predictions {predictions.shape}")
    pairs = [(y[:, j], predictions[:, j]) for j in range(y.shape[1])]
    return [_of_known(*pair) for pair in pairs] if np.isnan(y).any() else pairs


def _of_known(y: Array, predictions: Array) -> tuple[Array, Array]:
    known = ~np.isnan(y)
    return y[known], predictions[known]


def _whole(y: Array) -> Array:
    """Labels as integers; as they are where some are not known."""
    return y if y.dtype.kind == "f" and np.isnan(y).any() else y.astype(np.int64)


def _probability(name: str, maximize: bool, **rest: Any) -> Metric:
    return Metric(name, maximize, "probability", **{"low": 0, "high": 1, **rest})


def _label(name: str, counts: Callable[[Array, Array, Array], Array], **rest: Any) -> Metric:
    return Metric(name, True, "label", counts=counts, **rest)


def _value(name: str, maximize: bool = False, **rest: Any) -> Metric:
    return Metric(name, maximize, "value", **rest)


# Aliases without what `_fold` drops; also found with "neg" before, or "score" or "error" or "loss" after.
_TABLE: list[tuple[Metric, str]] = [
    (_probability("auc", True, whole=sf.roc_auc),
     "rocauc auroc aucroc rocaucovr areaundertheroccurve areaunderroccurve areaunderthecurve areaundercurve "
     "areaunderreceiveroperatingcharacteristiccurve areaunderthereceiveroperatingcharacteristiccurve"),
    (_probability("gini", True, whole=sf.gini, low=None, high=None),
     "normalizedgini normalisedgini giniindex normalizedginiindex normalizedginicoefficient ginicoefficient"),
    (_probability("average_precision", True, whole=sf.average_precision),
     "ap prauc aucpr auprc areaundertheprecisionrecallcurve"),
    (_probability("logloss", False, losses=sf.log_losses),
     "crossentropy binarycrossentropy categoricalcrossentropy binarylog multiclasslog multilog mlogloss "
     "multiclass logarithmic binarylogloss multiclasslogloss logarithmicloss"),
    (_probability("balanced_logloss", False, whole=sf.balanced_log_loss),
     "balancedlog balancedlogarithmic balancedcrossentropy balancedlogloss"),
    (_probability("brier", False, losses=sf.brier_losses), "brierscoreloss"),
    (_label("accuracy", sf.count_accuracy, losses=sf.misses, finish=sf.one_minus, joint=True),
     "acc categorizationaccuracy classificationaccuracy"),
    (_label("balanced_accuracy", sf.count_balanced_accuracy), "balancedacc macrorecall recallmacro"),
    (_label("f1", sf.count_f1), "f1binary binaryf1 fscore fmeasure fbeta1"),
    (_label("f1_macro", sf.count_f1_macro, joint=True), "macrof1 macroaveragedf1 macrofscore meanf1macro"),
    (_label("f1_micro", sf.count_f1_micro, joint=True), "microf1 microaveragedf1 microfscore"),
    (_label("f1_weighted", sf.count_f1_weighted, joint=True), "weightedf1 weightedfscore"),
    (_label("mcc", sf.count_mcc), "matthewscorrcoef matthewscorrelationcoefficient matthewscorrelation phicoefficient"),
    (Metric("qwk", True, "ordinal", whole=sf.quadratic_kappa),
     "quadraticweightedkappa quadratickappa cohenkappaquadratic weightedkappaquadratic kappaquadratic"),
    (_value("rmse", losses=sf.squared, finish=np.sqrt), "rootmeansquare rootmeansquared rootmse"),
    (_value("mse", losses=sf.squared), "meansquared meansquare l2"),
    (_value("mae", losses=sf.absolute), "meanabsolute l1"),
    (_value("medae", whole=sf.median_absolute), "medianabsolute mdae"),
    (_value("rmsle", losses=sf.squared_log1p, finish=np.sqrt, low=0, transform="log1p"),
     "rootmeansquaredlog rootmeansquaredlogarithmic rootmeansquarelogarithmic"),
    (_value("rmse_log", losses=sf.squared_log, finish=np.sqrt, low=SMALLEST_POSITIVE, transform="log"),
     "logrmse rmseoflog rmseoflogs rootmeansquarederrorbetweenlogs rmsebetweenlogs"),
    (_value("mape", losses=sf.percentage), "meanabsolutepercentage meanabsolutepercent"),
    (_value("rmspe", whole=sf.root_mean_squared_percentage),
     "rootmeansquarepercentage rootmeansquaredpercentage rootmeansquarepercent rootmeansquaredpercent"),
    (_value("smape", losses=sf.symmetric_percentage), "symmetricmeanabsolutepercentage"),
    (_value("r2", True, whole=sf.r_squared), "rsquared coefficientofdetermination"),
    (_value("pearson", True, whole=sf.pearson), "pearsonr pearsoncorrelation pearsoncorrelationcoefficient corr"),
    (_value("spearman", True, whole=sf.spearman),
     "spearmanr spearmanrho spearmansrho spearmancorrelation spearmanscorrelation spearmanrankcorrelation"),
]  # fmt: skip
METRICS: dict[str, Metric] = {metric.name: metric for metric, _ in _TABLE}
"""By canonical name; besides these map@1, map@2 …, ndcg, ndcg@1 …, and mean_column_ before most names."""
_COLUMN = re.compile(r"(?:mean|average|avg)?col(?:umn)?|mc")
_COLUMN_FILLERS = ("", "s", "wise", "mean", "average", "avg", "of")
_RANKED = re.compile(r"^(map|meanaverageprecision|ndcg|normalizeddiscountedcumulativegain)(?:at)?k?(\d*)$")


def _fold(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", unicodedata.normalize("NFKC", name).lower())


_NAMES: dict[str, str] = {
    alias: metric.name for metric, aliases in _TABLE for alias in (_fold(metric.name), *aliases.split())
}


def get_metric(name: str, metric_file: str | Path | None = None, *, task: str | None = None) -> Metric:
    """The metric of a name, or of a person's metric.py (then `name` is not looked at).

    Case, spaces and punctuation of the name do not matter. With a `task` of several target columns, a metric of one
    column becomes its mean over them. Raises BadInput for an unknown name (naming the nearest), a metric that does
    not fit the task, or an unusable file.
    """
    if metric_file is not None:
        from orchestrator.competitions.own_metric import load_own_metric

        return load_own_metric(Path(metric_file))
    metric = _find(_fold(name))
    if metric is None:
        raise BadInput(f'unknown metric "{name}"{_nearest(name)}; a metric.py of your own goes into metric_file')
    if task == "multiclass" and metric.counts is sf.count_f1:
        raise BadInput(f'metric "{name}" is of two classes: say "f1_macro", "f1_micro" or "f1_weighted"')
    return metric.columnwise() if task in MULTI_TASKS and not (metric.multi or metric.joint) else metric


def metric_of(spec: CompetitionSection, root: Path) -> Metric:
    """The metric of the campaign in `root`, with config.json's own direction when it names one.

    Raises BadInput like `get_metric`.
    """
    metric = get_metric(spec.metric, root / spec.metric_file if spec.metric_file else None, task=spec.task)
    return metric if spec.maximize is None else replace(metric, maximize=spec.maximize)


def takes_holes(name: str, metric_file: str | None, task: str | None) -> bool:
    """Whether labels of some of several targets may be missing: where each column is scored alone, or by own code."""
    return task in MULTI_TASKS and (metric_file is not None or get_metric(name, task=task).multi)


def _find(folded: str) -> Metric | None:
    if ranked := _RANKED.match(folded):
        return _ranking(ranked[1], int(ranked[2]) if ranked[2] else None)
    bare = folded.removeprefix("neg")
    for candidate in (bare, *(bare.removesuffix(end) for end in ("score", "error", "loss"))):
        if candidate in _NAMES:
            return METRICS[_NAMES[candidate]]
    if column := _COLUMN.match(folded):
        rest = folded[column.end() :]
        for filler in _COLUMN_FILLERS:
            rest = rest.removeprefix(filler)
            if (metric := _find(rest)) is not None and not metric.multi:
                return metric.columnwise()
    return None


def _ranking(family: str, k: int | None) -> Metric | None:
    if family in ("map", "meanaverageprecision"):
        if not k:
            raise BadInput('metric "map@k" needs the length of the list, for example "map@5"')
        name = f"map@{k}"
        return Metric(name, True, "ranking", losses=sf.rank_losses, finish=sf.one_minus, k=k)
    return None if k == 0 else Metric(f"ndcg@{k}" if k else "ndcg", True, "ranking", grouped=True, k=k)


def _nearest(name: str) -> str:
    close = difflib.get_close_matches(_fold(name), [*_NAMES, "map5", "ndcg5"], n=1, cutoff=0.5)
    known = {**_NAMES, "map5": "map@5", "ndcg5": "ndcg@5"}
    return f' (did you mean "{known[close[0]]}"?)' if close else f" (known: {', '.join(METRICS)}, map@k, ndcg@k)"
