"""Who plays each role, and with which key: nobody is billed for a key that merely lies about in the shell.

A model plays where config.json names one, or where the campaign's own `.env` holds a key. A key of the shell is used
for a back end that config.json names, and otherwise only mentioned.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.models.opening import KEY_VARIABLES
from agents.session import MODELS, ROLES
from orchestrator.config import Config
from orchestrator.errors import BadInput
from orchestrator.files import read_regular

DEFAULT_MODELS = {"anthropic": "claude-sonnet-5-5", "openai": "gpt-6.1-terra"}
"""For a back end whose model config.json leaves open: mid-priced ones."""
_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")


def read_env(path: Path) -> dict[str, str]:
    """The variables of a `.env` file, empty when there is none.

    `NAME=value` a line, with or without quotes or `export`; `#` begins a comment. Raises BadInput naming the line.
    """
    try:
        text = read_regular(path).decode("utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} can't be read: {error}") from error
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise BadInput(f"{path} line {number} is not NAME=value: mend it or put # before it")
        found[match[1]] = _value(match[2])
    return found


def _value(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return text.split(" #")[0].strip()


def settings(config: Config, own: Mapping[str, str], role: str) -> dict[str, Any]:
    """A role's section with its back end and model settled; `own` are the variables of the campaign's `.env`."""
    found: dict[str, Any] = getattr(config.agents, role).model_dump()
    if found["backend"] == "auto":
        keys = [backend for backend, name in KEY_VARIABLES.items() if own.get(name)]
        found["backend"] = keys[0] if keys else "offline"
    if found["backend"] in MODELS and found["model"] is None:
        found["model"] = DEFAULT_MODELS[found["backend"]]
    return found


def idle_keys(config: Config, own: Mapping[str, str], environment: Mapping[str, str]) -> list[str]:
    """Variables of the shell that hold a key which nobody here uses."""
    used = {settings(config, own, role)["backend"] for role in ROLES}
    return [
        name
        for backend, name in KEY_VARIABLES.items()
        if environment.get(name) and not own.get(name) and backend not in used
    ]
