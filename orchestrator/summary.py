"""The campaign's picture for those who only look: from state.json, else from rounds/, never from a damaged record."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from pathlib import Path
from typing import Any

from orchestrator import show
from orchestrator.errors import Damaged
from orchestrator.files import read_json
from orchestrator.ledger import Entry, best_entry, with_submission
from orchestrator.rounds import RoundFiles, numbers
from orchestrator.state import State, read_state


def picture(root: Path) -> State:
    """The last summary; when state.json is missing or damaged, what rounds/ tell (it then holds `rebuilt`)."""
    return read_state(root) or rebuilt(root)


def rebuilt(root: Path) -> State:
    """The summary as rounds/ alone tell it, without scores from damaged records."""
    entries, damaged = finished(root / "rounds")
    best = best_entry(entries)
    spec = raw_config(root).get("competition")
    spec = spec if isinstance(spec, dict) else {}
    played = [*(entry["round"] for entry in entries), *damaged]
    present = numbers(root / "rounds") if (root / "rounds").is_dir() else []
    return {
        "competition": spec.get("name"),
        "metric": spec.get("metric"),
        "maximize": spec.get("maximize"),
        "round": max([*played, *present], default=0),
        "phase": "",
        "rounds": len(entries),
        "kept": sum(entry.get("status") == "keep" for entry in entries),
        "best": best,
        "cv_lb": [[entry["round"], entry.get("cv"), entry["lb"]] for entry in entries if entry["lb"] is not None],
        "elapsed_seconds": entries[-1].get("elapsed_seconds") if entries else None,
        "usd": sum(show.finite(entry.get("usd")) or 0.0 for entry in entries),
        "sandbox": next((entry["sandbox"] for entry in reversed(entries) if entry.get("sandbox")), None),
        "damaged": damaged,
        "rebuilt": True,
    }


def finished(folder: Path) -> tuple[list[Entry], list[int]]:
    """The readable records of finished rounds, ascending, and the rounds whose record fails its checksum."""
    entries: list[Entry] = []
    damaged: list[int] = []
    for number in numbers(folder) if folder.is_dir() else []:
        try:
            entries.append(with_submission(folder, read_json(RoundFiles(folder, number).path("result.json"))))
        except FileNotFoundError:
            continue
        except Damaged:
            damaged.append(number)
    return entries, damaged


def raw_config(root: Path) -> dict[str, Any]:
    """config.json unvalidated; {} when it can't be read. Validating it needs more time than `status` has."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        raw = json.loads((root / "config.json").read_text(encoding="utf-8-sig"))
        if isinstance(raw, dict):
            return raw
    return {}


def is_playing(root: Path) -> bool:
    """Whether a loop holds the campaign's lock. A shared try, so that two askers don't take each other for a loop."""
    try:
        handle = os.open(root / ".lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(handle)
