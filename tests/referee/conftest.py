"""A small campaign on disk, and the real sandbox."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from orchestrator.config import Config, parse
from orchestrator.execution.jobs import Sandbox
from orchestrator.execution.ladder import probe
from orchestrator.execution.local import LocalExecutor
from orchestrator.referee.run import Referee
from orchestrator.rounds import RoundFiles

ROWS, TEST_ROWS = 200, 60


@pytest.fixture(scope="session")
def sandbox() -> Sandbox:
    return probe("auto", Path(sys.executable))


class Stand:
    """A campaign with a binary target (auc) that x0 mostly explains, three folds, and a referee on it."""

    def __init__(self, root: Path, sandbox: Sandbox | None, **overrides: Any) -> None:
        self.root = root
        self.sandbox, self.cores = sandbox, 2
        self.rounds = root / "rounds"
        self.rounds.mkdir(parents=True)
        self.data = root / "competition" / "data"
        self.data.mkdir(parents=True)
        self.raw: dict[str, Any] = {
            "competition": {
                "name": "stand",
                "id_column": "id",
                "target_columns": ["target"],
                "task": "binary",
                "classes": ["no", "yes"],
                "metric": "auc",
                "submission_columns": ["target"],
                "submission_kind": "probability",
            },
            "cv": {"strategy": "stratified", "folds": 3, "seed": 7},
            "execution": {"memory_gb": 2.0, "cores": 2},
        }
        for dotted, value in overrides.items():
            section, key = dotted.split("__")
            self.raw.setdefault(section, {})[key] = value
        self.events: list[tuple[str, dict[str, Any]]] = []

    @property
    def config(self) -> Config:
        return parse(self.raw, "config.json")

    def write(self, train: pd.DataFrame, test: pd.DataFrame, sample: pd.DataFrame) -> None:
        for name, table in (("train", train), ("test", test), ("sample_submission", sample)):
            table.to_csv(self.data / f"{name}.csv", index=False)

    def write_default(self) -> None:
        rng = np.random.default_rng(0)
        x = rng.normal(size=(ROWS + TEST_ROWS, 3))
        table = pd.DataFrame(x, columns=["x0", "x1", "x2"])
        table.insert(0, "id", [f"{index:04d}" for index in range(len(table))])
        table["city"] = rng.choice(["Rom", "Oslo", "Bern"], len(table))
        positive = x[:, 0] + 0.7 * rng.normal(size=len(x)) > 0
        train = table[:ROWS].assign(target=np.where(positive[:ROWS], "yes", "no"), spare=1.0)
        test = table[ROWS:].reset_index(drop=True)
        self.truth = positive[:ROWS]
        self.write(train, test, pd.DataFrame({"id": test["id"][::-1], "target": 0.5}))

    def write_columns(self) -> None:
        """The sealed tables' columns as .npy files under data/, for scripts that import numpy alone."""
        folder = self.data / "columns"
        folder.mkdir(exist_ok=True)
        folds = self.referee().seal()
        for fold in (*range(folds.folds), "full"):
            for name, path in folds.tables(fold).items():
                table = pd.read_parquet(path)
                for column in set(table.columns) & {"x0", "x1", "target"}:
                    values = table[column].to_numpy()
                    values = values.astype(str) if values.dtype == object else values
                    np.save(folder / f"{fold}_{name.removesuffix('.parquet')}_{column}.npy", values)

    def referee(self) -> Referee:
        executor = LocalExecutor(self.sandbox, self.cores) if self.sandbox else None
        return Referee(
            self.root, self.config, executor, progress=lambda name, **fields: self.events.append((name, fields))
        )

    def files(self, number: int, variant: int = 0) -> RoundFiles:
        return RoundFiles(self.rounds, number, variant)

    def run(
        self, script: str | bytes, number: int = 1, *, role: str = "improve", best: int | None = None,
        earlier: tuple[int, ...] = (), seconds: float = 60.0, referee: Referee | None = None, **strategy: Any,
    ) -> dict[str, Any]:  # fmt: skip
        if not (self.data / "columns").exists():
            self.write_columns()
        files = self.files(number)
        source = script.encode() if isinstance(script, str) else script
        files.path("experiment.py").write_bytes(source)
        return (referee or self.referee()).run(
            files,
            strategy={"role": role, **strategy},
            best=None if best is None else self.files(best),
            earlier=[self.files(other) for other in earlier],
            seconds=seconds,
        )


HEADER = """
import json, os, sys
import numpy as np
IN, OUT = sys.argv[1], sys.argv[2]
task = json.load(open(IN + "/task.json"))
def column(table, name):  # what {table}.parquet holds, without the seconds that importing a reader takes
    return np.load(f"{IN}/data/columns/{task['fold']}_{table}_{name}.npy", allow_pickle=False)
def save(valid, test):
    np.save(OUT + "/valid.npy", valid)
    np.save(OUT + "/test.npy", test)
def sigmoid(x):
    return 1 / (1 + np.exp(-x))
"""
GOOD = HEADER + 'save(sigmoid(column("valid", "x0")), sigmoid(column("test", "x0")))\nprint("fine")\n'
POOR = HEADER + 'save(sigmoid(column("valid", "x1")), sigmoid(column("test", "x1")))\n'


@pytest.fixture
def make_stand(tmp_path: Path, sandbox: Sandbox) -> Iterator[Callable[..., Stand]]:
    made: list[Stand] = []

    def make(**overrides: Any) -> Stand:
        stand = Stand(tmp_path / f"campaign{len(made)}", sandbox, **overrides)
        stand.write_default()
        made.append(stand)
        return stand

    yield make


@pytest.fixture
def stand(make_stand: Callable[..., Stand]) -> Stand:
    return make_stand()
