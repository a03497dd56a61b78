"""Pictures in the columns of a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import zoom  # type: ignore[import-untyped]
from sklearn.datasets import load_digits

from agents.offline.blocks.classic import svm_model
from agents.offline.blocks.core import Clock, Data, read_column
from agents.offline.blocks.pixels import numbered, pixel_places, pixels

SIDE, ROWS = 16, 900
DIGITS = load_digits()
PIXELS = zoom(DIGITS.images[:ROWS], (1, 2, 2), order=1).reshape(ROWS, -1)
LABELS = DIGITS.target[:ROWS]


def data_of(table: np.ndarray, names: list[str]) -> Data:
    n = len(table)
    task = {"task": "multiclass", "metric": "accuracy", "target_columns": ["digit"], "classes": list(range(10))}
    data = Data(task, Path(), 1, (n - n // 3, n // 3, 0), LABELS[: n - n // 3].astype(float), Clock(600))
    for name, values in zip(names, table.T, strict=True):
        read_column(data, name, pd.Series(values))
    return data


@pytest.mark.parametrize("form", ["pixel{at}", "{at}", "pixel_{row}_{column}", "{row}x{column}"])
def test_pixels_are_told_by_their_numbers(form: str) -> None:
    places = [divmod(at, SIDE) for at in range(SIDE**2)]
    names = [form.format(at=SIDE * row + column, row=row, column=column) for row, column in places]
    found = pixel_places(data_of(PIXELS[:300], names))
    assert found == {name: place for name, place in zip(names, places, strict=True) if name in found}
    assert len(found) > 220, "but for those that are the same in all rows"


def test_blank_last_lines_do_not_move_the_others() -> None:
    table = PIXELS[:300].copy()
    table[:, -2 * SIDE :] = 0
    data = data_of(table, [f"pixel{at}" for at in range(SIDE**2)])
    data.task["numeric_columns"] = [f"pixel{at}" for at in range(SIDE**2)]
    places = pixel_places(data)
    assert places and all(place == divmod(int(name[5:]), SIDE) for name, place in places.items())


def test_a_strip_is_no_picture() -> None:
    rows = np.random.default_rng(0).random((300, 1, 1)) + np.linspace(0, 1, 6)[:, None] + np.linspace(0, 1, 40)
    rows += np.random.default_rng(1).random((300, 1, 1)) * np.linspace(0, 1, 40)
    names = [f"s{row}_{column}" for row in range(6) for column in range(40)]
    data = data_of(rows.reshape(300, -1), names)
    pixels(data, 50)
    assert set(data.numbers) == set(names)


def test_pixels_may_be_counted_from_one() -> None:
    assert numbered([f"p{k}" for k in (2, 3, 784)]) == {"p2": (0, 1), "p3": (0, 2), "p784": (27, 27)}


def test_numbered_columns_that_are_no_neighbours_are_no_picture() -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(3.0, (500, SIDE**2)).astype(float)
    common = counts + 9 * rng.random((500, 1))  # all alike, neighbours no more than others
    shuffled = PIXELS[:500][:, rng.permutation(SIDE**2)]
    for table in (counts, common, shuffled, -PIXELS[:500]):
        data = data_of(table, [f"feat_{k}" for k in range(SIDE**2)])
        before = set(data.numbers)
        pixels(data, 50)
        assert set(data.numbers) == before


@pytest.mark.parametrize("form", ["x{}", "x{}_{}", "x1_{}"])
@pytest.mark.parametrize("start", [20190101, 10**30])
def test_numbers_far_apart_are_no_places(form: str, start: int) -> None:
    names = [form.format(start + 97 * k, start - 89 * k) for k in range(SIDE**2)]
    assert pixel_places(data_of(PIXELS[:300], names)) == {}


def test_a_picture_that_is_moved_is_known_by_its_edges() -> None:
    def accuracy(edges: int) -> float:
        rng = np.random.default_rng(0)
        padded = np.pad(PIXELS.reshape(-1, SIDE, SIDE), ((0, 0), (2, 2), (2, 2)))
        moved = [np.roll(picture, rng.integers(-2, 3, 2), (0, 1)) for picture in padded]
        data = data_of(np.reshape(moved, (ROWS, -1)), [f"pixel{k}" for k in range((SIDE + 4) ** 2)])
        if edges:
            pixels(data, edges)
            assert len(data.numbers) == edges
        found = svm_model(data, {"C": 8.0, "gamma": 1.0, "most_rows": 5000, "target": "auto"})
        return float((found.argmax(axis=1) == LABELS[600:]).mean())

    assert accuracy(60) > accuracy(0) + 0.02
