"""JSON as people publish tables in it: a list of records, a record per line, or one list per column."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.competitions.signals import signal_statistics
from orchestrator.competitions.tables import check_file, write_csv
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

DEPTH = 3
"""Objects in objects become columns down to here; what lies deeper stays JSON."""
MANY = 300
RARE = 0.05
"""Of more columns than MANY, those of objects whose keys so few records have on average do not become any: names of
users or words are data, and the object stays JSON."""
LONG = 50
"""A list of as many numbers is a signal, and its statistics become columns."""


def json_to_csv(path: Path, whole: Collection[str] | None = None) -> tuple[str, Collection[str]]:
    """Write the table of a JSON file beside it as CSV; its name, and the inner objects that stayed JSON.

    `whole`: which these are, where another file has decided it. Raises BadInput for JSON that is no table.
    """
    check_file(path)
    found = _records(path)
    if not found:
        raise BadInput(f"{path} holds no records: get the file again")
    whole = _open_objects(found) if whole is None else whole
    name = f"{path.name.split('.')[0]}.csv"
    write_csv(path.with_name(name), _table([flatten(record, whole=whole) for record in found]))
    return name, whole


def _table(records: list[dict[str, Any]]) -> pd.DataFrame:
    """One row for each record, every value as text, lists as JSON."""
    import pandas as pd

    names = list(dict.fromkeys(name for record in records for name in record))
    return pd.DataFrame({name: [as_text(record.get(name)) for record in records] for name in names})


def flatten(
    record: dict[str, Any], prefix: str = "", depth: int = DEPTH, whole: Collection[str] = ()
) -> dict[str, Any]:
    """Inner objects but those in `whole`, and the statistics of signals, as keys of their own, joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, dict) and value and depth > 1 and f"{prefix}{key}" not in whole:
            flat |= flatten(value, f"{prefix}{key}.", depth - 1, whole)
        elif isinstance(value, list) and len(value) >= LONG and all(type(item) in (int, float) for item in value):
            flat |= {
                f"{prefix}{key}.{name}": found
                for name, found in signal_statistics(np.array(value, dtype=float)).items()
            }
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _open_objects(records: list[dict[str, Any]]) -> set[str]:
    """The inner objects (`outer.inner`) whose keys are data, where there would be many columns."""
    held: Counter[str] = Counter()
    columns: set[str] = set()
    keys: dict[str, Counter[str]] = defaultdict(Counter)

    def look(record: dict[str, Any], prefix: str, depth: int) -> None:
        for key, value in record.items():
            if isinstance(value, dict) and value and depth > 1:
                held[prefix + key] += 1
                keys[prefix + key].update(value.keys())
                look(value, f"{prefix}{key}.", depth - 1)
            else:
                columns.add(prefix + key)

    for record in records:
        look(record, "", DEPTH)
    rare = {name for name, counts in keys.items() if counts.total() < RARE * len(counts) * held[name]}
    return rare if len(columns) > MANY else set()


def as_text(value: Any) -> str:
    """A cell of a CSV; nothing for null."""
    if value is None:
        return ""
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _records(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        try:
            found = json.loads(text)
        except ValueError:
            found = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(
            f"{path} is neither JSON nor one JSON record per line ({str(error)[:100]}): get it again"
        ) from None
    records = _as_records(found)
    if records is None:
        raise BadInput(f"{path} is no table: it must hold a list of records, a record per line, or a list per column")
    return records


def _as_records(found: Any) -> list[dict[str, Any]] | None:
    if isinstance(found, list):
        return found if all(isinstance(item, dict) for item in found) else None
    if not isinstance(found, dict):
        return None
    values = list(found.values())
    if values and all(isinstance(value, list) for value in values) and len({len(value) for value in values}) == 1:
        return _rows(found, range(len(values[0])))
    if values and all(isinstance(value, dict) for value in values):
        keys = values[0].keys()
        if all(value.keys() == keys for value in values) and all(str(key).isdigit() for key in keys):
            return _rows(found, keys)
        return [{"key": key, **value} for key, value in found.items()]
    lists = [value for value in values if isinstance(value, list) and value and isinstance(value[0], dict)]
    if len(lists) == 1:
        return _as_records(lists[0])
    return [found]


def _rows(columns: dict[str, Any], keys: Iterable[Any]) -> list[dict[str, Any]]:
    return [{name: values[key] for name, values in columns.items()} for key in keys]
