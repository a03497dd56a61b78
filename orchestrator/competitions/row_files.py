"""A file for each row (a signal, a text, a JSON record), named after the row's id: its columns."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.competitions.infer_columns import column_kind
from orchestrator.competitions.role_tables import RoleTables
from orchestrator.competitions.row_contents import READERS, Row, reader_for
from orchestrator.competitions.table_files import without_target
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

MATCHED = 0.9
"""The least share of a table's ids that must have a file."""
HALF = 0.5
"""The least share of the files that a column other than the id must name."""
MAX_COLUMNS = 2000
RARE = 0.05
"""Of more columns than that, those which fewer rows have are left out: they are keys made of data."""
Places = dict[str, Path]


def make_test(roles: RoleTables) -> None:
    """There is no test table: its rows are those of train without a target that the sample asks for, else its ids."""
    sample, train = roles.frame("sample_submission"), roles.frame("train")
    shared = [name for name in sample.columns if name in train.columns]
    key = shared[0] if shared else str(sample.columns[0])
    roles.names["test"] = "test.csv"
    asked = without_target(train, shared) if len(shared) > 1 else None
    if asked is not None and set(train[key][asked]) == set(sample[key]):
        roles.put("test", train[asked].drop(columns=shared[1:]))
        roles.put("train", train[~asked])
        whole = roles.names["train"]
        roles.notes.append(f"The {asked.sum()} rows of {whole} without {shared[1]} became the test table.")
        return
    roles.put("test", sample[[key]].copy())
    roles.notes.append(f"There is no test table: the ids of {roles.names['sample_submission']} became one.")


def add_row_files(roles: RoleTables) -> None:
    """Add what the rows' files hold to train and test. Raises BadInput where there would be nothing to learn from."""
    key = roles.key()
    name, found = _find(roles, key) if key else ("", {})
    if found:
        suffixes = {path.suffix.lower() for places in found.values() for path in places.values()}
        for suffix in sorted(suffixes - set(READERS)):
            roles.notes.append(f"Files *{suffix} for each {name} are not read: only the tables' columns count.")
        readable = {
            role: {name: path for name, path in places.items() if path.suffix.lower() in READERS}
            for role, places in found.items()
        }
        if all(readable.values()):
            _add(roles, name, readable)
    bare = roles.columns("test") == [key] and not set(roles.columns("train")) & set(roles.columns("test")) - {key}
    if bare and key and column_kind(roles.frame("test")[key]) != "date":  # days are something to learn from
        raise BadInput(
            f"{roles.data} has no features for the rows of {roles.names['test']}: no columns, and no file for each "
            f"{key} that could be read (text, JSON or tables): make a train and a test table of them yourself"
        )


def _find(roles: RoleTables, key: str) -> tuple[str, dict[str, Places]]:
    """The column that names files, and role → its value → file, where nearly every row has one."""
    indexes = _indexes(roles.data)
    others = [name for name in roles.columns("train") if name in roles.columns("test") and name != key]
    for column in (key, *others) if indexes else ():
        found: dict[str, Places] = {}
        for role in ("train", "test"):
            ids = set(roles.frame(role)[column])
            fitting = [(folder, places) for folder, places in indexes if _share(ids, places) >= MATCHED]
            if fitting:
                found[role] = min(fitting, key=lambda pair: (role not in pair[0].lower(), pair[0]))[1]
        if len(found) == 2:
            named = set().union(*(roles.frame(role)[column] for role in found))
            # a number that happens to be a file's name is no key
            if column == key or _share(set().union(*found.values()), named) >= HALF:
                return column, found
    return key, {}


def _share(ids: set[str], known: Collection[str]) -> float:
    return sum(one in known for one in ids) / max(1, len(ids))


def _indexes(data: Path) -> list[tuple[str, Places]]:
    """(folder, id → file) for every folder and ending; the id is the file's name, or its folder's."""
    groups: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for place, folders, names in os.walk(data):
        folders.sort()
        parts = Path(place).relative_to(data).parts
        for name in sorted(names) if parts else ():
            groups[(parts[0], Path(name).suffix.lower())].append(Path(place) / name)
    indexes: list[tuple[str, Places]] = []
    for (folder, _), paths in sorted(groups.items()):
        stems: Callable[[Path], str] = (
            (lambda path: path.parent.name) if _same_stem(paths) else (lambda path: path.stem)
        )
        indexes += [(folder, {stems(path): path for path in paths}), (folder, {path.name: path for path in paths})]
    return indexes


def _same_stem(paths: list[Path]) -> bool:
    return len(paths) > 1 and len({path.name for path in paths}) == 1


def _add(roles: RoleTables, key: str, found: dict[str, Places]) -> None:
    paths = [path for places in found.values() for path in list(places.values())[:20]]
    read = reader_for(paths)
    if read is None:
        roles.notes.append(f"Files *{paths[0].suffix} hold numbers for each row: experiments find them under data/.")
        return
    frames = {role: _rows(roles, roles.frame(role)[key], places, read) for role, places in found.items()}
    shared = [name for name in frames["train"].columns if name in frames["test"].columns][:MAX_COLUMNS]
    for role, frame in frames.items():
        frame = frame[shared].rename(columns={name: f"file_{name}" for name in shared})
        own = roles.frame(role).drop(columns=frame.columns, errors="ignore")
        roles.put(role, own.join(frame.set_index(roles.frame(role).index)))
    kinds = Counter(path.suffix.lower() for places in found.values() for path in places.values())
    roles.notes.append(
        f"Each {key} has a file (*{kinds.most_common(1)[0][0]}, {kinds.total()} in all): what they hold became "
        f"{len(shared)} columns file_…"
    )


def _rows(roles: RoleTables, ids: pd.Series, places: Places, read: Callable[[Path], Row]) -> pd.DataFrame:
    """A row for each id, in their order; nothing but holes where its file can't be read.

    Raises BadInput when that is so of most files.
    """
    import pandas as pd

    bad: dict[str, str] = {}

    def one(name: str) -> Row:
        try:
            return read(places[name]) if name in places else {}
        except BadInput as error:
            bad[name] = str(error)
            return {}

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        rows = list(pool.map(one, ids))
    if bad:
        known = len({*ids} & {*places})
        many, first = f"{len(bad)} of {known} files for each {ids.name}", bad[min(bad)].replace(f"{roles.data}/", "")
        if len(bad) > HALF * known:
            raise BadInput(f"{many} can't be read, the first because {first}")
        roles.notes.append(f"{many} can't be read, and their rows have no columns file_…: {first}.")
    counts = Counter(name for row in rows for name in row)
    if len(counts) > MAX_COLUMNS:
        rows = [{name: row[name] for name in row if counts[name] >= RARE * len(rows)} for row in rows]
    return pd.DataFrame(rows)
