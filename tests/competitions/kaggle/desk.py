"""A campaign's submissions to a competition on the local Kaggle, through the real client; and processes that die."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from orchestrator.competitions.kaggle.client import KaggleClient
from orchestrator.competitions.kaggle.credentials import find
from orchestrator.competitions.kaggle.site import KaggleCompetition
from orchestrator.config import Config, parse
from orchestrator.files import read_json
from orchestrator.rounds import RoundFiles
from orchestrator.submission_records import DiskStore, Receipt, identify
from orchestrator.submissions import SubmissionLedger
from tests.kaggle_server.start import Kaggle
from tests.submission_killer import DeadlyStore, Killer
from tests.submission_place import again

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@dataclass
class Desk:
    """`clock` is Kaggle's, and stands still until a test moves it."""

    server: Kaggle
    client: KaggleClient
    root: Path
    slug: str
    settings: dict[str, Any] = field(default_factory=dict)
    clock: datetime = NOON

    def __post_init__(self) -> None:
        (self.root / "rounds").mkdir(parents=True, exist_ok=True)
        self.server.control("clear")
        self.server.settings(
            clock_offset_s=0.0, listing_lag_s=0.0, listing_lag_polls=0, limits_lag_s=0.0, polls_to_score=1
        )
        self.server.competition(self.slug)
        self.at(self.clock)

    def at(self, clock: datetime) -> None:
        self.clock = clock
        self.server.settings(clock_frozen_at=clock.isoformat())

    def later(self, minutes: float) -> None:
        self.at(self.clock + timedelta(minutes=minutes))

    @property
    def config(self) -> Config:
        return parse({"competition": {"kind": "kaggle", "slug": self.slug}, "submissions": self.settings}, "test")

    @property
    def store(self) -> DiskStore:
        return DiskStore(self.root / "rounds")

    def ledger(
        self, store: DiskStore | None = None, client: KaggleClient | None = None, **who: Any
    ) -> SubmissionLedger:
        store = store or self.store
        identity = identify(store, lambda: self.clock, **{"machine": "here", "draw": lambda: "0123abcd", **who})
        competition = KaggleCompetition(self.root, self.config, client or self.client)
        return SubmissionLedger(store, identity, competition, self.config.submissions, lambda: self.clock)

    def round(self, number: int, store: DiskStore | None = None) -> RoundFiles:
        files = RoundFiles((store or self.store).folder, number)
        files.path("submission.csv").write_text(f"id,y\n1,{number}\n")
        return files

    def submit(self, number: int) -> Receipt:
        return self.ledger().submit(self.round(number), "cv 0.5")

    def end(self, number: int) -> Receipt:
        """Go on until the round's receipt is final: past every horizon, and a day later if need be."""
        for minutes in (70, 24 * 60, 24 * 60):
            receipt = self.submit(number)
            if not again(receipt):
                break
            self.later(minutes)
        return receipt

    def requests(self) -> int:
        """How often CreateSubmission was asked for this competition."""
        log = self.server.log("CreateSubmission")
        return sum(entry["body"]["competitionName"] == self.slug for entry in log)

    @property
    def accepted(self) -> list[dict[str, Any]]:
        return self.server.submissions(self.slug)

    def seen(self, number: int) -> dict[str, Any]:
        return read_json(self.root / "rounds" / f"R{number:02d}_lb.json")


class DeadlyClient(KaggleClient):
    killer: Killer

    def _call(self, call: str, seconds: float, reading: bool, **arguments: Any) -> Any:
        self.killer.step(f"before {call}")
        result = super()._call(call, seconds, reading, **arguments)
        self.killer.step(f"after {call}")
        return result


def spawn(desk: Desk, number: int, left: int | None, told: Path) -> int:
    """A process that submits the round, with a client of its own, to be killed at its nth step; its id."""
    files = desk.round(number)
    child = os.fork()
    if child:
        return child
    try:
        environment = desk.server.environment(desk.root / "home")
        killer = Killer(left, told)
        client = DeadlyClient(find(environment), environment=environment, sleep=lambda _: None)
        client.killer = killer
        ledger = desk.ledger(DeadlyStore(desk.store.folder, killer), client)
        ledger.submit(files, "cv 0.5")
        ledger.scores()
        client.close()
        os._exit(0)
    finally:
        os._exit(1)


def was_killed(child: int) -> bool:
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the process failed"
    return os.WIFSIGNALED(status)


def kill_in_flight(desk: Desk, number: int, method: str, told: Path) -> None:
    """Kill a process that submits while Kaggle holds its request `method`."""
    before = desk.server.count(method)
    child = spawn(desk, number, None, told)
    end = time.monotonic() + 20
    while desk.server.count(method) == before:
        assert time.monotonic() < end, f"{method} was never asked"
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    assert was_killed(child)
