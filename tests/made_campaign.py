"""Campaign folders as the loop leaves them, made without playing: for what only reads them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agents.costs import Caps, CostBook
from agents.prices import Usage
from orchestrator.files import write_json
from orchestrator.journal import Journal
from orchestrator.rounds import RoundFiles, label

FAMILIES = ("lightgbm", "logistic", "xgboost", "mlp")


def config(root: Path, **top: Any) -> None:
    """A config.json with what readers look at."""
    raw = {"competition": {"name": "digits", "metric": "accuracy", "maximize": True}, **top}
    root.mkdir(exist_ok=True)
    (root / "rounds").mkdir(exist_ok=True)
    (root / "config.json").write_text(json.dumps(raw))


def entry(number: int, status: str = "keep", cv: float | None = None, **changes: Any) -> dict[str, Any]:
    """A finished round's record."""
    crashed = status == "crash"
    score = None if crashed else (0.9 + number / 1000 if cv is None else cv)
    return {
        "round": number,
        "variant": 0,
        "script": f"{label(number)}_experiment.py",
        "family": FAMILIES[number % len(FAMILIES)],
        "recipe": "default",
        "role": "improve",
        "hypothesis": "more trees help",
        "expected_gain": 0.002,
        "features": {},
        "params": {},
        "parent": None,
        "cv": score,
        "se": None if crashed else 0.004,
        "fold_scores": [] if crashed else [score] * 5,
        "gain": None if crashed or number == 1 else 0.001,
        "probability": None if crashed or number == 1 else 0.93,
        "against": None,
        "correlations": {},
        "max_correlation": None,
        "complete": not crashed,
        "status": status,
        "reason": "KeyError: 'age'" if crashed else "beats the best",
        "seconds": 0.0 if crashed else 10.0 + number,
        "peak_mb": None if crashed else 300.0,
        "sandbox": None if crashed else "A",
        "usd": 0.0,
        "variants": [],
        "learnings": [],
        "description": "default: beats the best",
        "timestamp": f"2025-03-01T12:{number % 60:02d}:00+00:00",
        "elapsed_seconds": 30.0 * number,
        **changes,
    }


def finish(root: Path, record: dict[str, Any], lb: float | None = None) -> None:
    """Write a round as finished, and its submission when it has a leaderboard score."""
    files = RoundFiles(root / "rounds", record["round"])
    write_json(files.path("result.json"), record)
    if lb is not None:
        write_json(files.path("submit_receipt.json"), {"round": record["round"], "status": "accepted", "ref": "r1"})
        write_json(files.path("lb.json"), {"public_score": lb})


def phases(root: Path, number: int, **replies: str) -> None:
    """Write a round's journal."""
    journal = Journal(RoundFiles(root / "rounds", number))
    for phase, reply in replies.items():
        journal.begin(phase)
        journal.end(phase, reply, 1.5)


def state(root: Path, **changes: Any) -> dict[str, Any]:
    """Write a state.json."""
    record = {
        "campaign": "abcd1234",
        "competition": "digits",
        "metric": "accuracy",
        "maximize": True,
        "round": 7,
        "phase": "build",
        "rounds": 6,
        "kept": 3,
        "best": {"round": 5, "family": "lightgbm", "cv": 0.974312, "se": 0.00042, "lb": 0.9712},
        "agents": {"researcher": 1, "builder": 2, "reviewer": 1},
        "submissions": {"today": 2, "left_today": 3},
        "cv_lb": [[3, 0.96, 0.955], [5, 0.974312, 0.9712]],
        "elapsed_seconds": 723.0,
        "minutes": 30,
        "max_rounds": 20,
        "usd": 0.0,
        "usd_cap": 10.0,
        "sandbox": "A",
        "updated": "2025-03-01T12:30:00+00:00",
        "ending": None,
        "final": None,
        **changes,
    }
    write_json(root / "state.json", record)
    return record


def costs(
    root: Path, *requests: tuple[str, int, float], read: int = 900, written: int = 100, left_open: int = 0
) -> None:
    """A costs.jsonl of settled requests, each (role, round, USD), the last `left_open` without an answer."""
    book = CostBook(root / "costs.jsonl", Caps(), lambda: datetime(2025, 3, 1, 12, tzinfo=UTC))
    for number, (role, played, usd) in enumerate(requests):
        book.reserve(
            f"{role}/1/{number}", role=role, round=played, turn="", model="m-1", source="config", usd=usd, tokens=9
        )
        if number < len(requests) - left_open:
            usage = Usage(cache_read=read, cache_write=written, output=50)
            book.settle(f"{role}/1/{number}", usage, usd, "config")
    book.close()
