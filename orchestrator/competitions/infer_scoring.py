"""The metric that a competition is scored by, and the task under it: stated, described or usual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.competitions.infer_metric import BINARY_ONLY, COLUMNWISE, Description, Reading
from orchestrator.competitions.infer_target import MAX_INTEGER_CLASSES, Tables, Target, guess_task
from orchestrator.config import Task
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

    from orchestrator.competitions.metrics import Metric


@dataclass(frozen=True)
class Scoring:
    """What is optimised, and why it is thought so."""

    metric: Metric
    name: str
    task: Task
    why: str
    task_why: str
    maximize: bool | None
    direction_why: str


def choose_scoring(tables: Tables, target: Target, meta: dict[str, Any], description: Description) -> Scoring:
    """Metric and task, which depend on each other: a metric that the target rules out was named in passing."""
    stated = meta.get("metric")
    if stated:
        metric, task, task_why, why = _stated_metric(tables, target, str(stated))
        told = description.readings[0].maximize if description.readings else None
    else:
        metric, task, task_why, why, told = _read_metric(tables, target, description)
    columnwise = not metric.joint or COLUMNWISE.search(description.text.lower())
    if len(target.columns) > 1 and not metric.multi and columnwise:
        metric = metric.columnwise()
    direction = {"maximize": True, "minimize": False}.get(meta.get("metric_direction") or "", told)
    direction_why = "the description or meta.json says so, unlike the metric's usual direction"
    if description.higher_wins is not None:
        order = "fall" if description.higher_wins else "rise"
        direction, direction_why = description.higher_wins, f"the leaderboard's scores {order} from best to worst"
    maximize = direction if direction != metric.maximize else None
    name = metric.name.replace("logloss", "log_loss")
    return Scoring(metric, name, task, why, task_why, maximize, direction_why)


def _stated_metric(tables: Tables, target: Target, stated: str) -> tuple[Metric, Task, str, str]:
    task, task_why = guess_task(tables, target)
    fitting = _fitted(stated, tables, target, task)
    if fitting is None:
        raise BadInput(
            f"meta.json: the metric {stated!r} can't score {', '.join(target.columns[:3])} of {tables.names[0]} "
            f"({task_why}): correct the metric, or the target_columns"
        )
    metric, suits, note = fitting
    return metric, suits, "the metric and the target's values", f"meta.json{note}"


def _fitted(name: str, tables: Tables, target: Target, task: Task) -> tuple[Metric, Task, str] | None:
    """The metric of a name, the task under it and what was changed; None where the targets do not allow it.

    A logarithm that some targets do not have was meant of the targets plus one.
    """
    from orchestrator.competitions.metrics import get_metric

    metric, note = get_metric(_with_length(name, target)), ""
    suits = _task_for(metric.base or metric, tables, target, task)
    transform = (metric.base or metric).transform
    if suits is None:
        return None
    if transform is None:
        return metric, suits, note
    least = float(tables.train[target.columns].min(numeric_only=True).min())
    if transform == "log" and least <= 0:
        metric = get_metric(metric.name.replace("rmse_log", "rmsle"))
        note = f"; it is {metric.name}, since targets such as {least:g} have a logarithm only when 1 is added"
    return None if least <= -1 else (metric, suits, note)


def _read_metric(
    tables: Tables, target: Target, description: Description
) -> tuple[Metric, Task, str, str, bool | None]:
    """(metric, task, why that task, why that metric, direction that the description states).

    The first reading that fits the data and the leaderboard's order, then the first that fits the data.
    """
    from orchestrator.competitions.metrics import get_metric

    task, task_why = guess_task(tables, target)
    fitting: list[tuple[Metric, Task, str, Reading]] = []
    for reading in description.readings:
        if reading.metric is not None:
            name = "average_precision" if reading.metric == "map" and not target.ranked_k else reading.metric
            found = _fitted(name, tables, target, task)
            if found is not None:
                fitting.append((*found, reading))
    order = description.higher_wins
    agreeing = [one for one in fitting if order is None or one[0].maximize == order]
    unknown = f"; {description.unknown!r}, as Kaggle calls it, is not known here" if description.unknown else ""
    if fitting:
        metric, task, note, reading = (agreeing or fitting)[0]
        agrees = "" if order is None or not agreeing else ", and the leaderboard's order agrees"
        return metric, task, task_why, f"{reading.said} {reading.words!r}{note}{agrees}{unknown}", reading.maximize
    metric = get_metric(_default_metric(tables, target, task, order))
    silent = not description.text.strip() and not unknown
    named = "there is no description" if silent else f"the description names none that fits{unknown}"
    why = f"the usual metric for {task} with such a sample; {named}"
    told = description.readings[0].maximize if description.readings else None
    return metric, task, task_why, why, told


def _with_length(name: str, target: Target) -> str:
    """`map` and `map@k` with the length of the lists that the sample shows."""
    return f"map@{target.ranked_k}" if name.lower() in ("map", "map@k") and target.ranked_k else name


def _task_for(metric: Metric, tables: Tables, target: Target, task: Task) -> Task | None:
    """The task under a metric; None when the target's values do not allow the metric."""
    import pandas as pd

    values = tables.train[target.columns[0]]
    numeric = pd.api.types.is_numeric_dtype(values.dtype)
    if metric.name.startswith("map@") or target.style == "ranked":
        single = metric.name.startswith("map@") and target.style != "classes" and len(target.columns) == 1
        return "multiclass" if single else None
    if metric.name == "gini" and numeric and len(target.columns) == 1 and values.nunique() > 2:
        return "regression" if target.style == "columns" else None
    if metric.kind in ("value", "ranking"):
        if not numeric or target.style == "classes":
            return None
        if len(target.columns) > 1:
            return "multiregression" if metric.kind == "value" else None
        return "regression"
    if metric.kind == "ordinal":
        return "regression" if numeric and len(target.columns) == 1 and target.style == "columns" else None
    if len(target.columns) > 1:
        return task if task == "multilabel" else None
    if target.style == "classes":
        return None if task == "multiclass" and metric.name in BINARY_ONLY else task
    if values.nunique() <= 2:
        return "binary"
    if metric.kind == "probability" or metric.name in BINARY_ONLY:
        return None
    fractions = numeric and values.dtype != bool and bool((values % 1 != 0).any())
    return None if fractions and not _few_labels(values, tables.sample[target.submission_columns[0]]) else "multiclass"


def _few_labels(values: pd.Series, shown: pd.Series) -> bool:
    """Are numbers with fractions names of classes? Few there are then, and the sample shows no others but for 0."""
    distinct = values.drop_duplicates()
    few = len(distinct) <= MAX_INTEGER_CLASSES and len(values) >= 5 * len(distinct)
    return few and bool(shown.dropna().isin([*distinct, 0]).all())


def _default_metric(tables: Tables, target: Target, task: Task, higher_wins: bool | None = None) -> str:
    """The usual one; `higher_wins` is the leaderboard's order."""
    import pandas as pd

    if higher_wins is False and task in ("binary", "multiclass", "multilabel") and target.style != "ranked":
        return "log_loss"
    if higher_wins and task in ("regression", "multiregression"):
        return "r2"
    if target.style == "ranked":
        return f"map@{target.ranked_k}"
    if target.style == "classes":
        return "log_loss"
    if task == "multilabel":
        return "auc"
    if task == "binary":
        shown = tables.sample[target.submission_columns[0]].dropna()
        floats = pd.api.types.is_float_dtype(shown.dtype) and bool((shown % 1 != 0).any())
        return "auc" if floats else "accuracy"
    return "accuracy" if task == "multiclass" else "rmse"
