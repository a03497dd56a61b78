"""Small competition folders, made from a seed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from orchestrator import config
from orchestrator.competitions.check import check_columns
from orchestrator.competitions.check_scoring import check_scoring
from orchestrator.competitions.create import create
from orchestrator.competitions.metrics import get_metric
from orchestrator.config import Config
from orchestrator.referee.seal import seal
from orchestrator.referee.sealed import FoldSet


def features(rows: int, seed: int = 0) -> pd.DataFrame:
    """Two numbers and a category."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {"x1": rng.normal(size=rows), "x2": rng.integers(0, 50, rows), "colour": rng.choice(["red", "blue"], rows)}
    )


class Folder:
    """Train and test with an id and two or three features each; tests add what they are about."""

    def __init__(self, path: Path, train_rows: int = 200, test_rows: int = 60) -> None:
        self.path = path
        self.train = features(train_rows)
        self.test = features(test_rows, 1)
        self.train.insert(0, "id", range(1, train_rows + 1))
        self.test.insert(0, "id", range(train_rows + 1, train_rows + test_rows + 1))
        self.sample = self.test[["id"]].copy()
        self.answers: pd.DataFrame | None = None
        self.description = ""
        self.meta: dict[str, Any] = {}
        self.rng = np.random.default_rng(7)

    def target(self, name: str, values: Any, shown: Any) -> Folder:
        """A target column of train and the value(s) that the sample shows for it."""
        self.train[name] = values
        self.sample[name] = shown
        return self

    def described(self, evaluation: str) -> Folder:
        self.description = f"# A title\n\nAbout the data.\n\n## Evaluation\n\n{evaluation}\n\n## Files\n\n- train.csv\n"
        return self

    def write(self) -> Path:
        self.path.mkdir(parents=True, exist_ok=True)
        for name, frame in (("train", self.train), ("test", self.test), ("sample_submission", self.sample)):
            frame.to_csv(self.path / f"{name}.csv", index=False)
        if self.answers is not None:
            self.answers.to_csv(self.path / "answers.csv", index=False)
        if self.description:
            (self.path / "description.md").write_text(self.description)
        if self.meta:
            (self.path / "meta.json").write_text(json.dumps(self.meta))
        return self.path

    def create(self, use_meta: bool = True) -> Config:
        """The config of a campaign made from this folder, which the first start would accept."""
        campaign = self.path.parent / f"{self.path.name}-campaign"
        create(campaign, self.write(), use_meta=use_meta)
        made = config.load(campaign / "config.json", {})
        check_scoring(made.competition, get_metric(made.competition.metric, task=made.competition.task))
        check_columns(campaign / "competition" / "data", made.competition)
        return made

    def sealed(self) -> tuple[Config, FoldSet]:
        """The campaign's config, and its folds as the first start seals them."""
        made, campaign = self.create(), self.path.parent / f"{self.path.name}-campaign"
        (campaign / "rounds").mkdir()
        return made, seal(campaign, made)
