"""Every setting of config.json for a person: its value, its default, and what it means."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel

from orchestrator.config import Config
from orchestrator.errors import BadInput

WIDTH = 100


def page(config: Config, word: str = "") -> str:
    """The settings whose key holds `word` ("loop", "folds"), or else whose meaning does; all without a word.

    Raises BadInput when there is none.
    """
    plain = dict(_settings(Config, Config(), ""))
    every = list(_settings(Config, config, ""))
    spoken = re.compile(rf"\b{re.escape(word)}", re.IGNORECASE)
    chosen = {key for key, _ in every if word.lower() in key}
    if not chosen and re.match(r"\w{4}", word):
        chosen = {key for key, (_, meaning) in every if spoken.search(meaning)}
    blocks = [
        _block(key, value, plain.get(key, (None, ""))[0], meaning) for key, (value, meaning) in every if key in chosen
    ]
    if not blocks:
        names = sorted({part for key in plain for part in (key, *key.split("."))})
        near = get_close_matches(word.lower(), names, n=1)
        fix = f"did you mean {near[0]!r}?" if near else "`settings` alone lists all"
        raise BadInput(f"no setting is called {word!r}: {fix}")
    return "\n".join(blocks)


def _settings(section: type[BaseModel], given: BaseModel | None, path: str) -> Iterator[tuple[str, tuple[Any, str]]]:
    """Dotted key → value and meaning, in their order; also of a section that is not there."""
    for name, field in section.model_fields.items():
        default = None if field.is_required() else field.default
        value = getattr(given, name) if given is not None else default
        kinds = (field.annotation, *get_args(field.annotation))
        inner = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if inner:
            yield from _settings(inner, value, f"{path}{name}.")
        if not inner or value is None:
            yield f"{path}{name}", (hidden(name, value), field.description or "")


def hidden(name: str, value: Any) -> Any:
    """The value, unless it may be a key that was pasted to the wrong place."""
    odd = {"key_variable": r"[A-Z][A-Z0-9_]*", "base_url": r"[^?@#]*", "address": r"[^?@#]*"}
    return "(not shown)" if name in odd and value and not re.fullmatch(odd[name], value) else value


def _block(key: str, value: Any, default: Any, meaning: str) -> str:
    changed = "" if value == default else f"  (default {_shown(default)})"
    meaning = re.sub(r"\bNone\b", "null", " ".join(meaning.split()))  # as config.json has it
    lines = textwrap.wrap(meaning, WIDTH - 4)
    return "\n".join([f"{key} = {_shown(value)}{changed}", *(f"    {line}" for line in lines)])


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= WIDTH else text[: WIDTH - 2] + " …"
