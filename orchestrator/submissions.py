"""The submission ledger: at most one submission for each round, and never more than the allowance.

The competition has no key that makes a repeated request harmless, so the ledger never repeats one:
intent → list → budget → sent mark → one request → receipt. A crash before the sent mark is redone freely; after it,
the listing alone decides, and a submission that never shows up is given up together with its slot.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from orchestrator.competitions.base import Competition, NeedsPerson, Submission, SubmissionRefused
from orchestrator.config import SubmissionsSection
from orchestrator.errors import CompetitionError, FatalEnding, OutputRejected
from orchestrator.rounds import RoundFiles, label
from orchestrator.submission_listing import Listing
from orchestrator.submission_records import Attempt, Frozen, Identity, Receipt, Store, Tag, attempts, record_name


@dataclass
class SubmissionLedger:
    """Submits rounds of one campaign and knows how each of them stands.

    `now` is this machine's clock, for `created` alone: days and waiting times go by the competition's clock.
    Methods that ask the competition raise CompetitionError when it can't be reached, except `submit`; NeedsPerson
    when no waiting helps; and FatalEnding when another player submits in this campaign's name.
    """

    store: Store
    identity: Identity
    competition: Competition
    config: SubmissionsSection
    now: Callable[[], datetime]

    def submit(self, files: RoundFiles, reason: str) -> Receipt:
        """Submit the round's `submission.csv` unless it was; the same receipt however often it is called.

        A receipt of status "held" or "sent" is not durable: call again later. `reason` goes into the description.
        """
        last = self._last(files.number)
        if last is not None and last.receipt is not None and not last.receipt.retry:
            return self._as_seen(last.receipt)
        if last is not None and last.receipt is None and last.sent is not None:
            return self._reconcile(last)
        number = 1 if last is None else last.number + (last.receipt is not None)
        if not self.config.enabled:
            return Receipt(files.number, "held", "submissions are switched off in config.json")
        blank = Receipt(files.number, "rejected", attempt=number)
        try:
            frozen = self.store.freeze(files.number, self.identity.run)
        except OutputRejected as error:
            return self._close(replace(blank, reason=f"not sent: {error}"))
        intent = self._intend(files.number, number, frozen, reason)
        blank = replace(blank, tag=intent["tag"], csv_sha256=frozen.sha256, bytes=frozen.bytes)
        grade = self.competition.grade(frozen.path)
        if not grade.valid:
            return self._close(replace(blank, reason=f"not sent: {grade.error}"))
        try:
            clear = self._look(blank)
            if isinstance(clear, datetime):
                self.competition.prepare(frozen.path)
                clear = self._look(blank)  # preparing may have taken minutes
        except SubmissionRefused as error:
            return self._close(replace(blank, reason=str(error), retry=error.passing))
        except NeedsPerson:
            raise
        except CompetitionError as error:
            return replace(blank, status="held", reason=f"the competition could not be asked: {error}")
        if isinstance(clear, Receipt):
            return clear
        sent = {**intent, "sent": clear.isoformat()}
        self.store.write(record_name(files.number, number, "sent"), sent)
        return self._post(replace(blank, sent=sent["sent"]), frozen, str(intent["description"]))

    def receipts(self) -> dict[int, Receipt]:
        """How each round stands by the files alone, without those of which nothing was sent or closed."""
        last = {attempt.round: attempt for attempt in attempts(self.store)}
        found: dict[int, Receipt] = {}
        for number, attempt in last.items():
            if attempt.receipt is not None:
                found[number] = self._as_seen(attempt.receipt)
            elif attempt.sent is not None:
                found[number] = self._pending(attempt)
        return found

    def scores(self) -> dict[int, float | None]:
        """Poll the listing, settle what waits, note what it says in R<NN>_lb.json; by round, None = no score yet."""
        listing = self._listing()
        for attempt in listing.tries:
            if attempt.sent is not None and attempt.receipt is None:
                self._settle(attempt, listing)
        scores: dict[int, float | None] = {}
        for number, receipt in self.receipts().items():
            entry = listing.by_ref(receipt.ref) or listing.by_round(number, receipt.csv_sha256)
            if entry is None and receipt.status == "duplicate":
                entry = listing.by_bytes(receipt.csv_sha256)
            if entry is not None and receipt.status != "rejected":
                self._note(number, entry)
                scores[number] = entry.public_score
        return scores

    def waiting(self) -> set[int]:
        """Rounds that went out and have no score or error yet, by the files alone."""
        found = set()
        for number, receipt in self.receipts().items():
            seen = self.store.read(_lb_name(number))
            pending = seen["status"] == "pending" if seen else receipt.status == "accepted"
            if receipt.status == "sent" or (pending and receipt.status != "rejected"):
                found.add(number)
        return found

    def used_today(self) -> int:
        """Slots of the competition's day that are gone, whoever used them."""
        return self.counts()["today"]

    def remaining_today(self) -> int:
        """Slots that the campaign may still use today."""
        return self.counts()["left_today"]

    def counts(self) -> dict[str, int]:
        """{"today": slots used, "left_today": slots that the campaign may still use}."""
        used, cap, allowed_now = self._allowance(self._listing(), self.competition.server_time())
        left = max(0, min(cap - used, allowed_now)) if self.config.enabled else 0
        return {"today": used, "left_today": left}

    def _last(self, number: int) -> Attempt | None:
        return next((a for a in reversed(attempts(self.store)) if a.round == number), None)

    def _intend(self, number: int, attempt: int, frozen: Frozen, reason: str) -> dict[str, Any]:
        tag = str(Tag(self.identity.run, self.identity.epoch, number, frozen.sha256[:12]))
        words = " ".join(re.sub(r"[^A-Za-z0-9.,=+-]+", " ", reason).split())
        intent = {
            "tag": tag,
            "csv_sha256": frozen.sha256,
            "bytes": frozen.bytes,
            "round": number,
            "file": frozen.path.name,
            "description": f"{tag} {words[:80]}".strip(),
            "created": self.now().isoformat(),
        }
        self.store.write(record_name(number, attempt, "intent"), intent)
        return intent

    def _post(self, blank: Receipt, frozen: Frozen, description: str) -> Receipt:
        why = ""
        try:
            ref = self.competition.submit(frozen.path, description)
        except SubmissionRefused as error:
            receipt = self._close(replace(blank, status="rejected", reason=str(error), retry=error.passing))
            if error.needs_person:
                raise NeedsPerson(str(error)) from error
            return receipt
        except CompetitionError as error:
            ref, why = "", str(error)  # it may have arrived: only the listing can tell
        if ref:
            return self._close(replace(blank, status="accepted", ref=ref))
        last = self._last(blank.round)
        assert last is not None
        receipt = self._reconcile(last)
        return replace(receipt, reason=f"{why}; {receipt.reason}") if why and receipt.status == "sent" else receipt

    def _reconcile(self, attempt: Attempt) -> Receipt:
        try:
            listing = self._listing()
        except NeedsPerson:
            raise
        except CompetitionError as error:
            return replace(self._pending(attempt), reason=f"sent, and the listing can't be read: {error}")
        return self._settle(attempt, listing)

    def _settle(self, attempt: Attempt, listing: Listing) -> Receipt:
        """End a sent attempt by what the listing shows."""
        pending = self._pending(attempt)
        if (entry := listing.by_round(attempt.round, attempt.sha256)) is not None:
            return self._close(replace(pending, status="accepted", reason="", ref=entry.ref, found=True))
        server = self.competition.server_time()
        if attempt.sent_at is not None and server < attempt.sent_at + timedelta(seconds=self.competition.horizon_s):
            return pending
        if self.competition.list_is_final:
            reason = "it never arrived, as the competition's complete list shows"
            return self._close(replace(pending, status="rejected", reason=reason, retry=True))
        reason = "sent once, never seen in the listing: its slot counts as spent and it is not sent again"
        sent = pending.sent or server.isoformat()
        return self._close(replace(pending, status="unknown", reason=reason, sent=sent))

    def _pending(self, attempt: Attempt) -> Receipt:
        record = attempt.sent or attempt.intent or {}
        return Receipt(
            attempt.round,
            "sent",
            "sent, not in the listing yet",
            tag=str(record.get("tag", "")),
            csv_sha256=attempt.sha256,
            bytes=int(record.get("bytes", 0)),
            sent=attempt.sent_at.isoformat() if attempt.sent_at else "",
            attempt=attempt.number,
        )

    def _close(self, receipt: Receipt) -> Receipt:
        self.store.write(record_name(receipt.round, receipt.attempt, "receipt"), asdict(receipt))
        return receipt

    def _as_seen(self, receipt: Receipt) -> Receipt:
        """A receipt with a later sighting taken in."""
        if receipt.status != "unknown" or (seen := self.store.read(_lb_name(receipt.round))) is None:
            return receipt
        return replace(receipt, status="accepted", reason="", ref=str(seen["ref"]), found=True)

    def _note(self, number: int, entry: Submission) -> None:
        record = {
            "ref": entry.ref,
            "status": entry.status,
            "public_score": entry.public_score,
            "when": entry.when.isoformat(),
            "error": entry.error,
        }
        if self.store.read(_lb_name(number)) != record:
            self.store.write(_lb_name(number), record)

    def _listing(self, about_to_send: tuple[int, str] | None = None) -> Listing:
        listing = Listing.of(self.identity, attempts(self.store), self.competition)
        if why := listing.intruder(about_to_send):
            raise FatalEnding(
                f"submitting stops: {why}; let one machine play, and start it with --takeover to go on from here"
            )
        return listing

    def _look(self, blank: Receipt) -> Receipt | datetime:
        """The competition's time when nothing speaks against sending now, else the receipt that says what does."""
        listing = self._listing((blank.round, blank.csv_sha256[:12]))
        if (earlier := self._earlier(blank, listing)) is not None:
            return self._close(earlier)
        server = self.competition.server_time()
        why_not = self._why_not(listing, server)
        return replace(blank, status="held", reason=why_not) if why_not else server

    def _earlier(self, blank: Receipt, listing: Listing) -> Receipt | None:
        """The receipt when these bytes are there already: this round's, another round's, or sent by a person."""
        if (entry := listing.by_round(blank.round, blank.csv_sha256)) is not None:
            return replace(blank, status="accepted", ref=entry.ref, found=True)
        if (entry := listing.by_bytes(blank.csv_sha256)) is not None:
            return replace(blank, status="duplicate", ref=entry.ref, reason=f"same bytes as {entry.description[:40]}")
        if (entry := listing.by_hand(blank.round, blank.bytes)) is not None:
            why = "a person submitted this file by hand"
            return replace(blank, status="accepted", ref=entry.ref, reason=why, found=True, by_hand=True)
        for other in listing.tries:
            if other.round != blank.round and other.went_out and other.sha256 == blank.csv_sha256:
                ref = other.receipt.ref if other.receipt else ""
                return replace(blank, status="duplicate", ref=ref, reason=f"same bytes as {label(other.round)}")
        return None

    def _why_not(self, listing: Listing, server: datetime) -> str:
        """Why nothing may be sent now, or nothing."""
        guard = timedelta(seconds=self.competition.clock_guard_s)
        if (server - guard).date() != (server + guard).date():
            return f"within {guard} of midnight UTC, where the day to count is not certain"
        settled = self.identity.taken_over
        if settled is not None and server < settled + timedelta(seconds=self.competition.horizon_s):
            return "this machine took the campaign over: what the other one sent may still show up"
        used, cap, allowed_now = self._allowance(listing, server)
        if used >= cap:
            return f"{used} of today's {cap} submissions are used"
        return "" if allowed_now > 0 else "the competition allows no submission now"

    def _allowance(self, listing: Listing, server: datetime) -> tuple[int, int, int]:
        """(used today, the most of today that is ours to use, what the site allows at this moment)."""
        limits = self.competition.limits()
        own = limits.daily if self.config.daily_limit is None else self.config.daily_limit
        used = listing.used(limits.used_today, server.date())
        return used, min(own, limits.daily) - self.config.reserve, limits.allowed_now


def _lb_name(number: int) -> str:
    return f"{label(number)}_lb.json"
