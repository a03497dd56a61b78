"""Which folds run at once: fold 1 alone where it is a gate, else as many as keep the cores busy; never on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.execution.gpus import Gpus
from orchestrator.execution.local import LocalExecutor
from orchestrator.referee.runner import evenly
from tests.referee.conftest import GOOD, Stand

NO_GPUS = Gpus()


def play(stand: Stand, cores: int, number: int, gpus: Gpus = NO_GPUS, script: str = GOOD, **how: Any) -> int:
    """How many folds of a round had begun when the first one was done."""
    referee = stand.referee()
    assert stand.sandbox is not None
    referee.executor = LocalExecutor(stand.sandbox, cores, gpus)
    stand.events.clear()
    record = stand.run(script, number, referee=referee, **how)
    assert record["status"] == "ok" and len(record["fold_seconds"]) == 3, record
    return [event for event, _ in stand.events if event.startswith("fold_")].index("fold_done")


def test_folds_begin_together_where_nothing_gates_and_it_saves_time(make_stand: Callable[..., Stand]) -> None:
    stand = make_stand(execution__memory_gb=8.0)
    assert play(stand, 4, 1) == 3
    assert play(stand, 4, 2, best=1) == 1
    assert play(stand, 4, 3, best=1, role="blend") == 3


def test_fold_1_begins_alone_where_memory_is_short_or_there_is_one_core(make_stand: Callable[..., Stand]) -> None:
    assert play(make_stand(execution__memory_gb=1.2), 4, 1) == 1
    assert play(make_stand(execution__memory_gb=8.0), 1, 1) == 1


def test_an_odd_fold_shares_the_cores_of_others(make_stand: Callable[..., Stand]) -> None:
    assert play(make_stand(execution__memory_gb=8.0), 2, 1) == 3


@pytest.mark.parametrize("cores", range(1, 9))
@pytest.mark.parametrize("jobs", range(1, 12))
def test_no_core_is_idle_while_jobs_are_left_unless_they_are_fewer(jobs: int, cores: int) -> None:
    at_once = evenly(jobs, cores)
    waves = [min(at_once, jobs - begun) for begun in range(0, jobs, at_once)]
    assert sum(waves) == jobs
    assert all(wave >= min(jobs, cores) for wave in waves)
    assert at_once <= max(jobs, 1) and at_once < 2 * cores + 1


def test_folds_that_share_gpus_run_one_after_the_other_and_are_told_how_many(make_stand: Callable[..., Stand]) -> None:
    stand = make_stand(execution__memory_gb=8.0)
    card = stand.root / "nvidia0"
    card.write_text("a stand-in")
    told = GOOD + 'assert (task["gpus"], task["cores"]) == (2, 4) and os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"\n'
    assert play(stand, 4, 1, Gpus((card,), ("0", "1")), told) == 1
    kinds = [event for event, _ in stand.events if event.startswith("fold_")]
    assert kinds == ["fold_start", "fold_done"] + ["fold_start"] * 2 + ["fold_done"] * 2
    assert (
        play(stand, 4, 2, script=GOOD + 'assert task["gpus"] == 0 and "CUDA_VISIBLE_DEVICES" not in os.environ\n') == 3
    )
