"""A local campaign to submit from, and a bad line between it and its competition."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.competitions.base import Submission, SubmissionRefused
from orchestrator.competitions.local import LocalCompetition
from orchestrator.config import Config, parse
from orchestrator.errors import CompetitionError
from orchestrator.files import read_json
from orchestrator.rounds import RoundFiles
from orchestrator.submission_records import DiskStore, Receipt, identify
from orchestrator.submissions import SubmissionLedger

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
ROWS = 20
SECTION = {
    "id_column": "id",
    "target_columns": ["y"],
    "task": "regression",
    "metric": "rmse",
    "submission_columns": ["y"],
    "submission_kind": "value",
}


@dataclass
class Clock:
    time: datetime = NOON

    def __call__(self) -> datetime:
        return self.time


@dataclass
class Place:
    """A campaign's folder with answers, and everything that acts on it."""

    root: Path
    clock: Clock = field(default_factory=Clock)
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        private = self.root / "competition" / "private"
        private.mkdir(parents=True, exist_ok=True)
        (self.root / "rounds").mkdir(exist_ok=True)
        (private / "answers.csv").write_text("id,y\n" + "".join(f"{n},{n}\n" for n in range(ROWS)))

    @property
    def config(self) -> Config:
        return parse({"competition": {**SECTION, "daily_limit": 3}, "submissions": self.settings}, "test")

    @property
    def store(self) -> DiskStore:
        return DiskStore(self.root / "rounds")

    @property
    def competition(self) -> LocalCompetition:
        return LocalCompetition(self.root, self.config, now=self.clock)

    def ledger(self, competition: Any = None, store: Any = None) -> SubmissionLedger:
        store = store or self.store
        identity = identify(store, self.clock, machine="here", draw=lambda: "0123abcd")
        return SubmissionLedger(store, identity, competition or self.competition, self.config.submissions, self.clock)

    def round(self, number: int, offset: float = 0.0, rows: int = ROWS) -> RoundFiles:
        """A finished round whose predictions are `offset` off."""
        files = RoundFiles(self.root / "rounds", number)
        text = "id,y\n" + "".join(f"{n},{n + offset + number / 10}\n" for n in range(rows))
        files.path("submission.csv").write_text(text)
        return files

    def record(self, name: str) -> dict[str, Any]:
        return read_json(self.root / "rounds" / name)


def again(receipt: Receipt) -> bool:
    """Whether another `submit` may change how the round stands."""
    return receipt.status in ("sent", "held") or receipt.retry


@dataclass
class Remote:
    """A local competition seen through a bad line: `mood` says what the next requests meet."""

    inner: LocalCompetition
    mood: str = "ok"
    clock_guard_s: float = 600.0
    horizon_s: float = 3600.0
    list_is_final: bool = False
    sent: int = 0
    hidden: bool = False
    extra: list[Submission] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def submissions(self) -> list[Submission]:
        if self.mood == "no listing":
            raise CompetitionError("503")
        return [] if self.hidden else [*self.inner.submissions(), *self.extra]

    def submit(self, csv: Path, description: str) -> str:
        self.sent += 1
        if self.mood == "refused":
            raise SubmissionRefused("Submission not allowed")
        if self.mood == "not now":
            raise SubmissionRefused("the allowance is used", passing=True)
        if self.mood == "dropped":
            raise CompetitionError("connection reset")
        ref = self.inner.submit(csv, description)
        if self.mood == "lost":
            raise CompetitionError("timed out")
        return "" if self.mood == "no ref" else ref
