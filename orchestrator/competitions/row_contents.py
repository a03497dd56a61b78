"""What one row's file holds, as columns: statistics of a table, a text, a JSON record."""

from __future__ import annotations

import csv
import json
import re
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.competitions.json_tables import as_text, flatten
from orchestrator.competitions.signals import signal_statistics
from orchestrator.competitions.tables import MISSING, read_table
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
READERS = (".csv", ".tsv", ".parquet", ".json", ".txt", ".xyz", ".dat", ".asc", ".md", ".xml", ".html")
MAX_TEXT = 20_000
WIDE = 40
"""Tables with more columns than this get a few statistics of each."""
NUMERIC = 0.4
"""The least share of numbers among the words of a file that is no prose."""
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def reader_for(paths: list[Path]) -> Callable[[Path], Row] | None:
    """How files like these are read, by their ending; None for those that hold mostly numbers without a header."""
    suffix = paths[0].suffix.lower()
    if suffix in (".csv", ".tsv"):
        return partial(of_table, read=read_table if _have_header(paths) else _by_position)
    if suffix == ".parquet":
        return of_table
    if suffix == ".json":
        return of_json
    words: list[str] = []
    for path in paths:
        with suppress(BadInput):
            words += _text(path).split()
    numbers = sum(bool(_NUMBER.fullmatch(word)) for word in words)
    return of_text if numbers <= NUMERIC * len(words) else None


def of_text(path: Path) -> Row:
    return {"text": " ".join(_text(path).split())[:MAX_TEXT]}


def of_json(path: Path) -> Row:
    """A record; of a list of records, the texts of each key one after the other."""
    try:
        found = json.loads(_text(path))
    except (ValueError, RecursionError):
        raise BadInput(f"{path} is not readable as JSON: correct or remove it") from None
    records = found if isinstance(found, list) else [found]
    if not all(isinstance(record, dict) for record in records):
        return {"text": as_text(found)[:MAX_TEXT]}
    row: dict[str, list[str]] = defaultdict(list)
    for record in records:
        for name, value in flatten(record).items():
            row[name].append(as_text(value))
    merged: Row = {name: " ".join(values)[:MAX_TEXT] for name, values in row.items()}
    return {"records": len(records), **merged} if isinstance(found, list) else merged


def of_table(path: Path, read: Callable[[Path], pd.DataFrame] = read_table) -> Row:
    """Statistics of each numeric column, in the order of the rows as a signal has it; texts joined."""
    frame = read(path)
    row: Row = {"rows": len(frame)}
    few = len(frame.columns) > WIDE
    for name in frame.columns:
        column = frame[name]
        if column.dtype.kind in "iufb":
            found = signal_statistics(column.to_numpy(dtype=float), few)
            row |= {f"{name}_{key}": value for key, value in found.items()}
        elif column.isna().all():
            row |= {f"{name}_missing": 1.0}
        else:
            row[str(name)] = " ".join(map(str, column.dropna().iloc[:500]))[:MAX_TEXT]
    return row


def _have_header(paths: list[Path]) -> bool:
    """Whether tables name their columns: not where their first rows hold numbers that differ, or one number twice.

    Numbers that are the same in all tables, or that count the columns, are names.
    """
    rows = {row for row in map(_first_row, paths) if any(row)}
    if not rows or not all(_NUMBER.fullmatch(cell) or cell in MISSING for row in rows for cell in row):
        return True
    if all([*filter(None, row)] == [str(place) for place in range(sum(map(bool, row)))] for row in rows):
        return True
    return len(rows) == 1 and all(len({*row}) == len(row) for row in rows)


def _first_row(path: Path) -> tuple[str, ...]:
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            line = file.readline(1 << 20)
    except OSError:
        return ()
    return tuple(cell.strip() for cell in next(csv.reader([line.rstrip("\r\n")], delimiter=_delimiter(line)), []))


def _delimiter(line: str) -> str:
    return max(",;\t", key=lambda mark: (line.count(mark), mark == ","))


def _by_position(path: Path) -> pd.DataFrame:
    """A table without a header; its columns are c0, c1 and so on."""
    import pandas as pd

    text = _text(path).lstrip("\ufeff \r\n")
    mark = _delimiter(text.partition("\n")[0])
    try:
        frame = pd.read_csv(
            StringIO(text), sep=mark, header=None, na_values=MISSING, keep_default_na=False, low_memory=False
        )
    except ValueError as error:
        raise BadInput(f"{path} is not a readable CSV table: {str(error)[:160]}; export it again") from None
    return frame.rename(columns=lambda place: f"c{place}")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise BadInput(f"{path} can't be read ({error.strerror}): check its permissions") from None
