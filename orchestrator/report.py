"""REPORT.md: what a campaign did, what came of it and how far to trust it. Made from the records alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

from agents.errors import ModelUnusable
from orchestrator import money, report_board, show
from orchestrator.files import atomic_write, read_json_or_none
from orchestrator.journal import Journal
from orchestrator.ledger import Entry, best_entry
from orchestrator.rounds import RoundFiles, label
from orchestrator.show import cell, code, markdown_table
from orchestrator.state import State
from orchestrator.summary import finished, picture

Lines = list[str]
TABLE_ROUNDS = 50
SANDBOXES = {
    "A": "A (bubblewrap: experiments see their inputs and Python alone, no other files, no network)",
    "B": "B (Landlock: experiments can open their inputs and Python alone, no network; they see other processes)",
    "C": "C (macOS sandbox-exec: experiments can open their inputs and Python alone, no network)",
    "kernel": "kernel (Kaggle's machines: experiments see their fold's inputs and Python alone, no internet)",
    "none": "**none: experiments could read and write what their user can**",
}
COLUMNS: dict[str, Callable[[Entry], str]] = {
    "round": lambda entry: label(entry["round"]),
    "family": lambda entry: cell(entry["family"] or "", 30),
    "role": lambda entry: cell(entry["role"] or "", 20),
    "score": show.round_score,
    "CV": show.round_score,
    "gain": lambda entry: show.signed(entry["gain"]),
    "P(gain > 0)": lambda entry: show.percent(entry["probability"]),
    "verdict": show.status,
    "time": lambda entry: show.duration(entry["seconds"]),
    "idea": lambda entry: cell(entry["hypothesis"] or "", 160),
    "why": lambda entry: cell(show.reason(entry), 160),
    "submission": lambda entry: str(entry["submitted"]),
    "leaderboard": lambda entry: show.score(entry["lb"]),
}


def write_report(root: Path, now: datetime) -> Path:
    """Write REPORT.md and its plots under report/; returns the path of REPORT.md.

    Works at any time, also before the first round. The same records give the same bytes, but for the date.
    """
    state = picture(root)
    entries, damaged = finished(root / "rounds")
    kept = [entry for entry in entries if entry["status"] == "keep"]
    sections = [_head(state, entries, damaged, now)]
    if entries:
        plots = _draw(root, state, entries)
        sections += [
            [plots["scores"]] if "scores" in plots else [],
            _graded(state),
            _kept(kept),
            _families(entries),
            _expectations(entries),
            _cost(root, state, entries, len(kept), plots.get("seconds", "")),
            _submissions(entries, plots.get("leaderboard", "")),
            report_board.section(state, plots.get("places", "")),
            _all_rounds(entries),
            _trust(root, state, entries),
            _reproduce(root, kept),
        ]
    else:
        sections.append(["## What was kept", "", "No round has been played yet."])
    path = root / "REPORT.md"
    atomic_write(path, "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n")
    return path


def _draw(root: Path, state: State, entries: list[Entry]) -> dict[str, str]:
    """Write the plots that have something to show; the Markdown that shows each."""
    from orchestrator import plots

    metric = str(state.get("metric") or "score")
    pictures = {}
    if any(map(plots.is_measured, entries)):
        pictures["scores"] = ("Score by round", plots.scores(entries, metric, state.get("maximize")))
        pictures["seconds"] = ("Time of the experiments", plots.seconds(entries))
    if len(plots.submitted_pairs(entries)) >= 2:
        pictures["leaderboard"] = ("CV against leaderboard", plots.leaderboard(entries, metric))
    if len(ranks := state.get("ranks") or []) >= 2:
        pictures["places"] = ("Place on the leaderboard", plots.places(ranks))
    if pictures:
        (root / "report").mkdir(exist_ok=True)
    for name, (_, data) in pictures.items():
        atomic_write(root / "report" / f"{name}.png", data)
    return {name: f"![{title}](report/{name}.png)" for name, (title, _) in pictures.items()}


def _head(state: State, entries: list[Entry], damaged: list[int], now: datetime) -> Lines:
    count = Counter(entry["status"] for entry in entries)
    aim = ", higher is better" if state.get("maximize") else ", lower is better"
    best = best_entry(entries)
    lines = [
        f"# {cell(state.get('competition') or 'campaign')}",
        "",
        *_file(best),
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


def _file(best: Entry | None) -> Lines:
    """What to upload, before anything else."""
    if best is None:
        return []
    path = f"rounds/{label(best['round'])}_submission.csv"
    return [f"**The best file: [{path}]({path})**", ""]


def _best(best: Entry | None) -> str:
    if best is None:
        return "nothing kept"
    what = " / ".join(dict.fromkeys(cell(best[key], 40) for key in ("family", "recipe") if best[key]))
    return f"**{show.score(best['cv'], best['se'])}** in {label(best['round'])} ({what})"


def _sandbox(state: State, entries: list[Entry]) -> str:
    levels = {state.get("sandbox"), *(entry["sandbox"] for entry in entries)} - {None}
    return "; ".join(SANDBOXES.get(level, cell(level)) for level in sorted(levels)) or "unknown"


def _graded(state: State) -> Lines:
    final = state.get("final")
    if not final:
        return []
    lines = ["## Result", ""]
    if final["score"] is None:
        lines.append(f"Not graded: {cell(final.get('error') or 'the answers of this competition are not here', 300)}.")
    else:
        names = {"score": "held-out score", "public": "public part", "private": "private part"}
        there = {name: show.score(final[key]) for key, name in names.items() if final.get(key) is not None}
        cv = show.score(final["cv"], final["se"])
        lines += markdown_table(("round", "CV", *there), [[label(final["round"]), cv, *there.values()]])
        lines += ["", "The private answers behind this grade decided nothing before the end."]
    if final.get("recommended"):
        lines += ["", "Recommended as final submissions:", ""]
    for choice in final.get("recommended") or ():
        name = label(choice["round"])
        lines.append(f"- {name} (`rounds/{name}_submission.csv`): {cell(choice['why'])}")
    return lines


def _kept(kept: list[Entry]) -> Lines:
    if not kept:
        return ["## What was kept", "", "Nothing."]
    return [
        "## What was kept",
        "",
        "A round is kept when a paired comparison with the best before it says that its gain is real. A positive gain "
        "is better, whatever the metric's direction.",
        "",
        *_rounds(kept, "round", "family", "score", "gain", "P(gain > 0)", "idea"),
    ]


def _all_rounds(entries: list[Entry]) -> Lines:
    shown = entries[-TABLE_ROUNDS:]
    title = "## All rounds" if len(shown) == len(entries) else f"## The last {len(shown)} of {len(entries)} rounds"
    return [title, "", *_rounds(shown, "round", "family", "role", "score", "gain", "verdict", "time", "why")]


def _rounds(entries: list[Entry], *columns: str) -> Lines:
    return markdown_table(columns, [[COLUMNS[column](entry) for column in columns] for entry in entries])


def _families(entries: list[Entry]) -> Lines:
    groups: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[str(entry["family"] or "no plan")].append(entry)
    rows = []
    for family, mine in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))[:TABLE_ROUNDS]:
        count = Counter(entry["status"] for entry in mine)
        best = best_entry(mine)
        rows.append(
            [
                cell(family, 40),
                str(len(mine)),
                str(count["keep"]),
                str(count["crash"]),
                f"{show.score(best['cv'], best['se'])} ({label(best['round'])})" if best else show.NOTHING,
                show.duration(sum(entry["seconds"] for entry in mine)),
            ]
        )
    return [
        "## What was tried",
        "",
        *markdown_table(("family", "rounds", "kept", "crashed", "best kept", "time"), rows),
    ]


def _expectations(entries: list[Entry]) -> Lines:
    """How good the players are at foreseeing gains: by role, from the rounds that have both numbers."""
    groups: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for entry in entries:
        expected, real = show.finite(entry["expected_gain"]), show.finite(entry["gain"])
        if expected is not None and real is not None and entry["complete"]:
            groups[str(entry["role"] or "no role")].append((expected, real))
    if not groups:
        return []
    rows = []
    everyone = [pair for mine in groups.values() for pair in mine]
    for role, pairs in [*sorted(groups.items()), ("all", everyone)]:
        expected, real = (fmean(column) for column in zip(*pairs, strict=True))
        better = fmean(got > 0 for _, got in pairs)
        reached = fmean(got >= hoped for hoped, got in pairs)
        numbers = [show.signed(expected), show.signed(real), show.percent(better), show.percent(reached)]
        rows.append([cell(role, 30), str(len(pairs)), *numbers])
    header = ("role", "rounds", "expected gain", "real gain", "better at all", "as good as expected")
    text = "What the plans hoped for before each complete round, and what it then gained over the best of its time."
    return ["## Expected and real gains", "", text, "", *markdown_table(header, rows)]


def _cost(root: Path, state: State, entries: list[Entry], kept: int, plot: str) -> Lines:
    total = state.get("elapsed_seconds") or entries[-1]["elapsed_seconds"]
    usd = state.get("usd") or 0.0
    running = sum(entry["seconds"] for entry in entries)
    lines = ["## Cost", "", f"- **Time:** {show.duration(total)} in all, {show.duration(running)} of it in experiments"]
    cap = f" of {show.money(state['usd_cap'])}" if usd and state.get("usd_cap") is not None else ""
    lines.append(f"- **Money:** {show.money(usd)}{cap}")
    if kept:
        lines.append(f"- **For each kept round:** {show.duration(total / kept)} and {show.money(usd / kept)}")
    lines += _models(root)
    return [*lines, "", plot] if plot else lines


def _models(root: Path) -> Lines:
    try:
        return money.sections(money.read(root))
    except ModelUnusable as error:
        return ["", f"> **Money is not known in full:** {cell(error, 400)}"]


def _submissions(entries: list[Entry], plot: str) -> Lines:
    sent = [entry for entry in entries if entry["submitted"]]
    if not sent:
        return []
    lines = ["## Submissions", "", *_rounds(sent[-TABLE_ROUNDS:], "round", "submission", "CV", "leaderboard")]
    for entry in [entry for entry in sent if entry.get("submission_error")][-TABLE_ROUNDS:]:
        lines += ["", f"- {label(entry['round'])} was not scored: {cell(entry['submission_error'], 300)}"]
    return [*lines, "", plot] if plot else lines


def _trust(root: Path, state: State, entries: list[Entry]) -> Lines:
    """What the scores rest on."""
    folds = Journal(RoundFiles(root / "rounds", 0)).reply("folds")
    lines = [
        "## What the scores rest on",
        "",
        f"- Folds: {cell(folds or 'unknown')}. The labels that grade a fold were never among an experiment's inputs.",
        f"- Sandbox level: {_sandbox(state, entries)}.",
    ]
    if sum(entry["cv"] is not None for entry in entries) > 1:
        lines.append(
            "- The best of many rounds was chosen on these same folds, so its score is a little too good; the more "
            "rounds, the more so."
        )
    return lines


def _reproduce(root: Path, kept: list[Entry]) -> Lines:
    if not kept:
        return []
    rows = []
    for entry in kept:
        record = read_json_or_none(RoundFiles(root / "rounds", entry["round"]).path("scores.json")) or {}
        submission = record.get("hashes", {}).get("submission", "")
        script = record.get("script_sha256", "")
        rows.append([code(f"python rounds/{entry['script']} IN OUT"), code(script[:16]), code(submission[:16])])
    return [
        "## How to reproduce",
        "",
        "Each experiment is one file that runs alone, once per fold. IN holds that fold's `train.parquet`, "
        "`valid.parquet` and `test.parquet` (from `competition/sealed/`) and `task.json`; OUT is an empty folder that "
        "receives `valid.npy` and `test.npy`.",
        "",
        *markdown_table(("experiment", "SHA-256 of the script", "SHA-256 of its submission"), rows),
    ]
