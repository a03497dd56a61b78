"""The Chat Completions dialect, through the openai SDK: what OpenAI and most other servers speak. Streamed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from agents.models.provider import (
    LISTED,
    UNREADABLE,
    Fault,
    Reply,
    Schema,
    Stop,
    ToolCall,
    count,
    of_connection,
    of_status,
    plain,
    readable,
    retry_after,
)
from agents.prices import Usage

_STOPS: dict[str, Stop] = {"stop": "done", "tool_calls": "tools", "length": "truncated", "content_filter": "refusal"}
_URL = "https://api.openai.com/v1"
"""Named here, since the SDK would else follow a variable of the shell, and the prices would not."""
_MOST_USD = 1e5
"""No request costs that; a server that says so is not believed."""
_GROWING = ("text", "summary")


class OpenAIChat:
    def __init__(self, settings: Mapping[str, Any], key: str, *, session: str) -> None:
        from openai import DefaultHttpxClient, OpenAI

        from agents.models.watch import Watch, client

        self._settings = settings
        self._session = session
        self._url = settings["base_url"] or _URL
        self._watch = Watch(settings["stalled_minutes"] * 60)
        self._client = OpenAI(
            api_key=key or "none", base_url=self._url, max_retries=0,
            timeout=self._watch.timeout(), http_client=client(DefaultHttpxClient, self._watch),
        )  # fmt: skip

    def send(self, messages: list[Any], system: str, tools: Sequence[Schema], max_tokens: int) -> Reply:
        import httpx2
        from openai import APIError, APIStatusError

        message: dict[str, Any] = {"role": "assistant"}
        finish, usage = None, None
        self._watch.begin(max_tokens)
        create: Any = self._client.chat.completions.create  # its overloads do not take messages of other servers
        try:
            with create(
                model=self._settings["model"],
                messages=[{"role": "system", "content": system}, *messages],
                stream=True,
                stream_options={"include_usage": True},
                **self._options(tools, max_tokens),
            ) as stream:
                for chunk in stream:
                    self._watch.word()
                    usage = chunk.usage or usage
                    for choice in chunk.choices[:1]:
                        _merge(message, choice.delta.to_dict())
                        finish = choice.finish_reason or finish
        except APIStatusError as error:
            code = f"{error.code or ''} {error.type or ''}"
            raise of_status(
                error.status_code, error.message, code=code, wait=retry_after(error.response.headers)
            ) from error
        except (APIError, httpx2.HTTPError, httpx2.InvalidURL, *UNREADABLE) as error:
            raise of_connection(error, _usage(usage)) from error
        if finish is None or finish == "error":
            raise Fault("the reply ended without its end mark", "retry", costs=True, usage=_usage(usage))
        refused = str(message.get("refusal") or "")
        try:
            stop: Stop = "refusal" if refused else _STOPS.get(finish, "done")
            content = readable(self, _cleaned(message))
        except UNREADABLE as error:
            raise of_connection(error, _usage(usage)) from error
        if stop == "done" and message.get("tool_calls"):
            stop = "tools"  # some servers end tool calls with "stop"
        return Reply(content, stop, _usage(usage), _cost(usage), refused)

    def look(self) -> None:
        import httpx2
        from openai import APIError, APIStatusError

        self._watch.begin(LISTED)
        try:
            self._client.models.list()
        except APIStatusError as error:
            raise of_status(error.status_code, error.message, code="", wait=None) from error
        except (APIError, httpx2.HTTPError, httpx2.InvalidURL, *UNREADABLE) as error:
            raise of_connection(error, None) from error

    def messages(self, events: Sequence[Mapping[str, Any]]) -> list[Any]:
        found: list[dict[str, Any]] = []
        for event in events:
            if event["event"] == "reply":
                found.append(_replayable(event["content"]))
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
        said: Any = content.get("content") or ""
        return said if isinstance(said, str) else "".join(part["text"] for part in said if part["type"] == "text")

    def close(self) -> None:
        self._client.close()

    def _options(self, tools: Sequence[Schema], max_tokens: int) -> dict[str, Any]:
        options: dict[str, Any] = {self._settings["max_tokens_field"]: max_tokens}
        if tools:
            options["tools"] = [{"type": "function", "function": tool} for tool in tools]
        if self._settings["effort"]:
            options["reasoning_effort"] = self._settings["effort"]
        if urlsplit(self._url).hostname == "api.openai.com":
            options["prompt_cache_key"] = self._session
        return options


def _merge(message: dict[str, Any], delta: Mapping[str, Any]) -> None:
    """Add one chunk: texts and lists grow, whatever else a provider sends stays as it is."""
    for key, value in delta.items():
        if value is None:
            continue
        if key == "tool_calls":
            for part in value:
                _merge_call(message.setdefault(key, []), part)
        elif isinstance(value, list):
            for part in value:
                _merge_part(message.setdefault(key, []), part)
        elif isinstance(value, str) and key != "role":
            message[key] = message.get(key, "") + value
        else:
            message[key] = value


def _merge_call(calls: list[dict[str, Any]], part: Mapping[str, Any]) -> None:
    index = part.get("index")
    call: dict[str, Any] | None = next((call for call in reversed(calls) if call["index"] == index), None)
    if call is None or _is_another(call, part):
        call = {"index": index, "function": {"name": "", "arguments": ""}}
        calls.append(call)
    function = call["function"]
    for name, text in (part.get("function") or {}).items():
        if text is not None and not (name == "name" and text == function["name"]):
            function[name] = function.get(name, "") + (text if isinstance(text, str) else json.dumps(text))
    call.update({key: value for key, value in part.items() if key != "function" and value is not None})


def _is_another(call: Mapping[str, Any], part: Mapping[str, Any]) -> bool:
    """Whether a part begins a call of its own although its index is the last one's: some servers count none."""
    if part.get("id") and call.get("id") and part["id"] != call["id"]:
        return True
    return bool((part.get("function") or {}).get("name")) and _is_object(call)


def _merge_part(found: list[Any], part: Any) -> None:
    """A part of a list, such as reasoning that must be sent back: it goes on with the last of its index and type."""
    last = found[-1] if found else None
    if not isinstance(part, dict) or not isinstance(last, dict) or part.get("index") is None:
        found.append(part)
        return
    if any(part.get(key) != last.get(key) for key in ("index", "type")):
        found.append(part)
        return
    for key, value in part.items():
        if key in _GROWING and isinstance(value, str):
            last[key] = (last.get(key) or "") + value
        elif value is not None:
            last[key] = value


def _cleaned(message: dict[str, Any]) -> dict[str, Any]:
    """A history may hold neither an empty message nor a call without an id of its own."""
    message = plain(message)
    seen: set[str] = set()
    for place, call in enumerate(message.get("tool_calls", [])):
        del call["index"]
        id = str(call.get("id") or f"call_{place}")
        call["id"] = f"{id}_{place}" if id in seen else id
        seen.add(id)
        call.setdefault("type", "function")
    if not message.get("content") and not message.get("tool_calls"):
        return {**message, "content": "(no text)"}
    return message


def _replayable(message: dict[str, Any]) -> dict[str, Any]:
    """The message as servers take it back: some parse the arguments of old calls and refuse what is no object."""
    calls = message.get("tool_calls") or []
    if all(_is_object(call) for call in calls):
        return message
    mended = [
        call if _is_object(call) else {**call, "function": {**call["function"], "arguments": "{}"}} for call in calls
    ]
    return {**message, "tool_calls": mended}


def _is_object(call: Mapping[str, Any]) -> bool:
    text = call["function"]["arguments"]
    return bool(text) and _object(text) is not None


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text or "{}")
        return plain(value) if isinstance(value, dict) else None
    except (ValueError, RecursionError):
        return None


def _usage(usage: Any) -> Usage | None:
    details = getattr(usage, "prompt_tokens_details", None)
    read = count(getattr(details, "cached_tokens", 0) or 0)
    written = count(getattr(details, "cache_write_tokens", 0) or 0)
    sent, output = count(getattr(usage, "prompt_tokens", None)), count(getattr(usage, "completion_tokens", None))
    if sent is None or output is None or read is None or written is None:
        return None
    total = count(getattr(usage, "total_tokens", None)) or 0
    return Usage(max(0, sent - read - written), read, written, max(output, total - sent))  # some leave reasoning out


def _cost(usage: Any) -> float | None:
    """What the provider says that it charged."""
    cost = getattr(usage, "cost", None)
    if isinstance(cost, bool) or not isinstance(cost, int | float) or not 0 <= cost < _MOST_USD:
        return None
    return float(cost)
