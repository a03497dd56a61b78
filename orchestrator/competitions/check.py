"""config.json held against the tables' columns and the sample, before a campaign writes its first file."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from orchestrator.competitions.tables import header, read_table
from orchestrator.config import CompetitionSection
from orchestrator.errors import BadInput


def check_columns(data: Path, spec: CompetitionSection) -> None:
    """Raise BadInput for a column that the tables lack, and when train and test share none to learn from."""
    train, test = header(data / spec.train), header(data / spec.test)
    for key in ("target_columns", "group_column", "time_column"):
        value = getattr(spec, key)
        _check_names(key, value if isinstance(value, list) else [value] if value else [], train, spec.train)
    for key in ("text_columns", "date_columns", "drop_columns"):
        _check_names(key, getattr(spec, key), [*train, *test], f"{spec.train} and {spec.test}")
    if len(set(spec.target_columns)) < len(spec.target_columns):
        raise BadInput("config.json: competition.target_columns names a column twice: name each once")
    shared = set(train) & set(test)
    if not shared - {*spec.target_columns, *spec.drop_columns, *({spec.id_column} - {*spec.date_columns})}:
        if shared & set(spec.drop_columns):
            raise BadInput("config.json: competition.drop_columns leaves no feature: take some columns out of the list")
        raise BadInput(f"{data / spec.test} shares no feature with {spec.train}: take both from the same competition")


def _check_names(key: str, names: Sequence[str], columns: Sequence[str], where: str) -> None:
    for name in names:
        if name not in columns:
            near = difflib.get_close_matches(name, columns, n=1) or _but_for_case(name, columns)
            known = f"the columns are {', '.join(dict.fromkeys(columns[:20]))}{', …' if len(columns) > 20 else ''}"
            fix = f"did you mean {near[0]!r}?" if near else known
            raise BadInput(f"config.json: competition.{key} names {name!r}, no column of {where}; {fix}")


def _but_for_case(name: str, columns: Sequence[str]) -> list[str]:
    return [column for column in columns if column.casefold() == name.casefold()]


def check_sample(data: Path, spec: CompetitionSection) -> None:
    """Raise BadInput unless every submission can be built from the sample."""
    path = data / spec.sample_submission
    columns = header(path)
    wanted = [*([spec.id_column] if spec.id_column else []), *spec.submission_columns]
    if not spec.submission_columns:
        raise BadInput("config.json: competition.submission_columns is empty: name the sample's prediction columns")
    for name in wanted:
        if name not in columns:
            raise BadInput(f"{path} has no column {name!r}, which config.json names; it has {', '.join(columns)}")
    key = spec.id_column if spec.id_column in header(data / spec.test) else wanted[0]
    sample = read_table(path, as_text=[key], columns=[key])[key]
    columns = [key] if key == spec.id_column else header(data / spec.test)[:1]
    test = read_table(data / spec.test, as_text=columns, columns=columns)[columns[0]]
    if len(sample) != len(test):
        raise BadInput(f"{path} has {len(sample)} rows, {spec.test} has {len(test)}: get both files anew")
    if key == spec.id_column and set(sample) != set(test):
        raise BadInput(f"{path}: {len(set(sample) - set(test))} ids are not those of {spec.test}: get both files anew")
