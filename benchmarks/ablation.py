"""What each part of the offline player is worth: whole campaigns with and without it.

    python -m benchmarks.ablation FOLDER... --minutes 2.5 --out DIR

DIR/ablation.md says for each competition by how many standard errors of the held-out score the campaign without a part
is better (+) or worse (-) than the whole, and the mean; in brackets the same for CV, which has less noise.
Resumable, as the suite is, and played for other folders or parts later: a figure that is there is not played again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from benchmarks.suite import measure
from orchestrator.files import atomic_write, read_json, read_json_or_none, write_json

Gap = tuple[float, float]


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
    "cache": Part(["execution.cache_gb=0"]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--minutes", type=float, default=2.5)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--whole", type=Path, metavar="RESULTS.json", help="a suite's results, for the whole player")
    parser.add_argument("--parts", nargs="*", choices=[name for name in PARTS if name != "whole"], metavar="PART")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    results: dict[str, dict[str, Any]] = read_json_or_none(arguments.out / "ablation.json") or {}
    if arguments.whole:
        results.setdefault("whole", {}).update(read_json(arguments.whole))
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
        if part != "whole":
            lines.append(f"| {part} | " + " | ".join(map(cell, [*gaps, mean(gaps)])) + " |")
    return "\n".join(lines) + "\n"


def gap(whole: dict[str, Any], other: dict[str, Any] | None) -> Gap | None:
    """By how many standard errors `other` is better than the whole: held out, by CV."""
    if other is None or whole["score"] is None or other["score"] is None or not whole["se"]:
        return None
    unit = whole["se"] * (1 if whole["maximize"] else -1)
    return (other["score"] - whole["score"]) / unit, (other["cv"] - whole["cv"]) / unit


def mean(gaps: list[Gap | None]) -> Gap | None:
    known = [pair for pair in gaps if pair is not None]
    return (fmean(pair[0] for pair in known), fmean(pair[1] for pair in known)) if known else None


def cell(found: Gap | None) -> str:
    return "" if found is None else f"{found[0]:+.2f} ({found[1]:+.2f})"


if __name__ == "__main__":
    main()
