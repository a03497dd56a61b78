"""The Chat Completions dialect, through the openai SDK: what OpenAI and most other servers speak. Streamed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from agents.models.provider import Fault, Reply, Schema, Stop, ToolCall, of_status, retry_after, was_sent
from agents.prices import Usage

_STOPS: dict[str, Stop] = {"stop": "done", "tool_calls": "tools", "length": "truncated", "content_filter": "refusal"}
_TIMEOUT_S = 600.0


class OpenAIChat:
    dialect = "openai"

    def __init__(self, settings: Mapping[str, Any], key: str, *, session: str) -> None:
        from openai import OpenAI

        self._settings = settings
        self._session = session
        self._client = OpenAI(api_key=key or "none", base_url=settings["base_url"], max_retries=0, timeout=_TIMEOUT_S)

    def send(self, messages: list[Any], system: str, tools: Sequence[Schema], max_tokens: int) -> Reply:
        import httpx2
        from openai import APIError, APIStatusError

        message: dict[str, Any] = {"role": "assistant"}
        finish, usage, begun = None, None, False
        create: Any = self._client.chat.completions.create  # its overloads do not take messages of other servers
        try:
            with create(
                model=self._settings["model"],
                messages=[{"role": "system", "content": system}, *messages],
                tools=[{"type": "function", "function": tool} for tool in tools],
                stream=True,
                stream_options={"include_usage": True},
                **self._options(max_tokens),
            ) as stream:
                for chunk in stream:
                    begun = True
                    usage = chunk.usage or usage
                    for choice in chunk.choices[:1]:
                        _merge(message, choice.delta.to_dict())
                        finish = choice.finish_reason or finish
        except APIStatusError as error:
            code = f"{error.code or ''} {error.type or ''}"
            raise of_status(
                error.status_code, error.message, code=code, wait=retry_after(error.response.headers)
            ) from error
        except (APIError, httpx2.HTTPError, ValueError) as error:
            billed = _partial(begun, messages, message)
            raise Fault(f"the connection failed: {error}", "retry", usage=billed, lost=was_sent(error)) from error
        if finish is None:
            billed = _usage(usage) if usage else _partial(begun, messages, message)
            raise Fault("the reply ended without its end mark", "retry", usage=billed, lost=True)
        counted = _usage(usage) if usage else _partial(True, messages, message) or Usage()
        refused = bool(message.get("refusal"))
        stop: Stop = "refusal" if refused else _STOPS.get(finish, "done")
        if stop == "done" and message.get("tool_calls"):
            stop = "tools"  # some servers end tool calls with "stop"
        return Reply(_cleaned(message), stop, counted, getattr(usage, "cost", None))

    def messages(self, events: Sequence[Mapping[str, Any]]) -> list[Any]:
        found: list[dict[str, Any]] = []
        for event in events:
            if event["event"] == "reply":
                found.append(event["content"])
            elif event["event"] == "tool_result":
                found.append({"role": "tool", "tool_call_id": event["id"], "content": event["content"]})
            else:
                found.append({"role": "user", "content": event["text"]})
        return found

    def calls(self, content: Any) -> list[ToolCall]:
        return [
            ToolCall(call["id"], call["function"]["name"], _object(call["function"].get("arguments", "")))
            for call in content.get("tool_calls") or []
        ]

    def text(self, content: Any) -> str:
        return content.get("content") or ""

    def close(self) -> None:
        self._client.close()

    def _options(self, max_tokens: int) -> dict[str, Any]:
        options: dict[str, Any] = {self._settings["max_tokens_field"]: max_tokens}
        if self._settings["effort"]:
            options["reasoning_effort"] = self._settings["effort"]
        if (urlsplit(self._settings["base_url"] or "https://api.openai.com").hostname or "") == "api.openai.com":
            options["prompt_cache_key"] = self._session
        return options


def _merge(message: dict[str, Any], delta: dict[str, Any]) -> None:
    """Add one chunk: texts grow, tool calls grow by their index, whatever else a provider sends stays as it is."""
    for key, value in delta.items():
        if value is None:
            continue
        if key == "tool_calls":
            calls = message.setdefault("tool_calls", [])
            for part in value:
                place = part.get("index", len(calls))
                while len(calls) <= place:
                    calls.append({})
                _merge_call(calls[place], part)
        elif isinstance(value, str) and key != "role":
            message[key] = message.get(key, "") + value
        else:
            message[key] = value


def _merge_call(call: dict[str, Any], part: dict[str, Any]) -> None:
    for key, value in part.items():
        if key == "function":
            function = call.setdefault("function", {"name": "", "arguments": ""})
            for name, text in value.items():
                function[name] = function.get(name, "") + (text or "")
        elif key != "index" and value is not None:
            call[key] = value


def _cleaned(message: dict[str, Any]) -> dict[str, Any]:
    """A history may hold neither an empty message nor a refusal."""
    if not message.get("content") and not message.get("tool_calls"):
        return {**message, "content": "(no text)"}
    return message


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _usage(usage: Any) -> Usage:
    details = usage.prompt_tokens_details
    read = (details.cached_tokens if details else 0) or 0
    written = (getattr(details, "cache_write_tokens", 0) if details else 0) or 0
    return Usage(usage.prompt_tokens - read - written, read, written, usage.completion_tokens)


def _partial(begun: bool, messages: list[Any], message: dict[str, Any]) -> Usage | None:
    """What a broken stream has cost, guessed from its length, since usage comes last in this dialect."""
    if not begun:
        return None
    return Usage(input=len(json.dumps(messages)) // 3, output=len(json.dumps(message)) // 3)
