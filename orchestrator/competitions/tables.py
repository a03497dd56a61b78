"""Reading tables (CSV, TSV, Parquet): fast, typed the same way everywhere, and with one clear sentence for a bad file.

Dates stay text here, whatever the reader makes of them, so that a table has the same types on every machine.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
import stat
from collections import Counter
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import BadInput
from orchestrator.files import atomic_write

if TYPE_CHECKING:
    import pandas as pd

MISSING = ["", "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NaN", "nan", "-NaN", "-nan", "NULL", "null"]
"""`None` is not among them: it is a class or a category more often than a hole."""
STRAY = ["None", "none", "na", "n.a.", "N.A.", "missing", "?", "-", "--", "*", "."]
"""Holes in a column that otherwise holds numbers only."""
AMOUNT = r"^([-+]?[$€£]? ?|[$€£] ?[-+]?)(\d{1,3}(,\d{3})+|\d+)(\.\d+)? ?%?$"
"""A number as people write it: 1,234.50 or $12 or 7.5 %."""
BLOCK_BYTES = 1 << 24
COLUMNS_AT_ONCE = 4
HEADER_CHARACTERS = 1 << 20
NO_ROWS = " has a header but no rows: get the file again"
MAGIC = {b"PK\x03\x04": "a zip archive", b"\x1f\x8b": "a gzip archive", b"PAR1": "a Parquet file", b"%PDF": "a PDF"}


def check_file(path: Path) -> None:
    """Raise BadInput unless `path` is a readable, regular, non-empty file."""
    try:
        info = path.stat()
    except FileNotFoundError:
        raise BadInput(f"{path} is missing: put the file there") from None
    except OSError as error:
        raise BadInput(f"{path} can't be read ({error.strerror}): check the path and its permissions") from None
    if stat.S_ISDIR(info.st_mode):
        raise BadInput(f"{path} is a folder, not a table: put a CSV or Parquet file there")
    if not stat.S_ISREG(info.st_mode):
        raise BadInput(f"{path} is no regular file (a pipe or a device): put a CSV or Parquet file there")
    if info.st_size == 0:
        raise BadInput(f"{path} is empty (0 bytes): get the file again")
    if not os.access(path, os.R_OK):
        raise BadInput(f"{path} may not be read: give yourself the permission with chmod u+r")


def header(path: Path) -> list[str]:
    """The column names of a table, told apart where a CSV repeats one.

    Raises BadInput for a file that is no table, and for a Parquet file that names a column twice.
    """
    check_file(path)
    if path.suffix == ".parquet":
        return _checked_names(path, _parquet_names(path))
    return _csv_header(path, _encoding(path))[0]


def read_table(path: Path, *, as_text: Collection[str] = (), columns: Collection[str] | None = None) -> pd.DataFrame:
    """Read a table with numbers as int64/float64, flags as bool, all else as text.

    `as_text`: columns taken exactly as they stand in the file, holes as "" (ids such as 007).
    `columns`: read these only. Raises BadInput with one sentence for any file that can't be used.
    """
    check_file(path)
    if path.suffix == ".parquet":
        frame = _read_parquet(path, columns)
        for name in set(as_text) & set(frame.columns):
            frame[name] = frame[name].astype("string").fillna("").astype(str)
    else:
        frame = _read_csv(path, as_text, columns)
    if len(frame) == 0:
        raise BadInput(f"{path}{NO_ROWS}")
    return frame


def read_verbatim(path: Path) -> pd.DataFrame:
    """A table with every value as the text that stands in the file, holes as ""."""
    return read_table(path, as_text=header(path))


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a table durably, without an index."""
    written = frame.to_csv(index=False, lineterminator="\n")
    if "\r" in written:  # which is quoted by itself only where lines end with it
        written = frame.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    atomic_write(path, written)


def write_parquet(path: Path, table: Any) -> None:
    """Write a table of pyarrow's durably."""
    from pyarrow import parquet

    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    atomic_write(path, buffer.getvalue())


def _read_csv(path: Path, as_text: Collection[str], columns: Collection[str] | None) -> pd.DataFrame:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    encoding = _encoding(path)
    names, delimiter, lines = _csv_header(path, encoding)
    wanted = names if columns is None else [name for name in names if name in set(columns)]
    texts = dict.fromkeys(wanted, pa.string())
    try:
        table = arrow_csv.read_csv(
            path,
            arrow_csv.ReadOptions(column_names=names, skip_rows=lines, encoding=encoding, block_size=BLOCK_BYTES),
            arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            arrow_csv.ConvertOptions(include_columns=wanted, column_types=texts),
        )
    except pa.ArrowInvalid as error:
        raise BadInput(f"{path}{_csv_fault(str(error))}") from None
    kept = set(as_text)
    with ThreadPoolExecutor(COLUMNS_AT_ONCE) as pool:
        typed = list(pool.map(lambda name, column: column if name in kept else _typed(column), wanted, table.columns))
    frame: pd.DataFrame = pa.table(typed, names=wanted).to_pandas()
    return frame


def _csv_fault(message: str) -> str:
    """What the reader's complaint means for the person who has the file."""
    if message.startswith("Empty CSV"):
        return NO_ROWS
    found = re.search(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+)", message)
    if not found:
        return f" is not a readable CSV table: {message[:160]}; fix that line or export it again"
    row, expected, got = found.groups()
    where = f"line {row}" if row else "a line"
    return (
        f": {where} has {got} values where the header names {expected} columns: "
        "fix that line, or get the file again if it is cut off"
    )


def _typed(texts: Any) -> Any:
    """A column of texts as int64, bool or float64 if every value is one, else as it is; holes are null."""
    import pyarrow as pa
    from pyarrow import compute as pc

    trimmed = pc.utf8_trim_whitespace(texts)
    known = pc.invert(pc.is_in(trimmed, pa.array(MISSING)))
    texts, trimmed = pc.if_else(known, texts, None), pc.if_else(known, trimmed, None)
    for kind in _likely_types(trimmed):
        with suppress(pa.ArrowInvalid):
            return trimmed.cast(kind)
    without = pc.if_else(pc.is_in(trimmed, pa.array(STRAY)), None, trimmed)
    if 0.2 * (len(texts) - texts.null_count) <= len(texts) - without.null_count:
        with suppress(pa.ArrowInvalid):
            return without.cast(pa.float64())
    if pc.all(pc.match_substring_regex(without, AMOUNT)).as_py() and without.null_count < len(without):
        return amounts(without)
    return texts


def amounts(texts: Any) -> Any:
    """Plain numbers and texts that match AMOUNT as float64; what no float can hold becomes a hole."""
    import pyarrow as pa
    from pyarrow import compute as pc

    numbers = pc.replace_substring_regex(texts, "[$€£,% ]", "").cast(pa.float64())
    return pc.if_else(pc.is_finite(numbers), numbers, None)


def _likely_types(texts: Any) -> list[Any]:
    """The types to try, without those that the first value rules out: a cast that fails is slow."""
    import pyarrow as pa

    known = texts.drop_null()
    first = known[0].as_py() if len(known) else ""
    digits = any(mark.isdigit() for mark in first)
    flags = [] if digits and first not in ("0", "1") else [pa.bool_()]
    return [*([] if "." in first else [pa.int64()]), *flags, pa.float64()]


def _csv_header(path: Path, encoding: str) -> tuple[list[str], str, int]:
    """The column names, the mark between values, and how many lines the header takes: names may hold line breaks."""
    with path.open("r", encoding=encoding, newline="") as file:
        start = file.read(HEADER_CHARACTERS)
    if not io.StringIO(start, newline="").readline().strip():
        raise BadInput(f"{path} starts with an empty line: its first line must name the columns")
    records = {mark: _first_record(start, mark) for mark in ",;\t"}
    mark = max(records, key=lambda mark: (len(records[mark][0]), mark == ","))
    names, lines = records[mark]
    return told_apart([name or f"column_{index}" for index, name in enumerate(names)]), mark, lines


def _first_record(text: str, mark: str) -> tuple[list[str], int]:
    """The values of the first record and the number of its lines; of the first line alone where quotes go wrong."""
    line = io.StringIO(text, newline="").readline()
    for part, strict in ((text, True), (line, False)):
        reader = csv.reader(io.StringIO(part, newline=""), delimiter=mark, strict=strict)
        with suppress(csv.Error):
            return next(reader), reader.line_num
    return [], 1  # a value is too long: `mark` is the wrong one


def told_apart(names: list[str], taken: Collection[str] = ()) -> list[str]:
    """The names in their order, where one that repeats, or is taken, becomes x.1 or x.2."""
    found: dict[str, None] = {}
    used = {*names, *taken}
    for name in names:
        others = (f"{name}.{number}" for number in count(1))
        free = name not in found and name not in taken
        found[name if free else next(one for one in others if one not in used and one not in found)] = None
    return list(found)


def _checked_names(path: Path, names: list[str]) -> list[str]:
    twice = sorted(name for name, rows in Counter(names).items() if rows > 1) if len(set(names)) < len(names) else []
    if twice:
        raise BadInput(f"{path} names the column {twice[0]!r} more than once: rename or remove one of them")
    return names


def _encoding(path: Path) -> str:
    """utf-8 where the whole file is, else latin-1; BadInput for what is no text at all."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    encoding = "utf-8"
    with path.open("rb") as file:
        start = file.read(65536)
        for magic, what in MAGIC.items():
            if start.startswith(magic):
                raise BadInput(f"{path} is {what}, not a CSV: unpack it or give it the matching ending")
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise BadInput(f"{path} is text in UTF-16: save it as UTF-8")
        chunk = start
        while chunk:
            if b"\0" in chunk:
                raise BadInput(f"{path} holds NUL bytes, so it is no text table or a damaged one: get the file again")
            if encoding == "utf-8":
                try:
                    decoder.decode(chunk)
                except UnicodeDecodeError:
                    encoding = "latin-1"
            chunk = file.read(1 << 20)
    if encoding == "latin-1" and sum(byte < 32 and byte not in b"\t\n\r" for byte in start) > len(start) / 50:
        raise BadInput(f"{path} is binary data, not a CSV: get the file again")
    return "utf-8-sig" if encoding == "utf-8" and start.startswith(codecs.BOM_UTF8) else encoding


def _parquet_names(path: Path) -> list[str]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return [name for name in parquet.read_schema(path).names if not name.startswith("__index_level_")]
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{path} is not a readable Parquet file: {_short(error)}; get the file again") from None


def _read_parquet(path: Path, columns: Collection[str] | None) -> pd.DataFrame:
    import pyarrow as pa
    from pyarrow import parquet

    names = header(path)
    names = names if columns is None else [name for name in names if name in set(columns)]
    try:
        table = parquet.ParquetFile(path).read(columns=names)
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{path} is not a readable Parquet file: {_short(error)}; get the file again") from None
    frame: pd.DataFrame = table.select(names).replace_schema_metadata(None).to_pandas()
    for field in table.schema:
        if pa.types.is_temporal(field.type) or pa.types.is_dictionary(field.type) or pa.types.is_nested(field.type):
            text = frame[field.name].astype(str)
            frame[field.name] = text.where(frame[field.name].notna())
        elif pa.types.is_decimal(field.type):
            frame[field.name] = frame[field.name].astype(float)
    return frame


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:160]
