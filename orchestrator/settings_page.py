"""Every setting of config.json for a person: its value, its default, and what it means."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel

from orchestrator.config import Config
from orchestrator.errors import BadInput

WIDTH = 100


def page(config: Config, word: str = "") -> str:
    """The settings whose key holds `word` ("loop", "folds"), all without one. Raises BadInput when there is none."""
    plain = dict(_settings(Config(), ""))
    blocks = [
        _block(key, value, plain.get(key, (None, ""))[0], meaning)
        for key, (value, meaning) in _settings(config, "")
        if word.lower() in key
    ]
    if not blocks:
        names = sorted({part for key in plain for part in (key, *key.split("."))})
        near = get_close_matches(word.lower(), names, n=1)
        fix = f"did you mean {near[0]!r}?" if near else "`settings` alone lists all"
        raise BadInput(f"no setting is called {word!r}: {fix}")
    return "\n".join(blocks)


def _settings(model: BaseModel, path: str) -> Iterator[tuple[str, tuple[Any, str]]]:
    """Dotted key → value and meaning, sections in their order."""
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _settings(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", (value, field.description or "")


def _block(key: str, value: Any, default: Any, meaning: str) -> str:
    changed = "" if value == default else f"  (default {_shown(default)})"
    meaning = re.sub(r"\bNone\b", "null", " ".join(meaning.split()))  # as config.json has it
    lines = textwrap.wrap(meaning, WIDTH - 4)
    return "\n".join([f"{key} = {_shown(value)}{changed}", *(f"    {line}" for line in lines)])


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= WIDTH else text[: WIDTH - 2] + " …"
