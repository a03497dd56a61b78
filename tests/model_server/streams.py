"""A step as the events of a stream, in either dialect, and as the message that the client must send back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

Events = Iterator[tuple[str | None, dict[str, Any] | str]]
"""(event name or None, data)."""


def anthropic_content(step: dict[str, Any], number: int) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = [
        {"type": "thinking", "thinking": step.get("thinking", "hm"), "signature": f"sig{number}"}
    ]
    if step.get("text"):
        blocks.append({"type": "text", "text": step["text"]})
    if step.get("search"):
        query = {"query": step["search"]}
        blocks.append({"type": "server_tool_use", "id": f"srvtoolu_{number}", "name": "web_search", "input": query})
    for place, tool in enumerate(step.get("tools", [])):
        blocks.append(
            {"type": "tool_use", "id": f"toolu_{number}_{place}", "name": tool["name"], "input": tool["input"]}
        )
    return blocks


def anthropic_stop(step: dict[str, Any]) -> str:
    return str(step.get("stop") or ("tool_use" if step.get("tools") else "end_turn"))


def anthropic_events(body: dict[str, Any], content: list[Any], stop: str, usage: dict[str, Any], number: int) -> Events:
    why = {"type": "refusal", "category": "frontier_llm", "explanation": None} if stop == "refusal" else None
    start = {key: value for key, value in usage.items() if key != "output_tokens"}
    message = {
        "id": f"msg_{number}", "type": "message", "role": "assistant", "model": body["model"], "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": {**start, "output_tokens": 1},
    }  # fmt: skip
    yield "message_start", {"type": "message_start", "message": message}
    for index, block in enumerate(content):
        call: dict[str, Any] = {"input": {}}
        thought = {"thinking": "", "signature": ""}
        empty = {"text": {"text": ""}, "thinking": thought, "tool_use": call, "server_tool_use": call}
        yield (
            "content_block_start",
            {"type": "content_block_start", "index": index, "content_block": {**block, **empty[block["type"]]}},
        )
        for delta in _anthropic_deltas(block):
            yield "content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta}
        yield "content_block_stop", {"type": "content_block_stop", "index": index}
    yield (
        "message_delta",
        {
            "type": "message_delta",
            "delta": {"stop_reason": stop, "stop_sequence": None, "stop_details": why},
            "usage": {"output_tokens": usage.get("output_tokens", 0)},
        },
    )
    yield "message_stop", {"type": "message_stop"}


def _anthropic_deltas(block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if block["type"] == "text":
        for part in _parts(block["text"]):
            yield {"type": "text_delta", "text": part}
    elif block["type"] == "thinking":
        yield {"type": "thinking_delta", "thinking": block["thinking"]}
        yield {"type": "signature_delta", "signature": block["signature"]}
    else:
        for part in _parts(json.dumps(block["input"])):
            yield {"type": "input_json_delta", "partial_json": part}


def openai_message(step: dict[str, Any], number: int) -> dict[str, Any]:
    """A step may say it in its own "deltas", which must come back as its "whole"."""
    if "whole" in step:
        return dict(step["whole"])
    message: dict[str, Any] = {"role": "assistant", "content": step.get("text") or None}
    message["reasoning_content"] = step.get("thinking", "hm")
    if step.get("tools"):
        message["tool_calls"] = [
            {
                "id": f"call_{number}_{place}",
                "type": "function",
                "function": {"name": tool["name"], "arguments": tool.get("raw") or json.dumps(tool["input"])},
            }
            for place, tool in enumerate(step["tools"])
        ]
    message = {key: value for key, value in message.items() if value is not None}
    if "content" not in message and "tool_calls" not in message:
        message["content"] = "(no text)"
    return message


def openai_stop(step: dict[str, Any]) -> str:
    names = {"max_tokens": "length", "refusal": "content_filter", "end_turn": "stop"}
    wanted = step.get("stop")
    return names[wanted] if wanted else ("tool_calls" if step.get("tools") or step.get("deltas") else "stop")


def openai_events(
    body: dict[str, Any], message: dict[str, Any], stop: str, usage: dict[str, Any], number: int, own: list[Any]
) -> Events:
    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return {
            "id": f"chatcmpl-{number}", "object": "chat.completion.chunk", "created": 1, "model": body["model"],
            "choices": [choice], "usage": None,
        }  # fmt: skip

    yield None, chunk({"role": "assistant", "content": None})
    for delta in own:
        yield None, chunk(delta)
    if own:
        message = {}
    for key in ("reasoning_content", "content"):
        for part in _parts(message.get(key, "")):
            yield None, chunk({key: part})
    for index, call in enumerate(message.get("tool_calls", [])):
        head = {**call, "index": index, "function": {"name": call["function"]["name"], "arguments": ""}}
        yield None, chunk({"tool_calls": [head]})
        for part in _parts(call["function"]["arguments"]):
            yield None, chunk({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
    yield None, chunk({}, stop)
    yield None, {**chunk({}), "choices": [], "usage": usage}
    yield None, "[DONE]"


BEGUN = (
    "content_block_start",
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
)


def words(dialect: str, size: int) -> tuple[str | None, Any]:
    """One more event of a text that goes on."""
    text = "x" * size
    if dialect == "openai":
        return None, {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [
            {"index": 0, "delta": {"content": text}, "finish_reason": None}]}  # fmt: skip
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
    return "content_block_delta", delta


def _parts(text: str, size: int = 400) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]
