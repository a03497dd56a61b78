"""What `doctor` learns from the servers of models: one free request to each, with the key that would be used."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.models import opening
from agents.models.provider import Fault
from agents.session import MODELS, ROLES
from orchestrator import keys
from orchestrator.checks import Check
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    from orchestrator.config import Config

SECONDS = 8.0
"""For one server, whatever it does."""


def servers(root: Path | None, config: Config, shell: Mapping[str, str], seconds: float = SECONDS) -> list[Check]:
    """A check for each distinct server and key of the roles that a model plays; none where none does.

    `seconds` is the most that one server may take.
    """
    own: dict[str, str] = {}
    if root is not None:
        with contextlib.suppress(BadInput):  # `players` tells
            own = keys.read_env(root / ".env")
    found: dict[tuple[str, ...], list[str]] = {}
    for role in ROLES:
        settled = keys.settings(config, own, role)
        if settled["backend"] in MODELS:
            place = (settled["backend"], str(settled["base_url"] or ""), opening.key_name(settled))
            found.setdefault(place, []).append(role)
    return [_server(config, own, shell, roles, seconds) for roles in found.values()]


def _server(
    config: Config, own: Mapping[str, str], shell: Mapping[str, str], roles: list[str], seconds: float
) -> Check:
    settled, name = keys.settings(config, own, roles[0]), f"server of {', '.join(roles)}"
    where = settled["base_url"] or settled["backend"]
    if any(keys.trouble(config, own, shell, role) for role in roles):
        return Check(name, None, f"{where}: not tried", "first mend what is said above")
    secret = opening.key(settled, roles[0], {**shell, **own})
    answer = _ask(settled, roles[0], secret, seconds)
    if answer is None:
        return Check(name, True, f"{where}: ok, it answers{' and takes the key' if secret else ''}")
    said = answer.without(secret)
    if answer.status == 401:
        fix = f"put a key that holds into {opening.key_name(settled) or f'agents.{roles[0]}.key_variable'}"
        return Check(name, False, f"{where}: refused ({said})", fix)
    if answer.status:
        return Check(name, None, f"{where}: it answers, and does not say whether the key holds ({said})")
    fix = f"start the server, mend the network, or correct agents.{roles[0]}.base_url in config.json"
    return Check(name, False, f"{where}: not reachable ({said})", fix)


def _ask(settled: Mapping[str, Any], role: str, secret: str, seconds: float) -> Fault | None:
    """Why the server can't be played with, None when it can; in a thread, since looking up a name may hang."""
    provider = opening.provider({**settled, "stalled_minutes": seconds / 60}, role, secret, "doctor")
    answers: list[Fault | None] = []

    def ask() -> None:
        try:
            provider.look()
            answers.append(None)
        except Fault as fault:
            answers.append(fault)
        finally:
            provider.close()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return answers[0] if answers else Fault(f"no answer in {seconds:g} s", "retry")
