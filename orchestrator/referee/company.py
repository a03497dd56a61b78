"""Experiments that run at the same time before one referee: they wait for their folds together and do all else in turn.

So no code of the referee has to be thread-safe but this, and what it tells the screen comes from one thread at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.errors import Stopped


class Company:
    """What the experiments share: whose turn it is, and whether all of them are to end."""

    def __init__(self, count: int = 1) -> None:
        """`count` experiments at a time, each in a thread of its own; a lone one is never kept waiting."""
        self.count = count
        self._turn = threading.Lock()
        self._over = threading.Event()

    def end(self) -> None:
        """Let every experiment end with Stopped as soon as it is its turn, and its folds at once."""
        self._over.set()

    def stop_of_one(self) -> threading.Event:
        """What ends the folds of one experiment, set for it alone or by `end`; `is_set` alone hears of both."""
        return _Either(self._over)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Work while no other experiment does. Raises Stopped after `end`."""
        if self.count == 1:
            yield
            return
        with self._turn:
            if self._over.is_set():
                raise Stopped("another strategy of the round could not go on")
            yield

    @contextmanager
    def away(self) -> Iterator[None]:
        """Within `turn`: let the others work while this one waits."""
        if self.count == 1:
            yield
            return
        self._turn.release()
        try:
            yield
        finally:
            self._turn.acquire()


class _Either(threading.Event):
    def __init__(self, other: threading.Event) -> None:
        super().__init__()
        self._other = other

    def is_set(self) -> bool:
        return super().is_set() or self._other.is_set()
