"""Runs one experiment over the folds: lays out IN, runs jobs side by side, takes the predictions out of OUT.

Fold numbers are 1, 2, … where people see them, and indices from 0 in files and task.json.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy as np

from orchestrator.competitions.metrics import Metric
from orchestrator.config import Config
from orchestrator.errors import CampaignOver, OutputRejected
from orchestrator.execution.jobs import Job, Limits, Machine, Outcome
from orchestrator.referee.blend import weights
from orchestrator.referee.company import Company
from orchestrator.referee.earlier import for_blends
from orchestrator.referee.predictions import read
from orchestrator.referee.workdir import Workdir, task_record
from orchestrator.rounds import RoundFiles

Array = np.ndarray[Any, Any]
Fold = int | str
"""An index, or "full": learn from every labelled row, predict the test rows."""
_MEMORY_SHARE = 0.7
_LEAST_MEMORY_MB = 256
_USUAL_MB, _MB_PER_TABLE_MB = 500, 25
"""What the libraries hold, and what an experiment holds for each MB of the sealed table: a generous guess."""
_KINDS = {"failed": "crash", "lost": "crash"}
_TAIL_CHARS = 3000


@dataclass(frozen=True)
class Failure:
    """Why a run gave no predictions; `kind` is crash, timeout, memory, disk, processes, output, too_big or syntax."""

    kind: str
    message: str
    tail: str = ""
    fold: int | None = None
    """From 1; None when no fold began."""


class FoldRunner:
    """The folds of one experiment. `outcomes`, `valid` and `test` fill up fold by fold; `failure` is the first one."""

    def __init__(
        self,
        config: Config,
        metric: Metric,
        executor: Any,
        work: Workdir,
        files: RoundFiles,
        strategy: dict[str, Any],
        seconds: float,
        score: Callable[[int, Array], float],
        progress: Callable[..., None],
        company: Company | None = None,
    ) -> None:
        """`seconds` are for all folds together; `score` is of one fold, for the screen.

        In `company` it is this experiment's turn whenever it is called, and other machines are shared out evenly.
        """
        self.config, self.metric, self.executor, self.work, self.files = config, metric, executor, work, files
        self.folds = work.folds
        self.outcomes: dict[Fold, Outcome] = {}
        self.valid: dict[Fold, Array] = {}
        self.test: dict[Fold, Array] = {}
        self.failure: Failure | None = None
        self.wants_refit = (strategy.get("final") or config.final) == "refit"
        self._thorough = strategy.get("role") == "blend"
        self._seconds, self._deadline = seconds, time.monotonic() + seconds
        self._company = company or Company()
        self._machine = _share(executor.machine, self._company.count)
        self._ran = 0.0
        self._memory_mb = self._machine.memory_mb if self._machine else _memory_mb(config)
        self._score, self._progress = score, progress

    def run(self, which: Sequence[Fold]) -> bool:
        """Run these folds; False when one of them failed, which ends the others.

        Raises CampaignOver, with the others ended too, when the machine's disk is all but full.
        """
        parallel = self._parallel(len(which))
        jobs = self._lay_out(which, parallel)
        lost = self._execute(jobs, parallel)
        if lost and self.failure is None:  # ended from outside, which says nothing about the script: once more
            self._execute(self._lay_out(lost, parallel), parallel, last=True)
        return self.failure is None

    def alone_first(self) -> bool:
        """Whether the folds run one by one anyhow, or only a first one can tell how much memory they need."""
        together = self._parallel(self.folds.folds)
        table_mb = self.folds.tables(0)["train.parquet"].stat().st_size / 2**20
        share = together if self._machine is None else 1
        return together == 1 or _USUAL_MB + _MB_PER_TABLE_MB * table_mb >= self._memory_mb / share

    def log(self) -> str:
        """What the folds printed, in order, each under a line of its own."""
        parts = []
        for fold in sorted(self.outcomes, key=lambda fold: (isinstance(fold, str), fold)):
            outcome = self.outcomes[fold]
            facts = f"{outcome.status} after {outcome.seconds:.1f} s, peak {outcome.peak_mb:.0f} MB"
            parts.append(f"=== fold {_shown(fold)}: {facts} ===\n{outcome.log.rstrip()}\n")
        most = self.config.execution.log_kb * 1024 // max(len(parts), 1)
        return "".join(part if len(part) <= most else f"{part[: most // 2]}\n…\n{part[-most // 2 :]}" for part in parts)

    def _parallel(self, jobs: int) -> int:
        """As many folds at a time as keep the cores busy, and as their memory allows, going by the first fold's.

        Each fold's training rows hold the other folds' labels, so runs that can see each other's file names (below
        level A) must not run at the same time; nor those that share a GPU, whose memory no sandbox divides.
        """
        if self._machine is not None:
            return max(1, min(self._machine.at_a_time, jobs))
        alone = self.executor.level != "A" or self.executor.gpus > 0
        parallel = 1 if alone else evenly(jobs, int(self.executor.cores))
        first = self.outcomes.get(0)
        if first is not None and first.peak_mb > 0:
            parallel = min(parallel, max(1, int(self._memory_mb // (1.2 * first.peak_mb))))
        return parallel

    def _lay_out(self, which: Sequence[Fold], parallel: int) -> dict[Fold, Job]:
        share = parallel if self._machine is None else 1
        cores = max(1, int(self.executor.cores) // share)
        left = max(self._left(), 1.0)
        memory = max(_LEAST_MEMORY_MB, self._memory_mb // share)
        execution = self.config.execution
        limits = Limits(
            seconds=left,
            memory_mb=memory,
            disk_mb=max(64, int(execution.disk_gb * 1024) // share),
            processes=max(8, execution.processes // share),
            log_kb=execution.log_kb,
        )
        facts = {
            "round": self.files.number,
            "cores": cores,
            "gpus": self.executor.gpus,
            "seconds": round(left / self._waves(which, parallel), 1),
            "memory_mb": memory,
            "cache_mb": self.work.cache_mb,
            "data": sorted(self.work.data),
            "previous": [other.label for other in self.work.earlier],
        }
        jobs = {}
        for fold in which:
            task = task_record(self.config, self.folds, self.metric, fold, **facts)
            inputs = self.work.inputs(fold, task, self._weights(fold))
            name = f"{self.files.prefix}/fold_{fold}"
            jobs[fold] = Job(self.work.script, inputs, self.work.out(fold), limits, cores=cores, name=name)
            self._tell("fold_start", fold)
        return jobs

    def _left(self) -> float:
        """Seconds that the folds still have: by this machine's clock, or by what they ran where they queue first."""
        return self._deadline - time.monotonic() if self._machine is None else self._seconds - self._ran

    def _waves(self, which: Sequence[Fold], parallel: int) -> int:
        """How many runs, one after the other, the time left has to serve: what a fold is told it may take."""
        waves = ceil(len(which) / parallel)
        if 0 in which and len(which) == 1:
            waves += ceil((self.folds.folds - 1) / self._parallel(self.folds.folds - 1))
        return waves + (self.wants_refit and "full" not in which)

    def _weights(self, fold: Fold) -> dict[str, Any] | None:
        if not self.work.earlier:
            return None
        oofs, task = for_blends(self.work.earlier), self.config.competition.task
        return weights(self.metric, self.folds, oofs, fold, task=task, thorough=self._thorough)._asdict()

    def _execute(self, jobs: dict[Fold, Job], parallel: int, *, last: bool = False) -> list[Fold]:
        """Run jobs until all are done, one fails or the time is up; the folds that were lost on the way."""
        by_name = {job.name: fold for fold, job in jobs.items()}
        stop = self._company.stop_of_one()
        lost: list[Fold] = []

        def done(job: Job, outcome: Outcome) -> None:
            with self._company.turn():
                file(by_name[job.name], outcome)

        def file(fold: Fold, outcome: Outcome) -> None:
            if outcome.status == "nospace":
                raise CampaignOver(f"{outcome.detail}: make room and run the same command again")
            over = self._left() <= 0
            if outcome.status == "lost" and self.failure is None and not over and not last:
                lost.append(fold)
                return
            self._take(fold, outcome, "timeout" if outcome.status == "lost" and over else outcome.status)
            if self.failure is not None:
                stop.set()

        timer = threading.Timer(max(self._left(), 1.0) + 1.0, stop.set)
        timer.daemon = True
        if self._machine is None:
            timer.start()
        try:
            with self._company.away():
                ended = self.executor.run(list(jobs.values()), parallel, done, cancel=stop)
            self._ran += sum(outcome.seconds for outcome in ended) / parallel
        finally:
            timer.cancel()
        return lost

    def _take(self, fold: Fold, outcome: Outcome, status: str) -> None:
        """File one fold's outcome and predictions, and free its folders. A refit that fails ends nothing."""
        self.outcomes[fold] = outcome
        if status == "ok":
            kind, message = "output", self._read(fold)
            self.work.keep(fold)
        else:
            kind, message = _KINDS.get(status, status), self._reason(fold, outcome, status)
        value = self._score(fold, self.valid[fold]) if not message and isinstance(fold, int) else None
        self.work.clear_fold(fold)
        if message and self.failure is None and isinstance(fold, int):
            self.failure = Failure(kind, message, outcome.log[-_TAIL_CHARS:], fold + 1)
        self._tell("fold_done", fold, score=value, seconds=outcome.seconds, failure=kind if message else None)

    def _read(self, fold: Fold) -> str:
        """Take the predictions out of OUT; what is wrong with them."""
        task, outputs = self.config.competition.task, self.folds.outputs
        out = self.work.out(fold)
        try:
            self.valid[fold] = read(out, "valid.npy", self.folds.valid_count(fold), outputs, task)
            self.test[fold] = read(out, "test.npy", self.folds.test_rows, outputs, task)
        except OutputRejected as error:
            return f"fold {_shown(fold)}: {error}"
        return ""

    def _tell(self, event: str, fold: Fold, **fields: Any) -> None:
        named = {"round": self.files.number, "variant": self.files.variant, "fold": _shown(fold)}
        self._progress(event, **named, folds=self.folds.folds, **fields)

    def _reason(self, fold: Fold, outcome: Outcome, status: str) -> str:
        where = f"fold {_shown(fold)}"
        if status == "timeout":
            return f"{where} did not end within the {self._seconds:.0f} s that all folds have together"
        if status == "memory":
            return f"{where} took more memory than it may ({outcome.peak_mb:.0f} MB at its peak)"
        if status in ("disk", "processes"):
            return f"{where} went over its limit of {status}"
        if status == "lost":
            return f"{where} was ended from outside twice"
        last = next((line for line in reversed(outcome.log.splitlines()) if line.strip()), "it printed nothing")
        return f"{where} ended with exit status {outcome.returncode}: {last.strip()[:300]}"


def evenly(jobs: int, cores: int) -> int:
    """How many at a time keep all cores busy to the end: more than there are where an odd one would be left over.

    Five jobs on two cores: three that share them, then two, which take 2.5 times one's time and not 3.
    """
    if jobs <= cores:
        return max(1, jobs)
    return next(count for count in range(cores, jobs + 1) if jobs % count == 0 or jobs % count >= cores)


def _share(machine: Machine | None, experiments: int) -> Machine | None:
    """Rounded up: what is too much waits on the machine for those that end before it."""
    return None if machine is None else replace(machine, at_a_time=ceil(machine.at_a_time / experiments))


def _memory_mb(config: Config) -> int:
    """For all folds of an experiment together."""
    if config.execution.memory_gb is not None:
        return int(config.execution.memory_gb * 1024)
    import psutil

    return int(psutil.virtual_memory().available * _MEMORY_SHARE / 2**20)


def _shown(fold: Fold) -> int | str:
    return fold + 1 if isinstance(fold, int) else fold
