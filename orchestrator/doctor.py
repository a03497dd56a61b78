"""`doctor`: what this machine and this campaign need, each failing check with its fix.

Looks only. The network is asked where the campaign plays on Kaggle or with models, and there alone; it costs nothing.
"""

from __future__ import annotations

import os
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import checks, show
from orchestrator.checks import GIB, Check
from orchestrator.errors import BadInput, SandboxUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.config import Config, ExecutionSection

PACKAGES = (
    "anthropic", "catboost", "filelock", "genai-prices", "lightgbm", "matplotlib", "numpy", "openai", "optuna",
    "pandas", "psutil", "pyarrow", "pydantic", "rich", "scikit-learn", "xgboost",
)  # fmt: skip
PYTHON = (3, 11)
FIRST_YEAR = 2025


def diagnose(root: Path | None, *, sandbox: str | None = None) -> list[Check]:
    """All checks: of the machine, and of the campaign in `root` when there is one.

    `sandbox` is the level to try instead of config.json's.
    """
    installed = packages()
    if exit_code(installed):
        return [_python(), *installed]  # the other checks need them
    from orchestrator.check_kaggle import kaggle as check_kaggle
    from orchestrator.check_players import players
    from orchestrator.check_servers import servers

    config, campaign = _campaign(root)
    folder = (root or Path()).resolve()
    kaggle = str(config.competition.kind) == "kaggle" or config.execution.backend == "kaggle_kernel"
    return [
        _python(),
        *installed,
        _kaggle_package(kaggle),
        checks.cores(),
        checks.memory(),
        disk(folder, config.execution.disk_gb),
        _clock(datetime.now(UTC)),
        *checks.writable(folder),
        checks.file_system(folder),
        sandbox_level(sandbox or config.execution.sandbox),
        *gpus(sandbox or config.execution.sandbox, config.execution, os.environ),
        *players(root, config, os.environ),
        *servers(root, config, os.environ),
        *check_kaggle(root, config, os.environ, kaggle, lambda: datetime.now(UTC)),
        *campaign,
    ]


def render(found: list[Check]) -> str:
    """One line per check, with the fix under those that need one, and a last line that sums up."""
    marks = {True: "ok  ", False: "FAIL", None: "note"}
    width = max(len(check.name) for check in found)
    lines = []
    for check in found:
        lines.append(f"{marks[check.ok]}  {check.name:{width}}  {check.what}")
        if check.fix and check.ok is not True:
            lines.append(f"{'':{width + 8}}→ {check.fix}")
    failed = [check.name for check in found if check.ok is False]
    lines += ["", f"to fix: {', '.join(failed)}" if failed else "everything that is needed is here"]
    return "\n".join(lines)


def exit_code(found: list[Check]) -> int:
    """0 when nothing required fails, else 1."""
    return int(any(check.ok is False for check in found))


def packages(names: tuple[str, ...] = PACKAGES) -> list[Check]:
    """One line for all that are installed, one for those that are not."""
    versions = {name: checks.package(name) for name in names}
    there = ", ".join(f"{name} {number}" for name, number in versions.items() if number)
    missing = [name for name, number in versions.items() if number is None]
    found = [Check("packages", True, there)] if there else []
    if missing:
        what, fix = f"not installed: {', '.join(missing)}", f"pip install {' '.join(missing)}"
        found.append(Check("packages", False, what, fix))
    return found


def disk(folder: Path, experiment_gb: float) -> Check:
    """Free space, against what one experiment may write."""
    free = shutil.disk_usage(folder).free
    text = f"{free / GIB:.1f} GiB free in {folder}"
    fix = "free some space, or lower execution.disk_gb in config.json"
    if free < GIB:
        return Check("disk", False, text, fix)
    if free < 2 * experiment_gb * 1e9:
        return Check("disk", None, f"{text}; one experiment may write {experiment_gb:g} GB", fix)
    return Check("disk", True, text)


def sandbox_level(choice: str) -> Check:
    """The level that really holds here, found by running a program in it."""
    from orchestrator.execution.ladder import probe

    try:
        level = probe(choice, Path(sys.executable)).level
    except SandboxUnavailable as error:
        what, _, fix = str(error).rpartition("): ")
        return Check("sandbox", False, f"{what})" if what else fix, fix if what else "install bubblewrap")
    if level == "none":
        fix = 'set execution.sandbox to "auto" in config.json'
        return Check("sandbox", None, "none: what agents write runs with all your rights", fix)
    return Check("sandbox", True, f"level {level} holds: a test program in it could not get out")


def gpus(choice: str, section: ExecutionSection, environment: Mapping[str, str]) -> list[Check]:
    """Whether experiments on this machine get the GPUs that config.json gives them; nothing where it gives none."""
    from orchestrator.execution.gpus import find
    from orchestrator.execution.ladder import probe

    if section.backend != "local" or not section.gpus:
        return []
    try:
        found = find(section.gpus, probe(choice, Path(sys.executable)).level, environment)
    except SandboxUnavailable:
        return []  # told above
    if found.trouble:
        fix = "set execution.gpus to 0, or install the driver (`nvidia-smi` shows whether it works) and bubblewrap"
        return [Check("gpus", None, found.trouble, fix)]
    return [Check("gpus", True, f"experiments may use {len(found.names)}: {', '.join(found.names)}")]


def prompt_files(root: Path) -> Check:
    """Every prompt that a phase asks for is in the campaign or in the project."""
    from agents.prompts import PromptError, load
    from agents.session import ROLES
    from orchestrator.turns import GRAMMAR

    missing = []
    for name in sorted({*GRAMMAR, *ROLES, "again", "fix"}):
        try:
            load(root, name)
        except (PromptError, OSError, UnicodeDecodeError):
            missing.append(f"{name}.md")
    if missing:
        return Check("prompts", False, f"missing or unreadable: {', '.join(missing)}", "restore them from the project")
    return Check("prompts", True, "all there")


def _campaign(root: Path | None) -> tuple[Config, list[Check]]:
    """The campaign's settings, or the usual ones, and the checks of its files."""
    from orchestrator.config import Config, load

    if root is None:
        fix = f"give one with -C DIR, or make one: {show.command('new DIR')}"
        return Config(), [Check("campaign", None, "no config.json here: the machine alone was checked", fix)]
    try:
        config = load(root / "config.json")
        check = Check("config.json", True, "valid")
    except BadInput as error:
        config = Config()
        check = Check("config.json", False, str(error), "correct the file with an editor")
    if config.guesses:
        fix = "read them in config.json and delete each entry of `guesses` that you have checked"
        check = Check("config.json", None, f"valid; guesses not checked yet: {', '.join(config.guesses)}", fix)
    return config, [check, prompt_files(root)]


def _python() -> Check:
    here = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < PYTHON:
        return Check("Python", False, here, f"use Python {PYTHON[0]}.{PYTHON[1]} or newer")
    return Check("Python", True, f"{here} ({sys.executable})")


def _clock(now: datetime) -> Check:
    text = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if now.year < FIRST_YEAR:
        return Check("clock", False, f"{text} is in the past", "set the clock: submission days are counted by it")
    return Check("clock", True, text)


def _kaggle_package(needed: bool) -> Check:
    number = checks.package("kaggle")
    if number is None and needed:
        return Check("kaggle package", False, "not installed", "pip install kaggle")
    return Check("kaggle package", True, number or "not installed; a local competition needs none")
