"""Notebooks and messages of strangers as plain text: no markup, no pictures, nothing hidden, nothing endless."""

from __future__ import annotations

import html
import json
import re
from typing import Any

from orchestrator.competitions.kaggle.records import Message, NotebookSource
from orchestrator.show import clean, one_line

LINE_CHARS = 500
OUTPUT_CHARS = 400
"""What a cell printed often ends in its score."""
MESSAGE_CHARS = 2_000
_PARSED_CHARS, _PIECE_CHARS = 20_000_000, 200_000
_PICTURE = re.compile(r"data:[\w/+.-]{1,60};base64,[A-Za-z0-9+/=\s]+")
_UNSEEN = re.compile("[\u00ad\u034f\u061c\u180e\u200b-\u200d\u2060-\u2064\ufe00-\ufe0f\ufeff\U000e0000-\U000e01ef]")
_HIDDEN = (("<script", "</script>"), ("<style", "</style>"), ("<!--", "-->"))
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,500}>")
_BREAK = re.compile(r"<(br|/p|/li|/h\d|/tr|/div)\b[^<>]{0,100}>", re.I)


def notebook_text(source: NotebookSource, limit: int) -> str:
    """The cells of a notebook in order, or the script itself, at most `limit` characters."""
    if source.kind.lower() == "notebook" or source.text.lstrip().startswith("{"):
        cells = _cells(source.text)
        if cells is not None:
            return bounded("\n\n".join(part for cell in cells if (part := _cell(cell, source.language))), limit)
    return bounded(tidy(source.text), limit)


def message_text(message: Message) -> str:
    """A message under a line that names who wrote it, when, and how many liked it."""
    when = f"{message.posted:%Y-%m-%d}" if message.posted else "no date"
    head = f"[{line(message.author, 60) or 'unknown'}, {when}, {message.votes} votes]"
    return f"{head}\n{bounded(prose(message.text), MESSAGE_CHARS)}"


def prose(text: str) -> str:
    """Markdown or HTML without its markup."""
    text = text[:_PIECE_CHARS]
    for begin, end in _HIDDEN:
        text = _without(text, begin, end)
    return tidy(html.unescape(_TAG.sub(" ", _BREAK.sub("\n", text))))


def tidy(text: str) -> str:
    """Visible characters alone, long lines cut, at most one empty line in a row."""
    text = _PICTURE.sub("(picture)", text[:_PIECE_CHARS].replace("\r\n", "\n").replace("\r", "\n"))
    lines = [row.rstrip() for row in _UNSEEN.sub("", clean(text)).split("\n")]
    lines = [row if len(row) <= LINE_CHARS else f"{row[:LINE_CHARS]}…" for row in lines]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def line(text: str, limit: int) -> str:
    """Visible characters on one line."""
    return one_line(_UNSEEN.sub("", text[:10_000]), limit)


def bounded(text: str, limit: int) -> str:
    """Two thirds from the head and one from the tail, where results stand, when it is longer than `limit`."""
    if len(text) <= limit:
        return text
    head, tail = 2 * limit // 3, limit // 3 - 60
    return f"{text[:head]}\n… {len(text) - head - tail:,} characters are left out …\n{text[-tail:]}"


def _without(text: str, begin: str, end: str) -> str:
    """The text without what stands between two marks; a mark without its end stays. Takes time in proportion."""
    small = text.lower() if len(text.lower()) == len(text) else text
    parts, at = [], 0
    while (start := small.find(begin, at)) >= 0 and (stop := small.find(end, start)) >= 0:
        parts += [text[at:start], " "]
        at = stop + len(end)
    return "".join([*parts, text[at:]])


def _cells(text: str) -> list[Any] | None:
    """None for what is no notebook."""
    try:
        found = json.loads(text[:_PARSED_CHARS])
    except (ValueError, RecursionError):
        return None
    cells = found.get("cells") if isinstance(found, dict) else None
    return cells if isinstance(cells, list) else None


def _cell(cell: Any, language: str) -> str:
    if not isinstance(cell, dict):
        return ""
    text = _joined(cell.get("source"))
    if cell.get("cell_type") != "code":
        return prose(text)
    body = tidy(text)
    outputs = cell.get("outputs")
    printed = tidy("\n".join(_printed(one) for one in outputs)) if isinstance(outputs, list) else ""
    shown = f"\nprinted: {printed[-OUTPUT_CHARS:]}" if printed else ""
    name = language if re.fullmatch(r"[a-zA-Z]{1,12}", language) else ""
    return f"```{name}\n{body}\n```{shown}" if body else ""


def _printed(output: Any) -> str:
    if not isinstance(output, dict):
        return ""
    data = output.get("data")
    return _joined(output.get("text")) or _joined(data.get("text/plain") if isinstance(data, dict) else "")


def _joined(source: Any) -> str:
    if isinstance(source, list):
        return "".join(part for part in source if isinstance(part, str))
    return source if isinstance(source, str) else ""
