"""Runs forked from a warm process are as new as those that start from nothing: same results, nothing left of others."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import SandboxUnavailable
from orchestrator.execution.bubblewrap import Bubblewrap
from orchestrator.execution.jobs import Job, Limits
from orchestrator.execution.nursery import Nursery, NurseryGone
from orchestrator.execution.stage import Installation, installation
from tests.execution.conftest import PYTHON, sandbox_or_skip

MakeJob = Callable[..., Job]
LEAVE_TRACES = """
import atexit, builtins, json, os, random, signal, sys, threading
import numpy, pandas, lightgbm, sklearn
report = {
    "was here": [getattr(owner, "left", None) for owner in (builtins, numpy, pandas, lightgbm, sklearn, sys)],
    "environment": os.environ.get("LEFT"),
    "set by scikit-learn": os.environ.get("KMP_INIT_AT_FORK"),
    "handler": str(signal.getsignal(signal.SIGUSR1)),
    "random": [float(numpy.random.rand()), random.random()],
    "threads": threading.active_count(),
    "handles": sorted(os.listdir("/proc/self/fd"))[:-1],
    "main": [__name__, __file__, sys.argv[0], sys.path[0], sys.modules["__main__"].__dict__ is globals()],
    "modules": [name for name in ("launcher", "seccomp", "zygote") if name in sys.modules],
    "files": sorted(os.listdir("/work")),
}
for owner in (builtins, numpy, pandas, lightgbm, sklearn, sys):
    owner.left = "R01"
os.environ["LEFT"] = "R01"
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
atexit.register(lambda: open(sys.argv[2] + "/farewell", "w").close())
json.dump(report, open(sys.argv[2] + "/report.json", "w"))
"""
CHANGE_THE_PROGRAM = """
import contextlib, os
for act in (
    lambda: os.chmod("/proc/self/exe", 0o700),
    lambda: os.utime("/proc/self/exe", (1, 1)),
    lambda: os.setxattr("/proc/self/exe", "user.note", b"1"),
    lambda: print(open("/proc/self/exe", "r+b")),
    lambda: print(open("/proc/self/map_files/" + os.listdir("/proc/self/map_files")[0])),
):
    with contextlib.suppress(OSError):
        act()
"""
LEAVE_IN_ORDER = """
import sys, threading, time
kept_open = open(sys.argv[2] + "/open", "w")
kept_open.write("unflushed")
cycle = [kept_open]
cycle.append(cycle)
class Last:
    def __del__(self):
        print("last words", end="")
def late():
    time.sleep(0.3)
    with open(sys.argv[2] + "/late", "w") as file:
        file.write("thread")
threading.Thread(target=late).start()
last = Last()
"""
FIT = """
import sys
import lightgbm, numpy as np
from sklearn.linear_model import LogisticRegression
X = np.random.default_rng(0).normal(size=(2000, 8))
y = X[:, 0] * X[:, 1] + X[:, 2] > 0
model = lightgbm.LGBMClassifier(n_estimators=30, n_jobs=2, verbose=-1).fit(X, y)
other = LogisticRegression().fit(X[:, :4] @ np.ones((4, 600)), y)
np.save(sys.argv[2] + "/valid.npy", model.predict_proba(X)[:, 1] + other.coef_.sum())
"""


@pytest.fixture
def warm() -> Bubblewrap:
    found = sandbox_or_skip("warm")
    assert isinstance(found, Bubblewrap)
    return found


def test_nothing_is_left_of_an_earlier_run(warm: Bubblewrap, make_job: MakeJob) -> None:
    reports = []
    for number in (1, 2):
        job = make_job(LEAVE_TRACES, name=f"R0{number}")
        assert warm.run(job).status == "ok"
        assert (job.out / "farewell").exists()
        reports.append(json.loads((job.out / "report.json").read_text()))
    assert warm.is_warm
    for number, report in enumerate(reports, 1):
        script = f"/work/R0{number}.py"
        assert report["was here"] == [None] * 6 and report["environment"] is None and not report["modules"]
        assert report["set by scikit-learn"] == "FALSE"
        assert report["handler"] == "0" or "SIG_DFL" in report["handler"]
        assert report["threads"] == 1 and report["handles"] == ["0", "1", "2"]
        assert report["main"] == ["__main__", script, script, "/work", True]
        assert report["files"] == [f"R0{number}.py", "home", "in", "out"]
    first, second = (report["random"] for report in reports)
    assert first[0] != second[0] and first[1] != second[1]


@pytest.mark.parametrize("level", ["A", "warm"])
def test_the_program_that_runs_it_can_not_be_changed(level: str, make_job: MakeJob) -> None:
    def state() -> tuple[int, int, list[str]]:
        return (found := os.stat(PYTHON)).st_mode, found.st_mtime_ns, os.listxattr(PYTHON)

    sandbox, before = sandbox_or_skip(level), state()
    outcome = sandbox.run(make_job(CHANGE_THE_PROGRAM))
    assert (outcome.status, outcome.log) == ("ok", "")
    assert state() == before


def test_results_are_those_of_a_run_from_nothing(warm: Bubblewrap, make_job: MakeJob) -> None:
    predictions = []
    for sandbox in (warm, sandbox_or_skip("A")):
        job = make_job(FIT, seconds=200)
        assert (outcome := sandbox.run(job)).status == "ok", outcome
        predictions.append((job.out / "valid.npy").read_bytes())
    assert predictions[0] == predictions[1]


def test_it_saves_most_of_the_start(warm: Bubblewrap, make_job: MakeJob) -> None:
    text = "import time, resource, lightgbm, sklearn.ensemble, xgboost\nprint(time.process_time())"
    times = [float(sandbox.run(make_job(text)).log) for sandbox in (warm, sandbox_or_skip("A"))]
    assert times[0] < 0.3 * times[1]


def test_exit_status_and_tracebacks_are_the_scripts_own(warm: Bubblewrap, make_job: MakeJob) -> None:
    assert warm.run(make_job("import sys\nsys.exit(7)")).returncode == 7
    said = warm.run(make_job("import sys\nsys.exit('no such column')"))
    assert (said.returncode, said.log) == (1, "no such column\n")
    assert warm.run(make_job("import os\nos.abort()")).returncode == -signal.SIGABRT
    failed = warm.run(make_job("def f():\n    return 1 / 0\nf()", name="R03"))
    assert failed.returncode == 1
    assert failed.log.splitlines()[:2] == [
        "Traceback (most recent call last):",
        '  File "/work/R03.py", line 3, in <module>',
    ]
    assert "zygote" not in failed.log and failed.log.endswith("ZeroDivisionError: division by zero\n")


def test_a_script_ends_in_order(warm: Bubblewrap, make_job: MakeJob) -> None:
    """Its other threads are waited for, and what it left open is written out."""
    job = make_job(LEAVE_IN_ORDER)
    assert warm.run(job).log == "last words"
    assert {path.name: path.read_text() for path in job.out.iterdir()} == {"open": "unflushed", "late": "thread"}


def test_without_its_warm_process_a_run_starts_from_nothing(make_job: MakeJob) -> None:
    sandbox_or_skip("warm")
    sandbox = Bubblewrap(installation(PYTHON))
    sandbox.warm_up("threadpoolctl")
    assert sandbox.run(make_job("print(1)")).status == "ok" and sandbox.is_warm
    pid = sandbox.warm_pid
    assert pid is not None
    killer = threading.Timer(0.7, os.kill, (pid, signal.SIGKILL))
    killer.start()
    began = time.monotonic()
    assert sandbox.run(make_job("import time\ntime.sleep(30)")).status == "lost"
    assert time.monotonic() - began < 10
    killer.join()
    assert sandbox.run(make_job("print(1)")).status == "ok" and not sandbox.is_warm


def test_a_warm_process_that_hangs_costs_no_run(make_job: MakeJob) -> None:
    sandbox_or_skip("warm")
    sandbox = Bubblewrap(installation(PYTHON))
    sandbox.warm_up("threadpoolctl")
    assert sandbox.run(make_job("print(1)")).status == "ok" and sandbox.warm_pid is not None
    os.kill(sandbox.warm_pid, signal.SIGSTOP)
    began = time.monotonic()
    outcome = sandbox.run(make_job("print('done')", seconds=2))
    assert (outcome.status, outcome.log) == ("ok", "done\n") and not sandbox.is_warm
    assert time.monotonic() - began < 8


def test_a_warm_process_that_does_not_start_is_said_so(tmp_path: Path) -> None:
    sandbox_or_skip("warm")
    here = installation(PYTHON)
    gone = Installation(Path("/nowhere/python"), here.folders, None)
    with pytest.raises(NurseryGone):
        Nursery("/usr/bin/bwrap", gone, {})
    with pytest.raises(NurseryGone):
        Nursery("/nowhere/bwrap", here, {})
    with pytest.raises(SandboxUnavailable, match="is gone"):
        sandbox = Bubblewrap(gone)
        sandbox.warm_up()
        sandbox.run(Job(PYTHON, {}, tmp_path, Limits(seconds=5, memory_mb=500)))
