"""The real command line against the local server, and every way to sign in."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.kaggle_server.start import KEY, TOKEN, Kaggle

COMMAND = Path(sys.executable).parent / "kaggle"
Process = subprocess.Popen[str]


def start(environment: dict[str, str], *words: str) -> Process:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    return subprocess.Popen([str(COMMAND), *words], env=environment, text=True, **pipes)


def said(process: Process) -> tuple[int, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out + err


def test_every_way_to_sign_in(server: Kaggle, files: Path, tmp_path: Path) -> None:
    server.competition("door-key", folder=files)
    before = server.count("ListDataFiles")
    ways = ("json", "key", "token", "oauth", "variable")
    words = ("competitions", "files", "door-key")
    started = {way: start(server.environment(tmp_path / way, way), *words) for way in ways}
    for way, process in started.items():
        code, text = said(process)
        assert code == 0 and "train.csv" in text, (way, text)
    asked = server.log("ListDataFiles")[before:]
    assert Counter(entry["sign_in"] for entry in asked) == {"basic": 2, "bearer": 3}
    assert {entry["user"] for entry in asked} == {"ada"}


@pytest.mark.parametrize(
    ("way", "variables"),
    [
        ("none", {"KAGGLE_USERNAME": "ada", "KAGGLE_KEY": "wrong"}),
        # the JSON of older guides is sent as a token, beside a good key
        ("json", {"KAGGLE_API_TOKEN": json.dumps({"username": "ada", "key": KEY})}),
    ],
)
def test_credentials_that_are_refused(server: Kaggle, tmp_path: Path, way: str, variables: dict[str, str]) -> None:
    environment = {**server.environment(tmp_path, way), **variables}
    code, text = said(start(environment, "competitions", "submissions", "door-key"))
    assert code == 1 and "uthenticat" in text
    assert server.log("ListSubmissions")[-1]["status"] == 401


def test_a_session_by_command_line(server: Kaggle, files: Path, answers: Path, guess: Path, tmp_path: Path) -> None:
    scoring = {"answers": str(answers), "metric": "auc", "id": "id", "targets": ["y"]}
    server.settings(polls_to_score=0)
    server.competition("cli-one", folder=files, scoring=scoring, leaderboard=[{"team": "b", "score": 0.7}])
    server.outcomes("ada/cli-run", {"files": {"out.txt": "made"}})
    server.settings(kernel_queue_polls=0, kernel_run_polls=0)
    (tmp_path / "kernel").mkdir()
    (tmp_path / "kernel" / "code.py").write_text("print(1)")
    known = {"id": "ada/cli-run", "title": "Cli Run", "code_file": "code.py", "language": "python"}
    (tmp_path / "kernel" / "kernel-metadata.json").write_text(json.dumps({**known, "kernel_type": "script"}))
    environment = server.environment(tmp_path / "home", "key")
    out = str(tmp_path / "out")
    chains: list[list[tuple[tuple[str, ...], str]]] = [
        [
            (("competitions", "submit", "cli-one", "-f", str(guess), "-m", "by hand"), "Successfully submitted to cli"),
            (("competitions", "submissions", "cli-one", "-v"), "SubmissionStatus.COMPLETE,1.00000"),
            (("competitions", "leaderboard", "cli-one", "-s", "-v"), "999,ada,"),
        ],
        [
            (("kernels", "push", "-p", str(tmp_path / "kernel")), "Kernel version 1 successfully pushed"),
            (("kernels", "status", "ada/cli-run"), "COMPLETE"),
            (("competitions", "download", "cli-one", "-p", out), "100%"),
        ],
    ]

    def run(chain: list[tuple[tuple[str, ...], str]]) -> None:
        for words, expected in chain:
            code, text = said(start(environment, *words))
            assert code == 0 and expected in text, (words, text)

    with ThreadPoolExecutor() as threads:
        list(threads.map(run, chains))
    assert (tmp_path / "out" / "cli-one.zip").stat().st_size > 1000
    assert not any(TOKEN in json.dumps(entry) for entry in server.log("storage GET"))
