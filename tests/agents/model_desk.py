"""A session with a local server, and the turns that tests give it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agents.costs import Caps, CostBook
from agents.services import Services
from agents.session import AgentSession, Turn, open_session
from tests.model_server.client import PRICE, ModelServer

KEY = "sk-canary-77aa"
PLAN = '# Plan\n\n```json\n{"strategies": [{"family": "constant", "recipe": "always 5"}]}\n```\n'
SETTINGS: dict[str, Any] = {
    "model": "scripted-model",
    "script": None,
    "effort": None,
    "key_variable": None,
    "price": PRICE,
    "fallback_model": None,
    "summary_model": None,
    "web_search": False,
    "cache_ttl": "5m",
    "max_output_tokens": 4000,
    "context_tokens": None,
    "context_cap": 150_000,
    "max_tokens_field": "max_completion_tokens",
    "unreachable_minutes": 30,
    "stalled_minutes": 30,
    "max_wait_s": 900,
    "max_requests": 12,
}


@dataclass
class Desk:
    """One campaign folder, its clock (that sleeping advances) and its money."""

    root: Path
    server: ModelServer
    backend: str
    caps: Caps = field(default_factory=lambda: Caps(usd=10.0))
    time: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    environment: dict[str, str] = field(default_factory=lambda: {"ANTHROPIC_API_KEY": KEY, "OPENAI_API_KEY": KEY})
    heard: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.root / "rounds").mkdir(parents=True, exist_ok=True)
        self._opened: list[AgentSession] = []
        self.costs = CostBook(self.root / "costs.jsonl", self.caps, lambda: self.time)

    def settings(self, **changes: Any) -> dict[str, Any]:
        return {**SETTINGS, "backend": self.backend, "base_url": self.server.url(self.backend), **changes}

    def services(self) -> Services:
        return Services(
            campaign=self.root,
            costs=self.costs,
            progress=lambda event, **fields: self.heard.append({"event": event, **fields}),
            now=lambda: self.time,
            sleep=self.sleep,
            environment=self.environment,
        )

    def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)

    def open(self, role: str = "builder", generation: int = 1, **changes: Any) -> AgentSession:
        folder = self.root / "sessions" / role
        session = open_session(role, self.settings(**changes), folder, generation, 1, self.services())
        self._opened.append(session)
        return session

    def close(self) -> None:
        for session in self._opened:
            session.close()
        self.costs.close()

    @property
    def transcript(self) -> Path:
        return self.root / "sessions" / "builder" / "1.jsonl"

    def billed(self) -> float:
        """What the server charged for answers that it sent whole."""
        return float(sum(request["billed"] for request in self.server.requests() if request.get("sent")))


def turn(
    root: Path,
    id: str = "R01/plan",
    makes: tuple[str, ...] = ("plan.md",),
    role: str = "builder",
    **tools: Callable[..., Any],
) -> Turn:
    label, phase = id.split("/")[:2]
    files = {name: root / "rounds" / f"{label}_{name}" for name in makes}

    def write(name: str, text: str) -> None:
        files[name].write_text(text)

    return Turn(
        id=id, role=role, phase=phase, round=int(label[1:]), prompt="do it", campaign=root, needs={}, makes=files,
        write=write, tools=tools,
    )  # fmt: skip


@contextmanager
def desk(folder: Path, backend: str, turns: dict[str, Any], **changes: Any) -> Iterator[Desk]:
    with ModelServer(folder / "server", turns) as server:
        here = Desk(folder / "campaign", server, backend, **changes)
        try:
            yield here
        finally:
            here.close()
