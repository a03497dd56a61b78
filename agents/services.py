"""What the orchestrator lends to every session."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agents.costs import CostBook


@dataclass(frozen=True)
class Services:
    """`progress` hears events ("note", "wait", "answered", each with text); `environment` is where keys are looked up.

    `environment` holds the variables of the campaign's own `.env` over those that the configuration names.
    """

    campaign: Path
    costs: CostBook
    progress: Callable[..., None]
    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    environment: Mapping[str, str]
    seed: int = 0
