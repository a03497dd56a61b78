"""The one retry loop: what passes is waited out, in sight; what does not pass is raised as what it comes to."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from agents.errors import ContextFull, ModelUnreachable, ModelUnusable
from agents.models.provider import Fault, Reply
from agents.services import Services

_ATTEMPTS = 10_000
_LONGEST_BACKOFF_S = 60.0


class Patience:
    """Of one session; `begun` tells whether its conversation ever got a reply, `secret` must not be shown."""

    def __init__(
        self,
        role: str,
        settings: Mapping[str, Any],
        services: Services,
        *,
        seed: str,
        secret: str,
        begun: Callable[[], bool],
    ) -> None:
        self._role, self._settings, self._services = role, settings, services
        self._random = random.Random(seed)
        self._secret = secret
        self._begun = begun
        self._since: datetime | None = None
        """When the provider stopped answering; kept from turn to turn, so that only the first one waits for long."""

    def outlast(self, send: Callable[[], Reply]) -> Reply:
        """The first reply that `send` gets. Raises ContextFull, ModelUnusable, ModelUnreachable."""
        for attempt in range(_ATTEMPTS):
            try:
                reply = send()
            except Fault as fault:
                self._wait(fault, attempt)
                continue
            if self._since is not None:
                self._since = None
                self._services.progress("answered", text=f"{self._role}: its model answers again")
            return reply
        raise ModelUnreachable(f"{self._role}: no reply in {_ATTEMPTS:,} attempts")

    def _wait(self, fault: Fault, attempt: int) -> None:
        """Sleep before the next attempt, or raise what the fault comes to (alone: its cause may hold the key)."""
        said = fault.without(self._secret)
        if fault.kind == "context_full" or (fault.kind == "invalid" and self._begun()):
            raise ContextFull(
                f"{self._role}: {self._settings['model']} takes no more of this conversation: {said}"
            ) from None
        if fault.kind in ("unusable", "invalid"):
            where = f"agents.{self._role}"
            raise ModelUnusable(
                f"{self._role}: {self._settings['model']} answers {said}: "
                f"check {where}.model, {where}.base_url and {where}.key_variable in config.json"
            ) from None
        now = self._services.now()
        is_first, self._since = self._since is None, self._since or now
        passed, patience = (now - self._since).total_seconds(), self._settings["unreachable_minutes"] * 60
        if passed >= patience:
            raise ModelUnreachable(f"{self._role}: no answer for {passed / 60:.0f} minutes, last: {said}") from None
        wait = min(self._pause(fault, attempt), patience - passed)
        end = self._since + timedelta(seconds=patience)
        stands_in = is_first and self._settings.get("when_unreachable") == "offline"
        more = f"; the built-in player takes over at {end:%H:%M} UTC" if stands_in else ""
        self._services.progress(
            "wait", text=f"{self._role} waits {wait:.0f} s: {said}{more}", seconds=wait, role=self._role, why=said,
            since=self._since.isoformat(timespec="seconds"),
            until=(now + timedelta(seconds=wait)).isoformat(timespec="seconds"),
        )  # fmt: skip
        self._services.sleep(wait)

    def _pause(self, fault: Fault, attempt: int) -> float:
        """Seconds: doubled each time. Failures that cost money come ever more rarely, others at least each minute."""
        longest = float(self._settings["max_wait_s"])
        ceiling = longest if fault.costs else min(longest, _LONGEST_BACKOFF_S)
        backoff = min(ceiling, 0.5 * 2.0 ** min(attempt, 12)) * self._random.uniform(0.75, 1.25)
        return min(max(fault.wait or 0.0, backoff), longest)
