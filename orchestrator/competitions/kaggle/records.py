"""What Kaggle tells, as plain records. Times are UTC with a zone; None where Kaggle says nothing."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

Record = TypeVar("Record")


@dataclass(frozen=True)
class CompetitionInfo:
    slug: str
    title: str
    url: str
    metric: str
    """Free text; its direction is not told."""
    deadline: datetime | None
    daily_limit: int
    code_only: bool
    entered: bool
    submissions_disabled: bool


@dataclass(frozen=True)
class RemoteFile:
    name: str
    bytes: int
    created: datetime | None = None


@dataclass(frozen=True)
class LeaderboardRow:
    rank: int
    team: str
    score: float


@dataclass(frozen=True)
class NotebookInfo:
    ref: str
    """owner/slug"""
    title: str
    author: str
    votes: int
    last_run: datetime | None


@dataclass(frozen=True)
class NotebookSource:
    text: str
    language: str
    kind: str
    """notebook (`text` is JSON) or script"""
    version: int | None = None


@dataclass(frozen=True)
class TopicInfo:
    id: int
    title: str
    author: str
    votes: int
    comments: int
    posted: datetime | None


@dataclass(frozen=True)
class Message:
    author: str
    votes: int
    posted: datetime | None
    text: str


@dataclass(frozen=True)
class KernelPush:
    """`error` is a refusal that comes with HTTP 200; `invalid` names sources that Kaggle left out."""

    ref: str
    url: str
    version: int | None
    error: str = ""
    invalid: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Quota:
    """Hours of GPU in this week."""

    gpu_used_h: float
    gpu_total_h: float
    refresh: datetime | None = None


def made(cls: type[Record], record: dict[str, Any]) -> Record:
    """A record from what the child process sent: times are ISO text there. Raises KeyError and ValueError."""
    values = {}
    for one in dataclasses.fields(cls):  # type: ignore[arg-type]
        if one.name not in record:
            continue
        value = record[one.name]
        is_time = isinstance(value, str) and "datetime" in str(one.type)
        values[one.name] = datetime.fromisoformat(value) if is_time else value
    return cls(**values)
