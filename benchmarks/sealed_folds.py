"""What sealed folds cost: the referee's run of a LightGBM experiment on 100,000 rows against a plain K-fold script.

The plain script is what a person would write: one process, one read, K fits with all cores one after the other. The
same model, folds and threads in total; the two are run in turn. The bar is a ratio of 1.10. What it costs is mostly a
start of Python with its imports per fold, so the ratio depends on how long a fit takes: arguments are trees and runs.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from orchestrator import config as settings
from orchestrator.execution import LocalExecutor, probe
from orchestrator.referee.run import Referee
from orchestrator.rounds import RoundFiles

ROWS, COLUMNS, FOLDS, CORES = 100_000, 30, 5, 2
TREES = int(sys.argv[1]) if len(sys.argv) > 1 else 300
RUNS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
MODEL = f"lightgbm.LGBMRegressor(n_estimators={TREES}, num_leaves=63, learning_rate=0.05, n_jobs=CORES, verbose=-1)"

EXPERIMENT = f"""
import json, sys
import lightgbm, numpy as np, pandas as pd
inputs, outputs = sys.argv[1:]
task = json.load(open(f"{{inputs}}/task.json"))
train = pd.read_parquet(f"{{inputs}}/train.parquet")
features = task["numeric_columns"]
model = {MODEL.replace("CORES", 'task["cores"]')}
model.fit(train[features], train["y"])
for name in ("valid", "test"):
    np.save(f"{{outputs}}/{{name}}.npy", model.predict(pd.read_parquet(f"{{inputs}}/{{name}}.parquet")[features]))
"""

PLAIN = f"""
import sys
import lightgbm, numpy as np, pandas as pd
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import KFold
train, test = (pd.read_csv(f"{{sys.argv[1]}}/{{name}}.csv") for name in ("train", "test"))
features = [name for name in test.columns if name != "id"]
oof, prediction = np.zeros(len(train)), np.zeros(len(test))
for fit, held in KFold({FOLDS}, shuffle=True, random_state=42).split(train):
    model = {MODEL.replace("CORES", str(CORES))}
    model.fit(train[features].iloc[fit], train["y"].iloc[fit])
    oof[held] = model.predict(train[features].iloc[held])
    prediction += model.predict(test[features]) / {FOLDS}
print(root_mean_squared_error(train["y"], oof))
pd.DataFrame({{"id": test["id"], "y": prediction}}).to_csv(f"{{sys.argv[1]}}/plain.csv", index=False)
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = make_data(folder)
        referee = make_referee(folder)
        started = time.perf_counter()
        referee.seal()
        sealing = time.perf_counter() - started
        sealed, plain = [], []
        for number in range(1, RUNS + 1):
            sealed.append(run_sealed(referee, folder, number))
            plain.append(run_plain(data))
        ratios = [one / other for one, other in zip(sealed, plain, strict=True)]
        print(f"sealing once: {sealing:.1f} s")
        print(f"sealed folds: {statistics.median(sealed):.1f} s, plain K-fold script: {statistics.median(plain):.1f} s")
        print(f"ratio: median {statistics.median(ratios):.2f} ({', '.join(f'{ratio:.2f}' for ratio in ratios)})")


def make_data(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(ROWS + ROWS // 4, COLUMNS))
    table = pd.DataFrame(values, columns=[f"x{place}" for place in range(COLUMNS)])
    table.insert(0, "id", np.arange(len(table)))
    table["y"] = values[:, 0] * values[:, 1] + np.sin(values[:, 2]) + rng.normal(size=len(table))
    data = folder / "competition" / "data"
    data.mkdir(parents=True)
    (folder / "rounds").mkdir()
    table[:ROWS].to_csv(data / "train.csv", index=False)
    table[ROWS:].drop(columns="y").to_csv(data / "test.csv", index=False)
    table[ROWS:][["id"]].assign(y=0.0).to_csv(data / "sample_submission.csv", index=False)
    return data


def make_referee(folder: Path) -> Referee:
    spec = {
        "name": "rows",
        "id_column": "id",
        "target_columns": ["y"],
        "task": "regression",
        "metric": "rmse",
        "submission_columns": ["y"],
    }
    config = settings.parse({"competition": spec, "cv": {"folds": FOLDS}}, "benchmark")
    sandbox = probe("auto")
    sandbox.warm_up()
    return Referee(folder, config, LocalExecutor(sandbox, CORES))


def run_sealed(referee: Referee, folder: Path, number: int, best: RoundFiles | None = None) -> float:
    """Wall seconds of all folds of a round, which may have been played before."""
    files = RoundFiles(folder / "rounds", number)
    files.path("scores.json").unlink(missing_ok=True)
    files.path("experiment.py").write_text(EXPERIMENT)
    started = time.perf_counter()
    record = referee.run(files, strategy={}, best=best, earlier=[], seconds=3600)
    took = time.perf_counter() - started
    if record["status"] != "ok":
        raise SystemExit(record["reason"])
    return took


def run_plain(data: Path) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", PLAIN, str(data)], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
