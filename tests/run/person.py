"""A person who types `run`, and a small competition on a local Kaggle."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.competitions.making import Folder
from tests.kaggle_server.start import Kaggle
from tests.kill import harness

ROOT = Path(__file__).resolve().parent.parent.parent
SLUG = "two-moons"
URL = f"https://www.kaggle.com/competitions/{SLUG}/overview"


def tables(folder: Path) -> Folder:
    """Two classes that a model can tell apart, and the answers."""
    made = Folder(folder, train_rows=400, test_rows=80)
    for frame in (made.train, made.test):
        frame["kind"] = (frame["x1"] + frame["x2"] / 40 + made.rng.normal(scale=0.3, size=len(frame)) > 0.6).astype(int)
    made.sample["kind"] = 0
    made.answers = made.test[["id", "kind"]]
    made.test = made.test.drop(columns="kind")
    return made


def serve(server: Kaggle, folder: Path, slug: str = SLUG) -> None:
    """Define the competition; its answers stay beside its data."""
    tables(folder / "data").write()
    (folder / "data" / "answers.csv").rename(folder / "answers.csv")
    server.competition(
        slug,
        folder=str(folder / "data"),
        title="Two Moons",
        metric_text="Categorization Accuracy",
        pages={"Evaluation": "Your score is the percentage that you predict correctly (accuracy)."},
        leaderboard=[{"team": f"team {place}", "score": 0.9 - place / 100} for place in range(10)],
        scoring={"answers": str(folder / "answers.csv"), "metric": "accuracy", "id": "id", "targets": ["kind"]},
    )


class Person:
    """Someone at a terminal, in a folder and a home of their own."""

    def __init__(self, server: Kaggle, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.environment = {
            **server.environment(folder / "home"),
            "PYTHONPATH": str(ROOT),
            "AUTOKAGGLE_CV__FOLDS": "2",
            "AUTOKAGGLE_SUBMISSIONS__WAIT_MINUTES": "0.2",
        }

    def plays_quickly(self) -> None:
        """A Builder whose experiments import nothing, instead of the built-in one's."""
        script = harness.EXPERIMENT.replace("PREDICTION", "0.4")
        turn = {"files": {"experiment.py": script}, "call": ["run_experiment"], "reply": "CV_SCORE={results[0][cv]}"}
        path = self.folder.with_name(f"{self.folder.name}.json")
        path.write_text(json.dumps({"fallback": "offline", "turns": {"R01/build": [turn]}}))
        self.environment["AUTOKAGGLE_AGENTS__BUILDER"] = json.dumps({"backend": "scripted", "script": str(path)})

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-W", "error", "-m", "orchestrator", *words]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def types(self, *words: str) -> tuple[int, str]:
        process = self.start(*words)
        said = process.communicate(timeout=300)[0]
        return process.returncode, said

    def kills(self, happens: Callable[[], bool], *words: str) -> None:
        """Start a command and kill it as soon as something happens."""
        process = self.start(*words)
        while not happens():
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()


def config(campaign: Path) -> dict[str, Any]:
    return dict(json.loads((campaign / "config.json").read_text()))
