"""A sample submission where a competition has none: the ids of test, and a plain value for each target."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.competitions.tables import header, read_table, read_verbatim, write_csv
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

NAME = "sample_submission.csv"
_TARGET_NAME = re.compile(r"(?i)(target|label|class|y|score|outcome|response)(s|_?\d+)?")
_ID_NAME = re.compile(r"(?i)(^|_| )id$|[a-z]I[dD]$|^(row|index|key)")


def make_sample(data: Path, train: str, test: str, description: str) -> str:
    """Write sample_submission.csv into `data` from the tables there and the description's example; why it is so.

    Raises BadInput when the id or the targets can't be told.
    """
    learnt, asked = header(data / train), header(data / test)
    only = [name for name in learnt if name not in asked]
    shown = _example(description, asked, only)
    if shown is not None:
        key, targets, why = shown[0], shown[1:], "the description shows its header"
    else:
        key, targets = _id(data, test, asked), _targets(only)
        why = f"{key} names the rows of test, and {', '.join(targets)} is what only train has"
    ids = read_verbatim(data / test)[[key]]
    values = read_table(data / train, columns=targets)
    for name in targets:
        ids[name] = _plain_value(values[name])
    write_csv(data / NAME, ids)
    return f"there was none, so {NAME} was made here: {why}"


def _example(description: str, asked: list[str], only: list[str]) -> list[str] | None:
    """The header of a submission that stands in the text: a column of test, then columns that only train has."""
    for line in description.splitlines():
        names = [name.strip() for name in line.strip().strip("`").split(",")]
        if len(names) > 1 and names[0] in asked and all(name in only for name in names[1:]):
            return names
    return None


def _id(data: Path, test: str, asked: list[str]) -> str:
    table = read_verbatim(data / test)
    unique = [name for name in asked if table[name].is_unique and table[name].ne("").all()]
    named = [name for name in unique if _ID_NAME.search(name)]
    found = [name for name in (*named, *unique) if name in named or name == asked[0]]
    if not found:
        raise BadInput(
            f"there is no sample submission, and no column of {test} names its rows: put a {NAME} beside it that shows "
            "what to hand in"
        )
    return found[0]


def _targets(only: list[str]) -> list[str]:
    named = [name for name in only if _TARGET_NAME.fullmatch(name)]
    found = only if len(only) == 1 else named
    if len(found) != 1:
        have = ", ".join(only[:6]) or "none"
        raise BadInput(
            f"there is no sample submission, and the target can't be told (columns that only train has: {have}): put a "
            f"{NAME} beside train that shows what to hand in"
        )
    return found


def _plain_value(values: pd.Series) -> Any:
    """The mean of amounts, the commonest of labels."""
    known = values.dropna()
    if known.empty:
        return 0
    return float(known.mean()) if known.dtype.kind == "f" else known.mode().iloc[0]
