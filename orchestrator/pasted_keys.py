"""Keys of paid services that were pasted where they do not belong: found by their looks, never shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_KEY = re.compile(
    r"(?<![A-Za-z0-9_])(?:sk-(?=[\w-]*\d)[\w-]{16,}|AKIA[0-9A-Z]{16}|AIza[\w-]{35}|(?:gsk|hf)_[A-Za-z0-9]{30,}"
    r"|xai-[A-Za-z0-9]{30,}|ghp_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9]{20,}|KGAT_[A-Za-z0-9]{16,})"
)


def masked(text: str) -> str:
    """The text without what looks like a key."""
    return _KEY.sub("(a key, not shown)", text)


def places(value: Any, path: str = "") -> Iterator[str]:
    """Dotted keys of a decoded config.json at which something looks like a key, be it a value or a name."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from [masked(f"{path}{name}")] if _KEY.search(name) else places(inner, f"{path}{name}.")
    elif isinstance(value, list):
        for inner in value:
            yield from places(inner, path)
    elif isinstance(value, str) and _KEY.search(value):
        yield path.removesuffix(".")
