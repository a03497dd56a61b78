"""What the orchestrator lends to players during a turn: the sandbox to look at data, the ledgers, the competition.

All of it is read-only for the campaign, but for `run_experiment`: the referee's run, and the count of trials.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from orchestrator.build import at_most, complete
from orchestrator.errors import BadInput, CompetitionError, OutputRejected
from orchestrator.files import read_json_or_none, write_json
from orchestrator.ledger import Entry, best_entry, results_table
from orchestrator.referee.workdir import read_script
from orchestrator.rounds import RoundFiles, label
from orchestrator.standings import Standing, line

if TYPE_CHECKING:
    from orchestrator.campaign import Campaign

LOOK_SECONDS = 600
"""The longest that a program of `run_python` may take."""
TRIALS = 5
"""Trials on fold 1 a round and variant: who tries more often picks what fits fold 1 by chance."""
LOG_CHARS = 60_000
_BOARD_ROWS = 20
_ABSENT = "not available for this competition"
_HEADER = ("round", "family", "recipe", "role", "status", "cv", "se", "gain", "P(gain>0)", "max_corr", "s", "why")
Tools = dict[str, Callable[..., Any]]


class Toolset:
    """The callables of `Turn.tools`, for one campaign."""

    def __init__(self, campaign: Campaign) -> None:
        self._campaign = campaign

    def of_turn(self, files: RoundFiles) -> Tools:
        """What every turn may use."""
        return {
            "run_python": lambda code, seconds=120: self.run_python(files, code, seconds),
            "registry": self.registry,
            "results": self.results,
            "leaderboard": lambda: self.leaderboard(files.number),
            "notebooks": lambda: self._competition_text("notebooks", files.number),
            "discussions": lambda: self._competition_text("discussions", files.number),
        }

    def of_build(self, files: RoundFiles, strategy: dict[str, Any], run: Callable[[], dict[str, Any]]) -> Tools:
        """What a build turn may use besides; `run` gives the script that stands there to the referee."""

        def run_experiment(folds: str = "all") -> dict[str, Any]:
            if not self._campaign.execute:
                return {"cv": None, "status": "not run", "reason": "the person wants it written and not run"}
            return run() if folds == "all" else self.trial(files, strategy)

        return {"run_experiment": run_experiment}

    def run_python(self, files: RoundFiles, code: str, seconds: float = 120) -> dict[str, Any]:
        """Run a program on what an experiment of this round would see in fold 1, in the same sandbox; nothing stays.

        {"status", "seconds", "peak_mb", "log"}; raises OutputRejected for a program above 100 kB.
        """
        campaign, wanted = self._campaign, min(max(float(seconds), 1.0), LOOK_SECONDS)
        found = campaign.referee.trial(
            files, code.encode(), strategy={}, earlier=complete(campaign), seconds=at_most(campaign, wanted)
        )
        return {key: found[key] for key in ("status", "seconds", "peak_mb")} | {"log": _bounded(found["log"])}

    def trial(self, files: RoundFiles, strategy: dict[str, Any]) -> dict[str, Any]:
        """The round's script on fold 1: its score beside the best round's, and its log; only that it ran is kept.

        Raises OutputRejected without a script, and when this round's trials are used.
        """
        if not files.has("experiment.py"):
            raise OutputRejected(f"{files.path('experiment.py').name} has not been written")
        script, campaign = read_script(files.path("experiment.py")), self._campaign
        used = _count_trial(files, script)
        found = campaign.referee.trial(
            files,
            script,
            strategy=strategy,
            earlier=complete(campaign),
            seconds=at_most(campaign, campaign.config.execution.experiment_minutes * 60),
        )
        write_json(files.path("trials.json"), {"used": used, "running": None})
        best = best_entry(campaign.entries)
        score = "no score" if found["score"] is None else f"{campaign.metric.name} {found['score']:.6g}"
        campaign.progress("note", text=f"{files.prefix}: trial on fold 1, {score} in {found['seconds']:.0f} s")
        return {
            "fold_1": found["score"],
            "best_round": label(best["round"]) if best else None,
            "best_fold_1": best["fold_scores"][0] if best and best["fold_scores"] else None,
            "maximize": campaign.metric.maximize,
            **{key: found[key] for key in ("status", "problem", "seconds", "peak_mb")},
            "trials_left": TRIALS - used,
            "log": _bounded(found["log"]),
        }

    def registry(
        self, round: int | None = None, family: str | None = None, status: str | None = None, top: int | None = None
    ) -> str:
        """The experiments as a table, ascending by round or, with `top`, the best first; one round as JSON.

        Raises OutputRejected for a round that is not there.
        """
        entries = self._campaign.entries
        if round is not None:
            found = [entry for entry in entries if entry["round"] == round]
            if not found:
                raise OutputRejected(f"there is no finished {label(round)}: the last is {_last(entries)}")
            return json.dumps(found[0], indent=1, ensure_ascii=False)
        chosen = [
            entry
            for entry in entries
            if (family is None or entry["family"] == family) and (status is None or entry["status"] == status)
        ]
        if top is not None:
            scored = [entry for entry in chosen if entry["cv"] is not None]
            chosen = sorted(scored, key=lambda entry: entry["cv"], reverse=self._campaign.metric.maximize)[
                : max(top, 1)
            ]
        rows = [" | ".join(_row(entry)) for entry in chosen]
        return "\n".join([" | ".join(_HEADER), *rows]) if rows else "(no such experiment yet)"

    def results(self, rows: int = 20) -> str:
        """The last rows of results.tsv."""
        return results_table(self._campaign.entries[-max(rows, 1) :])

    def leaderboard(self, number: int) -> str:
        """The top of the leaderboard and our place as of the end of the round before `number`; what we submitted."""
        standings = self._campaign.standings
        board = standings.take(number - 1, self._campaign.entries)
        try:
            ours = self._campaign.competition.submissions()
        except (CompetitionError, BadInput) as error:
            return f"not available: {error}"
        lines = self._board(board) if board else []
        if not lines and (failure := standings.failure(number - 1)):
            lines = [f"not available: {failure}"]
        if not lines and not ours:
            return _ABSENT
        sent = [f"{entry.when:%Y-%m-%d %H:%M}  {_number(entry.public_score)}  {entry.description}" for entry in ours]
        return "\n".join([*lines, f"our submissions: {len(ours)}", *sent[-_BOARD_ROWS:]])

    def _board(self, board: Standing) -> list[str]:
        rows = [(place, team, score) for place, (team, score) in enumerate(board["top"], 1)]
        if board["rank"] is not None and board["team"] not in [team for _, team, _ in rows]:
            rows.append((board["rank"], board["team"] or "this campaign", board["score"]))
        return [
            f"{board['teams']} teams, {self._campaign.metric.name}, the best first, as of {board['fetched']}",
            *(f"{place}. {team}  {score:.6g}" for place, team, score in rows),
            f"{line(board)}; the last places of {_medals(board)}",
        ]

    def _competition_text(self, name: str, number: int) -> str:
        """What a competition that has notebooks and discussions has to say about them in round `number`."""
        ask = getattr(self._campaign.competition, name, None)
        if ask is None:
            return _ABSENT
        try:
            return str(ask(number))
        except CompetitionError as error:
            return f"not available: {error}"


def _count_trial(files: RoundFiles, script: bytes) -> int:
    """The trials used with this one, durable before it runs; one that a kill cut short may run again for nothing.

    Raises OutputRejected when all are used.
    """
    path, running = files.path("trials.json"), hashlib.sha256(script).hexdigest()
    known = read_json_or_none(path) or {"used": 0, "running": None}
    used = int(known["used"]) + (known["running"] != running)
    if used > TRIALS:
        raise OutputRejected(f'the {TRIALS} trials of {files.prefix} are used: give it to the referee with folds "all"')
    write_json(path, {"used": used, "running": running})
    return used


def _row(entry: Entry) -> tuple[str, ...]:
    figures = (_number(entry[key]) for key in ("cv", "se", "gain", "probability", "max_correlation"))
    words = (str(entry[key] or "") for key in ("family", "recipe", "role"))
    why = str(entry["reason"] or "").replace("\n", " ")[:120]
    return label(entry["round"]), *words, entry["status"], *figures, f"{entry['seconds']:.0f}", why


def _medals(board: Standing) -> str:
    return ", ".join(f"{medal} {mark['place']} ({mark['score']:.6g})" for medal, mark in board["lines"].items())


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"


def _last(entries: list[Entry]) -> str:
    return label(entries[-1]["round"]) if entries else "none"


def _bounded(log: str) -> str:
    return log if len(log) <= LOG_CHARS else f"{log[: LOG_CHARS // 2]}\n…\n{log[-LOG_CHARS // 2 :]}"
