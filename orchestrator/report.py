"""REPORT.md: what a campaign did, what came of it and how far to trust it. Made from the records alone."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator import show
from orchestrator.files import atomic_write, read_json_or_none
from orchestrator.journal import Journal
from orchestrator.ledger import Entry, best_entry
from orchestrator.markdown import Lines, cell, code, table
from orchestrator.rounds import RoundFiles, label
from orchestrator.state import State
from orchestrator.summary import finished, picture

TABLE_ROUNDS = 50
PLOTS = ("scores", "seconds", "leaderboard")


def write_report(root: Path, now: datetime) -> Path:
    """Write REPORT.md and its plots under report/; returns the path of REPORT.md.

    Works at any time, also before the first round. The same records give the same bytes, but for the date.
    """
    state = picture(root)
    entries, damaged = finished(root / "rounds")
    plots = _draw(root, state, entries)
    sections = [
        _head(state, entries, damaged, now),
        [f"![Score by round](report/{plots['scores']})"] if "scores" in plots else [],
        _graded(state),
        _kept(entries),
        _families(entries),
        _expectations(entries),
        _cost(state, entries, plots),
        _submissions(state, entries, plots),
        _all_rounds(entries),
        _trust(root, state, entries),
        _reproduce(root, entries),
    ]
    path = root / "REPORT.md"
    atomic_write(path, "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n")
    return path


def _draw(root: Path, state: State, entries: list[Entry]) -> dict[str, str]:
    """Write the plots that have something to show; their file names."""
    if not entries:
        return {}
    from orchestrator import plots

    metric = str(state.get("metric") or "score")
    pictures = {"scores": plots.scores(entries, metric, state.get("maximize")), "seconds": plots.seconds(entries)}
    if len(plots.submitted_pairs(entries)) >= 2:
        pictures["leaderboard"] = plots.leaderboard(entries, metric)
    folder = root / "report"
    folder.mkdir(exist_ok=True)
    for name, data in pictures.items():
        atomic_write(folder / f"{name}.png", data)
    return {name: f"{name}.png" for name in pictures}


def _head(state: State, entries: list[Entry], damaged: list[int], now: datetime) -> Lines:
    best = best_entry(entries)
    count = {status: sum(entry.get("status") == status for entry in entries) for status in ("keep", "discard", "crash")}
    aim = ", higher is better" if state.get("maximize") else ", lower is better"
    lines = [
        f"# {cell(state.get('competition') or 'campaign')}",
        "",
        f"Written {now.astimezone(UTC):%Y-%m-%d %H:%M} UTC. Every score is value ± standard error, measured by the "
        "referee on folds fixed at the start.",
        "",
        f"- **Metric:** {cell(state.get('metric') or 'unknown')}" + aim * (state.get("maximize") is not None),
        f"- **Rounds:** {len(entries)} ({count['keep']} kept, {count['discard']} discarded, {count['crash']} crashed)",
        f"- **Best:** {_best(best)}",
        f"- **Ended:** {cell(state.get('ending') or 'not yet: the loop goes on where it was', 300)}",
        f"- **Sandbox:** {_sandbox(state, entries)}",
    ]
    if damaged:
        names = ", ".join(map(label, damaged))
        lines += ["", f"> **Damaged records:** {names} fail their checksum; their scores are left out of this report."]
    return lines


def _best(best: Entry | None) -> str:
    if best is None:
        return "nothing kept"
    what = " / ".join(dict.fromkeys(cell(best[key], 40) for key in ("family", "recipe") if best.get(key)))
    return f"**{show.score(best.get('cv'), best.get('se'))}** in {label(best['round'])} ({what})"


def _sandbox(state: State, entries: list[Entry]) -> str:
    levels = {str(entry["sandbox"]) for entry in entries if entry.get("sandbox")}
    if state.get("sandbox"):
        levels.add(str(state["sandbox"]))
    text = ", ".join(cell(level) for level in sorted(levels)) or "unknown"
    return text if "none" not in levels else f"**{text}: experiments could read and write what their user can**"


def _graded(state: State) -> Lines:
    final = state.get("final")
    if not isinstance(final, dict):
        return []
    lines = ["## Result", ""]
    if show.finite(final.get("score")) is None:
        lines.append(f"Not graded: {cell(final.get('error') or 'the answers of this competition are not here', 300)}.")
    else:
        named = [
            ("held-out score", "score"),
            ("public part", "public"),
            ("private part", "private"),
            ("medal", "medal"),
        ]
        present = [(name, final[key]) for name, key in named if final.get(key) is not None]
        number = final.get("round")
        header = ("round", "CV", *(name for name, _ in present))
        values = [cell(value) if show.finite(value) is None else show.score(value) for _, value in present]
        cv = show.score(final.get("cv"), final.get("se"))
        lines += table(header, [[label(number) if isinstance(number, int) else "", cv, *values]])
        lines += ["", "The private answers behind this grade decided nothing before the end."]
    return lines + _recommended(final.get("recommended"))


def _recommended(recommended: Any) -> Lines:
    if not isinstance(recommended, list | tuple) or not recommended:
        return []
    return ["", "Recommended as final submissions:", "", *(f"- {_choice(item)}" for item in recommended)]


def _choice(item: Any) -> str:
    if isinstance(item, int):
        return f"{label(item)} (`rounds/{label(item)}_submission.csv`)"
    if isinstance(item, dict):
        number = item.get("round")
        why = "; ".join(cell(value) for key, value in item.items() if key != "round" and isinstance(value, str))
        return (_choice(number) if isinstance(number, int) else "") + (f": {why}" if why else "")
    if isinstance(item, list | tuple) and item and isinstance(item[0], int):
        return _choice({"round": item[0], "why": " ".join(map(str, item[1:]))})
    return cell(item)


def _kept(entries: list[Entry]) -> Lines:
    kept = [entry for entry in entries if entry.get("status") == "keep"]
    if not kept:
        return ["## What was kept", "", "Nothing." if entries else "No round has been played yet."]
    rows = [
        [
            label(entry["round"]),
            cell(entry.get("family") or "", 30),
            show.score(entry.get("cv"), entry.get("se")),
            show.signed(entry.get("gain")),
            show.percent(entry.get("probability")),
            cell(entry.get("hypothesis") or "", 160),
            cell(show.reason(entry), 160),
        ]
        for entry in kept
    ]
    header = ("round", "family", "score", "gain", "P(gain > 0)", "idea", "why it was kept")
    return [
        "## What was kept",
        "",
        "A round is kept when a paired comparison with the best before it says that its gain is real. A positive gain "
        "is better, whatever the metric's direction.",
        "",
        *table(header, rows),
    ]


def _all_rounds(entries: list[Entry]) -> Lines:
    if not entries:
        return []
    shown = entries[-TABLE_ROUNDS:]
    rows = [
        [
            label(entry["round"]),
            cell(entry.get("family") or "", 30),
            cell(entry.get("role") or "", 20),
            show.round_score(entry),
            show.signed(entry.get("gain")),
            cell(entry.get("status") or "", 20),
            show.duration(entry.get("seconds")),
            cell(show.reason(entry)),
        ]
        for entry in shown
    ]
    title = "## All rounds" if len(shown) == len(entries) else f"## The last {len(shown)} of {len(entries)} rounds"
    return [title, "", *table(("round", "family", "role", "score", "gain", "verdict", "time", "why"), rows)]


def _families(entries: list[Entry]) -> Lines:
    groups: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[str(entry.get("family") or "no plan")].append(entry)
    rows = []
    for family, mine in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))[:TABLE_ROUNDS]:
        kept = [entry for entry in mine if entry.get("status") == "keep"]
        best = kept[-1] if kept else None
        rows.append(
            [
                cell(family, 40),
                str(len(mine)),
                str(len(kept)),
                str(sum(entry.get("status") == "crash" for entry in mine)),
                f"{show.score(best.get('cv'), best.get('se'))} ({label(best['round'])})" if best else show.NOTHING,
                show.duration(sum(show.finite(entry.get("seconds")) or 0.0 for entry in mine)),
            ]
        )
    families = table(("family", "rounds", "kept", "crashed", "best kept", "time"), rows)
    return ["## What was tried", "", *families] if families else []


def _expectations(entries: list[Entry]) -> Lines:
    """How good the players are at foreseeing gains: by role, from the rounds that have both numbers."""
    groups: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for entry in entries:
        expected, real = show.finite(entry.get("expected_gain")), show.finite(entry.get("gain"))
        if expected is not None and real is not None and entry.get("complete"):
            groups[str(entry.get("role") or "no role")].append((expected, real))
    if not groups:
        return []
    named = [*sorted(groups.items()), ("all", [pair for pairs in groups.values() for pair in pairs])]
    rows = []
    for role, pairs in named:
        expected, real = (sum(column) / len(pairs) for column in zip(*pairs, strict=True))
        reached = sum(got >= hoped for hoped, got in pairs) / len(pairs)
        better = sum(got > 0 for _, got in pairs) / len(pairs)
        numbers = [show.signed(expected), show.signed(real), show.percent(better), show.percent(reached)]
        rows.append([cell(role, 30), str(len(pairs)), *numbers])
    header = ("role", "rounds", "expected gain", "real gain", "better at all", "as good as expected")
    return ["## Expected and real gains", "", *table(header, rows)]


def _cost(state: State, entries: list[Entry], plots: dict[str, str]) -> Lines:
    if not entries:
        return []
    total = show.finite(state.get("elapsed_seconds")) or show.finite(entries[-1].get("elapsed_seconds"))
    running = sum(show.finite(entry.get("seconds")) or 0.0 for entry in entries)
    usd = show.finite(state.get("usd")) or 0.0
    kept = sum(entry.get("status") == "keep" for entry in entries)
    lines = ["## Cost", "", f"- **Time:** {show.duration(total)} in all, {show.duration(running)} of it in experiments"]
    lines.append(f"- **Money:** {show.money(usd)}")
    if kept and total is not None:
        lines.append(f"- **For each kept round:** {show.duration(total / kept)} and {show.money(usd / kept)}")
    return [*lines, "", f"![Time of the experiments](report/{plots['seconds']})"]


def _submissions(state: State, entries: list[Entry], plots: dict[str, str]) -> Lines:
    sent = [entry for entry in entries if entry.get("submitted")]
    if not sent:
        return []
    rows = [
        [label(e["round"]), cell(e["submitted"], 40), show.score(e.get("cv"), e.get("se")), show.score(e.get("lb"))]
        for e in sent[-TABLE_ROUNDS:]
    ]
    lines = ["## Submissions", "", *table(("round", "submission", "CV", "leaderboard"), rows)]
    if "leaderboard" in plots:
        lines += ["", f"![CV against leaderboard](report/{plots['leaderboard']})"]
    return lines


def _trust(root: Path, state: State, entries: list[Entry]) -> Lines:
    """What the scores rest on."""
    if not entries:
        return []
    folds = Journal(RoundFiles(root / "rounds", 0)).reply("folds")
    return [
        "## What the scores rest on",
        "",
        f"- Folds: {cell(folds or 'unknown')}. The labels that grade a fold were never among an experiment's inputs.",
        f"- Sandbox level: {_sandbox(state, entries)}.",
        "- The best of many rounds was chosen on these same folds, so its score is a little too good; the more rounds, "
        "the more so.",
    ]


def _reproduce(root: Path, entries: list[Entry]) -> Lines:
    kept = [entry for entry in entries if entry.get("status") == "keep"]
    if not kept:
        return []
    rows = []
    for entry in kept:
        record = read_json_or_none(RoundFiles(root / "rounds", entry["round"]).path("scores.json")) or {}
        submission = (record.get("hashes") or {}).get("submission") or ""
        script = record.get("script_sha256") or ""
        rows.append([code(f"python rounds/{entry.get('script')} IN OUT"), code(script[:16]), code(submission[:16])])
    return [
        "## How to reproduce",
        "",
        "Each experiment is one file that runs alone, once per fold. IN holds that fold's `train.parquet`, "
        "`valid.parquet` and `test.parquet` (from `competition/sealed/`) and `task.json`; OUT is an empty folder that "
        "receives `valid.npy` and `test.npy`.",
        "",
        *table(("experiment", "SHA-256 of the script", "SHA-256 of its submission"), rows),
    ]
