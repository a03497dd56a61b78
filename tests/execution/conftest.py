"""Sandboxes of this machine, one per level; a level that does not start is skipped with the reason it gave."""

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from orchestrator.errors import SandboxUnavailable
from orchestrator.execution.bubblewrap import Bubblewrap
from orchestrator.execution.jobs import Job, Limits, Sandbox
from orchestrator.execution.ladder import check, probe
from orchestrator.execution.landlock import Landlock
from orchestrator.execution.stage import installation

PYTHON = Path(sys.executable)


@cache
def sandbox_or_reason(name: str) -> Sandbox | str:
    """ "A", "B", "none"; "warm": level A with runs forked from a warm process; "B3": the oldest Landlock accepted."""
    try:
        if name == "warm":
            warm = Bubblewrap(installation(PYTHON))
            warm.warm_up()
            check(warm)
            if not warm.is_warm:
                raise SandboxUnavailable("no warm process works here")
            return warm
        if name == "B3":
            sandbox: Sandbox = Landlock(installation(PYTHON), abi=3)
            check(sandbox)
            return sandbox
        return probe(name, PYTHON)
    except SandboxUnavailable as error:
        return str(error)


def sandbox_or_skip(name: str) -> Sandbox:
    found = sandbox_or_reason(name)
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.fixture(params=["A", "warm", "B"])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return sandbox_or_skip(request.param)


@pytest.fixture
def make_job(tmp_path: Path) -> Callable[..., Job]:
    """A job from the text of a script; its file name is new each time, so that its processes can be told apart."""
    count = 0

    def make(text: str, *, name: str | None = None, inputs: dict[str, Path] | None = None, **limits: float) -> Job:
        nonlocal count
        count += 1
        name = name or f"script_{tmp_path.parent.name}_{tmp_path.name}_{count}"
        script = tmp_path / f"{name}.py"
        script.write_text(text)
        out = tmp_path / f"out{count}"
        out.mkdir()
        bounds = {"seconds": 20.0, "memory_mb": 1000, "disk_mb": 50, "processes": 40, "log_kb": 16, **limits}
        return Job(script, inputs or {}, out, Limits(**bounds), name=name)  # type: ignore[arg-type]

    return make


def alive(script_name: str) -> list[int]:
    """Processes (not zombies) that run a script of this name."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                command = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if script_name.encode() in command:
                found.append(int(folder.name))
    return found
