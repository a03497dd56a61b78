"""guidance.md as orchestrator and built-in policy both read it: its lines, and whether they forbid submissions."""

from __future__ import annotations

import re
from collections.abc import Iterator

_PARTS = re.compile(r"[;.!](?:\s|$)|,\s*(?=(?:but|and|then|use|try|no|not|avoid|don'?t|do|stop|tune|blend|never)\b)")
_HAND_IN = r"(?:submi\w+|uploads?|uploading|hand(?:ing)? (?:anything |it )?in)"
_NO_SUBMIT = re.compile(
    r"\b(?:do not|don\W?t|never|(?<!not )(?<!n't )stop|without|no)\s+"
    rf"(?:(?!stop|only|tun|blend)\w+\s+){{0,2}}{_HAND_IN}\b"
    r"|\b(?:submit|upload|hand in) nothing\b"
    r"|\bnothing (?:\w+ ){0,3}(?:submitted|uploaded|handed in)\b"
    r"|\bhold(?: the| all| every)? ?(?:submi\w+)?$"
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


def forbids_submissions(text: str) -> bool:
    """Whether one of the lines says not to submit, as "do not submit" and "no more submissions" do."""
    return any(_NO_SUBMIT.search(line.lower()) for line in lines(text))
