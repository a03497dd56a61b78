"""A competition's folder as people have it: which file is what, and which may be shown to experiments.

FOLDER/train.csv test.csv sample_submission.csv …          flat
FOLDER/public/… FOLDER/private/answers.csv FOLDER/meta.json   split (also below FOLDER/prepared/)
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import zipfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.competitions.tables import check_file
from orchestrator.errors import BadInput

_TABLE = r"\.(csv|tsv|parquet|csv\.zip|zip)$"
ROLES = {
    "train": rf"^train(ing)?([_-]?(set|data))?{_TABLE}",
    "test": rf"^test(ing)?([_-]?(set|data))?{_TABLE}",
    "sample_submission": rf"^[\w-]*submission[\w-]*{_TABLE}",
}
_PRIVATE_ANSWERS = re.compile(r"^(answers?|solutions?|test|test_labels?|labels?)\.(csv|tsv|parquet)$", re.IGNORECASE)
_FLAT_ANSWERS = re.compile(r"^(answers?|solutions?|test_labels?)\.(csv|tsv|parquet)$", re.IGNORECASE)
_HIDDEN = re.compile(r"^(\..*|__pycache__|private|meta\.json|leaderboard\.csv)$", re.IGNORECASE)
MAX_UNPACKED_BYTES = 50 << 30


@dataclass(frozen=True)
class Layout:
    """Where everything is. `tables`: role → file; `others`: paths below `public` that experiments may read too."""

    public: Path
    tables: dict[str, Path]
    others: list[Path]
    answers: Path | None
    leaderboard: Path | None
    description: Path | None
    meta: Path | None


def locate(folder: Path, optional: Collection[str] = ()) -> Layout:
    """Find the competition's files. Raises BadInput that names what is missing or can't be copied.

    `optional`: roles that may be missing.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder} is no folder: give the one that holds train.csv, test.csv and sample_submission.csv")
    root = folder / "prepared" if (folder / "prepared" / "public").is_dir() else folder
    public = root / "public" if (root / "public").is_dir() else root
    private = root / "private" if (root / "private").is_dir() else None
    found = {role: _find(public, role, needed=role not in optional) for role in ROLES}
    tables = {role: path for role, path in found.items() if path is not None}
    answers = _first(private, _PRIVATE_ANSWERS) if private else _first(public, _FLAT_ANSWERS)
    used = {path.name for path in tables.values()}
    return Layout(
        public,
        tables,
        [path for path in _files(public, folder) if path.parts[0] not in used],
        answers,
        _existing(*(place / "leaderboard.csv" for place in (private, root) if place)),
        _existing(public / "description.md", folder / "description.md", root / "description.md"),
        _existing(root / "meta.json", folder / "meta.json"),
    )


def read_meta(path: Path | None) -> dict[str, Any]:
    """What meta.json states, checked for types; {} without one."""
    if path is None:
        return {}
    try:
        meta = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{path} is not readable as JSON: {error}; correct or remove it") from None
    if not isinstance(meta, dict):
        raise BadInput(f"{path} holds {type(meta).__name__}, not an object: correct or remove it")
    for key in ("metric", "metric_direction", "id_column", "group_column", "slug"):
        if not isinstance(meta.get(key), str | None):
            raise BadInput(f"{path}: {key} must be a text: correct or remove it")
    for key in ("target_columns", "submission_columns"):
        value = meta.get(key)
        if value is not None and not (isinstance(value, list) and all(isinstance(name, str) for name in value)):
            raise BadInput(f"{path}: {key} must be a list of column names: correct or remove it")
    if meta.get("metric_direction") not in (None, "maximize", "minimize"):
        raise BadInput(f'{path}: metric_direction must be "maximize" or "minimize": correct or remove it')
    return meta


def copy_public(layout: Layout, data: Path) -> dict[str, str]:
    """Copy what experiments may read into the folder `data`, zipped tables unpacked; role → file name there."""
    names = {}
    for role, path in layout.tables.items():
        check_file(path)
        if path.suffix.lower() == ".zip":
            names[role] = unpack(path, data)
        else:
            names[role] = path.name
            copy_file(path, data / path.name)
    for relative in layout.others:
        target = data / relative
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            copy_file(layout.public / relative, target)
    if layout.description and not (data / "description.md").exists():
        copy_file(layout.description, data / "description.md")
    return names


def copy_file(source: Path, target: Path) -> None:
    """Copy a regular file durably; its permissions become the usual ones."""
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise BadInput(
            f"{source} can't be copied ({error.strerror}): check its permissions and the free space"
        ) from None
    with target.open("rb") as file:
        os.fsync(file.fileno())


def unpack(path: Path, folder: Path) -> str:
    """Unpack the one table of a zip archive into `folder`; its name there."""
    wanted = path.stem if _is_table(path.stem) else f"{path.stem}.csv"
    try:
        with zipfile.ZipFile(path) as archive:
            members = [item for item in archive.infolist() if _is_table(item.filename)]
            members = [item for item in members if not item.filename.startswith("__MACOSX")]
            if len(members) != 1 or members[0].file_size > MAX_UNPACKED_BYTES:
                raise BadInput(f"{path} holds {len(members)} tables instead of one: unpack it yourself")
            with archive.open(members[0]) as source, (folder / wanted).open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
                target.flush()
                os.fsync(target.fileno())
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise BadInput(f"{path} can't be unpacked ({error}): get the file again, or unpack it yourself") from None
    return wanted


def _is_table(name: str) -> bool:
    return name.lower().endswith((".csv", ".tsv", ".parquet"))


def _find(public: Path, role: str, needed: bool) -> Path | None:
    """The file of a role; of several, the plainest name in the handiest format."""
    formats = [".csv", ".tsv", ".parquet", ".zip"]
    found = [path for path in sorted(public.iterdir()) if re.match(ROLES[role], path.name, re.IGNORECASE)]
    found = [path for path in found if not (path.is_dir() and any(other.is_file() for other in found))]
    if not found and not needed:
        return None
    if not found:
        raise BadInput(f"{public} has no {role}.csv (nor .parquet, nor .zip): put it there")

    def rank(path: Path) -> tuple[bool, bool, int, int, str]:
        name = path.name.lower()
        plain = name.split(".")[0].replace("_", "") == role.replace("_", "")
        return not plain, "sample" not in name, formats.index(path.suffix.lower()), len(name), path.name

    return min(found, key=rank)


def _files(public: Path, limit: Path) -> list[Path]:
    """Every file below `public` that is no secret, as relative paths; links and pipes out of `limit` are refused."""
    found = []
    for place, folders, names in os.walk(public):
        here = Path(place)
        folders[:] = sorted(name for name in folders if not _HIDDEN.match(name))
        for name in sorted([*names, *(name for name in folders if (here / name).is_symlink())]):
            path = here / name
            if _HIDDEN.match(name) or _FLAT_ANSWERS.match(name):
                continue
            if path.is_symlink() and not path.resolve().is_relative_to(limit.resolve()):
                raise BadInput(f"{path} is a link out of the folder: replace it by a copy of what it points to")
            if not path.is_dir():
                if not path.exists() or not stat.S_ISREG(path.stat().st_mode):
                    raise BadInput(f"{path} is no regular file (a pipe, a device or a broken link): remove it")
                found.append(path.relative_to(public))
    return found


def _first(folder: Path, pattern: re.Pattern[str]) -> Path | None:
    found = [path for path in folder.iterdir() if pattern.match(path.name)]
    return min(found, key=lambda path: (not path.name.lower().startswith("answer"), path.name)) if found else None


def _existing(*paths: Path) -> Path | None:
    return next((path for path in paths if path.is_file()), None)
