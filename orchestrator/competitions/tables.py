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
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import BadInput
from orchestrator.files import atomic_write

if TYPE_CHECKING:
    import pandas as pd

MISSING = ["", "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NaN", "nan", "-NaN", "-nan", "NULL", "null"]
"""`None` is not among them: it is a class or a category more often than a hole."""
STRAY = frozenset({"None", "none", "?", "-", "--", "*", "."})
"""Holes in a column that otherwise holds numbers only."""
BLOCK_BYTES = 1 << 24
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
    """The column names of a table. Raises BadInput for a file that is no table or names a column twice."""
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
        raise BadInput(f"{path} has a header but no rows: get the file again")
    return frame


def read_verbatim(path: Path) -> pd.DataFrame:
    """A table with every value as the text that stands in the file, holes as ""."""
    return read_table(path, as_text=header(path))


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a table durably, without an index."""
    atomic_write(path, frame.to_csv(index=False, lineterminator="\n"))


def _read_csv(path: Path, as_text: Collection[str], columns: Collection[str] | None) -> pd.DataFrame:
    import pyarrow as pa

    encoding = _encoding(path)
    names, delimiter = _csv_header(path, encoding)
    wanted = [name for name in names if columns is None or name in columns]
    typed = [name for name in wanted if name not in as_text]
    verbatim = [name for name in wanted if name in as_text]
    try:
        frame = _arrow(path, names, delimiter, encoding, typed, verbatim)
    except pa.ArrowInvalid as error:
        _raise_ragged(path, str(error))
        frame = _slow(path, names, delimiter, encoding, typed, verbatim)
    for name in typed:
        cleaned = _without_strays(frame[name])
        if cleaned.dtype != frame[name].dtype:
            frame[name] = cleaned
    return frame[wanted]


def _arrow(
    path: Path, names: list[str], delimiter: str, encoding: str, typed: list[str], verbatim: list[str]
) -> pd.DataFrame:
    """The fast reader; gives up with ArrowInvalid where a column changes its type after the first block."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    def read(wanted: list[str], **convert: Any) -> pa.Table:
        return arrow_csv.read_csv(
            path,
            read_options=arrow_csv.ReadOptions(
                column_names=names, skip_rows=1, encoding=encoding, block_size=BLOCK_BYTES
            ),
            parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(include_columns=wanted, null_values=MISSING, **convert),
        )

    def as_text(wanted: list[str], holes: bool) -> pa.Table:
        return read(wanted, column_types={name: pa.string() for name in wanted}, strings_can_be_null=holes)

    text = {name: pa.string() for name in [*verbatim, *_temporal_in_head(path, names, delimiter, encoding)]}
    table = read([*verbatim, *typed], column_types=text, strings_can_be_null=True)
    holed = [name for name in verbatim if table.column(name).null_count]
    temporal = [field.name for field in table.schema if pa.types.is_temporal(field.type)]
    replaced = [as_text(wanted, holes) for wanted, holes in ((holed, False), (temporal, True)) if wanted]
    columns = {name: part.column(name) for part in replaced for name in part.column_names}
    for field in table.schema:
        if pa.types.is_null(field.type):
            columns[field.name] = pa.nulls(table.num_rows, pa.float64())
    for name, values in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, values)
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _temporal_in_head(path: Path, names: list[str], delimiter: str, encoding: str) -> list[str]:
    """Columns that the fast reader takes for dates or times, from the first rows: to be read as text at once."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    with path.open("rb") as file:
        head = file.read(65536)
    lines = head[: head.rfind(b"\n") + 1]
    try:
        table = arrow_csv.read_csv(
            io.BytesIO(lines),
            read_options=arrow_csv.ReadOptions(column_names=names, skip_rows=1, encoding=encoding),
            parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(null_values=MISSING, strings_can_be_null=True),
        )
    except pa.ArrowInvalid:
        return []
    return [field.name for field in table.schema if pa.types.is_temporal(field.type)]


def _slow(
    path: Path, names: list[str], delimiter: str, encoding: str, typed: list[str], verbatim: list[str]
) -> pd.DataFrame:
    import pandas as pd

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            frame: pd.DataFrame = pd.read_csv(
                path, sep=delimiter, encoding=encoding, names=names, header=0, index_col=False, low_memory=False,
                usecols=typed + verbatim, dtype={name: str for name in verbatim}, keep_default_na=False,
                na_values={name: MISSING for name in typed},
            )  # fmt: skip
    except (ValueError, pd.errors.ParserWarning, pd.errors.DtypeWarning, OverflowError) as error:
        raise BadInput(
            f"{path} is not a readable CSV table: {_short(error)}; fix that line or export it again"
        ) from None
    return frame


def _without_strays(column: pd.Series) -> pd.Series:
    """Numbers among which `?` or `None` stands for a hole become numbers; anything else stays as it is."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column.dtype) or column.dtype == bool:
        return column
    head = pd.to_numeric(column.iloc[:1000].dropna(), errors="coerce")
    if head.notna().mean() < 0.2 or not column.isin(STRAY).any():
        return column
    cleaned = column.where(~column.isin(STRAY))
    numbers = pd.to_numeric(cleaned, errors="coerce")
    return numbers if (numbers.notna() == cleaned.notna()).all() and numbers.notna().any() else column


def _csv_header(path: Path, encoding: str) -> tuple[list[str], str]:
    with path.open("r", encoding=encoding, newline="") as file:
        line = file.readline(1 << 20)
    if not line.strip():
        raise BadInput(f"{path} starts with an empty line: its first line must name the columns")
    delimiter = max(",;\t", key=lambda mark: (line.count(mark), mark == ","))
    names = next(csv.reader(io.StringIO(line), delimiter=delimiter))
    return _checked_names(path, [name or f"column_{index}" for index, name in enumerate(names)]), delimiter


def _checked_names(path: Path, names: list[str]) -> list[str]:
    twice = sorted({name for name in names if names.count(name) > 1})
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


def _raise_ragged(path: Path, message: str) -> None:
    found = re.search(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+)", message)
    if found:
        row, expected, got = found.groups()
        where = f"line {row}" if row else "a line"
        raise BadInput(
            f"{path}: {where} has {got} values where the header names {expected} columns: "
            "fix that line, or get the file again if it is cut off"
        )


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

    names = [name for name in header(path) if columns is None or name in columns]
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
