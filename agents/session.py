"""What a player is to the orchestrator: a session that answers turns.

A turn hands over paths and callables, never file contents, and wants one line back. The transcript of a session lies in
`sessions/<role>/<generation>.jsonl`; a session is re-spawned (a new generation) every few rounds with a hand-over note.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from agents.services import Services

ROLES = ("researcher", "builder", "reviewer")
MODELS = ("anthropic", "openai")
"""Back ends that are language models: they cost money and have settings of their own."""

BACKENDS = {
    "anthropic": "agents.models.session:ModelSession",
    "openai": "agents.models.session:ModelSession",
    "offline": "agents.offline.session:OfflineSession",
    "scripted": "agents.scripted:ScriptedSession",
}


@dataclass(frozen=True)
class Turn:
    """One request to a player.

    `write(name, text)` lands one of the files in `makes` (validated, atomic; raises ValueError with the reason when the
    text is refused). `tools` are callables of the orchestrator, such as `run_experiment() -> dict`. `facts` are small
    numbers and words that decide (seconds_left, submissions_left, strategy, failure, force_bold, seed).
    """

    id: str
    role: str
    phase: str
    round: int
    prompt: str
    campaign: Path
    needs: Mapping[str, Path]
    makes: Mapping[str, Path]
    write: Callable[[str, str], None]
    tools: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


class AgentSession(Protocol):
    """A persistent player of one role."""

    role: str
    backend: str

    def ask(self, turn: Turn) -> str:
        """Do the turn's work, write its files, answer with one line."""
        ...

    def wants_respawn(self) -> str:
        """Why the next round had better begin a new session; empty when this one can go on."""
        ...

    def close(self) -> None:
        """Release what the session holds; the transcript stays."""
        ...


def open_session(
    role: str,
    settings: Mapping[str, Any],
    folder: Path,
    generation: int,
    round_number: int,
    services: Services | None = None,
) -> AgentSession:
    """Open (or go on with) a session; `folder` is `sessions/<role>`, created when missing.

    Back ends that are models need `services` and raise ModelUnusable when a key or a price is missing.
    """
    module, name = BACKENDS[settings["backend"]].split(":")
    factory: Callable[..., AgentSession] = getattr(importlib.import_module(module), name)
    folder.mkdir(parents=True, exist_ok=True)
    return factory(
        role=role,
        settings=settings,
        folder=folder,
        generation=generation,
        round_number=round_number,
        services=services,
    )
