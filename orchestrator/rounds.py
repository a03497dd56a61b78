"""The names of a round's files, and whether a phase's work is there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_ROUND_NAME = re.compile(r"^R(\d{2,})_")


def label(number: int) -> str:
    """`R07` for round 7, `R123` for round 123."""
    return f"R{number:02d}"


@dataclass(frozen=True)
class RoundFiles:
    """The files of one round; `variant` is the strategy's number when a round tries several (else 0)."""

    folder: Path
    number: int
    variant: int = 0

    @property
    def label(self) -> str:
        return label(self.number)

    @property
    def prefix(self) -> str:
        return f"{self.label}_v{self.variant}" if self.variant else self.label

    def path(self, name: str) -> Path:
        """`rounds/R07_plan.md` for `plan.md`."""
        return self.folder / f"{self.prefix}_{name}"

    def has(self, name: str) -> bool:
        """A file of zero bytes is no file."""
        try:
            return self.path(name).stat().st_size > 0
        except OSError:
            return False


def numbers(folder: Path) -> list[int]:
    """The rounds that have any file in `folder`, ascending."""
    found = {int(match[1]) for entry in folder.iterdir() if (match := _ROUND_NAME.match(entry.name))}
    return sorted(found)
