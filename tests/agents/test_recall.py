"""What an experiment leaves for later ones on the same fold: the same arrays, computed once."""

from __future__ import annotations

import json
import pickle
import sys
import time
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from io import BytesIO
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from agents.offline.blocks.core import Clock, Data, run_experiment
from agents.offline.blocks.goals import goals
from agents.offline.blocks.language import counts, stacked_scores, views_of
from agents.offline.blocks.recall import WORTH_KEEPING, known, name_of, pack, recall, unpack
from agents.offline.blocks.strings import crosses, target_encoding
from agents.offline.catalogue import RECIPES
from agents.offline.render import render

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


def test_what_took_its_time_is_computed_once(tmp_path: Path) -> None:
    first = fold(tmp_path)
    assert recall(first, "name", ["text", np.arange(3)], slow) is MADE
    hand_over(first)
    again = recall(fold(tmp_path), "name", ["text", np.arange(3)], slow)
    assert again is not MADE
    assert list(again) == list(MADE)
    for key, array in MADE.items():
        assert again[key].dtype == array.dtype and np.array_equal(again[key], array)


@pytest.mark.parametrize(
    "other", [["texts", np.arange(3)], ["text", np.arange(4)], ["text", np.arange(3.0)], ["te", "xt", np.arange(3)]]
)
def test_other_values_have_another_name(tmp_path: Path, other: list[str | np.ndarray]) -> None:
    data = fold(tmp_path)
    assert name_of(data, "name", other, slow) != name_of(data, "name", ["text", np.arange(3)], slow)
    assert name_of(data, "name", other, slow) == name_of(data, "name", other, slow)


def test_quick_large_or_unwanted_results_are_not_kept(tmp_path: Path) -> None:
    for data, make in ((fold(tmp_path), lambda: MADE), (fold(tmp_path, cache_mb=1e-6), slow)):
        recall(data, "name", ["text"], make)
        assert not hand_over(data)
    without = fold(tmp_path, cache_mb=0)
    recall(without, "name", ["text"], slow)
    assert without.out is not None and not list(without.out.iterdir())


def archive(**arrays: np.ndarray) -> bytes:
    made = BytesIO()
    np.savez(made, **arrays)
    return made.getvalue()


UNREADABLE = [
    b"",
    b"PK\x03\x04 torn",
    b"\x93NUMPY",
    pickle.dumps({"a": 1}),
    archive(a0=np.arange(3)),
    archive(names=np.frombuffer(b"[[", dtype=np.uint8)),
    archive(names=np.frombuffer(b"3", dtype=np.uint8)),
    archive(names=np.frombuffer(b'["a", "b"]', dtype=np.uint8), a0=np.arange(3)),
    archive(names=np.frombuffer(b"[" * 100_000, dtype=np.uint8)),
    archive(names=np.array([None]), a0=np.array([{}])),
]


@pytest.mark.parametrize("content", UNREADABLE, ids=map(str, range(len(UNREADABLE))))
def test_what_cannot_be_read_is_computed_again(tmp_path: Path, content: bytes) -> None:
    data = fold(tmp_path)
    (data.folder / "cache" / name_of(data, "name", ["text"], slow)).write_bytes(content)
    assert known(data, name_of(data, "name", ["text"], slow)) is None
    assert recall(data, "name", ["text"], slow) is MADE


def test_what_does_not_fit_is_computed_again_and_replaced(tmp_path: Path) -> None:
    """Arrays of another shape under the right name: only a script that means harm leaves them."""
    table = pd.DataFrame({"x": np.arange(60.0), "y": np.arange(60) % 2})
    first = fold(tmp_path)
    task = {**first.task, "seconds": 30, "text_columns": ["words"]}
    (first.folder / "task.json").write_text(json.dumps(task))
    table["words"] = words(60)
    for name, part in (("train", table[:40]), ("valid", table[40:50]), ("test", table[50:])):
        part.drop(columns=[] if name == "train" else ["y"]).to_parquet(first.folder / f"{name}.parquet")

    def play() -> Path:
        out = tmp_path / f"out{len(list(tmp_path.glob('out*')))}"
        out.mkdir()
        run_experiment([str(first.folder), str(out)], [(slow_columns, True)], first_number, {}, 1)
        return out

    kept = list((play() / "cache").iterdir())
    assert len(kept) == 1
    np.savez(first.folder / "cache" / kept[0].name, names=np.frombuffer(b'["b"]', dtype=np.uint8), a0=np.arange(3))
    again = play()
    assert np.load(again / "valid.npy").shape == (10,)
    assert (again / "cache" / kept[0].name).read_bytes() == kept[0].read_bytes()
    with pytest.raises(KeyError):
        run_experiment([str(first.folder), str(again)], [(wrong, True)], first_number, {}, 1)


def slow_columns(data: Data, option: object) -> None:
    data.numbers["z"] = recall(data, "z", [data.numbers["x"]], partial(slow_numbers, data))["z"]


def slow_numbers(data: Data) -> dict[str, np.ndarray]:
    time.sleep(1.2 * WORTH_KEEPING)
    return {"z": data.numbers["x"] / 60}


def first_number(data: Data, params: object) -> np.ndarray:
    return data.numbers["z"][data.n_train :]


def wrong(data: Data, option: object) -> None:
    raise KeyError("a mistake of its own")


def script(path: Path, name: str, recipe: str, edit: tuple[str, str] = ("", "")) -> ModuleType:
    """A whole experiment as a module, with one place changed."""
    found = next(one for one in RECIPES if one.name == recipe)
    text = render(found, {}, {}, title=name, hypothesis="none", seed=len(name))
    assert edit[0] in text
    (path / f"{name}.py").write_text(text.replace(*edit, 1))
    spec = spec_from_file_location(f"made_{name}", path / f"{name}.py")
    assert spec is not None and spec.loader is not None
    sys.modules[spec.name] = module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_all_scripts_share_what_they_compute_alike_and_an_edited_one_does_not(tmp_path: Path) -> None:
    data = fold(tmp_path)

    def counts_name(module: ModuleType) -> str:
        return name_of(data, "counts", ["text"], partial(module.packed_counts, ["text"], "word"))

    original = counts_name(script(tmp_path, "first", "text_stack"))
    assert counts_name(script(tmp_path, "another", "text_svd_boost")) == original
    edits = {
        "constant": ("MOST_LETTERS = 20_000_000", "MOST_LETTERS = 30_000_000"),
        "helper": ("base**k for k", "base ** (k + 1) for k"),
        "argument": ("least = 2 if", "least = 3 if"),
    }
    for name, edit in edits.items():
        assert counts_name(script(tmp_path, name, "text_stack", edit)) != original


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
    assert kept > kept_again, "what took just too little time to be kept may take long enough the second time"
    assert list(numbers) == list(numbers_again)
    assert all(np.array_equal(numbers[name], numbers_again[name]) for name in numbers)
    assert all(np.array_equal(one, other) for one, other in zip(scores, scores_again, strict=True))
