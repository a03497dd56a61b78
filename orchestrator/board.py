"""The picture of the campaign that events build up for the live display, and the line of each event."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from orchestrator import show
from orchestrator.rounds import label

STATUS_STYLES = {"keep": "bold green", "discard": "yellow", "crash": "bold red", "timeout": "bold red"}
LEVEL_STYLES = {"info": "cyan", "warning": "yellow", "error": "bold red"}
NAME_WIDTH = 8
STOPPING = "stopping after this step"
GO_ON = {
    "max rounds": "raise loop.max_rounds in config.json, or loop --rounds N",
    "wall-clock cap": "raise loop.minutes in config.json, or loop --minutes N",
    "target score": "change loop.target_score in config.json",
    "patience": "raise loop.patience in config.json",
    "money cap": "raise the cap named above in config.json",
}
_OF_AN_EXPERIMENT = ("experiment", "fold_done", "gate")
_CAMPAIGN_FIELDS = ("name", "metric", "maximize", "sandbox", "round", "max_rounds", "minutes", "usd_cap", "paid")
_STATE_FIELDS = (
    "max_rounds",
    "minutes",
    "usd",
    "usd_cap",
    "paid",
    "money",
    "best",
    "kept",
    "rounds",
    "sandbox",
    "submissions",
)


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
    trying: str = ""
    stopping: bool = False
    folds: int = 0
    """Of all experiments that run now."""
    fold_scores: dict[tuple[Any, Any], Any] = field(default_factory=dict)
    """(Variant, fold) → score, of the folds that ended."""
    variants: set[Any] = field(default_factory=set)
    """Whose folds began."""
    best: dict[str, Any] | None = None
    kept: int = 0
    rounds: int = 0
    minutes: float | None = None
    elapsed: float = 0.0
    elapsed_at: float = field(default_factory=time.monotonic)
    usd: float = 0.0
    usd_cap: float | None = None
    paid: bool = True
    """Whether any back end costs money."""
    money: dict[str, Any] = field(default_factory=dict)
    """See `money.figures`."""
    waiting: str = ""
    """Why a model's provider is being waited for, until the clock shows `waiting_until`."""
    waiting_until: float = 0.0
    submissions: dict[str, Any] = field(default_factory=dict)
    submits: bool = True
    ending: str = ""

    def apply(self, event: str, fields: dict[str, Any]) -> None:
        """Take up one event."""
        if event == "campaign":
            self._take(fields, _CAMPAIGN_FIELDS)
            self.submits = bool(fields.get("submissions", True))
        elif event in ("round", "phase", "verdict"):
            self._take(fields, ("round",))
            self.phase, self.phase_began = str(fields.get("phase", "")), time.monotonic()
            self.folds, self.fold_scores, self.variants, self.trying = 0, {}, set(), ""
        elif event == "experiment":
            beside = fields.get("side_by_side") and self.trying
            self.trying = f"{self.trying} + {_what(fields)}" if beside else _what(fields)
            self.folds, self.fold_scores, self.variants = 0, {}, set()
        elif event == "note" and str(fields.get("text", "")).startswith(STOPPING):
            self.stopping = True
        elif event == "wait":
            self.waiting = show.one_line(fields.get("text", ""))
            self.waiting_until = time.monotonic() + (show.finite(fields.get("seconds")) or 0.0)
        elif event == "answered":
            self.waiting_until = 0.0
        elif event in ("fold_start", "fold_done"):
            self._take_fold(event, fields)
        elif event == "ending":
            self.phase, self.ending = "", str(fields.get("reason", ""))

    def _take_fold(self, event: str, fields: dict[str, Any]) -> None:
        variant = fields.get("variant", 0)
        key = (variant, fields.get("fold"))
        if key in self.fold_scores:  # another script of this phase
            self.fold_scores = {other: score for other, score in self.fold_scores.items() if other[0] != variant}
        self.variants.add(variant)
        self.folds = (fields.get("folds") or 0) * len(self.variants) or self.folds
        if event == "fold_done":
            self.fold_scores[key] = fields.get("score")

    def take_state(self, state: dict[str, Any] | None) -> None:
        """Take up the summary that the loop wrote a moment ago."""
        self._take(state or {}, _STATE_FIELDS)
        if state and state.get("elapsed_seconds") is not None:
            self.elapsed, self.elapsed_at = state["elapsed_seconds"], time.monotonic()

    def _take(self, source: dict[str, Any], names: tuple[str, ...]) -> None:
        for name in names:
            setattr(self, name, source.get(name, getattr(self, name)))

    def seconds(self) -> float:
        """Wall-clock seconds of the campaign so far."""
        return self.elapsed + time.monotonic() - self.elapsed_at

    @property
    def folds_done(self) -> int:
        """Folds that ended; a refit on all rows is none."""
        return sum(isinstance(fold, int) for _, fold in self.fold_scores)

    @property
    def goal(self) -> str:
        aims = {True: "maximize ", False: "minimize ", None: ""}
        return aims[self.maximize] + self.metric


def describe(event: str, fields: dict[str, Any], board: Board) -> Line:
    """The line of an event, from its fields and what the board knows after it."""
    variant = f"_v{fields['variant']}" if event in _OF_AN_EXPERIMENT and fields.get("variant") else ""
    tag = label(fields.get("round", board.round)) + variant
    text = fields.get("text", "")
    status, phase = str(fields.get("status", "")), str(fields.get("phase", ""))

    def named(name: str, words: str) -> str:
        return f"{tag} {name:{NAME_WIDTH}}  {words}"

    if event == "campaign":
        return Line(f"{board.name}: {board.goal}, sandbox {board.sandbox or '?'}, from {tag}", "bold")
    if event == "round":
        return Line(f"{tag} begins", "bold")
    if event == "phase":
        return Line(f"{tag} {phase} begins", where="quiet")
    if event == "experiment":
        return Line(named("", f"trying {_what(fields)}"), where="steps")
    if event == "fold_start":
        return Line("", where="quiet")
    if event == "phase_done":
        reply = show.reply(str(fields.get("reply", "")))
        told = phase == "learn" or (phase == "submit" and not reply.startswith("none"))
        took = show.duration(fields.get("seconds"))
        return Line(named(phase, f"{reply}  ({took})"), where="quiet" if told else "all")
    if event == "fold_done":
        return Line(named("", _fold(fields, board)), where="steps")
    if event == "gate" and fields.get("passed"):
        if "(gain -" in text:
            text = f"fold 1 is worse ({text.partition('(')[2].rstrip(')')}), played on: it may pay in a blend"
        return Line(named("", text), where="steps")
    if event == "gate":
        return Line(named("", f"stopped early: {text}"), "yellow")
    if event == "verdict":
        measured = "" if fields.get("cv") is None else show.score(fields["cv"], fields.get("se")) + "  "
        status = show.status(fields)
        return Line(named(status.upper(), measured + show.reason(fields)), STATUS_STYLES.get(status, ""))
    if event == "submit":
        return Line(named("SUBMIT", f"{status}: {fields.get('reason') or ''}"), "magenta")
    if event == "wait":
        return Line(named(board.phase, text), "yellow", where="steps")
    if event == "answered":
        return Line(named(board.phase, text), where="steps")
    if event == "note":
        level = fields.get("level", "info")
        return Line(text if level == "info" else f"{level}: {text}", LEVEL_STYLES.get(level, ""))
    if event == "ending":
        return Line(_ending(fields, board.metric), "bold")
    pairs = (f"{key}={show.one_line(value, 80)}" for key, value in fields.items())
    return Line(f"{event} {' '.join(pairs)}", where="quiet")


def _what(fields: dict[str, Any]) -> str:
    """`lightgbm_slow (lightgbm, diversify)`, each word once."""
    names = dict.fromkeys(show.one_line(fields[key], 30) for key in ("recipe", "family", "role") if fields.get(key))
    first, *others = names or ["?"]
    return f"{first} ({', '.join(others)})" if others else first


def _fold(fields: dict[str, Any], board: Board) -> str:
    """How one fold ended, or the refit on all rows, which has no score."""
    fold, failure = fields.get("fold"), fields.get("failure")
    if isinstance(fold, int):
        return f"fold {fold}: {failure or show.short(fields.get('score'))}  ({board.folds_done} of {board.folds})"
    return f"refit on all rows: {failure + ', so models of the folds predict test' if failure else 'done'}"


def _ending(fields: dict[str, Any], metric: str) -> str:
    reason = str(fields.get("reason", ""))
    lines = [f"The campaign is over: {reason}", _result(fields.get("final"), metric)]
    if fields.get("where"):
        lines.append(f"Report: {fields['where']}")
    if how := GO_ON.get(reason.partition(":")[0]):
        lines.append(f"To go on: {how}")
    return "\n".join(lines)


def _result(final: dict[str, Any] | None, metric: str) -> str:
    """The best round, how good it is and its file."""
    if not final:
        return "Nothing was kept."
    tag, cv, csv = label(final.get("round") or 0), show.score(final.get("cv"), final.get("se")), final.get("submission")
    if show.finite(final.get("score")) is None:
        return f"Best: {tag}, {metric} {cv}; {'submitted:' if final.get('submitted') else 'upload'} {csv}"
    return f"{tag}: {metric} {show.short(final['score'])} on the held-out answers (CV {cv}), submission: {csv}"
