"""The Reviewer's look back over the last rounds, and the note that a session leaves to its successor."""

from __future__ import annotations

from collections.abc import Sequence

from agents.offline import ledgers, text
from agents.offline.notebook import Notebook, Run, read
from agents.offline.options import untried
from agents.session import Turn

WINDOW = 10
"""Rounds that a retrospective looks back on."""


def retro(turn: Turn) -> str:
    """Write retro.md."""
    notebook = read(turn)
    recent = [run for run in notebook.runs if run.round >= notebook.round - WINDOW]
    turn.write(
        "retro.md",
        text.page(
            f"Retrospective before round {notebook.round}",
            ("In short", text.bullets(_summary(notebook, recent))),
            ("Runs", text.bullets(_line(run) for run in recent)),
            ("By role", ledgers.table(recent, "role")),
            ("By family", ledgers.table(recent, "family")),
            ("Never tried", ", ".join(untried(notebook))),
            ("Next", text.bullets(_directions(notebook, recent))),
            ("Learnings", text.bullets(rules(notebook, recent))),
        ),
    )
    return "DONE"


def _summary(notebook: Notebook, recent: Sequence[Run]) -> list[str]:
    record, best = ledgers.total(recent), notebook.best
    lines = [f"{record.runs} runs, {record.kept} kept, {record.crashed} crashed in {text.duration(record.seconds)}"]
    if best:
        lines.append(f"best: {text.link(best)} at {text.score(best.cv, best.se)}, {notebook.stuck} rounds ago")
    if record.expected > 0:
        lines.append(f"real gains were {record.gain / record.expected:.0%} of the expected ones")
    return lines


def _line(run: Run) -> str:
    what = f"{text.link(run)} ({run.role}, {run.status}): {text.score(run.cv, run.se)}"
    reason = text.one_line(text.without(run.status, run.reason))
    return f"{what}, gain {text.signed(run.gain)} (expected {text.signed(run.expected)}); {reason}"


def rules(notebook: Notebook, recent: Sequence[Run]) -> list[str]:
    """At most two lines for LEARNINGS.md, each with its evidence."""
    tag = f"[R{notebook.round:02d}]"
    roles = [item for item in ledgers.tally(recent, "role") if item.runs >= 2]
    lines = []
    if roles and roles[0].kept:
        top = roles[0]
        lines.append(f"{tag} {top.name} pays best: {top.kept} of {top.runs} runs kept, {text.signed(top.gain)} in all")
    empty = [item for item in roles if not item.kept and item.runs >= 3]
    if empty:
        worst = max(empty, key=lambda item: item.seconds)
        lines.append(f"{tag} {worst.name} did not pay: 0 of {worst.runs} kept for {text.duration(worst.seconds)}")
    return lines


def _directions(notebook: Notebook, recent: Sequence[Run]) -> list[str]:
    lines = []
    if new := untried(notebook):
        lines.append(f"play the untried families before tuning any more: {', '.join(new[:4])}")
    tuned = [run for run in recent if run.role == "tune"]
    if len(tuned) >= 3 and not any(run.status == "keep" for run in tuned):
        lines.append("tuning is exhausted for now: put its time into bags, feature blocks and blends")
    if len(notebook.members) >= 2 and not any(run.is_blend for run in recent):
        lines.append("blend: no blend was played in this window")
    if notebook.stuck >= WINDOW // 2:
        lines.append(f"bold: nothing was kept for {notebook.stuck} rounds")
    return lines


def handover(turn: Turn) -> str:
    """Write handover.md: all that a successor needs lies in the files, so the note only points there."""
    notebook = read(turn)
    pointers = "memory: experiments.json (what was tried), LEARNINGS.md (what it taught), guidance.md (the wishes)"
    lines = [*_summary(notebook, notebook.runs), pointers]
    turn.write("handover.md", text.page(f"Hand-over before round {turn.round}", ("State", text.bullets(lines))))
    return "DONE"
