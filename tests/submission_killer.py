"""A ledger's records on disk whose process dies at a chosen step."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from orchestrator.submission_records import DiskStore, Frozen


class Killer:
    """SIGKILLs this process at the nth step, and tells the name of each before it."""

    def __init__(self, left: int | None, told: Path) -> None:
        self.left, self.told = left, told

    def step(self, name: str) -> None:
        with self.told.open("a") as file:
            file.write(name + "\n")
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                os.kill(os.getpid(), signal.SIGKILL)


class DeadlyStore(DiskStore):
    def __init__(self, folder: Path, killer: Killer) -> None:
        super().__init__(folder)
        self.killer = killer

    def write(self, name: str, record: dict[str, Any]) -> None:
        kind = name.rpartition("_")[2].removesuffix(".json")
        self.killer.step(f"before {kind}")
        super().write(name, record)
        self.killer.step(f"after {kind}")

    def freeze(self, number: int, run: str) -> Frozen:
        self.killer.step("before freeze")
        frozen = super().freeze(number, run)
        self.killer.step("after freeze")
        return frozen
