"""The players as the loop uses them: opened late, re-spawned by age, asked in turns, answers held to the grammar."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents import errors, prompts
from agents.models.opening import key_name
from agents.session import MODELS, ROLES, AgentSession, Turn, open_session
from agents.transcript import generations, last_round, last_turn, spawn_event
from orchestrator.errors import Capped, FatalEnding, ProtocolError
from orchestrator.files import atomic_write, read_json_or_none, write_json
from orchestrator.rounds import RoundFiles, label
from orchestrator.turns import Turns, lenient, problem_of, session_folder

if TYPE_CHECKING:
    from orchestrator.campaign import Campaign


_PLAYERS = {"offline": "the built-in player", "scripted": "a script"}


class Players:
    """The Researcher, the Builder and the Reviewer of one campaign."""

    def __init__(self, campaign: Campaign) -> None:
        self._campaign = campaign
        self._turns = Turns(campaign)
        self._open: dict[str, AgentSession] = {}
        self._opened_with: dict[str, tuple[Any, ...]] = {}
        self._served: dict[str, int] = {}
        """Role → the last round that it has had a turn in."""

    def generations(self) -> dict[str, int]:
        """The current generation of each role, 0 before its first turn."""
        return {role: max(generations(session_folder(self._campaign, role)), default=0) for role in ROLES}

    def ask(
        self,
        role: str,
        phase: str,
        files: RoundFiles,
        *,
        makes: tuple[str, ...],
        turn_id: str = "",
        tools: Mapping[str, Callable[..., Any]] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> str:
        """Put one turn to a player and return its one-line reply, which follows the phase's grammar.

        An answer off the grammar, or one that left a file out, is asked again once. Raises ProtocolError when that
        does not help.
        """
        self._renew(role, files.number)
        turn = self._turns.make(role, phase, files, makes, turn_id, tools or {}, facts or {})
        problem = ""
        for _ in range(2):
            reply = self._reply(role, turn if not problem else self._again(turn, problem)).strip()
            problem = problem_of(phase, reply, files, makes)
            if not problem:
                return lenient(phase, reply)
            self._campaign.progress("note", text=f"{role} in {turn.id}: {problem}; asked again", level="warning")
        raise ProtocolError(f"the {role} in {turn.id}: {problem}")

    def close(self) -> None:
        for session in self._open.values():
            session.close()
        self._open.clear()

    def _reply(self, role: str, turn: Turn) -> str:
        """One answer, from whoever can give it: the session, its successor, the fallback model, the offline player.

        Raises Capped when money or tokens run out, FatalEnding when only a person can help.
        """
        for _ in range(3):
            try:
                return self._session(role, turn.round).ask(turn)
            except errors.BudgetSpent as error:
                if error.span == "round" and turn.round:
                    raise ProtocolError(f"the round is given up: {error}") from error
                raise Capped(f"money cap: {error}") from error
            except errors.ContextFull as error:
                self._succeed(role, turn.round, str(error), self._settings(role))
            except errors.ModelRefused as error:
                fallback = self._settings(role)["fallback_model"]
                if not fallback or self._model(role) == fallback:
                    another = f"{error}: name {'another' if fallback else 'a'} model as agents.{role}.fallback_model"
                    return self._stand_in(role, turn, errors.ModelRefused(another))
                settings = {**self._settings(role), "model": fallback, "effort": None}
                self._succeed(role, turn.round, f"{error}; {fallback} takes over", settings)
            except (errors.ModelUnreachable, errors.ModelUnusable) as error:
                return self._stand_in(role, turn, error)
            except errors.OffProtocol as error:
                raise ProtocolError(str(error)) from error
        raise ProtocolError(f"the {role} in {turn.id}: three sessions could not answer")

    def _stand_in(self, role: str, turn: Turn, why: Exception) -> str:
        """The offline player takes the phase, when config.json lets it, and the round's record says so."""
        if self._campaign.config.agents.when_unreachable != "offline":
            raise FatalEnding(f'{why} (or let the built-in player stand in: agents.when_unreachable = "offline")')
        self._campaign.progress("note", text=f"{why}; the built-in player takes {turn.id}", level="warning")
        self._campaign.wait_for(None)
        path = RoundFiles(self._campaign.rounds, turn.round).path("stand_in.json")
        known = read_json_or_none(path) or {"turns": []}
        if turn.id not in known["turns"]:
            write_json(path, {"turns": [*known["turns"], turn.id]})
        return self._ask_offline(role, turn)

    def _ask_offline(self, role: str, turn: Turn) -> str:
        session = open_session(
            role, {"backend": "offline"}, session_folder(self._campaign, role) / "stand_in", 1, turn.round
        )
        try:
            return session.ask(turn)
        finally:
            session.close()

    def _renew(self, role: str, number: int) -> None:
        """At a round's first turn: hand over to a new generation when the old one is too old, too long or another's."""
        if self._served.get(role) == number:
            return
        self._served[role] = number
        folder, settings = session_folder(self._campaign, role), self._settings(role)
        if role in self._open and self._opened_with[role] != self._ingredients(settings):
            self._open.pop(role).close()  # another address, key or limit: the same conversation goes on with it
        generation = max(generations(folder), default=0)
        path = folder / f"{generation}.jsonl"
        spawn = spawn_event(path)
        if spawn is None:
            return
        if change := _change(spawn, settings):
            self._succeed(role, number, f"the {role} is played by {change} from now on", settings)
        elif last_turn(path) == _handover_id(number, role):
            self._spawn_next(role, generation, number, settings)  # a kill came in between
        elif last_round(path) != number and (why := self._why_renew(role, number, spawn)):
            self._campaign.progress("note", text=f"the {role} begins a new session: {why}")
            self._spawn_next(role, generation, number, settings)

    def _spawn_next(self, role: str, generation: int, number: int, settings: dict[str, Any]) -> None:
        """A new generation at a round's start, with a note by the old one."""
        self._hand_over(role, generation, number)
        self._spawn(role, generation + 1, number, settings)

    def _why_renew(self, role: str, number: int, spawn: Mapping[str, Any]) -> str:
        if number - spawn["round"] >= self._campaign.config.agents.respawn_rounds:
            return f"it has served since {label(spawn['round'])}"
        return self._session(role, number).wants_respawn()

    def _session(self, role: str, number: int) -> AgentSession:
        """The open session of a role, of the newest generation."""
        if role not in self._open:
            folder = session_folder(self._campaign, role)
            generation = max(generations(folder), default=1)
            spawn = spawn_event(folder / f"{generation}.jsonl")
            self._spawn(role, generation, spawn["round"] if spawn else number, self._settings(role))
        return self._open[role]

    def _spawn(self, role: str, generation: int, number: int, settings: Mapping[str, Any]) -> None:
        if role in self._open:
            self._open.pop(role).close()
        services = self._campaign.services
        self._opened_with[role] = self._ingredients(self._settings(role))
        self._open[role] = open_session(
            role, settings, session_folder(self._campaign, role), generation, number, services
        )

    def _ingredients(self, settings: Mapping[str, Any]) -> tuple[Any, ...]:
        """What a session is opened with and does not freeze."""
        environment = self._campaign.services.environment
        return dict(settings), environment.get(key_name(settings)) if settings["backend"] in MODELS else None

    def _settings(self, role: str) -> dict[str, Any]:
        settings = self._campaign.agent_settings(role)
        if settings["script"]:
            settings["script"] = str(self._campaign.root / settings["script"])
        return settings

    def _model(self, role: str) -> str:
        """The model that plays a role now."""
        generation = max(generations(session_folder(self._campaign, role)), default=0)
        spawn = spawn_event(session_folder(self._campaign, role) / f"{generation}.jsonl") or {}
        return str(spawn.get("settings", {}).get("model", ""))

    def _succeed(self, role: str, number: int, why: str, settings: Mapping[str, Any]) -> None:
        """At any time: a new generation, with a note that needs no help from the old one."""
        generation = max(generations(session_folder(self._campaign, role)), default=1)
        self._campaign.progress("note", text=f"{why}: a new session goes on where it was", level="warning")
        note = session_folder(self._campaign, role) / f"handover_{generation}.md"
        if not note.exists():
            self._ask_offline(role, self._handover_turn(role, number, note))
        self._spawn(role, generation + 1, number, settings)

    def _hand_over(self, role: str, generation: int, number: int) -> None:
        """The old session's last turn: a note for the next one, kept beside the transcripts."""
        note = session_folder(self._campaign, role) / f"handover_{generation}.md"
        if note.exists():
            return
        turn = self._handover_turn(role, number, note)
        try:
            self._session(role, number).ask(turn)
        except errors.AgentError as error:
            self._campaign.progress("note", text=f"{error}; the hand-over is written without it", level="warning")
        if not note.exists():
            self._ask_offline(role, turn)

    def _handover_turn(self, role: str, number: int, note: Path) -> Turn:
        files = RoundFiles(self._campaign.rounds, number)
        turn = self._turns.make(role, "handover", files, (), _handover_id(number, role), {}, {}, {"handover.md": note})
        return replace(turn, write=lambda _, text: atomic_write(note, text))

    def _again(self, turn: Turn, problem: str) -> Turn:
        prompt = prompts.render(self._campaign.root, "again", problem=problem, before=turn.prompt)
        return replace(turn, prompt=prompt, id=f"{turn.id}/again")


def _handover_id(number: int, role: str) -> str:
    return f"{label(number)}/handover/{role}"


def _change(spawn: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """What config.json names now, where that is not what a session was spawned with."""
    if spawn["backend"] != settings["backend"]:
        return str(settings["model"] if settings["backend"] in MODELS else _PLAYERS[settings["backend"]])
    if spawn["backend"] in MODELS and spawn["settings"]["model"] not in (settings["model"], settings["fallback_model"]):
        return str(settings["model"])
    return ""
