"""The ledger against a hostile competition: every crash point of one submission, and random campaigns.

Nothing here touches a disk: the store and the competition live in memory, and a crash is an exception at the nth step
(before or after it takes effect) after which a new ledger starts on what the store holds.
"""

from __future__ import annotations

import copy
import itertools
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.competitions.base import Grade, Limits, Submission, SubmissionRefused
from orchestrator.config import SubmissionsSection
from orchestrator.errors import CompetitionError, FatalEnding
from orchestrator.rounds import RoundFiles
from orchestrator.submission_records import Frozen, Identity, Receipt, frozen_name, identify, parse_tag
from orchestrator.submissions import SubmissionLedger
from tests.submission_place import again

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
FAULTS = ("ok", "lost", "dropped", "late", "refused", "not now")
HORIZON = 60
"""Minutes. A late accept stays below it, as the horizon promises; the listing may lag for longer."""


class Crash(Exception):
    pass


@dataclass
class Fuse:
    """Crashes at the nth step; `None` never."""

    left: int | None = None

    def step(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise Crash


@dataclass
class MemoryStore:
    fuse: Fuse
    records: dict[str, dict[str, Any]] = field(default_factory=dict)

    def names(self) -> list[str]:
        return list(self.records)

    def read(self, name: str) -> dict[str, Any] | None:
        return self.records.get(name)

    def write(self, name: str, record: dict[str, Any]) -> None:
        self.fuse.step()
        self.records[name] = dict(record)
        self.fuse.step()

    def freeze(self, number: int, run: str) -> Frozen:
        self.fuse.step()
        digest = f"{number:064x}"[::-1]
        return Frozen(Path(frozen_name(number, run, digest)), digest, 1000 + number)


@dataclass
class Post:
    round: int
    refused: bool
    seen_today: int


@dataclass
class World:
    """The competition, a person on the same account and the server's clock (`minute` after MIDNIGHT)."""

    fuse: Fuse
    rng: random.Random
    minute: int
    cap: int = 5
    lag: int = 0
    faults: list[str] = field(default_factory=list)
    entries: list[tuple[Submission, int]] = field(default_factory=list)
    late: list[tuple[int, str, Path]] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)
    flaky: float = 0.0
    clock_guard_s: float = 600.0
    horizon_s: float = HORIZON * 60.0
    list_is_final: bool = False

    def server_time(self) -> datetime:
        return MIDNIGHT + timedelta(minutes=self.minute)

    def advance(self, minutes: int) -> None:
        target = self.minute + minutes
        for due, description, csv in sorted(self.late, key=lambda item: item[0]):
            if due <= target:
                self.minute = due
                self.late.remove((due, description, csv))
                if self.today() < self.cap:
                    self.accept(description, csv.name, 0)
        self.minute = target

    def today(self) -> int:
        return sum(entry.when.date() == self.server_time().date() for entry, _ in self.entries)

    def accept(self, description: str, name: str, size: int) -> str:
        ref = str(len(self.entries) + 1)
        entry = Submission(ref, description, self.server_time(), "complete", 0.5, name, size)
        self.entries.append((entry, self.minute + (self.rng.randrange(self.lag + 1) if self.lag else 0)))
        return ref

    def visible(self) -> list[Submission]:
        return [entry for entry, minute in self.entries if minute <= self.minute]

    def submissions(self) -> list[Submission]:
        if self.flaky and self.rng.random() < self.flaky:
            raise CompetitionError("no answer")
        found = self.visible()
        self.rng.shuffle(found)
        return found

    def limits(self) -> Limits:
        used = sum(entry.when.date() == self.server_time().date() for entry in self.visible())
        return Limits(self.cap, used, max(0, self.cap - used))

    def submit(self, csv: Path, description: str) -> str:
        self.fuse.step()
        fault = self.faults.pop(0) if self.faults else "ok"
        seen = sum(entry.when.date() == self.server_time().date() for entry in self.visible())
        full = self.today() >= self.cap
        refused = fault in ("refused", "not now") or (full and fault == "ok")
        tag = parse_tag(Submission("", description, self.server_time(), "pending"))
        assert tag is not None
        self.posts.append(Post(tag.round, refused, seen))
        if refused:
            raise SubmissionRefused("no", passing=fault != "refused")
        if fault == "late":
            self.late.append((self.minute + self.rng.randrange(1, HORIZON), description, csv))
        if fault in ("late", "dropped"):
            raise CompetitionError("connection reset")
        ref = "" if full else self.accept(description, csv.name, 0)
        if fault == "lost":
            raise CompetitionError("500")
        self.fuse.step()
        return ref

    def grade(self, csv: Path) -> Grade:
        return Grade(True)


CONFIG = SubmissionsSection()
IDENTITY = Identity("0123abcd", 1, MIDNIGHT)


@dataclass
class Player:
    """Starts a ledger on the store for every call, as a process that was killed does."""

    world: World
    store: MemoryStore
    config: SubmissionsSection = CONFIG
    identity: Identity = IDENTITY

    @property
    def ledger(self) -> SubmissionLedger:
        return SubmissionLedger(self.store, self.identity, self.world, self.config, self.world.server_time)

    def submit(self, number: int) -> Receipt | None:
        """None when the process was killed."""
        try:
            return self.ledger.submit(RoundFiles(Path("."), number), "cv 0.5")
        except Crash:
            return None

    def poll(self) -> None:
        try:
            self.ledger.scores()
        except (Crash, CompetitionError):
            return


def check(world: World, player: Player, own_cap: int) -> Counter[str]:
    """Assert what must always hold, and count how the rounds ended."""
    sent = Counter(post.round for post in world.posts if not post.refused)
    assert all(count == 1 for count in sent.values()), f"sent twice: {sent}"
    ours = [(tag, entry) for entry, _ in world.entries if (tag := parse_tag(entry)) is not None]
    accepted = Counter(tag.round for tag, _ in ours)
    assert all(count == 1 for count in accepted.values()), f"accepted twice: {accepted}"
    days = Counter(entry.when.date() for _, entry in ours)
    assert all(count <= own_cap for count in days.values()), f"over the allowance: {days}"
    assert all(post.seen_today < own_cap for post in world.posts), "sent although the day was used up"
    receipts = player.ledger.receipts()
    for number in accepted:
        assert receipts[number].status == "accepted", f"R{number:02d} is on the leaderboard: {receipts[number]}"
    for number, receipt in receipts.items():
        assert receipt.status != "accepted" or receipt.by_hand or number in accepted
    return Counter(receipt.status for receipt in receipts.values())


def settle(world: World, player: Player) -> None:
    """Time for everything late to show up, then one undisturbed poll."""
    world.fuse.left, world.flaky, world.faults = None, 0.0, []
    world.advance(HORIZON + world.lag + 1)
    player.poll()


def every_crash() -> Iterator[tuple[str, int | None, int | None, int, int]]:
    points = [None, *range(11)]
    for fault, first, second in itertools.product(FAULTS, points, points):
        if first is None and second is not None:
            continue
        yield from ((fault, first, second, lag, start) for lag in (0, 45, 90) for start in (720, 1415, 1440))


def test_every_crash_point_of_one_submission() -> None:
    """Two crashes anywhere x what the request met x listing lag x near midnight: 6 x 133 x 9 runs."""
    executions, ends, crashes = 0, Counter[str](), 0
    for fault, first, second, lag, start in every_crash():
        fuse = Fuse(first)
        world = World(fuse, random.Random(7), start, lag=lag, faults=[fault])
        player = Player(world, MemoryStore(fuse))
        spare = [second]
        for _ in range(12):
            receipt = player.submit(1)
            if receipt is None:
                crashes += 1
                fuse.left = spare.pop() if spare else None
                world.advance(1)
            elif again(receipt):
                world.advance(25)
            else:
                break
        settle(world, player)
        ended = check(world, player, own_cap=5)
        if first is None:
            expected = {"dropped": "unknown", "refused": "rejected"}.get(fault, "accepted")
            assert ended[expected] == 1, f"{fault} without a crash ends {ended}"
        ends += ended
        assert not again(player.ledger.submit(RoundFiles(Path("."), 1), "")), "the round has come to its end"
        executions += 1
    print(f"{executions} executions, {crashes} crashes, slots given up {ends['unknown']}, ends {dict(ends)}")
    assert executions == 6 * 133 * 9
    assert crashes > executions


def random_campaign(seed: int) -> tuple[Counter[str], int]:
    """One campaign of a few rounds in which anything may go wrong; how its rounds ended, and its crashes."""
    rng = random.Random(seed)
    fuse = Fuse()
    world = World(
        fuse, rng, rng.choice([700, 1380, 1425, 1435]), cap=rng.choice([1, 2, 5]), lag=rng.choice([0, 20, 90])
    )
    world.flaky = rng.choice([0.0, 0.0, 0.2])
    config = SubmissionsSection(daily_limit=rng.choice([None, 1, 3]), reserve=rng.choice([0, 0, 1]))
    own_cap = min(world.cap, world.cap if config.daily_limit is None else config.daily_limit) - config.reserve
    player = Player(world, MemoryStore(fuse), config)
    crashes = 0
    for number in range(1, rng.randrange(2, 4)):
        world.faults = rng.choices(FAULTS, weights=(6, 2, 2, 3, 1, 1), k=3)
        for _ in range(3):
            fuse.left = rng.randrange(11) if rng.random() < 0.3 else None
            receipt = player.submit(number)
            crashes += receipt is None
            if receipt is not None and not again(receipt):
                break
            world.advance(rng.choice([0, 1, 10, 60, 400]))
        if rng.random() < 0.2 and world.today() < world.cap:
            by_hand = rng.random() < 0.5
            world.accept("mine", f"R{number + 1:02d}_submission.csv" if by_hand else "x.csv", 1001 + number)
        world.advance(rng.choice([0, 2, 15, 90]))
        if rng.random() < 0.5:
            player.poll()
    settle(world, player)
    return check(world, player, own_cap), crashes


def test_random_campaigns() -> None:
    ends, crashes, executions = Counter[str](), 0, 13_000
    for seed in range(executions):
        try:
            found, died = random_campaign(seed)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        ends += found
        crashes += died
    print(f"{executions} executions, {crashes} crashes, slots given up {ends['unknown']}, ends {dict(ends)}")
    assert crashes > executions / 4
    assert {"accepted", "rejected", "unknown"} <= set(ends), "the faults happened"


@pytest.mark.parametrize("seed", range(60))
def test_another_machine_takes_over(seed: int) -> None:
    """State is copied at a random moment; after the horizon the new machine goes on and the old one must stop."""
    rng = random.Random(seed)
    fuse = Fuse()
    world = World(fuse, rng, 600, lag=rng.choice([0, 20]))
    first = Player(world, MemoryStore(fuse))
    first.identity = identify(first.store, world.server_time, machine="a", draw=lambda: "0123abcd")
    for number in (1, 2):
        world.faults = [rng.choice(("ok", "lost", "dropped"))]
        fuse.left = rng.randrange(12) if rng.random() < 0.6 else None
        first.submit(number)
    fuse.left, world.faults = None, []
    copied = MemoryStore(fuse, copy.deepcopy(first.store.records))
    if rng.random() < 0.5:
        first.submit(3)  # the old machine is still at it, just after the copy was made
    second = Player(world, copied, identity=identify(copied, world.server_time, machine="b", takeover=True))
    assert second.identity.epoch == 2
    assert (held := second.submit(4)) is not None and held.status == "held", "it waits until all is visible"
    world.advance(HORIZON + 1)
    for number in (1, 2, 3, 4):
        receipt = second.submit(number)
        assert receipt is not None and not again(receipt)
    world.advance(world.lag)
    posts = len(world.posts)
    with pytest.raises(FatalEnding, match="took this campaign over"):
        first.ledger.submit(RoundFiles(Path("."), 5), "")
    assert len(world.posts) == posts
    settle(world, second)
    ends = check(world, second, own_cap=5)
    assert ends["accepted"] >= 2
