"""`status` and `logs`: what a person asks while, before and after the loop plays. Reads files only, changes none."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from orchestrator import money, show
from orchestrator.errors import BadInput
from orchestrator.journal import Journal
from orchestrator.ledger import Entry
from orchestrator.rounds import RoundFiles, label
from orchestrator.standings import line
from orchestrator.state import State
from orchestrator.summary import NOT_STARTED, config_fault, is_playing, picture, played, raw_config, records

LAST_ROUNDS = 5
TAIL_LINES = 40
COST = 5
"""The column of money, shown where any was spent."""
POLL_SECONDS = 0.5
LOG_NAME = "loop.log"


def status(root: Path, *, colour: bool | None = None) -> str:
    """Where the campaign stands, as lines for a terminal.

    Comes from state.json; when that is missing or damaged, from rounds/. Raises BadInput for a folder that is no
    campaign. `colour` None: when stdout is a terminal.
    """
    if not (root / "config.json").is_file():
        raise BadInput(f"{root.resolve()} has no config.json: go to a campaign's folder or give it with -C DIR")
    state = picture(root)
    if colour is None:
        colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    lines = [_headline(state)]
    if state.get("sandbox") == "none":
        banner = "NO SANDBOX: what agents write runs here with all your rights"
        lines.append(f"\x1b[1;37;41m {banner} \x1b[0m" if colour else banner)
    facts = [(name, text) for name, text in _facts(root, state) if text]
    width = max(len(name) for name, _ in facts)
    lines += [f"  {name:{width}}  {text}" for name, text in facts]
    rows = _last_rounds(root / "rounds", state.get("round") or 0)
    if len(rows) > 1:
        lines += ["", *(f"  {line}" for line in show.table(rows))]
    return "\n".join(lines)


def _headline(state: State) -> str:
    maximize = state.get("maximize")
    direction = "" if maximize is None else f", {'higher' if maximize else 'lower'} is better"
    return f"{show.one_line(state.get('competition') or '?')}: {show.one_line(state.get('metric') or '?')}{direction}"


def _facts(root: Path, state: State) -> list[tuple[str, str]]:
    playing = is_playing(root)
    loop = "playing now" if playing else f"not running; go on with: {show.command('loop', root)}"
    if state.get("phase") == NOT_STARTED and not playing:
        loop = f"{NOT_STARTED}; begin with: {show.command('loop', root)}"
        return [("loop", loop), ("unchecked", _guesses(root)), ("config.json", config_fault(root))]
    if state.get("ending") and not playing:
        loop = "over"
    pairs = [f"{label(number)} {show.score(cv)} and {show.score(lb)}" for number, cv, lb in state.get("cv_lb", [])[-3:]]
    minutes = state.get("minutes")
    spent = state.get("money")
    return [
        ("loop", loop),
        ("ending", show.one_line(state.get("ending") or "", 300)),
        ("round", _round(state)),
        ("waiting", _waiting(state.get("waiting"), playing)),
        ("best", _best(state.get("best"))),
        ("graded", show.grade(state.get("final"), " on held-out answers")),
        ("kept", f"{state.get('kept', 0)} of {state.get('rounds', 0)} rounds"),
        ("leaderboard", _place(state.get("leaderboard"))),
        ("CV and LB", "; ".join(pairs)),
        *_agreement(state.get("agreement")),
        ("submissions", _submissions(state)),
        ("time", _of(show.duration, state.get("elapsed_seconds"), minutes and minutes * 60)),
        ("money", _money(state)),
        *([("by role", money.by_role(spent)), ("tokens", money.tokens(spent))] if spent else []),
        ("agents", ", ".join(f"{role} {number}" for role, number in (state.get("agents") or {}).items())),
        ("sandbox", str(state.get("sandbox") or "")),
        ("unchecked", _guesses(root)),
        ("config.json", config_fault(root)),
        ("updated", str(state.get("updated") or "").replace("T", " ").replace("+00:00", " UTC")),
        ("records", _damage(state)),
    ]


def _round(state: State) -> str:
    total = f" of {state['max_rounds']}" if state.get("max_rounds") else ""
    phase = f", {state['phase']}" if state.get("phase") else ""
    return f"{label(state.get('round') or 0)}{total}{phase}"


def _waiting(waiting: dict[str, str] | None, playing: bool) -> str:
    """Which model does not answer: `builder: connection refused since 10:17, next try 10:22 UTC`."""
    if not waiting:
        return ""
    since, until = (datetime.fromisoformat(waiting[key]) for key in ("since", "until"))
    began = f"{since:%H:%M}" if since.date() == until.date() else f"{since:%Y-%m-%d %H:%M}"
    then = f"next try {until:%H:%M} UTC" if playing else "asked again when the loop goes on"
    return f"{waiting['role']}: {show.one_line(waiting['why'], 120)} since {began}{'' if playing else ' UTC'}, {then}"


def _best(best: Entry | None) -> str:
    if not best:
        return "nothing kept yet"
    family = f", {show.one_line(best['family'], 40)}" if best.get("family") else ""
    board = f"; leaderboard {show.score(best['lb'])}" if best.get("lb") is not None else ""
    return f"{show.score(best.get('cv'), best.get('se'))} ({label(best['round'])}{family}){board}"


def _place(found: State | None) -> str:
    if not found:
        return ""
    return f"{line(found)} ({label(found['round'])}, {str(found['fetched'])[:16].replace('T', ' ')} UTC)"


def _agreement(found: State | None) -> list[tuple[str, str]]:
    """How CV and leaderboard go together, and where they part."""
    if not found or found["pairs"] < 2:
        return []
    known = f", rank correlation {found['correlation']:.2f}" if found["correlation"] is not None else ""
    text = f"leaderboard - CV {show.signed(found['offset'])} in the middle of {found['pairs']} rounds{known}"
    return [("CV to LB", text), *(("warning", show.one_line(text, 300)) for text in found["warnings"][-3:])]


def _submissions(state: State) -> str:
    if state.get("submits") is False:
        return "off"
    counts = state.get("submissions")
    if not counts:
        return ""
    day = str(state.get("updated") or "")[:10]
    return f"{counts.get('today', 0)} sent and {counts.get('left_today', 0)} left on {day} (UTC)"


def _money(state: State) -> str:
    text = _of(show.money, state.get("usd"), state.get("usd_cap"))
    return f"{text}; {money.spent(state['money'], state.get('round') or 0)}" if state.get("money") else text


def _of(shown: Callable[[Any], str], value: Any, cap: Any) -> str:
    if value is None:
        return ""
    return shown(value) if cap is None else f"{shown(value)} of {shown(cap)}"


def _guesses(root: Path) -> str:
    guesses = raw_config(root).get("guesses")
    if not isinstance(guesses, dict) or not guesses:
        return ""
    names = ", ".join(show.one_line(name, 60) for name in list(guesses)[:4])
    what = "guess" if len(guesses) == 1 else "guesses"
    return f"{len(guesses)} {what} in config.json: {names}{', …' if len(guesses) > 4 else ''}"


def _damage(state: State) -> str:
    damaged = ", ".join(map(label, state.get("damaged") or []))
    notes = [f"state.json is {state['rebuilt']}; this comes from rounds/"] if state.get("rebuilt") else []
    if state.get("money_lost"):
        notes.append(show.one_line(state["money_lost"], 300))
    if damaged:
        notes.append(f"{damaged}: the record fails its checksum and its score is not shown")
    return "; ".join(notes)


def _last_rounds(folder: Path, newest: int) -> list[list[str]]:
    """A header and the last finished rounds, looked up by name so that a long campaign is no slower than a short."""
    near = range(newest, max(newest - 3 * LAST_ROUNDS, 0), -1)
    rows = [_row(number, entry) for number, entry in islice(records(folder, near), LAST_ROUNDS)]
    rows = [["round", "score", "LB", "status", "family", "cost", "why"], *reversed(rows)]
    if any(row[COST] for row in rows[1:]):
        return rows
    return [[*row[:COST], *row[COST + 1 :]] for row in rows]


def _row(number: int, entry: Entry | None) -> list[str]:
    if entry is None:
        return [label(number), "(damaged)", "", "", "", "", ""]
    return [
        label(number),
        show.round_score(entry),
        "error" if entry.get("submission_error") else show.score(entry["lb"]),
        show.status(entry),
        show.one_line(entry["family"] or "", 20),
        show.money(entry["usd"]) if entry["usd"] else "",
        show.one_line(show.reason(entry), 60),
    ]


def logs(
    root: Path,
    number: int | None = None,
    follow: bool = False,
    out: TextIO | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Print the end of loop.log, or what happened in one round; `follow` goes on until Ctrl-C.

    Control characters are left out. Raises BadInput for a round that has no files.
    """
    stream = sys.stdout if out is None else out
    lines = _log_lines(root / LOG_NAME) if number is None else _round_lines(root / "rounds", number)
    try:
        for line in lines:
            if line is not None:
                stream.write(show.clean(line) + "\n")
                continue
            stream.flush()
            if not follow:
                return
            sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        return


def _log_lines(path: Path) -> Iterator[str | None]:
    """The last lines of a growing file, then what is added; None whenever there is no more for now."""
    if not path.exists():
        yield f"{path} is not there yet: it begins with the first `{show.command('loop', path.parent)}`"
    position = 0  # behind the last whole line that was read
    first = True
    while True:
        lines: list[bytes] = []
        try:
            with path.open("rb") as file:
                if file.seek(0, os.SEEK_END) < position:  # truncated or replaced by a shorter one
                    position = 0
                file.seek(position)
                *lines, unfinished = file.read().split(b"\n")
                position = file.tell() - len(unfinished)
        except FileNotFoundError:
            position = 0
        yield from (line.decode("utf-8", "replace") for line in (lines[-TAIL_LINES:] if first else lines))
        first = False
        yield None


def _round_lines(folder: Path, number: int) -> Iterator[str | None]:
    """The phases of a round as they end, and its run logs whenever they are written anew."""
    files = RoundFiles(folder, number)
    known = played(folder)
    if number not in known:
        last = f"the last one is {label(known[-1])}" if known else "no round has been played yet"
        raise BadInput(f"round {number} has no files in {folder}: {last}")
    told: set[str] = set()
    printed: dict[Path, tuple[int, int]] = {}
    while True:
        phases = Journal(files).phases
        for phase in [name for name in phases if name not in told]:
            told.add(phase)
            took = show.duration(phases[phase]["seconds"])
            yield f"{files.label} {phase:8}  {show.one_line(show.reply(phases[phase]['reply']), 500)}  ({took})"
        for path in [files.path("run.log"), *sorted(folder.glob(f"{files.label}_v*_run.log"))]:
            try:
                status = path.stat()
                if printed.get(path) != (status.st_ino, status.st_mtime_ns):
                    printed[path] = (status.st_ino, status.st_mtime_ns)
                    yield from ["", f"{path.name}:", *path.read_text("utf-8", "replace").splitlines()]
            except FileNotFoundError:
                continue
        yield None
