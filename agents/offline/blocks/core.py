"""Tables in, predictions out: columns by kind, labels, inner folds, the clock."""

from __future__ import annotations

import json
import re
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

READ_A_SECOND = 2e6  # cells of all tables: so that most of the time serves the fit
ENOUGH_ROWS = 100_000  # to learn from, however little time there is
RARE = 10  # rows of each class that are read at least
HUGE = 1e30  # a mark for "none" rather than an amount
CODE_NAME = (  # userId, CLIENT_ID, zip code; or a thing that has a number
    r"(?:^|[^A-Za-z]|(?<=[a-z])(?=[A-Z]))(?:[Ii]d|ID|[Cc]ode|CODE|[Zz]ip|ZIP)$"
    r"|(?:^|_)(?i:store|shop|user|customer|client|item|product|station|device|seller|movie|driver|route|flight|nbr)$"
    r"|(?:^|_)(?i:dept|department|market|country|region|city|district|cluster|channel|site|meter|brand)$"
)


class Clock:
    """Seconds left for fitting, `whole` at the start; the last fifth of the budget is kept for the rest."""

    def __init__(self, seconds: float) -> None:
        self.whole = 0.8 * seconds
        self.end = time.monotonic() + self.whole

    def left(self) -> float:
        return self.end - time.monotonic()


@dataclass
class Data:
    """One fold. Every column holds the rows of train, valid and test, in this order; y only those of train."""

    task: dict[str, Any]
    folder: Path
    seed: int
    sizes: tuple[int, int, int]
    y: np.ndarray
    clock: Clock
    out: Path | None = None
    numbers: dict[str, np.ndarray] = field(default_factory=dict)
    cats: dict[str, np.ndarray] = field(default_factory=dict)  # integer codes, -1 = missing
    crosses: dict[str, np.ndarray] = field(default_factory=dict)  # codes only for encodings, too many for a model
    dates: dict[str, pd.Series] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)
    strings: dict[str, pd.Series] = field(default_factory=dict)  # raw strings with a possible structure
    term_counts: dict[tuple[str, str], Any] = field(default_factory=dict)  # sparse, by text and kind, made once
    ids: pd.Series | None = None  # of every row, where there is an id column
    recalls: bool = True  # whether IN/cache is looked at
    recalled: bool = False  # whether something was taken from there
    learned: set[str] = field(default_factory=set)  # names of numbers that were made from labels
    levels: list[np.ndarray] = field(default_factory=list)  # of each target, of every row: what its series was lately
    scaled: set[str] = field(default_factory=set)  # names of numbers of one scale, which tells how much each says
    needed: list[float] = field(default_factory=list)  # boosting rounds times rate, by targets already learned
    paces: list[float] = field(default_factory=list)  # seconds per row that boosting takes to begin, and for a round
    groups: np.ndarray | None = None  # of every row
    times: np.ndarray | None = None

    @property
    def n_train(self) -> int:
        return self.sizes[0]

    @property
    def metric(self) -> str:
        return str(self.task.get("metric", "")).lower()

    @property
    def in_runs(self) -> bool:  # of time, with rows before and after to learn from
        return self.times is not None and self.task.get("cv_strategy") == "blocks"


def to_numbers(column: pd.Series) -> np.ndarray:
    """float64 values; what is no number, or beyond any measure, becomes NaN; yes/no and true/false become 1/0."""
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column):
        values = column.to_numpy(dtype=float, na_value=np.nan)
    else:
        words = column.astype(str).str.strip().str.lower()
        words = words.replace({"true": "1", "yes": "1", "false": "0", "no": "0"})
        values = pd.to_numeric(words, errors="coerce").to_numpy(dtype=float)
    return np.where(np.abs(values) < HUGE, values, np.nan)


def looks_like_code(name: str, values: np.ndarray) -> bool:
    """Integers that are names rather than amounts: repeated, and called so, or far apart and seldom zero."""
    known = values[np.isfinite(values)]
    parts = (known[:1000], known)  # most columns show at once what they are
    if len(known) < 50 or any((part != np.round(part)).any() for part in parts):
        return False
    distinct, span = len(np.unique(known)), known.max() - known.min()
    if re.search(CODE_NAME, name) and distinct < len(known) / 2:
        return True
    if known.min() < 0:
        return False
    spread = span > 20 * distinct and np.median(known) > 0.03 * known.max()
    return 30 < distinct < len(known) / 2 and bool(spread) and (known == 0).mean() < 0.05


def column_kind(name: str, column: pd.Series, task: dict[str, Any]) -> str:
    """number | category | text | date: the host's list first, then what the values are."""
    for kind in ("text", "date", "categorical", "bool", "numeric"):
        if name in (task.get(f"{kind}_columns") or []):
            return {"categorical": "category", "bool": "number", "numeric": "number"}.get(kind, kind)
    if pd.api.types.is_datetime64_any_dtype(column):
        return "date"
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column):
        return "number"
    known = column.dropna().astype(str)
    wordy = len(known) > 0 and known.str.count(" ").mean() > 6 and known.nunique() > 0.5 * len(known)
    return "text" if wordy else "category"


def moments_of(column: pd.Series) -> pd.Series:
    """Naive UTC timestamps, NaT for what is no date; days come before months where the values show it."""
    if pd.api.types.is_datetime64_any_dtype(column):
        return pd.to_datetime(column, utc=True).dt.tz_localize(None)
    texts = column.astype("string").str.removesuffix(" UTC")
    heads = texts.str.extract(r"^\s*(\d{1,2})[-/.]", expand=False).dropna()
    day_first = bool(len(heads) and (heads.astype(int) > 12).mean() > 0.1)
    how: dict[str, Any] = {"errors": "coerce", "utc": True, "dayfirst": day_first}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of days and months that can't be told apart
        moments = pd.to_datetime(texts, **how)
        if moments.notna().mean() < column.notna().mean():  # the others one by one, which is slow
            moments = moments.fillna(pd.to_datetime(texts[moments.isna()], **how, format="mixed"))
    return moments.dt.tz_localize(None)


def texts_of(column: pd.Series) -> pd.Series:
    """The values as texts, missing where they are."""
    return column.astype(str).where(column.notna())


def codes_of(column: pd.Series) -> np.ndarray:
    """An integer for each different text of a column, -1 for what is missing."""
    return pd.factorize(texts_of(column))[0]


def varies(values: np.ndarray) -> bool:
    """Whether there are two different ones or more; to be unknown is one."""
    known = values[~np.isnan(values)]
    return len(known) > 0 and (len(known) < len(values) or bool(known.min() < known.max()))


def add_column(data: Data, name: str, column: pd.Series) -> None:
    """Files one raw column under the kinds that its values really have."""
    if column.dtype == object and column.map(type).isin([list, dict, np.ndarray]).any():
        column = column.map(lambda value: json.dumps(value, default=str) if value is not None else None)
    kind = column_kind(name, column, data.task)
    if kind == "text":
        data.texts[name] = ["" if pd.isna(value) else str(value) for value in column]
        codes = codes_of(column)
        if 1 < codes.max() + 1 < len(codes) / 2:  # as addresses come again
            data.crosses[name] = codes
        return
    if kind == "date":
        moments = moments_of(column)
        if moments.notna().mean() > 0.5 * column.notna().mean():
            data.dates[name] = moments
            return
        kind = "number" if pd.api.types.is_numeric_dtype(column) else kind
    train = slice(0, data.n_train)
    if kind == "number":
        values = to_numbers(column)
        if np.isfinite(values).sum() >= 0.8 * column.notna().sum():
            if varies(values[train]):
                data.numbers[name] = values
            if looks_like_code(name, values):
                data.cats[name] = pd.factorize(values)[0]
            return
    texts = texts_of(column)
    codes = pd.factorize(texts)[0]
    if varies(codes[train]):
        data.cats[name] = codes
    if not pd.api.types.is_numeric_dtype(column):
        data.strings[name] = texts


def label_key(value: Any) -> str:
    """One spelling per label, so that 1, 1.0, True and "1" are the same class."""
    text = {"true": "1", "false": "0"}.get(str(value).lower(), str(value))
    try:
        return str(int(float(text))) if float(text).is_integer() else text
    except (ValueError, OverflowError):
        return text


def encode_labels(train: pd.DataFrame, task: dict[str, Any]) -> np.ndarray:
    """Class indices (n,), values (n,) or (n, targets); NaN where a label is missing."""
    columns = list(task["target_columns"])
    if task["task"] in ("binary", "multiclass"):
        spellings = [str(label) for label in task["classes"]]
        key = label_key if len({label_key(s) for s in spellings}) == len(spellings) else str
        index = {key(label): i for i, label in enumerate(task["classes"])}
        codes, labels = pd.factorize(train[columns[0]])
        return np.array([*(index.get(key(label), np.nan) for label in labels), np.nan])[codes]
    values = np.column_stack([to_numbers(train[name]) for name in columns])
    return values if task["task"].startswith("multi") else values[:, 0]


def load(folder: Path, seed: int, seconds: float | None = None) -> Data:
    """Reads IN/. Rows without any label are left out; a full refit may come without valid.parquet.

    Of very many training rows it takes as many as `seconds` serve, unless they hang together.
    """
    task = json.loads((folder / "task.json").read_text())
    train, test = pd.read_parquet(folder / "train.parquet"), pd.read_parquet(folder / "test.parquet")
    there = (folder / "valid.parquet").is_file()
    valid = pd.read_parquet(folder / "valid.parquet") if there else test.iloc[:0]
    y = encode_labels(train, task)
    labelled = np.isfinite(y) if y.ndim == 1 else np.isfinite(y).any(axis=1)
    train, y = train[labelled], y[labelled]
    seed = seed + 1000 * int(task.get("seed") or 0)
    if seconds and not (task.get("group_column") or task.get("time_column")):
        rows = int(READ_A_SECOND * seconds / len(test.columns)) - len(valid) - len(test)
        chosen = rows_in_time(y, max(ENOUGH_ROWS, rows), seed, "regression" not in task["task"])
        train, y = train.iloc[chosen], y[chosen]
    sizes = (len(train), len(valid), len(test))
    most = min(float(task.get("seconds") or 600), seconds / 0.9 if seconds else float("inf"))
    data = Data(task, folder, seed, sizes, y, Clock(most))
    names = [name for name in test.columns if name in train.columns and name not in task["target_columns"]]
    for name in names:
        column = pd.concat([part[name] for part in (train, valid, test)], ignore_index=True)
        read_column(data, str(name), column)
    return data


def rows_in_time(y: np.ndarray, most: int, seed: int, classes: bool) -> np.ndarray:
    """At most about `most` rows at random, in their order; of each class, or of a label's two, some in any case."""
    if len(y) <= most:
        return np.arange(len(y))
    order = np.random.default_rng(seed).permutation(len(y))
    chosen = [order[:most]]
    for labels in y.reshape(len(y), -1)[order].T if classes else []:
        each = pd.Series(labels).groupby(labels)
        chosen.append(order[each.cumcount().to_numpy() < max(1, min(RARE, most // (2 * each.ngroups)))])
    return np.unique(np.concatenate(chosen))


def read_column(data: Data, name: str, column: pd.Series) -> None:
    """Ids are no features, but dates and strings with parts in them are; groups and times also steer the folds."""
    task = data.task
    if name == task.get("id_column"):
        data.ids = column
    if name == task.get("group_column"):
        codes = codes_of(column)
        alone = codes.max() + 1 + np.arange(len(codes))  # a row of no group is one by itself
        data.groups = np.where(codes < 0, alone, codes)
    if name not in (task.get("id_column"), task.get("group_column")) or column_kind(name, column, task) == "date":
        add_column(data, name, column)
    elif not pd.api.types.is_numeric_dtype(column):
        strings = texts_of(column)
        if not strings.dropna().str.fullmatch(r"\d+(\.0)?").all():  # digits of a row's number tell nothing
            data.strings[name] = strings
    if name == task.get("time_column"):
        numeric = pd.api.types.is_numeric_dtype(column)
        dates = None if numeric else data.dates[name] if name in data.dates else moments_of(column)
        sorts = column if dates is None or dates.isna().all() else dates
        order = to_numbers(column) if numeric else pd.factorize(sorts, sort=True)[0]
        data.times = np.nan_to_num(np.asarray(order[: data.n_train], dtype=float), nan=-1.0)


def inner_folds(data: Data, k: int, salt: int = 0) -> np.ndarray:
    """Fold number of each training row: groups (or runs of time) whole, time in blocks, else even over the target."""
    rng = np.random.default_rng(data.seed + salt)
    n, folds = data.n_train, np.empty(data.n_train, dtype=int)
    whole = None if data.groups is None else data.groups[:n]
    if data.times is not None and data.in_runs:  # of about n / 8k rows, equal moments together
        whole = np.searchsorted(np.sort(data.times), data.times) * 8 * k // n
    if whole is not None:
        _, compact = np.unique(whole, return_inverse=True)
        return (rng.permutation(compact.max() + 1) % k)[compact]
    if data.times is not None:
        for fold, rows in enumerate(np.array_split(np.argsort(data.times, kind="stable"), k)):
            folds[rows] = fold
        return folds
    level = data.y if data.y.ndim == 1 else np.nan_to_num(data.y).sum(axis=1)
    folds[np.lexsort((rng.random(n), level))] = np.arange(n) % k
    return folds


def holdout(data: Data, k: int, bag: int = 0) -> np.ndarray:
    """Mask of the training rows kept out for early stopping: one of k folds, the latest block when time rules."""
    return inner_folds(data, k) == (k - 1 if data.times is not None and not data.in_runs else bag % k)


def save(out: Path, data: Data, predictions: np.ndarray) -> None:
    """Writes valid.npy and test.npy: finite, probabilities within [0, 1], rows of class probabilities sum to 1."""
    predictions = np.nan_to_num(np.asarray(predictions, dtype=float), posinf=0.0, neginf=0.0)
    if data.task["task"] in ("binary", "multilabel", "multiclass"):
        predictions = np.clip(predictions, 0.0, 1.0)
    if data.task["task"] == "multiclass":
        predictions = np.clip(predictions, 1e-7, None)
        predictions /= predictions.sum(axis=1, keepdims=True)
    np.save(out / "valid.npy", predictions[: data.sizes[1]])
    np.save(out / "test.npy", predictions[data.sizes[1] :])


def run_experiment(
    arguments: list[str],
    steps: list[tuple[Callable[[Data, Any], None], Any]],
    model: Callable[[Data, dict[str, Any]], np.ndarray],
    params: dict[str, Any],
    seed: int,
    seconds: float | None = None,
) -> None:
    """IN OUT → features → model → OUT/valid.npy, OUT/test.npy."""
    warnings.simplefilter("ignore")  # models stopped early on purpose say so in every fit
    folder, out = Path(arguments[0]), Path(arguments[1])

    def play(data: Data) -> np.ndarray:
        data.out = out
        for step, option in steps:
            step(data, option)
        columns = f"{len(data.numbers)} numbers, {len(data.cats)} categories, {len(data.texts)} texts"
        print(f"rows {data.sizes}; {columns}; {data.clock.left():.0f} s left for the model", flush=True)
        return model(data, params)

    data = load(folder, seed, seconds)
    with threadpool_limits(int(data.task.get("cores") or 1)):
        try:
            predictions = play(data)
        except Exception as error:
            if not data.recalled:
                raise
            print(f"once more without what other experiments left: {type(error).__name__}: {error}", flush=True)
            data = replace(load(folder, seed, seconds), clock=data.clock, recalls=False)
            predictions = play(data)
    save(out, data, predictions)
