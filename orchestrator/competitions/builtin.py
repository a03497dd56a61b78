"""The built-in competition `digits`: scikit-learn's 1,797 handwritten digits of 8 x 8 pixels, as CSV files.

Needs no network; the same bytes on every machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.competitions.tables import write_csv
from orchestrator.config import Config, parse
from orchestrator.files import atomic_write

if TYPE_CHECKING:
    import pandas as pd

TRAIN_ROWS = 1000
SEED = 20
CLASSES = list(range(10))
COLUMNS = [f"digit_{label}" for label in CLASSES]
PIXELS = [f"pixel_{row}_{column}" for row in range(8) for column in range(8)]
FILES = ["data/train.csv", "data/test.csv", "data/sample_submission.csv", "data/description.md", "private/answers.csv"]
DESCRIPTION = f"""# Digits

Which digit was written? Each row is a picture of 8 x 8 pixels; `pixel_R_C` is the darkness (0 to 16) of row R and
column C, `digit` the label.

## Evaluation

Submissions are evaluated with the multi-class logarithmic loss over the ten digits. (Lower is better.)

## Submission file

One row per row of `test.csv` with `id` and the probability of each digit: `{",".join(["id", *COLUMNS])}`.
"""


def config() -> Config:
    """The settings of a campaign that plays it."""
    competition: dict[str, Any] = {
        "name": "digits",
        "builtin": "digits",
        "id_column": "id",
        "target_columns": ["digit"],
        "task": "multiclass",
        "classes": CLASSES,
        "metric": "log_loss",
        "submission_columns": COLUMNS,
        "submission_kind": "class_columns",
    }
    return parse({"competition": competition, "cv": {"strategy": "stratified", "folds": 5}}, "the built-in config")


def prepare(campaign: Path) -> None:
    """Write the competition's files under `campaign`/competition; files that are all there stay untouched."""
    home = campaign / "competition"
    if all((home / name).is_file() for name in FILES):
        return
    # Each file lands whole: a kill between two leaves some missing, and the next start writes them all again.
    for name, content in _contents().items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            atomic_write(home / name, content)
        else:
            write_csv(home / name, content)


def _contents() -> dict[str, pd.DataFrame | str]:
    """Every file's content by its path under competition/."""
    import numpy as np
    import pandas as pd
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.RandomState(SEED).permutation(len(digits.target))  # the legacy generator never changes
    table = pd.DataFrame(digits.data[order].astype(int), columns=PIXELS)
    table.insert(0, "id", range(1, len(table) + 1))
    table["digit"] = digits.target[order]
    train, test = table.iloc[:TRAIN_ROWS], table.iloc[TRAIN_ROWS:]
    sample = pd.DataFrame({"id": test["id"], **{name: 0.1 for name in COLUMNS}})
    contents: list[pd.DataFrame | str] = [train, test.drop(columns="digit"), sample, DESCRIPTION, test[["id", "digit"]]]
    return dict(zip(FILES, contents, strict=True))
