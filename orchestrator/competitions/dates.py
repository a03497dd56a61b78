"""Moments that a table spells in columns of their own, or as one number, become a date that everything else reads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from orchestrator.competitions.role_tables import RoleTables

if TYPE_CHECKING:
    import pandas as pd

PARTS = {
    "year": ("year", "yr"),
    "quarter": ("quarter", "qtr"),
    "month": ("month", "mnth", "mon", "mo"),
    "week": ("weekofyear", "week_of_year", "week", "wk"),
    "day": ("dayofmonth", "day_of_month", "mday", "day"),
    "hour": ("hour", "hr"),
}
LIMITS = {"year": (1800, 2200), "quarter": (1, 4), "month": (1, 12), "week": (1, 53), "day": (1, 31), "hour": (0, 23)}
MONTHS = {
    name: i
    for i, name in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1)
}
SPELLED = re.compile(r"(?i)date|time|stamp")
"""Names of columns that tell the moment themselves."""
NUMBERED = re.compile(r"(?i)date|time|stamp|epoch|unix|(^|_)(day|month|quarter|period|ts|ymd|yyyymm(dd)?)($|_)")
QUARTER = r"(?i)^\s*(?:(?P<year>\d{4})[- ]?Q(?P<quarter>[1-4])|Q(?P<first>[1-4])[- ]?(?P<then>\d{4}))\s*$"
SINCE_1970: dict[Literal["s", "ms"], tuple[float, float]] = {"s": (6e8, 2.5e9), "ms": (6e11, 2.5e12)}
"""What the seconds of 1989 to 2049 lie within, and their thousandths."""
FORMS = {8: "%Y%m%d", 6: "%Y%m"}
"""Of days and months that are written as numbers of so many digits."""
KNOWN = 0.95
"""The least share of rows with a moment."""
MOST_BYTES = 300_000_000
"""Of both tables; larger ones are not written once more."""


def add_dates(roles: RoleTables) -> None:
    """Give train and test a date made of a year with months, weeks or days beside it, and of each number of a moment.

    Parts are left as they are where test shares train's moments: there they say as much as a date.
    """
    paths = [roles.data / roles.names[role] for role in ("train", "test")]
    if sum(path.stat().st_size for path in paths if path.exists()) > MOST_BYTES:  # test may not be written yet
        return
    known = {*roles.columns("test")} - {*roles.asked(), roles.key()}
    shared = [name for name in roles.columns("train") if name in known]
    found = {name: {"number": name} for name in shared if NUMBERED.search(name)}
    if not any(SPELLED.search(name) for name in shared):
        found |= _families(shared)
    for name, columns in found.items():
        moments = _moments(roles, columns)
        if moments is None or ("year" in columns and moments[1].isin(moments[0]).any()):
            continue
        taken = roles.columns("train")
        fresh = next(one for one in (f"{name}_date", f"{name}_as_date", "date_made") if one not in taken)
        for role, made in zip(("train", "test"), moments, strict=True):
            roles.put(role, roles.frame(role).assign(**{fresh: made.to_numpy()}))
        roles.notes.append(f"{', '.join(columns.values())} became the date {fresh}.")


def _families(names: list[str]) -> dict[str, dict[str, str]]:
    """Columns by part, under the name that they have but for the part: year, sale_year, YrSold."""
    found: dict[str, dict[str, str]] = {}
    for name in names:
        for part, words in PARTS.items():
            rests = [_without(name, word) for word in words]
            rest = next((rest for rest in rests if rest is not None), None)
            if rest is not None:
                found.setdefault(rest, {}).setdefault(part, name)
    return {
        rest or "row": parts
        for rest, parts in found.items()
        if "year" in parts and {"quarter", "month", "week"} & {*parts}
    }


def _without(name: str, word: str) -> str | None:
    """What is left of the name where it starts or ends with the word; None where it does neither."""
    low = name.lower()
    if low.startswith(word):
        return name[len(word) :].strip("_ .-")
    return name[: -len(word)].strip("_ .-") if low.endswith(word) else None


def _moments(roles: RoleTables, columns: dict[str, str]) -> tuple[pd.Series, pd.Series] | None:
    """The moments of train's and test's rows as texts, empty for the few without; None where they are no moments."""
    import pandas as pd

    train, test = (roles.part(role, list(columns.values())) for role in ("train", "test"))
    both = pd.concat([train, test], ignore_index=True)
    made = _of_number(both[columns["number"]]) if "number" in columns else _of_parts(both, columns)
    if made is None or min(made[: len(train)].notna().mean(), made[len(train) :].notna().mean()) < KNOWN:
        return None
    texts = made.dt.strftime("%Y-%m-%d %H:%M:%S").fillna("")
    return texts[: len(train)], texts[len(train) :]


def _of_number(values: pd.Series) -> pd.Series | None:
    """Days as 20161231, months as 201612, quarters as 2016Q4, or seconds or milliseconds since 1970."""
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(values.dtype):
        found = values.astype("string").str.extract(QUARTER)
        parts = found.assign(year=found["year"].fillna(found["then"]), quarter=found["quarter"].fillna(found["first"]))
        return _of_parts(parts[["year", "quarter"]].astype(float), {"year": "year", "quarter": "quarter"})
    if values.isna().all() or values.dtype == bool:
        return None
    low, high = values.min(), values.max()
    for digits, form in FORMS.items():
        if low >= 1800 * 10 ** (digits - 4) and high < 2200 * 10 ** (digits - 4):
            return _parsed(values, form)
    for unit, (least, most) in SINCE_1970.items():
        if least < low and high < most:
            return pd.to_datetime(values.round(), unit=unit)
    return None


def _of_parts(table: pd.DataFrame, columns: dict[str, str]) -> pd.Series | None:
    """A year with its month, week or quarter; beside a month a day and an hour where there are some."""
    import pandas as pd

    parts = {part: _numbers(table[name], part) for part, name in columns.items()}
    year, month, week, quarter, day, hour = (parts.get(p) for p in ("year", "month", "week", "quarter", "day", "hour"))
    if year is None:
        return None
    if month is not None:
        if day is None or day.max() <= 7:  # of the week
            return _parsed(year * 10_000 + month * 100 + 1, "%Y%m%d")
        made = _parsed(year * 10_000 + month * 100 + day, "%Y%m%d")
        return made if hour is None else made + pd.to_timedelta(hour, unit="h")
    if week is not None:
        return _parsed(year * 1000 + week * 10 + 1, "%G%V%u")  # its Monday
    return None if quarter is None else _parsed(year * 10_000 + (3 * quarter - 2) * 100 + 1, "%Y%m%d")


def _parsed(numbers: pd.Series, form: str) -> pd.Series:
    import pandas as pd

    texts: pd.Series[str] = numbers.round().astype("Int64").astype("string")
    return pd.to_datetime(texts, format=form, errors="coerce")


def _numbers(values: pd.Series, part: str) -> pd.Series | None:
    """The part as whole numbers, months also by their names; None where it is something else."""
    import pandas as pd

    if part == "month" and not pd.api.types.is_numeric_dtype(values.dtype):
        values = values.astype("string").str.strip().str[:3].str.lower().map(MONTHS).astype(float)
    if not pd.api.types.is_numeric_dtype(values.dtype) or values.dtype == bool or values.isna().mean() > 1 - KNOWN:
        return None
    low, high = LIMITS[part]
    return values if values.min() >= low and values.max() <= high and (values.dropna() % 1 == 0).all() else None
