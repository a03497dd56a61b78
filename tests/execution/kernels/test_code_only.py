"""Competitions that take notebooks alone: the round's experiment, refit at Kaggle on what is mounted there."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from orchestrator.competitions.base import SubmissionRefused
from orchestrator.competitions.kaggle.client import KaggleClient
from orchestrator.competitions.kaggle.code_submission import CodeSubmissions
from orchestrator.competitions.kaggle.site import KaggleCompetition
from orchestrator.execution.kernel_site import KernelSite, Pace
from orchestrator.files import sha256_file, write_json
from tests.kaggle_server.start import USER, Kaggle
from tests.referee.conftest import Stand

SLUG = "code-only"
FIT = """
import json, sys
import numpy as np, pandas as pd
IN, OUT = sys.argv[1], sys.argv[2]
task = json.load(open(IN + "/task.json"))
train, valid, test = (pd.read_parquet(f"{IN}/{name}.parquet") for name in ("train", "valid", "test"))
assert len(train) == task["n_train"] == 120 and len(test) == task["n_test"]
shift = train.loc[train["target"] == task["classes"][1], "x0"].mean()
for name, table in (("valid", valid), ("test", test)):
    np.save(f"{OUT}/{name}.npy", 1 / (1 + np.exp(shift - table["x0"].to_numpy())))
print("learnt from", len(train), "rows, fold", task["fold"])
"""


class Code:
    """A code-only competition, its campaign with one round played here, and what submits."""

    def __init__(self, stand: Stand, server: Kaggle, client: KaggleClient, run: str) -> None:
        self.stand, self.server, self.client, self.run = stand, server, client, run
        stand.raw["competition"] |= {"kind": "kaggle", "slug": SLUG}
        server.competition(SLUG, folder=str(stand.data), code_only=True, required_name="submission.csv")
        self.notes: list[str] = []
        site = KernelSite(
            client,
            rounds=stand.rounds,
            scratch=stand.root / ".work" / "kernels",
            run=run,
            now=lambda: pd.Timestamp.now(tz="UTC").to_pydatetime(),
            tell=lambda text, level="info": self.notes.append(text),
            pace=Pace(poll_s=0.04),
        )
        self.place = KaggleCompetition(stand.root, stand.config, client)
        self.place.code_submissions = CodeSubmissions(stand.root, stand.config, site, lambda seconds: None)

    def play(self, script: str) -> Path:
        """Round 1, with what of its record counts here; its frozen CSV."""
        files = self.stand.files(1)
        files.path("experiment.py").write_text(script)
        write_json(
            self.stand.files(0).path("folds.json"), {"most": 120, "folds": 2}
        )  # of 200 rows, as the campaign's own folds
        write_json(files.path("scores.json"), {"decision": {"kind": "values", "numbers": [0, 1], "levels": []}})
        csv = self.stand.data / "sample_submission.csv"
        frozen = self.stand.rounds / f"R01_frozen_{self.run}_{sha256_file(csv)[:12]}.csv"
        shutil.copy(csv, frozen)
        return frozen

    def pushes(self) -> list[dict[str, Any]]:
        return list(self.server.control("runs", ref=f"{USER}/autokaggle-{self.run}-submission"))


@pytest.fixture
def make_code(make_stand: Callable[..., Stand], server: Kaggle, client: KaggleClient) -> Callable[..., Code]:
    return lambda run: Code(make_stand(cv__folds=2), server, client, run)


def test_a_round_is_handed_in_as_a_version_of_a_notebook(make_code: Callable[..., Code], server: Kaggle) -> None:
    code = make_code("0000c0de")
    frozen = code.play(FIT)
    code.place.prepare(frozen)
    ref = code.place.submit(frozen, "ak1 R01 code")
    (made,) = server.submissions(SLUG)
    assert (made["description"], made["file_name"]) == ("ak1 R01 code", "submission.csv") and int(ref) == made["ref"]
    assert made["kernel"] == f"{USER}/autokaggle-0000c0de-submission/1"
    (push,) = code.pushes()
    request = push["request"]
    assert request["competitionDataSources"] == [SLUG] and request["enableInternet"] is False
    assert request["isPrivate"] and request["enableGpu"] is False
    code.place.prepare(frozen)  # as after a kill between the notebook's end and the submission
    assert len(code.pushes()) == 1
    hidden_test_set(code)


def hidden_test_set(code: Code) -> None:
    """Run what was pushed again, as Kaggle does, with other and more test rows and a column's type changed."""
    kernel = code.server.folder / "kernels" / USER / "autokaggle-0000c0de-submission" / "1"
    mounted = kernel / "input" / SLUG
    rng = np.random.default_rng(5)
    table = pd.DataFrame({"id": [f"h{row:03d}" for row in range(90)], "x0": rng.normal(size=90)})
    table = table.assign(x1=1, x2=rng.normal(size=90), city="Wien")
    table.to_csv(mounted / "test.csv", index=False)
    pd.DataFrame({"id": table["id"][::-1], "target": 0.5}).to_csv(mounted / "sample_submission.csv", index=False)
    working = kernel.parent / "again"
    working.mkdir()
    environment = {"PATH": os.environ["PATH"], "AUTOKAGGLE_KERNEL_INPUT": str(kernel / "input")}
    command = [sys.executable, str(kernel / "script.py")]
    subprocess.run(command, cwd=working, env=environment, check=True, capture_output=True, timeout=120)
    assert json.loads((working / "autokaggle_result.json").read_text())["status"] == "ok"
    made = pd.read_csv(io.BytesIO((working / "submission.csv").read_bytes()))
    assert made["id"].tolist() == table["id"].tolist()[::-1]
    ranks = made["target"].rank().to_numpy()[::-1]
    assert np.array_equal(ranks, table["x0"].rank().to_numpy())


def test_what_can_not_be_handed_in_is_refused_with_its_reason(make_code: Callable[..., Code], server: Kaggle) -> None:
    code = make_code("0001c0de")
    frozen = code.play(FIT + "\n# previous\n")
    before = server.count("SaveKernel")
    with pytest.raises(SubmissionRefused, match="R01 uses predictions of earlier rounds"):
        code.place.prepare(frozen)
    assert server.count("SaveKernel") == before
    script = FIT + "\nif task['fold'] == 'full': raise SystemExit('no refit')\n"
    code.stand.files(1).path("experiment.py").write_text(script)
    with pytest.raises(
        SubmissionRefused, match=r"the notebook of R01 failed: .*the experiment ended with exit status 1"
    ):
        code.place.prepare(frozen)
