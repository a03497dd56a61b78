"""One dialect of one provider, narrow: send a history, get a reply or a Fault; the session does all the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from agents.prices import Usage

Stop = Literal["done", "tools", "resume", "truncated", "refusal", "context_full"]
Schema = dict[str, Any]
"""{"name", "description", "parameters"} of a tool."""


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
    usage: Usage
    usd: float | None = None
    """What the provider says that it charged, when it does."""


class Fault(Exception):
    """A request without a usable reply. `kind` says what helps: to retry, a person, or a new session.

    `wait` is the provider's own wish in seconds. `usage` is what was billed all the same. Without it nothing was,
    unless the request is `lost`: sent, and not an event of the reply seen.
    """

    def __init__(
        self,
        message: str,
        kind: Literal["retry", "unusable", "context_full"],
        *,
        wait: float | None = None,
        usage: Usage | None = None,
        lost: bool = False,
    ) -> None:
        super().__init__(message)
        self.kind, self.wait, self.usage, self.lost = kind, wait, usage, lost and usage is None


class Provider(Protocol):
    """A dialect: how a history is written, sent and read."""

    dialect: str

    def send(self, messages: list[Any], system: str, tools: Sequence[Schema], max_tokens: int) -> Reply:
        """One request, streamed. Raises Fault."""
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


def of_status(status: int, message: str, *, code: str, wait: float | None, usage: Usage | None = None) -> Fault:
    """The fault that an HTTP error (or an error event of that status) is."""
    lowered = message.lower()
    if any(sign in f"{code} {lowered}" for sign in CONTEXT_SIGNS):
        return Fault(message, "context_full", usage=usage)
    if any(sign in f"{code} {lowered}" for sign in SPEND_SIGNS):
        return Fault(f"the provider's own spend limit is reached: {message}", "unusable", usage=usage)
    if status in (408, 409, 425, 429) or status >= 500:
        return Fault(f"{status}: {message}", "retry", wait=wait, usage=usage)
    return Fault(f"{status}: {message}", "unusable", usage=usage)


CONTEXT_SIGNS = ("prompt is too long", "context_length_exceeded", "maximum context length", "exceeds the context")
SPEND_SIGNS = ("spend_limit_reached", "insufficient_quota", "credit balance is too low", "billing_hard_limit")


def was_sent(error: Exception) -> bool:
    """Whether a request that broke off may have reached the provider: all but a connection that never stood."""
    import httpx2

    cause = error.__cause__ or error
    return not isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a response asks to wait."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return float(headers[name]) * scale
        except (KeyError, ValueError):
            continue
    return None
