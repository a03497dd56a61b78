"""The commands as a person types them: in the campaign's own folder, in a process of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.kill import harness

ROOT = Path(__file__).resolve().parent.parent


def run(folder: Path, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-m", "orchestrator", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout)


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Played to its end by `loop` alone, typed in its own folder."""
    folder = tmp_path_factory.mktemp("typed") / "my campaign é"
    folder.mkdir()
    harness.make_campaign(folder, 2)
    done = run(folder, "loop")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "max rounds: 2 played" in done.stdout
    return folder


def test_the_loop_in_its_own_folder(campaign: Path) -> None:
    assert harness.ledger(campaign)["submitted"] == ["R01", "R02"]


def test_status_report_logs_and_grade(campaign: Path) -> None:
    assert "max rounds" in run(campaign, "status").stdout
    assert "SUBMIT" in run(campaign, "logs", "1").stdout
    assert run(campaign, "report").stdout.strip().endswith("REPORT.md")
    graded = run(campaign, "grade", "rounds/R02_submission.csv").stdout
    assert graded.startswith("score 2.31561") and graded.endswith(" (rmse)\n")


def test_help_names_every_command() -> None:
    text = run(ROOT, "--help").stdout
    for name in ("loop", "status", "logs", "report", "new", "doctor", "grade"):
        assert f"    {name} " in text
        assert "-m orchestrator" in run(ROOT, name, "--help").stdout.partition("example:")[2]


def test_a_pipe_that_closes_early_is_no_traceback(campaign: Path) -> None:
    script = f"'{sys.executable}' -m orchestrator -C '{campaign}' logs | head -n 1"
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_after_the_step_and_the_same_command_goes_on(tmp_path: Path, number: int) -> None:
    harness.make_campaign(tmp_path, 2)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "orchestrator", "loop", "--plain"]
    loop = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    with loop:
        assert loop.stdout is not None
        for line in loop.stdout:
            if "R01 begins" in line:
                loop.send_signal(number)
                break
        rest = loop.stdout.read()
    assert loop.returncode == 130
    assert "stopping after this step" in rest and "R02" not in rest
    done = run(tmp_path, "loop")
    assert done.returncode == 0
    assert harness.ledger(tmp_path)["submitted"] == ["R01", "R02"]


def test_two_loops_at_once(tmp_path: Path) -> None:
    harness.make_campaign(tmp_path, 2)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "orchestrator", "loop", "--plain"]
    loops = [
        subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(3)
    ]
    outputs = [loop.communicate(timeout=120)[0].decode() for loop in loops]
    codes = sorted(loop.returncode for loop in loops)
    assert codes[0] == 0 and set(codes) <= {0, 3}
    assert sum("is playing" in output for output in outputs) == codes.count(3)
    assert harness.ledger(tmp_path)["submitted"] == ["R01", "R02"]


def test_experiments_die_with_the_loop(tmp_path: Path) -> None:
    harness.make_campaign(tmp_path, 1)
    script = (
        (tmp_path / "script.json").read_text().replace("import json, struct, sys", "import time; time.sleep(777.25)")
    )
    (tmp_path / "script.json").write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "orchestrator", "loop", "--plain"]
    loop = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    try:
        assert wait_until(lambda: any(runs_the_experiment(child) for child in below(loop)), 60)
        children = below(loop)
    finally:
        loop.kill()
        loop.wait()
    assert wait_until(lambda: not any(alive(child) for child in children), 5), "an experiment outlived the loop"


def below(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def runs_the_experiment(process: psutil.Process) -> bool:
    try:
        return "/work/R01_experiment.py" in process.cmdline()
    except psutil.Error:
        return False


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def wait_until(happens: object, seconds: float) -> bool:
    assert callable(happens)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if happens():
            return True
        time.sleep(0.05)
    return False
