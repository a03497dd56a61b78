"""What an earlier experiment on this fold computed from the same values; the host keeps it from round to round."""

from __future__ import annotations

import dis
import hashlib
import json
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable
from functools import cache, partial
from types import CodeType, FunctionType
from typing import Any

import numpy as np
from scipy import sparse

from agents.offline.blocks.core import Data

WORTH_KEEPING = 0.2  # seconds of work
Arrays = dict[str, np.ndarray]


def recall(data: Data, what: str, values: Iterable[str | np.ndarray], make: Callable[[], Arrays]) -> Arrays:
    """make(), or what it gave before for the same name and the same values."""
    name = name_of(data, what, values, make)
    found = known(data, name)
    if found is None:
        started = time.monotonic()
        found = make()
        keep(data, name, found, time.monotonic() - started)
    return found


def name_of(data: Data, what: str, values: Iterable[str | np.ndarray], make: Callable[..., Any]) -> str:
    """The name under which a result is kept: a hash of what it is made of and of how; "" where nothing is kept."""
    if not data.task.get("cache_mb"):
        return ""
    made_of = hashlib.blake2b(f"{what} {data.seed} {data.sizes}".encode(), digest_size=16)
    made_of.update(code_of(make.func if isinstance(make, partial) else make))
    for value in values:
        if isinstance(value, str):
            made_of.update(f"\0{len(value)} ".encode() + value.encode("utf-8", "surrogatepass"))
        else:
            made_of.update(f"\0{value.dtype} {value.shape} ".encode())
            made_of.update(np.ascontiguousarray(value).data)
    return f"{made_of.hexdigest()}.npz"


@cache
def code_of(make: Callable[..., Any]) -> bytes:
    """A function's code and all that it uses of its file: an edited copy must not find what the original left."""
    told: list[str] = []
    todo: list[Any] = [make]
    seen = {make}
    while todo:
        one = todo.pop()
        told.append(repr(getattr(one, "__defaults__", None)))
        for code in codes_in(one):
            constants = [value for value in code.co_consts if not isinstance(value, CodeType)]
            told.append(f"{code.co_code!r} {code.co_names} {constants}")
            steps = dis.get_instructions(code)
            for name in sorted({str(step.argval) for step in steps if step.opname == "LOAD_GLOBAL"}):
                value = make.__globals__.get(name)
                if isinstance(value, FunctionType | type) and value.__module__ == make.__module__:
                    todo += [] if value in seen else [value]
                    seen.add(value)
                elif not callable(value):
                    told.append(f"{name} = {value!r}")
    return "\n".join(told).encode()


def codes_in(one: Any) -> list[CodeType]:
    """Of a function or a class's methods, and of the functions in them."""
    methods = [getattr(value, "fget", value) for value in vars(one).values()] if isinstance(one, type) else [one]
    found = [method.__code__ for method in methods if isinstance(method, FunctionType)]
    for code in found:  # which grows on the way
        found += [value for value in code.co_consts if isinstance(value, CodeType)]
    return found


def known(data: Data, name: str) -> Arrays | None:
    """What is kept under the name; None for nothing, or nothing that can be read."""
    path = data.folder / "cache" / name
    if not name or not data.recalls or not path.is_file():
        return None
    data.recalled = True
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {key: stored[f"a{i}"] for i, key in enumerate(json.loads(stored["names"].tobytes()))}
    except (OSError, EOFError, ValueError, LookupError, TypeError, RuntimeError, MemoryError):
        return None
    except (zipfile.BadZipFile, zlib.error, struct.error):
        return None


def keep(data: Data, name: str, found: Arrays, seconds: float) -> None:
    """Leave it for later experiments if it took its time and there is room."""
    if not name or not found or data.out is None or seconds < WORTH_KEEPING:
        return
    folder = data.out / "cache"
    folder.mkdir(exist_ok=True)
    size = sum(array.nbytes for array in found.values()) + sum(path.stat().st_size for path in folder.iterdir())
    if size < 2**20 * float(data.task["cache_mb"]):
        stored: dict[str, Any] = {f"a{i}": array for i, array in enumerate(found.values())}
        np.savez(folder / name, names=np.frombuffer(json.dumps(list(found)).encode(), dtype=np.uint8), **stored)


def pack(matrix: sparse.csr_matrix | None) -> Arrays:
    """A sparse matrix as plain arrays; none of them for None."""
    if matrix is None:
        return {}
    shape = np.array(matrix.shape)
    return {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr, "shape": shape}


def unpack(found: Arrays) -> sparse.csr_matrix | None:
    if not found:
        return None
    rows, columns = (int(size) for size in found["shape"])
    return sparse.csr_matrix((found["data"], found["indices"], found["indptr"]), (rows, columns))
