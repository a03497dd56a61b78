"""Attacks on the host from inside an experiment, judged by their effect. The bar is 0 that get through."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.execution.jobs import Job, Limits
from tests.execution.conftest import sandbox_or_reason, sandbox_or_skip
from tests.execution.world import World

ATTACKER = Path(__file__).with_name("attacker.py")
ATTACKS = 31
DISK_MB = 5
NEEDS_A_KERNEL_MODULE = {"vsock"}
STOPPED_EVERYWHERE = {"key in env", "inherited fd", "file over the limit"}

CHANGE_THE_HOST = """
import contextlib, os
for folder, folders, names in os.walk("/proc"):
    folders[:] = [name for name in folders if not name.isdigit()]
    for path in (os.path.join(folder, name) for name in names):
        with contextlib.suppress(OSError):
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))  # nothing is written: it may be the host's own
            print(path)
for device in ("/dev/null", "/dev/zero", 0):
    with contextlib.suppress(OSError):
        os.utime(device, (1, 1))
"""


def attack(level: str, folder: Path) -> set[str]:
    out = folder / "out"
    out.mkdir()
    with World(folder / "world", DISK_MB << 20) as world:
        limits = Limits(seconds=30, memory_mb=1000, disk_mb=DISK_MB, processes=20, log_kb=64)
        inputs = {path.name: path for path in world.inputs.iterdir()}
        outcome = sandbox_or_skip(level).run(Job(ATTACKER, inputs, out, limits, cores=1))
        assert outcome.status == "ok", outcome
        assert world.canary not in outcome.log or level == "none"
        return world.effects(out)


@pytest.mark.parametrize("level", ["A", "warm", "B", "B3"])
def test_no_attack_gets_through(level: str, tmp_path: Path) -> None:
    through = attack(level, tmp_path)
    print(f"level {level}: {len(through)} of {ATTACKS} attacks got through: {sorted(through)}")
    assert through == set()


@pytest.mark.parametrize("level", ["A", "warm", "B"])
def test_neither_the_kernels_settings_nor_devices_can_be_changed(level: str, make_job: Callable[..., Job]) -> None:
    """Root, even without any capability, owns them."""
    outcome = sandbox_or_skip(level).run(make_job(CHANGE_THE_HOST))
    assert (outcome.status, outcome.log) == ("ok", "")
    assert min(os.stat(device).st_mtime for device in ("/dev/null", "/dev/zero")) > 1


def test_without_a_sandbox_the_same_attacks_succeed(tmp_path: Path) -> None:
    through = attack("none", tmp_path)
    print(f"level none: {len(through)} of {ATTACKS} attacks got through")
    assert len(through | NEEDS_A_KERNEL_MODULE) == ATTACKS - len(STOPPED_EVERYWHERE)
    assert not through & STOPPED_EVERYWHERE


def test_a_plain_child_succeeds_with_every_attack(tmp_path: Path) -> None:
    """The control of the control: each attack works where nothing stands in its way."""
    out = tmp_path / "out"
    out.mkdir()
    with World(tmp_path / "world", DISK_MB << 20) as world:
        command = [sys.executable, str(ATTACKER), str(world.inputs), str(out)]
        subprocess.run(command, check=True, pass_fds=[world.handle], stdout=subprocess.DEVNULL)
        through = world.effects(out)
    assert len(through | NEEDS_A_KERNEL_MODULE) == ATTACKS


def test_a_machine_that_builds_the_project_must_run_a_sandbox() -> None:
    """Everything above may be skipped on a machine without sandboxes, but never everywhere."""
    reasons = [found for found in map(sandbox_or_reason, ("A", "B")) if isinstance(found, str)]
    if os.environ.get("CI") == "true":
        assert len(reasons) < 2, reasons
    elif len(reasons) == 2:
        pytest.skip("; ".join(reasons))
