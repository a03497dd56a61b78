"""Limits and whole-tree kill, with programs that really misbehave."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.execution.jobs import Job, Sandbox
from orchestrator.execution.stage import sweep_stages
from orchestrator.execution.usage import resident_mb
from tests.execution.conftest import PYTHON, alive, sandbox_or_reason

MakeJob = Callable[..., Job]

ENDLESS = """
import signal, sys
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
print("still here", flush=True)
while True:
    pass
"""
MEMORY_BOMB = """
hoard = []
while True:
    hoard.append(bytearray(b"x" * (4 << 20)))
"""
SHARED_MEMORY_BOMB = """
import mmap
hoard = []
while True:
    hoard.append(mmap.mmap(-1, 4 << 20))
    hoard[-1].write(b"x" * (4 << 20))
"""
FILES_IN_RAM = """
import os
for i in range(10**6):
    with open(f"/dev/shm/hoard_{os.getpid()}_{i}", "wb") as file:
        file.write(b"x" * (4 << 20))
"""
UNLINKED_FILES_IN_RAM = """
import os
hoard = []
for i in range(10**6):
    name = f"/dev/shm/hoard_{os.getpid()}_{i}"
    hoard.append(open(name, "wb", buffering=0))
    os.unlink(name)
    hoard[-1].write(b"x" * (4 << 20))
"""
NAMELESS_FILES_IN_RAM = """
import ctypes, os
from multiprocessing import Array, shared_memory
for _ in range(2):
    try:
        os.write(os.memfd_create("hoard"), b"x" * (100 << 20))
    except OSError as error:
        print("refused", error.strerror)
block = shared_memory.SharedMemory(create=True, size=1000)
block.unlink()
print(Array("d", 5)[0], ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 7)())
"""
WITHOUT_FIRST_THREAD = """
import ctypes, platform, sys, threading, time
hoard = []
def go_on():
    time.sleep(0.5)
    for beat in range(10**6):
        if sys.argv[0].endswith("hoard.py"):
            hoard.append(bytearray(b"x" * (4 << 20)))
        with open(sys.argv[2] + "/beat", "w") as file:
            file.write(str(beat))
        time.sleep(0.01)
threading.Thread(target=go_on).start()
ctypes.CDLL(None).syscall(60 if platform.machine() == "x86_64" else 93, 0)
"""
THREADS = """
import threading, time
threading.stack_size(65536)
for _ in range(1200):
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
time.sleep(60)
"""
UNLINKED_FILES = """
import os, sys, time
hoard = []
for _ in range(10):
    hoard.append(open(sys.argv[2] + "/file", "wb", buffering=0))
    os.unlink(sys.argv[2] + "/file")
    hoard[-1].write(b"x" * (5 << 20))
time.sleep(2)
"""
FORKED_HOARD = """
import os, time
hoard = bytearray(b"x" * (60 << 20))
for _ in range(8):
    if os.fork() == 0:
        time.sleep(0.6)
        os._exit(0)
for _ in range(8):
    os.wait()
"""
ONE_BIG_FILE = """
import sys
with open(sys.argv[2] + "/valid.npy", "wb") as file:
    while True:
        file.write(b"x" * (1 << 20))
"""
MANY_SMALL_FILES = """
import os, sys
for i in range(10**6):
    os.close(os.open(f"{sys.argv[2]}/{i}", os.O_CREAT | os.O_WRONLY))
"""
FORK_BOMB = """
import os, time
for _ in range(6):
    if os.fork() == 0:
        os.setsid()
while True:
    time.sleep(1)
"""
DAEMONS = """
import os, signal, sys, time
for style in range(3):
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if style:
            os.setsid()
        if style == 2 and os.fork():
            os._exit(0)
        if style == 2:
            command = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(99)", sys.argv[0]]
            os.execve(sys.executable, command, {})
        time.sleep(99)
time.sleep(0.3)
"""
CHATTER = """
import os
line = b"\\x1b[31mred\\x1b[0m \\xff\\xfe \\x1b]0;title\\x07 \\x00\\x08 caf\\xc3\\xa9\\r\\n" * 2000
os.write(1, b"first line\\n")
for _ in range(200 * 2**20 // len(line)):
    os.write(1, line)
os.write(2, b"last line\\n")
"""


def test_a_loop_that_ignores_signals_ends_at_its_limit(sandbox: Sandbox, make_job: MakeJob) -> None:
    job = make_job(ENDLESS, seconds=1.5)
    outcome = sandbox.run(job)
    assert outcome.status == "timeout" and outcome.returncode is None
    assert 1.5 <= outcome.seconds < 3.5
    assert "still here" in outcome.log
    assert not alive(job.script.name)


@pytest.mark.parametrize("bomb", [MEMORY_BOMB, SHARED_MEMORY_BOMB], ids=["private", "shared"])
def test_a_memory_bomb_is_ended_and_told_as_such(sandbox: Sandbox, make_job: MakeJob, bomb: str) -> None:
    job = make_job(bomb, memory_mb=400)
    outcome = sandbox.run(job)
    assert outcome.status == "memory"
    assert 400 < outcome.peak_mb <= 1.5 * 400  # on a busy machine the watcher looks later
    assert not alive(job.script.name)


@pytest.mark.parametrize(
    ("script", "most"), [(FILES_IN_RAM, 1.5), (UNLINKED_FILES_IN_RAM, 2)], ids=["named", "unlinked"]
)
def test_files_in_memory_count_and_do_not_stay(sandbox: Sandbox, make_job: MakeJob, script: str, most: float) -> None:
    before = set(Path("/dev/shm").iterdir())
    outcome = sandbox.run(make_job(script, memory_mb=200))
    assert outcome.status == "memory"
    assert outcome.peak_mb <= most * 200
    assert not [path for path in set(Path("/dev/shm").iterdir()) - before if path.name.startswith("hoard_")]


def test_a_semaphore_that_another_program_makes_meanwhile_stays() -> None:
    """Its maker has it mapped under the passing name that the C library gave it first."""
    import ctypes

    from orchestrator.execution.landlock import SharedMemory

    libc = ctypes.CDLL(None, use_errno=True)
    libc.sem_open.restype = ctypes.c_void_p
    name = f"/autokaggle-test-{os.getpid()}"
    path = Path(f"/dev/shm/sem.{name[1:]}")
    abandoned = path.with_name(f"hoard-{os.getpid()}")
    with SharedMemory().use():
        assert libc.sem_open(name.encode(), os.O_CREAT | os.O_EXCL, 0o600, 1) != 0
        abandoned.write_text("of nobody any more")
    assert not abandoned.exists()
    assert path.exists()
    path.unlink()


def test_files_in_memory_that_never_had_a_name_are_refused(sandbox: Sandbox, make_job: MakeJob) -> None:
    least = 250 if getattr(sandbox, "is_warm", False) else 90  # the libraries of a warm run are its own memory too
    outcome = sandbox.run(make_job(NAMELESS_FILES_IN_RAM, memory_mb=least))
    assert outcome.status == "ok", outcome.log
    assert outcome.log == "refused Function not implemented\n" * 2 + "0.0 7\n"


def test_a_process_without_its_first_thread_is_watched_and_ended(sandbox: Sandbox, make_job: MakeJob) -> None:
    outcome = sandbox.run(make_job(WITHOUT_FIRST_THREAD, name="hoard", memory_mb=200))
    assert outcome.status == "memory" and outcome.peak_mb <= 1.3 * 200
    job = make_job(WITHOUT_FIRST_THREAD, name="beat", seconds=1.5)
    assert sandbox.run(job).status == "timeout"
    last = (job.out / "beat").read_text()
    time.sleep(0.2)
    assert (job.out / "beat").read_text() == last


def test_memory_shared_by_forks_counts_once(sandbox: Sandbox, make_job: MakeJob) -> None:
    assert sandbox.run(make_job(FORKED_HOARD, memory_mb=250)).status == "ok"


@pytest.mark.parametrize("script", [ONE_BIG_FILE, MANY_SMALL_FILES], ids=["one file", "many files"])
def test_a_full_disk_is_prevented(sandbox: Sandbox, make_job: MakeJob, script: str) -> None:
    job = make_job(script, disk_mb=20)
    outcome = sandbox.run(job)
    assert outcome.status == "disk"
    assert sum(path.stat().st_blocks * 512 for path in job.out.iterdir()) <= 20 * 2**20


def test_files_without_a_name_count(sandbox: Sandbox, make_job: MakeJob) -> None:
    outcome = sandbox.run(make_job(UNLINKED_FILES, disk_mb=20))
    assert outcome.status == "disk"
    assert sandbox.run(make_job(UNLINKED_FILES, disk_mb=60)).status == "ok"


def test_threads_are_limited(sandbox: Sandbox, make_job: MakeJob) -> None:
    outcome = sandbox.run(make_job(THREADS, processes=20))
    assert outcome.status == "processes" and outcome.seconds < 15


def test_a_fork_bomb_is_ended_whole(sandbox: Sandbox, make_job: MakeJob) -> None:
    job = make_job(FORK_BOMB, processes=30)
    outcome = sandbox.run(job)
    assert outcome.status == "processes"
    assert not alive(job.script.name)


def test_a_fork_bomb_below_the_count_ends_with_its_time(sandbox: Sandbox, make_job: MakeJob) -> None:
    job = make_job(FORK_BOMB, processes=100, seconds=1.0)
    assert sandbox.run(job).status == "timeout"
    assert not alive(job.script.name)


def test_daemons_do_not_outlive_the_script(sandbox: Sandbox, make_job: MakeJob) -> None:
    job = make_job(DAEMONS)
    outcome = sandbox.run(job)
    assert (outcome.status, outcome.returncode) == ("ok", 0)
    assert not alive(job.script.name)


def test_two_hundred_megabytes_of_output_stay_outside(sandbox: Sandbox, make_job: MakeJob) -> None:
    before = resident_mb([os.getpid()])
    outcome = sandbox.run(make_job(CHATTER, log_kb=16))
    assert outcome.status == "ok"
    assert len(outcome.log.encode()) <= 16 * 1024
    assert resident_mb([os.getpid()]) - before < 20
    assert outcome.log.startswith("first line\nred \ufffd\ufffd")
    assert outcome.log.endswith("café\nlast line\n")
    assert "bytes left out" in outcome.log
    assert not [letter for letter in outcome.log if ord(letter) < 32 and letter != "\n"]


def test_a_death_by_signal_is_a_failure_with_its_number(sandbox: Sandbox, make_job: MakeJob) -> None:
    outcome = sandbox.run(make_job("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)"))
    assert (outcome.status, outcome.returncode) == ("failed", -signal.SIGSEGV)
    outcome = sandbox.run(make_job("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"))
    assert (outcome.status, outcome.returncode) == ("failed", -signal.SIGKILL)


ORCHESTRATOR = """
import sys, threading
from pathlib import Path
from orchestrator.execution import Job, Limits, probe
sandbox = probe("A" if sys.argv[1] == "warm" else sys.argv[1], Path(sys.executable))
if sys.argv[1] == "warm":
    sandbox.warm_up("threadpoolctl")
job = Job(Path(sys.argv[2]), {}, Path(sys.argv[3]), Limits(seconds=60, memory_mb=500))
threading.Thread(target=sandbox.run, args=(job,)).start()
"""


@pytest.mark.parametrize("level", ["A", "warm", "B"])
def test_nothing_survives_the_orchestrator(level: str, make_job: MakeJob) -> None:
    if isinstance(reason := sandbox_or_reason(level), str):
        pytest.skip(reason)
    job = make_job(DAEMONS + "open(sys.argv[2] + '/started', 'w').close()\ntime.sleep(99)\n")
    command = [str(PYTHON), "-c", textwrap.dedent(ORCHESTRATOR), level, str(job.script), str(job.out)]
    root = Path(__file__).parents[2]
    orchestrator = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, stderr=sys.stderr)
    _wait_until((job.out / "started").exists, 20)
    assert len(alive(job.script.name)) >= 5  # the script, its three daemons, and those who watch them
    orchestrator.kill()
    orchestrator.wait()
    _wait_until(lambda: not alive(job.script.name), 2)
    sweep_stages(0.0)


def _wait_until(condition: Callable[[], object], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
