"""A Kaggle competition as the place that takes submissions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Protocol

from orchestrator.competitions.base import Grade, Limits, NeedsPerson, Submission, SubmissionRefused
from orchestrator.competitions.kaggle.client import KaggleClient
from orchestrator.competitions.kaggle.credentials import find
from orchestrator.competitions.kaggle.errors import NotThere, Refused, notebooks_only
from orchestrator.competitions.kaggle.records import CompetitionInfo
from orchestrator.competitions.kaggle.research import Researched
from orchestrator.config import Config
from orchestrator.errors import OutputRejected

CODE_OUTPUT = "submission.csv"
"""The name that code-only competitions want."""


class Notebooks(Protocol):
    """How a code-only competition is served: a round's submission is computed by a notebook at Kaggle."""

    def prepare(self, frozen: Path) -> tuple[str, int]:
        """Run the notebook for the round of this frozen CSV; (owner/slug, version). Raises SubmissionRefused."""
        ...


class KaggleCompetition(Researched):
    """One competition for one account. Nothing is asked before the first call; close it when done.

    A submission goes out in two steps: `prepare` brings the file to Kaggle's storage, which may fail and be repeated,
    and `submit` names it in one request that is never repeated.
    """

    clock_guard_s = 600.0
    horizon_s = 3600.0
    list_is_final = False

    def __init__(self, root: Path, config: Config, client: KaggleClient) -> None:
        assert config.competition.slug is not None
        self.slug = config.competition.slug
        self.root = root
        self.spec = config.competition
        self.client = client
        self.code_submissions: Notebooks | None = None
        """What code-only competitions need; set by whoever can run notebooks."""
        self._uploaded: dict[Path, str] = {}
        self._computed: dict[Path, tuple[str, int]] = {}
        self._info: CompetitionInfo | None = None

    @classmethod
    def open(
        cls, root: Path, config: Config, environment: Mapping[str, str], own: Mapping[str, str]
    ) -> KaggleCompetition:
        """With the credentials of the campaign's `.env` (`own`), the shell and the home."""
        return cls(root, config, KaggleClient(find(environment, own), environment=environment))

    def close(self) -> None:
        self.client.close()

    def info(self) -> CompetitionInfo:
        """What Kaggle says about the competition; asked once."""
        if self._info is None:
            self._info = self.client.competition(self.slug)
        return self._info

    def limits(self) -> Limits:
        found = self.client.submission_limits(self.slug)
        return Limits(self.info().daily_limit or found.daily, found.used_today, found.allowed_now)

    def submissions(self) -> list[Submission]:
        return self.client.submissions(self.slug)

    def server_time(self) -> datetime:
        return self.client.server_time()

    def prepare(self, csv: Path) -> None:
        """Raises SubmissionRefused when Kaggle does not want this file, NeedsPerson, or that it can't be reached."""
        if self.info().code_only:
            if self.code_submissions is None:
                raise notebooks_only(self.slug)
            self._computed[csv] = self.code_submissions.prepare(csv)
            return
        try:
            self._uploaded[csv] = self.client.upload(self.slug, csv, csv.name)
        except Refused as error:
            raise SubmissionRefused(str(error), passing=error.passing) from error

    def submit(self, csv: Path, description: str) -> str:
        """The one request. An answer that says no for certain is SubmissionRefused; all else leaves it open."""
        token, computed = self._uploaded.pop(csv, None), self._computed.pop(csv, None)
        if token is None and computed is None:
            raise SubmissionRefused(f"{csv.name} is not at Kaggle's storage", passing=True)
        try:
            if computed is not None:
                return self.client.submit_kernel(self.slug, *computed, CODE_OUTPUT, description)
            return self.client.create_submission(self.slug, str(token), description)
        except NeedsPerson as error:
            raise SubmissionRefused(str(error), passing=True, needs_person=True) from error
        except Refused as error:
            raise SubmissionRefused(str(error), passing=error.passing) from error
        except NotThere as error:
            raise SubmissionRefused(str(error)) from error

    def leaderboard(self) -> list[tuple[str, float]]:
        """(team, public score) in Kaggle's order."""
        return [(row.team, row.score) for row in self.client.leaderboard(self.slug)]

    def grade(self, csv: Path) -> Grade:
        """Whether the CSV has the sample's form; the answers are not here."""
        from orchestrator.referee.submission_file import check

        try:
            check(self.spec, csv, self.root / "competition" / "data")
        except OutputRejected as error:
            return Grade(False, error=str(error))
        return Grade(True)
