"""The target columns as numbers: class indices in the order of config.json, or float values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.competitions.infer_columns import label_text
from orchestrator.competitions.metrics import Metric, takes_holes
from orchestrator.config import CompetitionSection, Label
from orchestrator.errors import BadInput, MetricFailed

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray[Any, Any]


HUGE = 1e30
"""Experiments take numbers from here on for missing (`HUGE` of the blocks); their squares leave float32."""


def encode(table: pd.DataFrame, spec: CompetitionSection) -> Array:
    """`y` of a labelled table: int64 (rows,) class index, float64 (rows,), or float64 (rows, targets).

    Of several targets a row may lack some (nan) where the metric takes them one by one. Raises BadInput for a target
    column that is absent, has other holes, or holds what config.json does not list.
    """
    missing = [name for name in spec.target_columns if name not in table.columns]
    if missing or not spec.target_columns:
        raise BadInput(f"competition.target_columns = {spec.target_columns}, but {spec.train} has {list(table)[:20]}")
    _check_holes(table[spec.target_columns].isna(), spec)
    if spec.task in ("binary", "multiclass"):
        return _class_indices(table[spec.target_columns[0]], spec)
    columns = [_numbers(table[name], spec) for name in spec.target_columns]
    return columns[0] if spec.task == "regression" else np.column_stack(columns)


def _check_holes(missing: pd.DataFrame, spec: CompetitionSection) -> None:
    if not missing.any(axis=None):
        return
    some = takes_holes(spec.metric, spec.metric_file, spec.task)
    why = f" ({spec.metric} needs every target of a row)" if len(spec.target_columns) > 1 else ""
    for name in spec.target_columns:
        holes = int(missing[name].sum())
        if holes and not some:
            raise BadInput(f"{spec.train}: {holes} rows have no {name}{why}: remove them from the file")
        if holes == len(missing):
            raise BadInput(f"{spec.train}: the target {name} is missing in every row: fill it in")
    if empty := int(missing.all(axis=1).sum()):
        raise BadInput(f"{spec.train}: {empty} rows have none of the targets: remove them from the file")


def check_own_metric(y: Array, metric: Metric) -> None:
    """Raise BadInput when a person's own metric has no score for the truth itself where rows lack some targets."""
    if metric.multi or not np.isnan(y).any():
        return
    how = "y_true is nan where a row lacks a target: leave these out in it"
    try:
        value = metric.score(y, np.nan_to_num(y))
    except MetricFailed as error:
        raise BadInput(f"{error}; {how}") from error
    if np.isnan(value):
        raise BadInput(f"score of {metric.name} is nan; {how}")


def output_count(spec: CompetitionSection) -> int:
    """Columns of a prediction: one per class, one per target, or one."""
    if spec.task == "multiclass":
        return len(spec.classes)
    return len(spec.target_columns) if spec.task in ("multilabel", "multiregression") else 1


def class_values(classes: list[Label], indices: Array) -> Any:
    """The labels themselves, as an arrow array of one type; text when the classes are of several."""
    import pyarrow as pa

    one_type = len({type(label) for label in classes}) == 1
    return pa.array(classes if one_type else [str(label) for label in classes]).take(pa.array(indices))


def _class_indices(column: pd.Series, spec: CompetitionSection) -> Array:
    import pandas as pd

    places = {label_text(label): index for index, label in enumerate(spec.classes)}
    codes, values = pd.factorize(column)
    if spec.task == "binary" and len(places) == len(values) > 2:
        raise BadInput(
            f"competition.task is 'binary', but {column.name} has {len(values)} labels: set it to 'multiclass'"
        )
    if len(places) < 2 or len(places) < len(spec.classes) or (spec.task == "binary" and len(places) != 2):
        raise BadInput(f"competition.classes = {spec.classes} is wrong: list the different labels of {column.name}")
    found = [places.get(label_text(value), -1) for value in values]
    if -1 in found:
        stray = values[found.index(-1)]
        raise BadInput(f"{spec.train}: {column.name} holds {stray!r}, which competition.classes does not list")
    return np.asarray(found, dtype=np.int64)[codes]


def _numbers(column: pd.Series, spec: CompetitionSection) -> Array:
    try:
        values = column.to_numpy().astype(np.float64)
    except (TypeError, ValueError):
        raise BadInput(f"{spec.train}: {column.name} is not numeric, but competition.task is {spec.task!r}") from None
    if np.isinf(values).any():
        raise BadInput(f"{spec.train}: {column.name} holds infinite values")
    if (np.abs(values[~np.isnan(values)]) >= HUGE).any():
        raise BadInput(f"{spec.train}: {column.name} holds values of {HUGE:g} or more: no model can learn them")
    if spec.task == "multilabel" and not np.isin(values[~np.isnan(values)], (0.0, 1.0)).all():
        raise BadInput(f"{spec.train}: {column.name} holds other values than 0 and 1, but the task is multilabel")
    return values
