"""One campaign, opened: its folder, its settings and the parts that play it."""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from agents.costs import CostBook
from agents.errors import ModelUnusable
from agents.services import Services
from agents.session import MODELS, ROLES
from agents.transcript import tells_of_requests
from orchestrator import config as settings
from orchestrator import keys, show, submitting
from orchestrator.competitions.builtin import prepare
from orchestrator.config import Config
from orchestrator.errors import BadInput, Stopped
from orchestrator.execution.ladder import probe
from orchestrator.executors import bind_notebooks, open_executor
from orchestrator.files import read_json, read_json_or_none, sweep_temps, write_json
from orchestrator.journal import Journal
from orchestrator.ledger import Entry, load_entries, with_submission, write_views
from orchestrator.players import Players
from orchestrator.referee.run import Referee
from orchestrator.referee.workdir import sweep_workdirs
from orchestrator.rounds import RoundFiles
from orchestrator.sealing import check_data, tell_rows
from orchestrator.standings import Standings
from orchestrator.state import read_state, write_state
from orchestrator.submission_records import DiskStore, identify, machine_id
from orchestrator.submissions import SubmissionLedger
from orchestrator.toolset import Toolset

Progress = Callable[..., None]
_LEVELS = {"A": 3, "B": 2, "C": 1, "none": 0}


class Campaign:
    """Everything that a round needs. Opening it repairs what a kill left behind.

    `now` gives UTC time; `progress(event, **fields)` hears what happens; `overrides` are the command line's settings,
    as dotted keys of config.json; `takeover` binds a campaign that another machine played to this one; without
    `execute` the campaign ends where its next experiment is written; `check_lock` raises when it is not ours any more.
    """

    def __init__(
        self,
        root: Path,
        *,
        now: Callable[[], datetime],
        progress: Progress,
        overrides: dict[str, Any] | None = None,
        takeover: bool = False,
        execute: bool = True,
        check_lock: Callable[[], None] = lambda: None,
    ) -> None:
        self._opened = time.monotonic()
        self.root = root = root.resolve()
        self.now = now
        self.progress = progress
        self.place = (0, "start")
        self.waiting: dict[str, str] | None = None
        self.told: set[str] = set()
        """What of guidance.md was told to be unmet, so that it is told once."""
        self._refused = ""
        self.execute = execute
        self.check_lock = check_lock
        self.stopping = False
        """Set by the first Ctrl-C: the loop stops after this step."""
        self._overrides = overrides or {}
        self.config: Config = self._load_config()
        self.rounds = root / "rounds"
        self._own_variables = keys.read_env(root / ".env")
        self.costs = self._open_costs()
        keys.check(self.config, self._own_variables, os.environ)
        self._tell_players()
        if self.config.competition.builtin:
            prepare(root)
        sandbox = probe(self.config.execution.sandbox, Path(sys.executable))
        self.profile = check_data(self)
        tell_rows(self)
        self.rounds.mkdir(exist_ok=True)
        for place in (
            "",
            "rounds",
            "report",
            "competition/data",
            "competition/private",
            "competition/research",
            *(f"sessions/{r}" for r in ROLES),
        ):
            sweep_temps(root / place)
        sweep_workdirs(root)
        self._settle_level(sandbox.level)
        if sandbox.level == "none":
            text = "no sandbox: what agents write runs with all your rights; `doctor` says what a sandbox needs"
            self.progress("note", text=text, level="warning")
        self.identity = identify(DiskStore(self.rounds), now, machine=self._machine(), takeover=takeover)
        self.executor = open_executor(self, sandbox, self._own_variables)
        self.referee = Referee(root, self.config, self.executor, progress=self._hear)
        self.metric = self.referee.metric
        self.competition = submitting.open_competition(
            root, self.config, now=now, environment=os.environ, own=self._own_variables
        )
        bind_notebooks(self)
        self._counts: dict[str, int] | None = None
        self._variables = {**os.environ, **self._own_variables}
        self.services = Services(
            campaign=root, costs=self.costs, progress=self._hear_players, now=now, sleep=self.sleep,
            environment=self._variables, seed=self.config.cv.seed,
        )  # fmt: skip
        self.toolset = Toolset(self)
        self.players = Players(self)
        self.entries: list[Entry] = load_entries(self.rounds)
        self.standings = Standings(self)
        self.submissions = self._submission_ledger()
        write_views(root, self.entries)
        self._elapsed_before = self._recorded_seconds()
        submitting.check_access(self)

    @property
    def cores(self) -> int:
        return self.config.execution.cores or len(os.sched_getaffinity(0))

    @property
    def next_round(self) -> int:
        """0 until round 0 is finished, then the first round without a record."""
        if not Journal(self.files(0)).is_done("eda", ("profile.json", "folds.json", "eda.md")):
            return 0
        finished = {entry["round"] for entry in self.entries}
        return next(number for number in itertools.count(1) if number not in finished)

    def files(self, number: int) -> RoundFiles:
        return RoundFiles(self.rounds, number)

    def elapsed(self) -> float:
        """Wall-clock seconds played so far, over all restarts."""
        return self._elapsed_before + time.monotonic() - self._opened

    def seconds_left(self) -> float | None:
        """Until the wall-clock cap or the deadline, whichever is nearer; None without either."""
        left = []
        if self.config.loop.minutes is not None:
            left.append(self.config.loop.minutes * 60 - self.elapsed())
        if (ends := self.config.loop.ends) is not None:
            left.append((ends - self.now()).total_seconds())
        return min(left) if left else None

    def usd(self) -> float:
        """Money spent so far, unanswered requests in full; the offline and scripted players cost none."""
        return self.costs.totals().usd

    @property
    def is_paid(self) -> bool:
        """Whether a model plays any role."""
        return any(self.agent_settings(role)["backend"] in MODELS for role in ROLES)

    def agent_settings(self, role: str) -> dict[str, Any]:
        """A role's section of config.json, its back end and model settled; see `keys`."""
        return keys.settings(self.config, self._own_variables, role)

    def submission_counts(self) -> dict[str, int]:
        """{"today", "left_today"}; at a remote competition as it was when it was asked last, empty when unknown."""
        if self.config.competition.kind == "local" or self._counts is None:
            self.count_submissions()
        return dict(self._counts or {})

    def count_submissions(self) -> None:
        """Ask the competition for today's count."""
        self._counts = submitting.counts(self)

    def close(self) -> None:
        """End what runs beside this process."""
        self.players.close()
        self.competition.close()
        self.executor.close()
        self.referee.cache.close()

    def take_up(self, number: int) -> None:
        """Add the round that just finished, see which leaderboard scores came in, bring the views up to date."""
        record = read_json(self.files(number).path("result.json"))
        others = [entry for entry in self.entries if entry["round"] != number]
        entries = sorted([*others, record], key=lambda entry: int(entry["round"]))
        self.entries = [with_submission(self.rounds, entry) for entry in entries]
        write_views(self.root, self.entries)

    def take_up_scores(self) -> None:
        """Let the entries show what the leaderboard says by now."""
        self.entries = [with_submission(self.rounds, entry) for entry in self.entries]
        write_views(self.root, self.entries)

    def _hear(self, event: str, **fields: Any) -> None:
        """Pass on what the referee tells; every fold also notes the time played, so that a kill loses little of it."""
        self.progress(event, **fields)
        if event == "fold_done":
            write_state(self, *self.place)

    def _hear_players(self, event: str, **fields: Any) -> None:
        """Pass on what a model's session tells."""
        self.progress(event, **fields)
        if event == "wait":
            self.wait_for({key: str(fields[key]) for key in ("role", "why", "since", "until")})
        elif event == "answered":
            self.wait_for(None)

    def wait_for(self, waiting: dict[str, str] | None) -> None:
        """Let the summary say which role's provider does not answer, why, since when and when it is asked next."""
        self.waiting = waiting
        write_state(self, *self.place)

    def reload_config(self) -> None:
        """Read config.json again; an edit that can't be used is shown and the last good settings stay."""
        try:
            config = self._load_config()
            self._check_frozen(config)
            own = keys.read_env(self.root / ".env")
            keys.check(config, own, os.environ)
        except BadInput as error:
            if str(error) != self._refused:
                self._refused = str(error)
                self.progress("note", text=f"{error} (the settings from before stay in force)", level="warning")
            return
        self._refused = ""
        if changes := show.changes(self.config.model_dump(), config.model_dump()):
            self.progress("note", text=f"config.json changed: {changes}")
        before = keys.line_up(self.config, self._own_variables)
        self.config, self._own_variables = config, own
        self._variables.clear()
        self._variables.update(os.environ, **own)
        if (players := keys.line_up(config, own)) != before:
            self.progress("note", text=f"players: {players or 'nobody who is paid'}")
        self.costs.caps = keys.caps(config)
        self.referee.config = config
        self.submissions = self._submission_ledger()

    def _load_config(self) -> Config:
        environment = dict(os.environ)
        environment.update({settings.variable_of(key): json.dumps(value) for key, value in self._overrides.items()})
        return settings.load(self.root / "config.json", environment)

    def sleep(self, seconds: float) -> None:
        """Wait, but not longer than the person wants: the turn goes on where it was at the next start."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self.stopping:
                raise Stopped
            time.sleep(min(left, 0.5))

    def _open_costs(self) -> CostBook:
        path = self.root / "costs.jsonl"
        transcripts = (self.root / "sessions").glob("*/*.jsonl")
        if not path.exists() and any(tells_of_requests(transcript) for transcript in transcripts):
            raise BadInput(
                f"{path} is missing, though models were asked in this campaign: put it back, "
                "or create it empty to count money from zero"
            )
        try:
            return CostBook(path, keys.caps(self.config), self.now)
        except ModelUnusable as error:
            raise BadInput(str(error)) from error

    def _tell_players(self) -> None:
        """Who plays for which money, and which keys lie unused in the shell."""
        if players := keys.line_up(self.config, self._own_variables):
            self.progress("note", text=f"players: {players}")
        for name in keys.idle_keys(self.config, self._own_variables, os.environ):
            text = f"{name} stands in the shell and is not used: put it into {self.root / '.env'} to play with a model"
            self.progress("note", text=text)

    def _submission_ledger(self) -> SubmissionLedger:
        store = DiskStore(self.rounds)
        return SubmissionLedger(store, self.identity, self.competition, self.config.submissions, self.now)

    def _settle_level(self, level: str) -> None:
        """Hold this start against R00_settings.json: sealed settings stay, the sandbox gets no weaker unasked."""
        path = self.files(0).path("settings.json")
        record = read_json_or_none(path)
        if record is None:
            record = {"sandbox": level, "frozen": _frozen(self.config)}
            write_json(path, record)
        self._frozen = record["frozen"]
        self._check_frozen(self.config)
        if _LEVELS[level] < _LEVELS[record["sandbox"]] and self.config.execution.sandbox != level:
            raise BadInput(
                f"this campaign began in sandbox level {record['sandbox']} and only {level} works now: restore it, or "
                f'agree by setting execution.sandbox to "{level}" in {self.root / "config.json"}'
            )

    def _machine(self) -> str:
        """What binds the campaign to this machine: nothing where the competition's own list travels with the folder."""
        return "" if self.config.competition.kind == "local" else machine_id()

    def _check_frozen(self, config: Config) -> None:
        for section, values in _frozen(config).items():
            for key, value in values.items():
                before = self._frozen[section].get(key, value)
                if before != value:
                    raise BadInput(
                        f"{self.root / 'config.json'}: {section}.{key} changed from {before!r} to {value!r} after the "
                        f"folds were sealed: restore it, or make another campaign with `{_new_command(config)}` and "
                        f"set {section}.{key} in its config.json before the first `loop`"
                    )

    def _recorded_seconds(self) -> float:
        first = Journal(self.files(0)).seconds
        before = max((entry["elapsed_seconds"] for entry in self.entries), default=first)
        recorded = float(before) + (Journal(self.files(self.next_round)).seconds if self.next_round else 0.0)
        state = read_state(self.root)
        own = state is not None and state["campaign"] == self.identity.run
        return max(recorded, float(state["elapsed_seconds"])) if state and own else recorded


def _frozen(config: Config) -> dict[str, Any]:
    """The settings that every score depends on."""
    free = {"daily_limit", "public_fraction"}
    return {
        "competition": {key: value for key, value in config.competition.model_dump().items() if key not in free},
        "cv": config.cv.model_dump(),
    }


def _new_command(config: Config) -> str:
    """The command that makes a campaign of the same competition."""
    spec = config.competition
    source = f" --kaggle {spec.slug}" if spec.slug else "" if spec.builtin else " --from FOLDER"
    return show.command(f"new NEW_DIR{source}")
