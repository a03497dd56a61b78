"""Long results in short: a cheap model tells what is cut out of a log before a session's conversation takes it up."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from agents import prompts
from agents.errors import BudgetSpent
from agents.models import opening
from agents.models.books import OVERHEAD_TOKENS, is_plausible
from agents.models.provider import Fault, Provider, Reply, hidden
from agents.prices import Usage
from agents.services import Services
from agents.session import Turn

MOST_CHARS = 100_000
"""What the summary's model is shown; of a longer text head and tail."""
LIMIT = 4000
"""Output tokens, thoughts included."""
SUMMARY_CHARS = 3_000


class Summariser:
    """Of one session. Each summary is one request with lines of its own in costs.jsonl, never asked twice.

    Raises ModelUnusable when the model's price is unknown and money is capped.
    """

    def __init__(self, role: str, generation: int, settings: Mapping[str, Any], secret: str, services: Services):
        self._role, self._services, self._secret = role, services, secret
        self._place = f"summary/{role}/{generation}"
        self._settings = {**settings, "model": settings["summary_model"], "effort": None, "web_search": False}
        self._settings["cache_ttl"] = None  # nothing of it is read again
        self._price = opening.price(self._settings, role, services.costs.caps)
        self._client: Provider | None = None
        self._numbers = itertools.count(1)

    def tell(self, turn: Turn, text: str) -> str:
        """What a text says, fenced as data; empty when nobody could tell."""
        shown = text if len(text) <= MOST_CHARS else f"{text[: MOST_CHARS // 2]}\n…\n{text[-MOST_CHARS // 2 :]}"
        system = prompts.render(self._services.campaign, "summary")
        asked = prompts.fence(shown, "long result")
        try:
            said = self._ask(turn, system, asked)
        except (Fault, BudgetSpent) as error:
            why = error.without(self._secret) if isinstance(error, Fault) else str(error)
            self._services.progress("note", text=f"{self._role}: no summary by {self._settings['model']}: {why}")
            return ""
        return prompts.fence(said[:SUMMARY_CHARS], f"summary by {self._settings['model']}") if said else ""

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _ask(self, turn: Turn, system: str, asked: str) -> str:
        if self._client is None:
            self._client = opening.provider(self._settings, self._role, self._secret, self._place)
        most = len(system.encode()) + len(asked.encode()) + OVERHEAD_TOKENS
        costs = self._services.costs
        id = f"{self._place}/{turn.id}/{next(self._numbers)}"
        costs.reserve(
            id, role=self._role, round=turn.round, turn=turn.id, model=self._settings["model"],
            source=self._price.source, usd=self._price.worst(most, LIMIT), tokens=most + LIMIT, purpose="summary",
        )  # fmt: skip
        messages = self._client.messages([{"event": "turn", "text": asked}])
        try:
            reply = self._client.send(messages, system, [], LIMIT)
        except Fault as fault:
            if fault.costs:
                costs.settle(id, Usage(cache_write=most, output=LIMIT), self._price.worst(most, LIMIT), "estimate")
            else:
                costs.release(id, fault.without(self._secret)[:200])
            raise
        self._settle(id, reply, most)
        if reply.stop not in ("done", "truncated"):
            return ""
        return str(hidden(self._client.text(reply.content).strip(), self._secret))

    def _settle(self, id: str, reply: Reply, most: int) -> None:
        usage = reply.usage
        if usage is None or not is_plausible(usage, most, LIMIT):
            usage, source = Usage(cache_write=most, output=LIMIT), "estimate"
        else:
            source = self._price.source
        usd = self._price.cost(usage) if reply.usd is None else reply.usd
        self._services.costs.settle(id, usage, usd, "provider" if reply.usd is not None else source)
