"""What players may use during a turn, on a small campaign with the real referee and sandbox."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.session import Turn
from agents.tools import Toolbox
from orchestrator.build import _run
from orchestrator.campaign import Campaign
from orchestrator.errors import OutputRejected
from orchestrator.files import read_json, write_json
from orchestrator.toolset import TRIALS, Toolset
from tests.kill import harness
from tests.playing import NOON, Script


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three rounds of constants: 5.0 kept, 1.25 kept, then 5/9."""
    folder = tmp_path_factory.mktemp("toolset") / "campaign"
    assert Script(folder, 3).play().statuses[:2] == ["keep", "keep"]
    return folder


@pytest.fixture
def campaign(played: Path, tmp_path: Path) -> Iterator[Campaign]:
    folder = tmp_path / "campaign"
    shutil.copytree(played, folder, symlinks=True)
    opened = Campaign(folder, now=lambda: NOON, progress=lambda event, **fields: None)
    yield opened
    opened.players.close()


def write(campaign: Campaign, number: int, source: str) -> None:
    campaign.files(number).path("experiment.py").write_text(source)


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every durable file of the campaign."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".work" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


LOOK = """
import json, os, socket, sys
import pandas as pd
IN, OUT = sys.argv[1:]
tables = {name: pd.read_parquet(f"{IN}/{name}.parquet") for name in ("train", "valid", "test")}
try:
    socket.create_connection(("127.0.0.1", PORT), timeout=1)
    network = True
except OSError:
    network = False
found = []
for top in (CAMPAIGN, os.path.dirname(CAMPAIGN)):
    try:
        found += os.listdir(top)
    except OSError:
        pass
print(json.dumps({
    "columns": {name: list(table.columns) for name, table in tables.items()},
    "rows": {name: len(table) for name, table in tables.items()},
    "in": sorted(os.listdir(IN)),
    "previous": sorted(os.listdir(IN + "/previous")),
    "data": sorted(os.listdir(IN + "/data")) if os.path.isdir(IN + "/data") else [],
    "keys": [name for name in os.environ if "KEY" in name or "TOKEN" in name],
    "network": network,
    "found": found,
}))
"""


def test_a_program_sees_what_an_experiment_of_fold_1_sees_and_leaves_nothing(campaign: Campaign) -> None:
    before = snapshot(campaign.root)
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = f"CAMPAIGN = {str(campaign.root)!r}\nPORT = {server.getsockname()[1]}\n{LOOK}"
        found = Toolset(campaign).of_turn(campaign.files(4))["run_python"](code, 60)
    assert found["status"] == "ok" and 0 < found["seconds"] < 60, found
    seen = json.loads(found["log"].splitlines()[-1])
    assert {"a", "b", "y"} <= set(seen["columns"]["train"])
    assert "y" not in seen["columns"]["valid"] and "y" not in seen["columns"]["test"]
    assert (seen["rows"]["train"], seen["rows"]["valid"], seen["rows"]["test"]) == (30, 30, 30)
    assert {"task.json", "previous", "data"} <= set(seen["in"]) and "train.csv" not in seen["data"]
    assert "R01_valid.npy" in seen["previous"] and "R01_oof.npy" not in seen["previous"]
    assert not seen["keys"] and not seen["found"] and not seen["network"]
    assert snapshot(campaign.root) == before and {path.name for path in (campaign.root / ".work").iterdir()} <= {
        "cache"
    }


def test_programs_that_fail_or_do_not_end_are_reported(campaign: Campaign) -> None:
    look = Toolset(campaign).of_turn(campaign.files(4))["run_python"]
    failed = look("print('here')\nraise KeyError('age')")
    assert failed["status"] == "failed" and "here" in failed["log"] and "KeyError: 'age'" in failed["log"]
    assert "SyntaxError" in look("def")["log"]
    slow = look("import time\nprint('begun', flush=True)\ntime.sleep(60)", 1)
    assert slow["status"] == "timeout" and slow["seconds"] < 20 and "begun" in slow["log"]
    long = look("print('x' * 1000000)\nprint('the end')")
    assert len(long["log"]) < 300_000 and "the end" in long["log"]
    with pytest.raises(OutputRejected, match="100 kB"):
        look("#" * 100_001)


def test_a_trial_scores_fold_1_and_is_recorded_nowhere(campaign: Campaign) -> None:
    toolset, files = Toolset(campaign), campaign.files(4)
    strategy = {"family": "constant", "role": "improve"}
    run = toolset.of_build(files, strategy, lambda: _run(campaign, files, strategy))["run_experiment"]
    with pytest.raises(OutputRejected, match="has not been written"):
        run("first")
    write(campaign, 4, harness.EXPERIMENT.replace("PREDICTION", "0.3") + "print('a trial')\n")
    before = snapshot(campaign.root)
    found = run("first")
    after = snapshot(campaign.root)
    assert after.pop("rounds/R04_trials.json") and after == before
    record = run("all")
    assert record["status"] in ("ok", "gated")
    assert found["fold_1"] == pytest.approx(record["fold_scores"][0])
    assert (found["status"], found["problem"], found["trials_left"]) == ("ok", "", TRIALS - 1)
    assert found["best_fold_1"] == campaign.entries[1 if found["best_round"] == "R02" else 2]["fold_scores"][0]
    assert "a trial" in found["log"] and not found["maximize"]
    assert run() == record == read_json(files.path("scores.json"))


def test_a_trial_tells_what_is_wrong_and_there_are_only_a_few(campaign: Campaign) -> None:
    toolset, files = Toolset(campaign), campaign.files(4)
    write(campaign, 4, "print('no predictions')")
    found = toolset.trial(files, {})
    assert found["status"] == "ok" and found["fold_1"] is None and "valid.npy" in found["problem"]
    write(campaign, 4, "1/0")
    assert "ZeroDivisionError" in toolset.trial(files, {})["problem"]
    for _ in range(TRIALS - 3):
        toolset.trial(files, {})
    count = read_json(files.path("trials.json"))
    assert count == {"used": TRIALS - 1, "running": None}
    script = hashlib.sha256(b"1/0").hexdigest()
    write_json(files.path("trials.json"), {"used": TRIALS, "running": script})  # killed in the middle of the last one
    again = Toolset(campaign)
    assert again.trial(files, {})["trials_left"] == 0
    with pytest.raises(OutputRejected, match="trials of R04 are used"):
        again.trial(files, {})
    write(campaign, 5, "1/0")
    assert toolset.trial(campaign.files(5), {})["trials_left"] == TRIALS - 1
    assert not campaign.files(4).has("scores.json")


def test_the_ledgers_as_text(campaign: Campaign) -> None:
    tools = Toolset(campaign).of_turn(campaign.files(4))
    table = tools["registry"]().splitlines()
    assert len(table) == 4 and table[0].startswith("round | family") and table[2].startswith("R02 | constant")
    assert len({line.count(" | ") for line in table}) == 1
    best = min(campaign.entries, key=lambda entry: entry["cv"])["round"]
    top = tools["registry"](top=1).splitlines()
    assert len(top) == 2 and top[1].startswith(f"R{best:02d}")
    kept = tools["registry"](status="keep").splitlines()[1:]
    assert len(kept) == sum(entry["status"] == "keep" for entry in campaign.entries)
    assert tools["registry"](family="mlp") == "(no such experiment yet)"
    assert json.loads(tools["registry"](round=2)) == campaign.entries[1]
    with pytest.raises(OutputRejected, match="the last is R03"):
        tools["registry"](round=9)
    assert [line.split("\t")[0] for line in tools["results"](2).splitlines()] == ["round", "2", "3"]


def test_the_competition_says_what_it_has(campaign: Campaign) -> None:
    tools = Toolset(campaign).of_turn(campaign.files(4))
    sent = len(campaign.competition.submissions())
    assert sent > 0
    assert tools["leaderboard"]().startswith(f"our submissions: {sent}")
    (campaign.root / "competition/private/leaderboard.csv").write_text("rank,score\n1,0.001\n2,900\n")
    board = tools["leaderboard"]().splitlines()
    assert board[0].startswith("3 teams") and board[1] == "1. team 1  0.001" and board[2].startswith("2. this campaign")
    (campaign.root / "competition/private/leaderboard.csv").write_text("rank,score\n1,high\n")
    assert tools["leaderboard"]().splitlines() == board
    assert Toolset(campaign).of_turn(campaign.files(5))["leaderboard"]().splitlines() == board
    campaign.files(3).path("leaderboard.json").unlink()
    opened = Campaign(campaign.root, now=lambda: NOON, progress=lambda event, **fields: None)
    found = Toolset(opened).of_turn(opened.files(4))["leaderboard"]()
    opened.players.close()
    assert found.startswith("not available: ") and "rank and score" in found and f"our submissions: {sent}" in found
    for name in ("notebooks", "discussions"):
        assert tools[name]() == "not available for this competition"


def test_a_toolbox_takes_it_all_as_it_is(campaign: Campaign) -> None:
    toolset, files = Toolset(campaign), campaign.files(4)
    strategy: dict[str, Any] = {}
    tools = {**toolset.of_turn(files), **toolset.of_build(files, strategy, lambda: _run(campaign, files, strategy))}
    turn = Turn(
        id="R04/build", role="builder", phase="build", round=4, prompt="", campaign=campaign.root, needs={},
        makes={"experiment.py": files.path("experiment.py")}, write=lambda name, text: write(campaign, 4, text),
        tools=tools,
    )  # fmt: skip
    box = Toolbox(campaign.root, "builder", campaign.root / "sessions/builder/results")
    assert box.call(turn, "run_experiment", {"folds": "all"}, "c0")[1]
    script = harness.EXPERIMENT.replace("PREDICTION", "0.3")
    assert not box.call(turn, "write_file", {"name": "experiment.py", "text": script}, "c1")[1]
    for name, arguments, word in (
        ("run_experiment", {"folds": "first"}, "trials_left"),
        ("run_experiment", {"folds": "all"}, '"verdict"'),
        ("run_python", {"code": "print(6 * 7)"}, "--- log ---\n42"),
        ("registry", {"round": 1}, '"family": "constant"'),
        ("results", {}, "cv_score"),
        ("leaderboard", {}, "our submissions"),
    ):
        text, is_error = box.call(turn, name, arguments, "c2")
        assert not is_error and word in text, text
