"""The live display, seen from outside: in a real terminal, in a pipe, and in loop.log."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator.board import Board, describe
from orchestrator.files import write_json
from orchestrator.ui import Display, draw, wrap

PROJECT = Path(__file__).resolve().parent.parent
NOON = datetime(2025, 3, 1, 12, 0, 0, tzinfo=UTC)
FINAL = json.dumps(
    {"round": 1, "score": 0.912345678, "cv": 0.905, "se": 0.0042, "submission": "rounds/R01_submission.csv"}
)
PLAY = (
    f"""
import json, sys, time
FINAL = {FINAL!r}
"""
    + """
from datetime import UTC, datetime
from pathlib import Path
from orchestrator.ui import Display
with Display(Path(sys.argv[1]), now=lambda: datetime(2025, 3, 1, 12, tzinfo=UTC), plain="plain" in sys.argv) as show:
    show("campaign", name="digits", metric="accuracy", maximize=True, sandbox=sys.argv[2], round=1, max_rounds=3,
         minutes=30, usd_cap=10.0)
    show("round", round=1)
    show("phase", round=1, phase="build")
    show("experiment", round=1, recipe="ridge_default", family="ridge", role="improve")
    for fold in (1, 2):
        show("fold_start", fold=fold, folds=3)
        show("fold_done", fold=fold, folds=3, score=0.9 + fold / 100)
    time.sleep(float(sys.argv[3]))
    show("phase_done", round=1, phase="build", reply="CV_SCORE=0.90500000001", seconds=61)
    show("note", text="it says \\x1b[31m[red]danger[/red]\\x07", level="warning")
    show("verdict", round=1, cv=0.905, se=0.0042, status="keep", reason="keep: first complete run")
    show("martian", landed=True)
    show("ending", reason="max rounds: 1 played", final=json.loads(FINAL), where="R.md")
"""
)


def environment(**extra: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "TERM", "COLUMNS", "LINES")}
    return {**kept, "PYTHONPATH": str(PROJECT), "PYTHONUTF8": "1", "TERM": "xterm-256color", **extra}


def in_terminal(folder: Path, sandbox: str = "A", *options: str, **variables: str) -> str:
    """What a terminal of 100 columns receives."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    command = [sys.executable, "-W", "error", "-c", PLAY, str(folder), sandbox, "0.6", *options]
    child = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment(**variables))
    os.close(slave)
    received = b""
    with contextlib.suppress(OSError):  # EIO: the child closed its end
        while chunk := os.read(master, 65536):
            received += chunk
    os.close(master)
    assert child.wait(timeout=20) == 0, received.decode()
    return received.decode()


def in_pipe(folder: Path, sandbox: str = "A", **variables: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-W", "error", "-c", PLAY, str(folder), sandbox, "0"]
    return subprocess.run(command, capture_output=True, timeout=20, env=environment(**variables), check=True)


def test_terminal_shows_the_panel_and_the_lines(tmp_path: Path) -> None:
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", in_terminal(tmp_path))
    assert "digits · maximize accuracy" in text
    assert "R01 of 3  build" in text
    assert "2 of 3 folds" in text
    assert "trying ridge_default (ridge, improve)   so far 0.915 on 2 folds" in text
    assert "none kept yet" in text
    assert "time left 29 min 59 s" in text
    assert "of $10.00" in text
    assert "sandbox A" in text
    assert "R01 KEEP      0.9050 ± 0.0042  first complete run" in text
    assert "it says [red]danger[/red]" in text  # no markup, no colour of the agent's own
    assert "max rounds: 1 played" in text
    assert "martian" not in text


def test_terminal_is_warned_of_a_missing_sandbox(tmp_path: Path) -> None:
    text = in_terminal(tmp_path, "none")
    assert re.search(r"\x1b\[1;37;41m[^\x1b]*NO SANDBOX", text)


@pytest.mark.parametrize("how", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"PYTHONIOENCODING": "ascii"}])
def test_terminal_of_someone_who_wants_plain_text(tmp_path: Path, how: dict[str, str]) -> None:
    assert "\x1b" not in in_terminal(tmp_path, **how)


def test_plain_option_in_a_terminal(tmp_path: Path) -> None:
    assert "\x1b" not in in_terminal(tmp_path, "A", "plain")


def test_pipe_gets_plain_lines(tmp_path: Path) -> None:
    result = in_pipe(tmp_path)
    assert result.stderr == b""
    assert result.stdout.decode().splitlines() == [
        "12:00:00 digits: maximize accuracy, sandbox A, from R01",
        "12:00:00 R01 begins",
        "12:00:00 R01           trying ridge_default (ridge, improve)",
        "12:00:00 R01           fold 1: 0.91  (1 of 3)",
        "12:00:00 R01           fold 2: 0.92  (2 of 3)",
        "12:00:00 R01 build     CV_SCORE=0.905  (1 min 01 s)",
        "12:00:00 warning: it says [red]danger[/red]",
        "12:00:00 R01 KEEP      0.9050 ± 0.0042  first complete run",
        "12:00:00 The campaign is over: max rounds: 1 played",
        "R01: accuracy 0.9123 on the held-out answers (CV 0.9050 ± 0.0042), submission: rounds/R01_submission.csv",
        "Report: R.md",
        "To go on: raise loop.max_rounds in config.json, or loop --rounds N",
    ]


def test_pipe_that_knows_ascii_only(tmp_path: Path) -> None:
    assert b"0.9050 ? 0.0042" in in_pipe(tmp_path, PYTHONIOENCODING="ascii", PYTHONUTF8="0").stdout


def test_log_holds_every_event_with_its_time(tmp_path: Path) -> None:
    in_pipe(tmp_path)
    in_pipe(tmp_path)
    lines = (tmp_path / "loop.log").read_text().splitlines()
    assert len(lines) == 2 * 14
    assert all(line.startswith("2025-03-01T12:00:00Z ") for line in lines)
    assert lines[9].endswith("martian landed=True")
    assert not any("fold_start" in line for line in lines)
    assert "R01 build begins" in lines[2]
    assert not any(ord(letter) < 32 for line in lines for letter in line)


def test_reader_that_goes_away_does_not_end_the_run(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", PLAY, str(tmp_path), "A", "0.3"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
    assert child.stdout is not None and child.stderr is not None
    child.stdout.readline()
    child.stdout.close()
    assert child.stderr.read() == b""
    child.stderr.close()
    assert child.wait(timeout=20) == 0
    assert "campaign is over" in (tmp_path / "loop.log").read_text()


def test_full_disk_under_the_log_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "loop.log").symlink_to("/dev/full")
    assert b"campaign is over" in in_pipe(tmp_path).stdout


def test_threads_do_not_mix_their_lines(tmp_path: Path) -> None:
    out = io.StringIO()
    with Display(tmp_path, now=lambda: NOON, stream=out) as display:

        def tell(name: str) -> None:
            for _ in range(40):
                display("note", text=name * 50)

        threads = [threading.Thread(target=tell, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for text in (out.getvalue(), (tmp_path / "loop.log").read_text()):
        assert sorted(line.split()[1] for line in text.splitlines()) == sorted(name * 50 for name in "abcd" * 40)


def test_signal_amid_the_output_is_shown_after_it(tmp_path: Path) -> None:
    class Interrupted(io.StringIO):
        def write(self, text: str) -> int:
            if "one" in text:
                signal.raise_signal(signal.SIGUSR1)
            return super().write(text)

    out = Interrupted()
    with Display(tmp_path, now=lambda: NOON, stream=out) as display:
        before = signal.signal(signal.SIGUSR1, lambda *_: display("note", text="two"))
        try:
            display("note", text="one")
        finally:
            signal.signal(signal.SIGUSR1, before)
    assert out.getvalue().splitlines() == ["12:00:00 one", "12:00:00 two"]


def test_panel_takes_best_and_budgets_from_the_state(tmp_path: Path) -> None:
    best = {"round": 5, "family": "lightgbm", "cv": 0.974312, "se": 0.00042, "lb": None}
    state = {"best": best, "kept": 2, "rounds": 5, "usd": 1.5, "submissions": {"today": 2, "left_today": 3}}
    write_json(tmp_path / "state.json", state)
    board = Board()
    board.take_state({**state, "elapsed_seconds": 600.0, "minutes": 30})
    assert board.best == best
    assert 600 <= board.seconds() < 601
    board.take_state(None)
    assert (board.kept, board.usd, board.submissions["left_today"]) == (2, 1.5, 3)


@pytest.mark.parametrize("event", ["campaign", "round", "phase", "phase_done", "fold_start", "fold_done", "gate"])
def test_events_without_fields_are_harmless(tmp_path: Path, event: str) -> None:
    out = io.StringIO()
    with Display(tmp_path, now=lambda: NOON, stream=out) as display:
        display(event)
        display(event, colour="blue", nested={"x": [1]})
        display("verdict")
        display("submit")
        display("note")
        display("ending")
    assert "The campaign is over" in out.getvalue()


def test_second_script_of_a_phase_starts_its_folds_anew() -> None:
    board = Board()
    for fold in (0, 1, 0):
        board.apply("fold_start", {"fold": fold, "folds": 2})
        board.apply("fold_done", {"fold": fold, "folds": 2, "score": 0.5})
    assert board.fold_scores == {(0, 0): 0.5}
    assert "fold 0: 0.5  (1 of 2)" in describe("fold_done", {"fold": 0, "score": 0.5}, board).text


def test_strategies_side_by_side_share_the_bar() -> None:
    board = Board()
    for variant in (1, 2):
        told = {"round": 3, "variant": variant, "recipe": f"model_{variant}", "side_by_side": True}
        board.apply("experiment", told)
        assert describe("experiment", told, board).text == f"R03_v{variant}           trying model_{variant}"
    assert board.trying == "model_1 + model_2"
    for variant in (1, 2):
        board.apply("fold_start", {"variant": variant, "fold": 1, "folds": 5})
    done = {"round": 3, "variant": 2, "fold": 1, "folds": 5, "score": 0.5}
    board.apply("fold_done", done)
    assert describe("fold_done", done, board).text == "R03_v2           fold 1: 0.5  (1 of 10)"
    board.apply("experiment", {"variant": 1, "recipe": "alone"})
    assert (board.trying, board.folds, board.folds_done) == ("alone", 0, 0)


def test_long_lines_go_on_beside_the_column_of_phases() -> None:
    text = wrap("R01 review    " + "word " * 30 + "\n    File x, line 3", 60).split("\n")
    assert all(len(line) <= 60 for line in text)
    assert text[1].startswith(" " * 14 + "word")
    assert text[-1] == "    File x, line 3"


@pytest.mark.parametrize(
    ("event", "fields", "text", "where"),
    [
        ("gate", {"passed": True, "text": "passed in fold 1"}, "R02           passed in fold 1", "steps"),
        (
            "gate",
            {"passed": True, "text": "passed in fold 1 (gain -0.1 ± 0.2, P(gain>0)=0.31)"},
            "R02           fold 1 is worse (gain -0.1 ± 0.2, P(gain>0)=0.31), played on: it may pay in a blend",
            "steps",
        ),
        ("gate", {"passed": False, "text": "4 se worse"}, "R02           stopped early: 4 se worse", "all"),
        (
            "fold_done",
            {"fold": 1, "folds": 5, "failure": "timeout"},
            "R02           fold 1: timeout  (1 of 5)",
            "steps",
        ),
        ("fold_done", {"fold": "full"}, "R02           refit on all rows: done", "steps"),
        (
            "fold_done",
            {"fold": "full", "failure": "timeout"},
            "R02           refit on all rows: timeout, so models of the folds predict test",
            "steps",
        ),
        ("phase_done", {"phase": "submit", "reply": "none: no slot"}, "R02 submit    none: no slot  (–)", "all"),  # noqa: RUF001
        ("phase_done", {"phase": "submit", "reply": "R02 accepted: x"}, "R02 submit    R02 accepted: x  (–)", "quiet"),  # noqa: RUF001
        ("phase_done", {"phase": "build", "reply": "CV_SCORE=0.123456"}, "R02 build     CV_SCORE=0.1235  (–)", "all"),  # noqa: RUF001
        ("phase_done", {"phase": "build", "reply": "CV_SCORE=x"}, "R02 build     CV_SCORE=x  (–)", "all"),  # noqa: RUF001
        ("experiment", {"recipe": "ridge", "family": "ridge"}, "R02           trying ridge", "steps"),
        ("verdict", {"status": "crash", "reason": "timeout: slow"}, "R02 TIMEOUT   slow", "all"),
        ("verdict", {"status": "crash", "cv": None, "reason": "KeyError"}, "R02 CRASH     KeyError", "all"),
    ],
)
def test_lines_of_events(event: str, fields: dict[str, object], text: str, where: str) -> None:
    board = Board()
    board.apply(event, {"round": 2, **fields})
    line = describe(event, {"round": 2, **fields}, board)
    assert (line.text, line.where) == (text, where)


@pytest.mark.parametrize(
    ("reason", "final", "shown"),
    [
        ("patience: none", None, ["Nothing was kept.", "To go on: raise loop.patience in config.json"]),
        (
            "deadline",
            {"round": 3, "score": None, "cv": 0.80194, "se": 0.0045, "submission": "rounds/R03_submission.csv"},
            ["Best: R03, auc 0.8019 ± 0.0045; upload rounds/R03_submission.csv"],
        ),
    ],
)
def test_ending_names_the_file_and_how_to_go_on(reason: str, final: dict[str, object], shown: list[str]) -> None:
    line = describe("ending", {"reason": reason, "final": final}, Board(metric="auc"))
    assert line.text.splitlines() == [f"The campaign is over: {reason}", *shown]


def panel(board: Board, columns: int = 80) -> list[str]:
    """The panel's lines without colours."""
    out = io.StringIO()
    Console(file=out, width=columns).print(draw(board, columns))
    return out.getvalue().splitlines()


def test_panel_leaves_nothing_out_in_a_narrow_terminal() -> None:
    submissions = {"left_today": 10}
    board = Board(
        minutes=30, elapsed=-1e6, usd_cap=10.0, submissions=submissions, best={"round": 5, "cv": 0.9, "family": "mlp"}
    )
    lines = panel(board, 60)
    assert "submissions left today 10" in re.sub(r"[│\s]+", " ", " ".join(lines))
    assert any("best 0.9 in R05 (mlp)   kept 0 of 0" in line for line in lines)


def test_panel_without_money_and_submissions() -> None:
    board = Board(submissions={"left_today": 0})
    board.apply("campaign", {"paid": False, "submissions": False})
    text = " ".join(panel(board))
    assert "money" not in text and "submissions off" in text and "left today" not in text
    board.usd = 0.5
    assert "money $0.50" in " ".join(panel(board))


def test_panel_shows_what_models_cost() -> None:
    board = Board(round=7, usd_cap=10.0, paid=True)
    spent = {"usd": 1.25, "round": 0.1, "per_keep": 0.4, "cached": 0.934, "roles": {}, "sent": 5, "output": 1}
    board.take_state({"usd": 1.25, "money": spent})
    text = re.sub(r"[│\s]+", " ", " ".join(panel(board)))
    assert "money $1.25 of $10.00" in text
    assert "spent $0.10 in R07, $0.40 for each kept round from cache 93 % of the input" in text
    board.take_state({"money": {}})
    assert "from cache" not in " ".join(panel(board))


def test_panel_shows_that_a_provider_is_waited_for() -> None:
    board = Board(round=2, phase="plan")
    event = {"text": "builder waits 30 s: rate limit", "seconds": 30.0}
    board.apply("wait", event)
    assert any("builder waits 30 s: rate limit" in line for line in panel(board))
    line = describe("wait", event, board)
    assert (line.text, line.where) == ("R02 plan      builder waits 30 s: rate limit", "steps")
    board.apply("wait", {**event, "seconds": 0})
    assert not any("builder waits" in line for line in panel(board))


def test_panel_says_that_it_stops() -> None:
    board = Board()
    board.apply("note", {"text": "stopping after this step; once more stops at once"})
    assert any("stopping after this step; Ctrl-C again stops now" in line for line in panel(board))


def test_panel_leaves_room_for_the_echo_of_control_c(tmp_path: Path) -> None:
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", in_terminal(tmp_path))
    borders = re.findall(r"[╭╰][^╮╯]*[╮╯]", text)
    assert borders and {len(line) for line in borders} == {96}


def test_refit_is_no_fold() -> None:
    board = Board()
    for fold in (1, 2, "full"):
        board.apply("fold_done", {"fold": fold, "folds": 2, "score": 0.5})
    assert board.folds_done == 2
