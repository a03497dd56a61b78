"""The contract between who asks for a run and who sandboxes it: Job in, Outcome out."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from orchestrator.errors import BadInput

Status = Literal["ok", "failed", "timeout", "memory", "disk", "nospace", "processes", "lost"]
_INPUT_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")


@dataclass(frozen=True)
class Limits:
    """What one job may use; going over one of them ends the whole process tree."""

    seconds: float
    """Wall clock."""
    memory_mb: int
    """Resident memory of the whole tree, pages shared between processes counted once."""
    disk_mb: int = 5_000
    """OUT and scratch together; also the largest single file."""
    processes: int = 200
    """Processes alive at once; their threads together may be 8 times as many, and always 1,024 (`threads`)."""
    log_kb: int = 256
    """Head and tail of stdout and stderr that are kept; the rest is read and dropped."""

    @property
    def threads(self) -> int:
        return max(8 * self.processes, 1024)


@dataclass(frozen=True)
class Job:
    """`python script IN OUT` with `inputs` under IN, read-only.

    Raises BadInput for an input name that is not `name` or `folder/name`, an input or script that does not exist, or
    an OUT that is no folder.
    """

    script: Path
    inputs: dict[str, Path]
    """Name under IN → file or folder of the host."""
    out: Path
    """An existing, empty folder: OUT."""
    limits: Limits
    cores: int = 1
    env: dict[str, str] = field(default_factory=dict)
    """Added to the allow-list of variables: never a secret."""
    name: str = "job"
    devices: tuple[Path, ...] = ()
    """Device files that a sandbox of level A lets in; the other levels let none in."""

    def __post_init__(self) -> None:
        for name, path in self.inputs.items():
            if not _INPUT_NAME.fullmatch(name):
                raise BadInput(f"input name {name!r} of {self.name} is not of the form `name` or `folder/name`")
            if not path.exists():
                raise BadInput(f"the input {path} of {self.name} does not exist")
        if not self.script.is_file():
            raise BadInput(f"the script {self.script} does not exist")
        if not self.out.is_dir():
            raise BadInput(f"the output folder {self.out} of {self.name} does not exist")


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    `nospace`: the machine's own disk is all but full, within the job's limits; says nothing about the script.
    `lost`: ended from outside (cancelled, or its supervisor was killed); says nothing about the script.
    `returncode` is negative for a death by signal, None when the watchdog ended the job.
    """

    status: Status
    returncode: int | None
    seconds: float
    peak_mb: float
    log: str
    detail: str = ""
    """What a person should know about a `nospace`."""


@dataclass(frozen=True)
class Machine:
    """What each job has for itself where jobs run on other machines, and how many run at a time there."""

    cores: int
    memory_mb: int
    at_a_time: int
    side_by_side: bool = False
    """Whether jobs of several experiments may run at the same time."""


def together(machine: Machine | None, experiments: int) -> int:
    """How many of so many experiments run at a time."""
    return min(experiments, machine.at_a_time) if machine is not None and machine.side_by_side else 1


class Sandbox(Protocol):
    """One level of isolation. Thread-safe: one object serves all the folds."""

    level: str
    """"A", "B", "C" or "none"."""

    def warm_up(self) -> None:
        """Do in the background what makes later runs start sooner, where there is such a thing."""
        ...

    def run(self, job: Job, cancel: threading.Event | None = None) -> Outcome:
        """Run the job to its end and leave no process behind.

        Raises SandboxUnavailable when the sandbox itself fails: that is never reported as a failed job.
        """
        ...
