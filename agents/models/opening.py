"""What must stand before a model session can begin: its key, its price, its client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents.costs import Caps
from agents.errors import ModelUnusable
from agents.models.provider import Provider
from agents.prices import Price, price_of

MAX_SEARCHES = 3
"""A request; each may fill the context anew, and money is set aside for all of them."""
KEY_VARIABLES = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY"}
Settings = Mapping[str, Any]


def key_name(settings: Settings) -> str:
    """The variable that holds the key of a role played by a model; empty when none is wanted."""
    name = settings["key_variable"]
    return KEY_VARIABLES[settings["backend"]] if name is None else str(name)


def key(settings: Settings, role: str, environment: Mapping[str, str]) -> str:
    """The API key of a role, empty where its server wants none. Raises ModelUnusable."""
    name = key_name(settings)
    value = environment.get(name, "").strip() if name else ""
    if name and not value:
        raise ModelUnusable(
            f"agents.{role}.backend is {settings['backend']}, but {name} is not set: put {name}=… into the campaign's "
            f'.env, or set agents.{role}.key_variable to "" for a server that wants no key'
        )
    if not may_be_key(value):
        raise ModelUnusable(
            f"{name} holds no key but a text with blanks or signs that no key has (a placeholder?): put the key itself "
            "into the campaign's .env"
        )
    return value


def may_be_key(value: str) -> bool:
    """Whether a text, or none at all, has no sign that no key has."""
    return value.isascii() and not any(sign.isspace() for sign in value)


def price(settings: Settings, role: str, caps: Caps) -> Price:
    """The price of a role's model. Raises ModelUnusable when nobody knows it and money is capped."""
    try:
        return price_of(
            settings["model"], settings["backend"], settings["base_url"], settings["price"], f"agents.{role}"
        )
    except ModelUnusable:
        if any(cap is not None for cap in caps.of("usd").values()):
            raise
        return Price("unknown", {})


def provider(settings: Settings, role: str, secret: str, session: str) -> Provider:
    """The client of a role's back end; imports its SDK."""
    if settings["backend"] == "anthropic":
        from agents.models.anthropic_messages import AnthropicMessages

        return AnthropicMessages(settings, secret, searches=searches(settings, role))
    from agents.models.openai_chat import OpenAIChat

    return OpenAIChat(settings, secret, session=session)


def searches(settings: Settings, role: str) -> int:
    """Web searches that one request of a role may make: only the Researcher looks outside."""
    wanted = settings["backend"] == "anthropic" and settings["web_search"] and role == "researcher"
    return MAX_SEARCHES if wanted else 0
