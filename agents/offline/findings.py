"""The Builder after an experiment: what came of it, what it taught, and whether it is worth a submission."""

from __future__ import annotations

from typing import Any

from agents.offline import text
from agents.offline.builder import header
from agents.offline.notebook import Notebook, Run, read, read_json, read_text
from agents.session import Turn

NEAR = 3.0
"""A diverse run this many standard errors behind the best is still called a useful member."""


def findings(turn: Turn) -> str:
    """Write findings.md; SUBMIT what was kept and verified, unless the guidance says hold."""
    notebook, scores = read(turn), read_json(turn, "scores")
    plan = header(read_text(turn, "plan"))
    strategy = plan[max(1, scores.get("variant", 1)) - 1]
    verify = str(turn.facts.get("verify") or "")
    rejected = verify.startswith("REJECT")
    before = next((run for run in reversed(notebook.runs) if run.label == scores.get("against")), notebook.best)
    reply, expected = _reply(notebook, scores, rejected), float(strategy["expected_gain"] or 0.0)
    turn.write(
        "findings.md",
        text.page(
            f"R{turn.round:02d}: {strategy.get('role')} with {_name(strategy)}",
            ("Expected", f"{strategy['hypothesis']}. Expected gain: {text.signed(expected)}."),
            ("Happened", text.bullets(_happened(scores, before))),
            ("Fold by fold", fold_table(notebook, scores, before)),
            ("Learnings", text.bullets(learnings(notebook, strategy, scores, rejected))),
            ("Decision", reply),
        ),
    )
    return reply


def _name(strategy: dict[str, Any]) -> str:
    return str(strategy.get("recipe") or strategy["family"])


def _reply(notebook: Notebook, scores: dict[str, Any], rejected: bool) -> str:
    if rejected:
        return "HOLD: the Reviewer rejected the result"
    if scores.get("verdict") != "keep":
        return f"HOLD: {text.one_line(scores.get('reason') or 'no complete run', 150)}"
    if notebook.guidance.hold:
        return "HOLD: guidance.md says not to submit"
    gain = f", gain {text.signed(scores['gain'])}" if scores["gain"] is not None else ""
    return f"SUBMIT: {text.score(scores['cv'], scores['se'])} is the best kept so far{gain}"


def _happened(scores: dict[str, Any], before: Run | None) -> list[str]:
    if not scores:
        return ["no experiment ran to a score"]
    lines = [
        f"{scores['status']}, {scores['verdict']}: {text.one_line(text.without(scores['verdict'], scores['reason']))}"
    ]
    if scores["cv"] is not None:
        lines.append(f"score {text.score(scores['cv'], scores['se'])}")
    if before and scores["gain"] is not None:
        chance = f", P(gain > 0) = {scores['probability']:.2f}" if scores["probability"] is not None else ""
        was = f"{text.link(before)} ({text.score(before.cv, before.se)})"
        lines.append(f"against {was}: {text.signed(scores['gain'])}{chance}")
    return [*lines, f"time {text.duration(scores['seconds'])}"]


def fold_table(notebook: Notebook, scores: dict[str, Any], before: Run | None) -> str:
    """Each fold's score beside the earlier best's, with the difference turned so that positive is better."""
    folds = [score for score in scores.get("fold_scores", []) if score is not None]
    pairs = list(zip(folds, before.folds if before else (), strict=False))
    if before is None or not pairs:
        return ""
    changes = [notebook.signed(new) - notebook.signed(old) for new, old in pairs]
    rows = [
        (str(number), text.number(new), text.number(old), text.signed(change))
        for number, ((new, old), change) in enumerate(zip(pairs, changes, strict=True), 1)
    ]
    table = text.table(("fold", "this run", before.label, "better by"), rows)
    better = (
        f"better in {sum(change > 0 for change in changes)} of {len(pairs)} folds"
        if any(changes)
        else "no fold differs"
    )
    return f"{better}\n\n{table}"


def useful_member(notebook: Notebook, scores: dict[str, Any]) -> bool:
    """A complete run near the best whose predictions differ from all earlier ones."""
    if scores["status"] != "ok" or scores["max_correlation"] is None or notebook.best is None:
        return False
    behind = notebook.signed(notebook.best.cv) - notebook.signed(scores["cv"])
    return bool(scores["max_correlation"] < 0.99 and behind < NEAR * max(notebook.noise, scores["se"] or 0.0))


def learnings(notebook: Notebook, strategy: dict[str, Any], scores: dict[str, Any], rejected: bool) -> list[str]:
    """At most one line for LEARNINGS.md, only of what was measured."""
    if not scores:
        return []
    tag, name, family = f"[R{notebook.round:02d}]", _name(strategy), strategy["family"]
    role, score = strategy.get("role"), text.score(scores["cv"], scores["se"])
    if rejected:
        return [f"{tag} {name} was rejected at verify: its score {score} can't be trusted"]
    if scores["status"] == "failed":
        return _failed(f"{tag} {name}", strategy, scores)
    if scores["verdict"] == "keep":
        gain = f", {text.signed(scores['gain'])} over {scores['against']}" if scores["against"] else ""
        return [f"{tag} {role} with {name} was kept: {score}{gain}"]
    if role == "tune" and notebook.failed_tunings(family) >= 1:
        return [f"{tag} tuning {family} did not pay, more than once in a row"]
    if useful_member(notebook, scores):
        shown = f"correlation {scores['max_correlation']:.3f}"
        return [f"{tag} {name} ({score}) is no winner but a diverse member: {shown}"]
    return []


def _failed(name: str, strategy: dict[str, Any], scores: dict[str, Any]) -> list[str]:
    """What a failure teaches; a time-out after less time than was planned says nothing about the recipe."""
    kind, had = scores["failure"]["kind"], scores["seconds"]
    if kind != "timeout":
        return [f"{name} fails here ({kind}): leave it or make it smaller"]
    if had < float(strategy.get("cost_s") or 0.0):
        return []
    return [f"{name} did not end within {text.duration(had)}: give it more time or make it smaller"]
