"""The real client library in a process of its own: a test sends expressions, gets what they give or raise.

Expressions see `api` (the client), `sdk(client, method, Request, **fields)` for calls that the library lacks, and `os`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent


class Raised(Exception):
    """What the client raised: its type's name, its text, and the answer behind it, if there was one."""

    def __init__(self, said: dict[str, Any]) -> None:
        super().__init__(f"{said['type']}: {said['text']}")
        self.type: str = said["type"]
        self.text: str = said["text"]
        self.status: int = said["status"]
        self.answer: str = said["answer"]


class Library:
    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.kaggle_server.library"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, expression: str, **names: Any) -> Any:
        """The value of an expression as JSON; `names` are variables in it. Raises Raised."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([expression, names], default=str) + "\n")
        self._process.stdin.flush()
        said = json.loads(self._process.stdout.readline())
        if "type" in said:
            raise Raised(said)
        return said["value"]

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


def plain(value: Any) -> Any:
    """Objects of the client as JSON."""
    if hasattr(value, "to_dict"):
        return plain(value.to_dict(ignore_defaults=False))
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    return value if isinstance(value, str | int | float | None) else str(value)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # the client prints
    import importlib

    import kaggle

    def sdk(client: str, method: str, request: str, **fields: Any) -> Any:
        package, _, module = client.partition(".")
        with kaggle.api.build_kaggle_client() as connection:
            service = getattr(getattr(connection, package), f"{module}_client")
            called = getattr(service, method)
            types = importlib.import_module(f"kagglesdk.{package}.types.{module}_service")
            asked = getattr(types, request)()
            for name, value in fields.items():
                setattr(asked, name, value)
            return called(asked)

    for line in sys.stdin:
        expression, names = json.loads(line)
        try:
            said = {"value": plain(eval(expression, {"api": kaggle.api, "sdk": sdk, "os": os, **names}))}
        except (Exception, SystemExit) as error:
            answer = getattr(error, "response", None)
            said = {"type": type(error).__name__, "text": str(error), "status": 0, "answer": ""}
            if answer is not None:
                said |= {"status": answer.status_code, "answer": answer.text[:2000]}
        answers.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
