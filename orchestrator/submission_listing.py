"""The competition's listing as the ledger reads it: whose entry is whose, and how much of a day is gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from orchestrator.competitions.base import Competition, Submission
from orchestrator.rounds import label
from orchestrator.submission_records import Attempt, Identity, Tag, parse_tag


@dataclass(frozen=True)
class Listing:
    """All entries of the team, each with the tag that it carries or None, and our own tries at that time."""

    identity: Identity
    tries: Sequence[Attempt]
    entries: list[tuple[Submission, Tag | None]]
    guard: timedelta
    horizon: timedelta

    @classmethod
    def of(cls, identity: Identity, tries: Sequence[Attempt], site: Competition) -> Listing:
        """Ask `site`; raises CompetitionError when it can't be reached."""
        tagged = [(entry, parse_tag(entry)) for entry in site.submissions()]
        guard, horizon = timedelta(seconds=site.clock_guard_s), timedelta(seconds=site.horizon_s)
        return cls(identity, tries, tagged, guard, horizon)

    def by_ref(self, ref: str) -> Submission | None:
        return next((entry for entry, _ in self.entries if ref and entry.ref == ref), None)

    def by_round(self, number: int, sha256: str) -> Submission | None:
        """This campaign's entry for the round; an empty `sha256` (a damaged record) matches any bytes."""
        for entry, tag in self.entries:
            ours = tag is not None and (tag.run, tag.round) == (self.identity.run, number)
            if ours and tag is not None and (not sha256 or tag.sha12 == sha256[:12]):
                return entry
        return None

    def by_bytes(self, sha256: str) -> Submission | None:
        """An entry of any campaign that holds these bytes."""
        return next((entry for entry, tag in self.entries if tag is not None and tag.sha12 == sha256[:12]), None)

    def by_hand(self, number: int, size: int) -> Submission | None:
        """A person's upload of the round's own file."""
        for entry, tag in self.entries:
            same = entry.file_name == f"{label(number)}_submission.csv" and entry.total_bytes == size
            if tag is None and same and entry.when >= self.identity.started:
                return entry
        return None

    def intruder(self, about_to_send: tuple[int, str] | None) -> str:
        """Why another player of this campaign must be at work, or nothing.

        `about_to_send`: (round, sha12); such an entry may be adopted. Entries of earlier epochs are fine until the
        horizon after the takeover: the records may have been copied just before they were made.
        """
        known = {(a.round, a.sha256[:12]) for a in self.tries if a.sent is not None or a.receipt is not None}
        known |= {about_to_send} if about_to_send else set()
        taken = self.identity.taken_over
        for entry, tag in self.entries:
            if tag is None or tag.run != self.identity.run or tag.epoch is None:
                continue
            if tag.epoch > self.identity.epoch:
                return f"{tag} was sent by a machine that took this campaign over"
            late = taken is not None and entry.when > taken + self.horizon
            unknown = not {(tag.round, tag.sha12), (tag.round, "")} & known
            if unknown and (tag.epoch == self.identity.epoch or late):
                return f"{tag} was submitted in this campaign's name, and not from here"
        return ""

    def used(self, site_count: int, today: date) -> int:
        """The most that can be gone of `today`: by the site's count, by our marks, by what shows and what may not yet.

        An entry counts whatever its status and whoever sent it.
        """
        remote = sum(1 for entry, _ in self.entries if entry.when.date() == today)
        ours = unseen = 0
        for attempt in self.tries:
            if attempt.sent is None or not attempt.went_out:
                continue
            seen = self.by_round(attempt.round, attempt.sha256) is not None
            ours += _may_count(attempt.sent_at, today, self.guard, self.guard)
            unseen += not seen and _may_count(attempt.sent_at, today, self.guard, self.guard + self.horizon)
        return max(site_count, ours, remote + unseen)


def _may_count(sent: datetime | None, today: date, before: timedelta, after: timedelta) -> bool:
    """Whether a request sent then may count for `today`; one near midnight counts for both days."""
    return sent is None or (sent - before).date() <= today <= (sent + after).date()
