"""What a kernel's session left, taken home with care: three names, regular files, bounded sizes, the right nonce."""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from orchestrator.execution.jobs import Job, Outcome, Status
from orchestrator.execution.kernel_runner import RESULT
from orchestrator.execution.kernel_site import Client
from orchestrator.execution.output import clean, end_of
from orchestrator.files import sha256_file

_RESULT_BYTES = 4 << 20
"""Beside the log that it carries."""


@dataclass(frozen=True)
class Harvest:
    outcome: Outcome
    machine: dict[str, Any]
    stale: str = ""
    """What was wrong with the mounted datasets; then nothing ran."""


def harvest(client: Client, ref: str, nonce: str, job: Job, outputs: tuple[str, ...]) -> Harvest | None:
    """The result of the session of `nonce`, its `outputs` copied into the job's OUT; None when it is not there (yet).

    Files that are not what the result says (half a download, an error page) count as not there.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        client.kernel_output(ref, folder, names=(RESULT, *outputs))
        result = _result(folder / RESULT, _RESULT_BYTES + job.limits.log_kb * 4096)
        if result is None or result["nonce"] != nonce:
            return None
        for name in outputs:
            told = result["files"].get(name)
            if told is not None and not _take(folder / name, told, job):
                return None
        return _read(result, job)


def _result(path: Path, most_bytes: int) -> dict[str, Any] | None:
    if not _regular(path, most_bytes):
        return None
    try:
        result = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    known = isinstance(result, dict) and {"nonce", "status", "files", "log", "machine"} <= set(result)
    return result if known and isinstance(result["files"], dict) else None


def _take(path: Path, told: Any, job: Job) -> bool:
    expected = told.get("sha256") if isinstance(told, dict) else None
    if not _regular(path, job.limits.disk_mb << 20) or sha256_file(path) != expected:
        return False
    shutil.copyfile(path, job.out / path.name)
    return True


def _regular(path: Path, most_bytes: int) -> bool:
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size <= most_bytes


def _read(result: dict[str, Any], job: Job) -> Harvest:
    """The fields of a result, each of which a hostile experiment may have made up."""
    log = end_of(clean(str(result["log"]).encode("utf-8", "replace")), job.limits.log_kb * 1024)
    machine = _machine(result["machine"])
    if result["status"] == "stale":
        return Harvest(Outcome("lost", None, 0.0, 0.0, log), machine, log.strip()[:300] or "no dataset is mounted")
    status: Status = result["status"] if result["status"] in get_args(Status) else "failed"
    code = result.get("returncode")
    outcome = Outcome(
        status,
        code if isinstance(code, int) else None,
        min(_number(result.get("seconds")), job.limits.seconds + 60.0),
        _number(result.get("peak_mb")),
        log,
    )
    return Harvest(outcome, machine)


def _number(value: Any) -> float:
    return max(0.0, float(value)) if isinstance(value, int | float) and value < 1e12 else 0.0


def _machine(told: Any) -> dict[str, Any]:
    """What the session tells of its machine, each figure of its type and no more than a page."""
    told = told if isinstance(told, dict) else {}
    gpus, packages = told.get("gpus"), told.get("packages")
    return {
        "python": str(told.get("python", "?"))[:20],
        "cores": int(_number(told.get("cores"))),
        "memory_mb": int(_number(told.get("memory_mb"))),
        "gpus": [str(one)[:60] for one in gpus[:8]] if isinstance(gpus, list) else [],
        "packages": {str(name)[:30]: str(number)[:30] for name, number in list(packages.items())[:12]}
        if isinstance(packages, dict)
        else {},
    }


def log_text(raw: str, most_bytes: int) -> str:
    """A kernel's log, which is a JSON list of {stream_name, time, data}, as text; its end, where it is long."""
    try:
        parts = json.loads(raw)
        text = "".join(str(part["data"]) for part in parts)
    except (ValueError, RecursionError, TypeError, KeyError):
        text = raw
    return end_of(clean(text.encode("utf-8", "replace")), most_bytes)
