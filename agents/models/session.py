"""A player that is a language model: a conversation that lives for many rounds and survives every kill.

All state is in the journal (see `history.py`): each step looks at what stands there and does the one thing that is
missing. History is append-only and goes back to the provider verbatim, which keeps its cache and its checks content.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents import prompts
from agents.errors import ContextFull, ModelRefused, OffProtocol
from agents.models import opening
from agents.models.history import Event, History
from agents.models.provider import Fault, Provider, Reply, ToolCall
from agents.models.retry import Patience
from agents.prices import Usage
from agents.services import Services
from agents.session import Turn
from agents.tools import Toolbox
from agents.transcript import spawn_event

FROZEN = ("backend", "model", "effort", "web_search", "cache_ttl")
"""Settings that hold for the life of a session: to change them loses the cache, or the conversation."""
LEAST_OUTPUT = 1024
_WINDOW = 128_000
_OVERHEAD_TOKENS = 500
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
        self.role, self.generation, self.backend = role, generation, str(settings["backend"])
        self._services = services
        self._toolbox = Toolbox(services.campaign, role, folder / "results")
        path = folder / f"{generation}.jsonl"
        frozen = (spawn_event(path) or {}).get("settings", {})
        self._settings = {**settings, **frozen}
        self._price = opening.price(self._settings, role, services.costs.caps)
        self._key = opening.key(self._settings, role, services.environment)
        self._history = History(path)
        self._is_new = not self._history.events
        if self._is_new:
            self._history.add(
                "spawn", backend=self.backend, round=round_number, role=role,
                settings={name: self._settings[name] for name in FROZEN},
                system=prompts.system(services.campaign, role), tools=self._toolbox.schemas(),
            )  # fmt: skip
        place = f"{services.campaign.name}/{role}/{generation}"
        self._provider: Provider = opening.provider(self._settings, role, self._key, place)
        self._patience = Patience(
            role, self._settings, services, seed=f"{services.seed}/{place}/{self._history.requests}",
            secret=self._key, begun=lambda: self._history.context_tokens > 0,
        )  # fmt: skip
        self._settle_answered()

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
        window = self._window()
        bounds = {
            "0.6 of its window": int(0.6 * window),
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
        messages = self._provider.messages(self._history.sent())
        expected, most = self._estimate()
        limit = self._output_limit(turn, expected, most)
        id = f"{self.role}/{self.generation}/{self._history.requests + 1}"
        usd = self._worst(most, limit)
        self._services.costs.reserve(
            id, role=self.role, round=turn.round, turn=turn.id, model=self._settings["model"],
            source=self._price.source, usd=usd, tokens=most + limit,
        )  # fmt: skip
        self._history.add("request", req=id, est_tokens=expected, reserved_usd=usd, max_tokens=limit)
        spawn = self._history.spawn
        try:
            reply = self._provider.send(messages, spawn["system"], spawn["tools"], limit)
        except Fault as fault:
            lost = Usage(cache_write=most, output=limit) if fault.lost else None
            self._book_failure(id, fault.without(self._key), fault.usage or lost)
            raise
        usd, source = self._charged(reply)
        stored = reply.stop not in ("refusal", "context_full")
        self._history.add(
            "reply" if stored else "failed", req=id, stop=reply.stop, usage=reply.usage.as_dict(), usd=usd,
            source=source, context_tokens=reply.usage.total,
            **({"content": reply.content} if stored else {"why": f"{reply.stop} {reply.detail}".strip()}),
        )  # fmt: skip
        self._services.costs.settle(id, reply.usage, usd, source)
        return reply

    def _book_failure(self, id: str, why: str, usage: Usage | None) -> None:
        if usage is None:
            self._history.add("failed", req=id, why=why)
            self._services.costs.release(id, why[:200])
            return
        usd = self._price.cost(usage, self._settings["cache_ttl"])
        self._history.add("failed", req=id, why=why, usage=usage.as_dict(), usd=usd, source="estimate")
        self._services.costs.settle(id, usage, usd, "estimate")

    def _settle_answered(self) -> None:
        """Requests whose end stands in the journal and not yet in the books, or whose beginning stands in the books
        alone: the kill came in between.
        """
        known = {event["req"] for event in self._history.events if event["event"] == "request"}
        for id in self._services.costs.open_ids(f"{self.role}/{self.generation}/"):
            if id not in known and not self._is_new:
                self._services.costs.release(id, "never sent")
        for event in self._history.events:
            if event["event"] in ("reply", "failed") and self._services.costs.is_open(event["req"]):
                if event.get("usage") is None:
                    self._services.costs.release(event["req"], event["why"][:200])
                else:
                    self._services.costs.settle(event["req"], Usage(**event["usage"]), event["usd"], event["source"])

    def _charged(self, reply: Reply) -> tuple[float, str]:
        if reply.usd is not None:
            return reply.usd, "provider"
        return self._price.cost(reply.usage, self._settings["cache_ttl"]), self._price.source

    def _estimate(self) -> tuple[int, int]:
        """Input tokens of the next request: (a fair guess, a bound): no tokenizer makes more tokens than bytes."""
        reply, tail = self._history.since_reply()
        fresh: list[Any] = [event for event in tail if event["event"] in ("turn", "note", "tool_result")]
        if reply is None:
            fresh += [self._history.spawn["system"], self._history.spawn["tools"]]
        size = len(json.dumps(fresh, ensure_ascii=False).encode())
        known = self._history.context_tokens
        return known + size // 3, known + size + _OVERHEAD_TOKENS

    def _output_limit(self, turn: Turn, expected: int, most: int) -> int:
        """Output tokens to allow: less than configured when the window or what is left of the budget is short."""
        limit = min(self._settings["max_output_tokens"], max(LEAST_OUTPUT, self._window() - expected))
        costs = self._services.costs
        money, tokens = costs.headroom(turn.round), costs.token_headroom(turn.round)
        while limit > LEAST_OUTPUT and (
            (money is not None and self._worst(most, limit) > money) or (tokens is not None and most + limit > tokens)
        ):
            limit = max(LEAST_OUTPUT, limit // 2)
        return limit

    def _worst(self, most: int, limit: int) -> float:
        """USD that a request can cost at most; what a web search brings into the context is not known before."""
        searches = Usage(searches=opening.searches(self._settings, self.role))
        return self._price.worst(most, limit, self._settings["cache_ttl"]) + self._price.cost(searches)

    def _window(self) -> int:
        return int(self._settings["context_tokens"] or self._price.window or _WINDOW)
