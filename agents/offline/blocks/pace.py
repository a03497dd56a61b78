"""How fast a model learns, and where: on a GPU where there is one and it is faster, else on the processor."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from agents.offline.blocks.core import Clock, Data

USUAL_ROUNDS = 15.0  # times one over the learning rate: what most fits need
LEAST_ROUNDS = 20  # whatever the clock says: fewer are no model
LARGE = 1_000_000  # cells of a table: below, neither a second thread nor a GPU has enough to do
GPU_STARTS = 20.0  # seconds: with less left a GPU is not tried, since its first fit loads the driver and the table
QUICKEST_ROUND = 0.001  # seconds, on a GPU: less is noise of the measurement

# fit(training rows, rows for early stopping or None, most rounds, seed, clock, factor of the learning rate)
# → (predictions of apply rows, rounds)
Fit = Callable[[np.ndarray, np.ndarray | None, int, int, Clock, float], tuple[np.ndarray, int]]
# the same behind "on the GPU?"; raises whatever the library raises where there is none
PlacedFit = Callable[[bool, np.ndarray, np.ndarray | None, int, int, Clock, float], tuple[np.ndarray, int]]


def pace(every: np.ndarray, clock: Clock, fit: Fit) -> tuple[float, float]:
    """Seconds that a fit takes to begin and end, and seconds of a round."""
    seconds: list[float] = []
    for rounds in (4, 16):
        before = clock.left()
        fit(every, None, rounds, 0, clock, 1.0)
        seconds.append(before - clock.left())
    a_round = max(0.0, seconds[1] - seconds[0]) / 12
    return max(0.0, seconds[0] - 4 * a_round), a_round


class Place:
    """GPU or processor for all fits of one model: measured before the first, given up at the GPU's first failure."""

    def __init__(self, data: Data, cells: int) -> None:
        self.on_gpu = False
        self.decided = int(data.task.get("gpus") or 0) < 1 or cells < LARGE
        self.a_round = 0.0  # seconds, on the GPU

    def bind(self, fit: PlacedFit, every: np.ndarray, rate: float, clock: Clock) -> Fit:
        """The fit where it is faster. CatBoost takes no callbacks on a GPU, so its rounds are bound by their pace."""
        if not self.decided and clock.left() > GPU_STARTS:
            self.decide(fit, every, USUAL_ROUNDS / rate, clock)

        def placed(
            rows: np.ndarray, out: np.ndarray | None, most: int, bag: int, own: Clock, faster: float
        ) -> tuple[np.ndarray, int]:
            if self.on_gpu:
                in_time = int(0.9 * own.left() / max(self.a_round, QUICKEST_ROUND))
                try:
                    return fit(True, rows, out, min(most, max(LEAST_ROUNDS, in_time)), bag, own, faster)
                except Exception as error:
                    self.give_up(error)
            return fit(False, rows, out, most, bag, own, faster)

        return placed

    def decide(self, fit: PlacedFit, every: np.ndarray, rounds: float, clock: Clock) -> None:
        """Time short fits on both; the GPU's very first one, which starts it, does not count."""
        try:
            fit(True, every, None, 1, 0, clock, 1.0)
            start, self.a_round = pace(every, clock, partial(fit, True))
        except Exception as error:
            self.give_up(error)
            return
        gpu = start + rounds * self.a_round
        start, a_round = pace(every, clock, partial(fit, False))
        processor = start + rounds * a_round
        self.decided, self.on_gpu = True, gpu < processor
        where = "the GPU" if self.on_gpu else "the processor"
        print(f"a fit takes about {gpu:.1f} s on the GPU, {processor:.1f} s without: on {where}", flush=True)

    def give_up(self, error: Exception) -> None:
        self.decided, self.on_gpu = True, False
        why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        print(f"the GPU does not serve ({why}): on the processor", flush=True)
