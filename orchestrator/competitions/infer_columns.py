"""What the columns of a table are: numbers, flags, dates, texts, lists or categories; and which are the ids."""

from __future__ import annotations

import re
import warnings
from itertools import product
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:
    import pandas as pd

    _Rows = TypeVar("_Rows", pd.DataFrame, pd.Series)

Kind = Literal["number", "bool", "date", "text", "json", "category", "constant"]
MOSTLY_DIFFERENT = 0.5
"""The share of different values from which strings are names, phrases or sequences rather than categories."""
FEW_LETTERS = 25
"""Different ones in a sequence; tokens of random letters have more."""
SAMPLE_ROWS = 20_000
DATE_ROWS = 2_000
DATE_SHAPE = re.compile(
    r"^\s*(\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?([ T]\d{1,2}:\d{2}.*)?"
    r"|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})( \d{1,2}:\d{2}.*)?"
    r"|\d{8}T\d{4,6}Z?|\d{14}Z|\d{8}Z"
    r"|[A-Za-z]{3,9}\.?[- ]\d{4}|\d{1,2}[- ][A-Za-z]{3,9}[- ,]+\d{2,4}.*|[A-Za-z]{3,9}\.? \d{1,2},? \d{4}.*)\s*$"
)


def thinned(frame: _Rows, rows: int = SAMPLE_ROWS) -> _Rows:
    """Every n-th row, so that at most about `rows` are left: quick and the same on every run."""
    few: _Rows = frame.iloc[:: max(1, -(-len(frame) // rows))]
    return few


def column_kind(column: pd.Series) -> Kind:
    """The kind of one column, from its non-missing values (a few thousand are enough)."""
    import pandas as pd

    values = column.dropna()
    if pd.api.types.is_numeric_dtype(values.dtype) and values.dtype != bool:
        return "number" if len(values) and values.min() != values.max() else "constant"
    if len(values) == 0 or values.nunique() == 1:
        return "constant"
    if values.dtype == bool or (values.dtype == object and all(isinstance(value, bool) for value in values)):
        return "bool"
    texts = values.astype(str)
    if parse_dates(thinned(texts, DATE_ROWS)) is not None:
        return "date"
    return _kind_of_texts(texts)


def _kind_of_texts(texts: pd.Series) -> Kind:
    """Lists, prose or categories. Prose: several words, or a long sequence, mostly different from row to row."""
    stripped = texts.str.strip()
    if (stripped.str.match(r"^[\[{].*[\]}]$", flags=re.DOTALL)).mean() > 0.9:
        return "json"
    distinct = texts.nunique() / len(texts)
    words = stripped.str.count(r"\s+").mean() + 1
    wide = texts.map(lambda text: not text.isascii()).mean() > 0.5
    long = texts.str.len().mean() > (15 if wide else 50) and (words >= 3 or wide or _are_sequences(stripped))
    return "text" if distinct > 0.2 and (words > 4.5 or long) else "category"


def _are_sequences(texts: pd.Series) -> bool:
    """Of few different letters in a row, as a molecule's; no codes, lists or paths."""
    few = thinned(texts, DATE_ROWS)
    whole = few.str.fullmatch(r"[^\s|,;:_/][^\s|,;:_]*").mean() > 0.9
    return bool(whole and few.map(lambda text: len(set(text))).median() <= FEW_LETTERS) and not _are_codes(few)


def _are_codes(texts: pd.Series) -> bool:
    """Numbers, hashes, amounts and names of files, against names, phrases and sequences."""
    digits = texts.str.count(r"\d").sum() > 0.3 * texts.str.len().sum()
    amounts = r"\W{,9}\d[\d.,]{,30}\W{,3}([a-z]*\W{,3}$|[^a-z]{,9}\d|[a-z]+\s+\d)"
    amounts_or_files = texts.str.match(amounts, flags=re.I) | texts.str.contains(r"\w\.\w{2,4}$")
    return bool(digits or amounts_or_files.mean() > 0.5)


def kinds_of(frame: pd.DataFrame) -> dict[str, Kind]:
    """Kind of every column; a column that looks constant in the sample is looked at in full."""
    sample = thinned(frame)
    kinds: dict[str, Kind] = {}
    for name in frame.columns:
        kind = column_kind(sample[name])
        if kind == "constant" and len(sample) < len(frame):
            kind = column_kind(frame[name])
        kinds[str(name)] = kind
    return kinds


def lone_strings(frame: pd.DataFrame, kinds: dict[str, Kind]) -> list[str]:
    """Columns of names, phrases or sequences, mostly different, beside which there is little else to learn from."""
    if "text" in kinds.values():
        return []
    sample = thinned(frame)
    found = [name for name, kind in kinds.items() if kind == "category" and _are_different(frame[name])]
    found = [name for name in found if not _are_codes(sample[name].dropna().astype(str))]
    others = [name for name, kind in kinds.items() if name not in found and kind != "constant"]
    return found if len(others) <= 2 * len(found) else []


def _are_different(column: pd.Series) -> bool:
    return bool(column.nunique() > MOSTLY_DIFFERENT * column.notna().sum())


def parse_dates(texts: pd.Series) -> pd.Series | None:
    """Timestamps (naive, UTC) of a column of texts; None unless nearly all of them are dates."""
    values = texts.dropna().astype(str)
    if len(values) == 0 or values.iloc[:200].str.match(DATE_SHAPE).mean() < 0.95:
        return None
    parsed = _timestamps(values)
    if parsed.notna().mean() < 0.95:
        return None
    series: pd.Series = parsed.reindex(texts.index)
    return series


def _timestamps(values: pd.Series) -> pd.Series:
    import pandas as pd

    values = values.str.removesuffix(" UTC")  # with it each value takes ten times as long
    heads = thinned(values).str.extract(r"^\s*(\d{1,2})[-/.]", expand=False).dropna()
    day_first = len(heads) > 0 and heads.astype(int).max() > 12
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas warns where it can't tell days from months; we just did
        try:
            parsed = pd.to_datetime(values, errors="coerce", dayfirst=day_first, utc=True)
            if parsed.notna().mean() < 0.95:
                parsed = pd.to_datetime(values, errors="coerce", dayfirst=day_first, utc=True, format="mixed")
        except (ValueError, OverflowError, TypeError):
            return pd.Series(pd.NaT, index=values.index)
    naive: pd.Series = parsed.dt.tz_localize(None)
    return naive


def id_column(sample: pd.DataFrame, test: pd.DataFrame) -> str | None:
    """The column that names the rows: in the sample and in test, unique, with the same values in both."""
    shared = [name for name in sample.columns if name in test.columns]
    for name in shared:
        ids = test[name].astype(str)
        if ids.is_unique and set(ids) == set(sample[name].astype(str)):
            return str(name)
    return None


def same_text(value: object) -> str:
    """A label as text, so that 1, 1.0 and "1" are the same label."""
    return re.sub(r"^(-?\d+)\.0+$", r"\1", str(value).strip())


def label_text(value: object) -> str:
    """The one spelling of a label, however a file wrote it: 1, 1.0, "1", "1.0", True and "true" are one."""
    text = same_text(int(value) if isinstance(value, float) and value.is_integer() else value)
    return {"true": "1", "false": "0"}.get(text.lower(), text)


def one_spelling(labels: pd.Series) -> pd.Series:
    """Of labels with the same `label_text`, the commonest in place of all; numbers and flags as they are."""
    if labels.dtype.kind in "biuf":
        return labels
    known = labels.value_counts().index
    commonest = {label_text(label): label for label in reversed(known)}
    return labels if len(commonest) == len(known) else labels.map({one: commonest[label_text(one)] for one in known})


def marked(frame: pd.DataFrame) -> list[int] | None:
    """Which column each row marks with its one 1; None where a row holds anything else than one 1 and zeros."""
    marks = frame.map(same_text).replace({"True": "1", "False": "0"})
    ones = marks == "1"
    if not (marks.isin(["0", "1"]).all().all() and (ones.sum(axis=1) == 1).all()):
        return None
    places: list[int] = ones.to_numpy().argmax(axis=1).tolist()
    return places


def match_classes(columns: list[str], values: list[object]) -> dict[str, object] | None:
    """Pair sample columns with the labels of a target: `{"Class_2": 2, …}` in the order of the columns.

    Columns may carry a common prefix or suffix. A column whose label train lacks gets its own name, typed like the
    labels if possible. None unless every label has its column.
    """
    labels = {same_text(value): value for value in values}
    for folded in (False, True):
        keys = {text.casefold() if folded else text: value for text, value in labels.items()}
        for start, stop in _affixes(columns):
            cores = [name[start : len(name) - stop] for name in columns]
            cores = [same_text(core.casefold() if folded else core) for core in cores]
            if set(keys) <= set(cores) and len(set(cores)) == len(cores):
                pairs = zip(columns, cores, strict=True)
                return {name: keys[core] if core in keys else _like(core, values) for name, core in pairs}
    return None


def _affixes(columns: list[str]) -> list[tuple[int, int]]:
    """Lengths of common (prefix, suffix) to cut off, the shortest first."""
    prefix, suffix = _common(columns), _common([name[::-1] for name in columns])
    return sorted(product(range(min(prefix, 40) + 1), range(min(suffix, 40) + 1)), key=sum)


def _common(names: list[str]) -> int:
    """How many characters all names start with."""
    first, last = min(names), max(names)
    return next((place for place, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first))


def _like(core: str, values: list[object]) -> object:
    kind = type(values[0])
    try:
        return kind(core) if kind in (int, float) else core
    except ValueError:
        return core
