"""The submission CSV: the sample's rows, order and columns with our predictions in them: the format is always right."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.competitions.base import read_untrusted
from orchestrator.competitions.decisions import Decision
from orchestrator.competitions.infer_columns import label_text
from orchestrator.competitions.tables import read_table, read_verbatim
from orchestrator.config import CompetitionSection
from orchestrator.errors import BadInput, OutputRejected

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray[Any, Any]
_FLAGS = (("False", "True"), ("false", "true"), ("FALSE", "TRUE"))


def build(spec: CompetitionSection, data: Path, predictions: Array, decision: Decision) -> bytes:
    """The CSV for test predictions (n_test, outputs) in the order of the test table.

    `data` holds the competition's files. Numbers are written with ten digits; labels as the sample spells them.
    Raises BadInput when the sample and the test table do not fit each other.
    """
    sample = read_verbatim(data / spec.sample_submission)
    rows = _places(spec, data, sample, len(predictions))
    columns = spec.submission_columns
    if missing := [name for name in columns if name not in sample.columns] or not columns:
        raise BadInput(
            f"competition.submission_columns: {spec.sample_submission} lacks {missing}; it has {list(sample)}"
        )
    filled = _texts(spec, sample, predictions[rows], decision)
    if len(filled) != len(columns):
        raise BadInput(f"competition.submission_columns names {len(columns)} columns, predictions make {len(filled)}")
    for name, texts in zip(columns, filled, strict=True):
        sample[name] = texts
    return sample.to_csv(index=False, lineterminator="\n").encode()


def check(spec: CompetitionSection, csv: Path, data: Path) -> None:
    """Raise OutputRejected for a file that is none, and for one without the form of the sample, if `data` has one."""
    content, sample = read_untrusted(csv), data / spec.sample_submission
    if sample.is_file():
        validate(spec, content, sample)


def validate(spec: CompetitionSection, csv: bytes, sample_path: Path) -> None:
    """Raise OutputRejected unless `csv` has the sample's columns, rows and ids, and a usable value in every cell."""
    import pandas as pd

    sample = read_verbatim(sample_path)
    try:
        given = pd.read_csv(io.BytesIO(csv), dtype=str, keep_default_na=False)
    except (ValueError, UnicodeDecodeError) as error:
        raise OutputRejected(f"the submission is no CSV table: {str(error)[:120]}") from None
    if list(given.columns) != list(sample.columns):
        raise OutputRejected(f"the submission has the columns {list(given)[:20]}, not the sample's {list(sample)[:20]}")
    if len(given) != len(sample):
        raise OutputRejected(f"the submission has {len(given)} rows, the sample {len(sample)}")
    for name in sample.columns:
        if name in spec.submission_columns:
            _check_column(spec, name, given[name])
        elif not np.array_equal(given[name].to_numpy(dtype=object), sample[name].to_numpy(dtype=object)):
            raise OutputRejected(f"the submission's column {name} differs from the sample's: keep its values and order")
    if spec.submission_kind == "class_columns":
        totals = given[spec.submission_columns].astype(float).sum(axis=1)
        if (totals - 1).abs().max() > 1e-6:
            raise OutputRejected("the submission's class columns do not sum to 1 in every row")


def _check_column(spec: CompetitionSection, name: str, texts: pd.Series) -> None:
    import pandas as pd

    if spec.submission_kind in ("label", "ranked_list") and spec.classes:
        known = {label_text(label) for label in spec.classes}
        split = (text.split() if spec.submission_kind == "ranked_list" else [text] for text in texts.unique())
        if stray := [word for words in split for word in words or [""] if label_text(word) not in known]:
            raise OutputRejected(f"the submission's column {name} holds {stray[0]!r}, which is no label")
        return
    flags = {flag: str(value) for pair in _FLAGS for value, flag in enumerate(pair)}
    numbers = pd.to_numeric(texts.replace(flags) if spec.submission_kind == "label" else texts, errors="coerce")
    if (bad := ~np.isfinite(numbers.to_numpy(dtype=float))).any():
        row = int(bad.argmax())
        raise OutputRejected(f"the submission's column {name} holds {texts.iloc[row]!r} in row {row + 1}: no number")


def _places(spec: CompetitionSection, data: Path, sample: pd.DataFrame, rows: int) -> Array:
    """For each row of the sample, the row of the test table that it asks for."""
    import pandas as pd

    name = spec.id_column
    if len(sample) != rows:
        raise BadInput(f"{spec.sample_submission} has {len(sample)} rows, {spec.test} has {rows}: they must match")
    if name is None or name not in sample.columns:
        return np.arange(rows)
    ids = pd.Index(read_table(data / spec.test, as_text=[name], columns=[name])[name])
    if not ids.is_unique:
        raise BadInput(f"{spec.test}: the id {ids[ids.duplicated()][0]!r} stands in more than one row")
    places = ids.get_indexer(sample[name])
    if (places < 0).any():
        raise BadInput(
            f"{spec.sample_submission}: the id {sample[name].iloc[int(places.argmin())]!r} is not in {spec.test}"
        )
    return np.asarray(places)


def _texts(spec: CompetitionSection, sample: pd.DataFrame, predictions: Array, decision: Decision) -> list[list[str]]:
    """One list of cells per submission column."""
    kind = spec.submission_kind
    if kind == "class_columns":
        both = np.column_stack([1 - predictions, predictions]) if predictions.shape[1] == 1 else predictions
        return [_numbers(column) for column in (both / both.sum(axis=1, keepdims=True)).T]
    if kind == "probability":
        return [_numbers(column) for column in predictions.T]
    decided = decision.apply(predictions)
    if kind == "value":
        return [_numbers(column) for column in decided.reshape(len(decided), -1).T]
    if kind == "ranked_list":
        words = np.array([_plain(label) for label in spec.classes], dtype=object)
        best = np.argsort(-predictions, axis=1, kind="stable")[:, : max(spec.ranked_k, 1)]
        return [[" ".join(row) for row in words[best]]]
    return _labels(spec, sample, predictions, decided)


def _labels(spec: CompetitionSection, sample: pd.DataFrame, predictions: Array, decided: Array) -> list[list[str]]:
    if decided.dtype.kind == "f" and spec.task in ("binary", "multiclass", "multilabel"):
        # A metric of probabilities behind a submission of labels: the likeliest.
        likely = spec.task == "multiclass"
        decided = predictions.argmax(axis=1) if likely else (predictions >= 0.5).astype(np.int64)
    matrix = decided.reshape(len(decided), -1)
    cells = []
    for name, column in zip(spec.submission_columns, matrix.T, strict=True):
        if spec.task in ("binary", "multiclass", "multilabel"):
            labels = spec.classes if spec.task != "multilabel" else [0, 1]
            words = np.array(_spelled(labels, sample[name]), dtype=object)
            cells.append(list(words[column]))
        else:
            cells.append(_numbers(column))
    return cells


def _spelled(labels: list[Any], shown: pd.Series) -> list[str]:
    """The labels as the sample's column writes them, also those that it happens not to show."""
    texts = list(shown.unique())
    known = {label_text(text): text for text in texts}
    for pair in _FLAGS:
        if set(texts) <= set(pair) and texts:
            known |= {"0": pair[0], "1": pair[1]}
    fractions = any(isinstance(label, float) and not label.is_integer() for label in labels)
    return [known.get(label_text(label), str(float(label)) if fractions else _plain(label)) for label in labels]


def _plain(label: Any) -> str:
    return str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)


def _numbers(column: Array) -> list[str]:
    if column.dtype.kind in "iu":
        return [str(value) for value in column.tolist()]
    return [f"{value:.10g}" for value in column.tolist()]
