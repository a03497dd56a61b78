"""A machine whose disk is all but full: nobody's fault, and no round's result."""

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.errors import CampaignOver
from orchestrator.execution.jobs import Job, Sandbox
from tests.execution.conftest import sandbox_or_skip
from tests.referee.conftest import HEADER, Stand

WRITES_60_MB = """
import os, sys, time
with open(sys.argv[2] + "/big", "wb") as file:
    file.write(b"x" * (60 << 20))
time.sleep(5)
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 150 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.getuid() != 0:
        pytest.skip("only root may mount a small disk")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=150m", "none", folder], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(done.stderr.strip())
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_of_the_machine_is_told_from_the_limit(
    sandbox: Sandbox, make_job: Callable[..., Job], small_disk: Path
) -> None:
    job = make_job(WRITES_60_MB, disk_mb=100)
    assert sandbox.run(replace(job, out=_new(small_disk / "large"))).status == "nospace"
    (small_disk / "large" / "big").unlink()
    job = make_job(WRITES_60_MB, disk_mb=30)
    assert sandbox.run(replace(job, out=_new(small_disk / "small"))).status == "disk"


def test_it_ends_the_campaign_and_leaves_no_record(small_disk: Path) -> None:
    stand = Stand(small_disk / "campaign", sandbox_or_skip("A"), execution__disk_gb=1.0)
    stand.write_default()
    with pytest.raises(CampaignOver, match=rf"^the disk of {small_disk} has only \d+ MB free: make room and run"):
        stand.run(HEADER + WRITES_60_MB)
    assert not (stand.root / ".work" / "R01").exists()
    assert [path.name for path in stand.rounds.glob("R01*")] == ["R01_experiment.py"]


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder
