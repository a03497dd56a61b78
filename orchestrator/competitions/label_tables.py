"""Labels in a table of their own, and labels spread over 0/1 columns of which each row marks exactly one."""

from __future__ import annotations

import re
from pathlib import Path

from orchestrator.competitions.infer_columns import marked
from orchestrator.competitions.infer_metric import COLUMNWISE, read_description
from orchestrator.competitions.role_tables import RoleTables, header_or_none
from orchestrator.competitions.tables import read_verbatim

_LABELS = re.compile(r"label|target|(^|[_-])y([_-]|$)|answer", re.IGNORECASE)
MATCHED = 0.9
"""The least share of train's rows that a table of labels must name."""
EXCLUSIVE = ("log_loss", "accuracy", "f1_macro", "f1_micro", "f1_weighted", "balanced_accuracy", "mcc", "map")
"""Metrics of one class per row."""


def join_labels(roles: RoleTables) -> None:
    """Add the target columns to train from the table that has them, by the id they share or row by row."""
    train, asked = roles.columns("train"), roles.asked()
    if any(name in train for name in asked):
        return
    tables = {path: header_or_none(path) for path in roles.others()}

    def rank(path: Path) -> tuple[int, bool]:
        return -len(set(asked) & set(tables[path])), not _LABELS.search(path.name)

    for path in sorted(tables, key=rank):
        columns = tables[path]
        named = [name for name in asked if name in columns]
        fresh = [name for name in columns if name not in train]
        if not fresh or not (named or (_LABELS.search(path.stem) and not roles.only_in_train())):
            continue
        if _joined(roles, path, [name for name in columns if name in train], fresh):
            return


def _joined(roles: RoleTables, path: Path, shared: list[str], fresh: list[str]) -> bool:
    labels, train = read_verbatim(path), roles.frame("train")
    key = next((name for name in shared if labels[name].is_unique), None)
    if key is None:
        if shared or len(labels) != len(train):
            return False
        roles.put("train", train.assign(**{name: labels[name].to_numpy() for name in fresh}))
        roles.notes.append(f"{path.name} gave train its {_few(fresh)}, row by row.")
        return True
    if train[key].isin(labels[key]).mean() < MATCHED:
        return False
    roles.put("train", train.merge(labels[[key, *fresh]], on=key, how="left").fillna(""))
    roles.notes.append(f"{path.name} gave train its {_few(fresh)}, joined by {key}.")
    return True


def merge_one_hot(roles: RoleTables, description: str) -> None:
    """One column of classes instead of 0/1 columns that exclude each other, when the metric is of classes."""
    asked = roles.asked()
    if len(asked) < 3 or not set(asked) <= set(roles.columns("train")):
        return
    metric = read_description(description).metric or ""
    if metric.split("@")[0] not in EXCLUSIVE or (metric != "log_loss" and COLUMNWISE.search(description.lower())):
        return
    places = marked(roles.part("train", asked))
    if places is None:
        return
    name = next(one for one in ("class", "label", "class_of_row") if one not in roles.columns("train"))
    classes = [asked[place] for place in places]
    roles.put("train", roles.frame("train").drop(columns=asked).assign(**{name: classes}))
    roles.notes.append(f"Each row of train marks one of {_few(asked)}: they became the column {name}.")


def _few(names: list[str]) -> str:
    return f"{', '.join(names[:4])}{' …' if len(names) > 4 else ''}"
