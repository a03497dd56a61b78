"""Metric, task and form of the submission held against each other, before a campaign writes its first file.

Whoever corrects a metric alone would otherwise see the campaign play to its end and hand in what nobody can score.
"""

from __future__ import annotations

from typing import get_args

from orchestrator.competitions.metrics import MULTI_TASKS, Metric
from orchestrator.config import CompetitionSection, SubmissionKind, Task
from orchestrator.errors import BadInput
from orchestrator.referee.labels import output_count

Fitting = tuple[str, tuple[Task, ...], tuple[SubmissionKind, ...]]
"""What a metric takes, the tasks that make it, the forms of a submission that hold it (the usual one first)."""
CLASS_TASKS: tuple[Task, ...] = ("binary", "multiclass")
_CLASSES: tuple[Task, ...] = (*CLASS_TASKS, "multilabel")
_BY_KIND: dict[str, Fitting] = {
    "probability": ("probabilities", _CLASSES, ("probability", "class_columns", "value")),
    "label": ("labels", _CLASSES, ("label", "class_columns")),
    "ordinal": ("grades", ("regression", "multiclass", "binary"), ("label", "class_columns", "value")),
    "value": ("numbers", ("regression", "multiregression"), ("value",)),
    "ranking": ("numbers that rank rows", ("regression", "binary"), ("value", "probability")),
}
_LISTS: Fitting = ("lists of labels", ("multiclass",), ("ranked_list",))
_GINI: Fitting = ("probabilities or amounts", ("binary", "multilabel", "regression"), ("probability", "value"))
_ANY: tuple[SubmissionKind, ...] = ("probability", "class_columns", "value", "ranked_list")


def check_scoring(spec: CompetitionSection, metric: Metric) -> None:
    """Raise BadInput, with what to set, unless `metric` can score the task's predictions in the submission's form."""
    one = metric.base or metric
    takes, tasks, forms = _fitting(one, own=spec.metric_file is not None)
    if spec.task not in tasks:
        raise BadInput(
            f"config.json: competition.task is {spec.task!r}, but {metric.name} takes {takes}: "
            f"{_task(spec, tasks, forms)}, or correct competition.metric"
        )
    if not _holds(spec, forms, one.kind):
        raise BadInput(
            f"config.json: competition.submission_kind is {spec.submission_kind!r}, but {metric.name} takes {takes}: "
            f"set it to {_form(spec, forms)!r}, or correct competition.metric"
        )
    _check_details(spec, one)


def _fitting(metric: Metric, *, own: bool) -> Fitting:
    takes, tasks, forms = _BY_KIND[metric.kind]
    if own:  # a person's own metric may be about any task; only labels are told from numbers
        return takes, get_args(Task), forms if metric.kind == "label" else (forms[0], *_ANY)
    if metric.name.startswith("map@"):
        return _LISTS
    return _GINI if metric.name == "gini" else (takes, tasks, forms)


def _task(spec: CompetitionSection, tasks: tuple[Task, ...], forms: tuple[SubmissionKind, ...]) -> str:
    """What to set for a task that the metric can score."""
    several = len(spec.target_columns) > 1
    fitting = [task for task in tasks if (task in MULTI_TASKS) == several] or [*tasks]
    parts = [f"set it to {' or '.join(map(repr, fitting))}"]
    if spec.submission_kind not in forms:
        parts.append(f"competition.submission_kind to {forms[0]!r}")
    if set(fitting) <= {*CLASS_TASKS} and not spec.classes:
        parts.append("competition.classes to the list of the labels")
    return " and ".join(parts)


def _holds(spec: CompetitionSection, forms: tuple[SubmissionKind, ...], kind: str) -> bool:
    if spec.submission_kind == "class_columns" and spec.task not in CLASS_TASKS:
        return False
    if spec.submission_kind == "value" and kind == "ordinal" and spec.task != "regression":
        return False
    return spec.submission_kind in forms


def _form(spec: CompetitionSection, forms: tuple[SubmissionKind, ...]) -> SubmissionKind:
    """The form to set: the usual one, or a column for each class where only that can be meant."""
    each = spec.task == "multiclass" or (spec.task == "binary" and len(spec.submission_columns) == 2)
    return "class_columns" if each and forms[0] == "probability" else forms[0]


def _check_details(spec: CompetitionSection, metric: Metric) -> None:
    """What a form or a metric needs besides."""
    if metric.grouped and spec.group_column is None:
        raise BadInput(
            f"config.json: competition.group_column is not set, but {metric.name} ranks rows within groups: "
            "name the column that groups them"
        )
    if spec.submission_kind == "ranked_list" and spec.ranked_k < (metric.k or 1):
        raise BadInput(
            f"config.json: competition.ranked_k is {spec.ranked_k}, but {metric.name} takes lists of "
            f"{metric.k or 'some'} labels: set it to their length"
        )
    wanted, found = _columns(spec), len(spec.submission_columns)
    if found not in (0, wanted):
        raise BadInput(
            f"config.json: competition.submission_columns names {found}, but competition.submission_kind "
            f"{spec.submission_kind!r} of {spec.task} makes {wanted}: name the sample's prediction columns"
            + ", in the order of competition.classes"
            * (spec.submission_kind == "class_columns")
        )


def _columns(spec: CompetitionSection) -> int:
    """How many columns the predictions fill."""
    if spec.submission_kind == "class_columns":
        return len(spec.classes)
    if spec.submission_kind == "ranked_list" or (spec.submission_kind == "label" and spec.task != "multilabel"):
        return 1
    return output_count(spec)
