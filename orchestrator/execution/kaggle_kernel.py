"""Runs experiments on Kaggle's machines: each fold in a private kernel of its own, without internet, two at a time.

What holds there: the kernel's machine sees this fold's inputs and nothing else of the campaign, no key and no file of
this host; it has no internet. What the level "kernel" does not cover: inside that machine an experiment may read all
that Kaggle puts there, and use all its cores and memory. A session can't be cancelled from here: a run that is given
up ends by its own time limit.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from orchestrator.errors import CompetitionError, Stopped
from orchestrator.execution.jobs import Job, Machine, Outcome, Sandbox
from orchestrator.execution.kernel_facts import write_facts
from orchestrator.execution.kernel_inputs import Datasets
from orchestrator.execution.kernel_session import QuotaSpent, Session, Settings
from orchestrator.execution.kernel_site import KernelSite
from orchestrator.execution.local import LocalExecutor

AT_A_TIME = 2
"""Batch sessions with a GPU that Kaggle runs for one account."""
MACHINES = {"none": Machine(4, 30_000, AT_A_TIME), "NvidiaTeslaT4": Machine(4, 30_000, AT_A_TIME)}
"""As Kaggle describes them; the kernel itself puts the true count of cores into task.json."""
USUAL = Machine(4, 28_000, AT_A_TIME)
_SLICE_S = 0.5
_MEMORY_SHARE = 0.7


@dataclass(frozen=True)
class KernelPolicy:
    """What config.json says, and how the executor hears of the campaign's end."""

    accelerator: str = "NvidiaTeslaT4"
    when_quota_is_spent: Literal["local", "wait"] = "local"
    log_kb: int = 256
    stopping: Callable[[], bool] = lambda: False
    """Whether a person asked for a stop: a session goes on at Kaggle and is found again."""
    time_is_up: Callable[[], bool] = lambda: False
    """Whether the campaign's own time is over, which also ends a wait for Kaggle."""
    facts_file: Path | None = None
    """KAGGLE_API.md."""


class _Ended(Exception):
    """The caller wants no more of this job."""


class _TimeIsUp(Exception):
    """The campaign is over before this job is."""


class KaggleKernels:
    """The executor. `here` runs what must run on this machine, and everything while the quota is spent ("local")."""

    def __init__(self, site: KernelSite, here: LocalExecutor, policy: KernelPolicy) -> None:
        self.here, self.sandbox = here, here.sandbox
        self.machine = MACHINES.get(policy.accelerator, USUAL)
        self.cores = self.machine.cores
        self.gpus = 0  # a script there looks for itself, by task["accelerator"]
        self._site, self._policy = site, policy
        self._remote = _Remote(site, here.sandbox, here.cores, policy)
        self._write_facts()

    def close(self) -> None:
        """End the client's process; sessions at Kaggle go on."""
        self._site.client.close()

    @property
    def level(self) -> str:
        """ "kernel", or the level of this machine while experiments run here because the quota is spent."""
        return self.here.level if self._remote.is_here else "kernel"

    def run(
        self,
        jobs: Sequence[Job],
        parallel: int,
        on_done: Callable[[Job, Outcome], None] | None = None,
        *,
        cancel: threading.Event | None = None,
    ) -> list[Outcome]:
        """Like LocalExecutor.run; Outcome.seconds are the experiment's own, without the time in Kaggle's queue.

        Besides, raises Stopped as soon as a person asked for a stop, FatalEnding for what only a person can mend, and
        CompetitionError when Kaggle does not hold what was uploaded.
        """
        try:
            return LocalExecutor(self._remote, AT_A_TIME).run(jobs, parallel, on_done, cancel=cancel)
        finally:
            self.look_at_quota()

    def look_at_quota(self) -> None:
        """Bring KAGGLE_API.md up to date; when Kaggle does not tell the quota, the last figures stay."""
        try:
            quota = self._site.client.quota()
            self._site.note(
                quota={
                    "used_h": round(quota.gpu_used_h, 2),
                    "total_h": round(quota.gpu_total_h, 2),
                    "refresh": quota.refresh.isoformat(timespec="minutes") if quota.refresh else None,
                    "when": self._site.now().isoformat(timespec="minutes"),
                }
            )
        except CompetitionError as error:
            self._site.tell(f"Kaggle's quota is not known now: {error}", "warning")
        self._write_facts()

    def _write_facts(self) -> None:
        if self._policy.facts_file is not None:
            write_facts(self._policy.facts_file, self._policy.accelerator, AT_A_TIME, self._site.facts())


class _Remote:
    """A "sandbox" whose runs are kernel sessions, or runs of this machine once the quota is spent."""

    level = "kernel"

    def __init__(self, site: KernelSite, here: Sandbox, cores: int, policy: KernelPolicy) -> None:
        self._site, self._here, self._cores, self._policy = site, here, cores, policy
        self._datasets = Datasets(site)
        self._settings = Settings(policy.accelerator, policy.log_kb * 1024)
        self._one_here = threading.Lock()
        self._spent_until: datetime | None = None

    @property
    def is_here(self) -> bool:
        return self._spent_until is not None and self._site.now() < self._spent_until

    def warm_up(self) -> None:
        """Kernels start from nothing."""

    def run(self, job: Job, cancel: threading.Event | None = None) -> Outcome:
        stop = cancel or threading.Event()
        try:
            while not self.is_here:
                try:
                    return Session(self._datasets, self._settings, job, lambda s: self._pause(s, stop)).play()
                except QuotaSpent as spent:
                    self._note_spent(str(spent), stop)
            return self._run_here(job, stop)
        except _Ended:
            return Outcome("lost", None, 0.0, 0.0, "")
        except _TimeIsUp:
            return Outcome("timeout", None, 0.0, 0.0, "the campaign's time was up before Kaggle ran it\n")

    def _pause(self, seconds: float, stop: threading.Event) -> None:
        """Wait; raises _Ended once nobody wants the job, _TimeIsUp, and Stopped once a person asked for a stop."""
        end = time.monotonic() + seconds
        while True:
            if stop.is_set():
                raise _Ended
            if self._policy.stopping():
                raise Stopped
            if self._policy.time_is_up():
                raise _TimeIsUp
            if (left := end - time.monotonic()) <= 0:
                return
            stop.wait(min(left, _SLICE_S))

    def _note_spent(self, reason: str, stop: threading.Event) -> None:
        """Turn to this machine until the quota is renewed, or wait some of that time."""
        renewed = self._renewed()
        if self._policy.when_quota_is_spent == "local":
            self._site.tell(
                f"{reason} Experiments run on this machine until {renewed:%a %Y-%m-%d %H:%M} UTC", "warning"
            )
            self._spent_until = renewed
            return
        self._site.tell(f"{reason} The campaign waits; Kaggle renews it {renewed:%a %Y-%m-%d %H:%M} UTC", "warning")
        left = (renewed - self._site.now()).total_seconds()
        self._pause(max(min(left, self._site.pace.quota_s), self._site.pace.poll_s), stop)

    def _renewed(self) -> datetime:
        """When Kaggle says that the week begins anew, else the next Saturday at 00:00 UTC."""
        now = self._site.now()
        try:
            refresh = self._site.client.quota().refresh
        except CompetitionError:
            refresh = None
        if refresh is not None and refresh > now:
            return refresh
        days = (5 - now.weekday()) % 7 or 7
        return (now + timedelta(days=days)).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)

    def _run_here(self, job: Job, stop: threading.Event) -> Outcome:
        """One at a time, with what this machine has: folds must not meet where they could see each other."""
        import psutil

        with self._one_here, tempfile.TemporaryDirectory() as name:
            memory = int(psutil.virtual_memory().available * _MEMORY_SHARE / 2**20)
            memory = min(memory, job.limits.memory_mb)
            task = json.loads(job.inputs["task.json"].read_text())
            path = Path(name) / "task.json"
            path.write_text(json.dumps({**task, "cores": self._cores, "memory_mb": memory}, indent=1))
            limits = replace(job.limits, memory_mb=memory)
            inputs = {**job.inputs, "task.json": path}
            return self._here.run(replace(job, inputs=inputs, limits=limits, cores=self._cores), stop)
