"""The built-in player behind the session protocol: no key, no network, the same answer to the same files."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agents.session import Turn
from agents.transcript import Transcript

PLAYS = {
    "eda": "agents.offline.eda:eda",
    "research": "agents.offline.researcher:research",
    "plan": "agents.offline.builder:plan",
    "revise": "agents.offline.builder:revise",
    "review": "agents.offline.reviewer:review",
    "build": "agents.offline.workshop:build",
    "fix": "agents.offline.workshop:build",
    "verify": "agents.offline.verifier:verify",
    "findings": "agents.offline.findings:findings",
    "retro": "agents.offline.reviewer:retrospect",
    "handover": "agents.offline.findings:handover",
}
"""Phase → the function that plays it: it writes the turn's files and returns the one-line reply."""


class OfflineSession:
    """Plays any of the three roles. It keeps nothing in memory: all it knows lies in the campaign's files."""

    backend = "offline"

    def __init__(
        self,
        *,
        role: str,
        settings: Mapping[str, Any] | None = None,
        folder: Path,
        generation: int = 1,
        round_number: int = 0,
    ) -> None:
        self.role = role
        self.generation = generation
        self._transcript = Transcript(folder / f"{generation}.jsonl")
        if self._transcript.is_empty():
            self._transcript.append("spawn", backend=self.backend, round=round_number)

    def ask(self, turn: Turn) -> str:
        """Play the turn's phase; KeyError for a phase that no role has."""
        self._transcript.append("turn", id=turn.id, prompt=turn.prompt)
        module, name = PLAYS[turn.phase].split(":")
        play: Callable[[Turn], str] = getattr(importlib.import_module(module), name)
        reply = play(turn)
        self._transcript.append("reply", id=turn.id, text=reply)
        return reply

    def close(self) -> None:
        self._transcript.close()
