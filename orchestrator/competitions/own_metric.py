"""A person's own metric.py, run in this process.

It defines `score(y_true, y_pred) -> float`, `MAXIMIZE: bool`, `PREDICTION = "probability" | "label" | "value"` and,
if it likes, `NAME`. Labels reach it as positions in the class list; one output comes as (n,), several as (n, outputs).
Of several targets those that a row lacks are nan in `y_true`.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.competitions.metrics import Metric
from orchestrator.competitions.scoring_functions import Array
from orchestrator.errors import BadInput, MetricFailed


def load_own_metric(path: Path) -> Metric:
    """Run the file; raises BadInput that says what does not run, or what it lacks; its score raises MetricFailed."""
    module = types.ModuleType("autokaggle_own_metric")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses of the file look themselves up there
    try:
        exec(compile(path.read_text("utf-8"), str(path), "exec"), module.__dict__)
    except Exception as error:  # a person's code may raise exceptions of its own
        raise BadInput(f"metric_file {path} does not run: {type(error).__name__}: {error}") from error
    score, maximize, prediction = (getattr(module, name, None) for name in ("score", "MAXIMIZE", "PREDICTION"))
    if not callable(score):
        raise BadInput(f"metric_file {path} lacks a function score(y_true, y_pred)")
    if not isinstance(maximize, bool):
        raise BadInput(f"metric_file {path} lacks MAXIMIZE = True or MAXIMIZE = False")
    if prediction not in ("probability", "label", "value"):
        raise BadInput(f'metric_file {path} lacks PREDICTION = "probability", "label" or "value"')
    name, whole = str(getattr(module, "NAME", path.stem)), _guarded(score, path)
    if prediction == "probability":
        return Metric(name, maximize, "probability", whole=whole, joint=True, low=0, high=1)
    return Metric(name, maximize, prediction, whole=whole, joint=True)


def score_or_nan(metric: Metric, y: Array, predictions: Array, groups: Array | None = None) -> float:
    """The score; NaN where a person's own metric fails, as the others are where they are undefined."""
    try:
        return metric.score(y, predictions, groups)
    except MetricFailed:
        return float("nan")


def _guarded(score: Callable[[Array, Array], Any], path: Path) -> Callable[[Array, Array], float]:
    def guarded(y: Array, predictions: Array) -> float:
        flat = predictions[:, 0] if predictions.ndim == 2 and predictions.shape[1] == 1 else predictions
        try:
            return float(score(y, flat))
        except Exception as error:
            raise MetricFailed(f"score of metric_file {path} fails: {type(error).__name__}: {error}") from error

    return guarded
