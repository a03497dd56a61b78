"""The executor: order, overlap, and prompt endings for everybody."""

import signal
import threading
import time
from collections.abc import Callable

import pytest

from orchestrator.execution.jobs import Job, Outcome, Sandbox
from orchestrator.execution.local import LocalExecutor
from tests.execution.conftest import alive, sandbox_or_skip

MakeJob = Callable[..., Job]
SLEEPER = "import time\nprint('started', flush=True)\ntime.sleep(60)"


@pytest.fixture
def bare() -> Sandbox:
    return sandbox_or_skip("none")


def test_outcomes_come_in_the_order_of_the_jobs(sandbox: Sandbox, make_job: MakeJob) -> None:
    jobs = [make_job(f"import time\ntime.sleep({0.4 if i == 0 else 0})\nprint({i})") for i in range(3)]
    done: list[str] = []
    executor = LocalExecutor(sandbox, cores=2)
    outcomes = executor.run(jobs, 2, lambda job, outcome: done.append(outcome.log.strip()))
    assert [outcome.log for outcome in outcomes] == ["0\n", "1\n", "2\n"]
    assert sorted(done) == ["0", "1", "2"]
    assert executor.level == sandbox.level


def test_an_error_in_the_callers_hands_ends_the_others(sandbox: Sandbox, make_job: MakeJob) -> None:
    jobs = [make_job("print(1)"), make_job(SLEEPER), make_job(SLEEPER)]

    def fail(job: Job, outcome: Outcome) -> None:
        raise RuntimeError(f"{job.name} is not welcome")

    began = time.monotonic()
    with pytest.raises(RuntimeError, match="not welcome"):
        LocalExecutor(sandbox, cores=2).run(jobs, 2, fail)
    assert time.monotonic() - began < 5
    assert not any(alive(job.script.name) for job in jobs)


def test_ctrl_c_ends_every_tree(bare: Sandbox, make_job: MakeJob) -> None:
    jobs = [make_job(SLEEPER), make_job(SLEEPER)]
    timer = threading.Timer(0.5, signal.raise_signal, [signal.SIGINT])
    began = time.monotonic()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            timer.start()
            LocalExecutor(bare, cores=2).run(jobs, 2)
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - began < 5
    assert not any(alive(job.script.name) for job in jobs)


def test_cancelled_jobs_are_lost_not_failed(bare: Sandbox, make_job: MakeJob) -> None:
    cancel = threading.Event()
    threading.Timer(0.3, cancel.set).start()
    outcomes = LocalExecutor(bare, cores=1).run([make_job(SLEEPER), make_job(SLEEPER)], 1, cancel=cancel)
    assert [(outcome.status, outcome.returncode) for outcome in outcomes] == [("lost", None)] * 2
