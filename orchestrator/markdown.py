"""Markdown that shows other people's words as they stand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from orchestrator import show

Lines = list[str]
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~&$])")


def cell(value: Any, limit: int = 120) -> str:
    """Text that Markdown shows as it stands, in a table as well."""
    return _SPECIAL.sub(r"\\\1", show.one_line(value, limit))


def table(header: Sequence[str], rows: list[Lines]) -> Lines:
    return [_row(list(header)), _row(["---"] * len(header)), *(_row(row) for row in rows)]


def _row(cells: Lines) -> str:
    return f"| {' | '.join(cells)} |"


def code(text: str) -> str:
    """Text as code; nothing for no text."""
    safe = show.one_line(text).replace("`", "'").replace("|", "/")
    return f"`{safe}`" if safe else ""
