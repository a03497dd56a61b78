"""What goes wrong, told beforehand: a queue of faults for each method, one for each request; null lets one through.

Before the method acts:
  error       "status", "message", "retry_after", "shape" (nested, flat), "code"
  html        a page of HTML under "status" (200)
  empty       nothing under "status" (200)
  hang        "seconds", then the connection drops
  disconnect  the connection is reset
  late        the connection is reset ("status" set: that error is answered); the method acts "seconds" afterwards
After it has acted:
  disconnect_after, hang_after, error_after (as above; the answer is lost)
  unknown_enum  every value under "status" becomes "key_value" (SOMETHING_NEW)
  set           "values" replace those of the answer
  bad_json      the answer ends in its middle
Storage alone:
  cut         the connection is reset after "at" bytes of the body, under the full Content-Length
  short       the body ends after "at" bytes, and Content-Length says no more
  slow        "bytes_per_s"
  expire      the signed URL is out of date, now and for every later request with it
  gzip        Content-Encoding: gzip, whatever was asked for
  strip       "headers" to leave out
"""

from __future__ import annotations

import gzip
import json
import threading
from collections import deque
from typing import Any

from tests.kaggle_server.wire import Refusal, Reply, error_reply

Fault = dict[str, Any]
KINDS = {"error", "html", "empty", "hang", "disconnect", "late", "disconnect_after", "hang_after", "error_after"}
KINDS |= {"unknown_enum", "set", "bad_json", "cut", "short", "slow", "expire", "gzip", "strip"}
PAGE = b"<!DOCTYPE html><html><head><title>Kaggle</title></head><body>We'll be right back</body></html>"


class Faults:
    def __init__(self) -> None:
        self._queues: dict[str, deque[Fault | None]] = {}
        self._always: dict[str, Fault] = {}
        self._lock = threading.Lock()

    def plan(self, method: str, faults: list[Fault | None], always: bool = False) -> None:
        """Add `faults` to the queue of `method` ("*" = any); `always` repeats the last one once the queue is empty."""
        for fault in faults:
            if fault is not None and fault.get("kind") not in KINDS:
                raise Refusal(400, f"no fault {fault}")
        with self._lock:
            self._queues.setdefault(method, deque()).extend(faults)
            if always and faults and faults[-1] is not None:
                self._always[method] = faults[-1]

    def clear(self, method: str = "") -> None:
        """Forget what is planned for `method`, or for all."""
        with self._lock:
            for table in (self._queues, self._always):
                if method:
                    table.pop(method, None)
                else:
                    table.clear()

    def take(self, method: str) -> Fault:
        """The fault of this request; {} when all is well."""
        with self._lock:
            for name in (method, "*"):
                if self._queues.get(name):
                    return self._queues[name].popleft() or {}
                if name in self._always:
                    return self._always[name]
        return {}


def error_of(fault: Fault, shape: str) -> Reply:
    refusal = Refusal(fault.get("status", 500), fault.get("message", "Something went wrong"), fault.get("code", ""))
    headers = {"Retry-After": str(fault["retry_after"])} if "retry_after" in fault else {}
    return error_reply(refusal, fault.get("shape", shape), headers)


def answer_instead(fault: Fault, shape: str) -> Reply | None:
    """The answer of a fault that keeps the method from acting, where it has one."""
    kind = fault.get("kind")
    if kind == "error":
        return error_of(fault, shape)
    if kind == "html":
        return Reply(fault.get("status", 200), PAGE, {"Content-Type": "text/html; charset=utf-8"})
    if kind == "empty":
        return Reply(fault.get("status", 200))
    return None


def spoil(fault: Fault, reply: Reply, shape: str) -> Reply:
    """The answer that a fault makes of a good one."""
    kind = fault.get("kind")
    if kind == "error_after":
        return error_of(fault, shape)
    if kind == "bad_json":
        return Reply(reply.status, reply.body[: len(reply.body) // 2], reply.headers)
    if kind == "unknown_enum":
        body = _renamed(json.loads(reply.body), fault.get("key", "status"), fault.get("key_value", "SOMETHING_NEW"))
        return Reply(reply.status, json.dumps(body).encode(), reply.headers)
    if kind == "set":
        body = {**json.loads(reply.body), **fault["values"]}
        return Reply(reply.status, json.dumps(body).encode(), reply.headers)
    if kind == "gzip":
        return Reply(reply.status, gzip.compress(reply.body), {**reply.headers, "Content-Encoding": "gzip"})
    if kind == "strip":
        dropped = {name.lower() for name in fault["headers"]}
        kept = {name: value for name, value in reply.headers.items() if name.lower() not in dropped}
        return Reply(reply.status, reply.body, kept)
    if kind == "short":
        return Reply(reply.status, reply.body[: fault["at"]], reply.headers)
    return reply


def _renamed(value: Any, key: str, name: str) -> Any:
    if isinstance(value, list):
        return [_renamed(item, key, name) for item in value]
    if not isinstance(value, dict):
        return value
    return {known: name if known == key else _renamed(item, key, name) for known, item in value.items()}
