"""The Builder after an experiment: what was expected, what happened, why, and whether it is worth a submission."""

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
            ("Happened", text.bullets(_happened(scores, before, verify))),
            ("Fold by fold", fold_table(notebook, scores, before)),
            ("Why", text.bullets(_why(notebook, strategy, scores, before))),
            ("Next", text.bullets(_next(notebook, strategy, scores, rejected))),
            ("Learnings", text.bullets(learnings(notebook, strategy, scores, rejected))),
            ("Decision", reply),
        ),
    )
    return reply


def _name(strategy: dict[str, Any]) -> str:
    return str(strategy.get("recipe") or strategy["family"])


def _reply(notebook: Notebook, scores: dict[str, Any], rejected: bool) -> str:
    if notebook.guidance.hold:
        return "HOLD: guidance.md says not to submit"
    if rejected:
        return "HOLD: the Reviewer rejected the result"
    if scores.get("verdict") != "keep":
        return f"HOLD: {text.one_line(scores.get('reason') or 'no complete run', 150)}"
    gain = f", gain {text.signed(scores['gain'])}" if scores["gain"] is not None else ""
    return f"SUBMIT: {text.score(scores['cv'], scores['se'])} is the best so far{gain}"


def _happened(scores: dict[str, Any], before: Run | None, verify: str) -> list[str]:
    if not scores:
        return ["no experiment ran to a score"]
    lines = [f"{scores['status']}, {scores['verdict']}: {text.one_line(scores['reason'])}"]
    if scores["cv"] is not None:
        lines.append(f"score {text.score(scores['cv'], scores['se'])}")
    if before and scores["gain"] is not None:
        chance = f", P(gain > 0) = {scores['probability']:.2f}" if scores["probability"] is not None else ""
        was = f"{text.link(before)} ({text.score(before.cv, before.se)})"
        lines.append(f"against {was}: {text.signed(scores['gain'])}{chance}")
    if scores["max_correlation"] is not None:
        lines.append(f"largest correlation with an earlier run: {scores['max_correlation']:.4f}")
    if scores["failure"]:
        lines.append(f"failure: {scores['failure']['kind']}: {text.one_line(scores['failure']['message'])}")
    if verify:
        lines.append(f"verify: {verify}")
    return [*lines, f"time {text.duration(scores['seconds'])}"]


def _folds(scores: dict[str, Any]) -> list[float]:
    return [score for score in scores.get("fold_scores", []) if score is not None]


def fold_table(notebook: Notebook, scores: dict[str, Any], before: Run | None) -> str:
    """Each fold's score beside the earlier best's, with the difference turned so that positive is better."""
    rows = []
    for number, score in enumerate(_folds(scores)):
        old = before.folds[number] if before and number < len(before.folds) else None
        change = None if old is None else notebook.signed(score) - notebook.signed(old)
        rows.append((str(number + 1), text.number(score), text.number(old), text.signed(change)))
    return text.table(("fold", "this run", before.label if before else "before", "better by"), rows)


def _why(notebook: Notebook, strategy: dict[str, Any], scores: dict[str, Any], before: Run | None) -> list[str]:
    lines = []
    pairs = list(zip(_folds(scores), before.folds if before else (), strict=False))
    if pairs:
        wins = sum(notebook.signed(new) > notebook.signed(old) for new, old in pairs)
        agree = "the folds agree" if wins in (0, len(pairs)) and len(pairs) > 1 else "the folds disagree: mostly noise"
        lines.append(f"better in {wins} of {len(pairs)} folds, {agree}")
    if before and before.is_blend and strategy.get("role") != "blend":
        lines.append("a lone model seldom beats a blend: what it is worth shows in the next blend")
    if (scores.get("max_correlation") or 0.0) > 0.995:
        lines.append("predictions nearly equal to an earlier run's: nothing new was learned from the data")
    if scores.get("status") == "gated":
        lines.append("fold 1 alone was clearly worse than the best, so the other folds were not paid for")
    return lines


def _next(notebook: Notebook, strategy: dict[str, Any], scores: dict[str, Any], rejected: bool) -> list[str]:
    family = strategy["family"]
    if rejected:
        return [f"find out why {family} looked too good before anything is built on it"]
    if scores.get("status") not in ("ok", "gated"):
        return [f"do not repeat this configuration of {family}; another family next"]
    if scores["verdict"] == "keep":
        blended = strategy.get("role") == "blend"
        return ["blend again when a member that errs differently is there" if blended else f"build on it: {family}"]
    if useful_member(notebook, scores):
        return [f"{family} did not win but differs: a member for the next blend"]
    return [f"leave this direction of {family}: no gain and no new errors"]


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
        return [f"{tag} {name} fails here ({scores['failure']['kind']}): leave it or make it smaller"]
    if scores["verdict"] == "keep":
        gain = f", {text.signed(scores['gain'])} over {scores['against']}" if scores["against"] else ""
        return [f"{tag} {role} with {name} was kept: {score}{gain}"]
    if role == "tune" and notebook.failed_tunings(family) >= 1:
        return [f"{tag} tuning {family} did not pay, more than once in a row"]
    if useful_member(notebook, scores):
        shown = f"correlation {scores['max_correlation']:.3f}"
        return [f"{tag} {name} ({score}) is no winner but a diverse member: {shown}"]
    return []
