"""From three tables and a description to the competition section of config.json, every guess with its reason.

What meta.json states is trusted; else the description is read; else the data decide.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.competitions.infer_columns import Kind, id_column, kinds_of, parse_dates, thinned
from orchestrator.competitions.infer_cv import choose_split
from orchestrator.competitions.infer_metric import BINARY_ONLY, COLUMNWISE, read_description
from orchestrator.competitions.infer_target import Tables, Target, find_target, guess_task, plain, sorted_classes
from orchestrator.competitions.tables import header, read_table
from orchestrator.config import SubmissionKind, Task
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

    from orchestrator.competitions.metrics import Metric


@dataclass(frozen=True)
class Inferred:
    """Keys of config.json's sections `competition` and `cv`, and `guesses` as dotted key → why."""

    competition: dict[str, Any]
    cv: dict[str, Any]
    guesses: dict[str, str]
    unlabelled_rows: int
    """Training rows without a target: nothing can be learnt from them."""


@dataclass(frozen=True)
class _Scoring:
    metric: Metric
    name: str
    task: Task
    why: str
    task_why: str
    maximize: bool | None


def infer(data: Path, names: tuple[str, str, str], meta: dict[str, Any], description: str) -> Inferred:
    """Read the tables `names` = (train, test, sample) in `data` and decide every setting.

    Raises BadInput with one sentence when the three do not make a competition.
    """
    tables = read_tables(data, names, meta)
    target = find_target(tables, meta)
    labelled = tables.train[target.columns].notna().all(axis=1)
    tables = replace(tables, train=tables.train[labelled.to_numpy()])
    scoring = _scoring(tables, target, meta, description)
    _check_learnable(tables, target, scoring.task)
    competition, guesses = _target_section(tables, target, scoring)
    labels = _labels(tables.train[target.columns], scoring)
    cv = _features(tables, target, scoring, meta, labels, competition, guesses)
    competition |= {"train": names[0], "test": names[1], "sample_submission": names[2]}
    return Inferred(competition, cv, guesses, int((~labelled).sum()))


def read_tables(data: Path, names: tuple[str, str, str], meta: dict[str, Any]) -> Tables:
    """The three tables, checked against each other: rows, ids."""
    headers = [header(data / name) for name in names]
    shared = [name for name in headers[2] if name in headers[1]]
    stated = meta.get("id_column")
    if stated is not None and stated not in headers[2]:
        raise BadInput(f"meta.json: id_column is {stated!r}, which {names[2]} lacks: correct it")
    texts = [stated] if stated else shared[:1]
    train, test, sample = (read_table(data / name, as_text=texts) for name in names)
    found = id_column(sample, test)
    if stated in headers[1] and found != stated:
        found = stated
        _check_ids(test, sample, names, stated)
    if found is None and shared and headers[2][0] in shared:
        _check_ids(test, sample, names, headers[2][0])
    if len(test) != len(sample):
        raise BadInput(
            f"{names[2]} has {len(sample)} rows and {names[1]} has {len(test)}: both need one row for each prediction"
        )
    return Tables(train, test, sample, names, found)


def _check_ids(test: pd.DataFrame, sample: pd.DataFrame, names: tuple[str, str, str], column: str) -> None:
    for frame, name in ((test, names[1]), (sample, names[2])):
        twice = frame.loc[frame[column].duplicated(), column]
        if len(twice):
            raise BadInput(f"{name}: the id {column} = {twice.iloc[0]!r} stands in more than one row: make it unique")
    if len(test) != len(sample):
        raise BadInput(
            f"{names[2]} has {len(sample)} rows and {names[1]} has {len(test)}: both need one row for each prediction"
        )
    strange = set(sample[column].astype(str)) - set(test[column].astype(str))
    if strange:
        raise BadInput(f"{names[2]}: the id {column} = {min(strange)!r} is not in {names[1]}: both need the same ids")


def _scoring(tables: Tables, target: Target, meta: dict[str, Any], description: str) -> _Scoring:
    """Metric and task, which depend on each other: a metric that the target rules out was named in passing."""
    from orchestrator.competitions.metrics import get_metric

    task, task_why = guess_task(tables, target)
    reading = read_description(description)
    stated = meta.get("metric")
    direction = {"maximize": True, "minimize": False}.get(str(meta.get("metric_direction")).lower(), reading.maximize)
    if stated:
        metric = get_metric(_with_size(str(stated), target))
        fitting = _task_for(metric.base or metric, tables, target, task)
        if fitting is None:
            raise BadInput(
                f"meta.json: the metric {stated!r} can't score {', '.join(target.columns[:3])} of {tables.names[0]} "
                f"({task_why}): correct the metric, or the target_columns"
            )
        task, why = fitting, "meta.json"
    elif reading.metric and (found := _usable(reading.metric, tables, target, task)):
        metric, task = found
        why = f"the description says {reading.words!r}"
    else:
        metric = get_metric(_default_metric(tables, target, task))
        why = f"the usual metric for {task} with such a sample; the description names none that fits"
    if len(target.columns) > 1 and not metric.multi and (not metric.joint or COLUMNWISE.search(description.lower())):
        metric = metric.columnwise()
    maximize = direction if direction is not None and direction != metric.maximize else None
    return _Scoring(metric, metric.name.replace("logloss", "log_loss"), task, why, task_why, maximize)


def _usable(name: str, tables: Tables, target: Target, task: Task) -> tuple[Metric, Task] | None:
    from orchestrator.competitions.metrics import get_metric

    if name in ("map", "map@k") and not target.ranked_k:
        name = "average_precision"
    metric = get_metric(_with_size(name, target))
    fitting = _task_for(metric, tables, target, task)
    return (metric, fitting) if fitting else None


def _with_size(name: str, target: Target) -> str:
    """map without its k: as many labels as the sample's rows hold."""
    return f"map@{target.ranked_k}" if name in ("map", "map@k", "MAP@K") and target.ranked_k else name


def _task_for(metric: Metric, tables: Tables, target: Target, task: Task) -> Task | None:
    """The task under a metric; None when the target's values do not allow the metric."""
    import pandas as pd

    values = tables.train[target.columns[0]]
    numeric = pd.api.types.is_numeric_dtype(values.dtype)
    classes = values.nunique()
    if metric.name.startswith("map@") or target.style == "ranked":
        single = metric.name.startswith("map@") and target.style != "classes" and len(target.columns) == 1
        return "multiclass" if single else None
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
    fractions = numeric and values.dtype != bool and bool((values % 1 != 0).any())
    if (classes > 2 and metric.name in BINARY_ONLY) or (fractions and classes > 2):
        return None
    if metric.kind == "probability" and classes > 2:
        return None
    return "binary" if classes == 2 else "multiclass"


def _default_metric(tables: Tables, target: Target, task: Task) -> str:
    import pandas as pd

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


def _check_learnable(tables: Tables, target: Target, task: Task) -> None:
    for name in target.columns:
        values = tables.train[name]
        if values.nunique() < 2:
            only = (
                f"only the value {plain(values.iloc[0])!r}" if len(values) else "no value in a row that has the others"
            )
            raise BadInput(
                f"{tables.names[0]}: the target {name} has {only}: nothing can be learnt; get the file again"
            )
        if task in ("binary", "multiclass"):
            continue
        if values.dtype.kind not in "biuf":
            raise BadInput(f"{tables.names[0]}: the target {name} holds text where numbers are needed: clean it up")
        if (values.astype(float).abs() == float("inf")).any():
            raise BadInput(f"{tables.names[0]}: the target {name} holds infinite values: remove those rows")


def _target_section(tables: Tables, target: Target, scoring: _Scoring) -> tuple[dict[str, Any], dict[str, str]]:
    """The part of the section that is about the target and the submission."""
    kind: SubmissionKind
    if target.style == "classes":
        kind = "class_columns"
    elif target.style == "ranked":
        kind = "ranked_list"
    elif scoring.metric.kind in ("label", "ordinal"):
        kind = "label"
    else:
        kind = "probability" if scoring.task in ("binary", "multiclass", "multilabel") else "value"
    section: dict[str, Any] = {
        "id_column": tables.id_column,
        "target_columns": target.columns,
        "task": scoring.task,
        "metric": scoring.name,
        "maximize": scoring.maximize,
        "submission_columns": target.submission_columns,
        "submission_kind": kind,
        "ranked_k": _list_length(scoring.metric, target) if kind == "ranked_list" else 0,
    }
    guesses = {
        "competition.target_columns": target.why,
        "competition.task": scoring.task_why if scoring.why != "meta.json" else "the metric and the target's values",
        "competition.metric": scoring.why,
        "competition.submission_kind": f"the sample's columns and what {scoring.name} takes",
        "competition.id_column": "in the sample and in test, and unique"
        if tables.id_column
        else "the sample and test share no id: rows are matched by their order",
    }
    if scoring.maximize is not None:
        guesses["competition.maximize"] = "the description or meta.json says so, unlike the metric's usual direction"
    if scoring.task in ("binary", "multiclass") or scoring.metric.kind == "ordinal":
        section["classes"], guesses["competition.classes"] = sorted_classes(tables, target, scoring.task)
    return section, guesses


def _labels(targets: pd.DataFrame, scoring: _Scoring) -> pd.Series | None:
    """The target to spread evenly over the folds, of several the rarest; None for amounts."""
    if scoring.task == "multilabel":
        return targets[targets.astype(float).sum().idxmin()]
    classes = scoring.task in ("binary", "multiclass") or scoring.metric.kind == "ordinal"
    return targets.iloc[:, 0] if classes else None


def _list_length(metric: Metric, target: Target) -> int:
    return metric.k or target.ranked_k


def _features(
    tables: Tables,
    target: Target,
    scoring: _Scoring,
    meta: dict[str, Any],
    labels: pd.Series | None,
    competition: dict[str, Any],
    guesses: dict[str, str],
) -> dict[str, Any]:
    """Fill in the columns of the section; the cv section comes back."""
    train, test = tables.train, tables.test
    dropped = [name for name in train.columns if name not in test.columns and name not in target.columns]
    dropped = [name for name in dropped if name != tables.id_column]
    features = [name for name in train.columns if name in test.columns and name not in target.columns]
    kinds: dict[str, Kind] = kinds_of(train[features])
    dated_id = tables.id_column in features and kinds[str(tables.id_column)] == "date"
    usable = [name for name in features if name != tables.id_column or dated_id]
    competition["text_columns"] = [name for name in usable if kinds[name] == "text"]
    competition["date_columns"] = [
        name for name in usable if kinds[name] == "date" and parse_dates(thinned(test, 2000)[name]) is not None
    ]
    competition["drop_columns"] = dropped
    if dropped:
        guesses["competition.drop_columns"] = "in train only, so a model for test can't have them"
    stated = meta.get("group_column")
    if stated is not None and stated not in train.columns:
        raise BadInput(f"meta.json: group_column is {stated!r}, which {tables.names[0]} lacks: correct it")
    ranking = scoring.metric.name.startswith("ndcg")
    split = choose_split(train[usable], test[usable], kinds, labels, group_column=stated, wants_groups=ranking)
    if ranking and split.group_column is None:
        raise BadInput(
            f"{tables.names[0]}: {scoring.name} ranks rows within groups, but no column groups them: "
            "name it as group_column in meta.json"
        )
    competition |= {"group_column": split.group_column, "time_column": split.time_column}
    for key in ("group_column", "time_column"):
        if competition[key]:
            guesses[f"competition.{key}"] = split.why
    guesses |= {"cv.strategy": split.why, "cv.folds": split.folds_why}
    return {"strategy": split.strategy, "folds": split.folds}
