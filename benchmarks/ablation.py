"""What each part of the offline player is worth: whole campaigns with and without it.

    python -m benchmarks.ablation FOLDER... --minutes 2.5 --out DIR

DIR/ablation.md says for each competition by how many standard errors of the held-out score the campaign without a part
is better (+) or worse (-) than the whole, and the mean. Resumable, as the suite is.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.suite import measure
from orchestrator.files import atomic_write, read_json_or_none, write_json


class Part(NamedTuple):
    """How to play without it."""

    settings: list[str]
    guidance: str = ""


PARTS = {
    "whole": Part([]),
    "encodings": Part([], "no lightgbm_encoded\nno xgboost_encoded\n"),
    "tuning": Part([], "no tuning\n"),
    "blending": Part([], "no blending\n"),
    "text scores": Part([], "no text_svd_boost\nno text_stack\n"),
    "gate": Part(["referee.gate_sigmas=100"]),
    "warm workers": Part(["execution.warm=false"]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--minutes", type=float, default=2.5)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--parts", nargs="*", choices=[name for name in PARTS if name != "whole"], metavar="PART")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    results: dict[str, dict[str, Any]] = read_json_or_none(arguments.out / "ablation.json") or {}
    for part in ("whole", *(arguments.parts or [name for name in PARTS if name != "whole"])):
        found = results.setdefault(part, {})
        for folder in arguments.folders:
            name = folder.resolve().name
            if name not in found:
                place = arguments.out / part.replace(" ", "_") / name
                place.parent.mkdir(parents=True, exist_ok=True)
                found[name] = measure(folder.resolve(), place, arguments.minutes, *PARTS[part])
                write_json(arguments.out / "ablation.json", results)
                atomic_write(arguments.out / "ablation.md", table(results))
    print(table(results))


def table(results: dict[str, dict[str, Any]]) -> str:
    """A row for each part left out, a column for each competition, in standard errors against the whole."""
    names = list(results["whole"])
    lines = ["| without | " + " | ".join(names) + " | mean |", "|" + "---|" * (len(names) + 2)]
    for part, found in results.items():
        gaps = [gap(results["whole"][name], found.get(name)) for name in names]
        known = [value for value in gaps if value is not None]
        cells = ["" if value is None else f"{value:+.2f}" for value in gaps]
        mean = f"{sum(known) / len(known):+.2f}" if known else ""
        if part != "whole":
            lines.append(f"| {part} | " + " | ".join([*cells, mean]) + " |")
    return "\n".join(lines) + "\n"


def gap(whole: dict[str, Any], other: dict[str, Any] | None) -> float | None:
    """By how many standard errors `other` is better than the whole."""
    if other is None or whole["score"] is None or other["score"] is None or not whole["se"]:
        return None
    return float((other["score"] - whole["score"]) / whole["se"] * (1 if whole["maximize"] else -1))


if __name__ == "__main__":
    main()
