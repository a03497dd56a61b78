"""What is to be predicted, from three tables: the targets, the task, the classes and the form of a submission."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from orchestrator.competitions.infer_columns import match_classes, same_text
from orchestrator.config import Task
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

MAX_INTEGER_CLASSES = 20
"""Whole numbers with more different values than this are amounts, not classes."""
POSITIVE = ["1", "true", "t", "yes", "y", "positive", "pos", "p", "+", "malignant", "fraud", "spam", "success", "churn"]
NEGATIVE = ["0", "false", "f", "no", "n", "negative", "neg", "-1", "-", "benign", "ham", "failure", "normal", "none"]


@dataclass(frozen=True)
class Tables:
    """The three tables, ids as text, and what to call them in a message."""

    train: pd.DataFrame
    test: pd.DataFrame
    sample: pd.DataFrame
    names: tuple[str, str, str]
    id_column: str | None


@dataclass(frozen=True)
class Target:
    """`style`: one sample column per target, one per class, or one holding a ranked list of labels."""

    columns: list[str]
    submission_columns: list[str]
    style: Literal["columns", "classes", "ranked"]
    classes: list[Any]
    """In the order of the class columns; else []."""
    why: str
    ranked_k: int = 0


def find_target(tables: Tables, meta: dict[str, Any]) -> Target:
    """The target columns: trusted where `meta` names them, else what train has, test lacks and the sample asks for.

    Raises BadInput when no such column exists or the target holds nothing to learn.
    """
    asked = _asked(tables, meta)
    unknown = unknown_in_test(tables)
    only = [name for name in unknown if name not in tables.test.columns or name in asked] or unknown
    stated = meta.get("target_columns")
    if stated:
        _check_stated(tables, stated)
        only = list(stated)
    target = _same_names(asked, only) or _class_columns(tables, asked, only) or _one_column(tables, asked, only)
    if target is None:
        raise BadInput(
            f"no target found: {tables.names[2]} asks for {_few(asked)}, and {tables.names[0]} has {_few(only)} that "
            f"{tables.names[1]} lacks; name the target column alike in both, or give target_columns in meta.json"
        )
    for name in target.columns:
        if tables.train[name].isna().all():
            raise BadInput(f"{tables.names[0]}: the target {name} is missing in every row: fill it in")
        _check_words(tables.train[name], tables.names[0])
    return _as_ranked_list(tables, target)


def _check_words(target: pd.Series, table: str) -> None:
    """Raise BadInput for a few words among amounts: they would make a class of each amount."""
    import pandas as pd

    if target.dtype.kind in "iufb":
        return
    texts = target.dropna().astype(str).str.strip()
    numbers = pd.to_numeric(texts, errors="coerce").dropna()
    words, distinct = texts.drop(numbers.index), numbers.nunique()
    are_amounts = distinct > MAX_INTEGER_CLASSES and (bool((numbers % 1 != 0).any()) or distinct > 0.1 * len(texts))
    if are_amounts and 0 < len(words) <= 0.05 * len(texts) and not words.str.contains(r"\d").any():
        raise BadInput(
            f"{table}: {len(words)} of {len(texts)} values of the target {target.name} are no numbers, such as "
            f"{words.iloc[0]!r} in row {words.index[0] + 1}: correct them, or leave them empty"
        )


def unknown_in_test(tables: Tables) -> list[str]:
    """The columns of train that test lacks or holds no value of."""
    own = [str(name) for name in tables.train.columns if name != tables.id_column]
    return [name for name in own if name not in tables.test.columns or tables.test[name].isna().all()]


def _asked(tables: Tables, meta: dict[str, Any]) -> list[str]:
    """The sample's columns that a submission fills in."""
    columns = [str(name) for name in tables.sample.columns if name != tables.id_column]
    stated = meta.get("submission_columns")
    if stated:
        lost = [name for name in stated if name not in columns]
        if lost:
            raise BadInput(
                f"meta.json: submission_columns names {lost[0]!r}, which {tables.names[2]} lacks: correct it"
            )
        return list(stated)
    if len(columns) > 1 and _numbers_the_rows(tables, columns[0]):
        columns = columns[1:]
    fresh = [name for name in columns if name not in tables.test.columns or tables.test[name].isna().all()]
    if not columns:
        raise BadInput(f"{tables.names[2]} has no column besides the id: add the column that is to be predicted")
    if not fresh:
        raise BadInput(
            f"{tables.names[1]} holds {_few(columns)}, which {tables.names[2]} asks for: remove the answers from it"
        )
    return fresh


def _numbers_the_rows(tables: Tables, name: str) -> bool:
    """A row number or name that only the sample has: copied from it, never filled in."""
    column = tables.sample[name]
    foreign = name not in tables.train.columns and name not in tables.test.columns
    return tables.id_column is None and foreign and column.dtype.kind != "f" and len(column) > 1 and column.is_unique


def _check_stated(tables: Tables, stated: list[str]) -> None:
    lost = [name for name in stated if name not in tables.train.columns]
    if lost:
        raise BadInput(f"meta.json: target_columns names {lost[0]!r}, which {tables.names[0]} lacks: correct it")
    held = [name for name in stated if name in tables.test.columns and tables.test[name].notna().any()]
    if held:
        raise BadInput(f"{tables.names[1]} holds the target {held[0]!r}: remove the answers from it")


def _same_names(asked: list[str], only: list[str]) -> Target | None:
    def fold(name: str) -> str:
        return re.sub(r"\W|_", "", name).casefold()

    folded = {fold(name): name for name in only}
    direct = [name for name in asked if name in only] or [folded[fold(name)] for name in asked if fold(name) in folded]
    if len(direct) == len(asked):
        return Target(direct, asked, "columns", [], "in train and in the sample, not in test")
    if len(direct) == 1 and direct[0] in asked:
        return Target(direct, direct, "columns", [], "the sample's only column that train has too")
    return None


def _class_columns(tables: Tables, asked: list[str], only: list[str]) -> Target | None:
    """The sample has one column per class of a target."""
    if len(asked) < 2:
        return None
    for name in only:
        distinct = tables.train[name].dropna().drop_duplicates().tolist()
        if 2 <= len(distinct) <= len(asked) and (matched := match_classes(asked, distinct)):
            why = "its values are the sample's columns"
            return Target([name], asked, "classes", [plain(label) for label in matched.values()], why)
    return None


def _one_column(tables: Tables, asked: list[str], only: list[str]) -> Target | None:
    """The sample's one column has a name of its own: the target holds the sample's values, or is alone in train."""
    if len(asked) != 1 or not only:
        return None
    if len(only) == 1:
        return Target(only, asked, "columns", [], "the only column that test lacks")
    shown = tables.sample[asked[0]].dropna().iloc[:1000]
    wanted = {*map(same_text, shown), *" ".join(map(str, shown)).split()}
    holding = [
        name for name in only if wanted and wanted <= {same_text(value) for value in tables.train[name].dropna()}
    ]
    named = [name for name in only if re.fullmatch(r"(?i)(target|label|class|y|score|outcome|response)", name)]
    for found, why in ((holding, "it holds the sample's values"), (named, "its name")):
        if len(found) == 1:
            return Target(found, asked, "columns", [], why)
    return None


def _as_ranked_list(tables: Tables, target: Target) -> Target:
    """Does the sample's one column hold several labels, separated by spaces?"""
    if len(target.columns) != 1 or len(target.submission_columns) != 1:
        return target
    shown = tables.sample[target.submission_columns[0]].dropna().astype(str).iloc[:1000].tolist()
    labels = {same_text(value) for value in tables.train[target.columns[0]].dropna().drop_duplicates()}
    lists = [text.split() for text in shown]
    size = max(map(len, lists), default=0)
    words = {same_text(word) for words in lists for word in words}
    if size < 2 or not words <= labels or not labels.isdisjoint(shown):
        return target
    return replace(target, style="ranked", ranked_k=size)


def guess_task(tables: Tables, target: Target) -> tuple[Task, str]:
    """The task that the target's values and the sample's suggest, and why."""
    import pandas as pd

    if target.style == "classes":
        return ("binary" if len(target.classes) == 2 else "multiclass"), "the sample has one column per class"
    if target.style == "ranked":
        return "multiclass", "the sample has lists of labels"
    train = [tables.train[name].dropna() for name in target.columns]
    if len(train) > 1:
        flags = all(set(map(same_text, column.drop_duplicates())) <= {"0", "1", "True", "False"} for column in train)
        return ("multilabel", "several targets of 0 and 1") if flags else ("multiregression", "several numeric targets")
    values = train[0]
    distinct = values.drop_duplicates()
    if len(distinct) == 2:
        return "binary", "the target has two values"
    if values.dtype == bool or not pd.api.types.is_numeric_dtype(values.dtype):
        return "multiclass", f"the target has {len(distinct)} labels"
    shown = tables.sample[target.submission_columns[0]].dropna()
    whole = pd.api.types.is_numeric_dtype(shown.dtype) and bool((shown.astype(float) % 1 == 0).all())
    few = len(distinct) <= MAX_INTEGER_CLASSES and len(values) >= 5 * len(distinct)
    if few and whole and bool((distinct.astype(float) % 1 == 0).all()):
        return "multiclass", f"the target has {len(distinct)} whole numbers and so has the sample"
    return "regression", f"the target has {len(distinct)} different numbers"


def sorted_classes(tables: Tables, target: Target, task: Task) -> tuple[list[Any], str]:
    """The labels in the order of the predictions and why; for binary [negative, positive]."""
    if target.classes:
        return target.classes, "the order of the sample's columns"
    distinct = [plain(value) for value in tables.train[target.columns[0]].dropna().drop_duplicates()]
    if {type(label) for label in distinct} == {int, float}:
        distinct = [float(label) for label in distinct]
    try:
        labels = sorted(distinct)
    except TypeError:
        labels = sorted(distinct, key=str)
    if task != "binary" or len(labels) != 2 or not isinstance(labels[0], str):
        return labels, "sorted"
    words = {label: label.strip().casefold() for label in labels}
    named = {same_text(name).casefold() for name in target.submission_columns}
    shown = {str(value) for value in tables.sample[target.submission_columns[0]].dropna()}
    rules = [
        ("its usual meaning", [label for label in labels if words[label] in POSITIVE]),
        ("its usual meaning", [label for label in labels if words[label] not in NEGATIVE]),
        ("the sample's column is named after it", [label for label in labels if label.casefold() in named]),
        ("not the sample's", [label for label in labels if shown < set(labels) and label not in shown]),
    ]
    for why, positive in rules:
        if len(positive) == 1:
            negative = next(label for label in labels if label != positive[0])
            return [negative, positive[0]], f"{positive[0]!r} is positive: {why}"
    return labels, "sorted, so the second is taken as the positive class: check it"


def plain(value: Any) -> Any:
    """A label as JSON knows it; a whole float becomes an int."""
    value = value.item() if hasattr(value, "item") else value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _few(names: list[str]) -> str:
    shown = ", ".join(map(str, names[:5]))
    return f"{shown}{' …' if len(names) > 5 else ''}" if names else "no column"
