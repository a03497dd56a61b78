"""`python -m tests.agents.short_campaigns SEED COUNT FOLDER`: short campaigns under random caps, each torn to pieces.

A campaign is a few rounds of turns of two model sessions, real clients against the local server, which counts money and
tokens on its own. It is played by forked processes that die at random, by SIGKILL or by an exception, until one of them
reaches the end. Prints a JSON line for each campaign: what the server billed in each span beside that span's cap. Two
rounds are a day.
"""

from __future__ import annotations

import gc
import json
import os
import random
import signal
import sys
import threading
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agents.costs import Caps, CostBook
from agents.errors import AgentError, BudgetSpent
from agents.services import Services
from agents.session import AgentSession, open_session
from tests.agents.model_desk import KEY, PLAN, SETTINGS, turn
from tests.model_server.brain import report
from tests.model_server.client import ModelServer

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
ROLES = ("builder", "reviewer")
FAULTS = ("500", "429", "529", "reset", "eof", "sse_error")
KINDS = ("usd", "usd_per_day", "usd_per_round", "tokens", "tokens_per_day", "tokens_per_round")
STARTS = 60


class Died(BaseException):
    """The process dies here, by its own hand."""


class Player:
    """One process that plays a campaign from wherever its files say."""

    def __init__(self, plan: dict[str, Any], folder: Path, rng: random.Random, mortal: bool) -> None:
        self._plan, self._folder = plan, folder
        self._time = NOON
        self._fuse = rng.choice([None, rng.randint(1, 25), rng.randint(1, 60)]) if mortal else None
        self._rng = rng
        self._sessions: dict[str, AgentSession] = {}
        player = self

        class Mortal(CostBook):
            def reserve(self, id: str, **fields: Any) -> None:
                player.may_die()
                super().reserve(id, **fields)
                player.may_die()

            def settle(self, id: str, *fields: Any) -> None:
                player.may_die()
                super().settle(id, *fields)
                player.may_die()

        caps = Caps(**plan["caps"])
        self._costs = Mortal(folder / "costs.jsonl", caps, lambda: self._time)
        environment = {"ANTHROPIC_API_KEY": KEY, "OPENAI_API_KEY": KEY}
        self._services = Services(
            folder, self._costs, lambda *_, **__: self.may_die(), lambda: self._time, self._sleep, environment
        )

    def play(self) -> str:
        """How it ends: all turns done, or the key of the cap that was reached."""
        reached = "done"
        for number in range(1, self._plan["rounds"] + 1):
            self._time = max(self._time, NOON + timedelta(days=(number - 1) // 2))
            try:
                for role in ROLES:
                    asked = turn(self._folder, f"R{number:02d}/{role}", role=role, run_python=self._look)
                    self._session(role).ask(asked)
            except BudgetSpent as error:
                reached = str(error).split("raise budget.")[1].split()[0]
                if error.span == "campaign":
                    return reached
            except AgentError as error:
                reached = type(error).__name__
        return reached

    def close(self, said: str) -> str:
        for session in self._sessions.values():
            session.close()
        self._costs.close()
        return said

    def may_die(self) -> None:
        if self._fuse is not None:
            self._fuse -= 1
            if self._fuse == 0:
                raise Died

    def _look(self, **_: Any) -> str:
        self.may_die()
        return "figure 0.25 é\n" * self._rng.choice([1, 50, 500, 3000])

    def _sleep(self, seconds: float) -> None:
        self.may_die()
        self._time += timedelta(seconds=min(seconds, 60.0))

    def _session(self, role: str) -> AgentSession:
        if role not in self._sessions:
            settings = {**SETTINGS, **self._plan["settings"][role]}
            self._sessions[role] = open_session(role, settings, self._folder / "sessions" / role, 1, 1, self._services)
        return self._sessions[role]


def draw(rng: random.Random, server: ModelServer) -> tuple[dict[str, Any], dict[str, Any]]:
    """A campaign's plan, and the server's script for it."""
    kinds = rng.sample(KINDS, rng.choice([1, 1, 2, 3]))
    caps: dict[str, Any] = {}
    for kind in kinds:
        scale = {"campaign": 1.0, "day": 0.7, "round": 0.5}[
            kind.rpartition("_per_")[2] if "_per_" in kind else "campaign"
        ]
        caps[kind] = rng.uniform(0.15, 1.5) * scale if kind.startswith("usd") else int(rng.uniform(4e4, 3e5) * scale)
    settings = {}
    for role in ROLES:
        backend = rng.choice(["anthropic", "openai"])
        settings[role] = {
            "backend": backend, "base_url": server.url(backend), "max_output_tokens": rng.choice([1024, 2000, 8000]),
            "summary_model": "cheap-model" if kinds in (["usd"], ["tokens"]) else None, "max_requests": 8,
            "cache_ttl": "5m",
        }  # fmt: skip
    rounds = rng.randint(1, 4)
    ids = [f"R{number:02d}/{role}" for number in range(1, rounds + 1) for role in ROLES]
    script = {id: [_step(rng) for _ in range(rng.randint(0, 3))] + _ending() for id in ids}
    return {"caps": caps, "settings": settings, "rounds": rounds}, {**script, "*/": [_step(rng, "summary")]}


def _step(rng: random.Random, kind: str = "turn") -> dict[str, Any]:
    step: dict[str, Any] = {"text": "wört " * rng.choice([1, 100, 1000, 8000])}
    if kind == "turn":
        step["tools"] = [{"name": "run_python", "input": {"code": "print(1)"}}]
    if rng.random() < 0.25:
        step["faults"] = [rng.choice(FAULTS) for _ in range(rng.randint(1, 3))]
    return step


def _ending() -> list[dict[str, Any]]:
    return [
        {"tools": [{"name": "write_file", "input": {"name": "plan.md", "text": PLAN}}]},
        {"tools": [report("DONE")]},
    ]


def torn(plan: dict[str, Any], folder: Path, rng: random.Random) -> tuple[str, int]:
    """Play in processes that die until one does not: (how it ended, how many died)."""
    for died in range(STARTS):
        seed, calm = rng.random(), died > STARTS // 2
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os._exit(_child(plan, folder, seed, write, not calm))
        os.close(write)
        killer = threading.Timer(rng.expovariate(5.0), os.kill, (pid, signal.SIGKILL))
        if not calm and rng.random() < 0.5:
            killer.start()
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        killer.cancel()
        if killer.ident is not None:
            killer.join()  # before the id is free for another process
        status = os.waitpid(pid, 0)[1]
        with os.fdopen(read) as pipe:
            said = pipe.read()
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
            return said, died
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 3:
            return f"failed: {said}", died
    return "never ended", STARTS


def _child(plan: dict[str, Any], folder: Path, seed: float, write: int, mortal: bool) -> int:
    try:
        said, code = Player(plan, folder, random.Random(seed), mortal).play(), 0
    except Died:
        said, code = "", 3
    except BaseException as error:
        said, code = repr(error), 1
    os.write(write, said.encode())
    return code


def billed(requests: list[dict[str, Any]], caps: dict[str, Any]) -> list[tuple[str, float, float]]:
    """(cap's name, what the server billed in one of its spans, the cap)."""
    found = []
    for kind, cap in caps.items():
        name, _, span = kind.partition("_per_")
        sums: dict[Any, float] = defaultdict(float)
        for request in requests:
            number = int(request["turn"][1:3]) if request["turn"] else 0
            sums[{"": 0, "day": (number - 1) // 2, "round": number}[span]] += request[
                "billed" if name == "usd" else "tokens"
            ]
        found += [(kind, value, cap) for value in sums.values()]
    return found


def _warm_up(folder: Path) -> None:
    """All that is imported or built at the first use, once before forking."""
    done = {"R01/builder": _ending(), "R01/reviewer": _ending()}
    (folder / "rounds").mkdir(parents=True)
    with ModelServer(folder / "server", done) as server:
        plan, _ = draw(random.Random(4), server)
        for role, backend in zip(ROLES, ("anthropic", "openai"), strict=True):
            plan["settings"][role].update(backend=backend, base_url=server.url(backend))
        player = Player({**plan, "caps": {}, "rounds": 1}, folder, random.Random(0), mortal=False)
        player.close(player.play())
    gc.freeze()


def main() -> None:
    seed, count, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    os.environ["NO_PROXY"] = "*"
    _warm_up(folder / "first")
    for number in range(count):
        rng = random.Random(f"{seed}/{number}")
        if number % 10 == 0:  # the server remembers every prefix that it saw
            server = ModelServer(folder / f"server{number}", {})
        home, seen = folder / str(number), len(server.requests())
        (home / "rounds").mkdir(parents=True)
        plan, script = draw(rng, server)
        server.play(script, bytes_per_token=rng.choice([1, 2, 4]))
        ending, died = torn(plan, home, rng)
        requests = [request for request in server.requests()[seen:] if request["status"] == 200]
        spans = billed(requests, plan["caps"])
        print(json.dumps({"ending": ending, "died": died, "requests": len(requests), "spans": spans}), flush=True)
        if number % 10 == 9 or number == count - 1:
            server.__exit__()


if __name__ == "__main__":
    main()
