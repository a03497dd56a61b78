"""Moments that a table spells in columns of their own, or as one number, become a date that everything else reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from orchestrator.competitions.infer_columns import parse_dates, thinned
from orchestrator.competitions.infer_cv import LIMITS, TIME_NAME
from orchestrator.competitions.role_tables import RoleTables
from orchestrator.competitions.tables import MISSING

if TYPE_CHECKING:
    import pandas as pd

    Pair = tuple[pd.Series, pd.Series]

PARTS = {
    "year": ("year", "yr"),
    "quarter": ("quarter", "qtr"),
    "month": ("month", "mnth", "mon", "mo"),
    "week": ("weekofyear", "week_of_year", "week", "wk"),
    "day": ("dayofmonth", "day_of_month", "mday", "day"),
    "hour": ("hour", "hr"),
}
MONTHS = {
    name: i
    for i, name in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1)
}
QUARTER = r"(?i)^\s*(?:(?P<year>\d{4})[- ]?Q(?P<quarter>[1-4])|Q(?P<first>[1-4])[- ]?(?P<then>\d{4}))\s*$"
SINCE_1970: dict[Literal["s", "ms"], tuple[float, float]] = {"s": (6e8, 2.5e9), "ms": (6e11, 2.5e12)}
"""What the seconds of 1989 to 2049 lie within, and their thousandths."""
NUMBERS = {"%Y%m%d": (1800_00_00, 2200_00_00), "%Y%m": (1900_00, 2100_00)}
"""What days and months that are written as numbers lie within; six digits may also be two of a year."""
FORM = "%Y-%m-%d %H:%M:%S"
KNOWN = 0.95
"""The least share of rows with a moment."""
REGULAR = 0.005
"""What right beside a part's limits is more frequent than this is no slip."""
SHARED = 0.5
"""From this share of test's moments in train on, the parts of a moment say as much as a date."""
MOST_BYTES = 300_000_000
"""Of both tables; larger ones are not written once more."""


def add_dates(roles: RoleTables) -> None:
    """Give train and test a date made of a year with months, weeks or quarters, and of each number of a moment.

    A year's parts are left as they are where a date says as much, and where test shares train's moments.
    """
    paths = [roles.data / roles.names[role] for role in ("train", "test")]
    if sum(path.stat().st_size for path in paths if path.exists()) > MOST_BYTES:  # test may not be written yet
        return
    known = {*roles.columns("test")} - {*roles.asked()}
    shared = [name for name in roles.columns("train") if name in known]
    for (name, columns), moments in _dates_of(roles, shared).items():
        fresh = f"{name}_date"
        taken = [fresh in roles.columns(role) for role in ("train", "test")]
        if all(taken):  # as the same command left it
            continue
        fresh = f"{name}_as_date" if any(taken) else fresh
        for role, texts in zip(("train", "test"), moments, strict=True):
            roles.add(role, fresh, texts.tolist())
        roles.notes.append(f"{', '.join(columns)} became the date {fresh}.")


def _dates_of(roles: RoleTables, shared: list[str]) -> dict[tuple[str, tuple[str, ...]], Pair]:
    """What a date is called and made of → the moments of train's and test's rows."""
    numbered, families = [name for name in shared if TIME_NAME.search(name)], _families(shared)
    read = list(dict.fromkeys([*numbered, *(name for parts in families.values() for name in parts.values())]))
    if not read:
        return {}
    tables = [roles.part(role, read) for role in ("train", "test")]
    pairs: dict[str, Pair] = {name: (_typed(tables[0][name]), _typed(tables[1][name])) for name in read}
    found: dict[tuple[str, tuple[str, ...]], Pair] = {}
    found |= {(name, (name,)): made for name in numbered if (made := _moments({"": pairs[name]}))}
    told = [thinned(made[0]) for made in found.values()]
    dates = [parse_dates(thinned(pairs[name][0])) for name in numbered]
    told += [moments.dt.strftime(FORM).fillna("") for moments in dates if moments is not None]
    for name, parts in families.items():
        made = _moments({part: pairs[column] for part, column in parts.items()})
        if made is None or made[1][made[1] != ""].isin(made[0]).mean() >= SHARED:
            continue
        exact = len("2016-12-31") if "day" in parts else len("2016-12") if "month" in parts else len("2016")
        own = thinned(made[0]).str[:exact]
        if not any((own == known.str[:exact]).mean() >= KNOWN for known in told):
            found[name, tuple(parts.values())] = made
    return found


def _families(names: list[str]) -> dict[str, dict[str, str]]:
    """Columns by part, under the name that they have but for the part: year, sale_year, YrSold."""
    found: dict[str, dict[str, tuple[int, str]]] = {}
    for name in names:
        for part, words in PARTS.items():
            for word in words:
                if (rest := _without(name, word)) is not None:  # the longest word counts: mon may be a Monday
                    parts = found.setdefault(rest, {})
                    parts[part] = max(parts.get(part, (0, "")), (len(word), name), key=lambda item: item[0])
    whole = {rest: {part: name for part, (_, name) in parts.items()} for rest, parts in found.items()}
    coarse = {"quarter", "month", "week"}
    return {rest or "row": parts for rest, parts in whole.items() if "year" in parts and coarse & {*parts}}


def _without(name: str, word: str) -> str | None:
    """What is left of the name where it starts or ends with the word, which yearly and monthly do not; None else."""
    low, rest = name.lower(), name[len(word) :]
    if low.startswith(word) and not rest[:1].islower():
        return rest.strip("_ .-")
    return name[: -len(word)].strip("_ .-") if low.endswith(word) else None


def _typed(column: pd.Series) -> pd.Series:
    """Texts that are numbers as numbers, as a table has them that was read as text."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column.dtype):
        return column
    texts = column.astype("string").str.strip()
    numbers = pd.to_numeric(texts, errors="coerce").astype(float)
    known = ~(texts.isna() | texts.isin(MISSING))
    return numbers if numbers.notna().sum() >= max(1.0, KNOWN * known.sum()) else column


def _moments(parts: dict[str, Pair]) -> Pair | None:
    """The moments of train's and test's rows as texts, empty for the few without; None where they are no moments.

    `parts`: the columns by part, or the one column of the name "".
    """
    import pandas as pd

    both = {part: pd.concat(pair, ignore_index=True) for part, pair in parts.items()}
    rows = len(next(iter(parts.values()))[0])
    made = _of_number(both[""]) if "" in both else _of_parts(both)
    if made is None or made.nunique() < 2:
        return None
    if min(made[:rows].notna().mean(), made[rows:].notna().mean()) < KNOWN:
        return None
    texts = made.dt.strftime(FORM).fillna("")
    return texts[:rows], texts[rows:]


def _of_number(values: pd.Series) -> pd.Series | None:
    """Days as 20161231, months as 201612, quarters as 2016Q4, or seconds or milliseconds since 1970."""
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(values.dtype):
        found = values.astype("string").str.extract(QUARTER)
        parts = found.assign(year=found["year"].fillna(found["then"]), quarter=found["quarter"].fillna(found["first"]))
        return _of_parts({part: parts[part].astype(float) for part in ("year", "quarter")})
    for form, (least, most) in NUMBERS.items():
        if (inside := _within(values, least, most)) is not None:
            return _parsed(inside, form)
    for unit, span in SINCE_1970.items():
        if (inside := _within(values, *span)) is not None:
            return pd.to_datetime(inside.round(), unit=unit)
    return None


def _within(values: pd.Series, least: float, most: float) -> pd.Series | None:
    """The values with the few others as holes; None where they are not few."""
    inside = values.where(values.between(least, most)).astype(float)
    return inside if inside.notna().mean() >= KNOWN else None


def _of_parts(columns: dict[str, pd.Series]) -> pd.Series | None:
    """A year with its month, week or quarter; beside a month a day and an hour where there are some."""
    import pandas as pd

    parts = {part: _numbers(column, part) for part, column in columns.items()}
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
    """The part as whole numbers, months also by their names and from 0, quarters also as Q4; None for other things."""
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(values.dtype):
        texts = values.astype("string").str.strip().str.lower()
        words = texts.str[:3].map(MONTHS) if part == "month" else texts.str.extract(r"^q([1-4])$", expand=False)
        values = pd.to_numeric(words, errors="coerce").astype(float)
    if part == "month" and values.min() == 0 and values.max() == 11:
        values = values + 1
    low, high = LIMITS[part]
    if values.isin([low - 1, high + 1]).mean() > REGULAR:  # it is counted in another way
        return None
    inside = _within(values, low, high)
    return inside if inside is not None and (inside.dropna() % 1 == 0).all() else None
