"""Experiments in kernels of a local Kaggle, through the real client: the same scores as here."""

from __future__ import annotations

import io
import tarfile

import numpy as np
import pandas as pd

from orchestrator.referee.earlier import ARTIFACTS
from tests.execution.kernels.conftest import MakePlay
from tests.execution.kernels.play import QUICK, Play
from tests.kaggle_server.start import Kaggle
from tests.referee.conftest import GOOD


def test_the_same_score_as_here_and_nothing_of_other_folds_there(make_play: MakePlay, server: Kaggle) -> None:
    play = make_play(3)
    here = play.stand.run(GOOD)
    oof = np.load(play.stand.files(1).path(ARTIFACTS["oof"]))
    for path in play.stand.rounds.glob("R01_*"):
        path.unlink()
    there = play.run(GOOD)
    assert there["cv"] == here["cv"] and there["fold_scores"] == here["fold_scores"]
    assert np.array_equal(np.load(play.stand.files(1).path(ARTIFACTS["oof"])), oof)
    assert (there["sandbox"], there["cores"], here["sandbox"]) == ("kernel", 4, play.executor.here.level)
    assert "fine" in play.stand.files(1).path("run.log").read_text()
    for fold in range(3):
        (push,) = play.pushes(fold)
        request = push["request"]
        assert request["isPrivate"] and request["enableInternet"] is False
        assert request["machineShape"] == "NvidiaTeslaT4" and request["sessionTimeoutSeconds"] > 900
        assert sorted(request["datasetDataSources"]) == [play.ref(fold), play.ref("shared")]
        mounted = {name for source in request["datasetDataSources"] for name in tables(play, source)}
        assert mounted == {"train.parquet", "valid.parquet", "test.parquet"}
        assert "target" not in tables(play, play.ref(fold))["valid.parquet"]
        graded = set(tables(play, play.ref(fold))["valid.parquet"]["x0"])
        assert not graded & set(tables(play, play.ref(fold))["train.parquet"]["x0"])
    assert server.leaks() == []
    facts = play.facts.read_text()
    assert "0 of 30 used" in facts and "NvidiaTeslaT4, seen" in facts


def tables(play: Play, dataset: str) -> dict[str, pd.DataFrame]:
    """The tables of a dataset's newest version, as the server keeps it."""
    folder = max((play.server.folder / "datasets" / dataset).iterdir(), key=lambda path: int(path.name))
    assert [path.name for path in folder.iterdir()] == ["inputs.bin"]
    with tarfile.open(folder / "inputs.bin") as pack:
        names = [name for name in pack.getnames() if name.endswith(".parquet")]
        return {name: pd.read_parquet(io.BytesIO(pack.extractfile(name).read())) for name in names}  # type: ignore[union-attr]


def test_datasets_are_uploaded_once_and_versioned_when_they_change(play: Play, server: Kaggle) -> None:
    first = play.run(QUICK)
    made, versions = server.count("CreateDataset"), server.count("CreateDatasetVersion")
    assert first["status"] == "ok"
    second = play.run(QUICK + "\n", 2)
    assert second["status"] == "ok" and server.count("CreateDataset") == made
    (play.stand.data / "hint.txt").write_text("new")
    third = play.run(QUICK + "\n\n", 3, earlier=(1, 2))
    assert third["status"] == "ok"
    assert len(server.control("dataset", ref=play.ref("shared"))) == 2
    assert server.count("CreateDatasetVersion") == versions + 1
    assert server.count("CreateDataset") == made + 2  # the earlier predictions of two folds
    assert [push["number"] for push in play.pushes(0)] == [1, 2, 3]
