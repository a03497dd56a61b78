"""The sections of config.json about players and what they may cost."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class PriceSection(Section):
    """USD per million tokens."""

    input: float = Field(ge=0)
    """USD per million tokens that are read."""
    output: float = Field(ge=0)
    """USD per million tokens that are written."""
    cache_read: float | None = Field(default=None, ge=0)
    """Of those read from the provider's cache; None: as `input`."""
    cache_write: float | None = Field(default=None, ge=0)
    """Of those put into it; None: what the provider takes for it."""


class AgentSection(Section):
    backend: Literal["auto", "offline", "scripted", "anthropic", "openai"] = "auto"
    """auto: a model where the campaign's own .env holds a key, else offline."""
    script: str | None = None
    """For `scripted`: a JSON file of replies."""
    model: str | None = None
    """By its provider's name; None: the provider's usual one."""
    effort: str | None = None
    """How hard the model thinks, in its provider's own words (low … max)."""
    base_url: str | None = None
    """A compatible server: OpenRouter, vLLM, Ollama, llama.cpp, Gemini; None: the provider's own."""
    key_variable: str | None = None
    """The variable that holds the API key (ANTHROPIC_API_KEY, OPENAI_API_KEY); "" for a server that wants none."""
    price: PriceSection | None = None
    """None: from the tables that come along; for the fallback model as well."""
    fallback_model: str | None = "auto"
    """Takes over in a session of its own when the model refuses a turn. auto: an older model of the same provider, none
    where `base_url` or `price` is set."""
    summary_model: str | None = None
    """A cheap model of the same server that says what is cut out of long logs; `price`, where set, holds for it too."""
    max_output_tokens: int = Field(default=32_000, ge=1024)
    """Of one reply, thinking included."""
    max_tokens_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    """Older servers of the openai dialect want `max_tokens`."""
    context_tokens: int | None = Field(default=None, ge=1000)
    """The model's window, where nobody knows it."""
    context_cap: int = Field(default=150_000, ge=1000)
    """A session whose context is longer hands over at the next round."""
    cache_ttl: Literal["5m", "1h"] = "5m"
    """How long the provider keeps a conversation's beginning at hand (Anthropic only); the longer time costs more."""
    web_search: bool = False
    """The provider's own web search, for the Researcher: each search costs, and what it brings is paid as input."""
    max_requests: int = Field(default=80, ge=2)
    """Of one turn."""
    unreachable_minutes: float | None = Field(default=None, gt=0)
    """How long to go on asking a provider that does not answer. None: 720, or 5 where the built-in player stands in."""
    stalled_minutes: float = Field(default=30.0, gt=0)
    """A reply without a new word for so long is given up and asked for again, though its server may live."""
    max_wait_s: float = Field(default=900.0, gt=0)
    """The longest pause between two attempts, whatever the provider wishes."""

    @field_validator("key_variable")
    @classmethod
    def _a_name(cls, value: str | None) -> str | None:
        if value and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
            raise ValueError("give the NAME of the variable that holds the key; the key itself belongs into .env")
        return value

    @field_validator("base_url")
    @classmethod
    def _an_address(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("it must begin with http:// or https://")
        if value is not None and "@" in value:
            raise ValueError("it must not hold a user or a password: a key belongs into .env")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> AgentSection:
        named = self.backend in ("anthropic", "openai")
        if self.base_url is not None and named and self.model is None:
            raise ValueError("base_url needs model: name the model that this server serves")
        for name in ("base_url", "key_variable"):
            if self.backend == "auto" and getattr(self, name) is not None:
                raise ValueError(f'{name} is set and backend is not: add "backend": "anthropic" or "openai"')
        if self.web_search and self.backend == "openai":
            raise ValueError('web_search works with "backend": "anthropic" only: set it to false')
        if self.fallback_model is not None and self.fallback_model == self.model:
            raise ValueError("fallback_model is the model itself: name another one, or null")
        return self


class AgentsSection(Section):
    researcher: AgentSection = AgentSection()
    builder: AgentSection = AgentSection()
    reviewer: AgentSection = AgentSection()
    respawn_rounds: int = Field(default=15, ge=1)
    """After so many rounds a player begins a new conversation."""
    when_unreachable: Literal["wait", "offline"] = "wait"
    """When a model can't be had: end and wait for a person, or let the built-in player take the phase."""


class BudgetSection(Section):
    """What models may cost; None: no cap."""

    usd: float | None = Field(default=10.0, ge=0)
    """Of the whole campaign, over restarts; None: no cap."""
    usd_per_day: float | None = Field(default=None, ge=0)
    """Of a day (UTC)."""
    usd_per_round: float | None = Field(default=None, ge=0)
    """Of a round, round 0 too."""
    tokens: int | None = Field(default=None, ge=0)
    """Of the whole campaign, read and written together."""
    tokens_per_day: int | None = Field(default=None, ge=0)
    """Of a day (UTC)."""
    tokens_per_round: int | None = Field(default=None, ge=0)
    """Of a round, round 0 too."""
