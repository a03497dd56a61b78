"""Runs jobs side by side on this machine, each in its own sandbox."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import replace

from orchestrator.execution.gpus import Gpus
from orchestrator.execution.jobs import Job, Machine, Outcome, Sandbox

_NO_GPUS = Gpus()


class LocalExecutor:
    """`cores` is what all jobs together may keep busy; jobs that are more at a time share them."""

    machine: Machine | None = None
    """Jobs share this machine."""

    def __init__(self, sandbox: Sandbox, cores: int, gpus: Gpus = _NO_GPUS) -> None:
        self.sandbox = sandbox
        self.cores = max(1, cores)
        self._gpus = gpus

    @property
    def gpus(self) -> int:
        """How many a job sees; all jobs see the same ones."""
        return len(self._gpus.names)

    def close(self) -> None:
        """Nothing stays between runs."""

    @property
    def here(self) -> LocalExecutor:
        """What runs jobs on this machine."""
        return self

    @property
    def level(self) -> str:
        return self.sandbox.level

    def run(
        self,
        jobs: Sequence[Job],
        parallel: int,
        on_done: Callable[[Job, Outcome], None] | None = None,
        *,
        cancel: threading.Event | None = None,
    ) -> list[Outcome]:
        """Outcomes in the order of `jobs`; at most `parallel` at a time, `on_done` in the caller's thread.

        With `cancel` set, running and waiting jobs end as "lost". When anything raises here or in a sandbox, Ctrl-C
        included, it is set, and every tree is killed before the error goes on up.
        """
        stop = cancel or threading.Event()

        def one(job: Job) -> Outcome:
            if stop.is_set():
                return Outcome("lost", None, 0.0, 0.0, "")
            if self._gpus.names:
                job = replace(job, env={**job.env, **self._gpus.environment}, devices=self._gpus.nodes)
            return self.sandbox.run(job, stop)

        pool = ThreadPoolExecutor(max(1, parallel), thread_name_prefix="experiment")
        try:
            futures = {pool.submit(one, job): job for job in jobs}
            waiting = set(futures)
            while waiting:  # in short waits, since a signal that another thread got does not end one
                done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in done:
                    outcome = future.result()
                    if on_done is not None:
                        on_done(futures[future], outcome)
            return [future.result() for future in futures]
        except BaseException:
            stop.set()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
