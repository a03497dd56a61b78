"""Kaggle as the kernel executor uses it: one client, patience, and the campaign's record of what is there.

    R00_kernels.json   datasets: what each holds · seen: the machines · quota, refusal: as last told
    R07_kernels.json   each fold's run: key (script and inputs), nonce, kernel, state

A run's state is written before each step: intent (a push goes out, or went), pushed (Kaggle took it), done (its result
came), void (it ended without one, or was refused: the next try pushes anew).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from orchestrator.competitions.kaggle.errors import NeedsPerson, NotThere, TryLater
from orchestrator.competitions.kaggle.records import KernelPush, NotebookSource, Quota
from orchestrator.errors import FatalEnding
from orchestrator.files import read_json_or_none, write_json

Answer = TypeVar("Answer")
Pause = Callable[[float], None]
LONGEST_WAIT_S = 600.0


class Client(Protocol):
    """What is asked of `competitions.kaggle.client.KaggleClient`."""

    def whoami(self) -> str: ...
    def push_kernel(
        self, folder: Path, *, accelerator: str | None = None, seconds: int | None = None
    ) -> KernelPush: ...
    def notebook_source(self, ref: str) -> NotebookSource: ...
    def kernel_status(self, ref: str) -> tuple[str, str]: ...
    def kernel_logs(self, ref: str) -> str: ...
    def kernel_output(self, ref: str, folder: Path, *, names: Sequence[str] | None = None) -> list[Path]: ...
    def dataset_status(self, ref: str) -> str | None: ...
    def create_dataset(self, folder: Path) -> str: ...
    def version_dataset(self, folder: Path, notes: str) -> str: ...
    def quota(self) -> Quota: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Pace:
    """Seconds between looks, and how long things may take: all in step with `poll_s`."""

    poll_s: float = 20.0
    """Between two looks at a kernel or dataset."""

    @property
    def settle_s(self) -> float:
        """After a session ended, until its files and log must be there."""
        return 15 * self.poll_s

    @property
    def seen_s(self) -> float:
        """After a push, until its source must be there."""
        return 1.5 * self.poll_s

    @property
    def busy_s(self) -> float:
        """Until a push that was refused for too many sessions goes out again."""
        return 6 * self.poll_s

    @property
    def quota_s(self) -> float:
        """Between two looks whether the week's quota is renewed."""
        return 180 * self.poll_s


class KernelSite:
    """Shared by the threads of the folds. `tell(text, level)` shows a note; `now` gives UTC time."""

    def __init__(
        self,
        client: Client,
        *,
        rounds: Path,
        scratch: Path,
        run: str,
        now: Callable[[], datetime],
        tell: Callable[..., None],
        pace: Pace,
    ) -> None:
        self.client, self.scratch, self.run = client, scratch, run
        self.now, self.tell, self.pace = now, tell, pace
        self._rounds = rounds
        self._owner = ""
        self._lock = threading.RLock()

    def owner(self, pause: Pause) -> str:
        """The account's name."""
        if not self._owner:
            self._owner = self.patiently(self.client.whoami, pause)
        return self._owner

    def patiently(self, ask: Callable[[], Answer], pause: Pause) -> Answer:
        """Ask until Kaggle answers, however long it is away; `pause` ends the waiting by an exception.

        Raises FatalEnding for what only a person can mend, NotThere, and CompetitionError for a plain refusal.
        """
        wait = self.pace.poll_s
        while True:
            try:
                return ask()
            except NeedsPerson as error:
                raise FatalEnding(str(error)) from error
            except TryLater as error:
                self.tell(f"{error}; the next try is in {max(wait, error.after_s or 0):.0f} s", "warning")
                pause(max(wait, error.after_s or 0))
                wait = min(2 * wait, LONGEST_WAIT_S)

    def facts(self) -> dict[str, Any]:
        """The campaign's record; what a damaged one knew is found out again."""
        empty: dict[str, Any] = {"datasets": {}, "seen": {}, "quota": None, "refusal": None}
        with self._lock:
            return {**empty, **(read_json_or_none(self._rounds / "R00_kernels.json") or {})}

    def note(self, **changes: Any) -> None:
        with self._lock:
            write_json(self._rounds / "R00_kernels.json", {**self.facts(), **changes})

    def entry(self, name: str) -> dict[str, Any] | None:
        """What is known of a job (`R07/fold_0`), None when nothing is."""
        path, fold = self._place(name)
        with self._lock:
            found: dict[str, Any] | None = (read_json_or_none(path) or {}).get("runs", {}).get(fold)
        return found

    def write(self, name: str, **changes: Any) -> dict[str, Any]:
        """Change a job's entry durably; the whole entry."""
        path, fold = self._place(name)
        with self._lock:
            runs = (read_json_or_none(path) or {}).get("runs", {})
            runs[fold] = {**runs.get(fold, {}), **changes}
            write_json(path, {"runs": runs})
            return dict(runs[fold])

    def _place(self, name: str) -> tuple[Path, str]:
        prefix, _, fold = name.partition("/")
        return self._rounds / f"{prefix}_kernels.json", fold


def absent(ask: Callable[[], Answer]) -> Callable[[], Answer | None]:
    """`ask` with None for what is not there."""

    def asked() -> Answer | None:
        try:
            return ask()
        except NotThere:
            return None

    return asked
