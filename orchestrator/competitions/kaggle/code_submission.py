"""Code-only competitions: a round's submission is a version of a private notebook that makes submission.csv at Kaggle.

The notebook carries the round's experiment and the code that lays out its inputs; it trains on all labelled rows that
the competition mounts and predicts the test set that it finds there. The leaderboard then scores that refit, while the
CV is the mean over the folds' models.
"""

from __future__ import annotations

import json
import re
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from orchestrator.competitions.base import SubmissionRefused, read_untrusted
from orchestrator.competitions.kaggle.code_kernel import SUBMISSION
from orchestrator.config import Config
from orchestrator.errors import Damaged, OutputRejected
from orchestrator.execution.jobs import Job, Limits
from orchestrator.execution.kaggle_kernel import MACHINES, USUAL
from orchestrator.execution.kernel_inputs import Datasets
from orchestrator.execution.kernel_session import QuotaSpent, Session, Settings
from orchestrator.execution.kernel_site import KernelSite
from orchestrator.files import read_json
from orchestrator.referee.seal import with_folds
from orchestrator.referee.submission_file import check
from orchestrator.rounds import RoundFiles

PACKAGE = Path(__file__).parents[2]
"""This package, of which the notebook gets a copy."""
_FROZEN = re.compile(r"R(\d{2,})_frozen_")
_READS_EARLIER = re.compile(rb"\bprevious\b")
DRIVER = """import sys
from pathlib import Path
IN, OUT = map(Path, sys.argv[1:])
(IN / "experiment.py").write_bytes(SOURCE)
sys.path.insert(0, str(IN / "code"))
from orchestrator.competitions.kaggle.code_kernel import main
main(IN, OUT)
"""
"""The experiment stands in the script, so the dataset is the same for all rounds, whichever version Kaggle mounts."""


class CodeSubmissions:
    """`pause(seconds)` waits, or raises when the campaign stops; then the notebook goes on and is found again."""

    def __init__(self, root: Path, config: Config, site: KernelSite, pause: Callable[[float], None]) -> None:
        self.root, self.config, self.site, self.pause = root, config, site, pause
        self._datasets = Datasets(site)
        self._lock = threading.Lock()

    def prepare(self, frozen: Path) -> tuple[str, int]:
        """Run the notebook of the round whose frozen CSV this is, once; (owner/slug, version) for the submission.

        Raises SubmissionRefused when this round can't be handed in as code, or its notebook fails.
        """
        match = _FROZEN.match(frozen.name)
        assert match is not None
        files = RoundFiles(self.root / "rounds", int(match[1]))
        with self._lock, tempfile.TemporaryDirectory() as name:
            job = self._job(files, Path(name))
            slug = str(self.config.competition.slug)
            log_bytes = self.config.execution.log_kb * 1024
            settings = Settings(self._accelerator, log_bytes, outputs=(SUBMISSION,), competitions=(slug,))
            try:
                outcome = Session(self._datasets, settings, job, self.pause).play()
            except QuotaSpent as spent:
                raise SubmissionRefused(f"{spent} A notebook can't run before that", passing=True) from spent
            if outcome.status != "ok":
                last = (outcome.log.strip().splitlines() or ["it printed nothing"])[-1]
                passing = outcome.status == "lost"
                raise SubmissionRefused(
                    f"the notebook of {files.label} {outcome.status}: {last[:300]}", passing=passing
                )
            self._check(job.out / SUBMISSION, files)
        entry = self.site.entry(job.name)
        if entry is None or not entry["version"]:
            self.site.write(job.name, state="void")
            raise SubmissionRefused(f"Kaggle does not tell the version of {files.label}'s notebook", passing=True)
        return str(entry["ref"]), int(entry["version"])

    @property
    def _accelerator(self) -> str:
        """Experiments that ran here need none there."""
        execution = self.config.execution
        return execution.accelerator if execution.backend == "kaggle_kernel" else "none"

    def _job(self, files: RoundFiles, folder: Path) -> Job:
        """The notebook's work as a job: the driver is its script."""
        spec, execution = self.config.competition, self.config.execution
        source = read_untrusted(files.path("experiment.py"))
        if _READS_EARLIER.search(source):
            raise SubmissionRefused(
                f"{files.label} uses predictions of earlier rounds, which nobody has for hidden test rows: "
                f"{spec.slug} takes code, so only a round that stands alone can be handed in"
            )
        try:
            record = read_json(files.path("scores.json"))
            folds = read_json(RoundFiles(self.root / "rounds", 0).path("folds.json"))
        except (Damaged, FileNotFoundError) as error:
            raise SubmissionRefused(f"{files.label} can't be handed in as code: {error}") from error
        machine = MACHINES.get(self._accelerator, USUAL)
        seconds = execution.experiment_minutes * 60
        config = with_folds(self.config, folds["folds"])
        task = {
            "config": config.model_dump(include={"competition", "cv", "referee", "execution"}),
            "slug": spec.slug,
            "decision": record["decision"],
            "round": files.number,
            "cores": machine.cores,
            "memory_mb": machine.memory_mb,
            "seconds": seconds,
            "most": folds.get("most"),
        }
        (folder / "task.json").write_text(json.dumps(task))  # scratch
        (folder / "hand_in.py").write_text(f"SOURCE = {source!r}\n{DRIVER}")
        (folder / "out").mkdir()
        inputs = {"task.json": folder / "task.json", "code/orchestrator": PACKAGE}
        if spec.metric_file:
            inputs["metric.py"] = self.root / spec.metric_file
        limits = Limits(seconds, machine.memory_mb, int(execution.disk_gb * 1024), log_kb=execution.log_kb)
        return Job(folder / "hand_in.py", inputs, folder / "out", limits, name=f"{files.label}/submission")

    def _check(self, csv: Path, files: RoundFiles) -> None:
        """The notebook's file against the sample: its first run sees the public test set."""
        try:
            check(self.config.competition, csv, self.root / "competition" / "data")
        except OutputRejected as error:
            raise SubmissionRefused(f"the notebook of {files.label} made an unusable {SUBMISSION}: {error}") from error
