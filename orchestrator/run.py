"""`run`: from a Kaggle competition or a folder to submission.csv, in one command that goes on when it is repeated."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestrator import show
from orchestrator.errors import BadInput
from orchestrator.files import atomic_write
from orchestrator.ledger import Entry, best_entry, load_entries
from orchestrator.open_and_play import open_and_play, overrides_of
from orchestrator.rounds import RoundFiles, label
from orchestrator.summary import raw_config

SUBMISSION = "submission.csv"
UNTIL_KEPT = 3
"""Rounds that are played at most, unless a number was asked for, until one is kept."""


@dataclass(frozen=True)
class Run:
    """What was asked for. `source`: a competition's page or slug, a folder of tables, or a campaign made before."""

    source: str
    directory: Path | None
    rounds: int | None
    minutes: float | None
    execute: bool
    skip_download: bool
    submit: bool
    plain: bool
    no_sandbox: bool

    def go(self, now: Callable[[], datetime], say: Callable[[str], None]) -> int:
        """Make the campaign if it is not there yet, play it, leave submission.csv; the exit code."""
        overrides_of(rounds=self.rounds, minutes=self.minutes, no_sandbox=False)
        root, slug = self._place()
        is_new = not (root / "config.json").exists()
        if is_new:
            self._make(root, slug, now, say)
        else:
            self._check_same(root, slug)
            say(f"Going on with the campaign {root}.")
        submit = self.submit
        if submit and _has_no_place(root):
            submit = False
            say("--submit has no effect here: no answers came with the folder, so nothing can be graded.")
        code = self._play(root, {} if is_new else {"submissions.enabled": submit}, now)
        return self._hand_over(root, code, say)

    def _place(self) -> tuple[Path, str]:
        """The campaign's folder, and the slug of the competition; no slug for a folder of tables."""
        from orchestrator.competitions.kaggle.slug import slug_of

        path = Path(self.source)
        is_folder = path.is_dir() and not (path / "competition").is_dir()
        if is_folder and not (path / "config.json").exists():
            name = path.resolve().name
            return (self.directory or Path(f"{name}-campaign")).absolute(), ""
        if path.is_dir() and self.directory is None and (path / "config.json").exists():
            return path.absolute(), ""
        try:
            slug = slug_of(self.source)
        except BadInput as error:
            if "kaggle.com" in self.source.lower() or not re.search(r"[/.~\\]", self.source):
                raise
            what = "is a file, no folder" if path.exists() else "is no folder that exists"
            raise BadInput(f"{path.absolute()} {what}, and {error}") from None
        return (self.directory or Path(slug)).absolute(), slug

    def _make(self, root: Path, slug: str, now: Callable[[], datetime], say: Callable[[str], None]) -> None:
        if slug:
            from orchestrator.competitions.kaggle.start import Start

            lines = Start(slug, root, now, say, submit=self.submit, skip_download=self.skip_download).make()
        else:
            from orchestrator.competitions.create import create

            lines = create(root, Path(self.source))
        for line in lines[:-1]:  # the last one says how to start it
            say(line)

    def _check_same(self, root: Path, slug: str) -> None:
        spec = raw_config(root).get("competition")
        found = spec.get("slug") or spec.get("name") if isinstance(spec, dict) else None
        if slug and found != slug:
            raise BadInput(
                f"{root} holds the campaign of {found}, not of {slug}: name another folder after {self.source}"
            )

    def _play(self, root: Path, settings: dict[str, Any], now: Callable[[], datetime]) -> int:
        """A round, and when it was not asked for so many, another one until something is kept."""
        last = self.rounds or UNTIL_KEPT
        for rounds in range(self.rounds or 1, last + 1):
            overrides = overrides_of(rounds=rounds, minutes=self.minutes, no_sandbox=self.no_sandbox)
            code = open_and_play(root, {**settings, **overrides}, now=now, plain=self.plain, execute=self.execute)
            entries = load_entries(root / "rounds")
            if code or not self.execute or best_entry(entries) or len(entries) < rounds:
                break
        return code

    def _hand_over(self, root: Path, code: int, say: Callable[[str], None]) -> int:
        """Put the best round's predictions at the top of the campaign, and say what there is."""
        best = best_entry(load_entries(root / "rounds"))
        if not self.execute:
            written = sorted((root / "rounds").glob("R*_experiment.py"))
            if written:
                say(f"The pipeline is written and was not run: {written[-1]}")
                say(f"Run it and go on: {show.command('loop', root)}")
        if best is None:
            if self.execute and not code:
                say(f"No round was kept, so there is no {SUBMISSION}: see {show.command('logs', root)}")
            return code if code or not self.execute else 4
        path = RoundFiles(root / "rounds", best["round"]).path(SUBMISSION)
        atomic_write(root / SUBMISSION, path.read_bytes())
        say(f"{root / SUBMISSION} holds the predictions of {_score(best)}.")
        for line in _hand_in(root, best, self.submit):
            say(line)
        return code


def _has_no_place(root: Path) -> bool:
    """Whether submissions could go nowhere: a local campaign without answers."""
    spec = raw_config(root).get("competition")
    if not isinstance(spec, dict) or spec.get("kind") == "kaggle" or spec.get("builtin"):
        return False
    return not (root / "competition" / "private" / "answers.csv").exists()


def _score(best: Entry) -> str:
    return f"{label(best['round'])}, cross-validated {show.score(best['cv'], best['se'])}"


def _hand_in(root: Path, best: Entry, submit: bool) -> list[str]:
    """Where the file goes, unless it went there by itself."""
    spec = raw_config(root).get("competition")
    slug = spec.get("slug") if isinstance(spec, dict) else None
    if best.get("lb") is not None:
        return [f"It was submitted and scored {show.score(best['lb'])} on the leaderboard."]
    if error := best.get("submission_error"):
        return [f"It was submitted and not scored: {error}"]
    if best.get("submitted") or not slug:
        return []
    if _is_on_its_way(root / "rounds", best["round"]):
        return ["It was sent, but Kaggle does not show it yet and may not have it: repeat the command to look again."]
    from orchestrator.competitions.kaggle.slug import url_of

    otherwise = "repeat the command later" if submit else "repeat the command with --submit"
    return [f"Hand it in at {url_of(slug, 'submit')}, or {otherwise}."]


def _is_on_its_way(rounds: Path, number: int) -> bool:
    """Whether a try at submitting the round has a mark of being sent and no receipt."""
    marks = rounds.glob(f"{label(number)}_submit*_sent.json")
    return any(not mark.with_name(mark.name.replace("_sent.", "_receipt.")).exists() for mark in marks)
