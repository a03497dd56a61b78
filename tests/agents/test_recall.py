"""What an experiment leaves for later ones on the same fold: the same arrays, computed once."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from agents.offline.blocks.core import Clock, Data, goals
from agents.offline.blocks.language import counts, stacked_scores, views_of
from agents.offline.blocks.recall import WORTH_KEEPING, known, name_of, pack, recall, unpack
from agents.offline.blocks.strings import crosses, target_encoding

MADE = {"a/b": np.arange(6.0).reshape(2, 3), "": np.array([1, 2], dtype=np.int8)}


def fold(tmp_path: Path, n: int = 4, cache_mb: float = 10) -> Data:
    """A run with its own OUT on a fold whose IN/cache is what earlier ones left."""
    (tmp_path / "in" / "cache").mkdir(parents=True, exist_ok=True)
    out = tmp_path / f"out{len(list(tmp_path.glob('out*')))}"
    out.mkdir()
    task = {"task": "binary", "target_columns": ["y"], "classes": [0, 1], "cache_mb": cache_mb}
    y = np.arange(n) % 2.0
    return Data(task, tmp_path / "in", 1, (n, 0, 2), y, Clock(60.0), out=out)


def hand_over(data: Data) -> list[Path]:
    """What the host does with OUT/cache."""
    assert data.out is not None
    return [path.replace(data.folder / "cache" / path.name) for path in (data.out / "cache").glob("*")]


def slow() -> dict[str, np.ndarray]:
    time.sleep(1.2 * WORTH_KEEPING)
    return MADE


def never() -> dict[str, np.ndarray]:
    raise AssertionError("computed again")


def test_what_took_its_time_is_computed_once(tmp_path: Path) -> None:
    first = fold(tmp_path)
    assert recall(first, "name", ["text", np.arange(3)], slow) is MADE
    hand_over(first)
    again = recall(fold(tmp_path), "name", ["text", np.arange(3)], never)
    assert list(again) == list(MADE)
    for key, array in MADE.items():
        assert again[key].dtype == array.dtype and np.array_equal(again[key], array)


@pytest.mark.parametrize(
    "other", [["texts", np.arange(3)], ["text", np.arange(4)], ["text", np.arange(3.0)], ["te", "xt", np.arange(3)]]
)
def test_other_values_have_another_name(tmp_path: Path, other: list[str | np.ndarray]) -> None:
    data = fold(tmp_path)
    assert name_of(data, "name", other) != name_of(data, "name", ["text", np.arange(3)])
    assert name_of(data, "name", other) == name_of(data, "name", other)


def test_quick_large_or_unwanted_results_are_not_kept(tmp_path: Path) -> None:
    for data, make in ((fold(tmp_path), lambda: MADE), (fold(tmp_path, cache_mb=1e-6), slow)):
        recall(data, "name", ["text"], make)
        assert not hand_over(data)
    without = fold(tmp_path, cache_mb=0)
    recall(without, "name", ["text"], slow)
    assert without.out is not None and not list(without.out.iterdir())


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"\x93NUMPY"])
def test_what_cannot_be_read_is_computed_again(tmp_path: Path, content: bytes) -> None:
    data = fold(tmp_path)
    (data.folder / "cache" / name_of(data, "name", ["text"])).write_bytes(content)
    assert known(data, name_of(data, "name", ["text"])) is None
    assert recall(data, "name", ["text"], lambda: MADE) is MADE


def test_sparse_matrices_come_back_as_they_were() -> None:
    matrix = sparse.random(30, 20, 0.1, "csr", np.float32, random_state=0)
    assert (unpack(pack(matrix)) != matrix).nnz == 0
    assert unpack(pack(None)) is None


def words(n: int) -> list[str]:
    rng = np.random.default_rng(0)
    return [" ".join(f"word{i}" for i in rng.integers(0, 3000, 120)) for _ in range(n)]


def test_text_models_and_encodings_are_the_same_from_memory(tmp_path: Path) -> None:
    found = []
    for _ in range(2):
        data = fold(tmp_path, n=1500, cache_mb=500)
        data.texts["prose"] = words(1502)
        rng = np.random.default_rng(1)
        data.cats |= {f"c{i}": rng.integers(0, 400, 1502) for i in range(7)}
        crosses(data, 3)
        target_encoding(data, 10)
        goal, members = goals(data)[0], ["nb_word", "ridge"]
        assert counts(data, "prose", "char") is not None
        params = {"members": members, "C": 20.0, "alpha": 0.1}
        scores = stacked_scores(data, goal, views_of(data, members, 300_000, tables=False), params, Clock(60.0))
        found.append((data.numbers, scores, len(hand_over(data))))
    (numbers, scores, kept), (numbers_again, scores_again, kept_again) = found
    assert kept > 0 == kept_again
    assert list(numbers) == list(numbers_again)
    assert all(np.array_equal(numbers[name], numbers_again[name]) for name in numbers)
    assert all(np.array_equal(one, other) for one, other in zip(scores, scores_again, strict=True))
