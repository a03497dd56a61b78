"""Read what an experiment wrote: as numbers of one exact shape, or not at all.

Nothing here trusts the file: no link is followed, nothing is unpickled, no size is believed before it is compared with
the one expected. Every OutputRejected names the file, what is wrong and what is expected, for the experiment's author.
"""

from __future__ import annotations

import math
import os
import re
import stat
from pathlib import Path
from typing import IO, Any

import numpy as np

from orchestrator.errors import OutputRejected

Array = np.ndarray[Any, Any]
PROBABILITY_TASKS = ("binary", "multiclass", "multilabel")
_HEADER_BYTES = 4096
_HEADER = re.compile(
    rb"\x93NUMPY(?:\x01\x00..|\x02\x00....)"
    rb"\{'descr': ([^\n]+), 'fortran_order': (True|False), 'shape': \(([\d, ]*)\), \} *\n",
    re.DOTALL,
)
"""What numpy.save writes, and nothing else: numpy's own parser evaluates it, and fails in ways that nobody lists."""
_PLAIN_TYPE = re.compile(r"'[<>|=]?[biufcOSUVmM]\d{0,4}'")
_TOLERANCE = 1e-6


def read(folder: Path, name: str, rows: int, outputs: int, task: str) -> Array:
    """The predictions in `folder`/`name` as finite float64 (rows, outputs), probabilities clipped to [0, 1].

    Accepts (rows,) when there is one output. Rows of a multiclass file are scaled to sum to 1.
    Raises OutputRejected.
    """
    expected = f"expected a float array of shape {_shape_text(rows, outputs)}"
    limit = rows * outputs * 16 + _HEADER_BYTES
    with _open(folder, name, expected) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise OutputRejected(f"{name} has {size} bytes, more than {limit}: {expected}")
        raw = _array(file, name, rows, outputs, expected)
    return _checked(raw.reshape(rows, outputs), name, task)


def _checked(values: Array, name: str, task: str) -> Array:
    """The values as float64 once they are known to be predictions of this task; raises OutputRejected."""
    with np.errstate(over="ignore"):
        predictions = np.ascontiguousarray(values, dtype=np.float64)
        finite = np.isfinite(predictions.astype(np.float32))  # as which the folds' test predictions are kept
    if not finite.all():
        row = int(np.argmin(finite.all(axis=1)))
        raise OutputRejected(f"{name} has {int((~finite).sum())} NaN or infinite values, the first in row {row}")
    if task not in PROBABILITY_TASKS:
        return predictions
    low, high = float(predictions.min()), float(predictions.max())
    if low < -_TOLERANCE or high > 1 + _TOLERANCE:
        raise OutputRejected(f"{name} ranges from {low:.6g} to {high:.6g}: expected probabilities from 0 to 1")
    predictions = np.clip(predictions, 0.0, 1.0)
    if task == "multiclass":
        totals = predictions.sum(axis=1, keepdims=True)
        if not (totals > 0).all():
            raise OutputRejected(f"{name} row {int(np.argmin(totals))} sums to 0: expected one probability per class")
        predictions = predictions / totals
    return predictions


def _open(folder: Path, name: str, expected: str) -> IO[bytes]:
    """The file itself, never what a link in `folder` points to, and never a pipe that would block the reader."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        place = os.open(folder, flags | os.O_DIRECTORY)
        try:
            handle = os.open(name, flags | os.O_NONBLOCK, dir_fd=place)
        finally:
            os.close(place)
    except FileNotFoundError:
        raise OutputRejected(f"{name} is missing: {expected} in OUT") from None
    except OSError as error:
        raise OutputRejected(f"{name} is not a regular file that can be read ({error.strerror}): {expected}") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OutputRejected(f"{name} is not a regular file: {expected}")
    return os.fdopen(handle, "rb")


def _array(file: IO[bytes], name: str, rows: int, outputs: int, expected: str) -> Array:
    found = _HEADER.match(file.read(_HEADER_BYTES))
    if found is None:
        raise OutputRejected(f"{name} is not a .npy file of numbers: {expected}")
    dtype = _dtype(found[1].decode("latin-1"))
    if not isinstance(dtype, np.dtype) or dtype.kind not in "fiub":
        raise OutputRejected(f"{name} has dtype {str(dtype)[:40]}: {expected}")
    shape = tuple(int(size) for size in found[3].replace(b",", b" ").split())
    if shape != (rows, outputs) and not (outputs == 1 and shape == (rows,)):
        hint = "; take the column of the positive class, [:, 1]" if outputs == 1 and shape == (rows, 2) else ""
        raise OutputRejected(f"{name} has shape {str(shape)[:60]}: {expected}{hint}")
    wanted = math.prod(shape) * dtype.itemsize
    file.seek(found.end())
    data = file.read(wanted + 1)
    if len(data) != wanted:
        raise OutputRejected(f"{name} is torn: its header promises {wanted} bytes of numbers, it holds {len(data)}")
    return np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if found[2] == b"True" else "C")


def _dtype(description: str) -> np.dtype[Any] | str:
    """The type of a plain array; the description itself when it is none."""
    try:
        return np.dtype(description.strip("'")) if _PLAIN_TYPE.fullmatch(description) else description
    except (TypeError, ValueError):
        return description


def _shape_text(rows: int, outputs: int) -> str:
    return f"({rows},) or ({rows}, 1)" if outputs == 1 else f"({rows}, {outputs})"
