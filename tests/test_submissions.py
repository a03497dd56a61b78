"""The ledger over a local competition on disk: each rule once, damaged records, and real kills."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.competitions.base import Limits, Submission, SubmissionRefused
from orchestrator.competitions.local import LocalCompetition
from orchestrator.config import Config, parse
from orchestrator.errors import BadInput, CompetitionError, FatalEnding
from orchestrator.files import read_json, sha256_file, write_json
from orchestrator.rounds import RoundFiles
from orchestrator.submission_records import Campaign, DiskStore, Frozen, Receipt, attempts, identify, parse_tag
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
        campaign = identify(store, self.clock, machine="here", draw=lambda: "0123abcd")
        return SubmissionLedger(store, campaign, competition or self.competition, self.config.submissions, self.clock)

    def round(self, number: int, offset: float = 0.0, rows: int = ROWS) -> RoundFiles:
        """A finished round whose predictions are `offset` off."""
        files = RoundFiles(self.root / "rounds", number)
        text = "id,y\n" + "".join(f"{n},{n + offset + number / 10}\n" for n in range(rows))
        files.path("submission.csv").write_text(text)
        return files

    def record(self, name: str) -> dict[str, Any]:
        return read_json(self.root / "rounds" / name)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@dataclass
class Remote:
    """A local competition seen through a bad line: `mood` says what the next requests meet."""

    inner: LocalCompetition
    mood: str = "ok"
    clock_guard_s: float = 600.0
    horizon_s: float = 3600.0
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


def test_a_submission_leaves_its_records(place: Place) -> None:
    receipt = place.ledger().submit(place.round(7), "cv 0.5 / the <best>")
    assert (receipt.status, receipt.ref, receipt.spent, receipt.again) == ("accepted", "L0001", True, False)
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
    assert place.ledger().known_scores() == {}
    scores = place.ledger().scores()
    assert scores == {1: pytest.approx(0.1), 2: pytest.approx(0.2)}
    path = place.root / "rounds" / "R01_lb.json"
    before = path.stat().st_mtime_ns
    assert place.ledger().scores() == scores == place.ledger().known_scores()
    assert path.stat().st_mtime_ns == before
    assert place.record("R01_lb.json")["ref"] == "L0001"


def test_the_allowance_and_the_reserve(place: Place) -> None:
    place.settings = {"reserve": 1}
    assert place.ledger().remaining_today() == 2
    statuses = [place.ledger().submit(place.round(number), "").status for number in (1, 2, 3)]
    assert statuses == ["accepted", "accepted", "held"]
    assert (place.ledger().used_today(), place.ledger().remaining_today(), place.ledger().sent_today()) == (2, 0, 2)
    assert not (place.root / "rounds" / "R03_submit_sent.json").exists()
    place.settings = {}
    assert place.ledger().submit(place.round(3), "").status == "accepted"
    assert "3 of today's 3" in place.ledger().submit(place.round(4), "").reason
    place.clock.time += timedelta(days=1)
    assert place.ledger().submit(place.round(4), "").status == "accepted"
    assert place.ledger().sent_today() == 1


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
    assert (receipt.status, receipt.ref, receipt.spent) == ("duplicate", first.ref, False)
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
    receipt = place.ledger(remote).receipt(1)
    assert receipt is not None and (receipt.status, receipt.spent) == ("unknown", True)
    remote.hidden = False
    assert place.ledger(remote).scores() == {1: pytest.approx(0.1)}
    seen = place.ledger(remote).submit(place.round(1), "")
    assert (seen.status, seen.ref, remote.sent) == ("accepted", "L0001", 1)
    assert place.record("R01_submit_receipt.json")["status"] == "unknown", "receipts do not change"


def test_while_the_listing_is_down_nothing_is_sent_and_nothing_concluded(place: Place) -> None:
    remote = Remote(place.competition, mood="no listing")
    receipt = place.ledger(remote).submit(place.round(1), "")
    assert (receipt.status, receipt.again, remote.sent) == ("held", True, 0) and "503" in receipt.reason
    remote.mood = "lost"
    remote.hidden = True
    place.ledger(remote).submit(place.round(1), "")
    remote.mood = "no listing"
    place.clock.time += timedelta(hours=5)
    assert place.ledger(remote).submit(place.round(1), "").status == "sent"


def test_refusals_are_final_unless_they_are_about_the_moment(place: Place) -> None:
    remote = Remote(place.competition, mood="refused")
    receipt = place.ledger(remote).submit(place.round(1), "")
    assert (receipt.status, receipt.reason, receipt.spent) == ("rejected", "Submission not allowed", False)
    remote.mood = "not now"
    assert place.ledger(remote).submit(place.round(1), "").reason == "Submission not allowed"
    assert place.ledger(remote).submit(place.round(2), "").again
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
    assert identify(place.store, place.clock, machine="here") == Campaign("0123abcd", 1, NOON, "here")
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


def test_limits_of_the_site_bind_too(place: Place) -> None:
    class Busy(LocalCompetition):
        def limits(self) -> Limits:
            return Limits(5, 0, 0)

    busy = Busy(place.root, place.config, now=place.clock)
    assert "allows no submission now" in place.ledger(busy).submit(place.round(1), "").reason
    place.settings = {"enabled": False}
    assert place.ledger().remaining_today() == 0
    assert "switched off" in place.ledger().submit(place.round(1), "").reason


class Killer:
    """SIGKILLs this process at the nth durable step, before or after it."""

    def __init__(self, left: int) -> None:
        self.left = left

    def step(self) -> None:
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)


class DeadlyStore(DiskStore):
    def __init__(self, folder: Path, killer: Killer) -> None:
        super().__init__(folder)
        self.killer = killer

    def write(self, name: str, record: dict[str, Any]) -> None:
        self.killer.step()
        super().write(name, record)
        self.killer.step()

    def freeze(self, number: int, run: str) -> Frozen:
        self.killer.step()
        frozen = super().freeze(number, run)
        self.killer.step()
        return frozen


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
    kills, given_up, step = 0, 0, 0
    while True:
        place = Place(tmp_path / str(step))
        place.ledger().submit(place.round(1), "warm: imports and the campaign's record")
        files, killer = place.round(2), Killer(step)

        def write(path: Path, record: dict[str, Any], killer: Killer = killer) -> None:
            killer.step()
            write_json(path, record)
            killer.step()

        competition = LocalCompetition(place.root, place.config, now=place.clock, write=write)
        ledger = place.ledger(competition, DeadlyStore(place.root / "rounds", killer))
        died = killed(lambda ledger=ledger, files=files: (ledger.submit(files, ""), ledger.scores()))  # type: ignore[misc]
        receipt = place.ledger().submit(files, "")
        seen = [entry for entry in place.competition.submissions() if " R02 " in entry.description]
        assert len(seen) == (receipt.status == "accepted") and not receipt.again
        assert len(attempts(place.store)) == 2
        given_up += receipt.status == "unknown"
        kills += died
        step += 1
        if not died:
            break
    print(f"{kills} kills, {given_up} slots given up")
    assert kills == step - 1 == 10 + 4, (
        "freeze, intent, sent, the listing's write, receipt, and the scores of two rounds"
    )
    assert given_up == 2, "only between the sent mark and the acceptance"


def test_receipts_survive_fields_of_another_version(place: Place) -> None:
    place.ledger().submit(place.round(1), "")
    path = place.root / "rounds" / "R01_submit_receipt.json"
    write_json(path, {**read_json(path), "colour": "blue"})
    found = place.ledger().receipt(1)
    assert isinstance(found, Receipt) and found.status == "accepted"
    assert place.ledger().receipt(9) is None
