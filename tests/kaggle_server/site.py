"""Everything that this Kaggle knows, and its clock."""

from __future__ import annotations

import itertools
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.kaggle_server.faults import Faults
from tests.kaggle_server.wire import Refusal


@dataclass
class Settings:
    """What holds for every request."""

    error_shape: str = "nested"
    """Bodies of errors: nested, as the gateway answers, or flat."""
    clock_offset_s: float = 0.0
    """The server's clock less the machine's."""
    polls_to_score: int = 1
    """How often a submission is looked at before it is scored."""
    listing_lag_s: float = 0.0
    """A submission is not listed before this age, by the server's clock."""
    listing_lag_polls: int = 0
    """… nor before it was missing from so many listings."""
    limits_lag_s: float = 0.0
    """A submission is not counted by GetSubmissionLimits before this age."""
    reorder_listing: bool = False
    """Oldest submissions first, which no page promises."""
    url_seconds: float = 3600.0
    """Life of a signed URL, by the server's clock."""
    storage_bytes_per_s: float = 0.0
    """Speed of every download; 0 = as fast as it goes."""
    api_version: str = ""
    """The newest client that the server tells about."""
    kernel_sessions: int = 2
    """Batch sessions with a GPU at a time."""
    kernel_queue_polls: int = 1
    kernel_run_polls: int = 1
    """How often a kernel's status is asked while it waits, and while it runs without being executed."""
    kernel_execute: bool = True
    """Run the code that is pushed."""
    kernel_stale_polls: int = 0
    """How often a new push still shows the session before it."""
    kernel_limit_s: float = 600.0
    dataset_ready_polls: int = 1
    gpu_hours: float = 30.0
    gpu_used_hours: float = 0.0
    tpu_hours: float = 20.0
    """Weekly quotas."""
    clock_frozen_at: str = ""
    """An ISO time at which the clock stands still; "" = it runs."""


@dataclass
class Submission:
    ref: int
    slug: str
    user: str
    made: datetime
    description: str
    file_name: str
    data: bytes
    status: str = "PENDING"
    polls_left: int = 0
    hidden_polls: int = 0
    public: str = ""
    private: str = ""
    error: str = ""
    sandbox: bool = False
    kernel: str = ""


@dataclass
class Competition:
    """A competition as the control defines it; `folder` holds the files that people download."""

    slug: str
    folder: str = ""
    title: str = ""
    description: str = ""
    category: str = "Playground"
    reward: str = "Swag"
    metric_text: str = ""
    tags: list[str] = field(default_factory=lambda: ["tabular"])
    pages: dict[str, str] = field(default_factory=dict)
    archive: str = ""
    """A file to serve as the bulk download, instead of a zip of the folder."""
    names: dict[str, str] = field(default_factory=dict)
    """Files besides those of the folder: name as listed → path."""
    deadline: str = "2099-12-31T23:59:00Z"
    daily_limit: int = 5
    max_team_size: int = 5
    rules_accepted: bool = True
    entered: bool = True
    code_only: bool = False
    submissions_disabled: bool = False
    phone_needed: bool = False
    awards_points: bool = False
    required_name: str = ""
    """The only name that a submission file may have."""
    scoring: dict[str, Any] = field(default_factory=dict)
    """See scoring.py; without it every submission scores 0.5."""
    leaderboard: list[dict[str, Any]] = field(default_factory=list)
    """Other teams: {"team", "score"} and, if wanted, "entries", "members", "date"."""
    maximize: bool = True
    topics: list[dict[str, Any]] = field(default_factory=list)
    submissions: list[Submission] = field(default_factory=list)

    @property
    def number(self) -> int:
        return 10_000 + sum(map(ord, self.slug)) % 80_000


@dataclass
class Upload:
    token: str
    name: str
    length: int
    data: bytes = b""
    done: bool = False


class Site:
    """One Kaggle. Methods that touch its tables hold `lock`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self.lock = threading.RLock()
        self.settings = Settings()
        self.faults = Faults()
        self.users: dict[str, dict[str, str]] = {}
        """By name: {"key", "token"}."""
        self.competitions: dict[str, Competition] = {}
        self.uploads: dict[str, Upload] = {}
        self.signed: dict[str, tuple[Path, datetime]] = {}
        """Signature → file, and when it was signed."""
        self.expired: set[str] = set()
        self.kernels: dict[str, Any] = {}
        self.outcomes: dict[str, list[dict[str, Any]]] = {}
        """How the next runs of a kernel ("*": of any) end, instead of being executed."""
        self.datasets: dict[str, Any] = {}
        self.log: list[dict[str, Any]] = []
        self.leaks: list[str] = []
        self._numbers: defaultdict[str, itertools.count[int]] = defaultdict(lambda: itertools.count(1))

    def now(self) -> datetime:
        """The server's clock, UTC."""
        if self.settings.clock_frozen_at:
            stands = datetime.fromisoformat(self.settings.clock_frozen_at)
            return stands.astimezone(UTC) if stands.tzinfo else stands.replace(tzinfo=UTC)
        return datetime.now(UTC) + timedelta(seconds=self.settings.clock_offset_s)

    def next(self, kind: str) -> int:
        """The next number of a kind, from 1."""
        with self.lock:
            return next(self._numbers[kind])

    def competition(self, slug: str) -> Competition:
        found = self.competitions.get(slug.rstrip("/").rpartition("/")[2])
        if found is None:
            raise Refusal(404, "Competition not found")
        return found

    def secrets(self) -> list[str]:
        return [secret for user in self.users.values() for secret in user.values() if secret]
