"""What happened in a round's phases: `R<NN>_phases.json`, written at every phase's start and end.

A phase is done when the journal has its end and its files are there. Starts are counted, so that a phase which takes
the orchestrator down with it is given up after a bounded number of attempts instead of for ever.
"""

from __future__ import annotations

from typing import Any

from orchestrator.files import read_json_or_none, write_json
from orchestrator.rounds import RoundFiles


class Journal:
    """The phases of one round."""

    def __init__(self, files: RoundFiles) -> None:
        self._files = files
        self._path = files.path("phases.json")
        record = read_json_or_none(self._path) or {}
        self._done: dict[str, dict[str, Any]] = record.get("done", {})
        self._starts: dict[str, int] = record.get("starts", {})

    def is_done(self, phase: str, makes: tuple[str, ...]) -> bool:
        return phase in self._done and all(self._files.has(name) for name in makes)

    def reply(self, phase: str) -> str:
        """The one-line reply that ended a phase, empty when it has not ended."""
        return str(self._done.get(phase, {}).get("reply", ""))

    def starts(self, phase: str) -> int:
        return self._starts.get(phase, 0)

    def begin(self, phase: str) -> None:
        self._starts[phase] = self.starts(phase) + 1
        self._write()

    def take_back(self, phase: str) -> None:
        """A start that ended in good order, by a cap or a person, is no failed attempt."""
        self._starts[phase] = self.starts(phase) - 1
        self._write()

    def end(self, phase: str, reply: str, seconds: float) -> None:
        self._done[phase] = {"reply": reply, "seconds": round(seconds, 3)}
        self._write()

    @property
    def phases(self) -> dict[str, dict[str, Any]]:
        """Ended phases in order: reply and seconds."""
        return dict(self._done)

    @property
    def seconds(self) -> float:
        """Wall-clock seconds in the phases that ended."""
        return float(sum(phase["seconds"] for phase in self._done.values()))

    def _write(self) -> None:
        write_json(self._path, {"round": self._files.number, "done": self._done, "starts": self._starts})
