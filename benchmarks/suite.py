"""Whole campaigns on prepared competitions: FOLDER... (public/, private/, meta.json), N minutes each, one table.

    python -m benchmarks.suite FOLDER... --minutes 2.5 --out DIR [--against FIGURES.json] [--set KEY=VALUE]

Each is a fresh campaign through the command line, `new` and everything else counted in the minutes. DIR/results.json
keeps what is done: the same command goes on behind it. DIR/suite.md is the table. FIGURES.json maps a folder's name to
another player's score on the same held-out answers.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import ROOT
from orchestrator import config
from orchestrator.competitions import grading
from orchestrator.competitions.metrics import metric_of
from orchestrator.files import atomic_write, read_json, read_json_or_none, write_json

DRAWS = 300
"""Resamples of the held-out rows, for the standard error."""
HEADER = (
    "competition", "metric", "score", "one standard error", "other", "better by", "medal", "CV", "final",
    "seconds", "first score after", "experiments", "complete", "kept", "why it ended",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--minutes", type=float, default=2.5)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--against", type=Path, metavar="FIGURES.json")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of config.json")
    arguments = parser.parse_args()
    others = json.loads(arguments.against.read_text()) if arguments.against else {}
    arguments.out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = read_json_or_none(arguments.out / "results.json") or {}
    for folder in arguments.folders:
        name = folder.resolve().name
        if name not in results:
            results[name] = measure(folder.resolve(), arguments.out / name, arguments.minutes, arguments.set)
            write_json(arguments.out / "results.json", results)
            atomic_write(arguments.out / "suite.md", table(results, others, arguments.minutes))
            print(row(name, results[name], others), flush=True)
    atomic_write(arguments.out / "suite.md", table(results, others, arguments.minutes))


def measure(folder: Path, campaign: Path, minutes: float, settings: list[str], guidance: str = "") -> dict[str, Any]:
    """One campaign from nothing to its end; what is there already of a run that was cut off goes.

    `settings` are KEY=VALUE of config.json, `guidance` is the text of its guidance.md.
    """
    shutil.rmtree(campaign, ignore_errors=True)
    variables = {**os.environ, **dict(_variable(item) for item in settings)}
    load, started = os.getloadavg()[0], time.monotonic()
    _command(["new", str(campaign), "--from", str(folder)], variables)
    if guidance:
        atomic_write(campaign / "guidance.md", guidance)
    left = minutes - (time.monotonic() - started) / 60
    _command(["-C", str(campaign), "loop", "--plain", "--minutes", f"{left:.4f}"], variables)
    seconds = time.monotonic() - started
    meta = json.loads((folder / "meta.json").read_text()) if (folder / "meta.json").is_file() else {}
    return {**outcome(campaign, meta), "seconds": round(seconds, 1), "minutes": minutes, "load": round(load, 2)}


def _command(arguments: list[str], variables: dict[str, str]) -> None:
    """Run the project's command line; its output is in the campaign's own log, a failure shows in the table."""
    subprocess.run([sys.executable, "-m", "orchestrator", *arguments], cwd=ROOT, env=variables,
                   stdout=subprocess.DEVNULL, check=False)  # fmt: skip


def _variable(setting: str) -> tuple[str, str]:
    key, _, value = setting.partition("=")
    return config.variable_of(key), value


def outcome(campaign: Path, meta: dict[str, Any]) -> dict[str, Any]:
    """The figures of a finished campaign; `meta` may hold the medal lines."""
    state = read_json(campaign / "state.json")
    entries = (read_json_or_none(campaign / "experiments.json") or {"experiments": []})["experiments"]
    final = state.get("final") or {}
    settings = config.load(campaign / "config.json")
    score, maximize = final.get("score"), metric_of(settings.competition, campaign).maximize
    return {
        "metric": settings.competition.metric,
        "maximize": maximize,
        "score": score,
        "se": None if score is None else error_of(campaign, settings, campaign / final["submission"]),
        "medal": medal(meta.get("thresholds") or {}, score, maximize),
        "cv": final.get("cv"),
        "final": _name(entries, final.get("round")),
        "experiments": len(entries),
        "complete": sum(entry["complete"] for entry in entries),
        "kept": sum(entry["status"] == "keep" for entry in entries),
        "first": _first_score(campaign),
        "ending": state.get("ending") or state.get("phase"),
        "error": final.get("error") or "",
    }


def _name(entries: list[dict[str, Any]], number: int | None) -> str:
    recipe = next((entry["recipe"] for entry in entries if entry["round"] == number), None)
    return f"R{number:02d} {recipe}" if number is not None else ""


def _first_score(campaign: Path) -> float | None:
    """Seconds from the start of the campaign to its first complete submission file."""
    made = [path.stat().st_mtime for path in campaign.glob("rounds/R*_submission.csv")]
    return round(min(made) - (campaign / "config.json").stat().st_ctime, 1) if made else None


def error_of(campaign: Path, settings: config.Config, csv: Path) -> float | None:
    """One standard error of the score on the held-out answers, by a bootstrap of their rows."""
    spec = settings.competition
    metric = metric_of(spec, campaign)
    answers = grading.load_answers(campaign / "competition" / "private" / "answers.csv", spec, metric)
    predictions = grading.read_predictions(csv, spec, metric, answers)
    if metric.grouped:
        return None
    rng, rows = np.random.default_rng(0), np.flatnonzero(answers.graded)
    drawn = (rng.choice(rows, len(rows)) for _ in range(DRAWS))
    return float(np.nanstd([metric.score(answers.y[some], predictions[some]) for some in drawn]))


def medal(lines: dict[str, Any], score: float | None, maximize: bool) -> str:
    """gold, silver, bronze, median ("above the median"), "below" it; empty when the lines are not known."""
    known = {name: lines[name] for name in ("gold", "silver", "bronze", "median") if lines.get(name) is not None}
    if score is None or not known:
        return ""
    return next((name for name, line in known.items() if (score >= line if maximize else score <= line)), "below")


def table(results: dict[str, Any], others: dict[str, float], minutes: float) -> str:
    """All results in Markdown."""
    lines = ["| " + " | ".join(HEADER) + " |", "|" + "---|" * len(HEADER)]
    lines += [row(name, result, others) for name, result in results.items()]
    better, worse = 0, 0
    for name, result in results.items():
        margin = _margin(result, others.get(name))
        better += margin is not None and margin > 0
        worse += margin is not None and margin < -1
    told = f"better on {better}, worse by more than one standard error on {worse}" if others else ""
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"{minutes:g} minutes each, {len(os.sched_getaffinity(0))} cores; {told} ({when})\n\n" + "\n".join(lines) + "\n"
    )


def row(name: str, result: dict[str, Any], others: dict[str, float]) -> str:
    other = others.get(name)
    margin = _margin(result, other)
    cells = (
        name, result["metric"], _shown(result["score"]), _shown(result["se"], 2), _shown(other),
        "" if margin is None else f"{margin:+.2f} SE", result["medal"], _shown(result["cv"]), result["final"],
        result["seconds"], result["first"], result["experiments"], result["complete"], result["kept"],
        result["error"] or result["ending"],
    )  # fmt: skip
    return "| " + " | ".join("" if cell is None else str(cell) for cell in cells) + " |"


def _margin(result: dict[str, Any], other: float | None) -> float | None:
    """How much better than another player, in standard errors."""
    if other is None or result["score"] is None or not result["se"]:
        return None
    return float((result["score"] - other) / result["se"] * (1 if result["maximize"] else -1))


def _shown(value: float | None, digits: int = 5) -> str:
    return "" if value is None else f"{value:.{digits}g}"


if __name__ == "__main__":
    main()
