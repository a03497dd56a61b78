"""What the real APIs refuse, refused here with their status and error shape."""

from __future__ import annotations

import hashlib
import json
from typing import Any

MODELS = {"small-window": 3_000, "middle-window": 9_000}
"""Context windows, in tokens as counted here; any model that begins with "no-such" is unknown."""
WINDOW = 1_000_000


class Invalid(Exception):
    def __init__(self, status: int, message: str, code: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.status, self.code = status, code


def tokens(value: Any, size: int = 4) -> int:
    """`size` bytes are a token."""
    return len(json.dumps(value, ensure_ascii=False).encode(errors="replace")) // size + 1


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def sent_back(message: Any) -> Any:
    """A reply as a client must send it back: servers refuse arguments that are not a JSON object, and empty texts."""
    if isinstance(message, list):
        return message
    calls = [
        call if _is_object(call) else {**call, "function": {**call["function"], "arguments": "{}"}}
        for call in message.get("tool_calls", [])
    ]
    return {**message, "tool_calls": calls} if calls else message


def _is_object(call: dict[str, Any]) -> bool:
    try:
        return isinstance(json.loads(call["function"]["arguments"]), dict)
    except (ValueError, RecursionError):
        return False


def key(value: str) -> None:
    if value in ("", "Bearer") or value.endswith("wrong"):
        raise Invalid(401, f"invalid key: {value.removeprefix('Bearer ')}", "authentication_error")


def common(body: dict[str, Any], total: int) -> None:
    if body["model"].startswith("no-such"):
        raise Invalid(404, f"model: {body['model']}", "not_found_error")
    for name in ("temperature", "top_p", "top_k"):
        if name in body:
            raise Invalid(400, f"{name} is not supported by this model")
    if body.get("stream") is not True:
        raise Invalid(400, "this server streams only")
    window = MODELS.get(body["model"], WINDOW)
    if total > window:
        raise Invalid(400, f"prompt is too long: {total} tokens > {window} maximum", "context_length_exceeded")


def anthropic(body: dict[str, Any], produced: set[str]) -> None:
    messages = body["messages"]
    if body.get("tool_choice", {}).get("type") in ("any", "tool"):
        raise Invalid(400, "tool_choice forces tool use is not compatible with this model")
    if messages[0]["role"] != "user":
        raise Invalid(400, "messages: first message must use the user role")
    if messages[-1]["role"] == "assistant" and not _paused(messages[-1]):
        raise Invalid(400, "this model does not support assistant message prefill")
    open_calls: list[str] = []
    seen: set[str] = set()
    for message in messages:
        content = message["content"]
        if message["role"] == "assistant":
            if open_calls:
                raise Invalid(400, f"tool_use ids were found without tool_result blocks: {', '.join(open_calls)}")
            if content[-1]["type"] == "thinking":
                raise Invalid(400, "the final block in an assistant message cannot be `thinking`")
            if digest(content) not in produced:
                raise Invalid(400, "thinking blocks in the latest assistant message cannot be modified")
            open_calls = [block["id"] for block in content if block["type"] == "tool_use"]
            continue
        results = [block["tool_use_id"] for block in content if block["type"] == "tool_result"]
        if any(block["type"] == "text" and not block["text"].strip() for block in content):
            raise Invalid(400, "text content blocks must contain non-whitespace text")
        if results and [block["type"] for block in content[: len(results)]] != ["tool_result"] * len(results):
            raise Invalid(400, "tool_result blocks must come first in the content")
        _match(results, open_calls, seen)
        open_calls = []
    if open_calls:
        raise Invalid(400, f"tool_use ids were found without tool_result blocks: {', '.join(open_calls)}")


def openai(body: dict[str, Any], produced: set[str]) -> None:
    if body.get("tool_choice") not in (None, "auto", "none"):
        raise Invalid(400, "tool_choice is not supported")
    if not body.get("stream_options", {}).get("include_usage"):
        raise Invalid(400, "stream_options.include_usage is needed here")
    open_calls: list[str] = []
    seen: set[str] = set()
    results: list[str] = []
    for message in [*body["messages"][1:], {"role": "end"}]:
        if message["role"] == "tool":
            results.append(message["tool_call_id"])
            continue
        _match(results, open_calls, seen)
        open_calls, results = [], []
        if message["role"] == "assistant":
            if not all(_is_object(call) for call in message.get("tool_calls", [])):
                raise Invalid(400, "Expecting value: line 1 column 1 (char 0)")
            if digest(message) not in produced:
                raise Invalid(400, "an assistant message of this history was never sent")
            open_calls = [call["id"] for call in message.get("tool_calls", [])]
        elif message["role"] == "user" and not message["content"].strip():
            raise Invalid(400, "empty content")


def _match(results: list[str], open_calls: list[str], seen: set[str]) -> None:
    for result in results:
        if result in seen:
            raise Invalid(400, f"each tool_use must have a single result; found a second for {result}")
        if result not in open_calls:
            raise Invalid(400, f"unexpected tool_use_id {result} in tool_result")
        seen.add(result)
    missing = [call for call in open_calls if call not in results]
    if missing:
        raise Invalid(400, f"tool_use ids were found without tool_result blocks: {', '.join(missing)}")


def _paused(message: dict[str, Any]) -> bool:
    return any(block["type"] == "server_tool_use" for block in message["content"])
