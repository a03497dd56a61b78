"""What is on disk about submissions: who plays the campaign, and each round's intent, sent mark and receipt.

    R00_campaign.json          the campaign's id, its epoch (how often it changed machines) and the machine
    R07_frozen_<run>_<sha>.csv the bytes that are sent, under a name that carries the tag's parts
    R07_submit_intent.json     what is about to be sent: redo freely
    R07_submit_sent.json       the point of no return, written just before the one request
    R07_submit_receipt.json    the end: accepted, rejected, unknown or duplicate; never changed afterwards
    R07_lb.json                what the listing says about it; a sighting here turns "unknown" into "accepted"

A second try, after a refusal that was about the moment, adds its number: R07_submit2_intent.json.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from orchestrator.competitions.base import Submission, read_untrusted
from orchestrator.errors import BadInput, FatalEnding
from orchestrator.files import atomic_write, read_json_or_none, sha256_bytes, write_json
from orchestrator.rounds import label

Status = Literal["accepted", "rejected", "unknown", "duplicate", "sent", "held"]

CAMPAIGN_FILE = "R00_campaign.json"
_RECORD_NAME = re.compile(r"^R(\d{2,})_submit(\d*)_(intent|sent|receipt)\.json$")
_TAG = re.compile(r"\bak1 ([0-9a-f]{8})\.(\d+) R(\d{2,}) ([0-9a-f]{12})\b")
_FROZEN_NAME = re.compile(r"^R(\d{2,})_frozen_([0-9a-f]{8})_([0-9a-f]{12})\.csv$")


@dataclass(frozen=True)
class Identity:
    """Who submits: `run` is 8 hex digits drawn once, `epoch` grows when another machine takes over."""

    run: str
    epoch: int
    started: datetime
    machine: str = ""
    taken_over: datetime | None = None


@dataclass(frozen=True)
class Tag:
    """What marks a submission as ours; `epoch` is None when only the file name tells."""

    run: str
    epoch: int | None
    round: int
    sha12: str

    def __str__(self) -> str:
        return f"ak1 {self.run}.{self.epoch} {label(self.round)} {self.sha12}"


@dataclass(frozen=True)
class Receipt:
    """How a round's submission stands.

    accepted   the competition has it, as `ref` (`found`: learnt from the listing; `by_hand`: a person sent it)
    rejected   it was refused, `reason` says why (`retry`: the refusal was about the moment)
    unknown    it was sent and never seen: the slot counts as spent and it is not sent again
    duplicate  the same bytes were submitted before, as `ref`
    sent       it was sent and may still show up; ask again later (not durable)
    held       nothing was sent, `reason` says why; try later (not durable)
    """

    round: int
    status: Status
    reason: str = ""
    ref: str = ""
    tag: str = ""
    csv_sha256: str = ""
    bytes: int = 0
    sent: str = ""
    """Server time of the sent mark, ISO."""
    attempt: int = 1
    found: bool = False
    by_hand: bool = False
    retry: bool = False


@dataclass(frozen=True)
class Frozen:
    """The copy that is sent."""

    path: Path
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Attempt:
    """One try at submitting a round; `sent` is {} when the mark exists and can't be read."""

    round: int
    number: int
    intent: dict[str, Any] | None = None
    sent: dict[str, Any] | None = None
    receipt: Receipt | None = None

    @property
    def sha256(self) -> str:
        """Empty when no readable record tells."""
        found = (self.sent or {}).get("csv_sha256") or (self.intent or {}).get("csv_sha256")
        return str(found or (self.receipt.csv_sha256 if self.receipt else ""))

    @property
    def went_out(self) -> bool:
        """It may be at the competition: sent, and not refused for certain."""
        if self.receipt is not None and self.receipt.status in ("rejected", "duplicate"):
            return False
        return self.sent is not None or self.receipt is not None

    @property
    def sent_at(self) -> datetime | None:
        """Server time; None when it is not known."""
        text = (self.sent or {}).get("sent") or (self.receipt.sent if self.receipt else "")
        return datetime.fromisoformat(text) if text else None


class Store(Protocol):
    """Where the records live; every method is durable on return."""

    def names(self) -> list[str]: ...

    def read(self, name: str) -> dict[str, Any] | None:
        """None when it is missing or damaged."""
        ...

    def write(self, name: str, record: dict[str, Any]) -> None: ...

    def freeze(self, number: int, run: str) -> Frozen:
        """Copy the round's submission.csv aside; raises OutputRejected when it is no plain file of sane size."""
        ...


class DiskStore:
    """The records in a campaign's rounds/."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        return [entry.name for entry in self.folder.iterdir()]

    def read(self, name: str) -> dict[str, Any] | None:
        return read_json_or_none(self.folder / name)

    def write(self, name: str, record: dict[str, Any]) -> None:
        write_json(self.folder / name, record)

    def freeze(self, number: int, run: str) -> Frozen:
        data = read_untrusted(self.folder / f"{label(number)}_submission.csv")
        digest = sha256_bytes(data)
        path = self.folder / frozen_name(number, run, digest)
        atomic_write(path, data)
        return Frozen(path, digest, len(data))


def frozen_name(number: int, run: str, digest: str) -> str:
    return f"{label(number)}_frozen_{run}_{digest[:12]}.csv"


def record_name(number: int, attempt: int, kind: str) -> str:
    """`R07_submit_intent.json`, and `R07_submit2_intent.json` for the second try."""
    return f"{label(number)}_submit{attempt if attempt > 1 else ''}_{kind}.json"


def attempts(store: Store) -> list[Attempt]:
    """Every try that left a record, by round and number."""
    found: dict[tuple[int, int], dict[str, dict[str, Any] | None]] = {}
    for name in store.names():
        if "_submit" in name and (match := _RECORD_NAME.match(name)):
            found.setdefault((int(match[1]), int(match[2] or 1)), {})[match[3]] = store.read(name)
    return [_attempt(number, attempt, records) for (number, attempt), records in sorted(found.items())]


def _attempt(number: int, attempt: int, records: dict[str, dict[str, Any] | None]) -> Attempt:
    """`records`: by kind, None for one that can't be read."""
    sent = (records["sent"] or {}) if "sent" in records else None
    receipt = None
    if record := records.get("receipt"):  # another version's may have fields that this one does not know
        known = {field.name for field in fields(Receipt)}
        receipt = Receipt(**{key: value for key, value in record.items() if key in known})
    return Attempt(number, attempt, records.get("intent"), sent, receipt)


def parse_tag(entry: Submission) -> Tag | None:
    """The tag in an entry's description, else what its file name tells; None for somebody else's entry."""
    if match := _TAG.search(entry.description):
        return Tag(match[1], int(match[2]), int(match[3]), match[4])
    if match := _FROZEN_NAME.match(entry.file_name):
        return Tag(match[2], None, int(match[1]), match[3])
    return None


def machine_id() -> str:
    """A name that stays with this machine; empty where the system has none, as in most containers."""
    for path in (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id")):
        with contextlib.suppress(OSError):
            if text := path.read_text(encoding="ascii", errors="replace").strip():
                return sha256_bytes(f"autokaggle {text}".encode())[:16]
    return ""


def identify(
    store: Store,
    now: Callable[[], datetime],
    *,
    machine: str,
    takeover: bool = False,
    draw: Callable[[], str] = lambda: secrets.token_hex(4),
) -> Identity:
    """Who submits from `store`, founded at the first call.

    `takeover` binds it to this machine and raises the epoch. Raises BadInput when it is bound to another machine, and
    FatalEnding when its record is lost and submissions were sent under a name that no record tells.
    """
    record = store.read(CAMPAIGN_FILE)
    if record is None:
        return _founded(store, _recovered(store, machine) or Identity(draw(), 1, now(), machine))
    started, taken = datetime.fromisoformat(record["started"]), record["taken_over"]
    if takeover:
        return _founded(store, Identity(record["run"], record["epoch"] + 1, started, machine, now()))
    if machine and record["machine"] and machine != record["machine"]:
        raise BadInput(
            "this campaign was last played on another machine, and two players would submit twice: stop the other one, "
            "then start here with --takeover"
        )
    taken_over = datetime.fromisoformat(taken) if taken else None
    return Identity(record["run"], record["epoch"], started, record["machine"], taken_over)


def _recovered(store: Store, machine: str) -> Identity | None:
    """The identity that the submissions' own records name; None when nothing was prepared yet."""
    tries = attempts(store)
    records = [record for attempt in tries for record in (attempt.sent, attempt.intent) if record]
    tags = [match for record in records if (match := _TAG.search(record["tag"]))]
    if tags:
        started = min(datetime.fromisoformat(record["created"]) for record in records)
        return Identity(tags[-1][1], max(int(tag[2]) for tag in tags), started, machine)
    if any(attempt.sent is not None for attempt in tries):
        raise FatalEnding(f"rounds/{CAMPAIGN_FILE} and the submission records are damaged: restore them from a backup")
    return None


def _founded(store: Store, identity: Identity) -> Identity:
    taken = identity.taken_over
    times = {"started": identity.started.isoformat(), "taken_over": taken.isoformat() if taken else None}
    store.write(CAMPAIGN_FILE, {**asdict(identity), **times})
    return identity
