"""What the model says: steps of a script, found by the turn and by the number of replies since it began.

A script with the entry "repeats" is of a model that repeats calls that were interrupted.
"""

from __future__ import annotations

import json
import re
from typing import Any

_SCORE = re.compile(r'"cv": (-?[\d.]+(?:e[-+]?\d+)?)')


def place(dialect: str, messages: list[dict[str, Any]], repeats: bool) -> tuple[str, int, str]:
    """(turn id, replies since, the last tool result) of a history.

    A model that `repeats` says a reply again when a call of it was interrupted.
    """
    turn, step, result, told = "", 0, "", True
    for message in messages:
        if message["role"] == "assistant":
            step, told = step + 1, False
            continue
        for text, is_result in texts(dialect, message):
            if is_result:
                result = text
                if repeats and text.startswith("interrupted") and not told:
                    step, told = step - 1, True
            elif text.startswith("turn "):
                turn, step = text.split(maxsplit=2)[1], 0
    return turn, step, result


def texts(dialect: str, message: dict[str, Any]) -> list[tuple[str, bool]]:
    """What a message of the user's side says, and whether that is a tool's result."""
    content = message["content"]
    if message["role"] == "tool":
        return [(content, True)]
    if message["role"] != "user":
        return []
    if dialect == "openai":
        return [(content, False)]
    return [(block["content"], True) if block["type"] == "tool_result" else (block["text"], False) for block in content]


def step_of(script: dict[str, Any], turn: str, number: int, result: str) -> dict[str, Any]:
    """The step to say; turns without an entry of their own follow the entry of their phase ("*/plan"), then "*"."""
    turns = script["turns"]
    phase = turn.partition("/")[2]
    steps = turns.get(turn) or turns.get(f"*/{phase}") or turns.get("*") or [{"tools": [report("DONE")]}]
    step: dict[str, Any] = json.loads(
        json.dumps(steps[min(number, len(steps) - 1)]).replace("@ROUND@", turn.partition("/")[0])
    )
    if step.get("report_cv"):
        found = _SCORE.search(result)
        step["tools"] = [report(f"CV_SCORE={found[1]}" if found else "FAILED: no score")]
    return step


def report(line: str) -> dict[str, Any]:
    return {"name": "report", "input": {"line": line}}
