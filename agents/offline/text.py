"""Small pieces of Markdown that all documents of the offline policy share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agents.offline.notebook import Run


def number(value: float | None) -> str:
    return "—" if value is None else f"{value:.5g}"


def score(cv: float | None, se: float | None) -> str:
    """`0.81234 ± 0.0021`."""
    return f"{number(cv)} ± {se:.2g}" if cv is not None and se else number(cv)


def signed(value: float | None) -> str:
    return "—" if value is None else f"{value:+.3g}"


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def link(run: Run) -> str:
    """`[R07] lightgbm`."""
    return f"[{run.label}] {run.family}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; "" without rows."""
    lines = ["| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows]
    if not lines:
        return ""
    return "\n".join(["| " + " | ".join(header) + " |", "|" + "---|" * len(header), *lines])


def bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def page(title: str, *sections: tuple[str, str]) -> str:
    """A document of a title and its sections; empty sections are left out."""
    parts = [f"# {title}"]
    parts += [f"## {name}\n{body.strip()}" for name, body in sections if body.strip()]
    return "\n\n".join(parts) + "\n"


def one_line(text: str, limit: int = 200) -> str:
    """A text fit for a one-line reply."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1].rstrip() + "…"


def without(word: str, reason: str) -> str:
    """A reason without the status that it begins with, for where the status stands already."""
    return reason.removeprefix(f"{word}: ")
