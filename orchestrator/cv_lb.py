"""How leaderboard scores go with cross-validated ones, and where they part, over the registry's entries.

Both scores are of one metric, so they should lie on a line of slope 1: leaderboard = CV + offset. The offset is what
the test rows are harder or easier than ours, and is no fault. A round off that line is one that its CV flatters.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestrator import show
from orchestrator.files import read_json_or_none
from orchestrator.ledger import Entry
from orchestrator.rounds import RoundFiles, label

OFF_LINE = 3.0
"""Standard errors off the line from which a round is spoken of."""
FEW_OTHERS = 2
"""Other rounds that it takes to draw a line."""


def public_rows(rounds: Path, share: float) -> float | None:
    """Public rows of the leaderboard for each row of train, by the profile in `rounds`; None when that is not there."""
    rows = (read_json_or_none(RoundFiles(rounds, 0).path("profile.json")) or {}).get("rows") or {}
    train, test = rows.get("train") or 0, rows.get("test") or 0
    return share * test / train if train and test else None


def comparison(
    entries: Sequence[Entry], *, maximize: bool | None, public: float | None = None
) -> dict[str, Any] | None:
    """{"pairs", "correlation", "offset", "warnings"} over the rounds with both scores; None without any.

    `public`: rows behind a leaderboard score for each row behind a CV score, so that its noise is known as well.

    `offset` is the median of leaderboard − CV in metric units, `correlation` the rank correlation (None for too few
    pairs), `warnings` one sentence each.
    """  # noqa: RUF002
    from orchestrator.submission_policy import WEAK_CORRELATION, agreement

    pairs = [entry for entry in entries if entry.get("complete") and _number(entry, "cv") and _number(entry, "lb")]
    if not pairs:
        return None
    correlation = agreement(entries)
    warnings = [warning for entry in pairs if (warning := _off_line(entry, pairs, maximize, public))]
    if correlation is not None and correlation < WEAK_CORRELATION:
        known = f"CV and leaderboard hardly agree: rank correlation {correlation:.2f} over {len(pairs)} rounds"
        warnings.append(f"{known}{_why_weak(pairs)}")
    offset = statistics.median(_offset(entry) for entry in pairs)
    return {"pairs": len(pairs), "correlation": correlation, "offset": offset, "warnings": warnings}


def _off_line(entry: Entry, pairs: Sequence[Entry], maximize: bool | None, public: float | None) -> str:
    """What to say of a round that is off the line of all others by more than its noise; "" for one that is not."""
    others = [_offset(other) for other in pairs if other is not entry]
    if len(others) < FEW_OTHERS:
        return ""
    middle = statistics.median(others)
    spread = 1.4826 * statistics.median(abs(value - middle) for value in others)
    both = math.sqrt(1 + 1 / public) if public else 1.0
    noise = max(both * float(entry.get("se") or 0.0), spread)
    off = _offset(entry) - middle
    if noise <= 0 or abs(off) <= OFF_LINE * noise:
        return ""
    side, why = _side(off, maximize)
    size = f"{show.short(abs(off))} {side} than its CV says (noise {noise:.2g})"
    return f"{label(entry['round'])}: its leaderboard score is {size}: {why}"


def _side(off: float, maximize: bool | None) -> tuple[str, str]:
    """ "worse" or "better", and what may be behind it; the direction is unknown where the metric is."""
    if maximize is None:
        return ("lower" if off < 0 else "higher"), "its folds and the public rows do not tell the same"
    if (off < 0) == maximize:
        return "worse", "it may lean on a leak or on luck in these folds"
    return "better", "luck on the public rows, or folds harder than they are"


def _why_weak(pairs: Sequence[Entry]) -> str:
    scores = [entry["cv"] for entry in pairs]
    noise = statistics.median(float(entry.get("se") or 0.0) for entry in pairs)
    near = max(scores) - min(scores) <= noise
    return ", but their CV scores differ by less than their noise" if near else ": trust neither alone"


def _offset(entry: Entry) -> float:
    return float(entry["lb"]) - float(entry["cv"])


def _number(entry: Entry, key: str) -> bool:
    return show.finite(entry.get(key)) is not None
