"""What the rows with labels are split by: the labels, groups, times, and runs of time."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.competitions.infer_columns import parse_dates
from orchestrator.competitions.time_blocks import parse_pair, time_blocks
from orchestrator.config import CompetitionSection, Config
from orchestrator.errors import BadInput
from orchestrator.referee.folds import assign
from orchestrator.referee.labels import encode
from orchestrator.referee.some_rows import some_rows

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray[Any, Any]
_SPANS = 1000
"""Of time in all of train: with five folds some twenty in each, where there are so many moments."""
_NO_DATES = "competition.time_column {!r} can't be read as dates: write them as 2020-12-31"


@dataclass(frozen=True)
class LabelledRows:
    """Arrays as long as the training table, as `labels.encode` and `folds.assign` have them; None: there are none.

    `runs` stay together, in the folds (blocks) or where errors are resampled (time).
    """

    y: Array
    groups: Array | None
    times: Array | None
    runs: Array | None
    stretch: float = 0.0
    """How far test goes on behind the last of `times`, in their unit; 0 where it does not or this is not known."""

    def at(self, kept: Array) -> LabelledRows:
        """Those rows alone."""
        groups, times, runs = (None if a is None else a[kept] for a in (self.groups, self.times, self.runs))
        return LabelledRows(self.y[kept], groups, times, runs, self.stretch)

    def choose(self, most: int, config: Config) -> Array:
        """Which of them stay where there are more than `most` (`some_rows`)."""
        cv = config.cv
        groups = self.groups if cv.strategy == "group" else None
        times = self.times if cv.strategy == "time" else None
        task = config.competition.task
        return some_rows(most, self.y, task=task, folds=cv.count, seed=cv.seed, groups=groups, times=times)

    def assign(self, config: Config) -> Array:
        """The fold of each."""
        cv, by = config.cv, {"groups": self.groups, "times": self.times, "runs": self.runs}
        task = config.competition.task
        return assign(cv.strategy, cv.count, cv.seed, self.y, task=task, stretch=self.stretch, **by)


def labelled_rows(train: pd.DataFrame, test: pd.DataFrame, config: Config) -> LabelledRows:
    """Read from the tables. Raises BadInput for labels or times that can't be read."""
    spec = config.competition
    y = encode(train, spec)
    groups = _codes(train[spec.group_column]) if spec.group_column in train.columns else None
    times, test_times = _times(train, test, spec)
    runs = None
    if config.cv.strategy == "blocks" and times is not None and test_times is not None:
        runs = time_blocks(times, test_times)
    if config.cv.strategy == "time" and times is not None:
        runs = _spans(times)
    stretch = 0.0 if times is None or test_times is None else float(test_times.max() - times.max())
    return LabelledRows(y, groups, times, runs, max(0.0, stretch))


def _spans(times: Array) -> Array:
    """Numbers of spans of time of about as many rows each, equal times together: what happens then goes alike."""
    order = np.sort(times)
    found: Array = np.searchsorted(order, times) * _SPANS // len(times)
    return np.asarray(np.unique(found, return_inverse=True)[1])


def _codes(column: pd.Series) -> Array:
    """Group codes; a row without a group is a group of its own."""
    import pandas as pd

    codes = pd.factorize(column)[0].astype(np.int64)
    holes = codes < 0
    codes[holes] = codes.max(initial=-1) + 1 + np.arange(int(holes.sum()))
    return codes


def _times(train: pd.DataFrame, test: pd.DataFrame, spec: CompetitionSection) -> tuple[Array | None, Array | None]:
    """Sortable numbers of train's and test's rows: the time column's own, or its dates; holes are the earliest time.

    None for a table that lacks them. Raises BadInput when train's can't be read.
    """
    import pandas as pd

    name = spec.time_column
    if name not in train.columns:
        return None, None
    left, right = train[name], test[name] if name in test.columns else train[name].iloc[:0]
    numeric = pd.api.types.is_numeric_dtype(left)
    if not numeric:
        left, right = _dates(left, right)
    if left.isna().all():
        raise BadInput(_NO_DATES.format(name))
    usable = right.notna().any() and pd.api.types.is_numeric_dtype(right) == numeric
    return _sortable(left), _sortable(right) if usable else None


def _sortable(times: pd.Series) -> Array:
    numbers: Array = times.fillna(times.min()).to_numpy()
    return numbers.astype(np.int64) if numbers.dtype.kind == "M" else numbers


def _dates(train: pd.Series, test: pd.Series) -> tuple[pd.Series, pd.Series]:
    """As inference reads them, else as pandas does one by one ("Dec-2015"); if need be without test's."""
    for read, others in product((parse_dates, _one_by_one), (test, test[:0])):
        pair = parse_pair(train, others, read)
        if pair is not None:
            return pair
    raise BadInput(_NO_DATES.format(train.name))


def _one_by_one(texts: pd.Series) -> pd.Series | None:
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of forms that pandas may not read some day
        try:
            moments = pd.to_datetime(texts, format="mixed", utc=True)
        except (ValueError, TypeError, OverflowError):
            return None
    naive: pd.Series = moments.dt.tz_localize(None)
    return naive
