"""The tables of a competition while they are brought into the form that is played: a train, a test and a sample."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.competitions.table_files import FORMATS, is_table
from orchestrator.competitions.tables import MISSING, header, read_table, write_csv, write_parquet
from orchestrator.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd


class RoleTables:
    """The tables in the folder `data` by role, read when they are needed; every value is text as in the file."""

    def __init__(self, data: Path, names: dict[str, str]) -> None:
        self.data = data
        self.names = dict(names)
        self.notes: list[str] = []
        self._frames: dict[str, pd.DataFrame] = {}
        self._headers: dict[str, list[str]] = {}
        self._changed: set[str] = set()
        self._empty: dict[str, bool] = {}

    def columns(self, role: str) -> list[str]:
        """The column names of a role's table; none where there is no such table."""
        if role in self._frames:
            return list(map(str, self._frames[role].columns))
        if role in self.names and role not in self._headers:
            self._headers[role] = header(self.data / self.names[role])
        return self._headers.get(role, [])

    def frame(self, role: str) -> pd.DataFrame:
        if role not in self._frames:
            self._frames[role] = read_table(self.data / self.names[role], as_text=self.columns(role))
        return self._frames[role]

    def part(self, role: str, columns: list[str]) -> pd.DataFrame:
        """Some columns of a role's table, which need not be read for it as a whole."""
        if role in self._frames:
            return self._frames[role][columns]
        return read_table(self.data / self.names[role], columns=columns)

    def put(self, role: str, frame: pd.DataFrame) -> None:
        """Take `frame` as the role's table from now on."""
        self._frames[role] = frame
        self._changed.add(role)

    def add(self, role: str, name: str, texts: list[str]) -> None:
        """One more column; a Parquet file that stands as it came keeps its types."""
        path = self.data / self.names[role]
        if role in self._frames or path.suffix != ".parquet":
            self.put(role, self.frame(role).assign(**{name: texts}))
            return
        import pyarrow as pa
        from pyarrow import parquet

        column = pa.array([text or None for text in texts], pa.string())
        write_parquet(path, parquet.ParquetFile(path).read().append_column(name, column))
        self._headers.pop(role, None)

    def asked(self) -> list[str]:
        """The sample's columns that test has no value of, but for its first where that is train's or numbers rows."""
        columns = self.columns("sample_submission")
        known = {*self.columns("test")} - self._to_fill_in()
        fresh = [name for name in columns if name not in known]
        return fresh[1:] if fresh and fresh[0] == columns[0] and len(fresh) > 1 else fresh

    def _to_fill_in(self) -> set[str]:
        """The targets that stand in test without a value; the sample's first column names the rows."""
        train, test = self.columns("train"), self.columns("test")
        shared = [name for name in self.columns("sample_submission")[1:] if name in train and name in test]
        for name in [name for name in shared if name not in self._empty]:
            values = self.part("test", [name])[name]
            self._empty[name] = bool((values.isna() | values.isin(MISSING)).all())
        return {name for name in shared if self._empty[name]}

    def key(self) -> str | None:
        """The column that names the rows in the sample, in test and in train."""
        known = {*self.columns("test")} & {*self.columns("train")} - self._to_fill_in()
        return next((name for name in self.columns("sample_submission") if name in known), None)

    def others(self) -> list[Path]:
        """The other tables beside these."""
        used = {name.split(".")[0] for name in self.names.values()}
        found = [path for path in sorted(self.data.iterdir()) if path.is_file() and is_table(path.name)]
        return [path for path in found if path.suffix.lower() in FORMATS[:3] and path.name.split(".")[0] not in used]

    def only_in_train(self) -> list[str]:
        test = {*self.columns("test"), self.key()}
        return [name for name in self.columns("train") if name not in test]

    def save(self) -> None:
        """Write what has changed, as CSV."""
        for role in sorted(self._changed):
            self.names[role] = f"{self.names[role].split('.')[0]}.csv"
            write_csv(self.data / self.names[role], self._frames[role])
        self._changed.clear()


def header_or_none(path: Path) -> list[str]:
    """The column names of a table that may be none."""
    try:
        return header(path)
    except BadInput:
        return []
