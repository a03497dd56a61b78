"""results.tsv, experiments.json and LEARNINGS.md: derived from the rounds' own records, keyed by round.

`R<NN>_result.json` is the truth of a finished round. The three files at the top are views of those records, written
anew whenever they differ, so a torn, flipped or hand-edited view heals itself and a replay changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from orchestrator.errors import Damaged
from orchestrator.files import atomic_write, read_json, read_json_or_none, read_regular, write_json
from orchestrator.rounds import RoundFiles, label, numbers

Entry = dict[str, Any]

COLUMNS = ("round", "script", "cv_score", "lb", "status", "submitted", "timestamp", "description")
LEARNINGS_MARK = "<!-- below: learned in this campaign, rewritten from rounds/ -->"


def load_entries(folder: Path) -> list[Entry]:
    """The records of all finished rounds, ascending; leaderboard scores that came later are filled in.

    Raises Damaged when a finished round's record fails its checksum: a score that can't be trusted is not shown.
    """
    entries = []
    for number in numbers(folder):
        path = RoundFiles(folder, number).path("result.json")
        try:
            entry = read_json(path)
        except FileNotFoundError:
            continue
        except Damaged as error:
            raise Damaged(f"{error}; delete it and the round's end is recorded again from its other files") from error
        if entry["round"] != number:
            raise Damaged(f"{path} is the record of another round; delete it and the right one is recorded again")
        entries.append(with_submission(folder, entry))
    return entries


def with_submission(folder: Path, entry: Entry) -> Entry:
    """The entry with what its submission's receipt and the leaderboard say by now."""
    files = RoundFiles(folder, entry["round"])
    board = read_json_or_none(files.path("lb.json"))
    status, why = _receipt(files)
    if board is not None and status == "unknown":
        status = "accepted"
    seen = {**entry, "submitted": status, "lb": board["public_score"] if board else None}
    if board is not None and board.get("status") == "error":
        why = "error: " + " ".join(str(board.get("error") or "the competition does not say why").split())
    return {**seen, "submission_error": why[:300]} if why else seen


def _receipt(files: RoundFiles) -> tuple[str, str]:
    """(how the last try at submitting the round ended, why it was refused for good), empty without one."""
    status, why, number = "", "", 1
    while (record := read_json_or_none(files.path(f"submit{number if number > 1 else ''}_receipt.json"))) is not None:
        status, number = "" if record.get("retry") else record["status"], number + 1
        why = str(record.get("reason") or "") if status == "rejected" else ""
    return status, why


def best_entry(entries: Iterable[Entry]) -> Entry | None:
    """The kept round that no other beat: each keep names the one it was better than."""
    kept = [entry for entry in entries if entry["status"] == "keep"]
    beaten = {entry["against"] for entry in kept}
    unbeaten = [entry for entry in kept if label(entry["round"]) not in beaten]
    return unbeaten[-1] if unbeaten else None


def rounds_since_keep(entries: Iterable[Entry]) -> int:
    """How many finished rounds have gone by since the last keep (or since the start)."""
    count = 0
    for entry in entries:
        count = 0 if entry["status"] == "keep" else count + 1
    return count


def write_views(campaign: Path, entries: list[Entry]) -> None:
    """Bring results.tsv, experiments.json and LEARNINGS.md up to the entries; no write where nothing differs."""
    _write_if_new(campaign / "results.tsv", results_table(entries))
    path = campaign / "experiments.json"
    registry = {"experiments": [_registered(entry) for entry in entries]}
    if read_json_or_none(path) != registry:
        write_json(path, registry)
    learnings = campaign / "LEARNINGS.md"
    _write_if_new(learnings, _learnings_text(learnings, entries))


def results_table(entries: list[Entry]) -> str:
    """One tab-separated row per round under a header."""
    rows = ["\t".join(COLUMNS)]
    for entry in entries:
        cells = (
            entry["round"],
            entry["script"],
            _number(entry["cv"]),
            _number(entry["lb"]),
            entry["status"],
            entry["submitted"] or "no",
            entry["timestamp"],
            entry["description"],
        )
        rows.append("\t".join(" ".join(str(cell).split()) for cell in cells))
    return "\n".join(rows) + "\n"


def _registered(entry: Entry) -> Entry:
    return {key: value for key, value in entry.items() if key not in ("learnings", "timestamp", "description")}


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _learnings_text(path: Path, entries: list[Entry]) -> str:
    """What stands above the mark is the person's and stays; below it stand the rules of this campaign's rounds."""
    try:
        text = read_regular(path).decode("utf-8", errors="replace")
    except FileNotFoundError:
        text = "# Learnings\n"
    head = text.split(LEARNINGS_MARK)[0].rstrip()
    lines = [_rule(entry, line) for entry in entries for line in entry["learnings"]]
    return "\n".join([head, "", LEARNINGS_MARK, *lines]) + "\n"


def _rule(entry: Entry, line: str) -> str:
    tag = f"[{label(entry['round'])}]"
    body = line.strip().removeprefix("-").strip()
    return f"- {body}" if tag in body else f"- {tag} {body}"


def _write_if_new(path: Path, text: str) -> None:
    try:
        same = read_regular(path) == text.encode("utf-8")
    except FileNotFoundError:
        same = False
    if not same:
        atomic_write(path, text)


def plan_header(text: str) -> list[dict[str, Any]]:
    """The strategies in a plan's one fenced JSON block.

    Raises ValueError with the reason when the block is missing or is not of the form that the registry needs.
    """
    blocks = text.split("```json")
    if len(blocks) != 2 or "```" not in blocks[1]:
        raise ValueError(f"a plan needs exactly one fenced ```json block, this one has {len(blocks) - 1}")
    try:
        header = json.loads(blocks[1].split("```")[0])
    except ValueError as error:
        raise ValueError(f"the plan's JSON block does not parse: {error}") from None
    strategies = header.get("strategies") if isinstance(header, dict) else None
    if not isinstance(strategies, list) or not strategies:
        raise ValueError('the plan\'s JSON block needs "strategies": [ {…} ]')
    for strategy in strategies:
        missing = {"family", "hypothesis", "expected_gain"} - set(strategy if isinstance(strategy, dict) else ())
        if missing:
            raise ValueError(f"a strategy of the plan lacks {', '.join(sorted(missing))}")
    return strategies
