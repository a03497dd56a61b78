"""The Reviewer's look back over the last rounds."""

from __future__ import annotations

from collections.abc import Sequence

from agents.offline import ledgers, text
from agents.offline.notebook import Notebook, Run
from agents.session import Turn

WINDOW = 10
"""Rounds that a retrospective looks back on."""


def retro(turn: Turn, notebook: Notebook, untried: Sequence[str]) -> str:
    """Write retro.md; `untried` are the families that apply here and were never played."""
    recent = [run for run in notebook.runs if run.round > notebook.round - 1 - WINDOW]
    everything = ledgers.total(recent)
    turn.write(
        "retro.md",
        text.page(
            f"Retrospective before round {notebook.round}",
            ("In short", _summary(notebook, everything)),
            (
                "What paid",
                text.bullets([_gain_line(run) for run in recent if run.status == "keep"], "nothing was kept"),
            ),
            ("What did not", text.bullets([_loss_line(run) for run in recent if run.status != "keep"])),
            ("By role", _tallies(ledgers.tally(recent, "role"))),
            ("By family", _tallies(ledgers.tally(recent, "family"))),
            ("Never tried", ", ".join(untried) or "every family that applies was tried"),
            ("Next", text.bullets(_directions(notebook, recent, untried))),
            ("Learnings", "\n".join(rules(notebook, recent))),
        ),
    )
    return "DONE"


def _summary(notebook: Notebook, everything: ledgers.Tally) -> str:
    best = notebook.best
    lines = [
        f"{everything.runs} runs, {everything.kept} kept, {everything.crashed} crashed, "
        f"{text.duration(everything.seconds)} of experiments."
    ]
    if best:
        lines.append(f"Best: {text.link(best)} at {text.score(best.cv, best.se)}, {notebook.stuck} rounds ago.")
    if everything.seconds_per_keep:
        lines.append(f"A kept gain cost {text.duration(everything.seconds_per_keep)}.")
    if everything.calibration is not None:
        lines.append(f"Real gains were {everything.calibration:.0%} of the expected ones.")
    return "\n".join(lines)


def _gain_line(run: Run) -> str:
    what = f"{text.link(run)} ({run.role}): {text.score(run.cv, run.se)}"
    return f"{what}, gain {text.signed(run.gain)} (expected {text.signed(run.expected)})"


def _loss_line(run: Run) -> str:
    return (
        f"{text.link(run)} ({run.role}, {run.status}): gain {text.signed(run.gain)}; {text.one_line(run.reason, 120)}"
    )


def _tallies(tallies: Sequence[ledgers.Tally]) -> str:
    return text.table(
        ("", "runs", "kept", "gain", "expected", "time per keep"),
        [
            (
                item.name,
                str(item.runs),
                str(item.kept),
                text.signed(item.gain),
                text.signed(item.expected),
                text.duration(item.seconds_per_keep) if item.seconds_per_keep else "—",
            )
            for item in tallies
        ],
    )


def rules(notebook: Notebook, recent: Sequence[Run]) -> list[str]:
    """At most two lines for LEARNINGS.md, each with its evidence."""
    tag = f"[R{notebook.round:02d}]"
    roles = [item for item in ledgers.tally(recent, "role") if item.runs >= 2]
    lines = []
    if roles and roles[0].kept:
        top = roles[0]
        lines.append(
            f"- {tag} {top.name} pays best: {top.kept} of {top.runs} runs kept, {text.signed(top.gain)} in all"
        )
    empty = [item for item in roles if not item.kept and item.runs >= 3]
    if empty:
        worst = max(empty, key=lambda item: item.seconds)
        lines.append(f"- {tag} {worst.name} did not pay: 0 of {worst.runs} kept for {text.duration(worst.seconds)}")
    return lines


def _directions(notebook: Notebook, recent: Sequence[Run], untried: Sequence[str]) -> list[str]:
    lines = []
    if untried:
        lines.append(f"play the untried families before tuning any more: {', '.join(untried[:4])}")
    tuned = [run for run in recent if run.role == "tune"]
    if len(tuned) >= 3 and not any(run.status == "keep" for run in tuned):
        lines.append("tuning is exhausted for now: put its time into bags, feature blocks and blends")
    if len(notebook.members) >= 2 and not any(run.is_blend for run in recent):
        lines.append("blend: no blend was played in this window")
    if notebook.stuck >= WINDOW // 2:
        lines.append(f"bold: nothing was kept for {notebook.stuck} rounds")
    crashes = [run.family for run in recent if run.status == "crash"]
    if len(crashes) >= 2:
        lines.append(f"spend less on what crashes: {', '.join(sorted(set(crashes)))}")
    return lines or ["go on as before: gains still come"]
