"""`status` and `logs` on folders as the loop leaves them, and on damaged ones."""

from __future__ import annotations

import io
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import BadInput
from orchestrator.files import campaign_lock, read_json, write_json
from orchestrator.rounds import RoundFiles
from orchestrator.show import command
from orchestrator.views import logs, status
from tests import made_campaign as made

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Six finished rounds, the seventh being built."""
    made.config(tmp_path, guesses={"competition.metric": "the name says so", "cv.strategy": "dates"})
    for number in range(1, 7):
        made.finish(tmp_path, made.entry(number, "keep" if number % 2 else "discard"), 0.9 if number == 3 else None)
    made.state(tmp_path)
    return tmp_path


def facts(text: str) -> dict[str, str]:
    """The name and the value of each line of the first block."""
    return dict(re.split(r" {2,}", line.strip(), maxsplit=1) for line in text.split("\n\n")[0].splitlines()[1:])


def test_status_of_a_running_campaign(root: Path) -> None:
    text = status(root)
    assert text.splitlines()[0] == "digits: accuracy, higher is better"
    shown = facts(text)
    assert shown["round"] == "R07 of 20, build"
    assert shown["best"] == "0.97431 ± 0.00042 (R05, lightgbm); leaderboard 0.9712"
    assert shown["kept"] == "3 of 6 rounds"
    assert shown["CV and LB"] == "R03 0.96 and 0.955; R05 0.974312 and 0.9712"
    assert shown["submissions"] == "2 sent and 3 left on 2025-03-01 (UTC)"
    assert shown["time"] == "12 min 03 s of 30 min"
    assert shown["money"] == "$0.00 of $10.00"
    assert shown["agents"] == "researcher 1, builder 2, reviewer 1"
    assert shown["sandbox"] == "A"
    assert shown["unchecked"] == "2 guesses in config.json: competition.metric, cv.strategy"
    assert shown["updated"] == "2025-03-01 12:30:00 UTC"
    assert re.match(r"not running; go on with: \S*python\S* -m orchestrator -C ", shown["loop"])
    assert "NO SANDBOX" not in text and "ending" not in text


def test_status_says_what_is_off_and_what_is_broken(root: Path) -> None:
    made.state(root, submits=False)
    assert facts(status(root))["submissions"] == "off"
    assert "config.json" not in facts(status(root))
    (root / "config.json").write_text('{\n "cv": {}\n "loop": {}\n}')
    assert facts(status(root))["config.json"].startswith("not valid: Expecting ',' delimiter in line 3")


def test_status_shows_what_models_cost(root: Path) -> None:
    made.finish(root, made.entry(6, usd=0.5))
    made.costs(root, ("researcher", 6, 0.5), ("builder", 7, 1.0), ("builder", 7, 0.25))
    text = status(root)
    shown = facts(text)
    assert shown["money"] == "$1.75 of $10.00; $1.25 in R07, $0.58 for each kept round"
    assert shown["by role"] == "researcher $0.50, builder $1.25"
    assert shown["tokens"] == "3 k in, 90 % of it from cache, 150 out"
    table = [line.split() for line in text.split("\n\n")[1].splitlines()]
    assert table[0][5] == "cost" and "$0.50" in table[-1] and not any("$" in word for word in table[-2])


def test_status_without_state_still_knows_the_money(root: Path) -> None:
    made.costs(root, ("researcher", 6, 0.5))
    (root / "state.json").unlink()
    assert facts(status(root))["money"].startswith("$0.50; $0.50 in R06")


def test_status_tells_of_a_damaged_money_ledger(root: Path) -> None:
    (root / "costs.jsonl").write_text("oops\n")
    shown = facts(status(root))
    assert "costs.jsonl: line 1 is damaged" in shown["records"]
    assert shown["money"] == "$0.00 of $10.00"


def test_status_lists_the_last_five_rounds_aligned(root: Path) -> None:
    table = status(root).split("\n\n")[1].splitlines()
    assert [line.split()[0] for line in table] == ["round", "R02", "R03", "R04", "R05", "R06"]
    assert "0.9030 ± 0.0040  0.9" in table[2]
    assert len({line.index(word) for line, word in zip(table[1:], ["discard", "keep"] * 3, strict=False)}) == 1


def test_status_says_playing_while_another_process_holds_the_lock(root: Path) -> None:
    code = "import sys; from pathlib import Path; from orchestrator.files import campaign_lock\n"
    code += "with campaign_lock(Path(sys.argv[1])): print('held', flush=True); sys.stdin.readline()"
    command = [sys.executable, "-c", code, str(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=PROJECT) as child:
        assert child.stdout is not None and child.stdout.readline() == b"held\n"
        assert facts(status(root))["loop"] == "playing now"
        child.communicate(b"\n")
    assert facts(status(root))["loop"].startswith("not running")


def test_status_leaves_the_lock_to_the_loop(root: Path) -> None:
    status(root)
    assert not (root / ".lock").exists()
    with campaign_lock(root):
        assert facts(status(root))["loop"] == "playing now"


def test_status_of_an_ended_campaign(root: Path) -> None:
    final = {"round": 5, "score": 0.9733, "public": 0.9712, "private": 0.974}
    made.state(root, phase="ended", ending="max rounds: 20 played", final=final)
    shown = facts(status(root))
    assert (shown["loop"], shown["ending"]) == ("over", "max rounds: 20 played")
    assert shown["graded"] == "0.9733 on held-out answers (public 0.9712, private 0.974)"


def test_status_warns_of_a_missing_sandbox(root: Path) -> None:
    made.state(root, sandbox="none")
    assert "\nNO SANDBOX: " in status(root, colour=False)
    assert "\x1b[1;37;41m NO SANDBOX: " in status(root, colour=True)


@pytest.mark.parametrize("harm", ["missing", "empty", "torn", "flipped"])
def test_status_without_a_trustworthy_state_comes_from_the_rounds(root: Path, harm: str) -> None:
    path = root / "state.json"
    whole = path.read_bytes()
    spoilt = {"empty": b"", "torn": whole[: len(whole) // 2], "flipped": whole.replace(b"0.974312", b"0.994312")}
    path.unlink() if harm == "missing" else path.write_bytes(spoilt[harm])
    text = status(root)
    shown = facts(text)
    assert "0.994" not in text and "0.974" not in text
    assert shown["best"] == "0.9050 ± 0.0040 (R05, mlp)".replace("mlp", made.FAMILIES[1])
    assert shown["kept"] == "3 of 6 rounds"
    assert shown["records"] == f"state.json is {'missing' if harm == 'missing' else 'damaged'}; this comes from rounds/"


def test_status_never_shows_a_score_of_a_damaged_record(root: Path) -> None:
    (root / "state.json").unlink()
    record = RoundFiles(root / "rounds", 5).path("result.json")
    record.write_bytes(record.read_bytes().replace(b"0.905", b"0.999"))
    text = status(root)
    assert "0.999" not in text
    assert "R05: the record fails its checksum" in facts(text)["records"]
    assert re.search(r"R05 +\(damaged\)", text)
    assert "0.9030 ± 0.0040 (R03" in facts(text)["best"]


def test_status_before_the_first_round(tmp_path: Path) -> None:
    made.config(tmp_path)
    text = status(tmp_path)
    assert re.fullmatch(r"digits: accuracy, .*\n  loop  not started; begin with: .* -C .* loop", text)
    write_json(tmp_path / "state.json", {"phase": "not started", "round": 0, "rounds": 0, "best": None})
    assert facts(status(tmp_path))["loop"].startswith("not started; begin with: ")
    made.state(tmp_path, phase="not started")
    with campaign_lock(tmp_path):
        assert facts(status(tmp_path))["loop"] == "playing now"
    (tmp_path / "state.json").write_text("{}")
    shown = facts(status(tmp_path))
    assert (shown["round"], shown["best"], shown["kept"]) == ("R00", "nothing kept yet", "0 of 0 rounds")
    assert shown["records"].startswith("state.json is damaged")
    (tmp_path / "config.json").write_text("{ broken")
    (tmp_path / "rounds").rmdir()
    assert status(tmp_path).startswith("?: ?")


def test_commands_work_from_where_they_are_shown(tmp_path: Path) -> None:
    assert command("loop", tmp_path / "a b").endswith(f" -m orchestrator -C '{tmp_path}/a b' loop")
    assert command("loop", Path.cwd()).endswith("python -m orchestrator loop")
    code = (
        "from pathlib import Path; from orchestrator.show import command; print(command('loop', Path.cwd() / 'mine'))"
    )
    folder = Path(sys.executable).parent
    for place, program in ((folder.parent, f"{folder.name}/{Path(sys.executable).name}"), (tmp_path, "python")):
        shown = subprocess.run(
            [sys.executable, "-c", code],
            cwd=place,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            capture_output=True,
            text=True,
        )
        assert shown.stdout == f"{program} -m orchestrator -C mine loop\n"


def test_status_calls_a_timeout_by_its_name(root: Path) -> None:
    made.finish(root, made.entry(6, "crash", reason="timeout: fold 2 did not end"))
    assert re.search(r"^  R06 .* timeout .* fold 2 did not end$", status(root), flags=re.M)


def test_status_of_no_campaign(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"has no config\.json"):
        status(tmp_path)


def test_status_is_quick_after_a_thousand_rounds(tmp_path: Path) -> None:
    made.config(tmp_path)
    for number in range(990, 1001):
        made.finish(tmp_path, made.entry(number))
    for number in range(1, 1001):
        for name in ("plan.md", "review.md", "oof.npy", "phases.json"):
            RoundFiles(tmp_path / "rounds", number).path(name).touch()
    made.state(tmp_path, round=1000)
    code = (
        "import sys; from pathlib import Path; from orchestrator.views import status; print(status(Path(sys.argv[1])));"
    )
    code += "bad = {'numpy', 'pandas', 'rich', 'pydantic', 'matplotlib'} & set(sys.modules); assert not bad, bad"
    took = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        result = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, cwd=PROJECT
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
        assert result.returncode == 0, result.stderr
        assert "R1000" in result.stdout and "\x1b" not in result.stdout
    assert min(took) < 0.3  # processor seconds with the start of Python: a busy machine does not count


def read(root: Path, number: int | None = None) -> list[str]:
    out = io.StringIO()
    logs(root, number, False, out)
    return out.getvalue().splitlines()


class Follower:
    """Does one thing at each wait of a following reader, and stops it like a person: by Ctrl-C."""

    def __init__(self, *acts: Callable[[], object]) -> None:
        self.acts = list(acts)

    def __call__(self, seconds: float) -> None:
        if not self.acts:
            raise KeyboardInterrupt
        self.acts.pop(0)()


def append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def test_logs_show_the_end_of_the_log_without_control_characters(root: Path) -> None:
    append(root / "loop.log", "".join(f"line {number} \x1b[31mred\x1b[0m\x07\r\n" for number in range(5000)))
    assert read(root) == [f"line {number} red" for number in range(4960, 5000)]


def test_logs_of_a_short_log_and_of_none(root: Path) -> None:
    assert "is not there yet" in read(root)[0]
    append(root / "loop.log", "a\nb\n")
    assert read(root) == ["a", "b"]


def test_logs_follow_what_is_added_cut_and_truncated(root: Path) -> None:
    log, out = root / "loop.log", io.StringIO()
    acts = Follower(
        lambda: append(log, "one\ntwo ü"[:-1]),
        lambda: append(log, "ü\n"),
        lambda: log.write_text("new\n"),
        lambda: log.unlink(),
        lambda: log.write_text("again\n"),
    )
    append(log, "zero\n")
    logs(root, None, True, out, acts)
    assert out.getvalue().splitlines() == ["zero", "one", "two ü", "new", "again"]


def test_logs_of_a_round(root: Path) -> None:
    made.phases(root, 7, research="DONE", review="REVISE: \x1b[2Jtoo narrow")
    RoundFiles(root / "rounds", 7).path("run.log").write_bytes(b"epoch 1\x07\nbad \xff byte\n")
    assert read(root, 7) == [
        "R07 research  DONE  (1.5 s)",
        "R07 review    REVISE: too narrow  (1.5 s)",
        "",
        "R07_run.log:",
        "epoch 1",
        "bad \ufffd byte",
    ]


def test_logs_follow_a_round(root: Path) -> None:
    out = io.StringIO()
    made.phases(root, 7, research="DONE")
    log = RoundFiles(root / "rounds", 7).path("run.log")

    def again() -> None:
        log.unlink()
        log.write_text("second\n")
        os.utime(log, ns=(1, 1))

    acts = Follower(
        lambda: made.phases(root, 7, build="CV_SCORE=0.9"),
        lambda: log.write_text("first try\n"),
        lambda: None,
        again,
    )
    logs(root, 7, True, out, acts)
    lines = [line for line in out.getvalue().splitlines() if line and not line.endswith(":")]
    assert lines == ["R07 research  DONE  (1.5 s)", "R07 build     CV_SCORE=0.9  (1.5 s)", "first try", "second"]


def test_logs_of_a_round_that_was_not_played(root: Path) -> None:
    with pytest.raises(BadInput, match=r"round 99 has no files in .*: the last one is R06"):
        read(root, 99)


def test_status_says_which_model_is_waited_for(root: Path) -> None:
    state = read_json(root / "state.json")
    since = {"since": "2025-03-01T10:17:20+00:00", "until": "2025-03-01T10:22:00+00:00"}
    write_json(root / "state.json", {**state, "waiting": {"role": "builder", "why": "connection refused", **since}})
    shown = facts(status(root))["waiting"]
    assert shown == "builder: connection refused since 10:17 UTC, asked again when the loop goes on"
    with campaign_lock(root):
        shown = facts(status(root))["waiting"]
    assert shown == "builder: connection refused since 10:17, next try 10:22 UTC"
