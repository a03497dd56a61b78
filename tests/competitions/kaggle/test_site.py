"""Submissions to the local Kaggle through the ledger and the real client, on good days and bad ones."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestrator.competitions.base import NeedsPerson
from orchestrator.competitions.kaggle.client import KaggleClient
from orchestrator.competitions.kaggle.site import KaggleCompetition
from orchestrator.config import parse
from orchestrator.errors import BadInput, FatalEnding
from orchestrator.submission_records import DiskStore
from tests.competitions.kaggle.desk import Desk
from tests.kaggle_server.start import Kaggle
from tests.submission_place import again


@pytest.fixture
def desk(server: Kaggle, client: KaggleClient, tmp_path: Path, request: pytest.FixtureRequest) -> Desk:
    slug = "".join(mark if mark.isalnum() else "-" for mark in request.node.name.lower())[:90].strip("-")
    return Desk(server, client, tmp_path, slug)


def test_a_good_day(desk: Desk) -> None:
    receipt = desk.submit(1)
    (entry,) = desk.accepted
    assert (receipt.status, receipt.ref, receipt.found) == ("accepted", str(entry["ref"]), False)
    assert entry["description"].startswith("ak1 0123abcd.1 R01 ") and entry["description"].endswith("cv 0.5")
    assert entry["file_name"].startswith("R01_frozen_0123abcd_")
    assert desk.submit(1) == receipt and desk.requests() == 1
    assert desk.ledger().counts() == {"today": 1, "left_today": 4}
    assert desk.server.leaks() == []


def test_a_score_that_takes_its_time_is_looked_at_again(desk: Desk) -> None:
    desk.server.settings(polls_to_score=3)
    desk.submit(1)
    ledger = desk.ledger()
    assert ledger.scores() == {1: None} and ledger.waiting() == {1}
    assert ledger.scores() == {1: None} and ledger.scores() == {1: None}
    assert ledger.scores() == {1: 0.5} and ledger.waiting() == set()
    assert desk.seen(1)["status"] == "complete"


def test_an_error_submission_keeps_its_reason(desk: Desk) -> None:
    desk.server.settings(polls_to_score=0)
    desk.server.competition(desk.slug, scoring={"fail": "Evaluation Exception:\nSubmission must have 418 rows"})
    desk.submit(1)
    ledger = desk.ledger()
    ledger.scores()
    assert ledger.scores() == {1: None} and ledger.waiting() == set()
    assert desk.seen(1)["error"] == "Evaluation Exception:\nSubmission must have 418 rows"


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ({"kind": "disconnect_after"}, "accepted"),
        ({"kind": "error_after", "status": 500}, "accepted"),
        ({"kind": "bad_json"}, "accepted"),
        ({"kind": "set", "values": {"ref": 0}}, "accepted"),
        ({"kind": "disconnect"}, "unknown"),
        ({"kind": "error", "status": 502}, "unknown"),
        ({"kind": "error", "status": 429}, "unknown"),
        ({"kind": "html"}, "unknown"),
    ],
)
def test_a_lost_answer_is_looked_for_and_never_sent_again(desk: Desk, fault: dict[str, Any], status: str) -> None:
    desk.server.fault("CreateSubmission", fault)
    first = desk.submit(1)
    assert first.status == ("accepted" if status == "accepted" else "sent")
    receipt = desk.end(1)
    assert (receipt.status, desk.requests(), len(desk.accepted)) == (status, 1, int(status == "accepted"))
    assert receipt.found == (status == "accepted")


def test_a_listing_that_lags_for_an_hour_and_a_half(desk: Desk) -> None:
    """Longer than the horizon: the slot counts as spent, and the sighting mends the record."""
    desk.server.settings(listing_lag_s=90 * 60.0, limits_lag_s=90 * 60.0)
    desk.server.fault("CreateSubmission", {"kind": "disconnect_after"})
    assert desk.submit(1).status == "sent"
    desk.later(30)
    assert desk.submit(1).status == "sent"
    assert desk.ledger().counts()["today"] == 1, "our own mark counts"
    desk.later(40)
    assert desk.submit(1).status == "unknown"
    desk.later(30)
    assert desk.ledger().scores().keys() == {1}
    assert desk.submit(1).status == "accepted" and desk.requests() == 1


@pytest.mark.parametrize(
    ("clock", "status"), [("23:49", "accepted"), ("23:51", "held"), ("00:09", "held"), ("00:11", "accepted")]
)
def test_nothing_is_sent_around_kaggles_midnight(desk: Desk, clock: str, status: str) -> None:
    hour, minute = map(int, clock.split(":"))
    desk.at(datetime(2026, 3, 2, hour, minute, tzinfo=UTC))
    assert desk.submit(1).status == status


def test_the_allowance_is_kept_whoever_uses_it(desk: Desk) -> None:
    desk.server.competition(desk.slug, daily_limit=3)
    desk.server.control("human", slug=desk.slug, file_name="mine.csv")
    desk.settings = {"reserve": 1}
    assert desk.submit(1).status == "accepted"
    held = desk.submit(2)
    assert held.status == "held" and "2 of today's 2" in held.reason
    desk.later(24 * 60)
    assert desk.submit(2).status == "accepted"
    assert len(desk.accepted) == 3


def test_the_sites_own_limit_is_a_passing_no(desk: Desk) -> None:
    """Somebody takes the last slot between our look and our request."""
    desk.server.competition(desk.slug, daily_limit=1)
    words = "Submission not allowed:  Your team has used its daily Submission allowance (1) today"
    desk.server.fault("CreateSubmission", {"kind": "error", "status": 400, "message": words})
    receipt = desk.submit(1)
    assert (receipt.status, receipt.retry) == ("rejected", True) and "daily Submission allowance" in receipt.reason
    assert desk.submit(1).status == "accepted" and len(desk.accepted) == 1


def test_a_person_who_submits_the_file_by_hand(desk: Desk) -> None:
    files = desk.round(1)
    desk.ledger()
    desk.server.control(
        "human", slug=desk.slug, file_name="R01_submission.csv", text=files.path("submission.csv").read_text()
    )
    receipt = desk.submit(1)
    assert receipt.status == "accepted" and receipt.by_hand and desk.requests() == 0


def test_another_machine(desk: Desk, tmp_path: Path) -> None:
    desk.submit(1)
    copied = DiskStore(tmp_path / "there")
    shutil.copytree(desk.store.folder, copied.folder)
    with pytest.raises(BadInput, match="--takeover"):
        desk.ledger(copied, machine="there")
    new = desk.ledger(copied, machine="there", takeover=True)
    assert new.submit(desk.round(2, copied), "").status == "held", "until all of the other one is visible"
    desk.later(61)
    assert desk.ledger(copied, machine="there").submit(desk.round(2, copied), "").status == "accepted"
    with pytest.raises(FatalEnding, match="took this campaign over"):
        desk.submit(3)
    assert len(desk.accepted) == 2


def test_an_upload_that_fails_costs_nothing(desk: Desk) -> None:
    desk.server.fault("upload PUT", {"kind": "error", "status": 400})
    held = desk.submit(1)
    assert held.status == "held" and "storage" in held.reason
    assert not (desk.store.folder / "R01_submit_sent.json").exists()
    desk.server.fault("StartSubmissionUpload", {"kind": "error", "status": 400, "message": "File too large"})
    refused = desk.submit(2)
    assert (refused.status, refused.retry) == ("rejected", False) and "File too large" in refused.reason
    assert desk.submit(1).status == "accepted" and desk.requests() == 1


def test_a_kaggle_that_is_down_holds_the_round(desk: Desk) -> None:
    desk.server.fault("ListSubmissions", {"kind": "error", "status": 503}, always=True)
    held = desk.submit(1)
    assert held.status == "held" and "503" in held.reason and again(held)
    desk.server.control("clear")
    assert desk.submit(1).status == "accepted"


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"entered": False}, "has not joined"), ({"phone_needed": True}, "settings"), ({"code_only": True}, "notebooks")],
)
def test_what_only_a_person_can_mend_ends_it(desk: Desk, settings: dict[str, Any], words: str) -> None:
    desk.server.competition(desk.slug, **settings)
    with pytest.raises(NeedsPerson, match=words):
        desk.submit(1)
    assert desk.requests() == 0
    desk.server.competition(desk.slug, **{name: name == "entered" for name in settings})
    assert desk.submit(1).status == "accepted", "once it is mended"


def test_a_closed_competition_is_refused_once_and_told(desk: Desk) -> None:
    desk.server.fault(
        "CreateSubmission",
        {"kind": "error", "status": 400, "message": "Submissions have been disabled for this competition."},
    )
    with pytest.raises(NeedsPerson, match=r"set submissions\.enabled to false"):
        desk.submit(1)
    assert desk.store.read("R01_submit_receipt.json") is not None
    assert desk.submit(1).status == "accepted", "the refusal proved that nothing arrived"


def test_a_file_that_is_not_the_samples_is_never_sent(desk: Desk) -> None:
    data = desk.root / "competition" / "data"
    data.mkdir(parents=True)
    (data / "sample_submission.csv").write_text("id,y\n1,0\n2,0\n")
    receipt = desk.submit(1)
    assert receipt.status == "rejected" and "1 rows, the sample 2" in receipt.reason
    assert desk.requests() == 0 and desk.accepted == []


def test_the_board_and_the_slug(desk: Desk) -> None:
    desk.server.competition(desk.slug, leaderboard=[{"team": "a", "score": 0.9}, {"team": "b", "score": 0.8}])
    competition = KaggleCompetition(desk.root, desk.config, desk.client)
    assert competition.leaderboard() == [("a", 0.9), ("b", 0.8)]
    for section in ({"kind": "kaggle"}, {"kind": "kaggle", "slug": "../../x"}, {"kind": "kaggle", "slug": "A B"}):
        with pytest.raises(BadInput, match="slug"):
            parse({"competition": section}, "test")
