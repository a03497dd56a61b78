"""How to split the training rows so that validation resembles the test: at random, by groups, or by time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from orchestrator.competitions.infer_columns import Kind
from orchestrator.competitions.time_blocks import alternates_in_blocks, parse_pair, time_blocks

if TYPE_CHECKING:
    import pandas as pd

FOLDS = 5
TIME_NAME = re.compile(
    r"(?i)(^|[_ ])(date|time|timestamp|datetime|year|yr|month|week|day|hour|quarter|period|epoch|step)s?($|[_ ])"
    r"|(^|[_ ])(ts|dt|stamp|unix|yyyymm(dd)?)($|[_ ])|_at$"
    r"|[a-z](Date|Time|Year|Month|Week|Day|DT)$|date(time)?_?block|^(date|time)"
)
LIMITS = {"year": (1800, 2200), "quarter": (1, 4), "month": (1, 12), "week": (1, 53), "day": (1, 31), "hour": (0, 24)}
"""What the parts of a date lie within."""
_PART = re.compile("|".join(part for part in LIMITS if part != "year"), re.IGNORECASE)
GROUP_NAME = re.compile(
    r"(?i)group|quer(y|ies)|qid|session|srch|search|user|patient|subject|customer|client|house|id$|_id"
)
TINY = 300
FEW = 20_000
"""Rows; with more a model has little to gain from a tenth of them."""
FEWEST_WHOLES = 50
"""Groups, of which parts are groups, too."""
FEW_CELLS = 1_000_000
"""With more, twice the folds cost more rounds than they bring."""


Strategy = Literal["stratified", "kfold", "group", "time", "blocks"]


@dataclass(frozen=True)
class Split:
    strategy: Strategy
    folds: int | None
    group_column: str | None
    time_column: str | None
    why: str
    folds_why: str


def choose_split(
    train: pd.DataFrame,
    test: pd.DataFrame,
    kinds: dict[str, Kind],
    labels: pd.Series | None,
    *,
    group_column: str | None,
    wants_groups: bool,
) -> Split:
    """The split for `train` and `test` (features only, ids included when they are dates).

    `labels`: the target when it has classes. `group_column`: stated by meta.json. `wants_groups`: the metric ranks
    rows within groups, so that some column must be the group.
    """
    group = group_column or _group(train, test, kinds, needed=wants_groups)
    time, later = _time_order(train, test, kinds, overlapping=not group)
    strategy: Strategy = "kfold" if labels is None else "stratified"
    runs = 0 if later or group or not time else _runs(train[time], test[time], kinds[time])
    why = "rows look exchangeable" if labels is None else "classes are spread evenly over the folds"
    if later and not group_column and not wants_groups:
        strategy, group = "time", None
        why = f"test's {time} come after train's, so validation blocks come after what they learn from"
    elif group:
        strategy = "group"
        why = "stated in meta.json" if group_column else f"rows share a {group}, and test has other values of it"
    elif runs >= 2 * FOLDS:
        strategy = "blocks"
        why = f"test's {time} lie between train's in runs, so runs as long are validated, not rows between known ones"
    elif time and 2 * FOLDS <= train[time].nunique() <= len(train) / 2:
        strategy, group = "group", time
        why = f"test's {time} lie between train's and are others, so the rows of one {time} stay together"
    elif time:
        why = (
            f"test's {time} lie between train's, so a model for test knows the past and the future: "
            f"a random split is nearer to that than one by time (scores come out a little high; {time} is a feature)"
        )
    folds, folds_why = _folds(train, labels, strategy, group or time, runs)
    return Split(strategy, folds, group, time, why, folds_why)


def _folds(
    train: pd.DataFrame, labels: pd.Series | None, strategy: Strategy, block: str | None, runs: int
) -> tuple[int | None, str]:
    """How many and why, None for what the time says; `block` is the column whose values stay together or in order."""
    rows = len(train)
    free = strategy in ("stratified", "kfold") or (strategy == "blocks" and runs >= 4 * FOLDS)
    folds: int | None = FOLDS
    why = "enough to average over, few enough to be quick"
    if free and rows < TINY:
        folds, why = 10, f"{rows} rows: each model should see 90 % of them"
    elif free and rows <= FEW and train.size <= FEW_CELLS:
        folds, why = None, f"{rows} rows: with the time for 10 folds, each model should see 90 % of them"
    if strategy == "stratified" and labels is not None:
        rarest = int(labels.value_counts().min())
        if folds != FOLDS and rarest < 10:
            folds, why = FOLDS, f"the rarest class has {rarest} rows"
    if strategy in ("group", "time"):
        distinct = train[block].nunique()
        most = distinct if strategy == "group" else distinct - 1
        if most < FOLDS:
            folds, why = max(2, most), f"{block} has {distinct} different values"
    return None if folds is None else min(folds, max(2, rows // 2)), why


def _time_order(
    train: pd.DataFrame, test: pd.DataFrame, kinds: dict[str, Kind], *, overlapping: bool
) -> tuple[str | None, bool]:
    """(time column, does test come after train); (None, False) without such a column.

    Only a column in which test is later, or whose moments train and test do not share, orders the rows; dates before
    numbers, which may be a year alone. `overlapping`: whether a test of dates may begin before train ends.
    """
    found = None
    for name in sorted((name for name in train.columns if name in test.columns), key=lambda n: kinds.get(n) != "date"):
        kind = kinds.get(name, "category")
        if found and _is_part(train[name], kind):  # test may have the later days of each month
            continue
        pair = _moments(train[name], test[name], kind)
        if pair is None:
            continue
        left, right = pair
        if left.nunique() > 2 and _comes_after(left, right, overlapping=overlapping and kind == "date"):
            return name, True
        if found or kind != "date" or right.isin(left).any():
            continue
        unique = left.nunique() > 0.9 * len(left) and right.nunique() > 0.9 * len(right)
        if left.nunique() >= 10 and (not unique or alternates_in_blocks(left.to_numpy(), right.to_numpy())):
            found = name
    return found, False


def _is_part(column: pd.Series, kind: Kind) -> bool:
    """Whether it is a number of a month, day, hour, … as a date has them."""
    found = _PART.search(str(column.name))
    return bool(kind == "number" and found and column.min() >= 0 and column.max() <= LIMITS[found[0].lower()][1])


def _comes_after(left: pd.Series, right: pd.Series, *, overlapping: bool) -> bool:
    """Whether test's moments are train's last or later. Days of waiting that are 0 nearly everywhere are not.

    `overlapping`: or mostly later, and none long before.
    """
    meet = right.quantile(0.01) >= left.quantile(0.99) and right.min() >= left.quantile(0.95)
    mostly = overlapping and right.min() >= left.quantile(0.75) and right.median() > left.quantile(0.99)
    return bool(mostly or (meet and right.median() > left.quantile(0.95)))


def _runs(left: pd.Series, right: pd.Series, kind: Kind) -> int:
    """Into how many runs train can be cut where test's moments come in runs between train's; 0 where they do not."""
    pair = _moments(left, right, kind)
    if pair is None or len(pair[0]) < len(left):
        return 0
    times, others = (side.to_numpy() for side in pair)
    return int(time_blocks(times, others).max()) + 1 if alternates_in_blocks(times, others) else 0


def _moments(left: pd.Series, right: pd.Series, kind: Kind) -> tuple[pd.Series, pd.Series] | None:
    import pandas as pd

    if kind == "date":
        pair = parse_pair(left, right)
        known = pair is not None and all(side.notna().any() for side in pair)
        return (pair[0].dropna(), pair[1].dropna()) if pair and known else None
    numeric = pd.api.types.is_numeric_dtype(left.dtype) and pd.api.types.is_numeric_dtype(right.dtype)
    if not numeric or not TIME_NAME.search(str(left.name)) or left.isna().all() or right.isna().all():
        return None
    return left.dropna().astype(float), right.dropna().astype(float)


def _group(train: pd.DataFrame, test: pd.DataFrame, kinds: dict[str, Kind], *, needed: bool) -> str | None:
    """A column whose values repeat in train and never come back in test; a likely name wins, and what it is part of."""
    candidates, dated = [], "date" in kinds.values()
    for name in [name for name in train.columns if name in test.columns]:
        if kinds.get(name) not in ("number", "category") or train[name].dtype.kind == "f":
            continue
        if dated and _is_part(train[name], kinds[name]):
            continue
        left, right = train[name].dropna(), test[name].dropna()
        distinct = left.nunique()
        if len(left) < 10 or len(right) < 3 or not FOLDS <= distinct <= len(left) / 1.5:
            continue
        named = bool(GROUP_NAME.search(str(name)))
        values = right.drop_duplicates()
        apart = not left.isin(values).any() and (len(values) >= 3 or named)
        if apart or (needed and named):
            candidates.append((not apart, not named, -distinct, str(name)))
    if not candidates:
        return None
    best = min(candidates)
    return _whole(train, best[3], [name for shared, _, _, name in candidates if shared == best[0]])


def _whole(train: pd.DataFrame, part: str, names: list[str]) -> str:
    """The coarsest of the names that `part` lies within, as a team within a match: rows of one match hang together."""
    sizes = {name: train[name].nunique() for name in names}
    for name in sorted(names, key=lambda name: sizes[name]):
        inside = FEWEST_WHOLES <= sizes[name] < sizes[part]
        if inside and (train[[part, name]].dropna().groupby(part)[name].nunique() == 1).all():
            return name
    return part
