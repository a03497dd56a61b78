"""From three tables and a description to the competition section of config.json, every guess with its reason.

What meta.json states is trusted; else the description is read; else the data decide.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.competitions.infer_columns import Kind, column_kind, id_column, kinds_of, parse_dates, thinned
from orchestrator.competitions.infer_cv import Split, choose_split
from orchestrator.competitions.infer_metric import BINARY_ONLY, COLUMNWISE, Description, Reading
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
    direction_why: str


def infer(data: Path, names: tuple[str, str, str], meta: dict[str, Any], description: Description) -> Inferred:
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
    split = _features(tables, target, scoring, meta.get("group_column"), competition, guesses)
    competition |= {"train": names[0], "test": names[1], "sample_submission": names[2]}
    cv = {"strategy": split.strategy, "folds": split.folds}
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
    first = headers[2][0]
    found = stated if stated in shared else id_column(sample, test) or (first if first in shared else None)
    if found and stated != found and _same_order(sample, test, found):
        found = None
    if texts and found not in texts:
        train, test, sample = (read_table(data / name, as_text=[found] if found else []) for name in names)
    if found:
        for frame, name in ((test, names[1]), (sample, names[2])):
            twice = frame.loc[frame[found].duplicated(), found]
            if len(twice):
                raise BadInput(
                    f"{name}: the id {found} = {twice.iloc[0]!r} stands in more than one row: make it unique"
                )
    if len(test) != len(sample):
        raise BadInput(
            f"{names[2]} has {len(sample)} rows and {names[1]} has {len(test)}: both need one row for each prediction"
        )
    strange = set(sample[found].astype(str)) - set(test[found].astype(str)) if found else None
    if strange:
        raise BadInput(f"{names[2]}: the id {found} = {min(strange)!r} is not in {names[1]}: both need the same ids")
    return Tables(train, test, sample, names, found)


def _same_order(sample: pd.DataFrame, test: pd.DataFrame, name: str) -> bool:
    """Is it no id (values twice, or prose), in the same order in both, so that the order tells the rows apart?"""
    if len(sample) != len(test) or not sample[name].astype(str).equals(test[name].astype(str)):
        return False
    return bool(test[name].duplicated().any()) or column_kind(thinned(test[name])) == "text"


def _scoring(tables: Tables, target: Target, meta: dict[str, Any], description: Description) -> _Scoring:
    """Metric and task, which depend on each other: a metric that the target rules out was named in passing."""
    stated = meta.get("metric")
    if stated:
        metric, task, task_why = _stated_metric(tables, target, str(stated))
        why, told = "meta.json", description.readings[0].maximize if description.readings else None
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
    return _Scoring(metric, name, task, why, task_why, maximize, direction_why)


def _stated_metric(tables: Tables, target: Target, stated: str) -> tuple[Metric, Task, str]:
    from orchestrator.competitions.metrics import get_metric

    task, task_why = guess_task(tables, target)
    metric = get_metric(_with_length(stated, target))
    fitting = _task_for(metric.base or metric, tables, target, task)
    if fitting is None:
        raise BadInput(
            f"meta.json: the metric {stated!r} can't score {', '.join(target.columns[:3])} of {tables.names[0]} "
            f"({task_why}): correct the metric, or the target_columns"
        )
    return metric, fitting, "the metric and the target's values"


def _read_metric(
    tables: Tables, target: Target, description: Description
) -> tuple[Metric, Task, str, str, bool | None]:
    """(metric, task, why that task, why that metric, direction that the description states).

    The first reading that fits the data and the leaderboard's order, then the first that fits the data.
    """
    from orchestrator.competitions.metrics import get_metric

    task, task_why = guess_task(tables, target)
    fitting: list[tuple[Metric, Task, Reading]] = []
    for reading in description.readings:
        if reading.metric is not None:
            name = "average_precision" if reading.metric == "map" and not target.ranked_k else reading.metric
            metric = get_metric(_with_length(name, target))
            suits = _task_for(metric.base or metric, tables, target, task)
            if suits is not None:
                fitting.append((metric, suits, reading))
    order = description.higher_wins
    agreeing = [one for one in fitting if order is None or one[0].maximize == order]
    unknown = f"; {description.unknown!r}, as Kaggle calls it, is not known here" if description.unknown else ""
    if fitting:
        metric, task, reading = (agreeing or fitting)[0]
        agrees = "" if order is None or not agreeing else ", and the leaderboard's order agrees"
        return metric, task, task_why, f"{reading.said} {reading.words!r}{agrees}{unknown}", reading.maximize
    metric = get_metric(_default_metric(tables, target, task, order))
    why = f"the usual metric for {task} with such a sample; the description names none that fits{unknown}"
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
    fractions = numeric and values.dtype != bool and bool((values % 1 != 0).any())
    return None if fractions or metric.kind == "probability" or metric.name in BINARY_ONLY else "multiclass"


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


def _check_learnable(tables: Tables, target: Target, task: Task) -> None:
    for name in target.columns:
        values = tables.train[name]
        if values.nunique() < 2:
            only = f"only the value {plain(values.iloc[0])!r}" if len(values) else "no value where the others have one"
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
    kind: SubmissionKind = "value" if scoring.task in ("regression", "multiregression") else "probability"
    if target.style != "columns":
        kind = "class_columns" if target.style == "classes" else "ranked_list"
    elif scoring.metric.kind in ("label", "ordinal"):
        kind = "label"
    section: dict[str, Any] = {
        "id_column": tables.id_column,
        "target_columns": target.columns,
        "task": scoring.task,
        "metric": scoring.name,
        "maximize": scoring.maximize,
        "submission_columns": target.submission_columns,
        "submission_kind": kind,
        "ranked_k": (scoring.metric.k or target.ranked_k) if kind == "ranked_list" else 0,
    }
    guesses = {
        "competition.target_columns": target.why,
        "competition.task": scoring.task_why,
        "competition.metric": scoring.why,
        "competition.submission_kind": f"the sample's columns and what {scoring.name} takes",
        "competition.id_column": "in the sample and in test, and unique"
        if tables.id_column
        else "the sample and test share no id: rows are matched by their order",
    }
    if scoring.maximize is not None:
        guesses["competition.maximize"] = scoring.direction_why
    if scoring.task in ("binary", "multiclass") or scoring.metric.kind == "ordinal":
        section["classes"], guesses["competition.classes"] = sorted_classes(tables, target, scoring.task)
    return section, guesses


def _labels(targets: pd.DataFrame, scoring: _Scoring) -> pd.Series | None:
    """The target to spread evenly over the folds, of several the rarest; None for amounts."""
    if scoring.task == "multilabel":
        return targets[targets.astype(float).sum().idxmin()]
    classes = scoring.task in ("binary", "multiclass") or scoring.metric.kind == "ordinal"
    return targets.iloc[:, 0] if classes else None


def _features(
    tables: Tables,
    target: Target,
    scoring: _Scoring,
    stated_group: str | None,
    competition: dict[str, Any],
    guesses: dict[str, str],
) -> Split:
    """Fill in the columns of the section and choose the split."""
    train, test = tables.train, tables.test
    known, targets = {*test.columns}, {*target.columns}
    own = known | targets | {tables.id_column}
    dropped = [name for name in train.columns if name not in own]
    features = [name for name in train.columns if name in known and name not in targets]
    kinds: dict[str, Kind] = kinds_of(train[features])
    dated_id = tables.id_column in features and kinds[str(tables.id_column)] == "date"
    usable = [name for name in features if name != tables.id_column or dated_id]
    competition["text_columns"] = [name for name in usable if kinds[name] in ("text", "json")]
    few = thinned(test, 2000)
    competition["date_columns"] = [
        name for name in usable if kinds[name] == "date" and parse_dates(few[name]) is not None
    ]
    competition["drop_columns"] = dropped
    if dropped:
        guesses["competition.drop_columns"] = "in train only, so a model for test can't have them"
    if stated_group is not None and stated_group not in train.columns:
        raise BadInput(f"meta.json: group_column is {stated_group!r}, which {tables.names[0]} lacks: correct it")
    labels = _labels(train[target.columns], scoring)
    ranking = scoring.metric.grouped
    split = choose_split(train[usable], test[usable], kinds, labels, group_column=stated_group, wants_groups=ranking)
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
    return split
