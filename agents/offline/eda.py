"""The Builder's first look: what the data is like and what that means for modelling."""

from __future__ import annotations

from typing import Any

from agents.offline import text
from agents.offline.notebook import Notebook, read
from agents.offline.options import applicable
from agents.session import Turn

KINDS = ("numeric", "categorical", "text", "date", "bool")
SHOWN = 8


def eda(turn: Turn) -> str:
    """Write eda.md from R00_profile.json."""
    notebook = read(turn)
    strengths = [(r.name, r.title, f"{r.hint(notebook.data):.2f}") for r in applicable(notebook)[:SHOWN]]
    turn.write(
        "eda.md",
        text.page(
            "The data at first sight",
            ("What it is", text.bullets(describe(notebook))),
            ("What it means", text.bullets(consequences(notebook))),
            ("Recipes that fit, by prior strength", text.table(("recipe", "what", "prior"), strengths)),
            ("Noted by the profile", text.bullets(notes(notebook.profile))),
        ),
    )
    return "DONE"


def shape(notebook: Notebook) -> str:
    """One line of sizes and kinds."""
    profile, competition = notebook.profile, notebook.competition
    kinds = [f"{len(profile[f'{kind}_columns'])} {kind}" for kind in KINDS if profile[f"{kind}_columns"]]
    better = "larger is better" if notebook.facts["maximize"] else "smaller is better"
    sizes = f"{profile['rows']['train']} rows, {profile['rows']['test']} in the test"
    if left_out := profile.get("rows_left_out"):
        sizes += f" ({left_out} labelled rows are left out: cv.rows)"
    return f"{competition['task']} by {competition['metric']} ({better}); {sizes}; columns: {', '.join(kinds)}"


def describe(notebook: Notebook) -> list[str]:
    """What the profile says, in lines."""
    details = notebook.profile["column_details"]
    lines = [shape(notebook)]
    lines += [f"target {name}: {_target(target)}" for name, target in list(notebook.profile["target"].items())[:4]]
    if missing := _largest({name: column.get("missing") for name, column in details.items()}):
        lines.append(f"missing: {', '.join(f'{name} {share:.0%}' for name, share in missing)}")
    if unseen := _largest({name: column.get("unseen_in_test") for name, column in details.items()}):
        lines.append(f"test values unseen in train: {', '.join(f'{name} {share:.0%}' for name, share in unseen)}")
    if levels := _levels(notebook.profile):
        lines.append(f"categories with most levels: {', '.join(f'{name} {size}' for name, size in levels)}")
    return lines


def _target(target: dict[str, Any]) -> str:
    if "shares" in target:
        shares = [f"{name} {share:.1%}" for name, share in list(target["shares"].items())[:5]]
        return f"{target['distinct']} values: {', '.join(shares)}"
    keys = [key for key in ("min", "p50", "mean", "max", "skew") if target.get(key) is not None]
    return ", ".join(f"{key} {target[key]:.4g}" for key in keys)


def _levels(profile: dict[str, Any]) -> list[tuple[str, Any]]:
    """The categories with most levels, largest first."""
    details = profile["column_details"]
    return _largest({name: details[name].get("distinct") for name in profile["categorical_columns"] if name in details})


def _largest(values: dict[str, Any]) -> list[tuple[str, Any]]:
    """The largest of the values, zeros left out."""
    pairs = [(name, value) for name, value in values.items() if value]
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:SHOWN]


def consequences(notebook: Notebook) -> list[str]:
    """What follows for modelling."""
    profile, competition = notebook.profile, notebook.competition
    lines = []
    if wide := [name for name, size in _levels(profile) if size > 50]:
        lines.append(f"many levels in {', '.join(wide[:4])}: target and count encodings inside the folds")
    if competition.get("group_column"):
        lines.append(f"groups in {competition['group_column']}: folds and encodings keep them together")
    if competition.get("time_column"):
        later = notebook.facts.get("cv_strategy") == "time"
        how = "validate on later rows than those trained on" if later else "early stopping splits as the folds do"
        lines.append(f"time in {competition['time_column']}: {how}")
    if profile["missing_shifts"]:
        names = ", ".join(list(profile["missing_shifts"])[:4])
        lines.append(f"train and test differ in their holes ({names}): watch the leaderboard against the folds")
    if skewed := [name for name, target in profile["target"].items() if abs(target.get("skew") or 0.0) > 2]:
        lines.append(f"skewed target ({', '.join(skewed)}): try its logarithm")
    rarest = min((target.get("rarest_rows", 99) for target in profile["target"].values()), default=99)
    if rarest < 20:
        lines.append(f"the rarest class has {rarest} rows: scores of single folds jump, trust the mean alone")
    return lines


def notes(profile: dict[str, Any]) -> list[str]:
    """Oddities that the profile found."""
    lines = [f"duplicates, {key.replace('_', ' ')}: {count}" for key, count in profile["duplicates"].items() if count]
    for key in ("constant_columns", "train_only_columns", "test_only_columns", "json_columns"):
        if profile.get(key):
            lines.append(f"{key.replace('_', ' ')}: {text.one_line(', '.join(profile[key]), 150)}")
    lines += [f"also there: {file['name']} ({file['bytes'] / 1e6:.1f} MB)" for file in profile.get("files", [])[:SHOWN]]
    return lines
