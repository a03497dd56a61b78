"""The ledger over a local competition on disk: each rule once."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.competitions.base import Limits, Submission
from orchestrator.competitions.local import LocalCompetition
from orchestrator.files import read_json, sha256_file, write_json
from orchestrator.rounds import RoundFiles
from orchestrator.submission_records import parse_tag
from tests.submission_place import NOON, ROWS, Place, Remote, again


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_submission_leaves_its_records(place: Place) -> None:
    receipt = place.ledger().submit(place.round(7), "cv 0.5 / the <best>")
    assert (receipt.status, receipt.ref, again(receipt)) == ("accepted", "L0001", False)
    sha = receipt.csv_sha256
    assert receipt.tag == f"ak1 0123abcd.1 R07 {sha[:12]}"
    frozen = place.root / "rounds" / f"R07_frozen_0123abcd_{sha[:12]}.csv"
    assert frozen.read_bytes() == place.round(7).path("submission.csv").read_bytes()
    assert place.record("R07_submit_intent.json")["csv_sha256"] == sha
    assert place.record("R07_submit_sent.json")["sent"] == NOON.isoformat()
    assert place.record("R07_submit_receipt.json")["status"] == "accepted"
    (entry,) = place.competition.submissions()
    assert entry.description == f"{receipt.tag} cv 0.5 the best" and entry.file_name == frozen.name
    tag = parse_tag(entry)
    assert tag is not None and (tag.run, tag.epoch, tag.round) == ("0123abcd", 1, 7)
    assert parse_tag(replace(entry, description="renamed by hand")) == replace(tag, epoch=None)
    assert parse_tag(Submission("1", "mine", NOON, "complete")) is None


def test_asking_again_sends_nothing(place: Place) -> None:
    first = place.ledger().submit(place.round(1), "")
    place.round(1, offset=5)
    assert place.ledger().submit(RoundFiles(place.root / "rounds", 1), "") == first
    assert len(place.competition.submissions()) == 1


def test_scores_come_by_ref_and_are_written_once(place: Place) -> None:
    place.ledger().submit(place.round(1), "")
    place.ledger().submit(place.round(2), "")
    path = place.root / "rounds" / "R01_lb.json"
    assert not path.exists()
    scores = place.ledger().scores()
    assert scores == {1: pytest.approx(0.1), 2: pytest.approx(0.2)}
    before = path.stat().st_mtime_ns
    assert place.ledger().scores() == scores
    assert scores == {number: place.record(f"R{number:02d}_lb.json")["public_score"] for number in (1, 2)}
    assert path.stat().st_mtime_ns == before
    assert place.record("R01_lb.json")["ref"] == "L0001"


def test_the_allowance_and_the_reserve(place: Place) -> None:
    place.settings = {"reserve": 1}
    assert place.ledger().remaining_today() == 2
    statuses = [place.ledger().submit(place.round(number), "").status for number in (1, 2, 3)]
    assert statuses == ["accepted", "accepted", "held"]
    assert (place.ledger().used_today(), place.ledger().remaining_today()) == (2, 0)
    assert not (place.root / "rounds" / "R03_submit_sent.json").exists()
    place.settings = {}
    assert place.ledger().submit(place.round(3), "").status == "accepted"
    assert "3 of today's 3" in place.ledger().submit(place.round(4), "").reason
    place.clock.time += timedelta(days=1)
    assert place.ledger().submit(place.round(4), "").status == "accepted"
    assert (place.ledger().used_today(), place.ledger().remaining_today()) == (1, 2)


def test_a_persons_entries_count_and_their_upload_of_ours_is_adopted(place: Place) -> None:
    place.settings = {"daily_limit": 2}
    person = Submission("P1", "mine", NOON, "error", file_name="x.csv", total_bytes=3)
    remote = Remote(place.competition, extra=[person])
    assert place.ledger(remote).submit(place.round(1), "").status == "accepted"
    assert place.ledger(remote).submit(place.round(2), "").status == "held"
    size = place.round(2).path("submission.csv").stat().st_size
    remote.extra = [Submission("P2", "", NOON, "complete", 0.4, "R02_submission.csv", size)]
    receipt = place.ledger(remote).submit(place.round(2), "")
    assert (receipt.status, receipt.ref, receipt.by_hand, remote.sent) == ("accepted", "P2", True, 1)
    assert place.ledger(remote).scores()[2] == 0.4


def test_the_same_bytes_are_sent_once(place: Place) -> None:
    first = place.ledger().submit(place.round(1), "")
    other = place.round(2)
    other.path("submission.csv").write_bytes(place.round(1).path("submission.csv").read_bytes())
    receipt = place.ledger().submit(other, "")
    assert (receipt.status, receipt.ref) == ("duplicate", first.ref)
    assert place.ledger().used_today() == 1
    assert place.ledger().scores() == {1: pytest.approx(0.1), 2: pytest.approx(0.1)}
    remote = Remote(place.competition, mood="dropped", hidden=True)
    assert place.ledger(remote).submit(place.round(3), "").status == "sent"
    copy = place.round(4)
    copy.path("submission.csv").write_bytes(place.round(3).path("submission.csv").read_bytes())
    assert place.ledger(remote).submit(copy, "").status == "duplicate", "it may have arrived"


def test_bytes_that_another_campaign_of_ours_submitted_are_not_sent_again(place: Place) -> None:
    digest = sha256_file(place.round(1).path("submission.csv"))
    foreign = Submission("F1", f"ak1 ffffffff.1 R09 {digest[:12]} cv", NOON, "complete", 0.3)
    remote = Remote(place.competition, extra=[foreign])
    receipt = place.ledger(remote).submit(place.round(1), "")
    assert (receipt.status, receipt.ref, remote.sent) == ("duplicate", "F1", 0)
    assert place.ledger(remote).scores() == {1: 0.3}


@pytest.mark.parametrize("mood", ["lost", "no ref"])
def test_an_answer_that_got_lost_is_found_in_the_listing(place: Place, mood: str) -> None:
    remote = Remote(place.competition, mood=mood)
    receipt = place.ledger(remote).submit(place.round(1), "")
    assert (receipt.status, receipt.found, receipt.ref, remote.sent) == ("accepted", True, "L0001", 1)


def test_what_never_shows_up_is_given_up_and_a_late_sighting_upgrades_it(place: Place) -> None:
    remote = Remote(place.competition, mood="lost", hidden=True)
    assert place.ledger(remote).submit(place.round(1), "").status == "sent"
    assert place.ledger(remote).used_today() == 1
    place.clock.time += timedelta(minutes=59)
    assert place.ledger(remote).submit(place.round(1), "").status == "sent"
    place.clock.time += timedelta(minutes=1)
    assert place.ledger(remote).scores() == {}
    assert place.ledger(remote).receipts()[1].status == "unknown"
    assert place.ledger(remote).used_today() == 1
    remote.hidden = False
    assert place.ledger(remote).scores() == {1: pytest.approx(0.1)}
    seen = place.ledger(remote).submit(place.round(1), "")
    assert (seen.status, seen.ref, remote.sent) == ("accepted", "L0001", 1)
    assert place.record("R01_submit_receipt.json")["status"] == "unknown", "receipts do not change"


def test_while_the_listing_is_down_nothing_is_sent_and_nothing_concluded(place: Place) -> None:
    remote = Remote(place.competition, mood="no listing")
    receipt = place.ledger(remote).submit(place.round(1), "")
    assert (receipt.status, again(receipt), remote.sent) == ("held", True, 0) and "503" in receipt.reason
    remote.mood = "lost"
    remote.hidden = True
    place.ledger(remote).submit(place.round(1), "")
    remote.mood = "no listing"
    place.clock.time += timedelta(hours=5)
    assert place.ledger(remote).submit(place.round(1), "").status == "sent"


def test_refusals_are_final_unless_they_are_about_the_moment(place: Place) -> None:
    remote = Remote(place.competition, mood="refused")
    receipt = place.ledger(remote).submit(place.round(1), "")
    assert (receipt.status, receipt.reason) == ("rejected", "Submission not allowed")
    assert place.ledger(remote).used_today() == 0
    remote.mood = "not now"
    assert place.ledger(remote).submit(place.round(1), "").reason == "Submission not allowed"
    assert again(place.ledger(remote).submit(place.round(2), ""))
    assert place.ledger(remote).used_today() == 0
    remote.mood = "ok"
    receipt = place.ledger(remote).submit(place.round(2), "")
    assert (receipt.status, receipt.attempt, remote.sent) == ("accepted", 2, 3)
    assert place.record("R02_submit2_receipt.json")["ref"] == receipt.ref
    assert place.ledger(remote).receipts()[2] == receipt


def bad_file(files: RoundFiles, kind: str) -> None:
    path = files.path("submission.csv")
    path.unlink()
    if kind == "link":
        path.symlink_to(files.folder / "elsewhere.csv")
        (files.folder / "elsewhere.csv").write_text("id,y\n")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("id,y\n" + "".join(f"{n},much\n" for n in range(ROWS)))


@pytest.mark.parametrize("kind", ["link", "pipe", "empty", "missing", "text"])
def test_an_unusable_file_is_rejected_before_anything_is_sent(place: Place, kind: str) -> None:
    files = place.round(1)
    bad_file(files, kind)
    remote = Remote(place.competition)
    receipt = place.ledger(remote).submit(files, "")
    assert receipt.status == "rejected" and receipt.reason.startswith("not sent: ")
    assert remote.sent == 0 and not files.path("submit_sent.json").exists()


def test_limits_of_the_site_bind_too(place: Place) -> None:
    class Busy(LocalCompetition):
        def limits(self) -> Limits:
            return Limits(5, 0, 0)

    busy = Busy(place.root, place.config, now=place.clock)
    assert "allows no submission now" in place.ledger(busy).submit(place.round(1), "").reason
    place.settings = {"enabled": False}
    assert place.ledger().remaining_today() == 0
    assert "switched off" in place.ledger().submit(place.round(1), "").reason


def test_receipts_survive_fields_of_another_version(place: Place) -> None:
    place.ledger().submit(place.round(1), "")
    path = place.root / "rounds" / "R01_submit_receipt.json"
    write_json(path, {**read_json(path), "colour": "blue"})
    receipts = place.ledger().receipts()
    assert list(receipts) == [1] and receipts[1].status == "accepted"
