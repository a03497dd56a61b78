"""What `doctor` says about Kaggle: the credentials, and where a campaign needs them what Kaggle answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import keys
from orchestrator.checks import Check, private
from orchestrator.competitions.kaggle.credentials import Credentials, find
from orchestrator.competitions.kaggle.errors import TOKEN_FIX
from orchestrator.competitions.kaggle.slug import url_of
from orchestrator.errors import BadInput, CompetitionError

if TYPE_CHECKING:
    from orchestrator.competitions.kaggle.client import KaggleClient
    from orchestrator.config import Config

TIMEOUT_S = 15.0
"""For each of a few calls."""
CLOCK_TOLERANCE = timedelta(minutes=5)


def kaggle(
    root: Path | None, config: Config, environment: Mapping[str, str], needed: bool, now: Callable[[], datetime]
) -> list[Check]:
    """The credentials; where Kaggle is needed also account, clock and competition, asked in bounded time."""
    own: dict[str, str] = {}
    if root is not None:
        with suppress(BadInput):  # told by the check of .env
            own = keys.read_env(root / ".env")
    found = find(environment, own)
    check = credentials(found, needed)
    if not needed or not found.found or check.ok is False:
        return [check]
    from orchestrator.competitions.kaggle.client import KaggleClient

    with KaggleClient(found, environment=environment, timeout_s=TIMEOUT_S, tries=1) as client:
        return [check, *_asked(client, config, now)]


def credentials(found: Credentials, needed: bool) -> Check:
    """Which form is there, as it would be tried; nothing of it is shown."""
    missing: bool | None = False if needed else None
    for one in found.found:
        with suppress(OSError):
            if (check := private("Kaggle", Path(one.source), missing)) is not None:
                return check
    if found.found:
        first, *others = (one.source for one in found.found)
        then = f"; then {', '.join(others)}" if others else ""
        return Check("Kaggle", True, f"credentials in {first}{then}")
    fix = f"{TOKEN_FIX} (chmod 600)"
    if found.problems:
        what, _, mend = found.problems[0].partition(": ")
        return Check("Kaggle", missing, what, mend or fix)
    if not needed:
        return Check("Kaggle", True, "no credentials; a local competition needs none")
    return Check("Kaggle", False, "no credentials in ~/.kaggle, the environment or the campaign's .env", fix)


def _asked(client: KaggleClient, config: Config, now: Callable[[], datetime]) -> list[Check]:
    try:
        account = client.whoami()
    except CompetitionError as error:
        return [_failed("Kaggle account", error)]
    checks = [Check("Kaggle account", True, f"{account or 'signed in'}, by {client.source}"), _clock(client, now)]
    slug = config.competition.slug
    return [*checks, _competition(client, slug, config)] if slug else checks


def _clock(client: KaggleClient, now: Callable[[], datetime]) -> Check:
    try:
        theirs = client.server_time()
    except CompetitionError as error:
        return _failed("Kaggle's clock", error)
    off = now() - theirs
    if abs(off) <= CLOCK_TOLERANCE:
        return Check("Kaggle's clock", True, f"{theirs:%Y-%m-%d %H:%M:%S} UTC, as here")
    minutes = abs(off) / timedelta(minutes=1)
    amount = f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.0f} hours"
    what = f"this machine's clock is {amount} {'ahead of' if off > timedelta() else 'behind'} Kaggle's"
    return Check("Kaggle's clock", False, what, "set it (timedatectl set-ntp true): deadlines are counted by it")


def _competition(client: KaggleClient, slug: str, config: Config) -> Check:
    """Whether the competition is there, joined, and takes what this campaign would send."""
    name = "competition"
    try:
        info = client.competition(slug)
        if not info.entered:
            return Check(
                name, False, f"{slug}: this account has not joined", f"accept the rules at {url_of(slug, 'rules')}"
            )
        limits = client.submission_limits(slug)
    except CompetitionError as error:
        return _failed(name, error)
    left = f"{limits.allowed_now} of {info.daily_limit} submissions left today"
    ends = f", ends {info.deadline:%Y-%m-%d}" if info.deadline else ""
    if not config.submissions.enabled:
        return Check(name, True, f"{info.title or slug}{ends}; this campaign submits nothing")
    if info.deadline is not None and info.deadline < datetime.now(UTC):
        return Check(name, None, f"{slug} ended on {info.deadline:%Y-%m-%d}", "late submissions may still be scored")
    by = "; submissions are computed by notebooks at Kaggle" if info.code_only else ""
    return Check(name, True, f"{info.title or slug}{ends}; {left}{by}")


def _failed(name: str, error: CompetitionError) -> Check:
    what, _, fix = str(error).rpartition(": ")
    return Check(name, False, what or fix, fix if what else "try again later")
