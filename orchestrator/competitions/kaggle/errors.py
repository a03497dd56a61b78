"""What can go wrong with Kaggle, and how each of its answers becomes one sentence.

CompetitionError
├── NeedsPerson   only a person can mend it: credentials, rules, phone, a closed competition
├── TryLater      the same call may work later; `after_s` when Kaggle said when
├── NotThere      no such competition, file, notebook or dataset, or not for this account
└── Refused       a definite no for another reason
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from orchestrator.competitions.base import NeedsPerson
from orchestrator.competitions.kaggle.slug import HOST, url_of
from orchestrator.errors import CompetitionError

__all__ = ["Failure", "NeedsPerson", "NotThere", "Refused", "TryLater", "explain", "notebooks_only", "one_sentence"]

TOKEN_FIX = f"make a new token at {HOST}/settings/api and put it into ~/.kaggle/access_token"
_PARTICIPATE = re.compile(r"competitions\.participate|must join|not joined|have not entered", re.I)
_RULES = re.compile(r"accept.{0,40}rules|rules.{0,40}accept", re.I | re.S)
_PHONE = re.compile(r"phone|verify your (account|identity)|identity verification", re.I)
_CLOSED = re.compile(r"submissions have been disabled|has ended|is (closed|over)|deadline has passed", re.I)
_DAILY = re.compile(r"daily submission allowance|submission limit|used its (daily|weekly)", re.I)
_NOTEBOOKS = re.compile(r"only accepts submissions from notebooks", re.I)


class TryLater(CompetitionError):
    """Kaggle or the network is not well now; `after_s` seconds is what Kaggle asked for."""

    def __init__(self, reason: str, *, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


class NotThere(CompetitionError):
    """Unknown, or hidden from this account: Kaggle does not tell which."""


class Refused(CompetitionError):
    """Kaggle said no, for certain; `passing`: another day may do."""

    def __init__(self, reason: str, *, passing: bool = False) -> None:
        super().__init__(reason)
        self.passing = passing


@dataclass(frozen=True)
class Failure:
    """How a call ended badly, as the child process tells it.

    kind      http (an answer with `status`), network (no answer), shape (an answer that can't be understood),
              credentials (none is accepted), local (the client refused to ask)
    reason    the server's own words where there are any
    request   the method that failed, such as CreateSubmission; empty before any
    """

    kind: str
    reason: str
    status: int = 0
    after_s: float | None = None
    request: str = ""

    @classmethod
    def of(cls, record: dict[str, Any]) -> Failure:
        after = record.get("after_s")
        return cls(
            str(record["kind"]),
            one_sentence(str(record.get("reason", ""))),
            int(record.get("status") or 0),
            None if after is None else float(after),
            str(record.get("request", "")),
        )


def one_sentence(text: str, limit: int = 300) -> str:
    """Text of a server on one line, without a final stop."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split()).rstrip(".")
    return line if len(line) <= limit else line[: limit - 1] + "…"


def explain(failure: Failure, *, call: str, slug: str = "", source: str = "") -> CompetitionError:
    """The exception for a failed call: `slug` is its competition, `source` where the credentials come from."""
    status, reason = failure.status, failure.reason or "no reason given"
    if failure.kind == "credentials":
        return NeedsPerson(f"Kaggle accepts none of the credentials ({reason}): {TOKEN_FIX}")
    if failure.kind == "network":
        return TryLater(f"Kaggle can't be reached ({call}: {reason}): check the network")
    if failure.kind == "shape":
        return TryLater(f"Kaggle's answer to {call} makes no sense ({reason})")
    if failure.kind == "local":
        return CompetitionError(f"{call}: {reason}")
    if status == 401:
        return NeedsPerson(f"Kaggle refuses the credentials of {source or 'this account'} ({reason}): {TOKEN_FIX}")
    if status == 429:
        wait = f" for {failure.after_s:.0f} s" if failure.after_s is not None else ""
        return TryLater(f"Kaggle asks to slow down{wait} ({call}: {reason})", after_s=failure.after_s)
    if status >= 500 or status == 408:
        return TryLater(f"Kaggle has trouble ({call}: {status} {reason})", after_s=failure.after_s)
    if (person := _for_a_person(reason, slug)) is not None:
        return person
    if status in (403, 404):
        what = f"competition {slug!r}" if slug else call
        hint = f"is the name right, and does {url_of(slug)} open for you?" if slug else "is the name right?"
        return NotThere(f"Kaggle has no {what} for this account ({status}: {reason}): {hint}")
    return Refused(f"Kaggle refuses {call} ({status}: {reason})", passing=_DAILY.search(reason) is not None)


def _for_a_person(reason: str, slug: str) -> NeedsPerson | None:
    """The refusals that only a person can mend."""
    if _RULES.search(reason):
        page = url_of(slug, "rules")
        return NeedsPerson(f"Kaggle wants the rules of {slug} accepted ({reason}): accept them at {page}")
    if _PHONE.search(reason):
        return NeedsPerson(f"Kaggle wants this account verified ({reason}): do so at {HOST}/settings")
    if _PARTICIPATE.search(reason):
        return NeedsPerson(
            f"this account has not joined {slug} ({reason}): join and accept the rules at {url_of(slug, 'rules')}, "
            "or correct competition.slug"
        )
    if _CLOSED.search(reason):
        return NeedsPerson(
            f"{slug} takes no submissions any more ({reason}): set submissions.enabled to false to play on without"
        )
    if _NOTEBOOKS.search(reason):
        return notebooks_only(slug, reason)
    return None


def notebooks_only(slug: str, reason: str = "") -> NeedsPerson:
    told = f" ({reason})" if reason else ""
    return NeedsPerson(
        f"{slug} takes submissions from notebooks only{told}: set submissions.enabled to false and hand in "
        "a notebook by hand"
    )
