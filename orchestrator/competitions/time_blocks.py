"""Moments of train and test; and where test lies between train in long runs, train cut into runs like test's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.competitions.infer_columns import parse_dates

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray[Any, Any]


def parse_pair(
    train: pd.Series, test: pd.Series, read: Callable[[pd.Series], pd.Series | None] = parse_dates
) -> tuple[pd.Series, pd.Series] | None:
    """Naive timestamps, in microseconds, of train's and test's texts; None unless nearly all of each are dates.

    They are read as one column, so that days and months are told apart alike.
    """
    import pandas as pd

    both = read(pd.concat([train, test], ignore_index=True))
    if both is not None:
        pair = both[: len(train)].set_axis(train.index), both[len(train) :].set_axis(test.index)
        if all(part.count() >= 0.95 * side.count() for part, side in zip(pair, (train, test), strict=True)):
            return pair[0].dt.as_unit("us"), pair[1].dt.as_unit("us")
    left, right = read(train), read(test)  # the few of one are written in another way
    return None if left is None or right is None else (left.dt.as_unit("us"), right.dt.as_unit("us"))


def alternates_in_blocks(times: Array, others: Array) -> bool:
    """Do the moments of train and test alternate in long runs? Those drawn at random alternate all the time."""
    is_test = _along_time(np.unique(times), np.unique(others))[1]
    share = float(is_test.mean())
    return int((np.diff(is_test) != 0).sum()) < 0.5 * 2 * share * (1 - share) * len(is_test)


def time_blocks(times: Array, others: Array) -> Array:
    """Integer codes (rows of train,): pieces of train's runs, each about as long as the median run of test.

    A random split would leave the hours around a validation row to learn from, which a test row does not have. A run
    is cut in two at least, since test's runs have known rows right beside them.
    """
    order, is_test = _along_time(times, others)
    moments = np.concatenate([times, others]).astype(float)[order]
    run = np.cumsum(np.diff(is_test, prepend=is_test[0]) != 0)
    first = np.searchsorted(run, np.arange(run[-1] + 1))
    start, end = moments[first], moments[np.append(first[1:], len(run)) - 1]
    length = float(np.median((end - start)[is_test[first] == 1])) if len(others) else 0.0
    span = np.maximum(end - start, 1e-9)
    pieces = np.maximum(2, np.round(span / length)) if length > 0 else np.full(len(span), 2.0)
    piece = np.minimum((moments - start[run]) / span[run] * pieces[run], pieces[run] - 1).astype(np.int64)
    codes = np.unique(np.column_stack([run, piece]), axis=0, return_inverse=True)[1].reshape(-1)
    found = np.empty(len(order), dtype=np.int64)
    found[order] = codes
    return np.unique(found[: len(times)], return_inverse=True)[1]


def _along_time(times: Array, others: Array) -> tuple[Array, Array]:
    """The order of train's and test's rows in time, and 1 for test's of them."""
    order = np.argsort(np.concatenate([times, others]), kind="stable")
    return order, (order >= len(times)).astype(np.int8)
