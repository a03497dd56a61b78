"""The Reviewer's check of a result: can this score be believed, and may it be submitted?

Labels never reach an experiment, so a leak can only lie in the data itself, where it helps on the leaderboard too. So
leak-like evidence alone is noted; it rejects together with a score too good to be true. Unusable predictions reject.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from agents.offline import text
from agents.offline.notebook import Notebook, read, read_json
from agents.session import Turn

LEAKS = ("id_leak", "row_order_leak", "duplicates")
SHIFTS = ("prediction_shift", "test_outside_oof")
TOO_GOOD_SIGMAS = 10.0
TOO_GOOD_RATIO = 5.0
LEAK_RULE = (
    f"only with too_good and a gain over {TOO_GOOD_SIGMAS:g} standard errors and {TOO_GOOD_RATIO:g} x the largest"
)
REJECTS = {
    "constant_predictions": "always",
    "prediction_shift": "only with test_outside_oof and without drift (adversarial_validation passes)",
    "test_outside_oof": "only with prediction_shift and without drift (adversarial_validation passes)",
    **dict.fromkeys(LEAKS, LEAK_RULE),
    "too_good": "only with a leak and such a gain",
}
"""Probe → when its failure rejects a run; the others never do."""


def verify(turn: Turn) -> str:
    """Write verify.md from the referee's record and probes."""
    notebook, scores = read(turn), read_json(turn, "scores")
    checks = read_json(turn, "probes").get("checks", [])
    failed = {item["name"]: item["evidence"] for item in checks if not item["ok"]}
    jump = too_good_to_be_true(notebook, scores)
    reason, decisive = rejection(scores, failed, jump)
    reply = f"REJECT: {text.one_line(reason)}" if reason else "VERIFIED"
    rows = [
        (
            name,
            "FAIL" if name in decisive else "note" if name in failed else "pass",
            evidence,
            REJECTS.get(name, "never"),
        )
        for name, evidence in ((item["name"], item["evidence"]) for item in checks)
    ]
    noted = text.bullets(f"{name}: {evidence}" for name, evidence in failed.items())
    turn.write(
        "verify.md",
        text.page(
            f"Verify R{turn.round:02d}",
            ("Score", text.bullets(_score_lines(notebook, scores, jump))),
            ("Probes", text.table(("probe", "result", "evidence", "rejects the run"), rows)),
            ("Noted", "" if reason else noted),
            ("Verdict", reply),
        ),
    )
    return reply


def rejection(scores: dict[str, Any], failed: Mapping[str, str], jump: str) -> tuple[str, tuple[str, ...]]:
    """Why the run may not be believed ("" when it may), and the probes that decide it.

    `failed` are the probes that failed, with their evidence.
    """
    if scores["cv"] is None or not math.isfinite(scores["cv"]):
        return "the referee has no score for this run", ()
    if "constant_predictions" in failed:
        return failed["constant_predictions"], ("constant_predictions",)
    if set(SHIFTS) <= set(failed) and "adversarial_validation" not in failed:
        return f"{failed['prediction_shift']}, though the data do not drift", SHIFTS
    leak = next((name for name in LEAKS if name in failed), None)
    if leak and jump and "too_good" in failed:
        return f"{jump}, and {failed[leak]}", (leak, "too_good")
    return "", ()


def too_good_to_be_true(notebook: Notebook, scores: dict[str, Any]) -> str:
    """The gain as a sentence when it dwarfs both the noise and every gain before; "" otherwise."""
    gain, noise = scores["gain"], max(notebook.noise, scores["se"] or 0.0)
    if gain is None or notebook.best is None or noise <= 0:
        return ""
    usual = max((run.kept_gain for run in notebook.runs), default=0.0)
    if gain > TOO_GOOD_SIGMAS * noise and gain > TOO_GOOD_RATIO * usual:
        shown = f"a gain of {text.signed(gain)} is {gain / noise:.0f} standard errors"
        return f"{shown}, the largest before was {usual:.3g}"
    return ""


def _score_lines(notebook: Notebook, scores: dict[str, Any], jump: str) -> list[str]:
    folds = [text.number(score) for score in scores["fold_scores"] if score is not None]
    lines = [f"{text.score(scores['cv'], scores['se'])}, folds {', '.join(folds)}"]
    if notebook.best:
        lines.append(f"before: {text.link(notebook.best)} {text.score(notebook.best.cv, notebook.best.se)}")
    return [*lines, f"suspicious: {jump}"] if jump else lines
