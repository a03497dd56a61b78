"""What runs in a Kaggle kernel: lays out IN, runs one experiment, leaves its predictions and a result beside them.

The text of this file with a call of `main` after it is the script that is pushed (see kernel_bundle.py), so it uses the
standard library alone and reads nothing of the project. The result carries the nonce of its push, by which the host
tells this session from an earlier one of the same kernel.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

PACK = "inputs.bin"
"""The one file of each dataset: a tar under a name that Kaggle does not unpack."""
RESULT = "autokaggle_result.json"
OUTPUTS = ("valid.npy", "test.npy")
_PLACES = ("{}", "*/{}", "*/*/{}", "*/*/{}/versions/*")
_KEPT = (
    "AUTOKAGGLE_KERNEL_INPUT",
    "CUDA",
    "NVIDIA",
    "TPU",
    "XLA",
    "PJRT",
    "LIBTPU",
    "LD_LIBRARY_PATH",
    "LIBRARY_PATH",
    "PYTHONPATH",
    "PATH",
)
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_MAX_THREADS", "LOKY_MAX_CPU_COUNT")
_PACKAGES = ("numpy", "pandas", "scikit-learn", "lightgbm", "xgboost", "catboost", "torch", "tensorflow", "jax")


class Stale(Exception):
    """A dataset that is not mounted, or not in the version that was asked for."""


def main(run: dict[str, Any], source: str) -> None:
    """Run the experiment `source` as `run` says; whatever happens ends in RESULT in the working folder.

    `run`: nonce, script (its name), task (task.json), datasets ([{slug, sha256}]), accelerator, seconds,
    most_bytes (of one file handed over), log_bytes, outputs (their names).
    """
    print(f"autokaggle run {run['nonce']}", flush=True)
    work = Path.cwd()
    root = Path(os.environ.get("AUTOKAGGLE_KERNEL_INPUT", "/kaggle/input"))
    result = {"nonce": run["nonce"], "machine": machine(), "files": {}, "log": ""}
    with tempfile.TemporaryDirectory(prefix="autokaggle-", ignore_cleanup_errors=True) as name:
        place = Path(name)
        try:
            lay_out(place, root, run, source)
            result.update(experiment(place, run))
            result["files"] = hand_over(place / "out", work, run.get("outputs", OUTPUTS), run["most_bytes"])
        except Stale as error:
            result.update(status="stale", returncode=None, seconds=0.0, peak_mb=0.0, log=str(error))
        temp = work / f".{RESULT}"
        temp.write_text(json.dumps(result))
        os.replace(temp, work / RESULT)
    print(f"autokaggle {result['status']} after {result['seconds']:.1f} s", flush=True)


def lay_out(place: Path, root: Path, run: dict[str, Any], source: str) -> None:
    """Fill place/{in,out,code,home} from the mounted datasets. Raises Stale."""
    for folder in ("in/previous", "in/data", "out", "code", "home"):
        (place / folder).mkdir(parents=True)
    for wanted in run["datasets"]:
        with tarfile.open(find(root, wanted["slug"], wanted["sha256"])) as pack:
            pack.extractall(place / "in", filter="data")
    task = {**run["task"], "cores": cores(), "accelerator": run["accelerator"]}
    (place / "in" / "task.json").write_text(json.dumps(task, indent=1))
    (place / "code" / run["script"]).write_bytes(source.encode("utf-8", "surrogateescape"))


def find(root: Path, slug: str, sha256: str) -> Path:
    """The pack with these bytes, wherever below `root` the dataset is mounted. Raises Stale."""
    seen = [path for pattern in _PLACES for path in root.glob(f"{pattern.format(slug)}/{PACK}")]
    for path in seen:
        if digest(path) == sha256:
            return path
    raise Stale(f"the dataset {slug} " + ("is mounted in another version" if seen else "is not mounted"))


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def experiment(place: Path, run: dict[str, Any]) -> dict[str, Any]:
    """Run `python SCRIPT IN OUT` to its end or its limit, with none of the session's variables that hold secrets."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, str(place / "code" / run["script"]), str(place / "in"), str(place / "out")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=place / "home",
        env=environment(place / "home"),
        start_new_session=True,
    )
    assert process.stdout is not None
    log = Log(process.stdout, run["log_bytes"])
    status = "timeout"
    try:
        code: int | None = process.wait(run["seconds"])
        status = "ok" if code == 0 else "memory" if code == -signal.SIGKILL else "failed"
    except subprocess.TimeoutExpired:
        code = None
    seconds = time.monotonic() - began
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    log.join(5.0)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {"status": status, "returncode": code, "seconds": seconds, "peak_mb": peak, "log": log.text()}


def environment(home: Path) -> dict[str, str]:
    """What finds Python, its packages and the accelerator, and nothing else of the session."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(_KEPT)}
    fixed = {"HOME": str(home), "TMPDIR": str(home), "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"}
    quiet = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "Agg"}
    return {**kept, **fixed, **quiet, **dict.fromkeys(_THREADS, str(cores()))}


def hand_over(out: Path, work: Path, names: Sequence[str], most_bytes: int) -> dict[str, Any]:
    """Copy the predictions to the working folder, whose files Kaggle keeps; what is no regular file stays behind."""
    files = {}
    for name in names:
        source = out / name
        if source.exists() and stat.S_ISREG(source.lstat().st_mode) and source.stat().st_size <= most_bytes:
            shutil.copyfile(source, work / name)
            files[name] = {"sha256": digest(work / name)}
    return files


class Log(threading.Thread):
    """Reads what the experiment prints to the end, keeps head and tail, and shows the head on the kernel's page."""

    def __init__(self, pipe: IO[bytes], cap: int) -> None:
        super().__init__(daemon=True)
        self._pipe, self._head_cap, self._tail_cap = pipe, cap // 4, cap - cap // 4
        self._head, self._tail = bytearray(), bytearray()
        self._total = 0
        self.start()

    def run(self) -> None:
        while chunk := os.read(self._pipe.fileno(), 1 << 16):
            self._total += len(chunk)
            room = self._head_cap - len(self._head)
            self._head += chunk[:room]
            self._tail += chunk[room:]
            del self._tail[: -self._tail_cap]
            print(chunk[:room].decode("utf-8", "replace"), end="", flush=True)

    def text(self) -> str:
        left_out = self._total - len(self._head) - len(self._tail)
        marker = f"\n[... {left_out:,} bytes left out ...]\n" if left_out > 0 else ""
        return self._head.decode("utf-8", "replace") + marker + self._tail.decode("utf-8", "replace")


def machine() -> dict[str, Any]:
    """What this session runs on, for KAGGLE_API.md."""
    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    python = ".".join(map(str, sys.version_info[:3]))
    return {"python": python, "cores": cores(), "memory_mb": memory, "gpus": gpus(), "packages": packages}


def gpus() -> list[str]:
    """One line each, as `nvidia-smi` names them."""
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return []
    return found.stdout.strip().splitlines() if found.returncode == 0 else []


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
