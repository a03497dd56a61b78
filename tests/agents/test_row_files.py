"""Files that belong to single rows, found by the row's id in their path."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agents.offline.blocks.core import Clock, Data
from agents.offline.blocks.files import distances, files_of_rows, row_files, summary


def data_of(folder: Path, ids: list[str], sizes: tuple[int, int, int]) -> Data:
    data = Data({"task": "regression"}, folder, 1, sizes, np.zeros(sizes[0]), Clock(60))
    data.ids = pd.Series(ids)
    return data


def put(folder: Path, side: str, name: str, text: str) -> None:
    place = folder / "data" / side / name
    place.mkdir(parents=True)
    (place / "points.txt").write_text(text)


def cloud(step: float) -> str:
    box = "".join(f"box {10 * (i == 0)} {10 * (i == 1)} {10 * (i == 2)}\n" for i in range(3))
    return "# made by hand\n" + box + "".join(f"point {step * i} 0 0 Al\n" for i in range(4)) + "point 0 5 0 O\n"


def test_each_side_has_files_of_its_own(tmp_path: Path) -> None:
    for side, step in (("train", 1.0), ("test", 2.0)):
        for name in ("1", "2"):
            put(tmp_path, side, name, cloud(step + 0.1 * int(name)))
    data = data_of(tmp_path, ["1", "2", "1", "2"], (1, 1, 2))
    sides = [path.relative_to(tmp_path / "data").parts[:2] for path in files_of_rows(data) if path]
    assert sides == [("train", "1"), ("train", "2"), ("test", "1"), ("test", "2")]
    data = data_of(tmp_path, ["1", "2", "1", "2"], (2, 0, 2))
    row_files(data, True)
    assert data.numbers["file.near.Al.Al.mean"] == pytest.approx([1.1, 1.2, 2.1, 2.2])
    assert "file.box.volume" not in data.numbers, "the same in every row"


def test_a_file_without_rows_and_rows_without_files_give_nothing(tmp_path: Path) -> None:
    data = data_of(tmp_path, ["1", "2", "3"], (2, 0, 1))
    row_files(data, True)
    put(tmp_path, "train", "unrelated", "1 2 3\n")
    row_files(data, True)
    assert not data.numbers


def test_lines_are_told_by_their_words(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("speed 1 2\nspeed 3 4\n7, 8\nonly words\n")
    found = summary(path)
    assert found["speed.lines"] == 2 and found["speed.1.mean"] == 3 and found["plain.0.high"] == 7
    assert not any(key.startswith("only") for key in found)


def test_distances_reach_across_a_periodic_box() -> None:
    points = np.array([[0.5, 0, 0], [9.5, 0, 0], [5, 0, 0], [5, 5, 5]])
    assert distances({"Al": points}, 10 * np.eye(3))["near.Al.Al.low"] == pytest.approx(1.0)
    assert distances({"Al": points}, None)["near.Al.Al.low"] == pytest.approx(4.5)


def test_without_time_for_all_files_no_row_gets_any(tmp_path: Path) -> None:
    """Rows with files that were read and rows without would look like two kinds."""
    ids = [str(number) for number in range(300)]
    for name in ids:
        put(tmp_path, "train", name, cloud(1.0 + int(name) / 1000))
    data = data_of(tmp_path, ids, (200, 100, 0))
    data.clock = Clock(0.01)
    row_files(data, True)
    assert not data.numbers
    data.clock = Clock(60)
    row_files(data, True)
    assert np.isfinite(data.numbers["file.near.Al.Al.mean"]).all()


def test_ids_are_looked_for_as_they_are_spelled(tmp_path: Path) -> None:
    for name in ("0001", "1e5", "7"):
        put(tmp_path, "train", name, "1 2 3\n")
    found = files_of_rows(data_of(tmp_path, ["0001", "1e5", "7.0"], (3, 0, 0)))
    assert [path and path.parent.name for path in found] == ["0001", "1e5", "7"]
