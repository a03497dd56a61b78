"""What models have cost, for people who look: figures, sentences and tables from costs.jsonl."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agents.costs import Caps, CostBook, Totals
from orchestrator import show
from orchestrator.rounds import label

TABLE_ROUNDS = 50
Figures = dict[str, Any]


def read(root: Path) -> CostBook | None:
    """The campaign's ledger, only to look; None where no model was asked yet. Raises ModelUnusable when damaged."""
    path = root / "costs.jsonl"
    return CostBook(path, Caps(), lambda: datetime.now(UTC)) if path.exists() else None


def figures(costs: CostBook, number: int, kept: int) -> Figures:
    """What state.json, `status` and the live display show; `number` is the round being played. {} before any request.

    USD, shares of 1 and counts of tokens.
    """
    total = costs.totals()
    if not total.requests:
        return {}
    return {
        "usd": round(total.usd, 6),
        "unanswered": round(total.unanswered_usd, 6),
        "round": round(costs.totals(round=number).usd, 6),
        "roles": {role: round(costs.totals(role=role).usd, 6) for role in costs.values("role")},
        "per_keep": round(total.usd / kept, 6) if kept else None,
        "requests": total.requests,
        "sent": total.sent,
        "output": total.output,
        "cached": total.cached_share,
    }


def spent(found: Figures, number: int) -> str:
    """`$0.10 in R07, $0.41 for each kept round`, to stand behind what was spent in all."""
    parts = [f"{show.money(found['round'])} in {label(number)}"]
    if found.get("per_keep") is not None:
        parts.append(f"{show.money(found['per_keep'])} for each kept round")
    return ", ".join(parts)


def by_role(found: Figures) -> str:
    """`researcher $0.20, builder $1.00`."""
    return ", ".join(f"{show.one_line(role, 20)} {show.money(usd)}" for role, usd in found["roles"].items())


def tokens(found: Figures) -> str:
    """`1.2 M in, 93 % of it from cache, 40 k out`."""
    cached = "" if found.get("cached") is None else f", {show.percent(found['cached'])} of it from cache"
    return f"{show.count(found['sent'])} in{cached}, {show.count(found['output'])} out"


def sections(costs: CostBook | None) -> list[str]:
    """The report's lines on models; none where none was asked."""
    if costs is None or not costs.totals().requests:
        return []
    total = costs.totals()
    roles = [(role, costs.totals(role=role)) for role in costs.values("role")]
    rounds = [(label(number), costs.totals(round=number)) for number in costs.values("round")]
    title = "By round" if len(rounds) <= TABLE_ROUNDS else f"By round, the last {TABLE_ROUNDS} of {len(rounds)}"
    models = ", ".join(show.cell(f"{model} (price: {source})") for model, source in costs.prices())
    lines = [f"- **Models:** {models}", f"- **Tokens:** {show.count(total.sent)} in, {show.count(total.output)} out"]
    lines.append(f"- **Read from cache:** {show.percent(total.cached_share)} of the input")
    if total.unanswered_usd:
        usd = show.money(total.unanswered_usd)
        lines.append(f"- **Counted though no answer came back:** {usd}, the worst case of requests that were cut off")
    return [
        *lines,
        "",
        *_table("role", [*roles, ("all", total)]),
        "",
        f"{title}:",
        "",
        *_table("round", rounds[-TABLE_ROUNDS:]),
    ]


def _table(first: str, rows: list[tuple[str, Totals]]) -> list[str]:
    header = (first, "money", "requests", "tokens in", "from cache", "tokens out")
    cells = [
        [
            show.cell(name, 30),
            show.money(total.usd),
            str(total.requests),
            show.count(total.sent),
            show.percent(total.cached_share),
            show.count(total.output),
        ]
        for name, total in rows
    ]
    return show.markdown_table(header, cells)
