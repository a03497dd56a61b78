"""The built-in player behind the session protocol: no key, no network, the same answer to the same files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agents.offline import builder, eda, findings, researcher, retro, reviewer, verifier, workshop
from agents.services import Services
from agents.session import Turn
from agents.transcript import Transcript

PLAYS: dict[str, Callable[[Turn], str]] = {
    "eda": eda.eda,
    "research": researcher.research,
    "plan": builder.plan,
    "revise": builder.revise,
    "review": reviewer.review,
    "build": workshop.build,
    "fix": workshop.build,
    "verify": verifier.verify,
    "findings": findings.findings,
    "retro": retro.retro,
    "handover": retro.handover,
}
"""Phase → the function that plays it: it writes the turn's files and returns the one-line reply."""


class OfflineSession:
    """Plays any of the three roles. It keeps nothing in memory: all it knows lies in the campaign's files."""

    backend = "offline"

    def __init__(
        self,
        *,
        role: str,
        settings: Mapping[str, Any],
        folder: Path,
        generation: int,
        round_number: int,
        services: Services | None = None,
    ) -> None:
        self.role = role
        self._transcript = Transcript(folder / f"{generation}.jsonl")
        if self._transcript.is_empty():
            self._transcript.append("spawn", backend=self.backend, round=round_number)

    def ask(self, turn: Turn) -> str:
        """Play the turn's phase; KeyError for a phase that no role has."""
        self._transcript.append("turn", id=turn.id, prompt=turn.prompt)
        reply = PLAYS[turn.phase](turn)
        self._transcript.append("reply", id=turn.id, text=reply)
        return reply

    def wants_respawn(self) -> str:
        return ""

    def close(self) -> None:
        self._transcript.close()
