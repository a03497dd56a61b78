"""A class called NA is a class where the sample or the rows say so; elsewhere NA is a hole."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from orchestrator import config
from orchestrator.competitions.create import create
from orchestrator.competitions.decisions import Decision
from orchestrator.competitions.grading import load_answers, read_predictions
from orchestrator.competitions.metrics import get_metric
from orchestrator.competitions.profile import profile
from orchestrator.referee.seal import read_data, seal
from orchestrator.referee.submission_file import build
from tests.competitions.making import Folder


def labels(*shares: tuple[str, int]) -> list[str]:
    found = [label for label, rows in shares for _ in range(rows)]
    return list(np.random.default_rng(0).permutation(found))


@pytest.mark.parametrize(
    ("shown", "rare"),
    [
        ({"region": "EU"}, 60),
        ({"region": "NA"}, 1),
        ({"AS": 0.5, "EU": 0.25, "NA": 0.25}, 1),
        ({"region_AS": 0.5, "region_EU": 0.25, "region_NA": 0.25}, 60),
    ],
    ids=["frequent", "shown", "a column", "an ending"],
)
@pytest.mark.parametrize("mark", ["NA", " NA"])
def test_it_is_a_class_from_the_first_table_to_the_submission(
    tmp_path: Path, shown: dict[str, object], rare: int, mark: str
) -> None:
    folder = Folder(tmp_path / "folder")
    folder.train["region"] = labels((mark, rare), ("EU", 100), ("AS", 100 - rare))
    folder.train.loc[folder.train["region"].eq("EU").idxmax(), "region"] = ""
    folder.sample = folder.sample.assign(**shown)
    folder.answers = folder.sample[["id"]].assign(region=["NA", "EU", "AS"] * 20)
    campaign = tmp_path / "campaign"
    create(campaign, folder.described("Submissions are scored by accuracy.").write())
    made = config.load(campaign / "config.json", {})
    spec = made.competition
    assert spec.classes == ["AS", "EU", "NA"]
    (campaign / "rounds").mkdir()
    folds = seal(campaign, made)
    counts = np.bincount(folds.labels)
    assert counts.tolist() == [100 - rare, 99, rare]
    assert pd.read_parquet(folds.folder / "full.parquet")["region"].value_counts()["NA"] == rare
    assert profile(campaign, made, None, *read_data(campaign, made))["target"]["region"]["missing"] == 0
    metric = get_metric(spec.metric, task=spec.task)
    decision = Decision("classes", (1, 1, 1)) if spec.submission_kind == "label" else Decision("probabilities")
    content = build(spec, campaign / "competition" / "data", np.eye(3)[[2, 1, 0] * 20], decision)
    (tmp_path / "submission.csv").write_bytes(content)
    truth = load_answers(campaign / "competition" / "private" / "answers.csv", spec, metric)
    assert metric.score(truth.y, read_predictions(tmp_path / "submission.csv", spec, metric, truth)) == 1


@pytest.mark.parametrize(
    ("target", "shown", "kept"),
    [
        (labels(("NA", 20), ("yes", 90), ("no", 90)), 0.5, 180),
        (labels(("NA", 40), ("yes", 80), ("no", 80)), 0.5, 160),
        (labels(("NA", 20), ("yes", 90), ("no", 90)), "yes", 180),
        (labels(("NaN", 40), ("yes", 80), ("no", 80)), "yes", 160),
        (labels(("nan", 40), ("yes", 80), ("no", 80)), "no", 160),
        (labels(("NA", 20), ("1", 90), ("2", 90)), 1, 180),
        (labels(("NA", 1), ("AS", 99), ("EU", 100)), "EU", 199),
        (labels(("", 20), ("AS", 90), ("EU", 90)), "EU", 180),
    ],
    ids=["probabilities", "many", "one in ten", "no number", "small", "numbers", "hardly any", "blank"],
)
def test_elsewhere_it_is_a_hole(tmp_path: Path, target: list[str], shown: object, kept: int) -> None:
    folder = Folder(tmp_path / "folder").target("y", target, shown)
    made = folder.create()
    assert len(made.competition.classes) == 2
    table = pd.read_csv(tmp_path / "folder-campaign" / "competition" / "data" / "train.csv", keep_default_na=False)
    assert len(table) == kept and not set(table["y"]) & {"", "NA"}


def test_a_mark_that_became_a_class_is_named_among_the_guesses(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "folder").target("y", labels(("NULL", 21), ("yes", 90), ("no", 89)), "yes")
    made = folder.create()
    assert made.competition.classes == ["NULL", "no", "yes"]
    assert made.guesses["competition.classes"] == "sorted; NULL is taken as a class, not as a missing value"
