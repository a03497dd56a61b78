"""What an experiment finds when it starts, and what its caller gets back."""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import BadInput, SandboxUnavailable
from orchestrator.execution.bubblewrap import Bubblewrap
from orchestrator.execution.jobs import Job, Limits, Sandbox
from orchestrator.execution.landlock import Landlock, kernel_abi
from orchestrator.execution.stage import Installation, Stage, installation, remove_tree, sweep_stages
from tests.execution.conftest import PYTHON, sandbox_or_skip

MakeJob = Callable[..., Job]

LOOK_AROUND = """
import json, os, resource, sys, tempfile
from pathlib import Path
inputs, out = Path(sys.argv[1]), Path(sys.argv[2])
report = {
    "environment": dict(os.environ),
    "tree": sorted(str(path.relative_to(inputs)) for path in inputs.rglob("*")),
    "data": (inputs / "data" / "more" / "extra.csv").read_text(),
    "previous": (inputs / "previous" / "R01.npy").read_text(),
    "home": os.listdir(os.environ["HOME"]),
    "handles": len(os.listdir("/proc/self/fd")) - 1,
    "umask": os.umask(0),
    "session": os.getsid(0) == os.getpid() or os.getsid(0) != 0,
    "script": Path(sys.argv[0]).name,
    "most handles": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
    "oom": Path("/proc/self/oom_score_adj").read_text().strip(),
}
Path("scratch.txt").write_text("the working folder is writable")
tempfile.mkstemp()
(out / "report.json").write_text(json.dumps(report))
"""
LIBRARIES = """
import json, multiprocessing, shutil, sys
import joblib, lightgbm, numpy as np, pandas as pd
def square(x):
    return x * x
if __name__ == "__main__":
    out = sys.argv[2]
    with multiprocessing.Pool(2) as pool:
        assert pool.map(square, range(4)) == [0, 1, 4, 9]
    big = np.zeros(300_000)
    assert joblib.Parallel(n_jobs=2)(joblib.delayed(len)(big) for _ in range(2)) == [300_000] * 2
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(300, 4)), columns=list("abcd"))
    X.to_parquet(out + "/x.parquet")
    model = lightgbm.LGBMRegressor(n_estimators=5, n_jobs=2, verbose=-1).fit(X, X["a"])
    np.save(out + "/valid.npy", model.predict(X))
    shutil.copy(out + "/valid.npy", out + "/copy.npy")
    print("backend", joblib.parallel.get_active_backend()[0].__class__.__name__)
"""


def test_what_the_experiment_sees(sandbox: Sandbox, make_job: MakeJob, tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "more").mkdir(parents=True)
    (data / "more" / "extra.csv").write_text("a,b")
    (tmp_path / "one.npy").write_text("one")
    job = make_job(LOOK_AROUND, name="R07_experiment", inputs={"data": data, "previous/R01.npy": tmp_path / "one.npy"})
    outcome = sandbox.run(job)
    assert outcome.status == "ok", outcome
    report = json.loads((job.out / "report.json").read_text())
    environment = report["environment"]
    assert environment["OMP_NUM_THREADS"] == environment["LOKY_MAX_CPU_COUNT"] == "1"
    assert environment["PYTHONHASHSEED"] == "0" and environment["LC_ALL"] == "C.UTF-8"
    assert not {name for name in os.environ if "KEY" in name or "TOKEN" in name} & set(environment)
    assert "previous/R01.npy" in report["tree"] and (report["data"], report["previous"]) == ("a,b", "one")
    assert report["home"] == [] and report["handles"] == 3 and report["script"] == "R07_experiment.py"
    assert report["oom"] == "1000" and report["most handles"] <= 4096
    assert {path.name for path in job.out.iterdir()} == {"report.json"}


def test_folds_can_not_talk_by_locks(sandbox: Sandbox, make_job: MakeJob) -> None:
    """A lock held on a file that every sandbox may read is not seen inside; it is without the filter."""
    import fcntl

    script = """
        import ctypes, fcntl
        file = open(SHARED)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        print("notices", ctypes.CDLL(None).inotify_init())
        print("no lock in sight")
    """
    text = "\n".join(line.strip() for line in script.splitlines()).replace("SHARED", repr(json.__file__))
    with open(json.__file__) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        inside = sandbox.run(make_job(text))
        outside = sandbox_or_skip("none").run(make_job(text))
    assert inside.status == "ok" and "no lock in sight" in inside.log and "notices -1" in inside.log
    assert outside.status == "failed" and "BlockingIOError" in outside.log


def test_folds_can_not_talk_by_what_lies_in_memory(sandbox: Sandbox, make_job: MakeJob) -> None:
    """Which pages of a file that every sandbox may read are in memory is not told inside; it is without the filter."""
    script = """
        import os
        file = os.open(SHARED, os.O_RDONLY)
        os.pread(file, 1, 0)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        try:
            print("told", os.preadv(file, [bytearray(1)], 0, os.RWF_NOWAIT))
        except BlockingIOError:
            print("told", 0)
        except OSError as error:
            print("not told", error.errno)
    """
    text = "\n".join(line[8:] for line in script.splitlines()).replace("SHARED", repr(json.__file__))
    assert sandbox.run(make_job(text)).log.startswith("not told")
    assert sandbox_or_skip("none").run(make_job(text)).log.startswith("told")


def test_libraries_and_their_processes_work(sandbox: Sandbox, make_job: MakeJob) -> None:
    job = make_job(LIBRARIES, seconds=60)
    outcome = sandbox.run(job)
    assert outcome.status == "ok", outcome.log
    assert outcome.log == "backend LokyBackend\n"  # and no warning of a fall-back to one process
    assert (job.out / "copy.npy").stat().st_size == (job.out / "valid.npy").stat().st_size > 300 * 8
    assert outcome.peak_mb > 50


def test_a_crash_keeps_its_traceback(sandbox: Sandbox, make_job: MakeJob) -> None:
    outcome = sandbox.run(make_job("import sys\nprint('begun')\nraise ValueError('bad column')"))
    assert (outcome.status, outcome.returncode) == ("failed", 1)
    assert outcome.log.startswith("begun\nTraceback") and outcome.log.endswith("ValueError: bad column\n")


def test_a_sandbox_that_fails_is_not_a_failed_experiment(make_job: MakeJob) -> None:
    here = installation(PYTHON)
    gone = Installation(Path("/nowhere/bin/python"), here.folders, None)
    for level in (Bubblewrap, Landlock):
        try:
            sandbox = level(gone)
        except SandboxUnavailable as error:
            pytest.skip(str(error))
        with pytest.raises(SandboxUnavailable, match="is gone"):
            sandbox.run(make_job("print(1)"))


def test_a_bubblewrap_that_cannot_mount_says_so(make_job: MakeJob, tmp_path: Path) -> None:
    here = installation(PYTHON)
    broken = Installation(here.python, (*here.folders, tmp_path / "missing"), None)
    try:
        sandbox = Bubblewrap(broken)
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    with pytest.raises(SandboxUnavailable, match="missing"):
        sandbox.run(make_job("print(1)"))


def test_landlock_older_than_needed_is_refused() -> None:
    with pytest.raises(SandboxUnavailable, match=f"version {min(2, kernel_abi())}, 3 is needed"):
        Landlock(installation(PYTHON), abi=2)


def test_jobs_with_odd_names_are_refused(tmp_path: Path) -> None:
    limits = Limits(seconds=1, memory_mb=1)
    (tmp_path / "s.py").touch()
    for name in ("../up", "/etc", "a/b/c", "", ".", "a/..", "-x/../y"):
        with pytest.raises(BadInput, match="input name"):
            Job(tmp_path / "s.py", {name: tmp_path}, tmp_path, limits)
    with pytest.raises(BadInput, match="does not exist"):
        Job(tmp_path / "s.py", {"missing": tmp_path / "missing"}, tmp_path, limits)
    with pytest.raises(BadInput, match="does not exist"):
        Job(tmp_path / "s.py", {}, tmp_path / "missing", limits)
    with pytest.raises(BadInput, match="does not exist"):
        Job(tmp_path / "missing.py", {}, tmp_path, limits)


@pytest.mark.parametrize("name", ["d", "d" * 200])
def test_folders_that_resist_are_removed(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "deep"
    folder.mkdir()
    here = os.open(folder, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    kept = tmp_path / "kept"
    kept.mkdir()
    (folder / "link").symlink_to(kept)
    remove_tree(folder)
    assert not folder.exists() and kept.is_dir()


def test_leftovers_of_the_dead_are_swept_and_those_of_the_living_kept(make_job: MakeJob) -> None:
    job = make_job("")
    with Stage(job) as mine:
        orphan = mine.folder.with_name(mine.folder.name + "-orphan")
        shutil.copytree(mine.folder, orphan)
        sweep_stages()
        assert orphan.is_dir()  # its owner may be about to lock it
        for folder in (mine.folder, orphan):
            os.utime(folder, (time.time() - 61, time.time() - 61))
        sweep_stages()
        assert mine.folder.is_dir() and not orphan.exists()
    assert not mine.folder.exists()


def test_the_installation_is_a_few_folders_and_never_the_home() -> None:
    found = installation(Path(sys.executable))
    assert all(folder not in (Path("/"), Path.home()) for folder in found.folders)
    with pytest.raises(SandboxUnavailable, match="does not run"):
        installation(Path("/nowhere/python"))
