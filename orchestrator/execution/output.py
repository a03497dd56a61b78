"""What an experiment prints: read to the end, head and tail kept, cleaned for people, files and prompts."""

from __future__ import annotations

import os
import re
import threading

_ANSI = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,4096}(\x07|\x1b\\)?|[@-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


class LogKeeper(threading.Thread):
    """Drains a pipe, which it owns, until its last writer is gone; memory stays within twice the cap."""

    def __init__(self, handle: int, cap: int) -> None:
        super().__init__(daemon=True)
        self._handle = handle
        self._head_cap = cap // 4
        self._tail_cap = cap - self._head_cap
        self._head, self._tail = bytearray(), bytearray()
        self._total = 0
        self.start()

    def run(self) -> None:
        with os.fdopen(self._handle, "rb", buffering=0) as pipe:
            while chunk := pipe.read(1 << 16):
                self._total += len(chunk)
                room = self._head_cap - len(self._head)
                self._head += chunk[:room]
                self._tail += chunk[room:]
                if len(self._tail) > 2 * self._tail_cap:
                    del self._tail[: -self._tail_cap]

    def text(self) -> str:
        """The log so far, at most `cap` bytes in UTF-8."""
        tail = self._tail[-self._tail_cap :]
        left_out = self._total - len(self._head) - len(tail)
        if left_out <= 0:
            return end_of(clean(bytes(self._head + tail)), self._head_cap + self._tail_cap)
        head = clean(bytes(self._head)).encode()[: self._head_cap].decode("utf-8", "ignore")
        marker = f"\n[… {left_out:,} bytes left out …]\n"
        return head + marker + end_of(clean(bytes(tail)), self._tail_cap - len(marker.encode()))


def clean(data: bytes) -> str:
    """Text without terminal sequences, control or direction characters; line ends are \\n."""
    text = data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub("", _ANSI.sub("", text))


def end_of(text: str, cap: int) -> str:
    """The last `cap` bytes of a text."""
    return text.encode()[-cap:].decode("utf-8", "ignore")
