"""A model of everything that may befall the submissions of a campaign, run by the ten thousand.

Nothing here touches a disk: the store and the competition live in memory, and a crash is an exception at the nth step
(before or after it takes effect) after which a new ledger starts on what the store holds.

    python -m tests.submission_model --runs 100000 [--seed 0]

plays so many campaigns and prints what happened: how many submissions were sent twice or over the allowance (none, or
it stops there), how many processes were killed, how each round ended, and how many slots were given up.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from orchestrator.competitions.base import Grade, Limits, NeedsPerson, Submission, SubmissionRefused
from orchestrator.config import SubmissionsSection
from orchestrator.errors import CompetitionError, FatalEnding
from orchestrator.rounds import RoundFiles
from orchestrator.submission_records import Frozen, Identity, Receipt, frozen_name, identify, parse_tag
from orchestrator.submissions import SubmissionLedger
from tests.submission_place import again

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
FAULTS = ("ok", "lost", "dropped", "late", "refused", "not now", "person", "no upload")
"""What the next request meets: accepted but the answer lost (a 500, a reset, a hang), never arrived, accepted later,
refused for good, for the moment, until a person helps; the upload before it failed."""
WEIGHTS = (8, 3, 3, 3, 1, 1, 1, 1)
HORIZON = 60
"""Minutes. A late accept stays below it, as the horizon promises; the listing may lag for longer."""
LAGS = (0, 5, 20, 45, 90)
CLOCK_ERROR_S = 150
"""The Date of an answer may be off from the clock that counts days by so much: below the ledger's guard."""


class Crash(Exception):
    pass


@dataclass
class Fuse:
    """Crashes at the nth step; `None` never."""

    left: int | None = None
    steps: int = 0

    def step(self) -> None:
        self.steps += 1
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
    epoch: int | None
    round: int
    refused: bool
    seen_today: int


@dataclass
class World:
    """The competition, people on the same account and the server's clock (`minute` after MIDNIGHT).

    `slow`: every call may take minutes, an upload longer. `clock_error_s` is what the Date of its answers is off.
    """

    fuse: Fuse
    rng: random.Random
    minute: float
    cap: int = 5
    lag: int = 0
    faults: list[str] = field(default_factory=list)
    entries: list[tuple[Submission, float]] = field(default_factory=list)
    late: list[tuple[float, str, Path]] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)
    flaky: float = 0.0
    slow: bool = False
    clock_error_s: float = 0.0
    clock_guard_s: float = 600.0
    horizon_s: float = HORIZON * 60.0
    list_is_final: bool = False

    def now(self) -> datetime:
        return MIDNIGHT + timedelta(minutes=self.minute)

    def server_time(self) -> datetime:
        return self.now() + timedelta(seconds=self.clock_error_s)

    def advance(self, minutes: float) -> None:
        target = self.minute + minutes
        for due, description, csv in sorted(self.late, key=lambda item: item[0]):
            if due <= target:
                self.minute = due
                self.late.remove((due, description, csv))
                if self.today() < self.cap:
                    self.accept(description, csv.name, 0)
        self.minute = target

    def takes(self, minutes: float) -> None:
        """A call may take this long."""
        if self.slow:
            self.advance(self.rng.random() * minutes)

    def today(self) -> int:
        return sum(entry.when.date() == self.now().date() for entry, _ in self.entries)

    def accept(self, description: str, name: str, size: int) -> str:
        ref = str(len(self.entries) + 1)
        entry = Submission(ref, description, self.now(), "complete", 0.5, name, size)
        self.entries.append((entry, self.minute + (self.rng.randrange(self.lag + 1) if self.lag else 0)))
        return ref

    def visible(self) -> list[Submission]:
        return [entry for entry, minute in self.entries if minute <= self.minute]

    def submissions(self) -> list[Submission]:
        self.takes(1)
        if self.flaky and self.rng.random() < self.flaky:
            raise CompetitionError("no answer")
        found = self.visible()
        self.rng.shuffle(found)
        return found

    def limits(self) -> Limits:
        used = sum(entry.when.date() == self.now().date() for entry in self.visible())
        return Limits(self.cap, used, max(0, self.cap - used))

    def prepare(self, csv: Path) -> None:
        self.fuse.step()
        if self.faults and self.faults[0] == "no upload":
            self.faults.pop(0)
            raise CompetitionError("the storage does not answer")
        self.takes(30)
        self.fuse.step()

    def submit(self, csv: Path, description: str) -> str:
        self.fuse.step()
        fault = self.faults.pop(0) if self.faults else "ok"
        seen = sum(entry.when.date() == self.now().date() for entry in self.visible())
        self.takes(2)
        full = self.today() >= self.cap
        refused = fault in ("refused", "not now", "person") or (full and fault == "ok")
        tag = parse_tag(Submission("", description, self.now(), "pending"))
        assert tag is not None
        self.posts.append(Post(tag.epoch, tag.round, refused, seen))
        if refused:
            raise SubmissionRefused("no", passing=fault != "refused", needs_person=fault == "person")
        if fault == "late":
            self.late.append((self.minute + self.rng.randrange(1, HORIZON), description, csv))
        if fault in ("late", "dropped", "no upload"):
            raise CompetitionError("connection reset")
        ref = "" if full else self.accept(description, csv.name, 0)
        self.takes(2)
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
    """Starts a ledger on the store for every call, as a process that was killed does; its own clock may be far off."""

    world: World
    store: MemoryStore
    config: SubmissionsSection = CONFIG
    identity: Identity = IDENTITY
    clock_off: timedelta = timedelta()
    kind: type[SubmissionLedger] = SubmissionLedger

    @property
    def ledger(self) -> SubmissionLedger:
        return self.kind(self.store, self.identity, self.world, self.config, self.clock)  # type: ignore[arg-type]

    def clock(self) -> datetime:
        return self.world.now() + self.clock_off

    def submit(self, number: int) -> Receipt | None:
        """None when the process was killed, or must wait for a person."""
        try:
            return self.ledger.submit(RoundFiles(Path("."), number), "cv 0.5")
        except (Crash, NeedsPerson):
            return None

    def poll(self) -> None:
        try:
            self.ledger.scores()
        except (Crash, CompetitionError):
            return


def check(world: World, player: Player, own_cap: int) -> Counter[str]:
    """Assert what must always hold, and count how the rounds ended."""
    sent = Counter((post.epoch, post.round) for post in world.posts if not post.refused)
    assert all(count == 1 for count in sent.values()), f"sent twice: {sent}"
    ours = [(tag, entry) for entry, _ in world.entries if (tag := parse_tag(entry)) is not None and tag.run == RUN]
    accepted = Counter(tag.round for tag, _ in ours)
    assert all(count == 1 for count in accepted.values()), f"accepted twice: {accepted}"
    days = Counter(entry.when.date() for _, entry in ours)
    assert all(count <= own_cap for count in days.values()), f"over the allowance: {days}"
    assert all(post.seen_today < own_cap for post in world.posts), "sent although the day was used up"
    receipts = player.ledger.receipts()
    mine = {tag.round for tag, _ in ours if tag.epoch == player.identity.epoch}
    for number in mine | (set(accepted) & set(receipts)):
        assert receipts[number].status == "accepted", f"R{number:02d} is on the leaderboard: {receipts[number]}"
    for number, receipt in receipts.items():
        assert receipt.status != "accepted" or receipt.by_hand or number in accepted
    return Counter(receipt.status for receipt in receipts.values())


RUN = IDENTITY.run


def settle(world: World, player: Player) -> None:
    """Time for everything late to show up, then one undisturbed poll."""
    world.fuse.left, world.flaky, world.faults = None, 0.0, []
    world.advance(HORIZON + world.lag + 5)
    player.poll()


@dataclass
class Tally:
    """What many runs came to."""

    runs: int = 0
    killed: int = 0
    posts: int = 0
    accepted: int = 0
    ends: Counter[str] = field(default_factory=Counter)

    def add(self, world: World, killed: int, ends: Counter[str]) -> None:
        self.runs += 1
        self.killed += killed
        self.posts += len(world.posts)
        self.accepted += sum(1 for entry, _ in world.entries if (tag := parse_tag(entry)) and tag.run == RUN)
        self.ends += ends

    def __str__(self) -> str:
        ends = ", ".join(f"{count} {name}" for name, count in sorted(self.ends.items()))
        return (
            f"{self.runs} runs, {self.killed} kills, {self.posts} requests, {self.accepted} accepted; "
            f"0 sent twice, 0 over the allowance; rounds: {ends}; slots given up {self.ends['unknown']}"
        )


def steps_of_one() -> int:
    """How many steps one undisturbed submission and a poll have."""
    fuse = Fuse()
    player = Player(World(fuse, random.Random(7), 720), MemoryStore(fuse))
    player.submit(1)
    player.poll()
    return fuse.steps


def crash_points(lags: tuple[int, ...] = (0, 45, 90)) -> Iterator[tuple[str, int | None, int | None, int, int]]:
    """Two crashes anywhere x what the request met x the listing's lag x noon, before midnight, midnight."""
    points = [None, *range(steps_of_one())]
    for fault, first, second in itertools.product(FAULTS, points, points):
        if first is None and second is not None:
            continue
        yield from ((fault, first, second, lag, start) for lag in lags for start in (720, 1415, 1440))


def play_crash_point(fault: str, first: int | None, second: int | None, lag: int, start: int, tally: Tally) -> None:
    fuse = Fuse(first)
    world = World(fuse, random.Random(7), start, lag=lag, faults=[fault])
    player = Player(world, MemoryStore(fuse))
    spare, killed = [second], 0
    for _ in range(12):
        receipt = player.submit(1)
        if receipt is None:
            killed += fuse.left is None and fault != "person"
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
    assert not again(player.ledger.submit(RoundFiles(Path("."), 1), "")), "the round has come to its end"
    tally.add(world, killed, ended)


def play_campaign(
    seed: int,
    tally: Tally,
    *,
    ledger: type[SubmissionLedger] = SubmissionLedger,
    store: type[MemoryStore] = MemoryStore,
) -> None:
    """A campaign of some rounds and days in which anything may go wrong, on one machine or on two in turn."""
    rng = random.Random(seed)
    fuse = Fuse()
    start = rng.choice([700, 1290, 1370, 1380, 1400, *(rng.uniform(1420, 1445) for _ in range(5))])
    world = World(fuse, rng, start, cap=rng.choice([1, 2, 3, 5]), lag=rng.choice(LAGS), slow=rng.random() < 0.5)
    world.flaky = rng.choice([0.0, 0.0, 0.2])
    world.clock_error_s = rng.choice([0, 0, -CLOCK_ERROR_S, CLOCK_ERROR_S])
    _crowd(world, rng)
    config = SubmissionsSection(daily_limit=rng.choice([None, None, 1, 3]), reserve=rng.choice([0, 0, 0, 1]))
    own_cap = min(world.cap, world.cap if config.daily_limit is None else config.daily_limit) - config.reserve
    off = timedelta(hours=rng.choice([0, 0, -26, -2, 1, 24]))
    player = Player(world, store(fuse), config, clock_off=off, kind=ledger)
    player.identity = identify(player.store, world.now, machine="a", draw=lambda: RUN)
    killed = 0
    rounds = rng.randrange(1, 5)
    moves = rng.randrange(1, rounds + 1) if rng.random() < 0.2 else 0
    for number in range(1, rounds + 1):
        killed += _play_round(world, player, number, rng)
        if number == moves:
            player = _another_machine(world, player, rng)
    settle(world, player)
    tally.add(world, killed, check(world, player, own_cap))


def _crowd(world: World, rng: random.Random) -> None:
    """Entries that are not ours: yesterday's, another campaign's, so that the listing has several pages."""
    for number in range(rng.choice([0, 0, 3, 45])):
        words = f"ak1 deadbeef.1 R{number:02d} {'ab' * 6}" if number % 3 == 0 else f"by hand {number}"
        when = MIDNIGHT - timedelta(days=1, minutes=number)
        world.entries.append((Submission(f"old{number}", words, when, "complete", 0.4, "x.csv", 7), -1.0))


def _play_round(world: World, player: Player, number: int, rng: random.Random) -> int:
    """A few tries at one round, with people and time in between; how many processes were killed."""
    killed = 0
    world.faults = rng.choices(FAULTS, weights=WEIGHTS, k=3)
    for _ in range(rng.randrange(1, 5)):
        armed = rng.randrange(14) if rng.random() < 0.4 else None
        world.fuse.left = armed
        receipt = player.submit(number)
        killed += armed is not None and world.fuse.left is None and receipt is None
        if receipt is not None and not again(receipt):
            break
        world.advance(rng.choice([0, 1, 3, 10, 30, 60, 400]))
    world.fuse.left = None
    if rng.random() < 0.25 and world.today() < world.cap:
        by_hand = rng.random() < 0.5
        world.accept("mine", f"R{number + 1:02d}_submission.csv" if by_hand else "x.csv", 1001 + number)
    world.advance(rng.choice([0, 2, 4, 15, 90]))
    if rng.random() < 0.5:
        player.poll()
    return killed


def _another_machine(world: World, first: Player, rng: random.Random) -> Player:
    """The state is copied, the old machine may send once more before it is stopped, the new one takes over."""
    copied = MemoryStore(world.fuse, copy.deepcopy(first.store.records))
    world.lag = min(world.lag, 45)  # beyond the horizon nobody can tell what the other machine sent
    shown = [min(minute, world.minute + 45) for _, minute in world.entries]
    world.entries = [(entry, minute) for (entry, _), minute in zip(world.entries, shown, strict=True)]
    if rng.random() < 0.5:
        world.faults = [rng.choice(("ok", "lost", "dropped"))]  # shown within the horizon, as it promises
        first.submit(9)
    identity = identify(copied, world.now, machine="b", takeover=True)
    second = Player(world, copied, first.config, identity, kind=first.kind)
    held = second.submit(8)
    assert held is None or held.status in ("held", "rejected"), "it waits until all is visible"
    world.faults = []
    world.advance(HORIZON + 16)
    second.poll()
    second.submit(9)
    world.advance(world.lag + 1)
    if any((tag := parse_tag(entry)) and tag.run == RUN and tag.epoch == 2 for entry in world.visible()):
        before, world.flaky = len(world.posts), 0.0
        try:
            first.ledger.submit(RoundFiles(Path("."), 7), "")
            raise AssertionError("the old machine goes on")
        except FatalEnding:
            assert len(world.posts) == before
    return second


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    started = time.monotonic()
    crashes = Tally()
    for case in crash_points():
        play_crash_point(*case, crashes)
    print(f"every crash point of one submission: {crashes}")
    campaigns = Tally()
    for seed in range(arguments.seed, arguments.seed + arguments.runs):
        try:
            play_campaign(seed, campaigns)
        except AssertionError as error:
            raise SystemExit(f"seed {seed}: {error}") from error
    print(f"campaigns: {campaigns}")
    print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
