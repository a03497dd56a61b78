"""Read what an experiment wrote: as numbers of one exact shape, or not at all.

Nothing here trusts the file: no link is followed, nothing is unpickled, no size is believed before it is compared with
the one expected. Every OutputRejected names the file, what is wrong and what is expected, for the experiment's author.
"""

from __future__ import annotations

import math
import os
import stat
from pathlib import Path
from typing import IO, Any

import numpy as np

from orchestrator.errors import OutputRejected

Array = np.ndarray[Any, Any]
PROBABILITY_TASKS = ("binary", "multiclass", "multilabel")
_HEADER_BYTES = 4096
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
    return checked(raw.reshape(rows, outputs), name, task)


def checked(values: Array, name: str, task: str) -> Array:
    """The values as float64 once they are known to be predictions of this task; raises OutputRejected."""
    predictions = np.ascontiguousarray(values, dtype=np.float64)
    finite = np.isfinite(predictions)
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
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            header = np.lib.format.read_array_header_1_0(file, max_header_size=_HEADER_BYTES)
        elif version == (2, 0):
            header = np.lib.format.read_array_header_2_0(file, max_header_size=_HEADER_BYTES)
        else:
            raise ValueError(f"format version {version}")
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError, OverflowError, UserWarning) as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise OutputRejected(f"{name} is not a .npy file of numbers ({reason}): {expected}") from None
    shape, fortran_order, dtype = header
    if dtype.kind not in "fiub" or dtype.hasobject:
        raise OutputRejected(f"{name} has dtype {str(dtype)[:40]}: {expected}")
    if shape != (rows, outputs) and not (outputs == 1 and shape == (rows,)):
        hint = "; take the column of the positive class, [:, 1]" if outputs == 1 and shape == (rows, 2) else ""
        raise OutputRejected(f"{name} has shape {str(shape)[:60]}: {expected}{hint}")
    wanted = math.prod(shape) * dtype.itemsize
    data = file.read(wanted + 1)
    if len(data) != wanted:
        raise OutputRejected(f"{name} is torn: its header promises {wanted} bytes of numbers, it holds {len(data)}")
    return np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if fortran_order else "C")


def _shape_text(rows: int, outputs: int) -> str:
    return f"({rows},) or ({rows}, 1)" if outputs == 1 else f"({rows}, {outputs})"
