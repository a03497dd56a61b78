"""`python -m tests.model_server --script FILE --state FOLDER`: prints its port, serves until its stdin closes.

A step of the script may name faults, one for each time that it is asked: 400, 429 (with "retry_after"),
429_spend_limit, 529, 500, sse_error (overloaded in the middle of the stream, under status 200), reset, eof (a clean
end without end mark), hang (half of it, five seconds, then the connection drops), thinking_only (cut off at its length
limit before a word), cutN (a clean end after N events), and until the client hangs up: silent (not a byte), ping (signs
of life), endless (words). A step's "usage" is what it reports, whatever is billed.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import struct
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.model_server import brain, streams, validation
from tests.model_server.validation import Invalid, digest, tokens

REFUSED = ("400", "429", "429_spend_limit", "529", "500")
"""Faults that are an answer with an HTTP status."""


class State:
    """What the server remembers: its own replies, the prefixes in its cache, the bill."""

    def __init__(self, script: Path, folder: Path) -> None:
        self.script_path = script
        self.folder = folder
        self.lock = threading.Lock()
        self.produced: set[str] = set()
        self.prefixes: dict[str, int] = {}
        self.asked: Counter[tuple[str, int, str]] = Counter()
        self.number = 0
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def script(self) -> dict[str, Any]:
        return dict(json.loads(self.script_path.read_text()))

    def log(self, **record: Any) -> None:
        with self.lock, (self.folder / "requests.jsonl").open("a") as file:
            file.write(json.dumps(record) + "\n")

    def cached(self, units: list[Any], written: bool) -> tuple[int, int]:
        """(tokens read from the cache, tokens of all units); the whole prefix is then in the cache when `written`."""
        total, read, key, size = 0, 0, "", self.script["bytes_per_token"]
        for unit in units:
            total += tokens(unit, size)
            key = digest([key, unit])
            if key in self.prefixes:
                read = total
        if written:
            self.prefixes[key] = total
        return read, total


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: State

    def log_message(self, *_: Any) -> None:
        pass

    @property
    def _key(self) -> str:
        return self.headers.get("authorization", "") or self.headers.get("x-api-key", "")

    def do_GET(self) -> None:
        """The models there are."""
        dialect = "anthropic" if "x-api-key" in self.headers else "openai"
        try:
            validation.key(self._key)
            if self.path.partition("?")[0] != "/v1/models":
                raise Invalid(404, f"nothing at {self.path}", "not_found_error")
        except Invalid as error:
            self._error(dialect, error.status, str(error), error.code)
            return
        model = {"id": "scripted-model", "type": "model", "display_name": "S", "created_at": "2026-01-01T00:00:00Z"}
        openai = {"id": "scripted-model", "object": "model", "created": 1, "owned_by": "me"}
        found = [model] if dialect == "anthropic" else [openai]
        more = {"has_more": False, "first_id": None, "last_id": None} if dialect == "anthropic" else {"object": "list"}
        self._send(200, json.dumps({"data": found, **more}).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        dialect = "anthropic" if self.path.startswith("/v1/messages") else "openai"
        try:
            self._answer(dialect, body)
        except Invalid as error:
            self.state.log(dialect=dialect, status=error.status, error=str(error), billed=0.0)
            self._error(dialect, error.status, str(error), error.code)
        except OSError:
            self.close_connection = True  # the client is gone

    def _answer(self, dialect: str, body: dict[str, Any]) -> None:
        state = self.state
        with state.lock:
            units = [body.get("tools"), body.get("system"), *_blocks(body["messages"])]
            read, total = state.cached(units, written=False)
            validation.key(self._key)
            validation.common(body, total)
            check = validation.anthropic if dialect == "anthropic" else validation.openai
            check(body, state.produced)
            turn, number, result = brain.place(dialect, body["messages"], "repeats" in state.script["turns"])
            step = brain.step_of(state.script, turn, number, result)
            asked = state.asked[turn, number, body["model"]]
            state.asked[turn, number, body["model"]] += 1
            faults = step.get("faults", [])
            fault = faults[asked] if asked < len(faults) else ""
            if fault == "thinking_only":
                step, fault = {"stop": "max_tokens"}, ""
            if dialect == "anthropic" and "cache_control" not in body:
                read = 0
            elif fault not in REFUSED:
                state.cached(units, written=total >= 256)
            state.number += 1
            serial = state.number
        record = {"dialect": dialect, "model": body["model"], "turn": turn, "step": number, "status": 200}
        record["limit"] = body.get("max_tokens") or body["max_completion_tokens"]
        record["searching"] = any("web_search" in tool.get("type", "") for tool in body.get("tools", []))
        if fault in REFUSED:
            state.log(**{**record, "status": int(fault[:3]), "fault": fault, "billed": 0.0})
            code = "enforced_spend_limit_reached" if fault == "429_spend_limit" else "overloaded"
            self._error(dialect, int(fault[:3]), f"fault {fault} {code}", code, step.get("retry_after"))
            return
        self._stream(dialect, body, step, fault, serial, (read, total), record)

    def _stream(
        self, dialect: str, body: dict[str, Any], step: dict[str, Any], fault: str, serial: int,
        counted: tuple[int, int], record: dict[str, Any],
    ) -> None:  # fmt: skip
        read, total = counted
        size, limit = self.state.script["bytes_per_token"], body.get("max_tokens") or body["max_completion_tokens"]
        if tokens(streams.openai_message(step, serial), size) > limit:
            step = {"text": step.get("text", "")[: limit * size // 4] or "cut", "stop": "max_tokens"}
        fresh = total - read
        if step.get("search"):  # what the search brings is read together with all that was there
            read, fresh = read + total, fresh + step.get("brings", 0)
        if dialect == "anthropic":
            message: Any = streams.anthropic_content(step, serial)
            stop = streams.anthropic_stop(step)
            output = min(tokens(message, size), limit)
            usage: dict[str, Any] = {"input_tokens": 0, "cache_read_input_tokens": read}
            usage["cache_creation_input_tokens"] = fresh
            usage["server_tool_use"] = {"web_search_requests": 1} if step.get("search") else None
            usage = step.get("usage", {**usage, "output_tokens": output})
            events = streams.anthropic_events(body, message, stop, usage, serial)
        else:
            message = streams.openai_message(step, serial)
            stop = streams.openai_stop(step)
            output = min(tokens(message, size), limit)
            details = {"cached_tokens": read, "cache_write_tokens": fresh}
            counts: dict[str, Any] = {
                "prompt_tokens": total,
                "completion_tokens": output,
                "total_tokens": total + output,
            }
            counts["prompt_tokens_details"] = details
            counts = step.get("usage", counts)
            events = streams.openai_events(body, message, stop, counts, serial, step.get("deltas", []))
        with self.state.lock:
            self.state.produced.add(digest(validation.sent_back(message)))
        price = self.state.script["price"]
        made = output // 2 if fault else output
        billed = (read * price["cache_read"] + fresh * price["cache_write"] + made * price["output"]) / 1e6
        if step.get("search"):
            billed += 0.01
        record = {**record, "fault": fault, "read": read, "total": total, "output": output, "billed": billed}
        record["tokens"] = read + fresh + made
        sent = False
        try:
            self._send_events(list(events), dialect, fault, step)
            sent = not fault
        finally:
            self.state.log(**record, sent=sent)

    def _send_events(
        self, events: list[tuple[str | None, Any]], dialect: str, fault: str, step: dict[str, Any]
    ) -> None:
        if fault == "silent":
            self.connection.recv(1)
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        time.sleep(step.get("seconds", 0.0))
        if fault in ("ping", "endless"):
            self._go_on(events, dialect, fault)
        cut = len(events) // 2 if fault else len(events)
        cut = int(fault[3:]) if fault.startswith("cut") else cut
        for name, data in events[:cut]:
            self._event(name, data)
        if fault == "sse_error":
            error = {"type": "overloaded_error", "message": "Overloaded"}
            self._event("error" if dialect == "anthropic" else None, {"type": "error", "error": error})
        if fault == "hang":
            time.sleep(5)
        if fault in ("reset", "hang"):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return
        self.wfile.write(b"0\r\n\r\n")

    def _go_on(self, events: list[tuple[str | None, Any]], dialect: str, fault: str) -> None:
        """Until the client hangs up, which raises OSError."""
        forever = events[:1] if dialect == "openai" or fault == "ping" else [*events[:1], streams.BEGUN]
        for name, data in forever:
            self._event(name, data)
        while True:
            if fault == "endless":
                self._event(*streams.words(dialect, 100_000))
                continue
            time.sleep(0.05)
            self._event("ping", {"type": "ping"}) if dialect == "anthropic" else self._event(None, None)

    def _event(self, name: str | None, data: Any) -> None:
        text = data if isinstance(data, str) else json.dumps(data)
        line = (f"event: {name}\n" if name else "") + f"data: {text}\n\n"
        if data is None:
            line = ": still at work\n\n"
        payload = line.encode()
        self.wfile.write(f"{len(payload):x}\r\n".encode() + payload + b"\r\n")
        self.wfile.flush()

    def _error(self, dialect: str, status: int, message: str, code: str, retry_after: float | None = None) -> None:
        if dialect == "anthropic":
            body: dict[str, Any] = {"type": "error", "error": {"type": code, "message": message, "error_code": code}}
        else:
            body = {"error": {"message": message, "type": code, "code": code, "param": None}}
        self._send(status, json.dumps(body).encode(), retry_after)

    def _send(self, status: int, payload: bytes, retry_after: float | None = None) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(payload)))
        if retry_after is not None:
            self.send_header("retry-after", str(retry_after))
        self.end_headers()
        self.wfile.write(payload)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that are killed hang up: nothing to tell."""


def _blocks(messages: list[dict[str, Any]]) -> list[Any]:
    found: list[Any] = []
    for message in messages:
        content = message.get("content")
        if isinstance(content, list):
            found += [[message["role"], block] for block in content]
        else:
            found.append(message)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--script", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True)
    arguments = parser.parse_args()
    Handler.state = State(arguments.script, arguments.state)
    server = Server(("127.0.0.1", arguments.port), Handler)
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
