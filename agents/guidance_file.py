"""guidance.md as orchestrator and built-in policy both read it: its lines, and whether they forbid submissions."""

from __future__ import annotations

import re
from collections.abc import Iterator

_PARTS = re.compile(
    r"[;.!](?:\s|$)|,\s*(?=(?:but|and|then|use|try|no|not|avoid|don'?t|do|only|stop|tune|blend|never)\b)"
)
_NOT = (
    r"(?:do\s+not|don'?t|not\s+to|never|cannot|can'?t|(?:may|must|should|shall)\s+not|avoid|refrain\s+from|without|no|"
    r"(?<!not )(?<!n't )(?<!never )(?:stop|pause|skip))"
)
_BETWEEN = r"(?:(?:ever|any|more|further|other|new|make|send|the|all|yet|now|again|want|you|to|me|please)\s+){0,5}"
_HAND_IN = r"(?:submit|submitting|submissions?|upload|uploads|uploading|hand(?:ing)? (?:anything |it )?in)\b"
_NO_SUBMIT = re.compile(
    rf"\b{_NOT}\s+{_BETWEEN}{_HAND_IN}(?!\.\w|\s+(?:more than|too|limit))"
    r"|\b(?:submit|upload|hand in) nothing\b"
    r"|\bnothing (?:\w+ ){0,3}(?:submitted|uploaded|handed in)\b"
    r"|^(?:please )?hold(?: (?:on|off|back|the|all|every|any|my|further|submi\w+|uploads?))*"
    r"(?: (?:until|till|for|today|now)\b.*)?$"
)


def lines(text: str) -> Iterator[str]:
    """The wishes one by one; headings, empty lines and HTML comments are none."""
    for raw in _without_comments(text).splitlines():
        if raw.lstrip().startswith("#"):
            continue
        for part in _PARTS.split(raw):
            if line := re.sub(r"^[\s>*\-\d.)]+", "", part).strip():
                yield line


def _without_comments(text: str) -> str:
    kept, place = [], 0
    while (start := text.find("<!--", place)) >= 0 and (end := text.find("-->", start)) >= 0:
        kept.append(text[place:start])
        place = end + len("-->")
    return "".join([*kept, text[place:]])


def forbids(line: str) -> bool:
    """Whether one line says not to submit, as "do not submit" and "no more submissions" do."""
    return _NO_SUBMIT.search(" ".join(line.lower().replace("\u2019", "'").split())) is not None


def forbids_submissions(text: str) -> bool:
    """Whether one of the lines does."""
    return any(forbids(line) for line in lines(text))
