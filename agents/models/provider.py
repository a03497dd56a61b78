"""One dialect of one provider, narrow: send a history, get a reply or a Fault; the session does all the rest."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from agents.prices import Usage

Stop = Literal["done", "tools", "resume", "truncated", "refusal", "context_full"]
Kind = Literal["retry", "unusable", "context_full", "invalid"]
Schema = dict[str, Any]
"""{"name", "description", "parameters"} of a tool."""
_MOST_TOKENS = 1e9
_SHORTEST_SECRET = 12
LISTED = 10_000
"""Tokens that a list of models is at most as long as; some servers know thousands."""
_MESSAGE_CHARS = 300
"""What an error may say: some gateways answer with a whole page."""


@dataclass(frozen=True)
class ToolCall:
    id: str
    name: str
    arguments: dict[str, Any] | None
    """None: not a JSON object."""


@dataclass(frozen=True)
class Reply:
    content: Any
    """The provider's own blocks, verbatim as they must be sent back."""
    stop: Stop
    usage: Usage | None
    """None: the provider did not say, or nothing that could be."""
    usd: float | None = None
    """What the provider says that it charged, when it does."""
    detail: str = ""
    """Why it was refused, when the provider tells."""


class Fault(Exception):
    """A request without a usable reply. `kind` says what helps: to retry, a person, or a new session.

    "invalid" is a request that is refused for what it says: with a new conversation a person must look, with a long one
    a new session may do. `wait` is the provider's own wish in seconds. `costs`: it was sent, and may be billed though
    it failed; `usage` is then what the provider had reported by then, if anything. `status` is HTTP's, 0 without one.
    """

    def __init__(
        self,
        message: str,
        kind: Kind,
        *,
        wait: float | None = None,
        costs: bool = False,
        usage: Usage | None = None,
        status: int = 0,
    ) -> None:
        super().__init__(" ".join(message.split()))
        self.kind, self.wait, self.costs, self.usage, self.status = kind, wait, costs, usage, status

    def without(self, secret: str) -> str:
        """The message, short, for files and screens: some servers repeat the key that they refuse."""
        said = str(self).replace(secret, "(key)") if secret else str(self)
        return "".join(sign if sign.isprintable() else "?" for sign in said[:_MESSAGE_CHARS])


class Provider(Protocol):
    """A dialect: how a history is written, sent and read."""

    def send(self, messages: list[Any], system: str, tools: Sequence[Schema], max_tokens: int) -> Reply:
        """One request, streamed. Raises Fault."""
        ...

    def look(self) -> None:
        """Ask which models there are, which is free: the server answers and takes the key. Raises Fault."""
        ...

    def messages(self, events: Sequence[Mapping[str, Any]]) -> list[Any]:
        """The history in the provider's own form, from the journal's turn, note, reply and tool_result events."""
        ...

    def calls(self, content: Any) -> list[ToolCall]:
        """The tool calls of a reply, in order."""
        ...

    def text(self, content: Any) -> str:
        """What a reply says outside of tool calls."""
        ...

    def close(self) -> None:
        """Let go of the connections."""
        ...


def readable(provider: Provider, content: Any) -> Any:
    """The content of a reply, checked as far as a session relies on it. Raises one of UNREADABLE."""
    calls = provider.calls(content)
    if not all(isinstance(text, str) for call in calls for text in (call.id, call.name)):
        raise TypeError("a tool call without a name or an id")
    if len({call.id for call in calls}) < len(calls):
        raise ValueError("two tool calls have one id")
    if not isinstance(provider.text(content), str):
        raise TypeError("its text is none")
    return content


def of_status(
    status: int, message: str, *, code: str, wait: float | None, costs: bool = False, usage: Usage | None = None
) -> Fault:
    """The fault that an HTTP error (or an error event of that status) is."""
    said = f"{code} {message}".lower()
    if status == 413 or any(sign in said for sign in CONTEXT_SIGNS):
        return Fault(message, "context_full", costs=costs, usage=usage)
    if any(sign in said for sign in SPEND_SIGNS):
        return Fault(f"the provider's own spend limit is reached: {message}", "unusable", costs=costs, usage=usage)
    if status in (408, 409, 425, 429) or status >= 500:
        return Fault(f"{status}: {message}", "retry", wait=wait, costs=costs, usage=usage, status=status)
    kind: Kind = "invalid" if status in (400, 422) else "unusable"
    return Fault(f"{status}: {message}", kind, costs=costs, usage=usage, status=status)


CONTEXT_SIGNS = (
    "prompt is too long",
    "exceed context limit",
    "context_length_exceeded",
    "maximum context length",
    "exceeds the context",
    "exceeds the available context",
    "input token count",
)
SPEND_SIGNS = (
    "spend_limit_reached",
    "api usage limits",
    "insufficient_quota",
    "credit balance is too low",
    "billing_hard_limit",
)


def of_connection(error: Exception, usage: Usage | None) -> Fault:
    """The fault that a broken connection is, or a reply that can't be read; one that never stood has cost nothing."""
    import httpx2

    cause = error.__cause__ or error
    if isinstance(
        cause, httpx2.UnsupportedProtocol | httpx2.LocalProtocolError | httpx2.InvalidURL | UnicodeEncodeError
    ):
        return Fault(f"the request cannot be sent ({type(cause).__name__})", "unusable")
    if isinstance(cause, httpx2.TooManyRedirects):
        return Fault(str(cause), "unusable")
    if isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout):
        return Fault(f"the connection failed: {cause or type(cause).__name__}", "retry")
    what = "the connection failed" if isinstance(cause, httpx2.HTTPError) else "the reply can't be read"
    return Fault(f"{what}: {cause or type(cause).__name__}", "retry", costs=True, usage=usage)


UNREADABLE = (ValueError, RuntimeError, AttributeError, TypeError, LookupError, AssertionError)
"""What SDKs raise, undocumented, for replies that are not as they should be."""


def count(value: Any) -> int | None:
    """A count as servers send it; None for what is none."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _MOST_TOKENS:
        return None
    return int(value)


def usage_of(input: Any, cache_read: Any, cache_write: Any, output: Any, searches: Any = 0) -> Usage | None:
    """Counts as a provider gave them, None when one of them can't be; absent ones are 0, but for the output."""
    counts = [count(value or 0) for value in (input, cache_read, cache_write, searches)]
    given = [*counts[:3], count(output), counts[3]]
    known = [value for value in given if value is not None]
    return Usage(*known) if len(known) == len(given) else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a response asks to wait."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * scale
        except (KeyError, ValueError):
            continue
        if 0 <= seconds < math.inf:
            return seconds
    return None


def hidden(value: Any, secret: str) -> Any:
    """A JSON value without the key, which a server might say back; short ones are words for a server of one's own."""
    text = json.dumps(value, ensure_ascii=False)
    if len(secret) < _SHORTEST_SECRET or secret not in text:
        return value
    return json.loads(text.replace(secret, "(key)"))


def plain(value: Any) -> Any:
    """A JSON value that any file can hold: halves of characters, which models do produce, become question marks."""
    text = json.dumps(value, ensure_ascii=False)
    clean = text.encode("utf-8", errors="replace").decode("utf-8")
    return value if clean == text else json.loads(clean)
