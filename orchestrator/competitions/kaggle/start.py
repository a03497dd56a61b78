"""A campaign from a Kaggle competition: what it tells, its data, every setting stated or guessed, all or nothing."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator import show
from orchestrator.competitions.create import Source, adopt, build, check_place
from orchestrator.competitions.folders import Layout, locate
from orchestrator.competitions.kaggle.archives import Budget, unpack_nested
from orchestrator.competitions.kaggle.cache import Data, bytes_in, cache_home, cache_of, cached, check_room, obtain
from orchestrator.competitions.kaggle.client import KaggleClient
from orchestrator.competitions.kaggle.credentials import find
from orchestrator.competitions.kaggle.errors import TryLater
from orchestrator.competitions.kaggle.facts import Facts, ask, ask_or_remember
from orchestrator.competitions.kaggle.pages import describe, documents, is_over, understand
from orchestrator.competitions.kaggle.slug import url_of
from orchestrator.errors import BadInput


@dataclass
class Start:
    """One competition to make a campaign of. `say` hears what takes time; `submit`: submissions may go out."""

    slug: str
    directory: Path
    now: Callable[[], datetime]
    say: Callable[[str], None]
    submit: bool = False
    skip_download: bool = False
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    sleep: Callable[[float], object] = time.sleep
    client: KaggleClient | None = None
    """An open one to use, which stays open; None: one of its own."""

    def make(self) -> list[str]:
        """Make the campaign; lines to print. What has arrived stays in the cache whatever happens, so a second try
        goes on.

        Raises CompetitionError (NeedsPerson with the link when the rules are not accepted, TryLater), and BadInput for
        a directory in use and data that can't be played.
        """
        try:
            return self._make()
        except TryLater as error:
            told = f"{error}; repeat the command later, it goes on with what has arrived"
            raise TryLater(told, after_s=error.after_s) from error

    def _make(self) -> list[str]:
        directory = self.directory.absolute()
        given = directory / "competition" / "data"
        own = self.skip_download and given.is_dir() and any(given.iterdir())
        if not own or (directory / "config.json").exists():
            check_place(directory, None)
        with self._client() as client, cache_of(self.slug, cache_home(self.environment), self.say) as home:
            _sweep(directory)
            if self.skip_download:
                facts = ask_or_remember(lambda: client, self.slug, home)
            else:
                facts = ask(client, self.slug, home)
            if own:
                data = Data(given, unpack_nested(given, Budget.for_archive(0, given), keep=True))
                return adopt(directory, self._source(facts, data))
            data = self._data(client, home)
            place = next(one for one in (directory, *directory.parents) if one.is_dir())
            check_room(place, bytes_in(data.folder))
            return build(directory, self._source(facts, data))

    def _client(self) -> AbstractContextManager[KaggleClient]:
        if self.client is not None:
            return nullcontext(self.client)
        return KaggleClient(find(self.environment), environment=self.environment, sleep=self.sleep)

    def _data(self, client: KaggleClient, home: Path) -> Data:
        if not self.skip_download:
            return obtain(client, self.slug, home, self.say, sleep=self.sleep)
        data = cached(home)
        if data is None:
            raise BadInput(
                f"there are no data of {self.slug} yet: put them into {self.directory / 'competition' / 'data'}, "
                "or leave --skip-download out"
            )
        return data

    def _source(self, facts: Facts, data: Data) -> Source:
        layout, info = _layout(data.folder, self.slug), facts.info
        if info.code_only and any(path.parent != data.folder for path in layout.tables.values()):
            raise BadInput(f"{self.slug} takes notebooks only and keeps its tables in folders: that can't be played")
        text = describe(info, facts.pages) if facts.pages else _own_description(layout)
        settings, guesses, notes = self._stated(facts)
        own = {f"pages/{name}": page for name, page in documents(facts.pages).items()}
        return Source(
            layout,
            self.slug,
            understand(info, text, facts.scores),
            settings=settings,
            guesses=guesses,
            documents={**own, **({"description.md": text} if text else {})},
            notes=[*facts.notes, *(f"Left out: {note}" for note in data.notes), *notes],
            in_notebooks=info.code_only,
        )

    def _stated(self, facts: Facts) -> tuple[dict[str, dict[str, Any]], dict[str, str], list[str]]:
        """(settings that Kaggle states, why submissions are off if they are, sentences on them)."""
        info = facts.info
        competition: dict[str, Any] = {"kind": "kaggle", "slug": self.slug}
        if info.daily_limit > 0:
            competition["daily_limit"] = info.daily_limit
        settings: dict[str, dict[str, Any]] = {"competition": competition}
        over = is_over(info.deadline, self.now())
        if info.deadline is not None and not over:
            settings["loop"] = {"deadline": info.deadline.astimezone(UTC).isoformat(timespec="seconds")}
        why = self._why_off(facts, over)
        settings["submissions"] = {"enabled": not why}
        notes = (
            [f"deadline  {info.deadline:%Y-%m-%d %H:%M} UTC{', which is over' if over else ''}"]
            if info.deadline
            else []
        )
        if why:
            return settings, {"submissions.enabled": why}, [*notes, f"Submissions are off: {why}."]
        if info.code_only:
            notes.append(f"{self.slug} takes notebooks only: a private one at Kaggle computes each submission anew.")
        if over:
            notes.append(f"Submissions to {self.slug} count for no ranking any more.")
        if not info.entered:
            notes.append(f"This account has not joined {self.slug}: accept the rules at {url_of(self.slug, 'rules')}")
        return settings, {}, [*notes, f"Submissions go out by themselves, at most {info.daily_limit} a day."]

    def _why_off(self, facts: Facts, over: bool) -> str:
        """Why nothing is submitted; empty when submissions may go out."""
        if facts.info.submissions_disabled:
            return f"{self.slug} takes none any more"
        if not self.submit:
            return f"{self.slug} is over" if over else "nobody asked for them; submissions.enabled turns them on"
        return ""


def _layout(folder: Path, slug: str) -> Layout:
    """Which file is what; a competition of pictures or of several tables is refused with what it has."""
    try:
        layout = locate(folder, optional=("sample_submission",))
    except BadInput as error:
        names = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir() if not path.name.startswith("."))
        shown = f"{', '.join(names[:8])}{', …' if len(names) > 8 else ''}"
        raise BadInput(
            f"the data of {slug} ({shown}) are no train and test table as they come: {error}; bring them into that "
            f"form in a folder of your own and go on with: {show.command('new DIR --from FOLDER')}"
        ) from None
    return replace(layout, answers=None, leaderboard=None, meta=None)


def _own_description(layout: Layout) -> str:
    return layout.description.read_text(encoding="utf-8", errors="replace") if layout.description else ""


def _sweep(directory: Path) -> None:
    """Delete what a kill left of this campaign beside its place; the cache's lock keeps other makers of it out."""
    if directory.parent.is_dir():
        for path in directory.parent.iterdir():
            if path.name.startswith(f".{directory.name}.") and path.name.endswith(".new"):
                shutil.rmtree(path, ignore_errors=True)
