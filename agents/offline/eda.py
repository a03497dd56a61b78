"""The Builder's first look: what the data is like and what that means for modelling."""

from __future__ import annotations

from typing import Any

from agents.offline import text
from agents.offline.names import NAMES, RECIPES
from agents.offline.notebook import Notebook, read
from agents.offline.options import applicable, hint
from agents.session import Turn

KINDS = ("numeric", "categorical", "text", "date", "bool")
SHOWN = 8


def eda(turn: Turn) -> str:
    """Write eda.md from R00_profile.json."""
    notebook = read(turn, NAMES)
    recipes = sorted(applicable(notebook, RECIPES), key=lambda recipe: (-hint(notebook, recipe), recipe.name))
    strengths = [(recipe.name, recipe.title, f"{hint(notebook, recipe):.2f}") for recipe in recipes[:SHOWN]]
    turn.write(
        "eda.md",
        text.page(
            "The data at first sight",
            ("What it is", text.bullets(describe(notebook))),
            ("What it means", text.bullets(consequences(notebook))),
            ("Recipes that fit, by prior strength", text.table(("recipe", "what", "prior"), strengths)),
            ("Noted by the profile", text.bullets(notes(notebook), "nothing")),
        ),
    )
    return "DONE"


def columns(notebook: Notebook, kind: str) -> list[str]:
    return [str(name) for name in notebook.profile.get(f"{kind}_columns") or []]


def shape(notebook: Notebook) -> str:
    """One line of sizes and kinds."""
    kinds = ", ".join(f"{len(columns(notebook, kind))} {kind}" for kind in KINDS if columns(notebook, kind))
    test = notebook.profile.get("rows_test")
    task, metric = notebook.competition.get("task", "?"), notebook.competition.get("metric", "?")
    better = "larger is better" if notebook.maximize else "smaller is better"
    return f"{task} by {metric} ({better}); {notebook.rows} rows, {test or '?'} in the test; columns: {kinds or '?'}"


def describe(notebook: Notebook) -> list[str]:
    """What the profile says, in lines; parts that it lacks are left out."""
    lines = [shape(notebook)]
    for name, target in sorted((notebook.profile.get("target") or {}).items())[:4]:
        lines.append(f"target {name}: {_target(target)}")
    missing = _shares({name: item.get("missing") for name, item in details(notebook).items()})
    if missing:
        lines.append(f"missing: {', '.join(f'{name} {share:.0%}' for name, share in missing[:SHOWN])}")
    unseen = _shares({name: item.get("unseen_in_test") for name, item in details(notebook).items()})
    if unseen:
        lines.append(f"test values unseen in train: {', '.join(f'{n} {v:.0%}' for n, v in unseen[:SHOWN])}")
    levels = _shares(notebook.profile.get("cardinalities"))
    wide = [(name, size) for name, size in levels if name in columns(notebook, "categorical")]
    if wide:
        lines.append(f"categories with most levels: {', '.join(f'{name} {size:.0f}' for name, size in wide[:SHOWN])}")
    return lines


def details(notebook: Notebook) -> dict[str, dict[str, Any]]:
    """Column → what the profile says of it."""
    found = notebook.profile.get("column_details")
    return (
        {str(name): item for name, item in found.items() if isinstance(item, dict)} if isinstance(found, dict) else {}
    )


def _target(target: dict[str, Any]) -> str:
    shares = target.get("shares")
    if isinstance(shares, dict):
        shown = [f"{name} {float(share):.1%}" for name, share in list(shares.items())[:5]]
        return f"{target.get('distinct', len(shares))} values: {', '.join(shown)}"
    parts = [
        f"{key} {_short(target[key])}" for key in ("min", "p50", "mean", "max", "skew") if target.get(key) is not None
    ]
    return ", ".join(parts) or "no figures"


def consequences(notebook: Notebook) -> list[str]:
    """What follows for modelling."""
    rows, competition = notebook.rows, notebook.competition
    wide = [
        n
        for n, size in _shares(notebook.profile.get("cardinalities"))
        if size > 50 and n in columns(notebook, "categorical")
    ]
    lines = []
    if rows < 5000:
        lines.append("few rows: noise between folds is large, so simple models, bags and blends over fine tuning")
    elif rows > 200_000:
        lines.append("many rows: boosters with larger leaves, no quadratic kernels, time decides")
    if columns(notebook, "text"):
        lines.append("text: linear models on word and character TF-IDF first, then their scores inside boosters")
    if not columns(notebook, "categorical") and not columns(notebook, "text") and rows < 10_000:
        lines.append("numbers of one kind and few rows: kernels and distances may beat trees")
    if wide:
        lines.append(f"many levels in {', '.join(wide[:4])}: target and count encodings inside the folds")
    if columns(notebook, "date"):
        lines.append("dates: parts of them as features, and care that the folds respect time")
    if competition.get("group_column"):
        lines.append(f"groups in {competition['group_column']}: folds and encodings keep them together")
    if competition.get("time_column"):
        lines.append(f"time in {competition['time_column']}: validate on later rows than those trained on")
    if notebook.profile.get("missing_shifts"):
        names = ", ".join(list(notebook.profile["missing_shifts"])[:4])
        lines.append(f"train and test differ in their holes ({names}): watch the leaderboard against the folds")
    skewed = [name for name, item in (notebook.profile.get("target") or {}).items() if abs(item.get("skew") or 0.0) > 2]
    if skewed:
        lines.append(f"skewed target ({', '.join(skewed)}): try its logarithm")
    rare = [item.get("rarest_rows") or 99 for item in (notebook.profile.get("target") or {}).values()]
    if rare and min(rare) < 20:
        lines.append(f"the rarest class has {min(rare)} rows: scores of single folds jump, trust the mean alone")
    return lines or ["an ordinary table: gradient boosting first, then models that err differently"]


def notes(notebook: Notebook) -> list[str]:
    """Oddities that the profile found."""
    profile = notebook.profile
    lines = []
    for key, value in (profile.get("duplicates") or {}).items():
        if value:
            lines.append(f"duplicates, {key.replace('_', ' ')}: {value}")
    for key in ("constant_columns", "train_only_columns", "test_only_columns", "json_columns"):
        if profile.get(key):
            lines.append(f"{key.replace('_', ' ')}: {text.one_line(', '.join(profile[key]), 150)}")
    for name, (train, test) in list((profile.get("missing_shifts") or {}).items())[:SHOWN]:
        lines.append(f"missing in {name}: {train:.1%} of train, {test:.1%} of test")
    for item in (profile.get("files") or [])[:SHOWN]:
        lines.append(f"also there: {item.get('name')} ({item.get('bytes', 0) / 1e6:.1f} MB)")
    return lines


def _shares(value: Any) -> list[tuple[str, float]]:
    """name → number, largest first, zeros left out."""
    if not isinstance(value, dict):
        return []
    pairs = [(str(name), float(number)) for name, number in value.items() if isinstance(number, int | float)]
    return sorted(((name, number) for name, number in pairs if number), key=lambda pair: (-pair[1], pair[0]))


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return text.one_line(str(value), 80)
