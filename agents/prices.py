"""What a request costs: prices from config.json, from the genai-prices tables, or zero for a server of one's own."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from agents.errors import ModelUnusable

_MILLION = 1e6
_SEARCH_USD = 0.01
"""Ten dollars a thousand, the price of every provider that sells web searches here."""
_WRITE_FACTORS = {"5m": 1.25, "1h": 2.0}
"""What providers take for input that goes into the cache, where config.json names no `cache_write`."""


@dataclass(frozen=True)
class Usage:
    """Tokens of one request by class; `input` is what came neither from the cache nor went into it."""

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    """Reasoning included."""
    searches: int = 0

    @property
    def sent(self) -> int:
        return self.input + self.cache_read + self.cache_write

    @property
    def total(self) -> int:
        return self.sent + self.output

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


@dataclass(frozen=True)
class Price:
    """Money for tokens; `table` is (provider, model) in genai-prices, else `rates` in USD per million tokens hold."""

    source: str
    rates: Mapping[str, float]
    table: tuple[str, str] | None = None
    step: int | None = None
    """Above so many input tokens the whole request gets dearer."""
    window: int | None = None

    def cost(self, usage: Usage, ttl: str = "5m") -> float:
        """USD of a request."""
        if self.table is not None:
            return _from_table(self.table, usage, ttl)
        if not self.rates:
            return 0.0
        rates = {"cache_write": self.rates["input"] * _WRITE_FACTORS[ttl], **self.rates}
        tokens = sum(rate * getattr(usage, kind) for kind, rate in rates.items()) / _MILLION
        return tokens + _SEARCH_USD * usage.searches * any(rates.values())

    def worst(self, input_tokens: int, output_tokens: int, ttl: str = "5m") -> float:
        """USD when all input is of the dearest class."""
        usages = (
            Usage(**{kind: input_tokens}, output=output_tokens) for kind in ("input", "cache_read", "cache_write")
        )
        return max(self.cost(usage, ttl) for usage in usages)


def price_of(
    model: str, provider: str, base_url: str | None, override: Mapping[str, float | None] | None, key: str
) -> Price:
    """The price of a model. `provider` is the back end's name, `key` the section of config.json for the message.

    An override wins; a local server costs nothing; else genai-prices must know the model. Raises ModelUnusable.
    """
    known = _table(model, None if base_url else provider, base_url)
    if override:
        given = {kind: float(rate) for kind, rate in override.items() if rate is not None}
        return Price("config", {"cache_read": given["input"], **given}, window=known[1] if known else None)
    if base_url and is_local(base_url):
        return Price("local", {})
    if known is None:
        raise ModelUnusable(
            f"nobody knows the price of {model}: set {key}.price in config.json to "
            '{"input": USD per million tokens, "output": …} (0 for a server of your own), or budget.usd to null'
        )
    provider_id, window, step = known
    return Price("genai-prices", {}, (provider_id, model), step, window)


def is_local(base_url: str) -> bool:
    """Whether a base URL points to this machine or a private network."""
    host = urlsplit(base_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return bool(host) and (host.endswith((".local", ".localhost")) or "." not in host)


@lru_cache
def _table(model: str, provider: str | None, base_url: str | None) -> tuple[str, int | None, int | None] | None:
    """(provider's id, context window, price step) in genai-prices."""
    from datetime import UTC, datetime

    from genai_prices.data_snapshot import get_snapshot

    try:
        found, info = get_snapshot().find_provider_model(model, None, provider, base_url)
    except LookupError:
        return None
    tiers: Any = info.get_prices(datetime.now(UTC)).input_mtok
    steps = [tier.start for tier in getattr(tiers, "tiers", [])]
    return found.id, info.context_window, min(steps, default=None)


def _from_table(table: tuple[str, str], usage: Usage, ttl: str) -> float:
    from genai_prices import Usage as Counted
    from genai_prices import calc_price

    written = {"cache_write_tokens": usage.cache_write}
    if ttl == "1h":
        written["cache_write_1h_tokens"] = usage.cache_write
    counted = Counted(
        input_tokens=usage.sent, cache_read_tokens=usage.cache_read, output_tokens=usage.output, **written
    )
    return float(calc_price(counted, table[1], provider_id=table[0]).total_price) + _SEARCH_USD * usage.searches
