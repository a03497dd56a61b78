"""Files of single rows: those that can't be read, and tables without a header."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestrator.errors import BadInput
from tests.competitions.test_prepare import Campaign, by_rows, folder

__all__ = ["folder"]


def test_a_few_files_that_cannot_be_read_cost_their_rows_and_no_more(folder: Path) -> None:
    by_rows(folder, "time,level\n0,{x}\n1,1\n", "csv", keep=True)
    (folder / "train" / "3.csv").write_text("")
    (folder / "train" / "5.csv").write_text("time,level\n")
    campaign = Campaign(folder)
    holes = campaign.train["file_level_mean"].isna()
    assert campaign.train["id"][holes].tolist() == [3, 5] and campaign.test["file_rows"].eq(2).all()
    told = [line for line in campaign.lines if "2 of 80 files for each id can't be read" in line]
    assert len(told) == 1 and ": train/3.csv is empty" in told[0]


def test_broken_json_of_some_rows_is_holes_and_of_most_is_refused(folder: Path) -> None:
    by_rows(folder, '{{"size": {x}}}', "json", keep=True)
    for name in range(1, 4):
        (folder / "train" / f"{name}.json").write_text('{"size":')
    assert Campaign(folder).train["file_size"].isna().sum() == 3
    for name in range(1, 60):
        (folder / "train" / f"{name}.json").write_text("")
    shutil.rmtree(folder.parent / "campaign")
    with pytest.raises(BadInput, match="59 of 80 files for each id can't be read"):
        Campaign(folder)


@pytest.mark.parametrize("first", ["{x},{x},-1.5", "0,0,0"])
def test_numbers_without_a_header_are_read_by_position(folder: Path, first: str) -> None:
    by_rows(folder, first + "\n1,2,{x}\n3,4,NA\n", "csv", keep=True)
    campaign = Campaign(folder)
    assert [name for name in campaign.train if name.endswith("_q50")] == [f"file_c{place}_q50" for place in range(3)]
    assert campaign.train["file_rows"].eq(3).all() and campaign.train["file_c2_missing"].gt(0.3).all()


@pytest.mark.parametrize("names", ["0,1", ",0,1", "400.5,401.5"])
def test_a_header_of_numbers_is_one(folder: Path, names: str) -> None:
    rows = "1,{x}\n2,3\n" if names.count(",") == 1 else "0,1,{x}\n1,2,3\n"
    by_rows(folder, f"{names}\n{rows}", "csv", keep=True)
    campaign = Campaign(folder)
    assert campaign.train["file_rows"].eq(2).all() and f"file_{names.split(',')[-1]}_max" in campaign.train
