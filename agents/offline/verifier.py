"""The Reviewer's check of a result: can this score be believed, and may it be submitted?

Broken predictions (NaN, constant) are rejected outright. Evidence of a leak alone is noted, because many honest data
sets have an informative id or drift; together with a score too good to be true it rejects.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agents.offline import text
from agents.offline.ledgers import kept_gain
from agents.offline.names import NAMES
from agents.offline.notebook import Notebook, read, read_json
from agents.session import Turn

BROKEN = ("nan", "finite", "constant", "sanity", "predictions", "shape")
"""Parts of the names of probes that mean unusable predictions when they fail."""
BAD_WORDS = ("fail", "failed", "bad", "reject", "alarm", "error", "suspicious", "leak", "red")
FAIR_WORDS = ("ok", "pass", "passed", "good", "fine", "info", "note", "warning", "skipped", "green", "yellow")
TOO_GOOD_SIGMAS = 10.0
TOO_GOOD_RATIO = 5.0


@dataclass(frozen=True)
class Probe:
    """One piece of evidence; `passed` is None when the referee gives figures without a judgement."""

    name: str
    passed: bool | None
    detail: str

    @property
    def is_fatal(self) -> bool:
        return self.passed is False and any(part in self.name.lower() for part in BROKEN)


def verify(turn: Turn) -> str:
    """Write verify.md from the referee's record and probes."""
    notebook = read(turn, NAMES)
    scores = read_json(turn.needs["scores"]) if "scores" in turn.needs else {}
    probes = list(read_probes(read_json(turn.needs["probes"]) if "probes" in turn.needs else {}))
    failed = [probe for probe in probes if probe.passed is False]
    too_good = too_good_to_be_true(notebook, scores)
    reason = _reason(scores, failed, too_good)
    reply = f"REJECT: {text.one_line(reason)}" if reason else "VERIFIED"
    rows = [(probe.name, {True: "pass", False: "FAIL", None: "—"}[probe.passed], probe.detail) for probe in probes]
    turn.write(
        "verify.md",
        text.page(
            f"Verify R{turn.round:02d}",
            ("Score", text.bullets(_score_lines(notebook, scores, too_good))),
            ("Probes", text.table(("probe", "result", "evidence"), rows) or "- the referee gave none"),
            (
                "Noted",
                text.bullets(f"{probe.name}: {probe.detail}" for probe in failed) if failed and not reason else "",
            ),
            ("Verdict", reply),
        ),
    )
    return reply


def _reason(scores: dict[str, Any], failed: list[Probe], too_good: str) -> str:
    if scores.get("cv") is None:
        return "the referee has no score for this run"
    for probe in failed:
        if probe.is_fatal:
            return f"{probe.name}: {probe.detail}"
    if too_good and failed:
        return f"{too_good}, and {failed[0].name} failed: {failed[0].detail}"
    return ""


def too_good_to_be_true(notebook: Notebook, scores: dict[str, Any]) -> str:
    """The gain as a sentence when it dwarfs both the noise and every gain before; "" otherwise."""
    gain, noise = scores.get("gain"), max(notebook.noise, float(scores.get("se") or 0.0))
    if gain is None or notebook.best is None or noise <= 0:
        return ""
    usual = max((kept_gain(run) for run in notebook.runs), default=0.0)
    if gain > TOO_GOOD_SIGMAS * noise and gain > TOO_GOOD_RATIO * usual:
        return (
            f"a gain of {text.signed(gain)} is {gain / noise:.0f} standard errors, the largest before was {usual:.3g}"
        )
    return ""


def _score_lines(notebook: Notebook, scores: dict[str, Any], too_good: str) -> list[str]:
    folds = [text.number(score) for score in scores.get("fold_scores") or [] if score is not None]
    lines = [f"{text.score(scores.get('cv'), scores.get('se'))}, folds {', '.join(folds)}"]
    if notebook.best:
        lines.append(f"before: {text.link(notebook.best)} {text.score(notebook.best.cv, notebook.best.se)}")
    if scores.get("max_correlation") is not None:
        lines.append(f"largest correlation with an earlier run {scores['max_correlation']:.4f}")
    lines.append(f"suspicious: {too_good}" if too_good else "the gain is of an ordinary size")
    return lines


def read_probes(record: dict[str, Any], prefix: str = "") -> Iterator[Probe]:
    """Every judgement or figure in the referee's record, however deep it lies."""
    for name, value in record.items():
        label = f"{prefix}{name}".replace("_", " ")
        if name == "sha256":
            continue
        if isinstance(value, dict) and (judged := judgement(value)) is not None:
            yield Probe(label, judged, _detail(value))
        elif isinstance(value, dict):
            yield from read_probes(value, f"{label}: ")
        elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            for number, item in enumerate(value, 1):
                yield Probe(str(item.get("name") or f"{label} {number}"), judgement(item), _detail(item))
        else:
            yield Probe(label, None, text.one_line(_short(value), 120))


def judgement(item: dict[str, Any]) -> bool | None:
    """Whether a probe's own fields say that it passed; None when they do not say."""
    for key in ("ok", "passed", "pass"):
        if isinstance(item.get(key), bool):
            return bool(item[key])
    for key in ("failed", "suspicious", "alarm"):
        if isinstance(item.get(key), bool):
            return not item[key]
    for key in ("status", "verdict", "level", "severity", "result"):
        word = str(item.get(key) or "").lower()
        if word in BAD_WORDS:
            return False
        if word in FAIR_WORDS:
            return True
    return None


def _detail(item: dict[str, Any]) -> str:
    for key in ("detail", "evidence", "message", "reason", "text", "note"):
        if isinstance(item.get(key), str) and item[key]:
            return text.one_line(item[key], 200)
    figures = [f"{key} {_short(value)}" for key, value in item.items() if not isinstance(value, bool | dict | list)]
    return text.one_line(", ".join(figures), 200)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
