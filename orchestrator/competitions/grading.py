"""A submission against the answers: checked cell by cell, matched by id, brought into the metric's form.

Texts are compared as labels are meant: 1, 1.0 and true are one label, as a table's reader may write any of them.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from orchestrator.competitions.base import read_untrusted
from orchestrator.competitions.infer_columns import label_text
from orchestrator.competitions.metrics import Metric, takes_holes
from orchestrator.competitions.scoring_functions import Array
from orchestrator.config import CompetitionSection
from orchestrator.errors import BadInput, OutputRejected

Table = dict[str, list[str]]
CLASS_TASKS = ("binary", "multiclass")
SUM_TOLERANCE = 1e-3
"""A row of class probabilities may be so far from 1 by its rounding; the metric scales it."""
_FLAGS = {"true": 1, "false": 0}
_HOLES = frozenset({"", "na", "nan", "null", "none", "n/a", "<na>"})


@dataclass(frozen=True)
class Answers:
    """The truth: `y` is (n,) or (n, targets), nan where one of several is not known.

    `ids` is None when rows are matched by their order.
    """

    ids: list[str] | None
    y: Array
    classes: dict[str, int]
    """Position of every label, those that train lacks at the end."""
    public: Array
    """(n,) of bool."""
    graded: Array
    """(n,) of bool: rows marked Usage = Ignored count nowhere."""


def read_columns(data: bytes, name: str) -> Table:
    """A CSV's columns as text. Raises OutputRejected that names the line for anything but a plain table."""
    try:
        rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise OutputRejected(f"{name} is no CSV text: {error}") from None
    header, body = (rows[0] if rows else []), [row for row in rows[1:] if row]
    if not header or not body:
        raise OutputRejected(f"{name} has no rows under a header")
    if len(set(header)) < len(header):
        raise OutputRejected(f"{name} names a column twice: {', '.join(header[:10])}")
    for number, row in enumerate(body, start=2):
        if len(row) != len(header):
            raise OutputRejected(f"{name}: row {number} has {len(row)} values, the header {len(header)}")
    return dict(zip(header, map(list, zip(*body, strict=True)), strict=True))


def load_answers(path: Path, spec: CompetitionSection, metric: Metric) -> Answers:
    """answers.csv, with the targets as columns, or one 0/1 column for each class.

    Raises BadInput when it is not there or does not fit config.json.
    """
    try:
        table = read_columns(read_untrusted(path), path.name)
        ids = _column(table, spec.id_column, path.name) if spec.id_column else None
        y, classes = _truth(table, spec, metric, path.name)
    except OutputRejected as error:
        raise BadInput(f"{path} can't be used: {error}") from error
    if "Usage" not in table:
        return Answers(ids, y, classes, split(ids, len(y), spec.public_fraction), np.ones(len(y), bool))
    usage = np.array([text.strip().lower() for text in table["Usage"]])
    return Answers(ids, y, classes, usage == "public", np.isin(usage, ["public", "private"]))


def split(ids: list[str] | None, rows: int, fraction: float) -> Array:
    """(rows,) of bool: the public part, the same for the same ids in whatever order they stand."""
    names = np.array(ids if ids is not None else [f"{row:012d}" for row in range(rows)])
    order = np.argsort(names, kind="stable")
    digest = hashlib.sha256("\n".join(names[order].tolist()).encode()).digest()
    shuffled = order[np.random.default_rng(int.from_bytes(digest[:16], "big")).permutation(rows)]
    public = np.zeros(rows, bool)
    public[shuffled[: min(max(round(rows * fraction), 1), rows - 1)]] = True
    return public


def read_predictions(path: Path, spec: CompetitionSection, metric: Metric, answers: Answers) -> Array:
    """The submission in the answers' order, as `metric` takes it: (n,), (n, outputs), or (n, k) of positions.

    Raises OutputRejected with one sentence for a file that the competition would not take.
    """
    table = read_columns(read_untrusted(path), path.name)
    order = _order(table, path.name, spec.id_column, answers)
    columns = [_column(table, name, path.name) for name in spec.submission_columns]
    return _decoded(columns, spec, metric, answers, path.name)[order]


def _decoded(columns: list[list[str]], spec: CompetitionSection, metric: Metric, answers: Answers, file: str) -> Array:
    """The cells in the file's own order."""
    form, compares_labels = spec.submission_kind, metric.kind in ("label", "ordinal")
    if form == "ranked_list":
        return _lists(columns[0], spec, answers.classes, file)
    if form == "label" or (form == "value" and compares_labels):
        labels = _labels(columns, spec, metric, answers.classes, file)
        wants_columns = metric.kind == "probability" and spec.task == "multiclass"
        return np.eye(len(answers.classes))[labels] if wants_columns else labels
    matrix = _matrix(columns, spec.submission_columns, file)
    if form == "value":
        if metric.transform == "log1p" and (matrix < 0).any():
            raise OutputRejected(f"{file} holds a negative number, of which {metric.name} can't take the logarithm")
        if metric.transform == "log" and (matrix <= 0).any():
            raise OutputRejected(f"{file} holds a number not above 0, of which {metric.name} takes the logarithm")
        return matrix
    if form == "class_columns":
        _check_classes(matrix, file)
        unseen = len(answers.classes) - matrix.shape[1]
        matrix = np.pad(matrix, ((0, 0), (0, max(unseen, 0))))
    elif metric.high == 1 and ((matrix < 0) | (matrix > 1)).any():
        raise OutputRejected(f"{file} holds a probability outside 0 to 1")
    if spec.task == "binary" and matrix.shape[1] == 2:
        matrix = matrix[:, 1:] / matrix.sum(axis=1, keepdims=True)
    if not compares_labels:
        return matrix
    return matrix.argmax(axis=1) if spec.task == "multiclass" else (matrix >= 0.5).astype(np.int64)


def _column(table: Table, name: str, file: str) -> list[str]:
    if name not in table:
        raise OutputRejected(f"{file} lacks the column {name!r}; it has {', '.join(list(table)[:10])}")
    return table[name]


def _order(table: Table, file: str, id_column: str | None, answers: Answers) -> Array:
    """(n,) for each answer the row of the table that predicts it."""
    rows, wanted = len(next(iter(table.values()))), len(answers.y)
    if rows != wanted:
        raise OutputRejected(f"{file} has {rows} rows, {wanted} are asked for")
    if id_column is None or answers.ids is None:
        return np.arange(rows)
    ids = _column(table, id_column, file)
    place = {text: row for row, text in enumerate(ids)}
    if len(place) < rows:
        twice = next(text for row, text in enumerate(ids) if place[text] != row)
        raise OutputRejected(f"{file}: the id {twice!r} stands in more than one row")
    lost = [text for text in answers.ids if text not in place]
    if lost:
        raise OutputRejected(f"{file} lacks {len(lost)} of the ids asked for, first {lost[0]!r}")
    return np.array([place[text] for text in answers.ids])


def _matrix(columns: list[list[str]], names: Sequence[str], file: str, *, holes: bool = False) -> Array:
    return np.column_stack([_numbers(column, name, file, holes) for name, column in zip(names, columns, strict=True)])


def _numbers(column: Sequence[str], name: str, file: str, holes: bool) -> Array:
    """(n,) of float64; flags count as 1 and 0, and with `holes` an empty cell as nan."""
    values = np.empty(len(column))
    for row, text in enumerate(column):
        word = text.strip().lower()
        if holes and word in _HOLES:
            values[row] = math.nan
            continue
        try:
            if "_" in word:
                raise ValueError  # 1_0 is a number to Python alone
            values[row] = _FLAGS[word] if word in _FLAGS else float(word)
        except ValueError:
            what = "nothing" if word in _HOLES else f"{text[:40]!r}, which is no number"
            raise OutputRejected(f"{file}: {name} holds {what} in row {row + 2}") from None
        if not math.isfinite(values[row]):
            raise OutputRejected(f"{file}: {name} is {values[row]} in row {row + 2}: only finite numbers are graded")
    return values


def _truth(table: Table, spec: CompetitionSection, metric: Metric, file: str) -> tuple[Array, dict[str, int]]:
    names = spec.target_columns if set(spec.target_columns) <= set(table) else spec.submission_columns
    columns = [_column(table, name, file) for name in names]
    if spec.task not in CLASS_TASKS:
        matrix = _matrix(columns, names, file, holes=takes_holes(spec.metric, spec.metric_file, spec.task))
        return (matrix[:, 0] if matrix.shape[1] == 1 else matrix), {}
    classes = {label_text(label): place for place, label in enumerate(spec.classes)}
    if len(columns) > 1:
        return _matrix(columns, names, file).argmax(axis=1), classes
    texts = [label_text(text) for text in columns[0]]
    for text in texts:
        classes.setdefault(text, len(classes))
    return _positions(texts, classes, metric), classes


def _positions(texts: Sequence[str], classes: dict[str, int], metric: Metric) -> Array:
    """(n,) positions in the class list; the grades themselves where the metric compares their size."""
    if metric.kind == "ordinal" and all(re.fullmatch(r"-?\d+(\.\d+)?", text) for text in classes):
        return np.array([float(text) for text in texts])
    return np.array([classes[text] for text in texts], dtype=np.int64)


def _labels(
    columns: list[list[str]], spec: CompetitionSection, metric: Metric, classes: dict[str, int], file: str
) -> Array:
    if spec.task not in CLASS_TASKS:
        matrix = _matrix(columns, spec.submission_columns, file)
        if metric.kind in ("label", "ordinal") and (matrix != np.round(matrix)).any():
            raise OutputRejected(f"{file} holds a number that is not whole where labels are asked for")
        return matrix
    texts = [label_text(text) for text in columns[0]]
    stray = next((text for text in texts if text not in classes), None)
    if stray is not None:
        what = "a missing label" if stray.lower() in _HOLES else f"{stray[:40]!r}"
        raise OutputRejected(f"{file} holds {what}; the labels are {', '.join(list(classes)[:10])}")
    return _positions(texts, classes, metric)


def _lists(column: list[str], spec: CompetitionSection, classes: dict[str, int], file: str) -> Array:
    """(n, k) positions, the best first, -1 where a list ends early."""
    lists = [[label_text(word) for word in text.split()] for text in column]
    longest = max(map(len, lists))
    if spec.ranked_k and longest > spec.ranked_k:
        raise OutputRejected(f"{file} lists {longest} labels in a row; at most {spec.ranked_k} are asked for")
    places = np.full((len(lists), max(spec.ranked_k, longest, 1)), -1, dtype=np.int64)
    for row, words in enumerate(lists):
        stray = next((word for word in words if word not in classes), None)
        if stray is not None or not words:
            what = "nothing" if stray is None else f"{stray[:40]!r}, which is no label,"
            raise OutputRejected(f"{file} lists {what} in row {row + 2}")
        places[row, : len(words)] = [classes[word] for word in words]
    return places


def _check_classes(matrix: Array, file: str) -> None:
    if (matrix < 0).any():
        raise OutputRejected(f"{file} holds a negative probability")
    off = np.abs(matrix.sum(axis=1) - 1)
    if off.max() > SUM_TOLERANCE:
        row = int(off.argmax())
        raise OutputRejected(f"{file}: the probabilities of row {row + 2} sum to {matrix[row].sum():.6g}, not to 1")
