"""Live progress of the loop: a panel in a terminal, plain lines elsewhere, and every event in loop.log.

A `Display` is what the loop and the referee call as `progress(event, **fields)`. It only shows: an event or a field
that it does not know is harmless, a full disk or a closed terminal never ends the campaign.
"""

from __future__ import annotations

import contextlib
import os
import sys
import textwrap
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from orchestrator import show
from orchestrator.board import NAME_WIDTH, Board, Line, describe, draw
from orchestrator.state import read_state

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.panel import Panel

LOG_NAME = "loop.log"


class Display:
    """Shows events. `stream` is where people look (stdout); `plain` forces lines without control characters."""

    def __init__(
        self,
        root: Path,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        plain: bool = False,
        stream: TextIO | None = None,
    ) -> None:
        self._root = root
        self._now = now
        self._stream: TextIO | None = sys.stdout if stream is None else stream
        self._live_wanted = not plain and can_draw(self._stream)
        self._board = Board()
        self._board_lock = threading.RLock()
        self._output_lock = threading.RLock()  # never taken while drawing, so that the two can't wait for each other
        self._console: Console | None = None
        self._live: Live | None = None

    def __enter__(self) -> Display:
        if self._live_wanted:
            from rich.console import Console
            from rich.live import Live

            self._console = Console(file=self._stream, highlight=False, markup=False, emoji=False)
            self._live = Live(
                console=self._console, get_renderable=self._panel, refresh_per_second=4, transient=True, screen=False
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            with contextlib.suppress(OSError, ValueError):
                self._live.stop()
            self._live = None

    def __call__(self, event: str, **fields: Any) -> None:
        """Show one event, from any thread."""
        with self._output_lock:
            with self._board_lock:
                if event in ("campaign", "phase"):
                    self._board.take_state(read_state(self._root))
                self._board.apply(event, fields)
                line = describe(event, fields, self._board)
            line = line._replace(text=show.clean(line.text).rstrip())
            self._log(line.text)
            if self._stream is not None:
                self._show(line)

    def _show(self, line: Line) -> None:
        try:
            if self._console is not None and line.where == "all":
                from rich.text import Text

                self._console.print(Text(wrap(line.text, self._console.width), style=line.style))
            elif self._console is None and line.where != "quiet":
                self._write(f"{self._now():%H:%M:%S} {line.text}\n")
        except (OSError, ValueError):
            self._give_up()

    def _write(self, text: str) -> None:
        assert self._stream is not None
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        self._stream.write(text.encode(encoding, "replace").decode(encoding))
        self._stream.flush()

    def _give_up(self) -> None:
        """Nobody reads any more (`| head`, a closed terminal): play on silently, and let the exit flush to nowhere."""
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            if self._stream is not None:
                os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
        self._stream = None

    def _log(self, text: str) -> None:
        """Append to loop.log; one write per event, so that lines of two threads never mix."""
        stamp = f"{self._now():%Y-%m-%dT%H:%M:%SZ}"
        lines = text.splitlines() or [""]
        data = "".join(f"{stamp} {line}\n" for line in lines).encode("utf-8", "replace")
        with contextlib.suppress(OSError):
            handle = os.open(self._root / LOG_NAME, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                os.write(handle, data)
            finally:
                os.close(handle)

    def _panel(self) -> Panel:
        with self._board_lock:
            return draw(self._board)


def can_draw(stream: TextIO | None) -> bool:
    """A terminal that moves its cursor and shows Unicode, used by someone who did not ask for plain text."""
    if stream is None or not stream.isatty() or "NO_COLOR" in os.environ:
        return False
    return os.environ.get("TERM", "dumb") != "dumb" and "utf" in (getattr(stream, "encoding", "") or "").lower()


def wrap(text: str, width: int) -> str:
    """Long lines go on below their words, beside the column of rounds and phases."""
    indent = " " * (NAME_WIDTH + 6)
    return "\n".join(
        textwrap.fill(line, max(width, 40), subsequent_indent=indent, replace_whitespace=False, expand_tabs=True)
        for line in text.split("\n")
    )
