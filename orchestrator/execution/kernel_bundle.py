"""The folder that is pushed as a kernel: one script that carries the runner, the experiment and what to run."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RUNNER = Path(__file__).with_name("kernel_runner.py")
CODE_FILE = "run.py"
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_SAFE_SCRIPT = re.compile(r"[\w-][\w.-]*\.py")


@dataclass(frozen=True)
class Pushed:
    """What a kernel is made of, beside its script."""

    owner: str
    title: str
    accelerator: str
    """Kaggle's name of a machine, or "none"."""
    datasets: tuple[str, ...] = ()
    """owner/slug of each."""
    competitions: tuple[str, ...] = ()

    @property
    def slug(self) -> str:
        return slugify(self.title)

    @property
    def ref(self) -> str:
        return f"{self.owner}/{self.slug}"


def slugify(title: str) -> str:
    """The address that Kaggle gives to a title; ours are letters, digits and blanks alone.

    Raises ValueError for a title that Kaggle would refuse or rename.
    """
    slug = title.lower().replace(" ", "-")
    if not (6 <= len(title) <= 50 and _SLUG.fullmatch(slug)):
        raise ValueError(f"{title!r} has not 6 to 50 letters, digits and single blanks")
    return slug


def script(run: dict[str, Any], source: bytes) -> str:
    """The text that is pushed; `run` is what kernel_runner.main takes."""
    if not _SAFE_SCRIPT.fullmatch(run["script"]):
        raise ValueError(f"{run['script']!r} is not the plain name of a Python file")
    text = source.decode("utf-8", "surrogateescape")
    lines = "\n".join(f"    {line!r}" for line in text.splitlines(keepends=True)) or "    ''"
    told = json.dumps(run, indent=1, allow_nan=False)
    runner = RUNNER.read_text(encoding="utf-8")
    return f"{runner}\n\nEXPERIMENT = (\n{lines}\n)\nmain(json.loads({told!r}), EXPERIMENT)\n"


def write(folder: Path, pushed: Pushed, text: str) -> None:
    """Fill `folder` with the script and its kernel-metadata.json: private, and without internet."""
    none = pushed.accelerator == "none"
    metadata = {
        "id": pushed.ref,
        "title": pushed.title,
        "code_file": CODE_FILE,
        "language": "python",
        "kernel_type": "script",
        "is_private": True,
        "enable_gpu": not none and not pushed.accelerator.startswith("Tpu"),
        "enable_tpu": pushed.accelerator.startswith("Tpu"),
        "enable_internet": False,
        "dataset_sources": list(pushed.datasets),
        "competition_sources": list(pushed.competitions),
        "kernel_sources": [],
        "model_sources": [],
        **({} if none else {"machine_shape": pushed.accelerator}),
    }
    (folder / "kernel-metadata.json").write_text(json.dumps(metadata, indent=1))
    (folder / CODE_FILE).write_text(text, encoding="utf-8")
