"""Side tables: what they say of a row's keys becomes columns; several rows of a key become statistics."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.competitions.role_tables import RoleTables, header_or_none
from orchestrator.competitions.tables import read_table, told_apart
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

MAX_BYTES = 1 << 30
"""The most that train, test and a side table may hold together."""
MATCHED = 0.5
"""The least share of train's and of test's rows that a side table must know..."""
KNOWN = 0.9
"""... or the least share of its keys that train and test must know."""
MAX_COLUMNS = 300
MAX_LEVELS = 8
MAX_LETTERS = 80
_UNFIT = re.compile(r'[\r\n\t;"]+')
"""What a header can't hold, or what looks like the mark between its columns."""
_LOOSE = r"^\s|\s$|\.0+$"
_WHOLE = r"^(-?\d+)\.0+$", r"\1"
"""What a whole number with a fraction of zeros becomes."""
_PART = re.compile(r"^(train|test)(ing)?[_-]+|[_-]+(train|test)$", re.IGNORECASE)
_PLACE = "in train or test"
_NO_SIDE = re.compile(r"submission|sample|unlabell?ed|^answers?|^solutions?|labels?$|description", re.IGNORECASE)


def sum_up_series(roles: RoleTables) -> None:
    """One row per key instead of several, where the sample asks once per key and train holds no labels."""
    import pandas as pd

    key = roles.key()
    if key is None or any(name in roles.columns("train") for name in roles.asked()) or _bytes(roles) > MAX_BYTES:
        return
    paths = {role: roles.data / roles.names[role] for role in ("train", "test", "sample_submission")}
    keys = {role: read_table(path, as_text=[key], columns=[key])[key] for role, path in paths.items() if path.is_file()}
    if len(keys) < 3 or keys["sample_submission"].duplicated().any() or not keys["test"].duplicated().any():
        return
    if set(keys["test"]) != set(keys["sample_submission"]):
        return
    shared = [name for name in roles.columns("train") if name in roles.columns("test")]
    frames = [read_table(paths[role], as_text=[key], columns=shared) for role in ("train", "test")]
    columns = _summary(pd.concat(frames, keys=["train", "test"], names=[_PLACE]).reset_index(_PLACE), [_PLACE, key], [])
    for role in ("train", "test"):
        roles.put(role, columns[columns[_PLACE] == role].drop(columns=_PLACE).reset_index(drop=True))
    roles.notes.append(f"Several rows of a {key} were summed up in {len(columns.columns) - 2} columns.")


def _bytes(roles: RoleTables) -> int:
    paths = [roles.data / roles.names[role] for role in ("train", "test")]
    return sum(path.stat().st_size for path in paths if path.is_file())


def add_side_tables(roles: RoleTables) -> None:
    """Join every table that shares keys with train and test and holds none of the answers."""
    secret = {*roles.only_in_train(), *roles.asked()}
    parts: dict[str, list[Path]] = {}
    for path in roles.others():
        if not _NO_SIDE.search(path.stem) and not secret & set(header_or_none(path)):
            parts.setdefault(_PART.sub("", path.stem), []).append(path)
    own = _bytes(roles)
    for name, paths in parts.items():
        keys = _shared(roles, paths)
        if not keys:
            continue
        if own + sum(path.stat().st_size for path in paths) > MAX_BYTES:
            roles.notes.append(f"{paths[0].name} is large and was not joined: experiments find it under data/.")
            continue
        _join(roles, name, paths, keys)


def _shared(roles: RoleTables, paths: list[Path]) -> list[str]:
    """The columns that train, test and all parts of a side table share, as they may be keys."""
    names = [set(header_or_none(path)) for path in paths]
    test = set(roles.columns("test"))
    return [name for name in roles.columns("train") if name in test and all(name in part for part in names)]


def _join(roles: RoleTables, name: str, paths: list[Path], keys: list[str]) -> None:
    import pandas as pd

    try:
        tables = [read_table(path, as_text=keys) for path in paths]
    except BadInput:
        return
    for table in tables[1:]:
        table.columns = pd.Index([_fitting(column, list(tables[0].columns)) for column in table.columns])
    side = pd.concat(tables, ignore_index=True)
    side = side.drop_duplicates(ignore_index=True) if len(tables) > 1 else side
    if len(side.columns) > MAX_COLUMNS or len(side.columns) == len(keys):
        return
    rows = _respelled({"": side, **{role: roles.frame(role) for role in ("train", "test")}}, keys)
    side[keys] = rows.pop("")
    used = _keys(rows, side, keys)
    shown = ", ".join(path.name for path in paths)
    if not used:
        roles.notes.append(
            f"{shown} was not joined: train and test know too few of its values of {', '.join(keys[:4])}."
        )
        return
    unique = not side.duplicated(used).any()
    columns = side.drop(columns=[key for key in keys if key not in used]) if unique else _summary(side, used, keys)
    prefix = re.sub(r"\W+", "_", name)
    columns = columns.drop(columns=[one for one in columns.columns if one not in used and f"{prefix}_{one}" in used])
    columns = columns.rename(columns={one: f"{prefix}_{one}" for one in columns.columns if one not in used})
    fresh = [one for one in columns.columns if one not in roles.columns("train")]
    if not fresh:
        return
    for role in ("train", "test"):
        known = roles.frame(role).drop(columns=fresh, errors="ignore").reset_index(drop=True)
        roles.put(role, known.join(rows[role][used].merge(columns[[*used, *fresh]], on=used, how="left")[fresh]))
    many = "" if unique else ", its rows summed up"
    roles.notes.append(f"{shown} gave {len(fresh)} columns {prefix}_…, joined by {', '.join(used)}{many}.")


def _fitting(name: str, known: list[str]) -> str:
    """The same column under another spelling (id-01, id_01)."""
    plain = {re.sub(r"\W|_", "", one).lower(): one for one in known}
    return name if name in known else plain.get(re.sub(r"\W|_", "", name).lower(), name)


def _respelled(tables: dict[str, pd.DataFrame], keys: list[str]) -> dict[str, pd.DataFrame]:
    """The keys of each table as texts; 3 and 3.0 in one spelling where no table tells them apart."""
    import pyarrow as pa
    from pyarrow import compute as pc

    found = {name: table[keys].astype(str).reset_index(drop=True) for name, table in tables.items()}
    for key in keys:
        texts = [pa.array(table[key], pa.large_string()) for table in found.values()]
        if not any(pc.any(pc.match_substring_regex(column, _LOOSE)).as_py() for column in texts):
            continue
        plain = [pc.replace_substring_regex(pc.utf8_trim_whitespace(column), *_WHOLE) for column in texts]
        pairs = zip(texts, plain, strict=True)
        if all(pc.count_distinct(before).as_py() == pc.count_distinct(after).as_py() for before, after in pairs):
            for table, column in zip(found.values(), plain, strict=True):
                table[key] = column.to_pandas()
    return found


def _keys(rows: dict[str, pd.DataFrame], side: pd.DataFrame, keys: list[str]) -> list[str]:
    """All shared columns when they name the side table's rows; else the one that knows most rows."""
    options = [keys, *([key] for key in keys)] if len(keys) > 1 else [keys]
    fitting: list[tuple[bool, float, int, int, list[str]]] = []
    for used in options:
        known = _tuples(side, used)
        texts = [_tuples(table, used) for table in rows.values()]
        shares = [float(values.isin(known).mean()) for values in texts]
        both = set().union(*texts)
        if len(both) < 2 or known.nunique() < 2:
            continue
        if min(shares) >= MATCHED or (known.drop_duplicates().isin(both).mean() >= KNOWN and min(shares) > 0):
            unique = known.is_unique
            fitting.append((not unique, -min(shares), -len(set(known)), len(fitting), used))
    return min(fitting)[-1] if fitting else []


def _tuples(frame: pd.DataFrame, names: list[str]) -> pd.Series:
    texts = frame[names[0]].astype(str)
    for name in names[1:]:
        texts = texts + "\x1f" + frame[name].astype(str)
    return texts


def _summary(side: pd.DataFrame, used: list[str], keys: list[str]) -> pd.DataFrame:
    """One row per key: how many rows; of numbers the mean, extremes, sum, spread and last; of labels how often each.

    What is the same in all rows of a key stays.
    """
    import pandas as pd

    side = side.drop(columns=[key for key in keys if key not in used])
    grouped = side.groupby(used, sort=False)
    parts: list[Any] = [grouped.size().rename("rows")]
    for name in [name for name in side.columns if name not in used]:
        column = side[name]
        if not column.hasnans and grouped[name].nunique().max() == 1:
            parts.append(grouped[name].first())
            continue
        if column.dtype.kind in "iufb" and not (column.dtype.kind in "iu" and column.is_unique):
            numbers = side[used].assign(**{"value": column.astype(float)}).groupby(used, sort=False)["value"]
            found = numbers.agg(["mean", "min", "max", "sum", "std", "last"])
            parts.append(found.rename(columns=lambda kind, name=name: f"{name}_{kind}"))  # type: ignore[misc]
        elif column.dtype.kind not in "iufb" and column.nunique() < 0.5 * len(column):
            parts.append(grouped[name].nunique().rename(f"{name}_distinct"))
            parts.append(grouped[name].last().rename(f"{name}_last"))
            for level in column.value_counts().index[:MAX_LEVELS]:
                share = (column == level).groupby([side[key] for key in used], sort=False).mean()
                parts.append(share.rename(f"{name}_is_{_UNFIT.sub('_', str(level))[:MAX_LETTERS]}"))
    found = pd.concat(parts, axis=1)
    return found.set_axis(told_apart(list(map(str, found.columns)), used), axis=1).reset_index()
