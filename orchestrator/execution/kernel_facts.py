"""The part of KAGGLE_API.md that the loop keeps up to date: machines, quota, the last refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.files import atomic_write

BEGIN, END = "<!-- kept by the loop: begin -->", "<!-- kept by the loop: end -->"


def write_facts(path: Path, accelerator: str, at_a_time: int, facts: dict[str, Any]) -> None:
    """Replace what stands between the markers, or add it at the end; a person's text around it stays."""
    before = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else "# Kaggle: facts\n"
    head, _, rest = before.partition(BEGIN)
    tail = rest.partition(END)[2].lstrip("\n")
    section = "\n".join([BEGIN, *_lines(accelerator, at_a_time, facts), END])
    after = f"{head.rstrip()}\n\n{section}\n" + (f"\n{tail}" if tail else "")
    if after != before:
        atomic_write(path, after)


def _lines(accelerator: str, at_a_time: int, facts: dict[str, Any]) -> list[str]:
    what = "without an accelerator" if accelerator == "none" else f"with the accelerator {accelerator}"
    lines = [
        "## Where experiments run",
        "",
        f"- Each fold runs as a private Kaggle kernel {what}, without internet, {at_a_time} at a time.",
        "- `run_python` and trials on fold 1 run on the orchestrator's machine, which may have no accelerator.",
        '- `task["accelerator"]` names it there and is absent elsewhere: a script looks for the GPU itself and takes'
        " the CPU without one.",
    ]
    lines += [_machine(name, seen) for name, seen in sorted(facts["seen"].items())]
    if quota := facts["quota"]:
        renewed = f", renewed {quota['refresh']}" if quota["refresh"] else ""
        lines.append(
            f"- GPU hours of this week: {quota['used_h']:g} of {quota['total_h']:g} used{renewed} ({quota['when']})."
        )
    if refusal := facts["refusal"]:
        lines.append(f"- Kaggle's last refusal: {' '.join(str(refusal['text']).split())[:300]} ({refusal['when']}).")
    return lines


def _machine(name: str, seen: dict[str, Any]) -> str:
    """One line of what a kernel told about its machine: figures and names alone, bounded, since a script could lie."""
    machine = seen["machine"]
    gpus = [_word(one) for one in machine["gpus"]]
    packages = [f"{_word(one)} {_word(number)}" for one, number in machine["packages"].items()]
    cores, memory = machine["cores"], machine["memory_mb"]
    told = [
        f"{len(gpus)} GPU ({'; '.join(gpus)})" if gpus else "no GPU",
        f"{cores} cores, {memory} MB",
        f"Python {_word(machine['python'])}",
        ", ".join(packages),
    ]
    return f"- {name}, seen {seen['when']}: {', '.join(part for part in told if part)}."


def _word(value: object) -> str:
    return "".join(c for c in str(value)[:60] if c.isalnum() or c in " .,_+-")
