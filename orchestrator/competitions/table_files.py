"""Which file of a folder is the train table, the test table and the sample submission, under the names people use."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import zipfile
from collections.abc import Collection
from io import BufferedIOBase, BufferedWriter
from pathlib import Path
from typing import IO, TYPE_CHECKING

from orchestrator.competitions.tables import MISSING, header, read_table
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

FORMATS = (".csv", ".tsv", ".parquet", ".json", ".jsonl", ".ndjson")
JSON_FORMATS = FORMATS[3:]
PACKED = (".zip", ".gz")
MAX_UNPACKED_BYTES = 50 << 30
_TABLE = r"(\.(csv|tsv|parquet|json|jsonl|ndjson)(\.zip|\.gz)?|\.zip)$"
ROLES = {
    "train": rf"^train(ing)?([_-]?(set|data))?{_TABLE}",
    "test": rf"^test(ing)?([_-]?(set|data))?{_TABLE}",
    "sample_submission": rf"^[\w-]*submission[\w-]*{_TABLE}",
}
HIDDEN = re.compile(r"^(\..*|__pycache__|private|meta\.json|leaderboard\.csv)$", re.IGNORECASE)
"""What of a competition's folder no experiment may see."""
_ANSWERS = re.compile(r"^(answers?|solutions?|labels?)$", re.IGNORECASE)
_SAMPLE_LIKE = re.compile(r"^(sample|example|benchmark|random|baseline)|submi|^solution", re.IGNORECASE)
_LABEL_WORDS = {"label", "labels", "target", "targets", "answer", "answers", "solution", "y"}
_NO_TABLE_WORDS = {"sample", "submission", "unlabeled", "unlabelled", "extra", "description", "columns"}


def find_tables(public: Path, optional: Collection[str] = ()) -> dict[str, Path]:
    """Role → file. Raises BadInput that names the first role without a file, unless it is `optional`.

    The usual names win; else the pair of files whose names differ in the words train and test alone; else a usual name
    in a folder here. The test table may be missing beside a sample submission and folders, which may hold a file for
    each row, and where one table has a row for each of the sample's, with a hole for the target.
    """
    found = {role: _usual(public, role) for role in ROLES}
    found["sample_submission"] = found["sample_submission"] or _sample_like(public)
    train, test = found["train"], found["test"]
    if train is None or test is None:
        pair = _pair(public, train, test, found["sample_submission"])
        found["train"], found["test"] = pair
        if train is None and test is None and None in pair:
            deeper = {role: _deeper(public, role) for role in ROLES}
            if deeper["train"] and deeper["test"]:
                found = {**deeper, "sample_submission": found["sample_submission"] or deeper["sample_submission"]}
    whole = None if train and test else _table_with_test(public, found)
    found["train"] = found["train"] or whole
    if found["train"] is None and found["test"] is not None:
        found["train"] = next((path for path in _tables(public) if path.name.split(".")[0].lower() == "labels"), None)
    by_rows = found["sample_submission"] and any(item.is_dir() for item in public.iterdir())
    needed = [role for role in ROLES if role not in optional and not (role == "test" and (whole or by_rows))]
    for role in needed:
        if found[role] is None:
            raise BadInput(_lacking(public, role, found))
    return {role: path for role, path in found.items() if path is not None}


def _lacking(public: Path, role: str, found: dict[str, Path | None]) -> str:
    """What to say of a folder without a file for `role`."""
    packed = [item.name for item in sorted(public.iterdir()) if item.suffix.lower() in (".7z", ".zip", ".tar")]
    if packed:
        return f"{public} has no {role}.csv (nor .parquet, .json, .gz or .zip): unpack {', '.join(packed[:3])} there"
    tables = [path for path in _tables(public) if path.suffix.lower() in FORMATS[:3] and not _ANSWERS.match(path.stem)]
    tables = [path for path in tables if not {*_NO_TABLE_WORDS, "dictionary"} & set(_words(path))]
    if len(tables) == 1 and not any(found.values()):
        return (
            f"{public} has only {tables[0].name}: divide it into train.csv, test.csv and sample_submission.csv, or put "
            "a sample_submission.csv beside it with the ids of those of its rows that have no target"
        )
    return f"{public} has no {role}.csv (nor .parquet, .json, .gz or .zip): put it there"


def is_table(name: str) -> bool:
    return name.lower().endswith(FORMATS)


def unpack(path: Path, folder: Path) -> str:
    """Unpack the one table of a zip or gz archive into `folder`; its name there."""
    wanted = path.stem if is_table(path.stem) else f"{path.stem}.csv"
    try:
        if path.suffix.lower() == ".gz":
            with gzip.open(path) as source, (folder / wanted).open("wb") as target:
                _copy(source, target)
            return wanted
        with zipfile.ZipFile(path) as archive:
            members = [item for item in archive.infolist() if is_table(item.filename)]
            members = [item for item in members if not item.filename.startswith("__MACOSX")]
            if len(members) != 1 or members[0].file_size > MAX_UNPACKED_BYTES:
                raise BadInput(f"{path} holds {len(members)} tables instead of one: unpack it yourself")
            wanted = f"{wanted.removesuffix(Path(wanted).suffix)}{Path(members[0].filename).suffix.lower()}"
            with archive.open(members[0]) as source, (folder / wanted).open("wb") as target:
                _copy(source, target)
    except (zipfile.BadZipFile, gzip.BadGzipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise BadInput(f"{path} can't be unpacked ({error}): get the file again, or unpack it yourself") from None
    return wanted


def _copy(source: BufferedIOBase | IO[bytes], target: BufferedWriter) -> None:
    written = 0
    while chunk := source.read(1 << 20):
        written += len(chunk)
        if written > MAX_UNPACKED_BYTES:
            raise RuntimeError(f"it unpacks to more than {MAX_UNPACKED_BYTES >> 30} GB")
        target.write(chunk)
    target.flush()
    os.fsync(target.fileno())


def _usual(public: Path, role: str) -> Path | None:
    """The file with a usual name; of several, the plainest name in the handiest format."""
    named = [path for path in sorted(public.iterdir()) if re.match(ROLES[role], path.name, re.IGNORECASE)]
    inside = [path / path.name for path in named if (path / path.name).is_file()]  # as some unpackers leave it
    found = [path for path in [*named, *inside] if path.is_file()] or named

    def rank(path: Path) -> tuple[bool, bool, int, int, str]:
        name = path.name.lower()
        plain = name.split(".")[0].replace("_", "") == role.replace("_", "")
        formats = (*FORMATS, *PACKED)
        return not plain, "sample" not in name, formats.index(path.suffix.lower()), len(name), path.name

    return min(found, key=rank, default=None)


def _deeper(public: Path, role: str) -> Path | None:
    """The one file with a usual name in the folders here, as in data/train.csv; None where there is not just one."""
    found = [path for place in _places(public) if (path := _usual(place, role)) is not None]
    return found[0] if len(found) == 1 and found[0].is_file() else None


def home_of_tables(public: Path) -> Path | None:
    """The one folder here with a train and a test table under usual names, where no table is beside it."""
    if _tables(public):
        return None
    found = [place for place in _places(public) if _usual(place, "train") and _usual(place, "test")]
    return found[0] if len(found) == 1 else None


def _places(public: Path) -> list[Path]:
    """The folders in which tables may be."""
    folders = [place for place in sorted(public.iterdir()) if place.is_dir() and not place.is_symlink()]
    return [place for place in folders if not HIDDEN.match(place.name) and not _ANSWERS.match(place.name)]


def _tables(public: Path) -> list[Path]:
    ending = re.compile(_TABLE, re.IGNORECASE)
    return [path for path in sorted(public.iterdir()) if path.is_file() and ending.search(path.name)]


def _sample_like(public: Path) -> Path | None:
    found = [path for path in _tables(public) if _SAMPLE_LIKE.search(path.name)]
    return min(found, key=lambda path: (not path.name.lower().startswith("sample"), len(path.name)), default=None)


def _words(path: Path) -> list[str]:
    """Lower-case words of a file's name: `labeledTrainData.tsv` → labeled, train, data."""
    name = path.name.split(".")[0]
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name)
    return [part.lower() for part in parts]


def _pair(public: Path, train: Path | None, test: Path | None, sample: Path | None) -> tuple[Path | None, Path | None]:
    """The train and the test table, where one of them at least has no usual name."""
    files = [path for path in _tables(public) if path != sample and not _SAMPLE_LIKE.search(path.name)]
    files = [path for path in files if not _NO_TABLE_WORDS & set(_words(path))]
    trains = [train] if train else [path for path in files if _side(path) == "train"]
    tests = [test] if test else [path for path in files if _side(path) == "test"]
    features = [path for path in trains if not _LABEL_WORDS & set(_words(path))]
    tests = [path for path in tests if path == test or not _LABEL_WORDS & set(_words(path))]
    trains = features or trains
    pairs = [(left, right) for left in trains for right in tests]
    if not pairs:
        return (trains[0] if trains else None), (tests[0] if tests else None)
    complete = {path: _is_complete(path, sample) for path in tests} if len(tests) > 1 else {}

    def rank(pair: tuple[Path, Path]) -> tuple[bool, int, int, str]:
        differ = set(_rest(pair[0])) ^ set(_rest(pair[1]))
        return not complete.get(pair[1], True), len(differ), len(pair[0].name), pair[0].name

    return min(pairs, key=rank)


def _side(path: Path) -> str | None:
    words = _words(path)
    train = any(word.startswith("train") for word in words)
    test = any(word.startswith("test") for word in words)
    return None if train == test else "train" if train else "test"


def _rest(path: Path) -> list[str]:
    return [word for word in _words(path) if not re.match(r"train|test|labell?ed|data|set", word)]


def _is_complete(test: Path, sample: Path | None) -> bool:
    """Whether a test table has the sample's ids, a row for each."""
    if sample is None or test.suffix.lower() in (*PACKED, *JSON_FORMATS) or sample.suffix.lower() in PACKED:
        return True
    try:
        shared = [name for name in header(sample) if name in header(test)][:1]
        sizes = {len(read_table(path, as_text=shared, columns=shared)) for path in (test, sample)}
    except BadInput:
        return False
    return bool(shared) and len(sizes) == 1


def _table_with_test(public: Path, found: dict[str, Path | None]) -> Path | None:
    """The table, train or the only one, in which the sample's rows stand without a value of the target.

    Beside a test table, which may have been made of it, it need only have the target.
    """
    sample, test = found["sample_submission"], found["test"]
    others = [path for path in _tables(public) if path not in (sample, test) and not _ANSWERS.match(path.stem)]
    others = [path for path in others if not {*_NO_TABLE_WORDS, "dictionary"} & set(_words(path))]
    tables = [found["train"]] if found["train"] else others
    files = [path for path in (*tables, sample) if path and path.is_file() and path.suffix.lower() in FORMATS[:3]]
    if len(files) != 2 or len(tables) != 1:
        return None
    names = header(files[0])
    shared = [name for name in header(files[1]) if name in names]
    if len(shared) < 2 or test:
        return files[0] if len(shared) >= 2 and set(header(files[1])) <= set(names) else None
    rows, asked = (read_table(path, as_text=shared, columns=shared) for path in files)
    return files[0] if set(rows[shared[0]][without_target(rows, shared)]) == set(asked[shared[0]]) else None


def without_target(rows: pd.DataFrame, asked: list[str]) -> pd.Series:
    """Of rows as text whether they lack all of `asked` but its first, which names the row."""
    missing: pd.Series = rows[asked[1:]].isin(MISSING).all(axis=1)
    return missing


def copy_durably(source: Path, target: Path) -> None:
    """Copy a regular file, all of it or nothing, until it is on the disk; its permissions become the usual ones."""
    temp = target.with_name(f".{target.name}.tmp")
    try:
        shutil.copyfile(source, temp)
        with temp.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temp, target)
    except OSError as error:
        temp.unlink(missing_ok=True)
        raise BadInput(
            f"{source} can't be copied ({error.strerror}): check its permissions and the free space"
        ) from None
