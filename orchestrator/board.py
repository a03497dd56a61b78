"""What the live display shows: the picture of the campaign that events build up, as lines and as a panel."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from orchestrator import show
from orchestrator.rounds import label

if TYPE_CHECKING:
    from rich.panel import Panel
    from rich.text import Text

STATUS_STYLES = {"keep": "bold green", "discard": "yellow", "crash": "bold red"}
LEVEL_STYLES = {"info": "cyan", "warning": "yellow", "error": "bold red"}
NAME_WIDTH = 8
_CAMPAIGN_FIELDS = ("name", "metric", "maximize", "sandbox", "round", "max_rounds", "minutes", "usd", "usd_cap")


class Line(NamedTuple):
    """One thing that happened; `quiet` ones stand in the log only, `steps` also in plain output."""

    text: str
    style: str = ""
    where: str = "all"
    """all | steps (not above the panel, which shows them) | quiet"""


@dataclass
class Board:
    """What the panel shows; brought up to date by events and by state.json."""

    name: str = ""
    metric: str = ""
    maximize: bool | None = None
    sandbox: str = ""
    round: int = 0
    max_rounds: int | None = None
    phase: str = ""
    phase_began: float = 0.0
    folds: int = 0
    fold_scores: dict[Any, Any] = field(default_factory=dict)
    best: dict[str, Any] | None = None
    kept: int = 0
    rounds: int = 0
    minutes: float | None = None
    elapsed: float = 0.0
    elapsed_at: float = field(default_factory=time.monotonic)
    usd: float | None = None
    usd_cap: float | None = None
    submissions: dict[str, Any] = field(default_factory=dict)
    ending: str = ""

    def apply(self, event: str, fields: dict[str, Any]) -> None:
        """Take up one event."""
        shared = ("round", "usd", "submissions") if event in ("round", "phase", "verdict") else ()
        for name in _CAMPAIGN_FIELDS if event == "campaign" else shared:
            if name in fields:
                setattr(self, name, fields[name])
        if event == "campaign" and isinstance(fields.get("best"), dict):
            self.best = fields["best"]
        elif event == "phase":
            self.phase, self.phase_began = str(fields.get("phase", "")), time.monotonic()
            self._no_folds()
        elif event in ("fold_start", "fold_done"):
            self._fold(event, fields)
        elif event == "verdict":
            self._verdict(fields)
        elif event == "ending":
            self.phase, self.ending = "", str(fields.get("reason", ""))

    def take_state(self, state: dict[str, Any] | None) -> None:
        """Take up the summary that the loop wrote a moment ago."""
        if state is None:
            return
        for name in ("max_rounds", "minutes", "usd", "usd_cap", "best", "kept", "rounds", "sandbox", "submissions"):
            setattr(self, name, state.get(name, getattr(self, name)))
        elapsed = show.finite(state.get("elapsed_seconds"))
        if elapsed is not None:
            self.elapsed, self.elapsed_at = elapsed, time.monotonic()

    def seconds(self) -> float:
        """Wall-clock seconds of the campaign so far."""
        return self.elapsed + time.monotonic() - self.elapsed_at

    @property
    def folds_done(self) -> int:
        """Folds that ended; a refit on all rows is none."""
        return sum(isinstance(fold, int) for fold in self.fold_scores)

    def _no_folds(self) -> None:
        self.folds, self.fold_scores = 0, {}

    def _fold(self, event: str, fields: dict[str, Any]) -> None:
        number = fields.get("fold")
        if number in self.fold_scores:
            self._no_folds()  # another script of this phase
        self.folds = fields.get("folds") or self.folds
        if event == "fold_done":
            self.fold_scores[number] = fields.get("score")

    def _verdict(self, fields: dict[str, Any]) -> None:
        self.rounds += 1
        if fields.get("status") == "keep":
            self.kept += 1
            self.best = {key: fields.get(key) for key in ("round", "cv", "se")}
        self.phase = ""
        self._no_folds()


def describe(event: str, fields: dict[str, Any], board: Board) -> Line:
    """The line of an event, from its fields and what the board knows after it."""
    number = fields.get("round", board.round)
    tag = label(number) if isinstance(number, int) else str(number)
    if event == "campaign":
        return Line(f"{board.name}: {_goal(board)}, sandbox {board.sandbox or '?'}, from {tag}", "bold")
    if event == "round":
        return Line(f"{tag} begins", "bold")
    if event == "phase":
        return Line(f"{tag} {fields.get('phase', '')} begins", where="quiet")
    if event == "phase_done":
        phase, reply = str(fields.get("phase", "")), str(fields.get("reply", ""))
        if reply.startswith("CV_SCORE="):
            reply = f"CV_SCORE={_short(reply.removeprefix('CV_SCORE='))}"
        told = phase == "learn" or (phase == "submit" and not reply.startswith("none"))
        text = f"{tag} {phase:{NAME_WIDTH}}  {reply}  ({show.duration(fields.get('seconds'))})"
        return Line(text, where="quiet" if told else "all")
    if event == "fold_done":
        done = f"{board.folds_done} of {board.folds} folds"
        result = fields.get("failure") or show.score(fields.get("score"))
        return Line(f"{tag} {'':{NAME_WIDTH}}  {done}, {result}", where="steps")
    if event == "gate":
        passed = bool(fields.get("passed"))
        text = f"{tag} {'':{NAME_WIDTH}}  {'' if passed else 'stopped early: '}{fields.get('text', '')}"
        return Line(text, "" if passed else "yellow", "steps" if passed else "all")
    if event == "verdict":
        status = str(fields.get("status", ""))
        measured = "" if fields.get("cv") is None else show.score(fields["cv"], fields.get("se")) + "  "
        text = f"{tag} {status.upper():{NAME_WIDTH}}  {measured}{show.reason(fields)}"
        return Line(text, STATUS_STYLES.get(status, ""))
    if event == "submit":
        text = f"{tag} {'SUBMIT':{NAME_WIDTH}}  {fields.get('status', '')}: {fields.get('reason') or ''}"
        return Line(text, "magenta")
    if event == "note":
        level = str(fields.get("level", "info"))
        prefix = "" if level == "info" else f"{level}: "
        return Line(f"{prefix}{fields.get('text', '')}", LEVEL_STYLES.get(level, ""))
    if event == "ending":
        return Line(_ending(fields), "bold")
    return Line(f"{event} {_pairs(fields)}", where="quiet")


def draw(board: Board) -> Panel:
    """The panel."""
    from rich.panel import Panel
    from rich.text import Text

    safe = board.sandbox != "none"
    lines = [_now_line(board), _best_line(board), _budget_line(board)]
    where = "" if not board.sandbox else f"sandbox {board.sandbox}" if safe else " NO SANDBOX "
    return Panel(
        Text("\n", no_wrap=True, overflow="ellipsis").join(lines),
        title=Text.assemble((show.one_line(board.name, 60) or "AutoKaggle", "bold"), f" · {_goal(board)}"),
        title_align="left",
        subtitle=Text(where, style="green" if safe else "bold white on red"),
        subtitle_align="right",
        border_style="cyan" if safe else "red",
        padding=(0, 1),
    )


def _now_line(board: Board) -> Text:
    from rich.text import Text

    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(label(board.round), style="bold cyan")
    text.append(f" of {board.max_rounds}  " if board.max_rounds else "  ", style="dim")
    if not board.phase:
        return text.append("over" if board.ending else "")
    text.append(f"{board.phase} ", style="bold").append(show.duration(int(time.monotonic() - board.phase_began)))
    if board.folds:
        done = board.folds_done
        text.append("  ").append("━" * 3 * done, style="green").append("━" * 3 * (board.folds - done), style="dim")
        text.append(f" {done} of {board.folds} folds")
        known = [score for score in map(show.finite, board.fold_scores.values()) if score is not None]
        if known:
            text.append("  so far ").append(show.score(sum(known) / len(known)), style="bold")
    return text


def _best_line(board: Board) -> Text:
    from rich.text import Text

    text = Text("best ", style="dim", no_wrap=True, overflow="ellipsis")
    if board.best is None:
        return text.append("none kept yet", style="not dim")
    text.append(show.score(board.best.get("cv"), board.best.get("se")), style="bold green not dim")
    text.append(f" in {label(board.best.get('round') or 0)}", style="not dim")
    if board.rounds:
        text.append(f"   kept {board.kept} of {board.rounds}", style="not dim")
    return text


def _budget_line(board: Board) -> Text:
    from rich.text import Text

    text = Text(no_wrap=True, overflow="ellipsis")
    if board.minutes is None:
        text.append("played ", style="dim").append(show.duration(int(board.seconds())))
    else:
        text.append("time left ", style="dim").append(
            show.duration(int(max(0.0, board.minutes * 60 - board.seconds())))
        )
    text.append("   money ", style="dim").append(show.money(board.usd or 0.0))
    if board.usd_cap is not None:
        text.append(f" of {show.money(board.usd_cap)}")
    if "left_today" in board.submissions:
        text.append("   submissions left today ", style="dim").append(str(board.submissions["left_today"]))
    return text


def _goal(board: Board) -> str:
    aim = {True: "maximize ", False: "minimize "}.get(board.maximize, "") if board.maximize is not None else ""
    return f"{aim}{board.metric}"


def _short(number: str) -> str:
    try:
        return f"{float(number):.6g}"
    except ValueError:
        return number


def _pairs(fields: dict[str, Any]) -> str:
    return " ".join(f"{key}={show.one_line(value, 80)}" for key, value in fields.items())


def _ending(fields: dict[str, Any]) -> str:
    lines = [f"The campaign is over: {fields.get('reason', '')}"]
    final = fields.get("final")
    if isinstance(final, dict) and show.finite(final.get("score")) is not None:
        parts = [f"{name} {show.score(final[name])}" for name in ("public", "private") if final.get(name) is not None]
        lines.append(
            f"Graded on held-out answers: {show.score(final['score'])}" + f" ({', '.join(parts)})" * bool(parts)
        )
    if fields.get("where"):
        lines.append(f"Report: {fields['where']}")
    return "\n".join(lines)
