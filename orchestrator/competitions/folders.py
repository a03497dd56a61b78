"""A competition's folder as people have it: which file is what, and which may be shown to experiments.

FOLDER/train.csv test.csv sample_submission.csv …          flat
FOLDER/public/… FOLDER/private/answers.csv FOLDER/meta.json   split (also below FOLDER/prepared/)
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.competitions.table_files import (
    HIDDEN,
    PACKED,
    copy_durably,
    find_tables,
    home_of_tables,
    is_table,
    unpack,
)
from orchestrator.competitions.tables import check_file
from orchestrator.errors import BadInput

_PRIVATE_ANSWERS = re.compile(r"^(answers?|solutions?|test|test_labels?|labels?)\.(csv|tsv|parquet)$", re.IGNORECASE)
_FLAT_ANSWERS = re.compile(r"^(answers?|solutions?|test_labels?)\.(csv|tsv|parquet)$", re.IGNORECASE)


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
    answers = _first(private, _PRIVATE_ANSWERS) if private else _first(public, _FLAT_ANSWERS)
    description = _existing(public / "description.md", folder / "description.md", root / "description.md")
    meta = _existing(root / "meta.json", folder / "meta.json")
    leaderboard = _existing(*(place / "leaderboard.csv" for place in (private, root) if place))
    if (home := home_of_tables(public)) is not None:
        found = locate(home, optional)
        return replace(
            found,
            answers=found.answers or answers,
            description=found.description or description,
            meta=found.meta or meta,
            leaderboard=found.leaderboard or leaderboard,
        )
    tables = find_tables(public, optional)
    used = {path.relative_to(public) for path in tables.values()} | {Path(path.name) for path in tables.values()}
    return Layout(
        public,
        tables,
        [path for path in _files(public, folder) if used.isdisjoint([path, *path.parents])],
        answers,
        leaderboard,
        description,
        meta,
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
        if path.suffix.lower() in PACKED:
            names[role] = unpack(path, data)
        else:
            names[role] = path.name
            copy_durably(path, data / path.name)
    for relative in layout.others:
        target = data / relative
        packed = target.suffix.lower() in PACKED and is_table(target.stem)
        if packed and not target.with_suffix("").exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            unpack(layout.public / relative, target.parent)
        elif not packed and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            copy_durably(layout.public / relative, target)
    if layout.description and not (data / "description.md").exists():
        copy_durably(layout.description, data / "description.md")
    return names


def _files(public: Path, limit: Path) -> list[Path]:
    """Every file below `public` that is no secret, as relative paths; links and pipes out of `limit` are refused."""
    found = []
    for place, folders, names in os.walk(public):
        here = Path(place)
        folders[:] = sorted(name for name in folders if not HIDDEN.match(name))
        for name in sorted([*names, *(name for name in folders if (here / name).is_symlink())]):
            path = here / name
            if HIDDEN.match(name) or _FLAT_ANSWERS.match(name):
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
