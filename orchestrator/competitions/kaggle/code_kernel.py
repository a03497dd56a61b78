"""What runs in the notebook of a code-only competition: refit on all sealed rows, predict the mounted test set, submit.

Kaggle runs it twice: when it is pushed, and again after the submission with the hidden test set in the place of the
public one. So nothing here may depend on how many test rows there are or which. The tables are read, typed and split by
the same code as at home, which travels along in a dataset.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from orchestrator.competitions.decisions import Decision
from orchestrator.competitions.metrics import get_metric
from orchestrator.config import Config, parse
from orchestrator.errors import OutputRejected
from orchestrator.files import atomic_write
from orchestrator.referee.predictions import read
from orchestrator.referee.seal import build, fingerprint_of
from orchestrator.referee.sealed import FoldSet, load
from orchestrator.referee.submission_file import build as build_csv
from orchestrator.referee.workdir import data_files, task_record

SUBMISSION = "submission.csv"
_PLACES = ("{}", "competitions/{}", "*/{}")


def main(inputs: Path, out: Path) -> None:
    """`inputs` holds task.json (config, slug, decision, round, seconds, …), experiment.py and perhaps metric.py.

    Raises OutputRejected with a sentence for the log.
    """
    task = json.loads((inputs / "task.json").read_text())
    config = parse(task["config"], "the campaign's config.json")
    with tempfile.TemporaryDirectory() as name:
        campaign = Path(name)
        (campaign / "competition").mkdir()
        data = campaign / "competition" / "data"
        data.symlink_to(mounted(task["slug"], config.competition.test), target_is_directory=True)
        most = task["most"]
        build(campaign, config, expected=None, most=most)
        folds = load(campaign / "competition" / "sealed", fingerprint_of(config, most))
        predictions = campaign / "out"
        predictions.mkdir()
        lay_out(campaign / "in", folds, config, task, inputs, data)
        run(inputs / "experiment.py", campaign / "in", predictions)
        test = read(predictions, "test.npy", folds.test_rows, folds.outputs, config.competition.task)
        csv = build_csv(config.competition, data, test, Decision.from_dict(task["decision"]))
        atomic_write(out / SUBMISSION, csv)
    print(f"{SUBMISSION}: {len(csv)} bytes for {folds.test_rows} test rows")


def mounted(slug: str, test: str) -> Path:
    """Where Kaggle put the competition's files. Raises OutputRejected."""
    root = Path(os.environ.get("AUTOKAGGLE_KERNEL_INPUT", "/kaggle/input"))
    for place in _PLACES:
        for folder in root.glob(place.format(slug)):
            if (folder / test).is_file():
                return folder
    raise OutputRejected(f"the files of {slug} are not mounted with {test} among them")


def lay_out(place: Path, folds: FoldSet, config: Config, task: dict[str, object], inputs: Path, data: Path) -> None:
    """IN as the experiment knows it, of the fold "full": all labelled rows to learn from, the test rows to predict."""
    own_metric = inputs / "metric.py"
    spec = config.competition
    metric = get_metric(spec.metric, own_metric if own_metric.is_file() else None, task=spec.task)
    others = data_files(data, spec)
    (place / "previous").mkdir(parents=True)
    (place / "data").mkdir()
    for name, path in {**folds.tables("full"), **{f"data/{name}": path for name, path in others.items()}}.items():
        (place / name).symlink_to(path.resolve())
    told = {key: task[key] for key in ("round", "cores", "seconds", "memory_mb")}
    record = task_record(config, folds, metric, "full", **told, data=sorted(others), previous=[])
    (place / "task.json").write_text(json.dumps(record, indent=1))  # scratch: gone with the session


def run(experiment: Path, inputs: Path, out: Path) -> None:
    """Raises OutputRejected when it fails; what it prints goes to the log."""
    done = subprocess.run([sys.executable, str(experiment), str(inputs), str(out)], cwd=out.parent)
    if done.returncode != 0:
        raise OutputRejected(f"the experiment ended with exit status {done.returncode}")
