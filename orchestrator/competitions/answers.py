"""The held-out answers in one form: the id (when there is one), the target columns, and `Usage` when it came with them.

Rows stand in the order of the sample submission, labels as train writes them. Of several targets that are scored one by
one a row may lack some.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.competitions.infer_columns import marked, same_text
from orchestrator.competitions.tables import AMOUNT, MISSING, read_verbatim
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd


def read_answers(path: Path, sample: Path, spec: dict[str, Any]) -> pd.DataFrame:
    """Answers as text, checked against the sample submission and the inferred section `spec`.

    Raises BadInput that names the missing rows, columns or values.
    """
    import pandas as pd

    from orchestrator.competitions.metrics import takes_holes

    answers, asked = read_verbatim(path), read_verbatim(sample)
    answers = _in_order(path, answers, asked, spec["id_column"])
    result = pd.DataFrame(index=answers.index)
    if spec["id_column"]:
        result[spec["id_column"]] = answers[spec["id_column"]]
    holes = takes_holes(spec["metric"], None, spec["task"])
    for name, values in _targets(path, answers, spec).items():
        known = values[~values.isin(MISSING)] if holes else values
        _check_values(path, plain_amounts(known), name, spec)
        known = plain_amounts(known) if spec["task"] in ("regression", "multiregression") else known
        result[name] = known.reindex(values.index, fill_value="")
    if "Usage" in answers.columns:
        result["Usage"] = answers["Usage"]
    return result


def plain_amounts(values: pd.Series) -> pd.Series:
    """Amounts written as 1,234.50 or 7 % as plain numbers, when all of them are such."""
    texts = values.str.strip()
    written = texts.str.fullmatch(AMOUNT[1:-1])
    return texts.str.replace(r"[$€£,% ]", "", regex=True) if written.all() else values


def _in_order(path: Path, answers: pd.DataFrame, asked: pd.DataFrame, id_column: str | None) -> pd.DataFrame:
    if id_column is None:
        if len(answers) != len(asked):
            raise BadInput(f"{path} has {len(answers)} rows, the sample submission {len(asked)}: both need as many")
        return answers
    if id_column not in answers.columns:
        raise BadInput(f"{path} lacks the id column {id_column!r}: add it")
    ids = answers[id_column]
    if ids.duplicated().any():
        raise BadInput(f"{path}: the id {ids[ids.duplicated()].iloc[0]!r} stands in more than one row: make it unique")
    wanted = asked[id_column]
    lost, strange = set(wanted) - set(ids), set(ids) - set(wanted)
    if lost:
        raise BadInput(f"{path} lacks {len(lost)} of the sample submission's ids, first {min(lost)!r}: add those rows")
    if strange:
        raise BadInput(f"{path} has {len(strange)} ids that the sample lacks, first {min(strange)!r}: remove them")
    ordered: pd.DataFrame = answers.set_index(id_column, drop=False).loc[wanted].reset_index(drop=True)
    return ordered


def _targets(path: Path, answers: pd.DataFrame, spec: dict[str, Any]) -> dict[str, pd.Series]:
    import pandas as pd

    targets, columns = spec["target_columns"], spec["submission_columns"]
    if all(name in answers.columns for name in targets):
        return {name: answers[name] for name in targets}
    lost = [name for name in columns if name not in answers.columns]
    if lost:
        raise BadInput(f"{path} lacks the column {lost[0]!r}: add it, with the answers")
    if spec["submission_kind"] != "class_columns":
        return {target: answers[name] for target, name in zip(targets, columns, strict=True)}
    positions = marked(answers[columns])
    if positions is None:
        raise BadInput(f"{path}: each row must have one 1 among {', '.join(columns[:5])} and 0 elsewhere")
    return {targets[0]: pd.Series([str(spec["classes"][place]) for place in positions], index=answers.index)}


def _check_values(path: Path, values: pd.Series, name: str, spec: dict[str, Any]) -> None:
    import pandas as pd

    labels = [str(label) for label in spec.get("classes", [])]
    holes = int((values.isin(MISSING) & ~values.isin(labels)).sum())
    if holes:
        raise BadInput(f"{path}: {name} is missing in {holes} rows: fill them in")
    if spec["task"] == "multiclass":
        return  # a label that train lacks is simply missed
    if spec["task"] == "binary":
        known = {same_text(label).lower() for label in labels}
        stray = values[~values.map(same_text).str.lower().isin(known)]
        if len(stray):
            raise BadInput(f"{path}: {name} is {stray.iloc[0]!r} in {len(stray)} rows, which train never has: fix them")
        return
    flags = values.str.strip().str.lower().replace({"true": "1", "false": "0"})
    if pd.to_numeric(flags, errors="coerce").isna().any():
        raise BadInput(f"{path}: {name} holds text where numbers are needed: correct it")
