"""A competition in a folder, graded here.

competition/private/answers.csv       the truth; `Usage` (Public, Private, Ignored) when the split is given
competition/private/leaderboard.csv   optional: rank,score of other teams
competition/private/submissions.json  what was submitted, with its scores
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.competitions.base import Grade, Limits, Submission, SubmissionRefused, read_untrusted
from orchestrator.config import Config
from orchestrator.errors import BadInput, Damaged, MetricFailed, OutputRejected
from orchestrator.files import read_json, sha256_bytes, write_json

if TYPE_CHECKING:
    from orchestrator.competitions.grading import Answers
    from orchestrator.competitions.metrics import Metric
    from orchestrator.competitions.scoring_functions import Array

OUR_TEAM = "this campaign"


class LocalCompetition:
    """A campaign's own folder as the site: its day is the UTC day of `now`, and what it accepts shows at once.

    A submission is accepted by one durable write, so a crash leaves it either in the listing or never made.
    `write(path, record)` is that write.
    """

    clock_guard_s = 0.0
    horizon_s = 0.0
    list_is_final = True
    team = OUR_TEAM
    """Our row of the leaderboard."""

    def __init__(
        self,
        root: Path,
        config: Config,
        *,
        now: Callable[[], datetime],
        write: Callable[[Path, dict[str, Any]], None] = write_json,
    ) -> None:
        self.root = root
        self.spec = config.competition
        self.now = now
        self.private = root / "competition" / "private"
        self._write = write

    def server_time(self) -> datetime:
        return self.now().astimezone(UTC)

    def limits(self) -> Limits:
        today = self.server_time().date()
        used = sum(entry.when.date() == today for entry in self.submissions())
        return Limits(self.spec.daily_limit, used, max(0, self.spec.daily_limit - used))

    def submissions(self) -> list[Submission]:
        """Raises Damaged when the list can't be trusted: it is what keeps the daily limit."""
        return [
            Submission(
                ref=record["ref"],
                description=record["description"],
                when=datetime.fromisoformat(record["when"]),
                status="complete",
                public_score=record["public"],
                file_name=record["file_name"],
                total_bytes=record["total_bytes"],
            )
            for record in self._records()
        ]

    def prepare(self, csv: Path) -> None:
        """Nothing: it is here already."""

    def submit(self, csv: Path, description: str) -> str:
        """Grade and list it. SubmissionRefused over the daily limit and for a CSV that can't be graded."""
        if self.limits().allowed_now <= 0:
            raise SubmissionRefused(f"today's {self.spec.daily_limit} submissions are used", passing=True)
        grade = self.grade(csv)
        if not grade.valid:
            raise SubmissionRefused(grade.error)
        data, records = read_untrusted(csv), self._records()
        record = {
            "ref": f"L{len(records) + 1:04d}",
            "description": description,
            "when": self.server_time().isoformat(),
            "public": grade.public,
            "private": grade.private,
            "file_name": csv.name,
            "total_bytes": len(data),
            "csv_sha256": sha256_bytes(data),
        }
        self._write(self.private / "submissions.json", {"submissions": [*records, record]})
        return str(record["ref"])

    def grade(self, csv: Path) -> Grade:
        """The CSV's score on all answers and on their public and private parts.

        Raises BadInput when the answers or the metric themselves can't be used.
        """
        from orchestrator.competitions import grading

        path = self.private / "answers.csv"
        if not path.exists():
            return Grade(False, error="there are no answers in competition/private, so nothing can be graded here")
        metric = self._metric()
        answers = grading.load_answers(path, self.spec, metric)
        try:
            predictions = grading.read_predictions(csv, self.spec, metric, answers)
        except OutputRejected as error:
            return Grade(False, error=str(error))
        groups = self._groups(metric, answers)

        def score(rows: Array) -> float | None:
            value = metric.score(answers.y[rows], predictions[rows], None if groups is None else groups[rows])
            return value if math.isfinite(value) else None

        def part(rows: Array) -> float | None:
            with suppress(MetricFailed):
                return score(rows)
            return None

        try:
            everything = score(answers.graded)
        except MetricFailed as error:
            return Grade(False, error=f"{csv.name}: {error}")
        if everything is None:
            return Grade(
                False, error=f"{csv.name}: {metric.name} is undefined for these predictions; are they constant?"
            )
        parts = part(answers.graded & answers.public), part(answers.graded & ~answers.public)
        return Grade(True, everything, *parts)

    def leaderboard(self) -> list[tuple[str, float]]:
        """Our best public score among the other teams' scores."""
        maximize = self._metric().maximize
        ours = [entry.public_score for entry in self.submissions() if entry.public_score is not None]
        rows = self._other_teams()
        if ours:
            rows.append((OUR_TEAM, max(ours) if maximize else min(ours)))
        return sorted(rows, key=lambda row: -row[1] if maximize else row[1])

    def close(self) -> None:
        """Nothing is open."""

    def _records(self) -> list[dict[str, Any]]:
        path = self.private / "submissions.json"
        try:
            return list(read_json(path)["submissions"])
        except FileNotFoundError:
            return []
        except Damaged as error:
            raise Damaged(f"{error}; restore it from a backup, or delete it to start with no submissions") from error

    def _metric(self) -> Metric:
        from orchestrator.competitions.metrics import metric_of

        return metric_of(self.spec, self.root)

    def _groups(self, metric: Metric, answers: Answers) -> Array | None:
        """(n,) group of each answer, from the test table, for a metric that ranks within groups."""
        if not metric.grouped or self.spec.group_column is None:
            return None
        import numpy as np

        from orchestrator.competitions.tables import read_table

        wanted = [name for name in (self.spec.id_column, self.spec.group_column) if name]
        test = read_table(self.root / "competition" / "data" / self.spec.test, as_text=wanted, columns=wanted)
        groups = test[self.spec.group_column]
        if self.spec.id_column and answers.ids is not None:
            groups = groups.set_axis(test[self.spec.id_column]).reindex(answers.ids)
        return np.asarray(groups.to_numpy(dtype=object))

    def _other_teams(self) -> list[tuple[str, float]]:
        """(team, score) of leaderboard.csv."""
        path = self.private / "leaderboard.csv"
        try:
            rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
            return [(f"team {int(float(row['rank']))}", float(row["score"])) for row in rows]
        except FileNotFoundError:
            return []
        except (KeyError, ValueError, TypeError, csv.Error) as error:
            raise BadInput(f"{path} needs the columns rank and score, a number each: {error}") from error
