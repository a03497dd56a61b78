"""Where boosters learn: on this machine, which has no GPU, and on one that a fit pretends by what it costs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.offline.blocks.boosters import catboost_model, xgboost_model
from agents.offline.blocks.core import Clock, Data
from agents.offline.blocks.pace import LARGE, LEAST_ROUNDS, Place, pace
from agents.offline.catalogue import BY_NAME
from agents.offline.render import render

ROWS = np.arange(10)
Call = tuple[bool, int]


def data_of(gpus: int, rows: int = 4, columns: int = 1) -> Data:
    rng = np.random.default_rng(0)
    task = {"task": "regression", "metric": "rmse", "target_columns": ["y"], "cores": 1, "gpus": gpus}
    data = Data(task, Path(), 1, (rows, 0, 5), np.zeros(rows), Clock(600.0))
    data.numbers = {f"x{i}": rng.normal(size=rows + 5).astype(np.float32) for i in range(columns)}
    data.y = data.numbers["x0"][:rows] + 0.1 * rng.normal(size=rows)
    return data


class Machine:
    """A fit that spends its clock as told: seconds to start and of a round, on the processor and on the GPU."""

    def __init__(
        self, processor: tuple[float, float], gpu: tuple[float, float], breaks_after: float = math.inf
    ) -> None:
        self.seconds = {False: processor, True: gpu}
        self.breaks_after, self.calls = breaks_after, list[Call]()

    def fit(
        self, gpu: bool, rows: np.ndarray, out: np.ndarray | None, most: int, bag: int, own: Clock, faster: float
    ) -> tuple[np.ndarray, int]:
        self.calls.append((gpu, most))
        if gpu and sum(on_gpu for on_gpu, _ in self.calls) > self.breaks_after:
            raise MemoryError("out of memory on the device")
        start, a_round = self.seconds[gpu]
        own.end -= start + most * a_round
        return np.full(2, float(gpu)), most


def placed(machine: Machine, seconds: float = 600.0, gpus: int = 1, cells: int = LARGE) -> list[Call]:
    """Trial fits and then one whole fit of at most 2,000 rounds."""
    clock = Clock(seconds)
    fit = Place(data_of(gpus), cells).bind(machine.fit, ROWS, 0.05, clock)
    fit(ROWS, None, 2000, 0, clock, 1.0)
    return machine.calls


QUICK_GPU = ((0.1, 0.2), (2.0, 0.01))
TRIALS = [(True, 1), (True, 4), (True, 16), (False, 4), (False, 16)]


def test_the_faster_one_is_measured_and_taken(capsys: pytest.CaptureFixture[str]) -> None:
    assert placed(Machine(*QUICK_GPU)) == [*TRIALS, (True, 2000)]
    assert "5.0 s on the GPU, 60.1 s without: on the GPU" in capsys.readouterr().out
    assert placed(Machine((0.1, 0.01), (9.0, 0.005))) == [*TRIALS, (False, 2000)]
    assert "on the processor" in capsys.readouterr().out


@pytest.mark.parametrize("how", [{"gpus": 0}, {"cells": LARGE - 1}, {"seconds": 20.0}])
def test_no_gpu_is_tried_where_there_is_none_or_it_can_not_pay(how: dict[str, Any]) -> None:
    assert placed(Machine(*QUICK_GPU), **how) == [(False, 2000)]


@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_a_gpu_that_fails_is_given_up_with_one_line(capsys: pytest.CaptureFixture[str], after: int) -> None:
    calls = placed(Machine(*QUICK_GPU, breaks_after=after))
    assert calls[-1] == (False, 2000) and [gpu for gpu, _ in calls].count(True) == after + 1
    lines = [line for line in capsys.readouterr().out.splitlines() if "does not serve" in line]
    assert lines == ["the GPU does not serve (MemoryError: out of memory on the device): on the processor"]


def test_rounds_on_a_gpu_end_with_the_clock() -> None:
    (*_, (gpu, rounds)) = placed(Machine((0.1, 1.0), (2.0, 0.1)), seconds=100.0)
    left = 0.8 * 100.0 - 3 * 2.0 - 21 * 0.1 - 2 * 0.1 - 20 * 1.0
    assert gpu and rounds == pytest.approx(0.9 * left / 0.1, rel=0.05)
    (*_, (gpu, rounds)) = placed(Machine((0.1, 2.0), (0.0, 1.0)), seconds=80.0)
    assert gpu and rounds == LEAST_ROUNDS


def test_the_pace_of_a_fit() -> None:
    clock = Clock(600.0)
    machine = Machine((3.0, 0.5), (0.0, 0.0))
    start, a_round = pace(ROWS, clock, lambda *words: machine.fit(False, *words))
    assert (start, a_round) == (pytest.approx(3.0, abs=0.05), pytest.approx(0.5, abs=0.01))


@pytest.mark.filterwarnings("ignore")  # as scripts do
@pytest.mark.parametrize(("name", "model"), [("xgboost_encoded", xgboost_model), ("catboost_native", catboost_model)])
def test_where_the_gpu_is_only_claimed_predictions_are_those_of_the_processor(
    capsys: pytest.CaptureFixture[str], name: str, model: Any
) -> None:
    columns = 40
    rows = LARGE // columns
    params = {**BY_NAME[name].params, "rounds": 8, "bags": 1}
    plain = model(data_of(0, rows, columns), params)
    assert "GPU" not in capsys.readouterr().out
    assert np.array_equal(plain, model(data_of(1, rows, columns), params))
    assert "the GPU does not serve (" in capsys.readouterr().out


def test_only_scripts_that_may_use_a_gpu_carry_its_code() -> None:
    names = ("xgboost_encoded", "catboost_native", "lightgbm_default")
    texts = {name: render(BY_NAME[name], {}, {}, title="t", hypothesis="h", seed=1) for name in names}
    assert ["class Place" in text for text in texts.values()] == [True, True, False]
    for name, text in texts.items():
        compile(text, name, "exec")
