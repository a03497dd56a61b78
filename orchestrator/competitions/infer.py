"""From three tables and a description to the competition section of config.json, every guess with its reason.

What meta.json states is trusted; else the description is read; else the data decide.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.competitions.infer_columns import (
    Kind,
    column_kind,
    id_column,
    kinds_of,
    lone_strings,
    one_spelling,
    parse_dates,
    thinned,
)
from orchestrator.competitions.infer_cv import Split, choose_split
from orchestrator.competitions.infer_metric import Description
from orchestrator.competitions.infer_scoring import Scoring, choose_scoring
from orchestrator.competitions.infer_target import Tables, Target, find_target, plain, sorted_classes, unknown_in_test
from orchestrator.competitions.named_holes import with_named_holes
from orchestrator.competitions.stray_words import read_pair
from orchestrator.competitions.tables import MISSING, header, read_table
from orchestrator.config import SubmissionKind, Task
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


MAX_SINGLE_LABELS = 50
"""More different labels than this, and more than half the rows, are answers in free text."""


@dataclass(frozen=True)
class Inferred:
    """Keys of config.json's sections `competition` and `cv`, and `guesses` as dotted key → why."""

    competition: dict[str, Any]
    cv: dict[str, Any]
    guesses: dict[str, str]
    labelled: NDArray[np.bool_]
    """Which training rows are learnt from: those with a target, or with all of them unless `holes`."""
    holes: bool
    """Whether rows may lack some of several targets, since the metric takes them one by one."""


def infer(data: Path, names: tuple[str, str, str], meta: dict[str, Any], description: Description) -> Inferred:
    """Read the tables `names` = (train, test, sample) in `data` and decide every setting.

    Raises BadInput with one sentence when the three do not make a competition.
    """
    tables = _spelled_alike(read_tables(data, names, meta))
    target = find_target(tables, meta)
    tables = with_named_holes(data, tables, target)
    known = tables.train[target.columns].notna()
    labelled = known.any(axis=1).to_numpy()
    scoring = choose_scoring(_rows(tables, labelled), target, meta, description)
    if len(target.columns) > 1 and not scoring.metric.multi:  # it looks at whole rows
        labelled = known.all(axis=1).to_numpy()
        scoring = choose_scoring(_rows(tables, labelled), target, meta, description)
    tables = _rows(tables, labelled)
    _check_learnable(tables, target, scoring.task)
    competition, guesses = _target_section(tables, target, scoring)
    split = _features(tables, target, scoring, meta.get("group_column"), competition, guesses)
    competition |= {"train": names[0], "test": names[1], "sample_submission": names[2]}
    cv = {"strategy": split.strategy, "folds": split.folds}
    return Inferred(competition, cv, guesses, labelled, scoring.metric.multi)


def read_tables(data: Path, names: tuple[str, str, str], meta: dict[str, Any]) -> Tables:
    """The three tables, checked against each other: rows, ids."""
    headers = [header(data / name) for name in names]
    kept = [*headers[2], meta.get("group_column") or ""]
    shared = [name for name in headers[2] if name in headers[1]]
    stated = meta.get("id_column")
    if stated is not None and stated not in headers[2]:
        raise BadInput(f"meta.json: id_column is {stated!r}, which {names[2]} lacks: correct it")
    texts = [stated] if stated else shared[:1]
    train, test, sample = _read(data, names, texts, kept)
    first = headers[2][0]
    found = stated if stated in shared else id_column(sample, test) or (first if first in shared else None)
    if found and stated != found and _same_order(sample, test, found):
        found = None
    if texts and found not in texts:
        train, test, sample = _read(data, names, [found] if found else [], kept)
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


def _spelled_alike(tables: Tables) -> Tables:
    """Labels that differ in outer spaces alone, or as true and True do, are one: in its commonest spelling."""
    train = tables.train.copy(deep=False)
    for name in unknown_in_test(tables):
        train[name] = one_spelling(train[name])
    return replace(tables, train=train)


def _rows(tables: Tables, some: NDArray[np.bool_]) -> Tables:
    return replace(tables, train=tables.train[some])


def _read(data: Path, names: tuple[str, str, str], texts: list[str], kept: list[str]) -> list[pd.DataFrame]:
    train, test, sample = (data / name for name in names)
    return [*read_pair(train, test, as_text=texts, kept=kept), read_table(sample, as_text=texts)]


def _same_order(sample: pd.DataFrame, test: pd.DataFrame, name: str) -> bool:
    """Is it no id (values twice, or prose), in the same order in both, so that the order tells the rows apart?"""
    if len(sample) != len(test) or not sample[name].astype(str).equals(test[name].astype(str)):
        return False
    return bool(test[name].duplicated().any()) or column_kind(thinned(test[name])) == "text"


def _check_learnable(tables: Tables, target: Target, task: Task) -> None:
    if not _varying(tables.train[target.columns]):
        name = target.columns[0]
        values = tables.train[name].dropna()
        only = f"only the value {plain(values.iloc[0])!r}" if len(values) else "no value where the others have one"
        raise BadInput(f"{tables.names[0]}: the target {name} has {only}: nothing can be learnt; get the file again")
    for name in target.columns:
        values = tables.train[name]
        if values.isna().any():
            values = values.dropna().infer_objects()
        if task == "multiclass" and target.style == "columns" and values.dtype.kind not in "biuf":
            _check_classes(values, f"{tables.names[0]}: the target {name}")
        if task in ("binary", "multiclass"):
            continue
        if values.dtype.kind not in "biuf":
            raise BadInput(f"{tables.names[0]}: the target {name} holds text where numbers are needed: clean it up")
        if (values.astype(float).abs() == float("inf")).any():
            raise BadInput(f"{tables.names[0]}: the target {name} holds infinite values: remove those rows")


def _check_classes(values: pd.Series, what: str) -> None:
    distinct = values.nunique()
    if distinct > max(MAX_SINGLE_LABELS, len(values) / 2):
        raise BadInput(
            f"{what} has {distinct:,} different values in {len(values):,} rows: answers in free text can't be played, "
            "only classes, numbers and probabilities"
        )


def _varying(targets: pd.DataFrame) -> list[str]:
    """The targets with more than one value."""
    return [str(name) for name in targets.columns if targets[name].nunique() > 1]


def _target_section(tables: Tables, target: Target, scoring: Scoring) -> tuple[dict[str, Any], dict[str, str]]:
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
    constant = [name for name in target.columns if name not in _varying(tables.train[target.columns])]
    if constant:
        guesses["competition.target_columns"] += f"; of one value in train: {', '.join(constant[:5])}"
    shares = tables.train[target.columns].notna().mean()
    if shares.min() < 1:
        known = f"{shares.min():.0%} to {shares.max():.0%}"
        guesses["competition.target_columns"] += f"; each is known for {known} of the rows, and scored there"
    if scoring.maximize is not None:
        guesses["competition.maximize"] = scoring.direction_why
    if scoring.task in ("binary", "multiclass") or scoring.metric.kind == "ordinal":
        section["classes"], guesses["competition.classes"] = sorted_classes(tables, target, scoring.task)
        marks = [label for label in section["classes"] if label in MISSING]
        if marks:
            guesses["competition.classes"] += f"; {', '.join(marks)} is taken as a class, not as a missing value"
    return section, guesses


def _labels(targets: pd.DataFrame, scoring: Scoring) -> pd.Series | None:
    """The target to spread evenly over the folds, of several the rarest; None for amounts that all rows have."""
    if scoring.task == "multilabel":
        return targets[targets[_varying(targets)].astype(float).sum().idxmin()]
    known = targets.notna()
    if scoring.task == "multiregression" and not known.all(axis=None):
        rarest = known[known.sum().idxmin()]
        return rarest[rarest]
    classes = scoring.task in ("binary", "multiclass") or scoring.metric.kind == "ordinal"
    return targets.iloc[:, 0] if classes else None


def _features(
    tables: Tables,
    target: Target,
    scoring: Scoring,
    stated_group: str | None,
    competition: dict[str, Any],
    guesses: dict[str, str],
) -> Split:
    """Fill in the columns of the section and choose the split."""
    train, test = tables.train, tables.test
    known, targets = {*test.columns}, {*target.columns}
    dropped = [name for name in unknown_in_test(tables) if name not in targets]
    features = [name for name in train.columns if name in known and name not in {*targets, *dropped}]
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
        guesses["competition.drop_columns"] = "without a value in test, so no model for test can have them"
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
    if split.strategy == "stratified" and scoring.task == "multiregression":
        split = replace(split, why="the known values of each target are spread evenly over the folds")
    competition |= {"group_column": split.group_column, "time_column": split.time_column}
    free = [name for name in usable if name not in (split.group_column, split.time_column)]
    competition["text_columns"] += lone_strings(train[free], {name: kinds[name] for name in free})
    for key in ("group_column", "time_column"):
        if competition[key]:
            guesses[f"competition.{key}"] = split.why
    guesses |= {"cv.strategy": split.why, "cv.folds": split.folds_why}
    return split
