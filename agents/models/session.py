"""A player that is a language model: a conversation that lives for many rounds and survives every kill.

All state is in the journal (see `history.py`): each step looks at what stands there and does the one thing that is
missing. History is append-only and goes back to the provider verbatim, which keeps its cache and its checks content.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents import prompts
from agents.errors import ContextFull, ModelRefused, OffProtocol
from agents.models import opening
from agents.models.books import Books
from agents.models.history import Event, History
from agents.models.provider import Fault, Provider, Reply, ToolCall, hidden
from agents.models.retry import Patience
from agents.models.summary import Summariser
from agents.services import Services
from agents.session import Turn
from agents.tools import Toolbox
from agents.transcript import spawn_event

FROZEN = ("backend", "model", "effort", "web_search", "cache_ttl")
"""Settings that hold for the life of a session: to change them loses the cache, or the conversation."""
INTERRUPTED = (
    "interrupted: the orchestrator was stopped during this call; its effects are unknown, look before you repeat it"
)
CUT_OFF = "not run: the reply was cut off at its length limit"


class ModelSession:
    """Needs `services`. Raises ModelUnusable when a key or a price is missing."""

    def __init__(
        self,
        *,
        role: str,
        settings: Mapping[str, Any],
        folder: Path,
        generation: int,
        round_number: int,
        services: Services | None,
    ) -> None:
        assert services is not None, "a model session needs services"
        self.role, self.backend = role, str(settings["backend"])
        self._services = services
        path = folder / f"{generation}.jsonl"
        frozen = (spawn_event(path) or {}).get("settings", {})
        self._settings = {**settings, **frozen}
        self._price = opening.price(self._settings, role, services.costs.caps)
        self._key = opening.key(self._settings, role, services.environment)
        self._summariser = (
            Summariser(role, generation, self._settings, self._key, services) if settings["summary_model"] else None
        )
        tell = self._summariser.tell if self._summariser else None
        self._toolbox = Toolbox(services.campaign, role, folder / "results", tell)
        self._history = History(path)
        is_new = not self._history.events
        if is_new:
            self._history.add(
                "spawn", backend=self.backend, round=round_number, role=role,
                settings={name: self._settings[name] for name in FROZEN},
                system=prompts.system(services.campaign, role), tools=self._toolbox.schemas(),
            )  # fmt: skip
        self._books = Books(role, generation, self._settings, self._price, self._history, services.costs)
        place = f"{services.campaign.name}/{role}/{generation}"
        self._provider: Provider = opening.provider(self._settings, role, self._key, place)
        self._patience = Patience(
            role, self._settings, services, seed=f"{services.seed}/{place}/{self._history.requests}",
            secret=self._key, begun=lambda: self._history.context_tokens > 0,
        )  # fmt: skip
        self._books.catch_up(is_new=is_new)

    def ask(self, turn: Turn) -> str:
        """Play a turn to its reported line, going on where an earlier call of the same turn was killed.

        A turn that has ended and whose files stand costs nothing. Raises the errors of `agents.errors`.
        """
        line = self._history.line(turn.id)
        if line is not None and all(path.is_file() for path in turn.makes.values()):
            return line
        if line is not None or not self._history.is_last_turn(turn.id):
            self._close_dangling()
            self._history.add("turn", id=turn.id, text=f"turn {turn.id}\n\n{turn.prompt}")
        for _ in range(self._settings["max_requests"] + 1):
            line = self._step(turn)
            if line is not None:
                self._history.add("end", turn=turn.id, line=line)
                return line
        raise OffProtocol(f"{self.role}: {turn.id} did not end within {self._settings['max_requests']} requests")

    def wants_respawn(self) -> str:
        """Why the next round had better begin a new session; empty when this one can go on."""
        bounds = {
            "0.6 of its window": int(0.6 * self._books.window),
            "the model's price step": self._price.step,
            "agents.*.context_cap": self._settings["context_cap"],
        }
        context = self._history.context_tokens
        for name, bound in bounds.items():
            if bound is not None and context > bound:
                return f"its context of {context:,} tokens passed {name} ({bound:,})"
        return ""

    def close(self) -> None:
        self._provider.close()
        if self._summariser is not None:
            self._summariser.close()
        self._history.close()

    def _step(self, turn: Turn) -> str | None:
        """Do the one thing that the journal lacks; the reported line when the turn has ended."""
        events = self._history.of_turn(turn.id)
        replies = [event for event in events if event["event"] == "reply"]
        if not replies:
            self._request(turn)
            return None
        _, tail = self._history.since_reply()
        reply = replies[-1]
        notes = [event for event in events if event["event"] == "note"]
        calls = self._provider.calls(reply["content"])
        if reply["stop"] == "truncated" or (reply["stop"] == "done" and calls):
            self._answer_all(reply, tail, CUT_OFF)
            self._note_once(tail, "cut", prompts.render(self._services.campaign, "cut_off"))
        elif reply["stop"] == "tools" and calls:
            line = self._run_tools(turn, reply, tail)
            if line is not None:
                return line
        elif reply["stop"] != "resume":
            if any(note["kind"] == "report" for note in notes) and not any(e["event"] == "note" for e in tail):
                lines = [line for line in self._provider.text(reply["content"]).splitlines() if line.strip()]
                return lines[-1].strip() if lines else ""
            self._note_once(tail, "report", prompts.render(self._services.campaign, "report"))
        self._request(turn)
        return None

    def _run_tools(self, turn: Turn, reply: Event, tail: list[Event]) -> str | None:
        """Run the calls that have no result yet, in order; the line when one of them is a good `report`."""
        results = {event["id"]: event for event in tail if event["event"] == "tool_result"}
        line: str | None = None
        for call in self._provider.calls(reply["content"]):
            result = results.get(call.id)
            is_error = bool(result["is_error"]) if result else self._run_tool(turn, call)
            if call.name == "report" and not is_error and call.arguments is not None:
                line = str(call.arguments["line"]).strip()
        return line

    def _run_tool(self, turn: Turn, call: ToolCall) -> bool:
        """Whether it ended in an error that the model is told."""
        started = self._history.started(call.id)
        synthetic = {}
        if started and call.name != "run_experiment":  # the referee answers again for a script that it has judged
            text, is_error, synthetic = INTERRUPTED, True, {"synthetic": True}
        else:
            self._history.add("tool_start", id=call.id, name=call.name)
            if call.arguments is None:
                text, is_error = f"the arguments of {call.name} are not a JSON object: send the call again", True
            else:
                text, is_error = self._toolbox.call(turn, call.name, call.arguments, call.id)
        self._history.add("tool_result", id=call.id, content=text, is_error=is_error, **synthetic)
        return is_error

    def _close_dangling(self) -> None:
        """Before a new turn: a history with unanswered calls would be refused."""
        reply, tail = self._history.since_reply()
        if reply is not None:
            self._answer_all(reply, tail, INTERRUPTED)

    def _answer_all(self, reply: Event, tail: list[Event], text: str) -> None:
        answered = {event["id"] for event in tail if event["event"] == "tool_result"}
        for call in self._provider.calls(reply["content"]):
            if call.id not in answered:
                self._history.add("tool_result", id=call.id, content=text, is_error=True, synthetic=True)

    def _note_once(self, tail: list[Event], kind: str, text: str) -> None:
        if not any(event["event"] == "note" for event in tail):
            self._history.add("note", kind=kind, text=text)

    def _request(self, turn: Turn) -> None:
        """Get the next reply into the journal, waiting out what passes."""
        reply = self._patience.outlast(lambda: self._send(turn))
        if reply.stop == "context_full":
            raise ContextFull(f"{self.role}: the conversation has filled the window of {self._settings['model']}")
        if reply.stop == "refusal":
            notes = [event for event in self._history.of_turn(turn.id) if event["event"] == "note"]
            if any(note["kind"] == "rephrase" for note in notes):
                raise ModelRefused(
                    f"{self.role}: {self._settings['model']} refused {turn.id} twice {reply.detail}".strip()
                )
            why = f"{self.role}: the model declined, asking in other words {reply.detail}"
            self._services.progress("note", text=why.strip())
            self._history.add("note", kind="rephrase", text=prompts.render(self._services.campaign, "rephrase"))

    def _send(self, turn: Turn) -> Reply:
        """One request, in the books before it goes out and after it came back."""
        messages, spawn = self._provider.messages(self._history.sent()), self._history.spawn
        booked = self._books.reserve(turn.id, turn.round)
        try:
            reply = self._provider.send(messages, spawn["system"], spawn["tools"], booked.limit)
        except Fault as fault:
            self._books.failed(booked, fault, fault.without(self._key))
            raise
        reply = replace(reply, content=hidden(reply.content, self._key), detail=hidden(reply.detail, self._key))
        self._books.answered(booked, reply)
        return reply
