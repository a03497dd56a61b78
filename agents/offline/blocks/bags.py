"""Bags of a booster in its time: inner early stopping, haste where time is scarce, a refit on all rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from agents.offline.blocks.core import Clock, Data, holdout
from agents.offline.blocks.goals import Goal
from agents.offline.blocks.pace import USUAL_ROUNDS, Fit, pace

SCARCE = 120.0  # seconds
TOO_SCARCE = 0.3  # to find out how long a round takes
FASTEST = 5.0
FAST = 2.0  # for the learning rate alone, where there are
ENOUGH = 50_000  # rows, so that a part of them teaches more in the time than a few large steps on all
CUT = 0.15  # of its time left: with less a fit did not stop by itself
WORTH_IT = 1.3  # a fit that lacks its last quarter is nearly whole


def learning_rate(params: dict[str, Any], n: int) -> float:
    return float(params.get("learning_rate") or (0.04 if n < 5000 else 0.05 if n < 200_000 else 0.1))


def boost(data: Data, goal: Goal, params: dict[str, Any], clock: Clock, fit: Fit) -> np.ndarray:
    """The mean of a few models, each stopped early on its own part of the rows; with "refit" one more learns from all.

    A mean of two models, each on nine tenths of the rows, beats one refit on all of them in the same time.
    """
    n = len(goal.rows)
    bags = int(params.get("bags") or (4 if n < 5000 else 2))
    every, most = np.arange(n), int(params["rounds"])
    rate = learning_rate(params, n)
    faster, share = haste(data, every, usual_rounds(data, params, rate), clock, fit)
    total, done, started, most_needed = np.zeros(0), 0, clock.left(), 0.0
    for bag in range(bags):
        out = holdout(data, 5 if n < 5000 else 10, bag)[goal.rows]
        if goal.kind != "value":  # a model that lacks a class has no column for it
            out = out & np.isin(goal.y, goal.y[~out])
        usable = 0 < out.sum() < n
        inside = some_of(goal, every[~out] if usable else every, share, data.seed + bag)
        own = Clock(1.25 * max(0.45, 0.9 / (bags - bag)) * clock.left())
        given = own.left()
        part, rounds = fit(inside, every[out] if usable else None, most, bag, own, faster)
        total, done = part + (total if done else 0.0), done + 1
        cut = not usable or own.left() < CUT * given
        most_needed = max(most_needed, rounds * faster * rate, USUAL_ROUNDS if cut else 0.0)
        print(f"bag {bag}: {rounds} rounds, {started - clock.left():.1f} s", flush=True)
        short = clock.left() < 1.3 * (started - clock.left()) / done
        if short:
            break
    data.needed.append(most_needed)
    if params.get("refit") and not short:
        part, _ = fit(some_of(goal, every, share, data.seed), None, max(10, int(1.1 * rounds)), bags, clock, faster)
        return (total + bags * part) / (2 * bags)
    return total / done


def usual_rounds(data: Data, params: dict[str, Any], rate: float) -> float:
    """What a fit at leisure takes: what most do, or the slowest of the targets before, once there are two of them."""
    if len(data.needed) < 2:
        return USUAL_ROUNDS / rate
    return max(data.needed) / rate + int(params["patience"])


def haste(data: Data, every: np.ndarray, rounds: float, clock: Clock, fit: Fit) -> tuple[float, float]:
    """How many times as fast to learn, and from what share of the rows, where one at leisure takes `rounds`.

    So that one bag ends by itself in its time: one cut short is worth little.
    """
    n = len(every)
    if clock.left() > SCARCE + (n > ENOUGH) * SCARCE:
        return 1.0, 1.0
    if not data.paces:  # else as an earlier target had it
        if clock.left() < TOO_SCARCE:
            return FASTEST, min(1.0, ENOUGH / n)
        few = sample(every, ENOUGH / 2 / n, 0)
        data.paces += [seconds / len(few) for seconds in pace(few, clock, fit)]
    start, a_round = (seconds * n for seconds in data.paces)
    scarce = a_round * rounds / max(0.9 * clock.left() - start, 0.1)
    if scarce < WORTH_IT:
        return 1.0, 1.0
    faster = min(scarce, FAST if n > ENOUGH else FASTEST)
    share = min(1.0, max(ENOUGH / n, faster / scarce))
    print(
        f"a round takes {a_round:.3f} s: learning {faster:.1f} times as fast, from {share:.0%} of the rows", flush=True
    )
    return faster, share


def some_of(goal: Goal, rows: np.ndarray, share: float, seed: int) -> np.ndarray:
    """A share of the rows, or all where a class would be missing."""
    chosen = sample(rows, share, seed)
    whole = goal.kind == "value" or len(np.unique(goal.y[chosen])) == len(np.unique(goal.y[rows]))
    return chosen if whole else rows


def sample(rows: np.ndarray, share: float, seed: int) -> np.ndarray:
    """A random share of the rows, in their order."""
    if share >= 1:
        return rows
    chosen = np.random.default_rng(seed).random(len(rows)) < share
    return rows[chosen] if chosen.any() else rows
