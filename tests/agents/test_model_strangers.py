"""A base_url behind which no honest model server stands."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from agents.errors import ModelUnreachable, ModelUnusable
from tests.agents.model_desk import KEY, desk, turn
from tests.agents.test_model_session import DIALECTS, WRITE, events
from tests.model_server.brain import report

CALL = {"type": "tool_use", "id": "a", "name": "list_files", "input": {}}
START = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None}
USED = {"usage": {"input_tokens": 9, "output_tokens": 9}}
TWINS: list[dict[str, Any]] = [
    {"type": "message_start", "message": {**START, **USED}},
    {"type": "content_block_start", "index": 0, "content_block": CALL},
    {"type": "content_block_start", "index": 1, "content_block": CALL},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, **USED},
]
"""Two calls with one id."""
LISTED: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": {"content": "DONE"}, "finish_reason": ["stop"]}]}]
"""A reason that is a list."""


class Stranger(BaseHTTPRequestHandler):
    seen: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.seen.append(self.path)
        self.rfile.read(int(self.headers["content-length"]))
        place = self.path.split("/")[1]
        answers: dict[str, tuple[int, dict[str, str], bytes]] = {
            "moved": (307, {"location": f"http://localhost:{self.server.server_address[1]}/thief"}, b""),
            "page": (200, {"content-type": "text/html"}, b"<html>Please log in</html>"),
            "packed": (200, {"content-encoding": "gzip"}, gzip.compress(b"data: " + b"x" * 1000)),
            "twins": (200, {"content-type": "text/event-stream"}, _stream(TWINS)),
            "listed": (200, {"content-type": "text/event-stream"}, _stream(LISTED)),
        }
        status, headers, body = answers[place]
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(body)), "connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing to say."""


def _stream(sent: list[dict[str, Any]]) -> bytes:
    return "".join(f"event: {data.get('type', '')}\ndata: {json.dumps(data)}\n\n" for data in sent).encode()


@pytest.fixture
def stranger() -> Iterator[str]:
    Stranger.seen.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@DIALECTS
def test_the_key_goes_to_no_other_host(backend: str, tmp_path: Path, stranger: str) -> None:
    with desk(tmp_path, backend, {}) as here:
        with pytest.raises(ModelUnusable, match="is elsewhere: http://localhost"):
            here.open(base_url=f"{stranger}/moved").ask(turn(here.root))
        assert len(Stranger.seen) == 1


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize(
    ("backend", "place", "words"),
    [
        ("anthropic", "page", "with a web page"),
        ("openai", "page", "with a web page"),
        ("openai", "packed", "is compressed"),
        ("anthropic", "twins", "two tool calls have one id"),
        ("openai", "listed", "can't be read"),
    ],
)
def test_what_is_no_reply_is_waited_out(backend: str, place: str, words: str, tmp_path: Path, stranger: str) -> None:
    with desk(tmp_path, backend, {}) as here:
        with pytest.raises(ModelUnreachable, match=words):
            here.open(base_url=f"{stranger}/{place}", unreachable_minutes=1).ask(turn(here.root))
        assert {event["event"] for event in events(here.transcript)} == {"spawn", "turn", "request", "failed"}
        assert here.costs.totals().unanswered_usd == 0.0


@DIALECTS
def test_a_key_that_is_said_back_reaches_no_file(backend: str, tmp_path: Path) -> None:
    told = {"text": f"Your key is {KEY}.", "tools": [WRITE, report(f"DONE {KEY}")]}
    with desk(tmp_path, backend, {"R01/plan": [told]}) as here:
        assert here.open().ask(turn(here.root)) == "DONE (key)"
        assert not [path for path in here.root.rglob("*") if path.is_file() and KEY in path.read_text()]
