"""Bad input through the command line: one clear sentence, exit code 2, nothing written."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from orchestrator.cli import main
from tests.kill import harness


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good") / "campaign"
    folder.mkdir()
    harness.make_campaign(folder, 1)
    return folder


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every path below a folder with its kind and content; loop.log and .lock are the run's own traces."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.name in (".lock", "loop.log"):
            continue
        mode = path.lstat().st_mode
        found[str(path.relative_to(folder))] = (mode, path.read_bytes() if stat.S_ISREG(mode) else b"")
    return found


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        path = folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return act


def replace(name: str, data: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(data) and None  # type: ignore[func-returns-value]


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def table(name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        path = folder / name
        change(pd.read_csv(path)).to_csv(path, index=False)

    return act


TRAIN, TEST, SAMPLE = (f"competition/data/{name}.csv" for name in ("train", "test", "sample_submission"))

BROKEN_CAMPAIGNS: dict[str, tuple[Callable[[Path], None], str]] = {
    "config is missing": (remove("config.json"), "config.json"),
    "config is empty": (replace("config.json", b""), "config.json"),
    "config is torn": (replace("config.json", b'{"cv": {'), "config.json"),
    "config is binary": (replace("config.json", bytes(range(256))), "config.json"),
    "config is a list": (replace("config.json", b"[]"), "config.json"),
    "unknown key": (edit("config.json", '"folds"', '"fold"'), "'folds'"),
    "unknown metric": (edit("config.json", '"rmse"', '"rmsee"'), "rmse"),
    "metric that does not fit": (edit("config.json", '"rmse"', '"map@"'), "map"),
    "metric corrected alone": (edit("config.json", '"rmse"', '"AUC ROC"'), "competition.task is 'regression', but auc"),
    "misspelt text": (edit("config.json", '"id_column"', '"text_columns": ["B"], "id_column"'), "did you mean 'b'?"),
    "unknown target": (edit("config.json", '["y"], "task"', '["z"], "task"'), "z"),
    "negative rounds": (edit("config.json", '"max_rounds": 1', '"max_rounds": -1'), "max_rounds"),
    "one fold": (edit("config.json", '"folds": 2', '"folds": 1'), "folds"),
    "more folds than rows": (table(TRAIN, lambda frame: frame.head(1)), "cv.folds"),
    "own metric is missing": (edit("config.json", '"metric": "rmse"', '"metric_file": "mine.py"'), "mine.py"),
    "train is missing": (remove(TRAIN), "train.csv"),
    "test is missing": (remove(TEST), "test.csv"),
    "sample is missing": (remove(SAMPLE), "sample_submission.csv"),
    "train is empty": (replace(TRAIN, b""), "train.csv"),
    "train is a header": (replace(TRAIN, b"id,a,b,y\n"), "train.csv"),
    "train is binary": (replace(TRAIN, bytes(range(256)) * 9), "train.csv"),
    "train without target": (table(TRAIN, lambda frame: frame.drop(columns="y")), "y"),
    "target all missing": (table(TRAIN, lambda frame: frame.assign(y=None)), "y"),
    "target is text": (table(TRAIN, lambda frame: frame.assign(y="much")), "y"),
    "test without features": (table(TEST, lambda frame: frame[["id"]]), "test.csv"),
    "ragged rows": (edit(TRAIN, "id,a,b,y\n", "id,a,b,y\n1,2,3,4,5,6,7\n"), "train.csv"),
}


@pytest.mark.parametrize("damage, part", BROKEN_CAMPAIGNS.values(), ids=BROKEN_CAMPAIGNS.keys())
def test_a_broken_campaign_is_one_sentence(
    campaign: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None], part: str
) -> None:
    folder = tmp_path / "campaign"
    shutil.copytree(campaign, folder)
    damage(folder)
    before = tree(folder)
    assert main(["-C", str(folder), "loop", "--plain"]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and "\n" not in error and "Traceback" not in error
    assert part in error
    assert tree(folder) == before


BROKEN_COMMANDS: dict[str, tuple[list[str], str]] = {
    "no such campaign": (["-C", "{tmp}/nowhere", "loop"], "nowhere"),
    "no campaign there": (["-C", "{tmp}", "status"], "config.json"),
    "report of nothing": (["-C", "{tmp}", "report"], "config.json"),
    "new from nowhere": (["new", "{tmp}/new", "--from", "{tmp}/nowhere"], "nowhere"),
    "new from an empty folder": (["new", "{tmp}/new", "--from", "{tmp}/empty"], "train"),
    "new over a campaign": (["new", "{campaign}"], "config.json"),
    "grade of nothing": (["-C", "{campaign}", "grade", "{tmp}/nothing.csv"], "/nothing.csv can't be read: No such"),
    "grade of a folder": (["-C", "{campaign}", "grade", "{tmp}/empty"], "empty"),
    "logs of a round to come": (["-C", "{campaign}", "logs", "7"], "7"),
    "no rounds": (["-C", "{campaign}", "loop", "--rounds", "0"], "--rounds 0"),
    "minutes before now": (["-C", "{campaign}", "loop", "--minutes", "-3"], "--minutes -3"),
}


@pytest.mark.parametrize("arguments, part", BROKEN_COMMANDS.values(), ids=BROKEN_COMMANDS.keys())
def test_a_broken_command_is_one_sentence(
    campaign: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], part: str
) -> None:
    (tmp_path / "empty").mkdir()
    folder = tmp_path / "campaign"
    shutil.copytree(campaign, folder)
    before = tree(tmp_path)
    assert main([argument.format(tmp=tmp_path, campaign=folder) for argument in arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and "\n" not in error
    assert part in error
    assert tree(tmp_path) == before


def test_a_pipe_as_train_does_not_hang(campaign: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "campaign"
    shutil.copytree(campaign, folder)
    (folder / TRAIN).unlink()
    os.mkfifo(folder / TRAIN)
    assert main(["-C", str(folder), "loop", "--plain"]) == 2
    assert "train.csv" in capsys.readouterr().err
