"""Before anything is decided: JSON, labels in a table of their own, files for each row, side tables and the parts of
dates become columns.

What comes as one train and one test table in CSV, TSV or Parquet is left as it is, but for dates.
"""

from __future__ import annotations

from pathlib import Path

from orchestrator.competitions.dates import add_dates
from orchestrator.competitions.json_tables import json_to_csv
from orchestrator.competitions.label_tables import join_labels, merge_one_hot
from orchestrator.competitions.role_tables import RoleTables
from orchestrator.competitions.row_files import add_row_files, make_test
from orchestrator.competitions.side_tables import add_side_tables, sum_up_series
from orchestrator.competitions.table_files import JSON_FORMATS


def prepare(
    data: Path, names: dict[str, str], description: str, *, dates: bool = True
) -> tuple[dict[str, str], list[str]]:
    """Bring the tables in the folder `data` into one train, one test and a sample table.

    `names`: role → file; returns the same for what is to be played, and a sentence for each thing that was done.
    `dates`: whether the parts of moments become dates. A table that changes keeps its name but for the ending; what it
    came from stays. Raises BadInput for files that can't be read.
    """
    given = _without_json(data, names)
    roles = RoleTables(data, given)
    roles.notes += [f"{name} was made of {names[role]}." for role, name in given.items() if name != names[role]]
    if "sample_submission" in given:
        if "test" not in given:
            make_test(roles)
        else:
            sum_up_series(roles)
        join_labels(roles)
        merge_one_hot(roles, description)
    if "test" in roles.names:
        add_row_files(roles)
        add_side_tables(roles)
        if dates:
            add_dates(roles)
    roles.save()
    return roles.names, roles.notes


def _without_json(data: Path, names: dict[str, str]) -> dict[str, str]:
    """The names of the tables once those in JSON are written as CSV, all with train's objects left as JSON."""
    made, whole = dict(names), None
    for role in sorted(names, key=lambda role: role != "train"):
        if names[role].lower().endswith(JSON_FORMATS):
            made[role], found = json_to_csv(data / names[role], whole)
            whole = found if role == "train" else whole
    return made
