"""The ledger against a hostile competition: every crash point of one submission, and random campaigns."""

from __future__ import annotations

import copy
import random
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import FatalEnding
from orchestrator.rounds import RoundFiles
from orchestrator.submission_listing import Listing
from orchestrator.submission_records import identify
from orchestrator.submissions import SubmissionLedger
from tests.submission_model import (
    HORIZON,
    Fuse,
    MemoryStore,
    Player,
    Tally,
    World,
    check,
    crash_points,
    play_campaign,
    play_crash_point,
    settle,
    steps_of_one,
)
from tests.submission_place import again

SAMPLE = 2_000
"""Campaigns; `python -m tests.submission_model` plays as many as wanted."""


def test_every_crash_point_of_one_submission() -> None:
    """Two crashes anywhere x what the request met x near midnight, at the longest listing lag."""
    tally = Tally()
    for case in crash_points(lags=(90,)):
        play_crash_point(*case, tally)
    print(tally)
    steps = steps_of_one()
    assert steps == 13, "freeze, intent, upload, sent, the request, receipt, the score: before and after"
    assert tally.runs == 8 * (1 + steps * (steps + 1)) * 3
    assert tally.killed > tally.runs


def test_random_campaigns() -> None:
    tally = Tally()
    for seed in range(SAMPLE):
        try:
            play_campaign(seed, tally)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
    print(tally)
    assert tally.killed > SAMPLE / 4
    assert {"accepted", "rejected", "unknown", "duplicate"} & set(tally.ends) >= {"accepted", "rejected", "unknown"}


class Forgetful(MemoryStore):
    """Loses the mark of what was sent."""

    def write(self, name: str, record: dict[str, Any]) -> None:
        if not name.endswith("_sent.json"):
            super().write(name, record)


class Trusting(SubmissionLedger):
    """Believes the competition's own count of the day."""

    def _allowance(self, listing: Listing, server: datetime) -> tuple[int, int, int]:
        _, cap, allowed = super()._allowance(listing, server)
        return self.competition.limits().used_today, cap, allowed


@pytest.mark.parametrize(
    ("mutant", "found"), [({"store": Forgetful}, "sent twice"), ({"ledger": Trusting}, "over the allowance")]
)
def test_the_model_sees_what_it_is_for(mutant: dict[str, Any], found: str) -> None:
    for seed in range(SAMPLE):
        try:
            play_campaign(seed, Tally(), **mutant)
        except AssertionError as error:
            if found in str(error):
                return
    raise AssertionError(f"in {SAMPLE} campaigns nothing was {found}")


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
        fuse.left = rng.randrange(14) if rng.random() < 0.6 else None
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
