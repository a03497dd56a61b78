"""The money of one model session: what its next request can cost at most, and what a request did cost.

What a provider reports is believed where it can be: a request takes no more tokens than bytes, and answers with no more
than it was allowed. Where it reports nothing, or nonsense, that bound is booked, so that a cap holds all the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from agents.costs import CostBook
from agents.models import opening
from agents.models.history import History
from agents.models.provider import Fault, Reply
from agents.prices import Price, Usage

LEAST_OUTPUT = 1024
SEARCH_TOKENS = 25_000
"""What the pages that one web search brings may take, generously: no provider lets a request bound it."""
_WINDOW = 128_000
OVERHEAD_TOKENS = 500
"""Of a request, beyond its texts."""


@dataclass(frozen=True)
class Booked:
    """A request that was set money aside for."""

    id: str
    expected: int
    """Input tokens, a fair guess."""
    most: int
    """Input tokens, a bound."""
    limit: int
    """Output tokens that are allowed."""


class Books:
    """Of one session; every line of the journal that is about money is written here."""

    def __init__(
        self, role: str, generation: int, settings: Mapping[str, Any], price: Price, history: History, costs: CostBook
    ) -> None:
        self._place = f"{role}/{generation}"
        self._role, self._settings, self._price = role, settings, price
        self._history, self._costs = history, costs
        self._searches = opening.searches(settings, role)

    @property
    def window(self) -> int:
        return int(self._settings["context_tokens"] or self._price.window or _WINDOW)

    def reserve(self, turn_id: str, round_number: int) -> Booked:
        """Set the next request's worst case aside. Raises BudgetSpent."""
        expected, most = self._estimate()
        limit = self._output_limit(round_number, expected, most)
        usd = self._worst(most, limit)
        booked = Booked(f"{self._place}/{self._history.requests + 1}", expected, most, limit)
        self._costs.reserve(
            booked.id, role=self._role, round=round_number, turn=turn_id, model=self._settings["model"],
            source=self._price.source, usd=usd, tokens=most + limit,
        )  # fmt: skip
        self._history.add("request", req=booked.id, est_tokens=expected, reserved_usd=usd, max_tokens=limit)
        return booked

    def answered(self, booked: Booked, reply: Reply) -> None:
        """A reply came: into the journal, whole unless it can't be part of the history, then into the books."""
        usage, size = reply.usage, len(json.dumps(reply.content, ensure_ascii=False).encode())
        if usage is not None and is_plausible(usage, booked.most, booked.limit):
            context = bound = usage.total
            usd, source = self._price.cost(usage, self._settings["cache_ttl"]), self._price.source
        else:
            usage = Usage(cache_write=booked.most, output=min(booked.limit, size))
            context, bound = booked.expected + size // 3, booked.most + size
            usd, source = self._price.cost(usage, self._settings["cache_ttl"]), "estimate"
        if reply.usd is not None:
            usd, source = reply.usd, "provider"
        stored = reply.stop not in ("refusal", "context_full")
        self._history.add(
            "reply" if stored else "failed", req=booked.id, stop=reply.stop, usage=usage.as_dict(), usd=usd,
            source=source, context_tokens=context, context_bound=bound,
            **({"content": reply.content} if stored else {"why": f"{reply.stop} {reply.detail}".strip()}),
        )  # fmt: skip
        self._costs.settle(booked.id, usage, usd, source)

    def failed(self, booked: Booked, fault: Fault, why: str) -> None:
        """No usable reply came; the request may have been billed all the same."""
        if not fault.costs:
            self._history.add("failed", req=booked.id, why=why)
            self._costs.release(booked.id, why[:200])
            return
        known = fault.usage if not self._searches else None  # what searches brought comes last
        if known is not None and not is_plausible(known, booked.most, booked.limit):
            known = None
        usage = replace(known or Usage(cache_write=booked.most), output=booked.limit)  # thoughts may not be streamed
        usd = self._price.cost(usage, self._settings["cache_ttl"])
        self._history.add("failed", req=booked.id, why=why, usage=usage.as_dict(), usd=usd, source="estimate")
        self._costs.settle(booked.id, usage, usd, "estimate")

    def catch_up(self, *, is_new: bool) -> None:
        """Settle the requests whose end stands in the journal and not yet in the books, free those whose beginning
        stands in the books alone: the kill came in between.
        """
        known = {event["req"] for event in self._history.events if event["event"] == "request"}
        for id in self._costs.open_ids(f"{self._place}/"):
            if id not in known and not is_new:
                self._costs.release(id, "never sent")
        for event in self._history.events:
            if event["event"] in ("reply", "failed") and self._costs.is_open(event["req"]):
                if event.get("usage") is None:
                    self._costs.release(event["req"], event["why"][:200])
                else:
                    self._costs.settle(event["req"], Usage(**event["usage"]), event["usd"], event["source"])

    def _estimate(self) -> tuple[int, int]:
        """Input tokens of the next request: (a fair guess, a bound): no tokenizer makes more tokens than bytes."""
        reply, tail = self._history.since_reply()
        fresh: list[Any] = [event for event in tail if event["event"] in ("turn", "note", "tool_result")]
        if reply is None:
            fresh += [self._history.spawn["system"], self._history.spawn["tools"]]
        size = len(json.dumps(fresh, ensure_ascii=False).encode())
        known = self._history.context_tokens
        bound = max(known, int(reply.get("context_bound", 0))) if reply else 0
        return known + size // 3, self._with_searches(bound + size + OVERHEAD_TOKENS)

    def _with_searches(self, most: int) -> int:
        """After each search the model reads all again, and what the searches so far have brought."""
        count = self._searches
        return (count + 1) * most + SEARCH_TOKENS * count * (count + 1) // 2

    def _output_limit(self, round_number: int, expected: int, most: int) -> int:
        """Output tokens to allow: less than configured when the window or what is left of the budget is short."""
        limit = min(self._settings["max_output_tokens"], max(LEAST_OUTPUT, self.window - expected))
        money, tokens = self._costs.headroom(round_number), self._costs.token_headroom(round_number)
        while limit > LEAST_OUTPUT and (
            (money is not None and self._worst(most, limit) > money) or (tokens is not None and most + limit > tokens)
        ):
            limit = max(LEAST_OUTPUT, limit // 2)
        return limit

    def _worst(self, most: int, limit: int) -> float:
        """USD that a request can cost at most."""
        searches = self._price.cost(Usage(searches=self._searches))
        return self._price.worst(most, limit, self._settings["cache_ttl"]) + searches


def is_plausible(usage: Usage, most: int, limit: int) -> bool:
    """Twice the bound is still believed: a bound can be wrong, and the provider's own count is what is billed."""
    return 0 < usage.sent <= 2 * most and usage.output <= 2 * limit
