"""Train and test read together, so that a few stray words among a feature's numbers are holes in both tables alike."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.competitions.infer_columns import thinned
from orchestrator.competitions.infer_cv import FOLDS, TIME_NAME
from orchestrator.competitions.named_holes import texts_of, with_marks
from orchestrator.competitions.tables import AMOUNT, MISSING, amounts, read_table
from orchestrator.config import CompetitionSection

if TYPE_CHECKING:
    import pandas as pd

MOST_STRAY = 0.05
"""A column with a larger share of words is of words."""
MOST_CODES = 0.005
"""More words such as V57, 12A or 10+ than this share are no slips: numbers and codes name things together."""
NUMBER = r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$|" + AMOUNT
_number = re.compile(NUMBER)
_CODE = r"[A-Za-z]\d|\d[A-Za-z]|^[<>≤≥]=? ?\d|\d ?\+"
_PADDED = r"^[-+]?0\d"
_KEY = re.compile(
    r"(?i)(^|[ _])((id|code|zip|postcode|key|number|no)s?"
    r"|group|query|qid|session|search|user|patient|subject|customer|client|house)$|[a-z]I[dD]$"
)


def read_pair(
    train: Path, test: Path, *, as_text: Collection[str] = (), kept: Collection[str] = ()
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both tables as `read_table` gives them, but stray words among the numbers of a shared column are holes.

    `as_text` as in `read_table`; `kept`: columns that are left as they stand (targets, groups). Columns that name
    things (leading zeros, codes, ids by their names, groups of which test has others) stay text. Raises BadInput for
    a file that can't be used.
    """
    left, right = (read_table(path, as_text=as_text) for path in (train, test))
    out = {*as_text, *kept}
    if train.suffix != ".parquet" or test.suffix != ".parquet":  # where both are typed by whoever wrote them
        for name in left.columns:
            if name in right.columns and name not in out and not _KEY.search(name):
                _mend((left, right), name)
    return left, right


def read_features(data: Path, spec: CompetitionSection, ids: Collection[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train and test in the folder `data` as config.json takes them, `ids` as text; see `read_pair`."""
    stated = {*spec.target_columns, *spec.text_columns, *spec.date_columns, spec.group_column or ""}
    train, test = read_pair(data / spec.train, data / spec.test, as_text=ids, kept=stated)
    marks = [label for label in spec.classes if label in MISSING]
    targets = [name for name in spec.target_columns if name in train.columns]
    if marks and targets and not spec.train.endswith(".parquet"):
        texts = texts_of(data / spec.train, targets)
        for name in targets:
            train[name] = with_marks(train[name], texts[name], marks)
    return train, test


def _mend(tables: tuple[pd.DataFrame, pd.DataFrame], name: str) -> None:
    """Make the column numeric in both tables where nearly all of its values are numbers."""
    import pyarrow as pa
    from pyarrow import compute as pc

    texts = [table for table in tables if _is_text(table[name])]
    if not texts or not all(_fits(table[name]) for table in tables):
        return
    columns = [pc.utf8_trim_whitespace(pa.array(table[name], pa.large_string(), from_pandas=True)) for table in texts]
    numbers = [pc.match_substring_regex(column, NUMBER) for column in columns]
    known = sum(int(table[name].notna().sum()) for table in tables)
    strays = [column.filter(pc.invert(fine)) for column, fine in zip(columns, numbers, strict=True)]
    words, codes, padded = sum(map(len, strays)), _count(strays, _CODE), _count(columns, _PADDED)
    if not 0 < words <= MOST_STRAY * known or codes > MOST_CODES * known or padded:
        return
    mended = [
        amounts(pc.if_else(fine, column, None)).to_pandas() for column, fine in zip(columns, numbers, strict=True)
    ]
    left, right = (mended.pop(0) if _is_text(table[name]) else table[name] for table in tables)
    if TIME_NAME.search(name) or not _are_groups(left, right):
        tables[0][name], tables[1][name] = left, right


def _are_groups(left: pd.Series, right: pd.Series) -> bool:
    """Do whole numbers repeat in train and never come back in test, as those of the groups of a split do?"""
    known, others = left.dropna(), right.dropna()
    if not FOLDS <= known.nunique() <= len(known) / 1.5 or others.nunique() < 3 or known.isin(others).any():
        return False
    return bool((known % 1 == 0).all() and (others % 1 == 0).all())


def _is_text(column: pd.Series) -> bool:
    import pandas as pd

    return not pd.api.types.is_numeric_dtype(column.dtype)


def _fits(column: pd.Series) -> bool:
    """Could it be one of numbers, from a look at some of its values? A column without any value could not."""
    import pandas as pd

    if not _is_text(column):
        return not pd.api.types.is_bool_dtype(column.dtype) and bool(column.notna().any())
    few = thinned(column, 1000).dropna().tolist()
    texts = [value.strip() for value in few if isinstance(value, str)]
    return len(texts) == len(few) and 2 * sum(bool(_number.match(text)) for text in texts) >= len(texts)


def _count(columns: list[Any], pattern: str) -> int:
    from pyarrow import compute as pc

    return sum(pc.sum(pc.match_substring_regex(column, pattern)).as_py() or 0 for column in columns)
