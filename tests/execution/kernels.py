"""A referee whose experiments run in kernels of the local Kaggle."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.competitions.kaggle.client import KaggleClient
from orchestrator.competitions.kaggle.credentials import find
from orchestrator.execution.kaggle_kernel import KaggleKernels, KernelPolicy
from orchestrator.execution.kernel_site import KernelSite, Pace
from orchestrator.execution.local import LocalExecutor
from orchestrator.referee.run import Referee
from tests.kaggle_server.start import USER, Kaggle
from tests.referee.conftest import Stand

RUN = "0a1b2c3d"
SWIFT = Pace(poll_s=0.05, settle_s=0.5, seen_s=0.1, busy_s=0.1, quota_s=0.2)


def ref(fold: int | str) -> str:
    return f"{USER}/autokaggle-{RUN}-fold-{fold}"


class Play:
    """One orchestrator's view: its client, its executor, its notes. `restart` is what a kill and a new start do."""

    def __init__(self, stand: Stand, server: Kaggle, home: Path, **policy: Any) -> None:
        self.stand, self.server, self.home, self.policy = stand, server, home, policy
        self.pace = SWIFT
        self.notes: list[str] = []
        self.clients: list[KaggleClient] = []
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.facts = stand.root / "KAGGLE_API.md"
        self.restart()

    def restart(self) -> None:
        environment = self.server.environment(self.home)
        client = KaggleClient(find(environment), environment=environment, timeout_s=20, sleep=lambda _: None)
        self.clients.append(client)
        site = KernelSite(
            client,
            rounds=self.stand.rounds,
            scratch=self.stand.root / ".work" / "kernels",
            run=RUN,
            now=lambda: self.now(),
            tell=lambda text, level="info": self.notes.append(text),
            pace=self.pace,
        )
        assert self.stand.sandbox is not None
        policy = KernelPolicy(facts_file=self.facts, **self.policy)
        self.executor = KaggleKernels(site, LocalExecutor(self.stand.sandbox, 2), policy)

    def referee(self) -> Referee:
        tell = self.stand.events
        return Referee(
            self.stand.root, self.stand.config, self.executor,
            progress=lambda name, **fields: tell.append((name, fields)),
        )  # fmt: skip

    def run(self, script: str, number: int = 1, **how: Any) -> dict[str, Any]:
        return self.stand.run(script, number, referee=self.referee(), **how)

    def pushes(self, fold: int | str) -> list[dict[str, Any]]:
        try:
            return list(self.server.control("runs", ref=ref(fold)))
        except (ValueError, OSError):
            return []

    def close(self) -> None:
        for client in self.clients:
            client.close()
