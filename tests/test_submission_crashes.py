"""The ledger on disk when things break: midnight, two machines, torn records, a full disk, and real kills."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.competitions.local import LocalCompetition
from orchestrator.errors import BadInput, FatalEnding
from orchestrator.files import write_json
from orchestrator.rounds import RoundFiles
from orchestrator.submission_records import DiskStore, Identity, attempts, identify
from tests.submission_killer import DeadlyStore, Killer
from tests.submission_place import NOON, Place, Remote


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize(
    ("minute", "status"), [(-11, "accepted"), (-9, "held"), (0, "held"), (9, "held"), (11, "accepted")]
)
def test_nothing_is_sent_around_midnight(place: Place, minute: int, status: str) -> None:
    place.clock.time = datetime(2026, 3, 3, tzinfo=UTC) + timedelta(minutes=minute)
    remote = Remote(place.competition)
    assert place.ledger(remote).submit(place.round(1), "").status == status
    assert place.ledger().submit(place.round(2), "").status == "accepted", "the local day has no skew"


def test_a_request_that_may_have_crossed_midnight_counts_for_both_days(place: Place) -> None:
    place.settings = {"daily_limit": 1}
    place.clock.time = datetime(2026, 3, 2, 23, 30, tzinfo=UTC)
    remote = Remote(place.competition, mood="dropped")
    place.ledger(remote).submit(place.round(1), "")
    place.clock.time = datetime(2026, 3, 3, 6, tzinfo=UTC)
    remote.mood = "ok"
    assert place.ledger(remote).submit(place.round(2), "").status == "held"
    place.clock.time = datetime(2026, 3, 4, 6, tzinfo=UTC)
    assert place.ledger(remote).submit(place.round(2), "").status == "accepted"


def test_two_copies_of_a_campaign_stop_each_other(place: Place, tmp_path: Path) -> None:
    """The same state on two machines, without the binding: who sees the other's entry stops."""
    ledger = place.ledger()
    ledger.submit(place.round(1), "")
    other = DiskStore(tmp_path / "other")
    other.folder.mkdir()
    for name in ("R00_campaign.json", "R01_submit_intent.json", "R01_submit_sent.json"):
        (other.folder / name).write_bytes((place.root / "rounds" / name).read_bytes())
    ledger.submit(place.round(2), "")
    (other.folder / "R03_submission.csv").write_bytes(place.round(3).path("submission.csv").read_bytes())
    with pytest.raises(FatalEnding, match=r"R02 .* not from here"):
        place.ledger(store=other).submit(RoundFiles(other.folder, 3), "")
    assert len(place.competition.submissions()) == 2


def test_another_machine_must_say_that_it_takes_over(place: Place) -> None:
    first = identify(place.store, place.clock, machine="here")
    assert identify(place.store, place.clock, machine="here") == first
    assert identify(place.store, place.clock, machine="") == first, "an unknown machine is no other machine"
    with pytest.raises(BadInput, match="--takeover"):
        identify(place.store, place.clock, machine="there")
    second = identify(place.store, place.clock, machine="there", takeover=True)
    assert (second.run, second.epoch, second.taken_over) == (first.run, 2, NOON)


def test_a_damaged_campaign_record_is_rebuilt_from_what_was_sent(place: Place) -> None:
    place.ledger().submit(place.round(1), "")
    path = place.root / "rounds" / "R00_campaign.json"
    path.write_text("{}")
    assert identify(place.store, place.clock, machine="here") == Identity("0123abcd", 1, NOON, "here")
    path.unlink()
    for name in ("R01_submit_sent.json", "R01_submit_intent.json"):
        (place.root / "rounds" / name).write_text("torn")
    with pytest.raises(FatalEnding, match="backup"):
        identify(place.store, place.clock, machine="here")


@pytest.mark.parametrize(
    "torn", [["sent"], ["receipt"], ["intent"], ["sent", "receipt"], ["intent", "sent", "receipt"]]
)
def test_torn_records_never_lead_to_a_second_request(place: Place, torn: list[str]) -> None:
    remote = Remote(place.competition)
    ref = place.ledger(remote).submit(place.round(1), "").ref
    for kind in torn:
        path = place.root / "rounds" / f"R01_submit_{kind}.json"
        path.write_bytes(path.read_bytes()[:-9])
    assert place.ledger(remote).used_today() == 1
    receipt = place.ledger(remote).submit(place.round(1), "")
    assert (receipt.status, receipt.ref, remote.sent) == ("accepted", ref, 1)


def test_a_full_disk_at_the_sent_mark_sends_nothing(place: Place) -> None:
    class Full(DiskStore):
        def write(self, name: str, record: dict[str, Any]) -> None:
            if name.endswith("_sent.json"):
                raise OSError(28, "No space left on device")
            super().write(name, record)

    remote = Remote(place.competition)
    with pytest.raises(OSError, match="No space"):
        place.ledger(remote, Full(place.root / "rounds")).submit(place.round(1), "")
    assert remote.sent == 0
    assert place.ledger(remote).submit(place.round(1), "").status == "accepted"


def killed(work: Callable[[], object]) -> bool:
    """Run `work` in a child process; whether it was killed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # later Pythons warn of forking beside numpy's threads
        child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the child failed"
    return os.WIFSIGNALED(status)


def test_killed_at_every_step_it_submits_at_most_once(tmp_path: Path) -> None:
    """A real SIGKILL before and after each durable write of the ledger and of the competition."""
    kills, retried, step = 0, 0, 0
    while True:
        place = Place(tmp_path / str(step))
        place.ledger().submit(place.round(1), "warm: imports and the campaign's record")
        files, killer = place.round(2), Killer(step, place.root / "steps")

        def write(path: Path, record: dict[str, Any], killer: Killer = killer) -> None:
            killer.step("before write")
            write_json(path, record)
            killer.step("after write")

        competition = LocalCompetition(place.root, place.config, now=place.clock, write=write)
        ledger = place.ledger(competition, DeadlyStore(place.root / "rounds", killer))
        died = killed(lambda ledger=ledger, files=files: (ledger.submit(files, ""), ledger.scores()))  # type: ignore[misc]
        receipt = place.ledger().submit(files, "")
        retried += receipt.retry
        if receipt.retry:
            receipt = place.ledger().submit(files, "")
        seen = [entry for entry in place.competition.submissions() if " R02 " in entry.description]
        assert len(seen) == 1 and receipt.status == "accepted"
        assert len(attempts(place.store)) == 1 + receipt.attempt
        kills += died
        step += 1
        if not died:
            break
    print(f"{kills} kills, {retried} sent again after the complete list showed that nothing had arrived")
    assert kills == step - 1 == 10 + 4, (
        "freeze, intent, sent, the listing's write, receipt, and the scores of two rounds"
    )
    assert retried == 2, "only between the sent mark and the acceptance"
