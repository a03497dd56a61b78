"""The money ledger of a campaign: `costs.jsonl`, one line per event, durable before a request goes out.

A request is reserved at its worst case first and settled at what it cost, or released when it certainly was not
answered. A reservation that was neither counts as spent in full: so a cap holds whatever happens in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from agents.errors import BudgetSpent
from agents.prices import Usage
from agents.transcript import Transcript

SPANS = ("campaign", "day", "round")


@dataclass(frozen=True)
class Caps:
    """Most USD and tokens for a whole campaign, a day (UTC) and a round; None: no cap."""

    usd: float | None = None
    usd_per_day: float | None = None
    usd_per_round: float | None = None
    tokens: int | None = None
    tokens_per_day: int | None = None
    tokens_per_round: int | None = None

    def of(self, kind: str) -> dict[str, float | None]:
        """Caps of "usd" or "tokens" by span."""
        return {span: getattr(self, kind if span == "campaign" else f"{kind}_per_{span}") for span in SPANS}


@dataclass
class Totals:
    usd: float = 0.0
    """Unanswered reservations included."""
    unanswered_usd: float = 0.0
    requests: int = 0
    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    searches: int = 0

    @property
    def cached_share(self) -> float | None:
        """The part of the input that was read from the provider's cache."""
        sent = self.input + self.cache_read + self.cache_write
        return self.cache_read / sent if sent else None


@dataclass
class _Entry:
    reserved: dict[str, Any]
    usd: float
    tokens: int
    usage: Usage | None = None
    open: bool = True


class CostBook:
    """`costs.jsonl` of one campaign. `now` gives UTC time."""

    def __init__(self, path: Path, caps: Caps, now: Callable[[], datetime]) -> None:
        self.caps = caps
        self._now = now
        self._path = path
        self._journal: Transcript | None = None
        self._entries: dict[str, _Entry] = {}
        if path.exists():
            self._journal = Transcript(path)
            for event in self._journal.events():
                self._apply(event)

    def reserve(
        self, id: str, *, role: str, round: int, turn: str, model: str, source: str, usd: float, tokens: int
    ) -> None:
        """Set the worst case of a request aside. Raises BudgetSpent when a cap could be passed."""
        if id in self._entries:
            raise ValueError(f"the request {id} stands in {self._path.name} already")
        day = self._now().date().isoformat()
        for kind, wanted in (("usd", usd), ("tokens", tokens)):
            for span, (cap, spent) in self._spans(kind, day, round).items():
                if cap is not None and spent + wanted > cap:
                    raise BudgetSpent(_sentence(kind, span, cap, spent, wanted))
        self._append(
            "reserve", id=id, day=day, role=role, round=round, turn=turn, model=model, price=source, usd=usd,
            tokens=tokens,
        )  # fmt: skip

    def settle(self, id: str, usage: Usage, usd: float, source: str) -> None:
        """What a request has cost; `source` names where the figure comes from."""
        self._append("settle", id=id, usage=usage.as_dict(), usd=usd, price=source)

    def release(self, id: str, why: str) -> None:
        """The request certainly was not answered: its reservation is free again."""
        self._append("release", id=id, why=why)

    def is_open(self, id: str) -> bool:
        """Whether a request was reserved and neither settled nor released."""
        return id in self._entries and self._entries[id].open

    def headroom(self, round: int) -> float | None:
        """USD that the tightest cap leaves; None without a cap."""
        return self._headroom("usd", round)

    def token_headroom(self, round: int) -> float | None:
        return self._headroom("tokens", round)

    def totals(self, *, round: int | None = None, role: str | None = None, day: str | None = None) -> Totals:
        """Sums over the requests that match."""
        total = Totals()
        for entry in self._matching(round=round, role=role, day=day):
            total.usd += entry.usd
            total.requests += 1
            if entry.open:
                total.unanswered_usd += entry.usd
            for field in fields(Usage) if entry.usage else ():
                setattr(total, field.name, getattr(total, field.name) + getattr(entry.usage, field.name))
        return total

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _headroom(self, kind: str, round: int) -> float | None:
        day = self._now().date().isoformat()
        spans = self._spans(kind, day, round).values()
        return min((cap - spent for cap, spent in spans if cap is not None), default=None)

    def _spans(self, kind: str, day: str, round: int) -> dict[str, tuple[float | None, float]]:
        """(cap, spent) of each span."""
        which: dict[str, dict[str, Any]] = {"campaign": {}, "day": {"day": day}, "round": {"round": round}}
        caps = self.caps.of(kind)
        return {span: (caps[span], sum(getattr(e, kind) for e in self._matching(**which[span]))) for span in SPANS}

    def _matching(self, **wanted: Any) -> Iterable[_Entry]:
        asked = {key: value for key, value in wanted.items() if value is not None}
        return [
            entry
            for entry in self._entries.values()
            if all(entry.reserved[key] == value for key, value in asked.items())
        ]

    def _append(self, event: str, **values: Any) -> None:
        if self._journal is None:
            self._journal = Transcript(self._path)
        self._journal.append(event, at=self._now().isoformat(timespec="seconds"), **values)
        self._apply({"event": event, **values})

    def _apply(self, event: dict[str, Any]) -> None:
        if event["event"] == "reserve":
            self._entries[event["id"]] = _Entry(event, event["usd"], event["tokens"])
            return
        entry = self._entries.get(event["id"])
        if entry is None:
            return
        entry.open = False
        if event["event"] == "settle":
            entry.usage = Usage(**event["usage"])
            entry.usd, entry.tokens = event["usd"], entry.usage.total
        else:
            del self._entries[event["id"]]


def _sentence(kind: str, span: str, cap: float, spent: float, wanted: float) -> str:
    key = f"budget.{kind}" if span == "campaign" else f"budget.{kind}_per_{span}"
    shown = (lambda value: f"{value:,.2f} USD") if kind == "usd" else (lambda value: f"{value:,.0f} tokens")
    place = {"campaign": "this campaign", "day": "today", "round": "this round"}[span]
    return (
        f"{shown(spent)} of {shown(cap)} are spent in {place}, and the next request may take {shown(wanted)}: "
        f"raise {key} in config.json to go on"
    )
