"""The Builder after an experiment: what was expected, what happened, why, and whether it is worth a submission."""

from __future__ import annotations

from typing import Any

from agents.offline import guidance as wishes
from agents.offline import ledgers, text
from agents.offline.builder import header
from agents.offline.names import NAMES
from agents.offline.notebook import Notebook, Run, read, read_json, read_text
from agents.session import Turn

NEAR = 3.0
"""A diverse run this many standard errors behind the best is still called a useful member."""


def findings(turn: Turn) -> str:
    """Write findings.md; SUBMIT what was kept and verified, unless the guidance says hold."""
    notebook = read(turn, NAMES)
    scores = read_json(turn.needs["scores"]) if "scores" in turn.needs else {}
    plan = header(read_text(turn.needs["plan"])) if "plan" in turn.needs else []
    number = max(1, int(scores.get("variant") or 1))
    strategy = plan[number - 1] if number <= len(plan) else (plan[0] if plan else {})
    verify = str(turn.facts.get("verify") or "")
    rejected = verify.startswith("REJECT")
    before = next((run for run in reversed(notebook.runs) if run.label == scores.get("against")), notebook.best)
    name = strategy.get("recipe") or strategy.get("family")
    reply = _reply(notebook, scores, rejected)
    lessons = learnings(notebook, strategy, scores, rejected)
    turn.write(
        "findings.md",
        text.page(
            f"R{turn.round:02d}: {strategy.get('role', 'experiment')} with {name}",
            ("Expected", _expected(strategy)),
            ("Happened", text.bullets(_happened(scores, before, verify))),
            ("Fold by fold", fold_table(notebook, scores, before)),
            ("Why", text.bullets(_why(notebook, strategy, scores, before))),
            ("Next", text.bullets(_next(notebook, strategy, scores, rejected))),
            ("Learnings", "\n".join(lessons)),
            ("Decision", reply),
        ),
    )
    return reply


def _reply(notebook: Notebook, scores: dict[str, Any], rejected: bool) -> str:
    if notebook.guidance.hold:
        return "HOLD: guidance.md says not to submit"
    if rejected:
        return "HOLD: the Reviewer rejected the result"
    if scores.get("status") != "ok":
        return f"HOLD: {text.one_line(str(scores.get('reason') or 'no complete run'), 150)}"
    if scores.get("verdict") != "keep":
        return f"HOLD: {text.one_line(str(scores.get('reason') or 'no gain beyond the noise'), 150)}"
    gain = f", gain {text.signed(scores['gain'])}" if scores.get("gain") is not None else ""
    return f"SUBMIT: {text.score(scores.get('cv'), scores.get('se'))} is the best so far{gain}"


def _expected(strategy: dict[str, Any]) -> str:
    if not strategy:
        return "the plan states nothing that can be read"
    return (
        f"{strategy.get('hypothesis', '')}. Expected gain: {text.signed(float(strategy.get('expected_gain') or 0.0))}."
    )


def _happened(scores: dict[str, Any], before: Run | None, verify: str) -> list[str]:
    if not scores:
        return ["no experiment ran to a score"]
    failure = scores.get("failure") or {}
    lines = [f"{scores.get('status')}, {scores.get('verdict')}: {text.one_line(str(scores.get('reason') or ''))}"]
    if scores.get("cv") is not None:
        lines.append(f"score {text.score(scores['cv'], scores.get('se'))}")
    if before and scores.get("gain") is not None:
        chance = scores.get("probability")
        odds = f", P(gain > 0) = {chance:.2f}" if isinstance(chance, float) else ""
        lines.append(
            f"against {text.link(before)} ({text.score(before.cv, before.se)}): {text.signed(scores['gain'])}{odds}"
        )
    if scores.get("max_correlation") is not None:
        lines.append(f"largest correlation with an earlier run: {scores['max_correlation']:.4f}")
    if failure:
        lines.append(f"failure: {failure.get('kind')}: {text.one_line(str(failure.get('message') or ''))}")
    if verify:
        lines.append(f"verify: {verify}")
    lines.append(f"time {text.duration(float(scores.get('seconds') or 0.0))}")
    return lines


def fold_table(notebook: Notebook, scores: dict[str, Any], before: Run | None) -> str:
    """Each fold's score beside the earlier best's, with the difference turned so that positive is better."""
    folds = [score for score in scores.get("fold_scores") or [] if score is not None]
    rows = []
    for number, score in enumerate(folds):
        old = before.folds[number] if before and number < len(before.folds) else None
        change = None if old is None else notebook.signed(score) - notebook.signed(old)
        rows.append((str(number + 1), text.number(score), text.number(old), text.signed(change)))
    return text.table(("fold", "this run", before.label if before else "before", "better by"), rows)


def _why(notebook: Notebook, strategy: dict[str, Any], scores: dict[str, Any], before: Run | None) -> list[str]:
    folds = [score for score in scores.get("fold_scores") or [] if score is not None]
    lines = []
    if before and folds and before.folds:
        pairs = list(zip(folds, before.folds, strict=False))
        wins = sum(notebook.signed(new) > notebook.signed(old) for new, old in pairs)
        agree = "the folds agree" if wins in (0, len(pairs)) and len(pairs) > 1 else "the folds disagree: mostly noise"
        lines.append(f"better in {wins} of {len(pairs)} folds, {agree}")
    if before and before.is_blend and strategy.get("role") not in ("blend", None):
        lines.append("a lone model seldom beats a blend: what it is worth shows in the next blend")
    gain, expected = scores.get("gain"), float(strategy.get("expected_gain") or 0.0)
    if gain is not None and expected > 0:
        verdict = "the expectation was right" if gain >= 0.5 * expected else "the expectation was too high"
        lines.append(f"gain {text.signed(gain)} of {text.signed(expected)} expected: {verdict}")
    correlation = scores.get("max_correlation")
    if correlation is not None and correlation > 0.995:
        lines.append("predictions nearly equal to an earlier run's: nothing new was learned from the data")
    if scores.get("status") == "gated":
        lines.append("fold 1 alone was clearly worse than the best, so the other folds were not paid for")
    return lines or ["nothing to compare with yet"]


def _next(notebook: Notebook, strategy: dict[str, Any], scores: dict[str, Any], rejected: bool) -> list[str]:
    role, family = strategy.get("role"), strategy.get("family")
    if rejected:
        return [f"find out why {family} looked too good before anything is built on it"]
    if scores.get("status") not in ("ok", "gated"):
        return [f"do not repeat this configuration of {family}; another family next"]
    if scores.get("verdict") == "keep":
        return [
            "blend again when a member that errs differently is there"
            if role == "blend"
            else f"build on it: {family} is the best"
        ]
    if useful_member(notebook, scores):
        return [f"{family} did not win but differs: a member for the next blend"]
    return [f"leave this direction of {family}: no gain and no new errors"]


def useful_member(notebook: Notebook, scores: dict[str, Any]) -> bool:
    """A complete run near the best whose predictions differ from all earlier ones."""
    correlation, cv, best = scores.get("max_correlation"), scores.get("cv"), notebook.best
    if scores.get("status") != "ok" or correlation is None or cv is None or best is None:
        return False
    behind = notebook.signed(best.cv) - notebook.signed(cv)
    return bool(correlation < 0.99 and behind < NEAR * max(notebook.noise, float(scores.get("se") or 0.0)))


def learnings(notebook: Notebook, strategy: dict[str, Any], scores: dict[str, Any], rejected: bool) -> list[str]:
    """At most two lines for LEARNINGS.md, only of what was measured."""
    tag, name = f"[R{notebook.round:02d}]", strategy.get("recipe") or strategy.get("family")
    role, score = strategy.get("role"), text.score(scores.get("cv"), scores.get("se"))
    if not scores or not strategy:
        return []
    if rejected:
        return [f"- {tag} {name} was rejected at verify: its score {score} can't be trusted"]
    if scores.get("status") == "failed":
        kind = (scores.get("failure") or {}).get("kind", "failure")
        return [f"- {tag} {name} fails here ({kind}): leave it or make it smaller"]
    lines = []
    if scores.get("verdict") == "keep":
        gain = f", {text.signed(scores['gain'])} over {scores.get('against')}" if scores.get("against") else ""
        lines.append(f"- {tag} {role} with {name} was kept: {score}{gain}")
    elif role == "tune" and notebook.tries_without_gain(str(strategy.get("family"))) >= 1:
        lines.append(f"- {tag} tuning {strategy.get('family')} did not pay, more than once in a row")
    elif useful_member(notebook, scores):
        lines.append(
            f"- {tag} {name} ({score}) is no winner but a diverse member: correlation {scores['max_correlation']:.3f}"
        )
    return lines


def handover(turn: Turn) -> str:
    """Write handover.md: all that a successor needs lies in the files, so the note only points there."""
    notebook = read(turn, NAMES)
    best, everything = notebook.best, ledgers.total(notebook.runs)
    blends = sum(wishes.is_blend(run.family) for run in notebook.runs)
    lines = [
        f"{everything.runs} runs so far: {everything.kept} kept, {everything.crashed} crashed, {blends} blends",
        f"best: {text.link(best)} at {text.score(best.cv, best.se)}" if best else "nothing was kept yet",
        f"rounds since the last keep: {notebook.stuck}",
        "memory: experiments.json (what was tried), LEARNINGS.md (what it taught), guidance.md (what a person wants)",
    ]
    turn.write("handover.md", text.page(f"Hand-over before round {turn.round}", ("State", text.bullets(lines))))
    return "DONE"
