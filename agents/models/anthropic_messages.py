"""The Messages dialect, through the anthropic SDK: streamed, one breakpoint at the end so that the prefix caches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agents.models.provider import (
    LISTED,
    UNREADABLE,
    Fault,
    Reply,
    Schema,
    Stop,
    ToolCall,
    of_connection,
    of_status,
    plain,
    readable,
    retry_after,
    usage_of,
)
from agents.prices import Usage

_STOPS: dict[str, Stop] = {
    "end_turn": "done",
    "stop_sequence": "done",
    "tool_use": "tools",
    "pause_turn": "resume",
    "max_tokens": "truncated",
    "refusal": "refusal",
    "model_context_window_exceeded": "context_full",
}
_EVENT_STATUS = {"overloaded_error": 529, "rate_limit_error": 429, "api_error": 500, "timeout_error": 504}
"""An error inside a stream comes with HTTP status 200; its type says what it is."""
_URL = "https://api.anthropic.com"
"""Named here, since the SDK would else follow a variable of the shell, and the prices would not."""
_THINKING = ("thinking", "redacted_thinking")


class AnthropicMessages:
    def __init__(self, settings: Mapping[str, Any], key: str, *, searches: int) -> None:
        from anthropic import Anthropic, DefaultHttpxClient

        from agents.models.watch import Watch, client

        self._settings = settings
        self._searches = searches
        self._watch = Watch(settings["stalled_minutes"] * 60)
        self._client = Anthropic(
            api_key=key or "none", base_url=settings["base_url"] or _URL, max_retries=0,
            timeout=self._watch.timeout(), http_client=client(DefaultHttpxClient, self._watch),
        )  # fmt: skip

    def send(self, messages: list[Any], system: str, tools: Sequence[Schema], max_tokens: int) -> Reply:
        import httpx2
        from anthropic import APIError, APIStatusError

        options: dict[str, Any] = {"tools": self._tools(tools)} if tools else {}
        if self._settings["cache_ttl"]:
            options["cache_control"] = self._cache()
        if self._settings["effort"]:
            options["output_config"] = {"effort": self._settings["effort"]}
        message: Any = None
        self._watch.begin(max_tokens)
        try:
            with self._client.messages.stream(
                model=self._settings["model"], messages=messages, system=system, max_tokens=max_tokens, **options,
            ) as stream:  # fmt: skip
                for _ in stream:
                    self._watch.word()
                    message = stream.current_message_snapshot
        except APIStatusError as error:
            status = _EVENT_STATUS.get(str(error.type), 400) if error.status_code < 400 else error.status_code
            raise of_status(
                status, str(error.api_message or error), code=str(error.error_code or ""),
                wait=retry_after(error.response.headers), costs=message is not None, usage=_usage(message),
            ) from error  # fmt: skip
        except (APIError, httpx2.HTTPError, httpx2.InvalidURL, *UNREADABLE) as error:
            raise of_connection(error, _usage(message)) from error
        if message is None or message.stop_reason is None:
            raise Fault("the reply ended without its end mark", "retry", costs=True, usage=_usage(message))
        try:
            stop = _STOPS.get(message.stop_reason, "done")
            content = readable(self, _replayable([_block(block) for block in message.content], stop))
        except UNREADABLE as error:
            raise of_connection(error, _usage(message)) from error
        return Reply(content, stop, _usage(message), detail=_refusal(message))

    def look(self) -> None:
        import httpx2
        from anthropic import APIError, APIStatusError

        self._watch.begin(LISTED)
        try:
            self._client.models.list(limit=1)
        except APIStatusError as error:
            raise of_status(error.status_code, str(error.api_message or error), code="", wait=None) from error
        except (APIError, httpx2.HTTPError, httpx2.InvalidURL, *UNREADABLE) as error:
            raise of_connection(error, None) from error

    def messages(self, events: Sequence[Mapping[str, Any]]) -> list[Any]:
        found: list[dict[str, Any]] = []
        for event in events:
            if event["event"] == "reply":
                if event["content"]:
                    found.append({"role": "assistant", "content": event["content"]})
                continue
            if not found or found[-1]["role"] != "user":
                found.append({"role": "user", "content": []})
            found[-1]["content"].append(_user_block(event))
        return found

    def calls(self, content: Any) -> list[ToolCall]:
        return [
            ToolCall(block["id"], block["name"], block["input"] if isinstance(block["input"], dict) else None)
            for block in content
            if block["type"] == "tool_use"
        ]

    def text(self, content: Any) -> str:
        return "\n".join(block["text"] for block in content if block["type"] == "text")

    def close(self) -> None:
        self._client.close()

    def _tools(self, tools: Sequence[Schema]) -> list[Any]:
        own = [
            {"name": tool["name"], "description": tool["description"], "input_schema": tool["parameters"]}
            for tool in tools
        ]
        search = {"type": "web_search_20260318", "name": "web_search", "max_uses": self._searches}
        return [*own, search] if self._searches else own

    def _cache(self) -> Any:
        ttl = self._settings["cache_ttl"]
        return {"type": "ephemeral"} if ttl == "5m" else {"type": "ephemeral", "ttl": ttl}


def _user_block(event: Mapping[str, Any]) -> dict[str, Any]:
    if event["event"] == "tool_result":
        block = {"type": "tool_result", "tool_use_id": event["id"], "content": event["content"]}
        return {**block, "is_error": True} if event["is_error"] else block
    return {"type": "text", "text": event["text"]}


def _block(block: Any) -> dict[str, Any]:
    """A block as it came, without what the SDK adds for its own use."""
    content: dict[str, Any] = plain(block.to_dict())
    return {key: value for key, value in content.items() if key != "parsed_output"}


def _replayable(content: list[dict[str, Any]], stop: Stop) -> list[dict[str, Any]]:
    """What the API takes back: it refuses a history with an empty text, or a message that ends in thinking.

    A pause goes on in the middle of a message, which must come back whole.
    """
    if stop == "resume":
        return content
    kept = [block for block in content if block["type"] != "text" or block["text"].strip()]
    while kept and kept[-1]["type"] in _THINKING:
        kept.pop()
    return kept


def _refusal(message: Any) -> str:
    details = getattr(message, "stop_details", None)
    return ": ".join(filter(None, (details.category, details.explanation))) if details else ""


def _usage(message: Any) -> Usage | None:
    usage = getattr(message, "usage", None)
    tools = getattr(usage, "server_tool_use", None)
    return usage_of(
        getattr(usage, "input_tokens", None),
        getattr(usage, "cache_read_input_tokens", None),
        getattr(usage, "cache_creation_input_tokens", None),
        getattr(usage, "output_tokens", None),
        getattr(tools, "web_search_requests", None),
    )
