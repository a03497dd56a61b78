"""Who plays each role, and with which key: nobody is billed for a key that merely lies about in the shell.

A model plays where config.json names one, or where the campaign's own `.env` holds a key. A key of the shell is used
for a back end that config.json names, and otherwise only mentioned.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.costs import Caps
from agents.errors import ModelUnusable
from agents.models import opening
from agents.models.opening import KEY_VARIABLES, key_name
from agents.session import MODELS, ROLES
from orchestrator import show
from orchestrator.config import Config
from orchestrator.errors import BadInput
from orchestrator.files import read_regular

DEFAULT_MODELS = {"anthropic": "claude-sonnet-5-5", "openai": "gpt-6.1-terra"}
"""For a back end whose model config.json leaves open: mid-priced ones."""
DEFAULT_FALLBACKS = {"anthropic": "claude-sonnet-4-6", "openai": "gpt-5.6-terra"}
"""For `fallback_model` auto: models of a generation before, which refuse other things."""
UNREACHABLE_MINUTES = {"wait": 720.0, "offline": 5.0}
"""For `unreachable_minutes` left open: with a player at hand that can take over, nobody waits for hours."""
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
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        value = _value(match[2]) if match else None
        if match is None or value is None:
            raise BadInput(f"{path} line {number} is not NAME=value: mend it or put # before it")
        if match[1] in found:
            raise BadInput(f"{path} line {number}: {match[1]} stands twice: delete one of the lines")
        found[match[1]] = value
    return found


def _value(text: str) -> str | None:
    """None for what is not one value: quotes that don't match, blanks or control characters without quotes."""
    if text[:1] in ("'", '"'):
        match = re.fullmatch(r"""(['"])(.*?)\1\s*(#.*)?""", text)
        return match[2] if match and match[2].isprintable() else None
    value = re.split(r"(?:^|\s)#", text)[0].strip()
    return value if value.isprintable() and not re.search(r"\s", value) else None


def settings(config: Config, own: Mapping[str, str], role: str) -> dict[str, Any]:
    """A role's section with its back end and model settled; `own` are the variables of the campaign's `.env`."""
    found: dict[str, Any] = getattr(config.agents, role).model_dump()
    if found["backend"] == "auto":
        keys = [backend for backend, name in KEY_VARIABLES.items() if own.get(name)]
        found["backend"] = keys[0] if keys else "offline"
    if found["backend"] in MODELS and found["model"] is None:
        found["model"] = DEFAULT_MODELS[found["backend"]]
    if found["fallback_model"] == "auto":
        found["fallback_model"] = _usual_fallback(found)
    found["when_unreachable"] = config.agents.when_unreachable
    if found["unreachable_minutes"] is None:
        found["unreachable_minutes"] = UNREACHABLE_MINUTES[config.agents.when_unreachable]
    return found


def _usual_fallback(found: Mapping[str, Any]) -> str | None:
    """None where nobody knows what else the server serves, or at which price."""
    usual = DEFAULT_FALLBACKS.get(found["backend"])
    return None if found["base_url"] or found["price"] or found["model"] == usual else usual


def idle_keys(config: Config, own: Mapping[str, str], environment: Mapping[str, str]) -> list[str]:
    """Variables of the shell that hold a key which nobody here uses."""
    used = {settings(config, own, role)["backend"] for role in ROLES}
    return [
        name
        for backend, name in KEY_VARIABLES.items()
        if environment.get(name) and not own.get(name) and backend not in used
    ]


def check(config: Config, own: Mapping[str, str], environment: Mapping[str, str]) -> None:
    """Raise BadInput for a role that could not play: no key, no model, or a price that nobody knows under a money cap.

    `environment` are the shell's variables; the `.env` wins over them.
    """
    for role in ROLES:
        problem = trouble(config, own, environment, role)
        if problem:
            raise BadInput(problem)


def trouble(config: Config, own: Mapping[str, str], environment: Mapping[str, str], role: str) -> str:
    """Why a role could not play, with the fix; empty when it can."""
    section, found = getattr(config.agents, role), settings(config, own, role)
    if section.backend == "auto" and found["backend"] == "offline" and section.model is not None:
        return (
            f"agents.{role}.model is {section.model}, but nothing says who serves it: set agents.{role}.backend to "
            '"anthropic" or "openai", or put a key into .env'
        )
    if found["backend"] not in MODELS:
        return ""
    name = key_name(found)
    if section.model is None and not own.get(name):
        return (
            f"agents.{role}.backend is {found['backend']} without a model: name one as agents.{role}.model "
            f"(such as {found['model']}), or put {name} into .env for the usual one"
        )
    try:
        opening.key(found, role, {**environment, **own})
        for model in filter(None, (found["model"], found["fallback_model"], found["summary_model"])):
            opening.price({**found, "model": model}, role, caps(config))
    except ModelUnusable as error:
        return str(error)
    return ""


def line_up(config: Config, own: Mapping[str, str]) -> str:
    """Who plays and for how much at most: `researcher claude-…, …; at most $10.00`. Empty when nobody is paid."""
    players = {role: settings(config, own, role) for role in ROLES}
    if not any(found["backend"] in MODELS for found in players.values()):
        return ""
    names = (f"{role} {found['model'] or found['backend']}" for role, found in players.items())
    return f"{', '.join(names)}; at most {caps_in_words(config) or 'any sum: budget.* sets no cap'}"


def caps(config: Config) -> Caps:
    return Caps(**config.budget.model_dump())


def caps_in_words(config: Config) -> str:
    """`$10.00 a campaign, $2.00 a day`; empty without a cap."""
    shown = {"usd": show.money, "tokens": lambda cap: f"{show.count(cap)} tokens"}
    return ", ".join(
        f"{words(cap)} a {span}"
        for kind, words in shown.items()
        for span, cap in caps(config).of(kind).items()
        if cap is not None
    )
