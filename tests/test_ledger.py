"""The views are derived: whatever happens to them, rounds/ makes them anew."""

from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import Damaged
from orchestrator.files import read_json, write_json
from orchestrator.journal import Journal
from orchestrator.ledger import (
    LEARNINGS_MARK,
    best_entry,
    load_entries,
    plan_header,
    rounds_since_keep,
    write_views,
)
from orchestrator.rounds import RoundFiles, numbers


def entry(number: int, status: str = "discard", cv: float | None = 0.5, **more: Any) -> dict[str, Any]:
    """A finished round's record, as `learn` writes it."""
    return {
        "round": number,
        "variant": 0,
        "script": f"R{number:02d}_experiment.py",
        "family": "lightgbm",
        "status": status,
        "reason": f"{status}: because",
        "cv": cv,
        "se": 0.01,
        "against": "R01" if status == "keep" and number > 1 else None,
        "learnings": [f"- rule {number}"],
        "description": f"tab\there\nand a line {number}",
        "timestamp": "2026-01-01T00:00:00+00:00",
        **more,
    }


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    (tmp_path / "rounds").mkdir()
    for number, status in enumerate(["keep", "discard", "crash", "keep", "discard"], 1):
        record = entry(number, status, None if status == "crash" else 0.5 - number / 100)
        write_json(RoundFiles(tmp_path / "rounds", number).path("result.json"), record)
    return tmp_path


def test_views_are_rebuilt_from_any_cut(campaign: Path) -> None:
    entries = load_entries(campaign / "rounds")
    write_views(campaign, entries)
    names = ("results.tsv", "experiments.json", "LEARNINGS.md")
    whole = {name: (campaign / name).read_bytes() for name in names}
    for name in ("results.tsv", "experiments.json"):
        for length in range(0, len(whole[name]) - 1, 7):
            (campaign / name).write_bytes(whole[name][:length])
            write_views(campaign, load_entries(campaign / "rounds"))
            assert {n: (campaign / n).read_bytes() for n in names} == whole


def test_nothing_is_written_when_nothing_differs(campaign: Path) -> None:
    entries = load_entries(campaign / "rounds")
    write_views(campaign, entries)
    before = {path.name: path.stat().st_ino for path in campaign.iterdir() if path.is_file()}
    write_views(campaign, entries)
    assert {path.name: path.stat().st_ino for path in campaign.iterdir() if path.is_file()} == before


def test_a_row_is_one_line_of_eight_cells(campaign: Path) -> None:
    write_views(campaign, load_entries(campaign / "rounds"))
    rows = (campaign / "results.tsv").read_text().splitlines()
    assert len(rows) == 6
    assert {row.count("\t") for row in rows} == {7}
    assert rows[3].split("\t")[2] == ""


def test_a_damaged_result_is_never_shown(campaign: Path) -> None:
    path = RoundFiles(campaign / "rounds", 2).path("result.json")
    path.write_bytes(path.read_bytes().replace(b"0.48", b"0.08"))
    with pytest.raises(Damaged, match="R02_result"):
        load_entries(campaign / "rounds")


def test_best_is_the_keep_that_none_beat(campaign: Path) -> None:
    entries = load_entries(campaign / "rounds")
    best = best_entry(entries)
    assert best is not None and best["round"] == 4
    assert rounds_since_keep(entries) == 1
    assert best_entry([]) is None and rounds_since_keep([]) == 0


def test_receipt_and_leaderboard_are_filled_in(campaign: Path) -> None:
    files = RoundFiles(campaign / "rounds", 4)
    write_json(files.path("submit_receipt.json"), {"status": "accepted", "ref": "1", "retry": False})
    write_json(files.path("lb.json"), {"public_score": 0.41})
    found = load_entries(campaign / "rounds")[3]
    assert (found["submitted"], found["lb"]) == ("accepted", 0.41)


def test_a_persons_learnings_stay(campaign: Path) -> None:
    (campaign / "LEARNINGS.md").write_text("# Mine\n\n- keep this [R00]\n")
    entries = load_entries(campaign / "rounds")
    write_views(campaign, entries)
    write_views(campaign, entries[:2])
    text = (campaign / "LEARNINGS.md").read_text()
    assert "- keep this [R00]" in text.split(LEARNINGS_MARK)[0]
    assert text.split(LEARNINGS_MARK)[1].strip().splitlines() == ["- [R01] rule 1", "- [R02] rule 2"]


def test_registry_carries_its_checksum(campaign: Path) -> None:
    write_views(campaign, load_entries(campaign / "rounds"))
    assert len(read_json(campaign / "experiments.json")["experiments"]) == 5


GOOD = 'text\n```json\n{"strategies": [{"family": "x", "hypothesis": "y", "expected_gain": 0.1}]}\n```\n'


@pytest.mark.parametrize(
    "text, part",
    [
        ("no block", "exactly one"),
        (GOOD + GOOD, "exactly one"),
        ("```json\n{torn\n```", "does not parse"),
        ("```json\n[]\n```", "strategies"),
        ('```json\n{"strategies": []}\n```', "strategies"),
        ('```json\n{"strategies": [{"family": "x"}]}\n```', "lacks expected_gain, hypothesis"),
        ('```json\n{"strategies": ["x"]}\n```', "lacks"),
    ],
)
def test_a_plan_without_its_header_is_refused(text: str, part: str) -> None:
    assert plan_header(GOOD)[0]["family"] == "x"
    with pytest.raises(ValueError, match=part):
        plan_header(text)


def test_journal_counts_starts_and_survives_damage(tmp_path: Path) -> None:
    files = RoundFiles(tmp_path, 3)
    journal = Journal(files)
    journal.begin("plan")
    assert Journal(files).starts("plan") == 1
    journal.end("plan", "DONE", 1.5)
    assert not Journal(files).is_done("plan", ("plan.md",))
    files.path("plan.md").write_text("x")
    assert Journal(files).is_done("plan", ("plan.md",))
    assert Journal(files).seconds == 1.5
    files.path("plan.md").write_text("")
    assert not Journal(files).is_done("plan", ("plan.md",))
    path = files.path("phases.json")
    path.write_bytes(path.read_bytes()[:-9])
    assert Journal(files).starts("plan") == 0


def test_round_names() -> None:
    assert RoundFiles(Path("r"), 7).path("plan.md") == Path("r/R07_plan.md")
    assert RoundFiles(Path("r"), 123, 2).path("plan.md") == Path("r/R123_v2_plan.md")


def test_round_numbers_ignore_other_files(tmp_path: Path) -> None:
    for name in ("R00_eda.md", "R12_plan.md", "R100_plan.md", "README.md", "R7_x", "xR05_"):
        (tmp_path / name).touch()
    assert numbers(tmp_path) == [0, 12, 100]
