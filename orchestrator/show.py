"""Numbers and texts as people read them: scores with their error, durations, harmless words, tables, Markdown."""

from __future__ import annotations

import math
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_TERMINAL_SEQUENCES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[ -/]*[0-~])")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#~&$])")
NOTHING = "–"  # noqa: RUF001


def finite(value: Any) -> float | None:
    """The value as a float, None for everything that is no finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def score(value: Any, error: Any = None) -> str:
    """`0.97431 ± 0.00042`: as many decimals as the standard error justifies; six digits without one."""
    number, se = finite(value), finite(error)
    if number is None:
        return NOTHING
    if not se or se < 0:
        return f"{number:.6g}"
    decimals = max(0, min(10, 1 - math.floor(math.log10(se))))
    return f"{number:.{decimals}f} ± {se:.{decimals}f}"


def round_score(entry: dict[str, Any]) -> str:
    """A round's score, or the one fold's of a round that was stopped after it."""
    folds = entry.get("fold_scores") or []
    if entry.get("cv") is None and len(folds) == 1 and finite(folds[0]) is not None:
        return f"{score(folds[0])} (fold 1)"
    return score(entry.get("cv"), entry.get("se"))


def short(value: Any) -> str:
    """A number without an error: four digits, more only before the point."""
    number = finite(value)
    return NOTHING if number is None else f"{number:.0f}" if abs(number) >= 1000 else f"{number:.4g}"


def reply(text: str) -> str:
    """A phase's reply with its score rounded."""
    name, mark, number = text.partition("CV_SCORE=")
    try:
        return f"{name}{mark}{short(float(number))}"
    except ValueError:
        return text


def status(entry: dict[str, Any]) -> str:
    """How a round ended: keep, discard, crash, or timeout, which the records call a crash."""
    timed_out = entry.get("status") == "crash" and str(entry.get("reason") or "").startswith("timeout")
    return "timeout" if timed_out else str(entry.get("status") or "")


def reason(entry: dict[str, Any]) -> str:
    """Why a round has its status, without the status itself in front."""
    return str(entry.get("reason") or "").removeprefix(f"{status(entry)}: ")


def command(words: str, root: Path | None = None) -> str:
    """`python -m orchestrator -C mine loop` as it works from here; `root` is the campaign, None to name none."""
    here = Path.cwd()

    def near(path: Path) -> str | None:
        return str(path.relative_to(here)) if path.is_relative_to(here) else None

    folder = "" if root is None or root.resolve() == here else f"-C {shlex.quote(near(root) or str(root))} "
    return f"{near(Path(sys.executable)) or 'python'} -m orchestrator {folder}{words}"


def signed(value: Any) -> str:
    """`+0.0012`, with three digits."""
    number = finite(value)
    return NOTHING if number is None else f"{number:+.3g}"


def percent(value: Any) -> str:
    number = finite(value)
    return NOTHING if number is None else f"{100 * number:.0f} %"


def money(value: Any) -> str:
    number = finite(value)
    return NOTHING if number is None else f"${number:.2f}"


def count(value: Any) -> str:
    """`812`, `12.3 k`, `4.2 M`: so many tokens."""
    number = finite(value)
    if number is None:
        return NOTHING
    for size, unit in ((1e6, " M"), (1e3, " k")):
        if abs(number) >= size:
            return f"{number / size:.3g}{unit}" if abs(number) < 999.5 * size else f"{number / size:.0f}{unit}"
    return f"{number:.0f}"


def duration(seconds: Any) -> str:
    """`0.4 s`, `42 s`, `3 min 07 s`, `30 min`, `2 h 05 min`."""
    number = finite(seconds)
    if number is None:
        return NOTHING
    if number < 9.95 and number != round(number):
        return f"{max(number, 0.0):.1f} s"
    whole = max(round(number), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + f" {whole % 60:02d} s" * bool(whole % 60)
    return f"{whole // 3600} h" + f" {whole % 3600 // 60:02d} min" * bool(whole % 3600 // 60)


def grade(final: dict[str, Any] | None, where: str = "") -> str:
    """`0.91 (public 0.9)`, with `where` after the score, from a campaign's end; empty when nothing was graded."""
    if not final or finite(final.get("score")) is None:
        return ""
    parts = [f"{name} {score(final[name])}" for name in ("public", "private") if final.get(name) is not None]
    return f"{score(final['score'])}{where}" + (f" ({', '.join(parts)})" if parts else "")


def clean(text: Any) -> str:
    """Text that can do nothing to a terminal: no escape sequences, no control characters but newline and tab."""
    return _CONTROL.sub("", _TERMINAL_SEQUENCES.sub("", str(text)))


def one_line(text: Any, limit: int = 200) -> str:
    """Clean text on one line, cut to `limit` characters."""
    line = " ".join(clean(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def table(rows: list[list[str]]) -> list[str]:
    """Rows with aligned columns; the first row is the header."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def changes(before: dict[str, Any], after: dict[str, Any]) -> str:
    """`loop.patience 8 → 3, …` for the settings that differ between two configurations."""
    found = []
    for section, values in after.items():
        if isinstance(values, dict):
            keys = [key for key in values if values[key] != before[section].get(key)]
            found += [f"{section}.{key} {before[section].get(key)} → {values[key]}" for key in keys]
        elif values != before[section]:
            found.append(f"{section} {before[section]} → {values}")
    return ", ".join(found)


def cell(value: Any, limit: int = 120) -> str:
    """Text that Markdown shows as it stands, in a table as well."""
    return _MARKDOWN.sub(r"\\\1", one_line(value, limit))


def code(text: str) -> str:
    """Text as Markdown's code; nothing for no text."""
    safe = one_line(text).replace("`", "'").replace("|", "/")
    return f"`{safe}`" if safe else ""


def markdown_table(header: Sequence[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]
