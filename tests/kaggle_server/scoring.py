"""Scores of submissions from answers.csv.

A competition's scoring is {"answers": path, "metric": a name, "id": column, "targets": columns of the submission} and,
if wanted, "public" (share of the rows, 0.3) and "label" (the one column of the answers that holds the class, when the
targets are classes). Columns "Usage" (Public, Private, Ignored) of the answers decide over "public". {"fail": text}
refuses every submission, {"fixed": number} gives it that score.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
from pathlib import Path
from typing import Any


class Bad(Exception):
    """The reason that a person reads beside the submission."""


def score(scoring: dict[str, Any], data: bytes) -> tuple[float, float]:
    """(public, private). Raises Bad for a file that can't be scored."""
    if "fail" in scoring:
        raise Bad(scoring["fail"])
    if "answers" not in scoring:
        fixed = float(scoring.get("fixed", 0.5))
        return fixed, fixed
    answers = _read(Path(scoring["answers"]).read_bytes())
    rows = [row for row in answers if row.get("Usage", "Public") != "Ignored"]
    predicted = _by_id(_read(data), scoring, len(answers))
    ids = [row[scoring["id"]] for row in rows]
    missing = [key for key in ids if key not in predicted]
    if missing:
        raise Bad(f"Unable to find {len(missing)} required key values in the '{scoring['id']}' column")
    public = _public(rows, ids, scoring.get("public", 0.3))
    parts = []
    for wanted in (True, False):
        chosen = [place for place, is_public in enumerate(public) if is_public is wanted]
        chosen = chosen or list(range(len(rows)))
        parts.append(_scored(scoring, [rows[place] for place in chosen], [predicted[ids[place]] for place in chosen]))
    return parts[0], parts[1]


def _scored(scoring: dict[str, Any], rows: list[dict[str, str]], predicted: list[dict[str, str]]) -> float:
    import numpy as np

    from orchestrator.competitions.metrics import get_metric

    metric, targets = get_metric(scoring["metric"]), list(scoring["targets"])
    label = scoring.get("label", "")
    if metric.kind == "label" or (metric.kind == "ordinal" and not _numeric(rows, targets[0])):
        names = sorted({_plain(row[targets[0]]) for row in rows})
        places = {name: place for place, name in enumerate(names)}
        y = np.array([places[_plain(row[targets[0]])] for row in rows])
        p = np.array([places.get(_plain(row[targets[0]]), len(names)) for row in predicted])
        return metric.score(y, p)
    p = np.array([[_number(row[column], column) for column in targets] for row in predicted])
    if label:
        y = np.array([targets.index(row[label]) for row in rows])
    else:
        y = np.array([[_number(row[column], column) for column in targets] for row in rows])
        if metric.kind == "probability" and len(targets) > 1 and not metric.multi:
            y = y.argmax(axis=1)
    if len(targets) == 1:
        y, p = y.reshape(-1), p.reshape(-1)
    if metric.kind == "ordinal":
        y, p = y.astype(int), p.astype(int)
    result = metric.score(y, p)
    if math.isnan(result):
        raise Bad("Evaluation Exception: Metric is not defined for this submission")
    return result


def _read(data: bytes) -> list[dict[str, str]]:
    try:
        table = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise Bad(f"Could not parse the submission: {error}") from None
    header, body = (table[0] if table else []), [row for row in table[1:] if row]
    for number, row in enumerate(body, start=1):
        if len(row) != len(header):
            raise Bad(f"Record {number} had {len(row)} columns but expected {len(header)}")
    return [dict(zip(header, row, strict=True)) for row in body]


def _by_id(rows: list[dict[str, str]], scoring: dict[str, Any], expected: int) -> dict[str, dict[str, str]]:
    if len(rows) != expected:
        raise Bad(f"Evaluation Exception: Submission must have {expected} rows")
    for column in (scoring["id"], *scoring["targets"]):
        if column not in rows[0]:
            raise Bad(f"Evaluation Exception: Submission must have the column '{column}'\nCheck the header line.")
    found: dict[str, dict[str, str]] = {}
    for line, row in enumerate(rows, start=2):
        key = row[scoring["id"]]
        if key in found:
            raise Bad(f"The value '{key}' in the key column '{scoring['id']}' has already been defined (Line {line})")
        found[key] = row
    return found


def _public(rows: list[dict[str, str]], ids: list[str], share: float) -> list[bool]:
    if "Usage" in rows[0]:
        return [row["Usage"] == "Public" for row in rows]
    order = sorted(range(len(ids)), key=lambda place: hashlib.sha256(ids[place].encode()).digest())
    chosen = set(order[: max(round(len(ids) * share), 1)])
    return [place in chosen for place in range(len(ids))]


def _numeric(rows: list[dict[str, str]], column: str) -> bool:
    return all(row[column].replace(".", "", 1).lstrip("-").isdigit() for row in rows)


def _plain(text: str) -> str:
    """1, 1.0 and True are one label."""
    low = text.strip().lower()
    low = {"true": "1", "false": "0"}.get(low, low)
    try:
        return f"{float(low):g}"
    except ValueError:
        return text.strip()


def _number(text: str, column: str) -> float:
    plain = {"true": 1.0, "false": 0.0}.get(text.strip().lower())
    try:
        value = float(text) if plain is None else plain
    except ValueError:
        raise Bad(f"Submission contains non-numeric values in column '{column}': {text[:40]!r}") from None
    if not math.isfinite(value):
        raise Bad(f"Submission contains null values in column '{column}'")
    return value
