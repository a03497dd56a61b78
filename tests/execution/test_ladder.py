"""Finding a sandbox, and saying what to do when there is none."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from orchestrator.errors import SandboxUnavailable
from orchestrator.execution.bare import Bare
from orchestrator.execution.ladder import check, probe
from orchestrator.execution.stage import installation
from tests.execution.conftest import PYTHON, sandbox_or_reason

HARDENED = """
import ctypes
from orchestrator.execution import harden_self
harden_self()
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""


def test_auto_takes_the_strongest_that_works() -> None:
    working = [level for level in ("A", "B") if not isinstance(sandbox_or_reason(level), str)]
    if not working:
        pytest.skip("no sandbox works here")
    assert probe("auto", PYTHON).level == working[0]


def test_a_level_that_cannot_work_says_why_and_what_to_do() -> None:
    if sys.platform == "darwin":
        pytest.skip("level C is for this system")
    with pytest.raises(SandboxUnavailable) as caught:
        probe("C", PYTHON)
    assert "only on macOS" in str(caught.value)
    assert "install bubblewrap" in str(caught.value) and 'execution.sandbox to "none"' in str(caught.value)
    with pytest.raises(SandboxUnavailable, match="choose auto, A, B, C, none"):
        probe("docker", PYTHON)


def test_a_sandbox_that_leaks_does_not_pass_for_one() -> None:
    class Pretender(Bare):
        level = "A"

    with pytest.raises(SandboxUnavailable, match="read_outside, wrote_outside, connected"):
        check(Pretender(installation(PYTHON)))


def test_hardening_closes_the_process_to_others() -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", textwrap.dedent(HARDENED)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"
