"""Strategies side by side give what they give one after the other, and end together when one of them can't go on."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import Stopped
from orchestrator.execution.jobs import Job, Machine, Outcome, together
from orchestrator.execution.local import LocalExecutor
from orchestrator.files import read_json
from orchestrator.referee.company import Company
from tests.kill import harness
from tests.playing import Played, Script

OnDone = Callable[[Job, Outcome], None]
SAME = (
    "status",
    "verdict",
    "reason",
    "cv",
    "se",
    "fold_scores",
    "gain",
    "probability",
    "against",
    "hashes",
    "correlations",
)
SLOW = "import time\ntime.sleep(60)\n"


class Elsewhere:
    """Runs jobs here as if on other machines. `meeting` hears of each strategy when its first fold begins."""

    machine = Machine(1, 500, 4, side_by_side=True)
    cores, gpus = 1, 0

    def __init__(self, here: LocalExecutor, meeting: Callable[[str], Outcome | None]) -> None:
        self.here, self.sandbox, self.level = here, here.sandbox, here.level
        self._meeting, self._met = meeting, set[str]()

    def run(self, jobs: Sequence[Job], parallel: int, on_done: OnDone, *, cancel: threading.Event) -> list[Outcome]:
        assert parallel <= 2, "two experiments share four places"
        strategy = jobs[0].name.partition("/")[0]
        if strategy not in self._met:
            self._met.add(strategy)
            if (outcome := self._meeting(strategy)) is not None:
                on_done(jobs[0], outcome)
        return LocalExecutor(self.sandbox, 2).run(jobs, parallel, on_done, cancel=cancel)


def prepare(folder: Path, rounds: int, *scripts: str) -> Script:
    """Rounds of as many strategies as there are scripts; a first script that fails is healed."""
    script = Script(folder, rounds, parallel_strategies=len(scripts))
    for number in range(1, rounds + 1):
        label = f"R{number:02d}"
        strategies = [
            {"family": "constant", "recipe": f"number {variant}", "hypothesis": "h", "expected_gain": 0.1}
            for variant in range(1, len(scripts) + 1)
        ]
        plan = f"```json\n{json.dumps({'strategies': strategies})}\n```"
        script.turns[f"{label}/plan"] = [{"files": {"plan.md": plan}}]
        for variant, source in enumerate(scripts, 1):
            script.turns[f"{label}/build/v{variant}"] = [turn(source)]
            script.turns[f"{label}/build/v{variant}/try2"] = [turn(constant(3.0 / number))]
    return script


def turn(source: str) -> dict[str, Any]:
    return {"files": {"experiment.py": source}, "call": ["run_experiment"], "reply": "CV_SCORE={results[0][cv]}"}


def constant(value: float) -> str:
    return harness.EXPERIMENT.replace("PREDICTION", str(value))


def records(played: Played) -> dict[str, Any]:
    """What does not depend on the machine."""
    found = {path.name: read_json(path) for path in sorted((played.folder / "rounds").glob("R*_scores.json"))}
    return {name: {key: record[key] for key in SAME} for name, record in found.items()}


def test_side_by_side_gives_what_one_after_the_other_gives(tmp_path: Path) -> None:
    scripts = ("raise ValueError('boom')", constant(1.0))
    alone = prepare(tmp_path / "alone", 2, *scripts).play()
    assert len(records(alone)) == 6 and {record["status"] for record in records(alone).values()} == {"ok", "gated"}
    barrier = threading.Barrier(2)

    def meet(strategy: str) -> None:
        barrier.wait(30)

    script = prepare(tmp_path / "beside", 2, *scripts)
    beside = script.play(executor=lambda here: Elsewhere(here, meet))
    assert records(beside) == records(alone)
    assert [entry["variant"] for entry in beside.entries] == [entry["variant"] for entry in alone.entries]
    sent = [[item["csv_sha256"] for item in harness.submissions(tmp_path / name)] for name in ("alone", "beside")]
    assert sent[0] == sent[1] != []


def test_a_strategy_that_has_its_record_does_not_run_again(tmp_path: Path) -> None:
    script = prepare(tmp_path, 1, constant(2.0), constant(1.0))
    script.play()
    for name in ("result", "v2_scores"):
        (tmp_path / f"rounds/R01_{name}.json").unlink()
    (tmp_path / "rounds/R01_phases.json").unlink()
    ran: list[str] = []
    played = script.play(executor=lambda here: Elsewhere(here, ran.append))
    assert ran == ["R01_v2"]
    assert played.statuses == ["keep"]


def test_a_fatal_error_of_one_strategy_ends_the_others_and_leaves_no_record(tmp_path: Path) -> None:
    script = prepare(tmp_path, 1, constant(2.0), SLOW + constant(1.0))
    other_began = threading.Event()

    def full(strategy: str) -> Outcome | None:
        if strategy == "R01_v2":
            threading.Timer(1.0, other_began.set).start()
            return None
        assert other_began.wait(30)
        return Outcome("nospace", None, 0.0, 0.0, "", "the disk is full")

    began = time.monotonic()
    played = script.play(executor=lambda here: Elsewhere(here, full))
    assert played.why == "fatal: the disk is full: make room and run the same command again"
    assert time.monotonic() - began < 30
    assert not list((tmp_path / "rounds").glob("R01*_scores.json"))
    assert not list((tmp_path / ".work").glob("R01*"))
    script.turns["R01/build/v2"] = [turn(constant(1.0))]
    again = script.play(executor=lambda here: Elsewhere(here, lambda strategy: None))
    assert again.statuses == ["keep"] and again.entries[0]["variant"] == 2


def test_a_second_ctrl_c_ends_all_strategies(tmp_path: Path) -> None:
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("only the main thread hears signals")
    script = prepare(tmp_path, 1, SLOW, SLOW)

    def interrupt(strategy: str) -> None:
        if strategy == "R01_v2":
            for seconds in (1.0, 2.0):
                threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)).start()

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        script.play(executor=lambda here: Elsewhere(here, interrupt))
    assert time.monotonic() - began < 30
    assert not list((tmp_path / "rounds").glob("R01*_scores.json"))


def test_one_thread_at_a_time_is_at_work() -> None:
    company, at_work, waiting = Company(3), [0], threading.Barrier(3)

    def play() -> int:
        with company.turn():
            with company.away():
                waiting.wait(10)  # all three at once
            at_work[0] += 1
            time.sleep(0.02)
            seen, at_work[0] = at_work[0], at_work[0] - 1
            return seen

    with ThreadPoolExecutor(3) as pool:
        assert [future.result() for future in [pool.submit(play) for _ in range(3)]] == [1, 1, 1]
    company.end()
    with pytest.raises(Stopped), company.turn():
        pass
    assert company.stop_of_one().is_set()


def test_what_can_not_run_side_by_side_does_not() -> None:
    assert together(None, 3) == 1
    assert together(Machine(4, 500, 5), 3) == 1
    assert together(Machine(4, 500, 1, side_by_side=True), 3) == 1
    assert together(Machine(4, 500, 2, side_by_side=True), 3) == 2
