"""What a reply may take: a server that sends signs of life and no word, or that never stops, is hung up on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import lru_cache
from ssl import SSLContext
from typing import Any

import httpx2

_SILENCE_S = 600.0
"""Longest pause between two bytes; a server that lives sends at least a ping."""
_CONNECT_S = 20.0
_BYTES, _BYTES_PER_TOKEN = 1_000_000, 2_000
"""More than any provider wraps a token in."""


class Watch:
    """Of one client; give `guard` to it as a hook for responses. `patience_s` may pass without a word of the reply."""

    def __init__(self, patience_s: float) -> None:
        self._patience = patience_s
        self._word = 0.0
        self._room = 0

    def begin(self, max_tokens: int) -> None:
        """A request goes out."""
        self._word = time.monotonic()
        self._room = _BYTES + _BYTES_PER_TOKEN * max_tokens

    def word(self) -> None:
        """A part of the reply came."""
        self._word = time.monotonic()

    def guard(self, response: httpx2.Response) -> None:
        """Raises what a broken connection raises for what can't be a reply."""
        if response.has_redirect_location:
            raise httpx2.TooManyRedirects(f"the server is elsewhere: {response.headers['location']}")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise httpx2.ReadError(
                "the reply is compressed, though none such was asked for"
            )  # it may unpack to any size
        if response.is_success and response.headers.get("content-type", "").startswith("text/html"):
            raise httpx2.ReadError("the server answers with a web page: is base_url right?")
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _Watched(response.stream, self)

    def timeout(self) -> httpx2.Timeout:
        """Patient with a server that reads a long prompt, not with a network that swallows the first packet."""
        return httpx2.Timeout(min(_SILENCE_S, self._patience), connect=min(_CONNECT_S, self._patience))

    def check(self, came: int) -> None:
        """Bytes came. Raises what a broken connection raises."""
        self._room -= came
        if self._room < 0:
            raise httpx2.ReadError("the reply is longer than any that was allowed")
        if time.monotonic() - self._word > self._patience:
            raise httpx2.ReadTimeout(f"not a word of the reply in {self._patience:.0f} s, though the server lives")


class _Watched(httpx2.SyncByteStream):
    def __init__(self, stream: httpx2.SyncByteStream, watch: Watch) -> None:
        self._stream, self._watch = stream, watch

    def __iter__(self) -> Iterator[bytes]:
        for part in self._stream:
            self._watch.check(len(part))
            yield part

    def close(self) -> None:
        self._stream.close()


def client(kind: Any, watch: Watch) -> Any:
    """An SDK's own kind of HTTP client, watched. It follows no redirect: key and conversation are for one host."""
    return kind(
        timeout=watch.timeout(), event_hooks={"response": [watch.guard]}, verify=_certificates(),
        follow_redirects=False, headers={"accept-encoding": "identity"},
    )  # fmt: skip


@lru_cache
def _certificates() -> SSLContext:
    """Read once: that takes longer than all else that a session needs at its start."""
    return httpx2.create_ssl_context()
