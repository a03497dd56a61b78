"""What goes over the wire: replies, refusals in both shapes, times, pages, the table of methods."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.kaggle_server.site import Site

API_HOSTS = ("localhost", "127.0.0.1", "api.kaggle.com")
STORAGE_HOST = "storage.kaggle.test"
UPLOAD_HOST = "upload.kaggle.test"
CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


class Refusal(Exception):
    """An answer with an error status."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code or CODES.get(status, "UNKNOWN")


@dataclass
class Reply:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """A method called: `body` is the JSON sent, `user` who signed in ("" = nobody)."""

    body: dict[str, Any]
    user: str

    def text(self, key: str) -> str:
        return str(self.body.get(key) or "")

    def number(self, key: str, default: int = 0) -> int:
        return int(self.body.get(key) or default)


Method = Callable[["Site", Call], "dict[str, Any] | Reply"]
METHODS: dict[str, Method] = {}
"""By "package.Service/Method"."""


def rpc(service: str, name: str) -> Callable[[Method], Method]:
    def register(method: Method) -> Method:
        METHODS[f"{service}/{name}"] = method
        return method

    return register


def json_reply(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    kind = {"Content-Type": "application/json"}
    return Reply(status, json.dumps(body).encode(), {**kind, **(headers or {})})


def error_reply(refusal: Refusal, shape: str, headers: Mapping[str, str] | None = None) -> Reply:
    """`shape` is nested, as the gateway answers, or flat."""
    flat = {"code": refusal.status, "message": str(refusal)}
    body = flat if shape == "flat" else {"error": {**flat, "status": refusal.code}}
    return json_reply(body, refusal.status, headers)


def timestamp(moment: datetime) -> str:
    """As Kaggle writes them, with seven digits after the point."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond:06d}0Z"


def paged(items: Sequence[Any], call: Call, default: int = 20, most: int = 200) -> tuple[list[Any], str]:
    """(items of the page asked for, token of the next page or "")."""
    size = min(call.number("pageSize", default), most)
    token = call.text("pageToken")
    if token and not token.startswith("from-"):
        raise Refusal(400, f"Invalid page token: {token}")
    start = int(token.removeprefix("from-")) if token else (max(call.number("page", 1), 1) - 1) * size
    rest = start + size < len(items)
    return list(items[start : start + size]), f"from-{start + size}" if rest else ""
