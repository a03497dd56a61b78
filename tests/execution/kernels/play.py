"""A referee whose experiments run in kernels of the local Kaggle."""

from __future__ import annotations

import itertools
import json
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
from tests.kill.harness import EXPERIMENT
from tests.referee.conftest import Stand

QUICK = EXPERIMENT.replace("PREDICTION", "0.3")
"""A constant, without an import that takes time."""
_runs = itertools.count(0x0A1B2C3D)


def connect(server: Kaggle, home: Path) -> KaggleClient:
    environment = server.environment(home)
    return KaggleClient(find(environment), environment=environment, timeout_s=20, sleep=lambda _: None)


class Play:
    """One orchestrator's view: its executor and its notes. `restart` forgets all that is not on disk."""

    def __init__(self, stand: Stand, server: Kaggle, client: KaggleClient, **policy: Any) -> None:
        self.stand, self.server, self.client, self.policy = stand, server, client, policy
        self.pace = Pace(poll_s=0.04)
        self.name = f"{next(_runs):08x}"
        self.notes: list[str] = []
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.react: Callable[[str], object] = lambda note: None
        self.facts = stand.root / "KAGGLE_API.md"
        self.restart()

    def restart(self) -> None:
        site = KernelSite(
            self.client,
            rounds=self.stand.rounds,
            scratch=self.stand.root / ".work" / "kernels",
            run=self.name,
            now=lambda: self.now(),
            tell=self.hear,
            pace=self.pace,
        )
        assert self.stand.sandbox is not None
        policy = KernelPolicy(facts_file=self.facts, **self.policy)
        self.executor = KaggleKernels(site, LocalExecutor(self.stand.sandbox, 2), policy)

    def hear(self, text: str, level: str = "info") -> None:
        self.notes.append(text)
        self.react(text)

    def referee(self) -> Referee:
        tell = self.stand.events
        return Referee(
            self.stand.root, self.stand.config, self.executor,
            progress=lambda name, **fields: tell.append((name, fields)),
        )  # fmt: skip

    def run(self, script: str, number: int = 1, **how: Any) -> dict[str, Any]:
        return self.stand.run(script, number, referee=self.referee(), **how)

    def ref(self, what: int | str) -> str:
        """A kernel or dataset by its fold, or by the end of its name."""
        return f"{USER}/autokaggle-{self.name}-{f'fold-{what}' if what != 'shared' else what}"

    def pushes(self, fold: int | str) -> list[dict[str, Any]]:
        """Every version of a fold's kernel, oldest first."""
        return list(self.server.control("runs", ref=self.ref(fold)))

    def entry(self, fold: int | str, number: int = 1) -> dict[str, Any]:
        """What the campaign's record knows of a run."""
        return dict(json.loads(self.stand.files(number).path("kernels.json").read_text())["runs"][f"fold_{fold}"])

    def told(self, text: str) -> bool:
        return any(text in note for note in self.notes)
