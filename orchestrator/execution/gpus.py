"""NVIDIA GPUs of this machine, as far as experiments may use them. UNTESTED on a machine that has one.

A GPU is let in at level A, and is there anyway at level "none". Not at level B: the driver writes the names of its
threads to /proc/PID/task, and Landlock can open that for the run's own processes only together with everybody's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path

CHOICE = "CUDA_VISIBLE_DEVICES"
_LEVELS = ("A", "none")
_NEEDED, _USEFUL = ("nvidiactl", "nvidia-uvm"), ("nvidia-uvm-tools",)
_ONE = re.compile(r"nvidia[0-9]+")


@dataclass(frozen=True)
class Gpus:
    """None by default."""

    nodes: tuple[Path, ...] = ()
    """Device files, of all GPUs: which of them a number of CUDA's means is the driver's to say."""
    names: tuple[str, ...] = ()
    """Those to use, as CUDA_VISIBLE_DEVICES names them."""
    trouble: str = ""
    """Why there are none although some were asked for, in one sentence."""

    @property
    def environment(self) -> dict[str, str]:
        return {CHOICE: ",".join(self.names)} if self.names else {}


def find(wanted: float, level: str, environment: Mapping[str, str], dev: Path = Path("/dev")) -> Gpus:
    """At most `wanted` GPUs, a part of one being one, for a sandbox of this level.

    Where `environment` has CUDA_VISIBLE_DEVICES, the first ones of those.
    """
    if wanted <= 0:
        return Gpus()
    says = f"execution.gpus is {wanted:g} and experiments run without a GPU: "
    if level not in _LEVELS:
        return Gpus(trouble=f"{says}the sandbox lets one in at level A alone, and this is level {level}")
    found = nodes(dev)
    if not found:
        files = ", ".join(str(dev / name) for name in ("nvidia0", *_NEEDED))
        return Gpus(trouble=f"{says}there is no NVIDIA device here ({files})")
    numbers = [str(number) for number in range(sum(bool(_ONE.fullmatch(node.name)) for node in found))]
    names = [name.strip() for name in environment[CHOICE].split(",")] if CHOICE in environment else numbers
    chosen = tuple(name for name in names if name and not name.startswith("-"))[: ceil(wanted)]
    if not chosen:
        return Gpus(trouble=f"{says}{CHOICE} names none")
    return Gpus(found, chosen)


def nodes(dev: Path = Path("/dev")) -> tuple[Path, ...]:
    """Device files that CUDA opens; none unless all are there that it needs."""
    cards = sorted(path for path in dev.glob("nvidia*") if _ONE.fullmatch(path.name))
    if not cards or not all((dev / name).exists() for name in _NEEDED):
        return ()
    return (*cards, *(dev / name for name in (*_NEEDED, *_USEFUL) if (dev / name).exists()))
