"""The sample submission held against config.json and the test table, before a campaign writes its first file."""

from __future__ import annotations

from pathlib import Path

from orchestrator.competitions.tables import header, read_table
from orchestrator.config import CompetitionSection
from orchestrator.errors import BadInput


def check_features(data: Path, spec: CompetitionSection) -> None:
    """Raise BadInput when train and test share no column to learn from."""
    shared = set(header(data / spec.train)) & set(header(data / spec.test))
    if not shared - {*spec.target_columns, *spec.drop_columns, *({spec.id_column} - {*spec.date_columns})}:
        raise BadInput(f"{data / spec.test} shares no feature with {spec.train}: take both from the same competition")


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
