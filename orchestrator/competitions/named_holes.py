"""Labels that are spelled like a hole: of the classes EU, AS and NA the last is no missing value."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.competitions.infer_target import Tables, Target
from orchestrator.competitions.tables import MISSING, read_table

if TYPE_CHECKING:
    import pandas as pd

FREQUENT = 0.1
"""A mark in more than this share of the rows, among labels that are words, is a label, unless it says "no number"."""
_NAN = re.compile(r"(?i)nan")


def with_named_holes(data: Path, tables: Tables, target: Target) -> Tables:
    """The tables in the folder `data` with those marks as labels that are labels of the target; "" stays a hole."""
    path = data / tables.names[0]
    train = tables.train.copy(deep=False)
    unclear = [name for name in target.columns if path.suffix != ".parquet" and _holes_in_words(train[name])]
    texts = texts_of(path, unclear) if unclear else train[[]]
    for name in texts.columns:
        train[name] = with_marks(train[name], texts[name], _labels(data, tables, target, texts[name]))
    return replace(tables, train=train)


def with_marks(column: pd.Series, texts: pd.Series, marks: Collection[str]) -> pd.Series:
    """A column in which `marks` are values rather than holes; `texts`: the same column by `texts_of`."""
    return column.where(~texts.isin(list(marks)), texts) if marks else column


def texts_of(path: Path, names: Collection[str]) -> pd.DataFrame:
    """Columns of a CSV as the texts that stand there, without outer spaces; holes are not told apart."""
    return read_table(path, as_text=names, columns=names).apply(lambda column: column.str.strip())


def _holes_in_words(column: pd.Series) -> bool:
    return bool(column.isna().any()) and all(isinstance(label, str) for label in column.dropna().unique())


def _labels(data: Path, tables: Tables, target: Target, texts: pd.Series) -> list[str]:
    """Which marks of holes are labels: the sample names or shows them, or they are many."""
    column = tables.train[texts.name]
    found = {str(mark): rows for mark, rows in texts[texts.isin(MISSING[1:])].value_counts().items()}
    if target.style == "classes":
        return [mark for mark in found if mark in target.classes]
    asked = target.submission_columns
    sample = read_table(data / tables.names[2], as_text=asked, columns=asked)
    shown = {word for one in asked for text in sample[one].unique() for word in (text.strip(), *text.split())}
    # Two labels and a sample of probabilities: the target has two classes, and holes.
    words = column.nunique() != 2 or not shown.isdisjoint(column.dropna().unique())
    many = [mark for mark, rows in found.items() if words and rows > FREQUENT * len(texts) and not _NAN.search(mark)]
    return [mark for mark in found if mark in shown or mark in many]
