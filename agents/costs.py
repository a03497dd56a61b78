"""The money ledger of a campaign: `costs.jsonl`, one line per event, durable before a request goes out.

A request is reserved at its worst case first and settled at what it cost, or released when it certainly was not
answered. A reservation that was neither counts as spent in full: so a cap holds whatever happens in between.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from agents.errors import BudgetSpent, ModelUnusable
from agents.prices import Usage

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
    """Sums over requests: money in USD, tokens by class."""

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
    def sent(self) -> int:
        return self.input + self.cache_read + self.cache_write

    @property
    def tokens(self) -> int:
        return self.sent + self.output

    @property
    def cached_share(self) -> float | None:
        """The part of the input that was read from the provider's cache."""
        return self.cache_read / self.sent if self.sent else None


@dataclass
class _Entry:
    """A request: what was set aside for it until it is settled, then what it cost."""

    reserved: dict[str, Any]
    usd: float
    tokens: int
    usage: Usage | None = None
    open: bool = True


class CostBook:
    """`costs.jsonl` of one campaign. `now` gives UTC time.

    Only writing touches the file, so that whoever just looks can open it while another process writes. Raises
    ModelUnusable for a damaged line: without it nobody knows what is left.
    """

    def __init__(self, path: Path, caps: Caps, now: Callable[[], datetime]) -> None:
        self.caps = caps
        self._now = now
        self._path = path
        self._file = -1
        self._entries: list[_Entry] = []
        self._last: dict[str, _Entry] = {}
        events, self._size = _read(path)
        for event in events:
            self._apply(event)

    def reserve(
        self,
        id: str,
        *,
        role: str,
        round: int,
        turn: str,
        model: str,
        source: str,
        usd: float,
        tokens: int,
        purpose: str = "turn",
    ) -> None:
        """Set the worst case of a request aside. Raises BudgetSpent when a cap could be passed.

        An id may come again (sessions that a person deleted count from 1 again): what it cost before stays spent.
        """
        day = self._now().date().isoformat()
        for kind, wanted in (("usd", usd), ("tokens", tokens)):
            for span, (cap, spent) in self._spans(kind, day, round).items():
                if cap is not None and spent + wanted > cap:
                    raise BudgetSpent(_sentence(kind, span, cap, spent, wanted), span)
        self._append(
            "reserve", id=id, day=day, role=role, round=round, turn=turn, model=model, price=source, usd=usd,
            tokens=tokens, purpose=purpose,
        )  # fmt: skip

    def settle(self, id: str, usage: Usage, usd: float, source: str) -> None:
        """What a request has cost; `source` names where the figure comes from. Nothing for one that is not open."""
        if self.is_open(id):
            self._append("settle", id=id, usage=usage.as_dict(), usd=usd, price=source)

    def release(self, id: str, why: str) -> None:
        """The request certainly was not billed: its reservation is free again. Nothing for one that is not open."""
        if self.is_open(id):
            self._append("release", id=id, why=why)

    def is_open(self, id: str) -> bool:
        """Whether a request was reserved and neither settled nor released."""
        return id in self._last and self._last[id].open

    def open_ids(self, prefix: str = "") -> list[str]:
        """The open requests whose id begins so."""
        return [id for id, entry in self._last.items() if entry.open and id.startswith(prefix)]

    def headroom(self, round: int) -> float | None:
        """USD that the tightest cap leaves; None without a cap."""
        return self._headroom("usd", round)

    def token_headroom(self, round: int) -> float | None:
        """Tokens that the tightest cap leaves; None without a cap."""
        return self._headroom("tokens", round)

    def exhausted(self, round: int) -> str:
        """The cap that is used up for a round, in a sentence; empty when there is room."""
        day = self._now().date().isoformat()
        for kind in ("usd", "tokens"):
            for span, (cap, spent) in self._spans(kind, day, round).items():
                if cap is not None and spent >= cap and spent > 0:
                    return _sentence(kind, span, cap, spent, None)
        return ""

    def totals(self, *, round: int | None = None, role: str | None = None, day: str | None = None) -> Totals:
        """Sums over the requests that match."""
        found = self._matching(round=round, role=role, day=day)
        total = Totals(
            usd=math.fsum(entry.usd for entry in found),
            unanswered_usd=math.fsum(entry.usd for entry in found if entry.open),
            requests=len(found),
        )
        for usage in (entry.usage for entry in found if entry.usage):
            for field in fields(Usage):
                setattr(total, field.name, getattr(total, field.name) + getattr(usage, field.name))
        return total

    def values(self, key: str) -> list[Any]:
        """The different values of "round", "role", "day" or "model", in the order of their first request."""
        return list(dict.fromkeys(entry.reserved[key] for entry in self._entries))

    def prices(self) -> list[tuple[str, str]]:
        """(model, where its price comes from) in the order of their first request."""
        return list(dict.fromkeys((entry.reserved["model"], entry.reserved["price"]) for entry in self._entries))

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _headroom(self, kind: str, round: int) -> float | None:
        day = self._now().date().isoformat()
        spans = self._spans(kind, day, round).values()
        return min((cap - spent for cap, spent in spans if cap is not None), default=None)

    def _spans(self, kind: str, day: str, round: int) -> dict[str, tuple[float | None, float]]:
        """(cap, spent) of each span."""
        which: dict[str, dict[str, Any]] = {"campaign": {}, "day": {"day": day}, "round": {"round": round}}
        caps = self.caps.of(kind)
        return {
            span: (caps[span], math.fsum(getattr(entry, kind) for entry in self._matching(**which[span])))
            for span in SPANS
        }

    def _matching(self, **wanted: Any) -> list[_Entry]:
        asked = {key: value for key, value in wanted.items() if value is not None}
        return [entry for entry in self._entries if all(entry.reserved[key] == value for key, value in asked.items())]

    def _append(self, event: str, **values: Any) -> None:
        """Durable when this returns. A line that a full disk or a kill cut short is overwritten by the next one."""
        record = {"event": event, "at": self._now().isoformat(timespec="seconds"), **values}
        line = (json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n").encode()
        if self._file < 0:
            self._file = _open(self._path)
        os.ftruncate(self._file, self._size)
        written = 0
        while written < len(line):
            written += os.pwrite(self._file, line[written:], self._size + written)
        os.fsync(self._file)
        self._size += len(line)
        self._apply(record)

    def _apply(self, event: dict[str, Any]) -> None:
        if event["event"] == "reserve":
            entry = self._last[event["id"]] = _Entry(event, event["usd"], event["tokens"])
            self._entries.append(entry)
            return
        entry = self._last[event["id"]]
        entry.open = False
        if event["event"] == "settle":
            entry.usage = Usage(**event["usage"])
            entry.usd, entry.tokens = event["usd"], entry.usage.total
        else:
            self._entries.remove(entry)


def _read(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The events and the bytes that they take; what a kill left of a last line is no event."""
    try:
        *lines, _torn = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return [], 0
    events = []
    for number, line in enumerate(lines, 1):
        try:
            events.append(_checked(json.loads(line)))
        except (ValueError, KeyError, TypeError):
            raise ModelUnusable(
                f"{path}: line {number} is damaged, so what was spent is not known: restore the file from a copy, or "
                "delete that line if you accept that its money is not counted"
            ) from None
    return events, sum(len(line) + 1 for line in lines)


def _checked(event: dict[str, Any]) -> dict[str, Any]:
    """An event with what is computed with, in the right types."""
    keys = {
        "reserve": ("usd", "tokens", "day", "role", "round", "model", "price"),
        "settle": ("usd", "usage"),
        "release": (),
    }
    for key in ("id", *keys[event["event"]]):
        value = event[key]
        if key in ("usd", "tokens") and not (isinstance(value, int | float) and math.isfinite(value) and value >= 0):
            raise ValueError(key)
    if event["event"] == "settle":
        Usage(**event["usage"])
    return event


def _open(path: Path) -> int:
    """The file for writing, its name durable as well."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return handle


def _sentence(kind: str, span: str, cap: float, spent: float, wanted: float | None) -> str:
    """`wanted` None: the cap is reached whatever comes next."""
    key = f"budget.{kind}" if span == "campaign" else f"budget.{kind}_per_{span}"
    shown = (lambda value: f"{value:,.2f} USD") if kind == "usd" else (lambda value: f"{value:,.0f} tokens")
    place = {"campaign": "this campaign", "day": "today (UTC)", "round": "this round"}[span]
    more = "" if wanted is None else f", and the next request may take {shown(wanted)}"
    later = " or wait for tomorrow" if span == "day" else ""
    return f"{shown(spent)} of {shown(cap)} are spent in {place}{more}: raise {key} in config.json to go on{later}"
