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
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from orchestrator import money, show
from orchestrator.board import NAME_WIDTH, STOPPING, Board, Line, describe
from orchestrator.rounds import label
from orchestrator.state import read_state
from orchestrator.views import LOG_NAME


class Display:
    """Shows events. `stream` is where people look; `plain` forces lines without control characters."""

    def __init__(
        self, root: Path, *, now: Callable[[], datetime], plain: bool = False, stream: TextIO | None = None
    ) -> None:
        self._root = root
        self._now = now
        self._stream: TextIO | None = stream or sys.stdout
        self._board = Board()
        self._board_lock = threading.RLock()
        self._output_lock = threading.RLock()  # never taken while drawing, so that the two can't wait for each other
        self._waiting: deque[tuple[str, dict[str, Any]]] = deque()
        self._busy = False
        self._console: Console | None = None
        self._live: Live | None = None
        if not plain and can_draw(self._stream):
            self._console = Console(file=self._stream, highlight=False, markup=False, emoji=False)
            self._live = Live(
                console=self._console, get_renderable=self._panel, refresh_per_second=4, transient=True, screen=False
            )

    def __enter__(self) -> Display:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            with contextlib.suppress(OSError, ValueError):
                self._live.stop()

    def __call__(self, event: str, **fields: Any) -> None:
        """Show one event, from any thread; one that a signal's handler tells amid another's output comes after it."""
        self._waiting.append((event, fields))
        with self._output_lock:
            if self._busy:
                return
            self._busy = True
            try:
                while self._waiting:
                    self._tell(*self._waiting.popleft())
            finally:
                self._busy = False

    def _tell(self, event: str, fields: dict[str, Any]) -> None:
        with self._board_lock:
            if event in ("campaign", "phase"):
                self._board.take_state(read_state(self._root))
            self._board.apply(event, fields)
            line = describe(event, fields, self._board)
        line = line._replace(text=show.clean(line.text).rstrip())
        if not line.text:
            return
        self._log(line.text)
        try:
            self._show(line)
        except (OSError, ValueError):
            self._give_up()

    def _show(self, line: Line) -> None:
        if self._stream is None:
            return
        if self._console is None and line.where != "quiet":
            encoding = getattr(self._stream, "encoding", None) or "utf-8"
            text = f"{self._now():%H:%M:%S} {line.text}\n"
            self._stream.write(text.encode(encoding, "replace").decode(encoding))
            self._stream.flush()
        elif self._console is not None and line.where == "all":
            self._console.print(Text(wrap(line.text, self._console.width), style=line.style))

    def _give_up(self) -> None:
        """Nobody reads any more (`| head`, a closed terminal): play on silently, and let the exit flush to nowhere."""
        with contextlib.suppress(OSError, ValueError), open(os.devnull, "w") as nowhere:
            if self._stream is not None:
                os.dup2(nowhere.fileno(), self._stream.fileno())
        self._stream = None

    def _log(self, text: str) -> None:
        """Append to loop.log; one write per event, so that lines of two threads never mix."""
        stamp = f"{self._now():%Y-%m-%dT%H:%M:%SZ}"
        data = "".join(f"{stamp} {line}\n" for line in text.splitlines() or [""])
        with contextlib.suppress(OSError), (self._root / LOG_NAME).open("ab", buffering=0) as file:
            file.write(data.encode("utf-8", "replace"))

    def _panel(self) -> Panel:
        columns = self._console.width if self._console else 80
        with self._board_lock:
            return draw(self._board, columns - 2 * len("^C"))


def can_draw(stream: TextIO) -> bool:
    """A terminal that moves its cursor and shows Unicode, used by someone who did not ask for plain text."""
    if not stream.isatty() or "NO_COLOR" in os.environ:
        return False
    return os.environ.get("TERM", "dumb") != "dumb" and "utf" in (getattr(stream, "encoding", "") or "").lower()


def wrap(text: str, width: int) -> str:
    """Long lines go on below their words, beside the column of rounds and phases."""
    indent = " " * (NAME_WIDTH + 6)
    return "\n".join(
        textwrap.fill(line, max(width, 40), subsequent_indent=indent, replace_whitespace=False, expand_tabs=True)
        for line in text.split("\n")
    )


def draw(board: Board, width: int = 80) -> Panel:
    """The panel. Beside it the terminal must have room to echo each Ctrl-C, or it tears when drawn anew."""
    safe = board.sandbox != "none"
    lines = [_now_line(board), *_trying_line(board), _best_line(board), _budget_line(board), *_money_line(board)]
    if time.monotonic() < board.waiting_until:
        lines.append(Text(board.waiting, style="yellow"))
    if board.stopping:
        lines.append(Text(f"{STOPPING}; Ctrl-C again stops now", style="yellow"))
    where = "" if not board.sandbox else f"sandbox {board.sandbox}" if safe else " NO SANDBOX "
    return Panel(
        Text("\n").join(lines),
        width=max(width, 40),
        title=Text.assemble((show.one_line(board.name, 60) or "AutoKaggle", "bold"), f" · {board.goal}"),
        title_align="left",
        subtitle=Text(where, style="green" if safe else "bold white on red"),
        subtitle_align="right",
        border_style="cyan" if safe else "red",
        padding=(0, 1),
    )


def _now_line(board: Board) -> Text:
    total = f" of {board.max_rounds}" if board.max_rounds else ""
    text = Text.assemble((label(board.round), "bold cyan"), (f"{total}  ", "dim"))
    if not board.phase:
        return text.append("over" if board.ending else "")
    text.append(f"{board.phase} ", style="bold").append(show.duration(int(time.monotonic() - board.phase_began)))
    if board.folds:
        done, wide = board.folds_done, max(1, 15 // board.folds)
        text.append("  ").append("━" * wide * done, style="green")
        text.append("━" * wide * (board.folds - done), style="dim").append(f" {done} of {board.folds} folds")
    return text


def _trying_line(board: Board) -> list[Text]:
    known = [score for score in map(show.finite, board.fold_scores.values()) if score is not None]
    parts = [Text.assemble(("trying ", "dim"), board.trying)] if board.trying else []
    if known and len(board.variants) == 1:
        average, folds = show.short(sum(known) / len(known)), f" on {len(known)} fold{'s' * (len(known) > 1)}"
        parts.append(Text.assemble(("so far ", "dim"), (average, "bold"), folds))
    return [Text("   ").join(parts)] if parts else []


def _best_line(board: Board) -> Text:
    if board.best is None:
        return Text.assemble(("best ", "dim"), "none kept yet")
    score = show.score(board.best.get("cv"), board.best.get("se"))
    family = f" ({show.one_line(board.best['family'], 30)})" if board.best.get("family") else ""
    found = f" in {label(board.best.get('round') or 0)}{family}   kept {board.kept} of {board.rounds}"
    return Text.assemble(("best ", "dim"), (score, "bold green"), found)


def _money_line(board: Board) -> list[Text]:
    if not board.money:
        return []
    text = Text.assemble(("spent ", "dim"), money.spent(board.money, board.round))
    if show.finite(board.money.get("cached")) is not None:
        text.append("   from cache ", style="dim").append(f"{show.percent(board.money['cached'])} of the input")
    return [text]


def _budget_line(board: Board) -> Text:
    if board.minutes is None:
        text = Text.assemble(("played ", "dim"), show.duration(int(board.seconds())))
    else:
        left = max(0.0, board.minutes * 60 - board.seconds())
        text = Text.assemble(("time left ", "dim"), show.duration(int(left)))
    if board.paid or board.usd:
        cap = "" if board.usd_cap is None else f" of {show.money(board.usd_cap)}"
        text.append("   money ", style="dim").append(show.money(board.usd) + cap)
    if not board.submits:
        text.append("   submissions off", style="dim")
    elif "left_today" in board.submissions:
        text.append("   submissions left today ", style="dim").append(str(board.submissions["left_today"]))
    return text
