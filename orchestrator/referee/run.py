"""The referee: runs an experiment fold by fold in the sandbox, scores it on sealed labels, and says keep or discard.

What an experiment prints is kept as its log and never read for anything else; what it writes is read by the rules of
`predictions.py` alone; the labels that grade a fold are in none of its files.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.competitions.metrics import Metric, metric_of
from orchestrator.config import Config
from orchestrator.errors import MetricFailed, OutputRejected
from orchestrator.files import read_json_or_none, sha256_bytes
from orchestrator.referee.company import Company
from orchestrator.referee.earlier import Archive
from orchestrator.referee.experiment import Experiment, finite_or_none
from orchestrator.referee.feature_cache import FeatureCache
from orchestrator.referee.labels import check_own_metric
from orchestrator.referee.runner import Failure, FoldRunner
from orchestrator.referee.seal import seal
from orchestrator.referee.sealed import FoldSet
from orchestrator.referee.workdir import MAX_SCRIPT_BYTES, Workdir, data_files, read_script, syntax_error
from orchestrator.rounds import RoundFiles


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
            return self._run(Experiment(self, files, strategy, company), best, earlier, seconds)

    def _run(
        self, experiment: Experiment, best: RoundFiles | None, earlier: list[RoundFiles], seconds: float
    ) -> dict[str, Any]:
        files = experiment.files
        try:
            source = read_script(files.path("experiment.py"))
        except OutputRejected as error:
            experiment.clear_artifacts()
            return experiment.fail(Failure("too_big" if "larger than" in str(error) else "crash", str(error)))
        experiment.script_sha256 = sha256_bytes(source)
        record = read_json_or_none(files.path("scores.json"))
        if record and record["script_sha256"] == experiment.script_sha256 and self.archive.intact(files, record):
            return record
        experiment.clear_artifacts()
        if (message := syntax_error(source, files.path("experiment.py").name)) is not None:
            return experiment.fail(Failure("syntax", message))
        shown = self.archive.open_all(earlier, experiment.folds, experiment.metric)
        folder, name = self.campaign / ".work" / files.prefix, files.path("experiment.py").name
        try:
            data = data_files(experiment.data, self.config.competition)
            with Workdir(folder, name, source, experiment.folds, shown, data, self._cache()) as work:
                return experiment.play(work, best, seconds)
        except MetricFailed as error:
            experiment.clear_artifacts()
            return experiment.fail(Failure("output", str(error)))
        finally:
            # They know each other: else the mapped files stay open until a late garbage collection.
            experiment.runner = None

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
        experiment = Experiment(self, files, strategy, Company())
        shown = self.archive.open_all(earlier, experiment.folds, experiment.metric)
        folder, name = self.campaign / ".work" / "trial", files.path("experiment.py").name
        data = data_files(experiment.data, self.config.competition)
        with Workdir(folder, name, source, experiment.folds, shown, data, self._cache()) as work:
            runner = FoldRunner(
                self.config, self.metric, self.executor.here, work, files, strategy, seconds,
                experiment.quick_score, lambda *_, **__: None,
            )  # fmt: skip
            runner.run([0])
        outcome, failure = runner.outcomes[0], runner.failure
        return {
            "status": outcome.status,
            "score": None if failure else finite_or_none(experiment.quick_score(0, runner.valid[0])),
            "problem": failure.message if failure else "",
            "seconds": round(outcome.seconds, 3),
            "peak_mb": round(outcome.peak_mb, 1),
            "log": outcome.log,
        }
