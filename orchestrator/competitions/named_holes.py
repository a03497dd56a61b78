"""Labels that are spelled like a hole: of the classes EU, AS and NA the last is no missing value."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.competitions.infer_target import Tables, Target
from orchestrator.competitions.tables import MISSING, read_table

if TYPE_CHECKING:
    import pandas as pd

FREQUENT = 0.01
"""A mark in more than this share of the rows, among labels that are words, is a label."""


def with_named_holes(data: Path, tables: Tables, target: Target) -> Tables:
    """The tables in the folder `data` with those marks as labels that are labels of the target; "" stays a hole."""
    path = data / tables.names[0]
    train = tables.train.copy(deep=False)
    for name in target.columns if path.suffix != ".parquet" else []:
        if train[name].isna().any() and all(isinstance(label, str) for label in train[name].dropna().unique()):
            train[name] = with_marks(train[name], path, _labels(data, tables, target, name))
    return replace(tables, train=train)


def with_marks(column: pd.Series, path: Path, marks: Collection[str]) -> pd.Series:
    """A column of the CSV `path`, as read from there, in which `marks` are values rather than holes."""
    texts = _texts(path, str(column.name))
    return column.where(~texts.isin(list(marks)), texts) if marks else column


def _labels(data: Path, tables: Tables, target: Target, name: str) -> list[str]:
    """Which marks of holes are labels: the sample names or shows them, or they are many."""
    column = tables.train[name]
    texts = _texts(data / tables.names[0], name)
    found = {str(mark): rows for mark, rows in texts[texts.isin(MISSING[1:])].value_counts().items()}
    if target.style == "classes":
        return [mark for mark in found if mark in target.classes]
    asked = target.submission_columns
    sample = read_table(data / tables.names[2], as_text=asked, columns=asked)
    shown = {word for one in asked for text in sample[one].unique() for word in (text.strip(), *text.split())}
    # Two labels and a sample of probabilities: the target has two classes, and holes.
    many = column.nunique() != 2 or not shown.isdisjoint(column.dropna().unique())
    return [mark for mark, rows in found.items() if mark in shown or (many and rows > FREQUENT * len(texts))]


def _texts(path: Path, name: str) -> pd.Series:
    return read_table(path, as_text=[name], columns=[name])[name].str.strip()
