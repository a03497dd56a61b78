"""The journal of a model session, read: where a turn stands, what is unanswered, how long the context is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.models.provider import plain
from agents.transcript import Transcript

Event = Mapping[str, Any]
SENT = ("turn", "note", "reply", "tool_result")
"""What the provider gets to see, in this order of time; the other events are for the books."""


class History:
    """One session's events, appended durably and looked up often."""

    def __init__(self, path: Path) -> None:
        self._transcript = Transcript(path)
        self.events: list[dict[str, Any]] = self._transcript.events()

    def add(self, event: str, **fields: Any) -> None:
        fields = plain(fields)  # what goes out now is what a restarted session will send
        self._transcript.append(event, **fields)
        self.events.append({"event": event, **fields})

    def close(self) -> None:
        self._transcript.close()

    @property
    def spawn(self) -> dict[str, Any]:
        return self.events[0]

    def sent(self) -> list[Event]:
        return [event for event in self.events if event["event"] in SENT]

    def of_turn(self, turn_id: str) -> list[Event]:
        """The events of a turn, from its text on; empty when it was never begun."""
        for place in range(len(self.events) - 1, -1, -1):
            if self.events[place]["event"] == "turn" and self.events[place]["id"] == turn_id:
                return list(self.events[place:])
        return []

    def line(self, turn_id: str) -> str | None:
        """The reply of a turn that has ended."""
        ends = [event for event in self.of_turn(turn_id) if event["event"] == "end" and event["turn"] == turn_id]
        return str(ends[-1]["line"]) if ends else None

    def is_last_turn(self, turn_id: str) -> bool:
        turns = [event["id"] for event in self.events if event["event"] == "turn"]
        return bool(turns) and turns[-1] == turn_id

    def since_reply(self) -> tuple[Event | None, list[Event]]:
        """The last reply and what came after it."""
        for place in range(len(self.events) - 1, -1, -1):
            if self.events[place]["event"] == "reply":
                return self.events[place], list(self.events[place + 1 :])
        return None, list(self.events)

    def started(self, call_id: str) -> bool:
        """Whether a tool call was begun before now; its result is asked for elsewhere."""
        _, tail = self.since_reply()
        return any(event["event"] == "tool_start" and event["id"] == call_id for event in tail)

    @property
    def requests(self) -> int:
        return sum(event["event"] == "request" for event in self.events)

    @property
    def context_tokens(self) -> int:
        """Tokens of the conversation as the provider counted them with the last reply; 0 before it."""
        reply, _ = self.since_reply()
        return int(reply["context_tokens"]) if reply else 0
