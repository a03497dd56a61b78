"""What every competition offers, wherever it runs and is graded."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from orchestrator.errors import CompetitionError, OutputRejected

MAX_CSV_BYTES = 1 << 30


class SubmissionRefused(CompetitionError):
    """A definite no: this submission was not accepted, will not be, and cost nothing.

    `passing`: the refusal is about the moment (the day's allowance) and not the file, so another day may do.
    `needs_person`: it is about the account, so no later round does better until a person mends it.
    Every other CompetitionError of `Competition.submit` leaves open whether the submission arrived.
    """

    def __init__(self, reason: str, *, passing: bool = False, needs_person: bool = False) -> None:
        super().__init__(reason)
        self.passing = passing
        self.needs_person = needs_person


class NeedsPerson(CompetitionError):
    """Waiting does not help: credentials, rules, a closed competition. The sentence says what to do and where."""


@dataclass(frozen=True)
class Limits:
    """The competition's own count for the team; days are UTC days of its clock."""

    daily: int
    used_today: int
    allowed_now: int


@dataclass(frozen=True)
class Submission:
    """One entry of the listing, ours or a person's."""

    ref: str
    description: str
    when: datetime
    status: Literal["pending", "complete", "error"]
    public_score: float | None = None
    file_name: str = ""
    total_bytes: int | None = None
    error: str = ""


@dataclass(frozen=True)
class Grade:
    """What a CSV is worth, or one sentence on why it is not valid; a score that can't be known is None."""

    valid: bool
    score: float | None = None
    public: float | None = None
    private: float | None = None
    error: str = ""


class Competition(Protocol):
    """A place that takes submissions. Methods raise CompetitionError when it can't be reached or says no."""

    clock_guard_s: float
    """Nothing is sent so near to 00:00 UTC, where its day and ours could differ."""
    horizon_s: float
    """The longest time from sending until an accepted submission shows in the listing."""
    list_is_final: bool
    """What the listing does not show was never accepted and never will be: true only where it is our own file."""

    def limits(self) -> Limits: ...

    def prepare(self, csv: Path) -> None:
        """All of a submission that counts for nothing and may be repeated: what fails here was not sent."""
        ...

    def submit(self, csv: Path, description: str) -> str:
        """Send what was prepared once, without a retry; the ref.

        SubmissionRefused is the only error that proves that it did not arrive.
        """
        ...

    def submissions(self) -> list[Submission]:
        """All of the team's entries, every page of them."""
        ...

    def server_time(self) -> datetime: ...

    def leaderboard(self) -> list[tuple[str, float]]:
        """(team, public score), the best first."""
        ...

    def grade(self, csv: Path) -> Grade:
        """Check the CSV, and score it where the answers are here; never raises for what the file holds."""
        ...

    def close(self) -> None: ...


def read_untrusted(path: Path, limit: int = MAX_CSV_BYTES) -> bytes:
    """The bytes of a regular file that is no symbolic link, opened so that a pipe can't block.

    Raises OutputRejected for anything else, for an empty file and for one above `limit` bytes.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        why = "is a symbolic link" if error.errno == errno.ELOOP else f"can't be read: {error.strerror}"
        raise OutputRejected(f"{path.name} {why}") from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise OutputRejected(f"{path.name} is not a regular file")
        if not 0 < status.st_size <= limit:
            raise OutputRejected(f"{path.name} holds {status.st_size} bytes; 1 to {limit} are accepted")
        with os.fdopen(handle, "rb", closefd=False) as file:
            data = file.read(limit + 1)
    finally:
        os.close(handle)
    if len(data) > limit:
        raise OutputRejected(f"{path.name} grew above {limit} bytes while it was read")
    return data
