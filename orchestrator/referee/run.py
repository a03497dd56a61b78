"""The referee: runs an experiment fold by fold in the sandbox, scores it on sealed labels, and says keep or discard.

What an experiment prints is kept as its log and never read for anything else; what it writes is read by the rules of
`predictions.py` alone; the labels that grade a fold are in none of its files.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.competitions.metrics import Metric, metric_of
from orchestrator.config import Config
from orchestrator.errors import Damaged, FatalEnding, MetricFailed, OutputRejected
from orchestrator.files import atomic_write, read_json_or_none, sha256_bytes, write_json
from orchestrator.referee.company import Company
from orchestrator.referee.earlier import ARTIFACTS, Archive, Earlier, correlations
from orchestrator.referee.feature_cache import FeatureCache
from orchestrator.referee.labels import check_own_metric
from orchestrator.referee.runner import Failure, FoldRunner
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
from orchestrator.referee.seal import seal
from orchestrator.referee.sealed import FoldSet
from orchestrator.referee.submission_file import build as build_csv
from orchestrator.referee.workdir import MAX_SCRIPT_BYTES, Workdir, data_files, read_script, syntax_error
from orchestrator.rounds import RoundFiles

Array = np.ndarray[Any, Any]
_NOTHING: dict[str, Any] = {
    **dict.fromkeys(("failure", "cv", "se", "gain", "probability", "against", "decision", "max_correlation")),
    **{"fold_scores": [], "correlations": {}, "hashes": {}, "final": "mean"},
}


class Referee:
    """Owns the sealed folds of one campaign. Not thread-safe, but for `run` with a `company`."""

    def __init__(
        self, campaign: Path, config: Config, executor: Any, *, progress: Callable[..., None] = lambda *_, **__: None
    ) -> None:
        self.campaign = campaign
        self.config = config
        self.executor = executor
        self.progress = progress
        self._folds: FoldSet | None = None
        self.archive = Archive()
        self.cache = FeatureCache(campaign / ".work" / "cache", 1024 * config.execution.cache_gb)

    @property
    def metric(self) -> Metric:
        return metric_of(self.config.competition, self.campaign)

    def seal(self) -> FoldSet:
        """Round 0: the folds, loaded when intact and built otherwise.

        Raises BadInput for data that can't be split or scored, FatalEnding when a rebuilt split would not be the
        recorded one.
        """
        if self._folds is None or not self._folds.is_intact():
            folds = seal(self.campaign, self.config)
            check_own_metric(folds.labels, self.metric)
            self._folds = folds
        return self._folds

    def probes(self, files: RoundFiles) -> dict[str, Any]:
        """Evidence for the Reviewer about a complete run, see `probes.probe`. Raises Damaged without one."""
        from orchestrator.referee.probes import probe

        folds = self.seal()
        return probe(self.config, self.metric, folds, self.archive.open(files, folds))

    def run(
        self,
        files: RoundFiles,
        *,
        strategy: dict[str, Any],
        best: RoundFiles | None,
        earlier: list[RoundFiles],
        seconds: float,
        company: Company | None = None,
    ) -> dict[str, Any]:
        """Run and judge a round's `experiment.py`; returns the scores record, which is the last file written.

        The same script does not run again while its record and artifacts are intact. Whatever an experiment does ends
        in the record (status ok, gated or failed) and never raises. `seconds` are for all its folds together.

        Experiments in one `company` may run at the same time, each in a thread of its own; one that is ended with it
        raises Stopped and leaves no record.
        """
        company = company or Company()
        with company.turn():
            return self._run(_Trial(self, files, strategy, company), best, earlier, seconds)

    def _run(self, trial: _Trial, best: RoundFiles | None, earlier: list[RoundFiles], seconds: float) -> dict[str, Any]:
        files = trial.files
        try:
            source = read_script(files.path("experiment.py"))
        except OutputRejected as error:
            trial.clear_artifacts()
            return trial.fail(Failure("too_big" if "larger than" in str(error) else "crash", str(error)))
        trial.script_sha256 = sha256_bytes(source)
        record = read_json_or_none(files.path("scores.json"))
        if record and record["script_sha256"] == trial.script_sha256 and self.archive.intact(files, record):
            return record
        trial.clear_artifacts()
        if (message := syntax_error(source, files.path("experiment.py").name)) is not None:
            return trial.fail(Failure("syntax", message))
        shown = self.archive.open_all(earlier, trial.folds, trial.metric)
        folder, name = self.campaign / ".work" / files.prefix, files.path("experiment.py").name
        try:
            data = data_files(trial.data, self.config.competition)
            with Workdir(folder, name, source, trial.folds, shown, data, self._cache()) as work:
                return trial.play(work, best, seconds)
        except MetricFailed as error:
            trial.clear_artifacts()
            return trial.fail(Failure("output", str(error)))
        finally:
            trial.runner = None  # they know each other: else the mapped files stay open until a late garbage collection

    def _cache(self) -> FeatureCache | None:
        """Where runs are on this machine and can't see each other: a fold's cache may tell what its labels were."""
        alone = self.executor.machine is None and self.executor.level == "A"
        return self.cache if alone and self.config.execution.cache_gb else None

    def trial(
        self, files: RoundFiles, source: bytes, *, strategy: dict[str, Any], earlier: list[RoundFiles], seconds: float
    ) -> dict[str, Any]:
        """Run a script on fold 1 alone, on this machine, and keep nothing of it: no record, no predictions, no verdict.

        {"status": how it ended, "score" of fold 1 or None, "problem", "seconds", "peak_mb", "log"}. Raises
        OutputRejected for a script that is too large.
        """
        if len(source) > MAX_SCRIPT_BYTES:
            raise OutputRejected(
                f"a script has at most {MAX_SCRIPT_BYTES // 1000} kB, this one has {len(source)} bytes"
            )
        trial = _Trial(self, files, strategy, Company())
        shown = self.archive.open_all(earlier, trial.folds, trial.metric)
        folder, data = self.campaign / ".work" / "trial", data_files(trial.data, self.config.competition)
        with Workdir(folder, files.path("experiment.py").name, source, trial.folds, shown, data, self._cache()) as work:
            runner = FoldRunner(
                self.config, self.metric, self.executor.here, work, files, strategy, seconds,
                trial.quick_score, lambda *_, **__: None,
            )  # fmt: skip
            runner.run([0])
        outcome, failure = runner.outcomes[0], runner.failure
        return {
            "status": outcome.status,
            "score": None if failure else _number(trial.quick_score(0, runner.valid[0])),
            "problem": failure.message if failure else "",
            "seconds": round(outcome.seconds, 3),
            "peak_mb": round(outcome.peak_mb, 1),
            "log": outcome.log,
        }


class _Trial:
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
        test = runner.test.get("full", per_fold.mean(axis=0))
        csv = build_csv(self.config.competition, self.data, test, scored.decision)
        hashes = self._land(
            oof=_npy(oof), test=_npy(test), folds_test=_npy(per_fold.astype(np.float32)), submission=csv
        )
        found = correlations(self.metric, self.folds, oof, work.earlier, task)
        return self._record(
            "ok",
            judged.verdict,
            judged.reason,
            fold_scores=[_number(value) for value in scored.fold_scores],
            cv=scored.cv,
            se=judged.se,
            **_compared(judged.comparison, best.label if best else None),
            decision=scored.decision.as_dict(),
            correlations=found,
            max_correlation=max(found.values(), default=None),
            hashes=hashes,
            final="refit" if "full" in runner.test else "mean",
        )

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
        scores = [_number(self.quick_score(0, first))]
        compared = _compared(found.comparison, champion.label)
        return self._record("gated", "discard", found.reason, fold_scores=scores, **compared)

    def _gate_sigmas(self) -> float | None:
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


def _number(value: float) -> float | None:
    """JSON has no nan."""
    return None if np.isnan(value) else value


def _npy(array: Array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
