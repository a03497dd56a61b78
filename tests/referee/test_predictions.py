"""What an experiment may hand in, and the many things it may not."""

from __future__ import annotations

import io
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from orchestrator.errors import OutputRejected
from orchestrator.referee.predictions import read


def save(folder: Path, array: np.ndarray, name: str = "valid.npy") -> None:
    np.save(folder / name, array, allow_pickle=True)


def header(shape: str, descr: str = "'<f8'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64, np.bool_, np.dtype(">f8")])
def test_any_plain_number_type_becomes_float64_with_columns(tmp_path: Path, dtype: np.dtype) -> None:
    save(tmp_path, np.array([0, 1, 1], dtype=dtype))
    got = read(tmp_path, "valid.npy", 3, 1, "binary")
    assert got.dtype == np.float64 and got.tolist() == [[0.0], [1.0], [1.0]]


def test_multiclass_rows_are_scaled_and_fortran_order_is_understood(tmp_path: Path) -> None:
    save(tmp_path, np.asfortranarray([[0.2, 0.2, 0.0], [0.0, 0.5, 0.5]]))
    assert read(tmp_path, "valid.npy", 2, 3, "multiclass").tolist() == [[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]]


def test_rounding_beyond_the_ends_is_clipped(tmp_path: Path) -> None:
    save(tmp_path, np.array([-1e-9, 1 + 1e-9]))
    assert read(tmp_path, "valid.npy", 2, 1, "binary").ravel().tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("array", "rows", "outputs", "task", "said"),
    [
        (np.zeros(4), 3, 1, "binary", r"shape \(4,\).*expected.*\(3,\) or \(3, 1\)"),
        (np.zeros((3, 2)), 3, 1, "binary", r"\[:, 1\]"),
        (np.zeros((3, 2)), 3, 4, "multilabel", r"\(3, 4\)"),
        (np.zeros((3, 1, 1)), 3, 1, "regression", "shape"),
        (np.float64(1.0), 1, 1, "regression", "shape"),
        (np.array([0.1, np.nan, np.inf]), 3, 1, "regression", "2 NaN or infinite values, the first in row 1"),
        (np.array([0.1, 1e39]), 2, 1, "regression", "1 NaN or infinite values, the first in row 1"),
        (np.array([0.1, 2.0]), 2, 1, "binary", "ranges from 0.1 to 2"),
        (np.array([-0.1, 0.2]), 2, 1, "binary", "probabilities"),
        (np.array([[0.0, 0.0], [1.0, 0.0]]), 2, 2, "multiclass", "row 0 sums to 0"),
        (np.array([1 + 2j]), 1, 1, "regression", "complex128"),
        (np.array(["0.5"]), 1, 1, "regression", "<U3"),
        (np.array([object()]), 1, 1, "regression", "object"),
        (np.zeros(2, dtype=[("a", "f8")]), 2, 1, "regression", "dtype"),
    ],
)
def test_wrong_content_is_named(
    tmp_path: Path, array: np.ndarray, rows: int, outputs: int, task: str, said: str
) -> None:
    if array.dtype.hasobject:
        array = np.array([{"a": 1}])
    save(tmp_path, array)
    with pytest.raises(OutputRejected, match=said):
        read(tmp_path, "valid.npy", rows, outputs, task)


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"\x93NUMPY",
        b"\x93NUMPY\x03\x00",
        npz(),
        pickle.dumps(np.zeros(3)),
        header("(3,)"),
        header("(3,)") + b"\0" * 23,
        header("(3,)") + b"\0" * 25,
        header("(99999999999999999999,)"),
        header("(3, 10000000000)"),
        header("(-3,)"),
        header("'abc'"),
        header("(3,)", descr="'O'"),
        header("(3,)", descr="__import__('os').abort()"),
        header("(" * 500 + ")" * 500),
        header("(" * 5),
        header("(3,)", descr="()"),
        header("(3,)", descr="'f8,f8'"),
        header("(3,)", descr="'<f7'"),
        b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31) + b" " * 64,
    ],
)
def test_torn_and_hostile_files_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "valid.npy").write_bytes(data)
    with pytest.raises(OutputRejected, match=r"valid\.npy"):
        read(tmp_path, "valid.npy", 3, 1, "regression")


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "valid.npy").open("wb") as file:
        file.write(header("(3,)"))
        file.truncate(1 << 40)
    with pytest.raises(OutputRejected, match="bytes, more than"):
        read(tmp_path, "valid.npy", 3, 1, "regression")


def test_only_a_regular_file_in_the_real_folder_counts(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    save(elsewhere, np.zeros(3))
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(OutputRejected, match="missing"):
        read(out, "valid.npy", 3, 1, "regression")
    (out / "valid.npy").symlink_to(elsewhere / "valid.npy")
    with pytest.raises(OutputRejected, match="not a regular file"):
        read(out, "valid.npy", 3, 1, "regression")
    (out / "valid.npy").unlink()
    os.mkfifo(out / "valid.npy")
    with pytest.raises(OutputRejected, match="not a regular file"):
        read(out, "valid.npy", 3, 1, "regression")
    (tmp_path / "link").symlink_to(elsewhere)
    with pytest.raises(OutputRejected):
        read(tmp_path / "link", "valid.npy", 3, 1, "regression")
    (out / "valid.npy").unlink()
    (out / "valid.npy").mkdir()
    with pytest.raises(OutputRejected):
        read(out, "valid.npy", 3, 1, "regression")
