"""The campaign's picture for those who only look: from state.json, else from rounds/, never from a damaged record."""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from agents.errors import ModelUnusable
from orchestrator import money, standings
from orchestrator.cv_lb import comparison, public_rows
from orchestrator.errors import Damaged
from orchestrator.files import json_fault, read_json
from orchestrator.ledger import Entry, best_entry, with_submission
from orchestrator.rounds import RoundFiles, numbers
from orchestrator.state import State, read_state

NOT_STARTED = "not started"


def picture(root: Path) -> State:
    """The last summary; when state.json is missing or damaged, what rounds/ tell (`rebuilt` then says which).

    Money is read from its own ledger, which knows of every request; `money_lost` says why that can't be read.
    """
    state = read_state(root) or _rebuilt(root)
    try:
        costs = money.read(root)
    except ModelUnusable as error:
        return {**state, "money_lost": str(error)}
    if costs is None:
        return state
    found = money.figures(costs, state.get("round") or 0, state.get("kept") or 0)
    return {**state, "usd": costs.totals().usd, "money": found}


def _rebuilt(root: Path) -> State:
    there = (root / "state.json").exists()
    folder = root / "rounds"
    entries, damaged = finished(folder)
    spec = raw_config(root).get("competition")
    spec = spec if isinstance(spec, dict) else {}
    maximize = spec["maximize"] if isinstance(spec.get("maximize"), bool) else None
    return {
        "competition": spec.get("name"),
        "metric": spec.get("metric"),
        "maximize": maximize,
        "round": max(played(folder), default=0),
        "phase": "" if there or played(folder) else NOT_STARTED,
        "rounds": len(entries),
        "kept": sum(entry["status"] == "keep" for entry in entries),
        "best": best_entry(entries),
        "cv_lb": [[entry["round"], entry["cv"], entry["lb"]] for entry in entries if entry["lb"] is not None],
        "agreement": comparison(entries, maximize=maximize, public=public_rows(folder, 0.3)),
        **standings.summary(standings.recorded(folder)),
        "elapsed_seconds": entries[-1]["elapsed_seconds"] if entries else None,
        "usd": sum(entry["usd"] for entry in entries),
        "sandbox": next((entry["sandbox"] for entry in reversed(entries) if entry["sandbox"]), None),
        "damaged": damaged,
        "rebuilt": "damaged" if there else "missing",
    }


def finished(folder: Path) -> tuple[list[Entry], list[int]]:
    """The readable records of finished rounds, ascending, and the rounds whose record fails its checksum."""
    found = dict(records(folder, played(folder)))
    entries = [entry for entry in found.values() if entry is not None]
    return entries, [number for number, entry in found.items() if entry is None]


def records(folder: Path, wanted: Iterable[int]) -> Iterator[tuple[int, Entry | None]]:
    """The finished ones of the wanted rounds; None for a record that fails its checksum."""
    for number in wanted:
        try:
            entry = with_submission(folder, read_json(RoundFiles(folder, number).path("result.json")))
        except FileNotFoundError:
            continue
        except Damaged:
            entry = None
        yield number, entry


def played(folder: Path) -> list[int]:
    """The rounds that have any file, ascending."""
    return numbers(folder) if folder.is_dir() else []


def raw_config(root: Path) -> dict[str, Any]:
    """config.json unvalidated; {} when it can't be read. Validating it needs more time than `status` has."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        raw = json.loads((root / "config.json").read_text(encoding="utf-8-sig"))
        if isinstance(raw, dict):
            return raw
    return {}


def config_fault(root: Path) -> str:
    """Why config.json is no JSON; empty when it is. What its keys hold is the loop's and `doctor`'s to check."""
    try:
        json.loads((root / "config.json").read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        return f"not valid: {json_fault(error)}"
    return ""


def is_playing(root: Path) -> bool:
    """Whether a loop holds the campaign's lock. A shared try, so that two askers don't take each other for a loop."""
    try:
        with (root / ".lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
