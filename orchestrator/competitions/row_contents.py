"""What one row's file holds, as columns: statistics of a table, a text, a JSON record."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.competitions.json_tables import as_text, flatten
from orchestrator.competitions.signals import signal_statistics
from orchestrator.competitions.tables import read_table
from orchestrator.errors import BadInput

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
    if suffix in (".csv", ".tsv", ".parquet"):
        return of_table
    if suffix == ".json":
        return of_json
    words = [word for path in paths for word in _text(path).split()]
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


def of_table(path: Path) -> Row:
    """Statistics of each numeric column, in the order of the rows as a signal has it; texts joined."""
    frame = read_table(path)
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


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise BadInput(f"{path} can't be read ({error.strerror}): check its permissions") from None
