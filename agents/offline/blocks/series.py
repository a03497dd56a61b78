"""Series in time: what the target of a shop, a sensor or a product was lately, as far as that could be known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from agents.offline.blocks.core import Data
from agents.offline.blocks.goals import goals

UNITS = {
    "month": 30.4375,
    "date_block": 30.4375,
    "week": 7.0,
    "day": 1.0,
    "hour": 1 / 24,
    "quarter": 91.3,
    "year": 365.25,
}
WINDOWS = (7, 28, 91, 364)  # days
WEEKS = 56  # days over which the same hour of the same weekday is averaged
YEAR = 364  # days: the same weekday
ROOM = 1000.0  # days between the ends of two series on one line, more than any window
MOST_SERIES_GOALS = 12
ASKED_ROWS = 100_000  # latest ones, by which the columns that name a series are found
EDGE = 1e-3  # of a stretch
ALONE = 0.9  # share of the rows that are their series' only one at a moment


def recent_levels(data: Data, option: Any) -> None:
    """Means of the target of a row's series: of the last days, of this weekday and hour, of a year ago.

    Only where the folds go on in time. A training row is told what a row of test is: what was known when a stretch as
    long as test's began, so that the label of no row that is as late as itself is looked at.
    """
    days = days_of(data)
    if days is None:
        return
    stretch = stretch_of(data, days)
    found = series_of(data, days) if stretch > 0 else None
    if found is None:
        return
    (series, _), n = found, data.n_train
    end = days[:n].max()
    # a row on an edge belongs to the earlier stretch however the division is rounded, or it is told its own label
    behind = np.maximum(np.floor((end - days) / stretch + EDGE), -1.0)
    cut = end - (behind + 1 - EDGE / 2) * stretch
    slot = series * 168 + np.floor(days * 24 + 1e-6).astype(np.int64) % 168
    data.numbers["series.ahead"] = days - cut
    line, slots, every = Line(series, days), Line(slot, days), Line(np.zeros_like(series), days)
    for number, goal in enumerate([goal for goal in goals(data) if goal.kind != "multiclass"][:MOST_SERIES_GOALS]):
        line.put(goal.rows, goal.y)
        slots.put(goal.rows, goal.y)
        every.put(goal.rows, goal.y)
        made = {f"{window}d": line.mean(cut - window, cut) for window in WINDOWS}
        made["slot"] = slots.mean(cut - WEEKS, cut)
        made["year"] = line.mean(days - YEAR - 3.5, np.minimum(cut, days - YEAR + 3.5))
        told = {f"series.{part}{number}": values for part, values in made.items() if np.isfinite(values[:n]).any()}
        data.numbers |= told
        data.learned |= set(told)
        level = np.full(len(days), goal.y.mean())
        made["every"] = every.mean(cut - 91, cut)  # a new series is like the others
        for part in ("every", "364d", "91d", "28d", "slot"):
            level = np.where(np.isfinite(made[part]), made[part], level)
        data.levels.append(level)


def days_of(data: Data) -> np.ndarray | None:
    """Days since the first Monday before the first moment, of every row; None unless folds go on in time.

    Numbers of years, months, weeks, days or hours are taken for that by their name.
    """
    name = str(data.task.get("time_column"))
    moments, numbers, unit = data.dates.get(name), data.numbers.get(name), unit_of(name)
    if data.task.get("cv_strategy") != "time":
        return None
    if moments is None and numbers is not None and unit and np.isfinite(numbers).all():
        return np.asarray((numbers - numbers.min()) * unit)
    if moments is None or moments.isna().any():
        return None
    first = moments.min().normalize()
    first -= pd.Timedelta(days=first.weekday())
    return ((moments - first).dt.total_seconds() / 86400).to_numpy(dtype=float)


def unit_of(name: str) -> float:
    """Days that a number of this name counts in; 0 where that is not known."""
    return next((days for word, days in UNITS.items() if word in name.lower()), 0.0)


def stretch_of(data: Data, days: np.ndarray) -> float:
    """Days from the last training row to the last one of valid, or without valid of test; 0 if none.

    At most a third of the time before, so that there is something to learn from.
    """
    n, valid, _ = data.sizes
    ahead = days[n : n + valid] if valid else days[n:]
    stretch = float(ahead.max() - days[:n].max()) if len(ahead) else 0.0
    return max(0.0, min(stretch, float(np.ptp(days[:n])) / 3))


def series_of(data: Data, days: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]] | None:
    """A number for each row's series, and the codes that name it: the fewest columns by which a row is alone in time.

    First those whose values are there at most moments, as shops and products are and prices are not.
    """
    n = data.n_train
    late = np.argsort(-days[:n], kind="stable")[:ASKED_ROWS]
    moments = pd.factorize(days[late])[0].astype(np.int64)
    named, series = names_of_series(data), np.zeros(len(days), dtype=np.int64)
    names: list[np.ndarray] = []
    alone, _ = alone_at(series[late], moments)
    while alone < ALONE and named:
        found = {name: alone_at(joined(series, codes)[late], moments) for name, codes in named.items()}
        better = [name for name in named if found[name][0] > 1.1 * alone and (name in data.cats or found[name][1])]
        if not better:
            return None
        best = max(better, key=lambda name: (found[name][1], found[name][0]))
        names.append(named.pop(best))
        alone, series = found[best][0], joined(series, names[-1])
    known = np.isin(series[n:], series[:n]).mean()
    return (series, names) if alone >= ALONE and known > 0.5 else None


def names_of_series(data: Data) -> dict[str, np.ndarray]:
    """Codes of the categories and whole numbers that repeat: of what a series' name may be made."""
    named = dict(data.cats)
    for name, values in data.numbers.items():
        if "." not in name and name not in named and np.isfinite(values).all() and (values == np.round(values)).all():
            named[name] = pd.factorize(values)[0]
    return {name: codes for name, codes in named.items() if codes.max() < data.n_train / 10}


def joined(series: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Numbers of the pairs."""
    return pd.factorize(series * (codes.max() + 2) + codes + 1)[0].astype(np.int64)


def alone_at(series: np.ndarray, moments: np.ndarray) -> tuple[float, bool]:
    """Pairs of series and moment as a share of the rows; whether a series is there at most moments."""
    pairs = len(np.unique(series * (moments.max() + 1) + moments))
    return pairs / len(moments), pairs > 0.5 * len(np.unique(series)) * (moments.max() + 1)


class Line:
    """Labels of all series one after the other in time, so that the mean between two moments is two look-ups."""

    def __init__(self, series: np.ndarray, days: np.ndarray) -> None:
        self.room = float(days.max()) + ROOM
        places = series * self.room + days
        self.order = np.argsort(places, kind="stable")  # look-ups one after the other are quick
        self.series, self.places = series[self.order], places

    def put(self, rows: np.ndarray, y: np.ndarray) -> None:
        """The labels of those rows."""
        order = np.argsort(self.places[rows], kind="stable")
        self.known, self.sums = self.places[rows][order], np.concatenate([[0.0], np.cumsum(y[order])])

    def mean(self, after: np.ndarray, until: np.ndarray) -> np.ndarray:
        """Of each row's series, the labels later than `after` and not later than `until`, in days; NaN without any."""
        ends = (self.series * self.room + np.maximum(when[self.order], -ROOM / 2) for when in (after, until))
        start, stop = (np.searchsorted(self.known, end, "right") for end in ends)
        found = np.empty(len(self.order))
        with np.errstate(all="ignore"):
            found[self.order] = np.where(stop > start, (self.sums[stop] - self.sums[start]) / (stop - start), np.nan)
        return found
