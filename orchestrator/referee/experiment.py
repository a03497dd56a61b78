"""One experiment before the referee: its folds are run, scored, compared with the best round and recorded."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.errors import Damaged, FatalEnding, MetricFailed
from orchestrator.files import atomic_write, read_json_or_none, sha256_bytes, write_json
from orchestrator.referee.company import Company
from orchestrator.referee.earlier import ARTIFACTS, Earlier, correlations
from orchestrator.referee.runner import Failure, Fold, FoldRunner
from orchestrator.referee.score import (
    Comparison,
    fold_score,
    gate,
    gate_sigmas,
    judge,
    keep_bar,
    plainly_decided,
    score,
)
from orchestrator.referee.submission_file import build as build_csv
from orchestrator.referee.workdir import Workdir
from orchestrator.rounds import RoundFiles

if TYPE_CHECKING:
    from orchestrator.referee.run import Referee

Array = np.ndarray[Any, Any]
_NOTHING: dict[str, Any] = {
    **dict.fromkeys(("failure", "cv", "se", "gain", "probability", "against", "decision", "max_correlation")),
    **{"fold_scores": [], "correlations": {}, "hashes": {}, "final": "mean"},
}


class Experiment:
    """One experiment before the referee: from its script to its record."""

    def __init__(self, referee: Referee, files: RoundFiles, strategy: dict[str, Any], company: Company) -> None:
        self.started = time.monotonic()
        self.referee, self.files, self.strategy, self.company = referee, files, strategy, company
        self.config, self.metric, self.folds = referee.config, referee.metric, referee.seal()
        self.data = referee.campaign / "competition" / "data"
        self.classes = referee.config.competition.classes
        self.seed = referee.config.cv.seed + files.number
        self.script_sha256: str | None = None
        self.runner: FoldRunner | None = None

    def clear_artifacts(self) -> None:
        """What an earlier script of this round left; the record first, so that it never stands alone."""
        for name in ("scores.json", "run.log", *ARTIFACTS.values()):
            self.files.path(name).unlink(missing_ok=True)

    def play(self, work: Workdir, best: RoundFiles | None, seconds: float) -> dict[str, Any]:
        champion, before = self._champion(best)
        self.runner = runner = FoldRunner(
            self.config, self.metric, self.referee.executor, work, self.files, self.strategy, seconds,
            self.quick_score, self.referee.progress, self.company,
        )  # fmt: skip
        gated = champion is not None and self._gate_sigmas() is not None
        began = runner.run([0] if gated or runner.alone_first() else range(self.folds.folds))
        if began and champion is not None and (stopped := self._gate(runner.valid[0], champion)) is not None:
            return stopped
        rest = [fold for fold in range(self.folds.folds) if fold not in runner.outcomes]
        if runner.failure is not None or (rest and not runner.run(rest)):
            assert runner.failure is not None
            return self.fail(runner.failure)
        oof = np.full((self.folds.rows, self.folds.outputs), np.nan)
        for fold, rows in enumerate(self.folds.valid_rows):
            oof[rows] = runner.valid[fold]
        scored = score(self.metric, self.folds, oof, self.classes)
        if scored.spoiled or np.isnan(scored.cv):
            where = f"fold {scored.spoiled[0] + 1}" if scored.spoiled else "every fold"
            return self.fail(Failure("output", f"{self.metric.name} is undefined for these predictions in {where}"))
        usual = self.config.referee.keep_probability
        tries = int(self.strategy.get("tries", 0))
        keep = keep_bar(str(self.strategy.get("role")), usual, tries)
        note = ""
        if keep < usual:
            note = " (what a blend needs)"
        elif keep > usual:
            note = f" ({usual:g} for a first try, this is number {tries + 1})"
        task = self.config.competition.task
        judged = judge(
            self.metric, self.folds, oof, scored, champion, before, keep, self.classes, task, self.seed, note
        )
        if runner.wants_refit and not judged.clearly_worse:
            runner.run(["full"])
        per_fold = np.stack([runner.test[fold] for fold in range(self.folds.folds)])
        test, final = self._final(runner.test, per_fold)
        csv = build_csv(self.config.competition, self.data, test, scored.decision)
        hashes = self._land(
            oof=_npy(oof), test=_npy(test), folds_test=_npy(per_fold.astype(np.float32)), submission=csv
        )
        found = correlations(self.metric, self.folds, oof, work.earlier, task)
        return self._record(
            "ok",
            judged.verdict,
            judged.reason,
            fold_scores=[finite_or_none(value) for value in scored.fold_scores],
            cv=scored.cv,
            se=judged.se,
            **_compared(judged.comparison, best.label if best else None),
            decision=scored.decision.as_dict(),
            correlations=found,
            max_correlation=max(found.values(), default=None),
            hashes=hashes,
            final=final,
        )

    def _final(self, test: Mapping[Fold, Array], per_fold: Array) -> tuple[Array, str]:
        """The predictions for test and how they came about, from those of each fold and perhaps of a refit."""
        if "full" in test:
            return test["full"], "refit"
        if self.folds.strategy == "time":  # the last fold learned from most of the rows, and from the latest
            return per_fold[-1], "last"
        return per_fold.mean(axis=0), "mean"

    def fail(self, failure: Failure) -> dict[str, Any]:
        return self._record("failed", "crash", f"{failure.kind}: {failure.message}", failure=asdict(failure))

    def _champion(self, best: RoundFiles | None) -> tuple[Earlier | None, dict[str, Any] | None]:
        """The best round's predictions and its record; a record alone when the predictions are damaged.

        Raises FatalEnding when nothing tells how good the best was: the next round must not pass for the first.
        """
        if best is None:
            return None, None
        try:
            found = self.referee.archive.open(best, self.folds, needed=("oof",))
            return found, found.record
        except Damaged as error:
            for name in ("scores.json", "result.json"):
                record = read_json_or_none(best.path(name))
                if record and record["cv"] is not None:
                    text = f"{error}: the comparison uses its recorded score"
                    self.referee.progress("note", text=text, level="warning")
                    return None, record
            raise FatalEnding(
                f"{best.label} was kept and its scores are lost: restore {best.path('scores.json')}"
            ) from None

    def _gate(self, first: Array, champion: Earlier) -> dict[str, Any] | None:
        """The record of a round that stops after fold 1, or None to go on."""
        if (sigmas := self._gate_sigmas()) is None:
            return None
        usual = self.config.referee.gate_sigmas
        why = "against a blend a model" if self.strategy.get("against_blend") else "a new family"
        note = f"; {why} is given {sigmas / usual:g} × gate_sigmas" if sigmas != usual else ""  # noqa: RUF001
        found = gate(self.metric, self.folds, first, champion, sigmas, self.classes, self.seed, note)
        passed = found.verdict == "pass"
        named = {"round": self.files.number, "variant": self.files.variant}
        self.referee.progress("gate", **named, passed=passed, text=found.reason)
        if passed:
            return None
        scores = [finite_or_none(self.quick_score(0, first))]
        compared = _compared(found.comparison, champion.label)
        return self._record("gated", "discard", found.reason, fold_scores=scores, **compared)

    def _gate_sigmas(self) -> float | None:
        """None: no gate. Where folds go by time the first one has the fewest rows to learn from and tells least."""
        if self.folds.strategy == "time":
            return None
        role, against_blend = str(self.strategy.get("role")), bool(self.strategy.get("against_blend"))
        return gate_sigmas(role, self.config.referee.gate_sigmas, against_blend)

    def quick_score(self, fold: int, predictions: Array) -> float:
        """For the screen, and for a gated round: one fold, decided by the plain rule."""
        rows = self.folds.valid_rows[fold]
        decided = plainly_decided(self.metric, self.folds, rows, predictions, self.classes)
        try:
            return fold_score(self.metric, self.folds, rows, decided)
        except MetricFailed:  # it is raised again, and told, where the whole run is scored
            return float("nan")

    def _land(self, **payloads: bytes) -> dict[str, str]:
        for name, payload in payloads.items():
            atomic_write(self.files.path(ARTIFACTS[name]), payload)
        return {name: sha256_bytes(payload) for name, payload in payloads.items()}

    def _record(self, status: str, judged: str, reason: str, **fields: Any) -> dict[str, Any]:
        """Write the log and then the record, with `fields` over what every record has."""
        outcomes = self.runner.outcomes if self.runner else {}
        if self.runner:
            atomic_write(self.files.path("run.log"), self.runner.log() or "no fold began\n")
        record = {
            "round": self.files.number,
            "variant": self.files.variant,
            "role": self.strategy.get("role"),
            "script_sha256": self.script_sha256,
            "status": status,
            **_NOTHING,
            "verdict": judged,
            "reason": reason,
            "fold_seconds": [round(outcomes[fold].seconds, 3) for fold in range(self.folds.folds) if fold in outcomes],
            "peak_mb": round(max((outcome.peak_mb for outcome in outcomes.values()), default=0.0), 1),
            "cores": int(self.referee.executor.cores),
            "sandbox": self.referee.executor.level,
            "folds_hash": self.folds.hash,
            **fields,
            "seconds": round(time.monotonic() - self.started, 3),
        }
        write_json(self.files.path("scores.json"), record)
        return record


def _compared(found: Comparison | None, label: str | None) -> dict[str, Any]:
    if found is None:
        return {}
    return {"gain": found.gain, "gain_se": found.se, "probability": found.probability, "against": label}


def finite_or_none(value: float) -> float | None:
    """JSON has no nan."""
    return None if np.isnan(value) else value


def _npy(array: Array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
