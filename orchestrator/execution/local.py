"""Runs jobs side by side on this machine, each in its own sandbox."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from orchestrator.execution.jobs import Job, Outcome, Sandbox, Tick


class LocalExecutor:
    """`cores` is what all jobs together may keep busy: never more jobs than cores run at once."""

    def __init__(self, sandbox: Sandbox, cores: int) -> None:
        self.sandbox = sandbox
        self.cores = max(1, cores)

    @property
    def level(self) -> str:
        return self.sandbox.level

    def run(
        self,
        jobs: Sequence[Job],
        parallel: int,
        on_done: Callable[[Job, Outcome], None] | None = None,
        *,
        on_tick: Tick | None = None,
        cancel: threading.Event | None = None,
    ) -> list[Outcome]:
        """Outcomes in the order of `jobs`; at most `parallel` at a time, `on_done` in the caller's thread.

        When anything raises here or in a sandbox, Ctrl-C included, every tree is killed before it goes on up. With
        `cancel` set, running and waiting jobs end as "lost".
        """
        stop = _Either(cancel)
        pool = ThreadPoolExecutor(max(1, min(parallel, self.cores)), thread_name_prefix="experiment")
        futures: list[Future[Outcome]] = []
        try:
            futures = [pool.submit(self._one, job, on_tick, stop) for job in jobs]
            self._collect(jobs, futures, on_done)
            return [future.result() for future in futures]
        except BaseException:
            stop.set()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _one(self, job: Job, on_tick: Tick | None, stop: threading.Event) -> Outcome:
        if stop.is_set():
            return Outcome("lost", None, 0.0, 0.0, "")
        return self.sandbox.run(job, on_tick, stop)

    def _collect(
        self, jobs: Sequence[Job], futures: list[Future[Outcome]], on_done: Callable[[Job, Outcome], None] | None
    ) -> None:
        names = dict(zip(futures, jobs, strict=True))
        waiting: set[Future[Outcome]] = set(futures)
        while waiting:
            done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in done:
                outcome = future.result()
                if on_done is not None:
                    on_done(names[future], outcome)


class _Either(threading.Event):
    """Set when it is set itself, or when the caller's event is."""

    def __init__(self, other: threading.Event | None) -> None:
        super().__init__()
        self._other = other

    def is_set(self) -> bool:
        return super().is_set() or (self._other is not None and self._other.is_set())
