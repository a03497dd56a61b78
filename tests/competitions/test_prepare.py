"""Labels, signals and facts that stand beside the tables become columns of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from orchestrator import config
from orchestrator.competitions.create import create
from orchestrator.competitions.prepare import prepare
from orchestrator.competitions.tables import read_table
from orchestrator.config import Config
from orchestrator.errors import BadInput
from orchestrator.referee.workdir import data_files
from tests.competitions.making import Folder


class Campaign:
    """What `create` made of a folder that a test has changed by hand."""

    def __init__(self, folder: Path) -> None:
        place = folder.parent / "campaign"
        self.lines = create(place, folder)
        self.data = place / "competition" / "data"
        self.config: Config = config.load(place / "config.json", {})
        self.spec = self.config.competition
        self.train = read_table(self.data / self.spec.train)
        self.test = read_table(self.data / self.spec.test)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = Folder(tmp_path / "comp", 80, 30)
    return made.target("y", made.rng.normal(size=80).round(3), 0.5).write()


@pytest.mark.parametrize(
    ("labels", "keyed"), [("train_labels.csv", True), ("y_train.csv", False), ("train_labels.csv.gz", True)]
)
def test_labels_of_their_own_are_joined_and_hidden(folder: Path, labels: str, keyed: bool) -> None:
    train = pd.read_csv(folder / "train.csv")
    train.drop(columns="y").to_csv(folder / "train.csv", index=False)
    own = train[["id", "y"]].sample(frac=1, random_state=0) if keyed else train[["y"]]
    own.to_csv(folder / labels, index=False)
    campaign = Campaign(folder)
    assert campaign.spec.target_columns == ["y"] and campaign.train["y"].tolist() == train["y"].tolist()
    assert data_files(campaign.data, campaign.spec) == {}


def test_of_two_tables_of_labels_the_one_that_is_asked_for_is_joined(folder: Path) -> None:
    train = pd.read_csv(folder / "train.csv")
    train.drop(columns="y").to_csv(folder / "train.csv", index=False)
    train[["id"]].assign(other=1).to_csv(folder / "a_targets.csv", index=False)
    train[["id", "y"]].to_csv(folder / "b_targets.csv", index=False)
    assert list(Campaign(folder).train.columns) == ["id", "x1", "x2", "colour", "y"]


def test_columns_that_mark_one_class_each_become_one_column(tmp_path: Path) -> None:
    made = Folder(tmp_path / "comp").described("Submissions are evaluated on multi-class log loss.")
    winner = made.rng.integers(0, 3, 200)
    for place, name in enumerate(("a", "b", "tie")):
        made.target(name, (winner == place).astype(int), 1 / 3)
    campaign = Campaign(made.write())
    assert (campaign.spec.task, campaign.spec.submission_kind) == ("multiclass", "class_columns")
    assert campaign.spec.classes == ["a", "b", "tie"]
    assert campaign.train["class"].tolist() == [["a", "b", "tie"][place] for place in winner]
    made.train[["id", "a"]].to_csv(campaign.data / "copy.csv", index=False)
    assert set(data_files(campaign.data, campaign.spec)) == {"description.md"}


def test_columns_that_may_be_marked_together_stay(tmp_path: Path) -> None:
    made = Folder(tmp_path / "comp").described("Submissions are evaluated on multi-class log loss.")
    for name in ("a", "b", "c"):
        made.target(name, made.rng.integers(0, 2, 200), 0.5)
    assert made.create().competition.target_columns == ["a", "b", "c"]


def test_a_side_table_with_a_row_per_key_is_joined(folder: Path) -> None:
    pd.DataFrame({"colour": ["red", "blue"], "warmth": [2, 1]}).to_csv(folder / "colours.csv", index=False)
    campaign = Campaign(folder)
    assert campaign.train["colours_warmth"].eq(campaign.train["colour"].map({"red": 2, "blue": 1})).all()
    assert "colours_warmth" in campaign.test


def test_several_rows_of_a_key_become_statistics(folder: Path) -> None:
    rows = pd.DataFrame(
        {"id": np.repeat(np.arange(1, 261), 2), "paid": np.arange(520) * 1.0, "state": ["on", "off"] * 260}
    )
    rows.to_csv(folder / "payments.csv", index=False)
    campaign = Campaign(folder)
    first = campaign.train.iloc[0]
    assert (first["payments_rows"], first["payments_paid_mean"], first["payments_state_is_on"]) == (2, 0.5, 0.5)


def test_preparing_again_after_a_kill_changes_nothing(folder: Path) -> None:
    by_rows(folder, "It is said by {x} of us\nthat nobody ever came back to tell.")
    pd.DataFrame({"id": range(1, 261), "paid": 1.5}).to_csv(folder / "payments.csv", index=False)
    campaign = Campaign(folder)
    assert {"payments_paid", "file_text"} <= set(campaign.train)
    campaign.train.drop(columns=["payments_paid", "file_text"]).to_csv(campaign.data / "train.csv", index=False)
    prepare(campaign.data, {"train": "train.csv", "test": "test.csv", "sample_submission": "sample_submission.csv"}, "")
    for role in ("train", "test"):
        assert read_table(campaign.data / f"{role}.csv").equals(getattr(campaign, role))


def test_several_rows_of_an_id_with_labels_apart_become_one(folder: Path) -> None:
    labels = pd.read_csv(folder / "train.csv")[["id", "y"]]
    labels.to_csv(folder / "train_labels.csv", index=False)
    for name in ("train", "test"):
        table = pd.read_csv(folder / f"{name}.csv").drop(columns="y", errors="ignore")
        table.loc[table.index.repeat(3)].assign(step=[0.0, 1.0, 2.0] * len(table)).to_csv(
            folder / f"{name}.csv", index=False
        )
    test, sample = (pd.read_csv(folder / f"{name}.csv") for name in ("test", "sample_submission"))
    test.assign(id=test["id"] - test["id"].min()).to_csv(folder / "test.csv", index=False)
    sample.assign(id=sample["id"] - sample["id"].min()).to_csv(folder / "sample_submission.csv", index=False)
    campaign = Campaign(folder)
    assert campaign.train["y"].tolist() == labels["y"].tolist() and len(campaign.test) == 30
    assert campaign.train["step_mean"].eq(1).all() and {"x1", "colour", "rows"} <= set(campaign.test)


def test_parts_of_a_side_table_for_train_and_test_are_one(folder: Path) -> None:
    for name, spelled in (("train", "os-kind"), ("test", "os_kind")):
        ids = pd.read_csv(folder / f"{name}.csv")[["id"]].iloc[::3]
        ids.assign(**{spelled: ids["id"] * 2}).to_csv(folder / f"{name}_device.csv", index=False)
    campaign = Campaign(folder)
    for table in (campaign.train, campaign.test):
        known = table["device_os_kind"].notna()
        assert known.mean() == pytest.approx(1 / 3, abs=0.02)
        assert (table["device_os_kind"][known] == 2 * table["id"][known].astype(int)).all()


def test_a_target_that_stands_empty_in_test_is_no_key_and_no_side_table_gives_it(folder: Path) -> None:
    test = pd.read_csv(folder / "test.csv")
    test.assign(y="").to_csv(folder / "test.csv", index=False)
    pd.DataFrame({"id": range(1, 261), "y": 1.5, "w": 2}).to_csv(folder / "leak.csv", index=False)
    pd.DataFrame({"id": range(1, 261), "v": range(260)}).to_csv(folder / "facts.csv", index=False)
    campaign = Campaign(folder)
    assert list(campaign.train.columns) == ["id", "x1", "x2", "colour", "y", "facts_v"]
    assert campaign.spec.target_columns == ["y"] and campaign.spec.id_column == "id"


def test_a_table_that_shares_an_id_by_chance_or_holds_the_target_is_not_joined(folder: Path) -> None:
    pd.DataFrame({"id": range(10_000, 10_500), "z": 1.5}).to_csv(folder / "elsewhere.csv", index=False)
    pd.DataFrame({"id": range(1, 261), "y": 1.5, "w": 2}).to_csv(folder / "leak.csv", index=False)
    campaign = Campaign(folder)
    assert list(campaign.train.columns) == ["id", "x1", "x2", "colour", "y"]
    assert "leak.csv" not in data_files(campaign.data, campaign.spec)


def by_rows(folder: Path, contents: str, ending: str = "txt", *, keep: bool = False) -> None:
    """A file per row in train/ and test/, and tables that hold little but ids."""
    for name in ("train", "test"):
        table = pd.read_csv(folder / f"{name}.csv")
        (folder / name).mkdir()
        for row in table.itertuples():
            (folder / name / f"{row.id}.{ending}").write_text(contents.format(x=row.x1))
        own = [*(["x2"] if keep else []), *(["y"] if name == "train" else [])]
        table[["id", *own]].to_csv(folder / f"{name}.csv", index=False)


def test_a_signal_per_row_becomes_statistics_and_the_sample_the_test_table(folder: Path) -> None:
    by_rows(folder, "time,level\n0,{x}\n1,1\n2,\n", "csv")
    (folder / "test.csv").unlink()
    campaign = Campaign(folder)
    assert campaign.spec.test == "test.csv" and campaign.spec.id_column == "id"
    assert {"file_level_mean", "file_level_missing", "file_time_step"} <= set(campaign.test.columns)
    assert campaign.train["file_rows"].eq(3).all() and campaign.train["file_level_mean"].nunique() > 50


def test_a_text_per_row_becomes_a_text_column(folder: Path) -> None:
    by_rows(folder, "It is said by {x} of us\nthat nobody ever came back to tell.")
    campaign = Campaign(folder)
    assert campaign.spec.text_columns == ["file_text"]


def test_a_text_per_group_of_rows_becomes_a_text_column(folder: Path) -> None:
    for name in ("train", "test"):
        table = pd.read_csv(folder / f"{name}.csv")
        table["writer"] = [f"{name}{row // 4}" for row in range(len(table))]
        (folder / name).mkdir()
        for writer in table["writer"]:
            (folder / name / f"{writer}.txt").write_text(f"It was {writer} who wrote this")
        table.to_csv(folder / f"{name}.csv", index=False)
    campaign = Campaign(folder)
    assert campaign.test["file_text"].tolist() == [f"It was {name} who wrote this" for name in campaign.test["writer"]]


def test_a_record_per_row_becomes_columns(folder: Path) -> None:
    by_rows(folder, '{{"size": {{"of": {x}}}, "parts": ["a"]}}', "json")
    campaign = Campaign(folder)
    assert campaign.train["file_size.of"].nunique() > 50 and set(campaign.train["file_parts"]) == {'["a"]'}


def test_geometries_per_row_are_left_to_experiments(folder: Path) -> None:
    by_rows(folder, "# made\ncell {x} 0 0\natom 0.5 0.5 0.5 Al\natom 0.1 0.2 0.3 O\n", "xyz", keep=True)
    campaign = Campaign(folder)
    assert not [name for name in campaign.train if name.startswith("file_")]
    assert {"train", "test"} <= set(data_files(campaign.data, campaign.spec))


def test_folders_with_labels_in_them_are_hidden(folder: Path) -> None:
    for name, column in (("notes", "z"), ("deeper", "y")):
        (folder / f"{name}.json").write_text('{"id": ' + "[1]" * 50_000 + f', "{column}" : 2, "z": "y"}}')
        (folder / name / "inner").mkdir(parents=True)
        pd.DataFrame({"id": [1], column: [2]}).to_csv(folder / name / "inner" / "some.csv", index=False)
    campaign = Campaign(folder)
    assert set(data_files(campaign.data, campaign.spec)) == {"notes", "notes.json"}


def test_tables_that_are_not_looked_into_are_hidden_and_files_of_rows_are_not(folder: Path) -> None:
    for place, count in (("copies", 2), ("sounds", 40), ("bands", 40)):
        for number in range(count):
            inner = folder / place / (str(number) if place == "bands" else "inner")
            inner.mkdir(parents=True, exist_ok=True)
            np.save(inner / f"{number}.npy", np.zeros(3))
    (folder / "old").mkdir()
    (folder / "old" / "all.rar").write_bytes(b"who knows")
    for name in ("labels.pkl", "more.feather", "book.xlsx", "y.npy"):
        (folder / name).write_bytes(b"who knows")
    (folder / "copy.csv").write_text('id,"two\nlines",y\n1,2,3\n')
    campaign = Campaign(folder)
    assert set(data_files(campaign.data, campaign.spec)) == {"sounds", "bands"}
    (line,) = [line for line in campaign.lines if line.startswith("hidden")]
    assert all(name in line for name in ("labels.pkl", "more.feather", "copies", "copy.csv")) and "sounds" not in line


def test_pictures_alone_are_refused_in_one_sentence(folder: Path) -> None:
    by_rows(folder, "no picture", "jpg")
    with pytest.raises(BadInput, match=r"has no features for the rows of test\.csv"):
        Campaign(folder)


def test_wide_tables_are_read_in_seconds(tmp_path: Path) -> None:
    made = Folder(tmp_path / "comp", 20, 10)
    wide = pd.DataFrame(made.rng.normal(size=(20, 1500)), columns=[f"m{place}" for place in range(1500)])
    made.train = pd.concat([made.train, wide], axis=1)
    made.test = pd.concat([made.test, wide.iloc[:10]], axis=1)
    spec = made.target("y", range(20), 0.5).create().competition
    assert spec.target_columns == ["y"]


MOMENTS = pd.date_range("2019-01-01", periods=600, freq="D")
SPELLINGS = {
    "parts": lambda m: {"year": m.year, "month": m.month, "day": m.day},
    "parts and hours": lambda m: {"year": m.year, "month": m.month, "day": m.day, "hour": m.day_of_year % 24},
    "parts with a stem": lambda m: {"sale_year": m.year, "sale_month": m.strftime("%B"), "sale_day": m.day},
    "parts at the end": lambda m: {"YrSold": m.year, "MoSold": m.month, "day": m.day_of_week + 1},
    "weeks": lambda m: {"year": m.isocalendar().year.to_numpy(), "week": m.isocalendar().week.to_numpy()},
    "quarters": lambda m: {"quarter": [f"{one.year}Q{one.quarter}" for one in m]},
    "a number": lambda m: {"date": m.strftime("%Y%m%d").astype(int)},
    "a number of months": lambda m: {"period": m.strftime("%Y%m").astype(int)},
    "seconds": lambda m: {"timestamp": (m - pd.Timestamp(0)) // pd.Timedelta("1s")},
    "milliseconds": lambda m: {"ts": (m - pd.Timestamp(0)) // pd.Timedelta("1ms")},
    "words": lambda m: {"month": m.strftime("%b %Y")},
}


def spelled(path: Path, spelling: str, edge: int) -> Folder:
    """Train's rows are the first `edge` of MOMENTS, test's the others, which start with another year's quarter."""
    made = Folder(path, edge, len(MOMENTS) - edge).target("y", np.random.default_rng(0).normal(size=edge), 0.5)
    columns = pd.DataFrame(SPELLINGS[spelling](MOMENTS))
    for name in columns:
        made.train[name], made.test[name] = columns[name][:edge].to_numpy(), columns[name][edge:].to_numpy()
    return made


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_moments_are_read_however_they_are_spelled(tmp_path: Path, spelling: str) -> None:
    edge = int(np.flatnonzero(MOMENTS == "2020-04-06")[0])  # a Monday, in the first days of a quarter
    if spelling in ("quarters", "words", "a number of months", "parts at the end"):
        edge = int(np.flatnonzero(MOMENTS == "2020-04-01")[0])
    campaign = Campaign(spelled(tmp_path / "comp", spelling, edge).write())
    assert campaign.config.cv.strategy == "time" and len(campaign.spec.date_columns) == 1
    assert campaign.spec.time_column == campaign.spec.date_columns[0]
    days = pd.to_datetime(campaign.train[campaign.spec.time_column], format="mixed").dt.normalize()
    forms = {"weeks": "W", "quarters": "Q", "words": "M", "a number of months": "M", "parts at the end": "M"}
    expected = MOMENTS[:edge].to_period(forms.get(spelling, "D")).start_time
    assert days.tolist() == expected.tolist()


def test_parts_of_moments_that_train_and_test_share_stay_as_they_are(tmp_path: Path) -> None:
    made = spelled(tmp_path / "comp", "parts", 500)
    for name in ("year", "month", "day"):
        made.test[name] = made.train[name].to_numpy()[:100]
    before = made.train
    campaign = Campaign(made.write())
    assert list(campaign.train.columns) == list(before.columns) and campaign.spec.date_columns == []


@pytest.mark.parametrize("values", [[13] * 80, [2020.5] * 80, [None] * 40 + [3] * 40, ["x"] * 80])
def test_what_is_called_a_month_and_is_none_stays_as_it_is(folder: Path, values: list[object]) -> None:
    for name in ("train", "test"):
        table = pd.read_csv(folder / f"{name}.csv")
        table = table.assign(year=2020, month=values[: len(table)], period=range(len(table)))
        table.to_csv(folder / f"{name}.csv", index=False)
    assert Campaign(folder).spec.date_columns == []


EDGE = 461  # in MOMENTS, a Monday in the first days of a quarter


@pytest.mark.parametrize(
    ("besides", "values"), [("sentiment", [0.5]), ("AIR_TIME", [60]), ("candidate_id", range(10**9, 10**9 + 7200, 12))]
)
def test_what_only_sounds_like_a_moment_is_none(tmp_path: Path, besides: str, values: list[float]) -> None:
    made = spelled(tmp_path / "comp", "parts", EDGE)
    for place, table in ((0, made.train), (EDGE, made.test)):
        table[besides] = np.resize(np.array(values), 600)[place : place + len(table)]
    assert Campaign(made.write()).spec.date_columns == ["row_date"]


def test_parts_are_read_after_a_side_table_was_joined(tmp_path: Path) -> None:
    made = spelled(tmp_path / "comp", "parts", EDGE)
    made.train["shop"], made.test["shop"] = np.arange(EDGE) % 7, np.arange(600 - EDGE) % 7
    folder = made.write()
    pd.DataFrame({"shop": range(7), "size": range(7, 14)}).to_csv(folder / "shops.csv", index=False)
    campaign = Campaign(folder)
    assert "shops_size" in campaign.train and campaign.spec.date_columns == ["row_date"]


def test_two_numbers_of_moments_become_two_dates(tmp_path: Path) -> None:
    made = spelled(tmp_path / "comp", "a number", EDGE)
    made.train["seen_time"], made.test["seen_time"] = 1_500_000_000 + np.arange(EDGE), 1_600_000_000
    assert Campaign(made.write()).spec.date_columns == ["date_date", "seen_time_date"]


def test_a_hole_and_a_day_that_both_have_leave_the_parts_a_date(tmp_path: Path) -> None:
    made = spelled(tmp_path / "comp", "parts", EDGE)
    for name in ("year", "month", "day"):
        made.test.loc[0, name] = made.train[name].iloc[-1]
    for table in (made.train, made.test):
        table["year"] = table["year"].astype(float)
        table.loc[5, "year"] = np.nan
    campaign = Campaign(made.write())
    assert (campaign.spec.time_column, campaign.config.cv.strategy) == ("row_date", "time")


def test_dates_are_made_once_and_not_for_notebooks(tmp_path: Path) -> None:
    folder = spelled(tmp_path / "comp", "a number", EDGE).write()
    names = {role: f"{role}.csv" for role in ("train", "test", "sample_submission")}
    before = (folder / "train.csv").read_bytes()
    assert prepare(folder, names, "", dates=False) == (names, []) and (folder / "train.csv").read_bytes() == before
    _, notes = prepare(folder, names, "")
    once = (folder / "train.csv").read_bytes()
    assert notes == ["date became the date date_date."] and once != before
    assert prepare(folder, names, "")[1] == [] and (folder / "train.csv").read_bytes() == once


def test_types_of_parquet_and_lone_line_ends_in_texts_stay(tmp_path: Path) -> None:
    made = spelled(tmp_path / "comp", "parts", EDGE)
    for table in (made.train, made.test):
        table["note"] = ["one\rtwo, three" if row % 2 else "four" for row in range(len(table))]
    folder = made.write()
    assert set(Campaign(folder).train["note"]) == {"one\rtwo, three", "four"}
    other = Folder(tmp_path / "typed" / "comp")
    other.train, other.test, other.sample = made.train.assign(code="007"), made.test.assign(code="007"), made.sample
    typed = other.write()
    for name in ("train", "test"):
        table = pd.read_csv(typed / f"{name}.csv", dtype={"code": str})
        table.to_parquet(typed / f"{name}.parquet")
        (typed / f"{name}.csv").unlink()
    assert set(Campaign(typed).train["code"]) == {"007"}


@pytest.mark.parametrize("birth", ["1980-03-04", 19800304])
def test_a_date_of_something_else_does_not_keep_parts_from_being_one(tmp_path: Path, birth: object) -> None:
    made = spelled(tmp_path / "comp", "parts with a stem", EDGE)
    for table in (made.train, made.test):
        table["birth_date"] = [birth if row % 2 else str(birth).replace("0", "1", 1) for row in range(len(table))]
    spec = Campaign(made.write()).spec
    assert spec.time_column == "sale_date" and len(spec.date_columns) == 2


def test_a_date_that_says_the_same_keeps_parts_as_they_are(tmp_path: Path) -> None:
    made = spelled(tmp_path / "comp", "parts", EDGE)
    made.train["sold_date"], made.test["sold_date"] = (
        MOMENTS[:EDGE].strftime("%d.%m.%Y"),
        MOMENTS[EDGE:].strftime("%d.%m.%Y"),
    )
    assert Campaign(made.write()).spec.date_columns == ["sold_date"]


@pytest.mark.parametrize("besides", ["row_date", None])
def test_days_of_the_month_that_test_has_alone_are_blocks_of_time(tmp_path: Path, besides: str | None) -> None:
    late = MOMENTS.day > 19
    columns = pd.DataFrame(SPELLINGS["parts"](MOMENTS)).assign(**({besides: MOMENTS.strftime("%F")} if besides else {}))
    made = Folder(tmp_path / "comp", int((~late).sum()), int(late.sum()))
    made.target("y", np.random.default_rng(0).normal(size=int((~late).sum())), 0.5)
    for name in columns:
        made.train[name], made.test[name] = columns[name][~late].to_numpy(), columns[name][late].to_numpy()
    campaign = Campaign(made.write())
    assert (campaign.config.cv.strategy, campaign.spec.time_column) == ("blocks", "row_date")


STRAY = {
    "a year below 0": {"year": -999},
    "a word for a year": {"year": "unknown"},
    "a day of 0": {"day": 0},
    "no month": {"month": None},
}


@pytest.mark.parametrize("stray", STRAY)
def test_a_stray_part_costs_its_row_alone(tmp_path: Path, stray: str) -> None:
    made = spelled(tmp_path / "comp", "parts", EDGE)
    for name, value in STRAY[stray].items():
        made.train[name] = made.train[name].astype(object)
        made.train.loc[3, name] = value
    campaign = Campaign(made.write())
    assert campaign.spec.date_columns == ["row_date"] and campaign.train["row_date"].isna().tolist().index(True) == 3


def test_flags_of_weekdays_quarters_in_words_and_months_from_0_are_told_apart(tmp_path: Path) -> None:
    made = spelled(tmp_path / "comp", "parts", EDGE)
    for table in (made.train, made.test):
        table.insert(0, "mon", np.arange(len(table)) % 7 == 0)
        table["month"] -= 1
    campaign = Campaign(made.write())
    assert campaign.train["row_date"].tolist()[:2] == ["2019-01-01 00:00:00", "2019-01-02 00:00:00"]


def test_an_id_that_is_a_number_of_a_day_tells_the_day(tmp_path: Path) -> None:
    made = spelled(tmp_path / "comp", "a number", EDGE)
    made.train, made.test = made.train.drop(columns="id"), made.test.drop(columns="id")
    made.sample = made.test[["date"]].assign(y=0.5)
    campaign = Campaign(made.write())
    assert (campaign.spec.id_column, campaign.spec.time_column) == ("date", "date_date")


CONSTANT: list[dict[str, Any]] = [{"date": 20200101}, {"timestamp": 1_500_000_000}, {"day": 180101}]


@pytest.mark.parametrize("columns", [*CONSTANT, {"monthly_income": np.arange(80) % 8 + 1, "yearly_income": 2001}])
def test_columns_that_are_no_moments_become_none(folder: Path, columns: dict[str, Any]) -> None:
    for name in ("train", "test"):
        table = pd.read_csv(folder / f"{name}.csv")
        made = {key: np.resize(value, len(table)) for key, value in columns.items()}
        table.assign(**made).to_csv(folder / f"{name}.csv", index=False)
    assert Campaign(folder).spec.date_columns == []


def test_hours_from_1_to_24_are_hours_and_days_from_0_are_no_days(tmp_path: Path) -> None:
    made = spelled(tmp_path / "comp", "parts and hours", EDGE)
    for table in (made.train, made.test):
        table["hour"] += 1
    campaign = Campaign(made.write())
    assert campaign.train["row_date"].notna().all() and campaign.train["row_date"][0] == "2019-01-01 02:00:00"
    other = spelled(tmp_path / "other" / "comp", "parts", EDGE)
    for table in (other.train, other.test):
        table["day"] -= 1
    days = pd.to_datetime(Campaign(other.write()).train["row_date"]).dt.day
    assert set(days) == {1}, "the month alone"


def test_weeks_that_run_on_count_beside_a_date_of_something_else(tmp_path: Path) -> None:
    made = Folder(tmp_path / "comp", EDGE, 600 - EDGE).target("y", np.random.default_rng(0).normal(size=EDGE), 0.5)
    made.train["week"], made.test["week"] = np.arange(EDGE) // 4, np.arange(EDGE, 600) // 4
    made.train["open_date"] = np.resize(MOMENTS[:50:2].strftime("%F"), EDGE)
    made.test["open_date"] = np.resize(MOMENTS[1:30:2].strftime("%F"), 600 - EDGE)
    campaign = Campaign(made.write())
    assert (campaign.config.cv.strategy, campaign.spec.time_column) == ("time", "week")


def test_groups_called_a_year_count_beside_a_date_of_something_else(tmp_path: Path) -> None:
    made = Folder(tmp_path / "comp", EDGE, 600 - EDGE).target("y", np.random.default_rng(0).normal(size=EDGE), 0.5)
    made.train["season_year"], made.test["season_year"] = 1901 + np.arange(EDGE) % 40 * 2, 1900
    made.test["season_year"] += np.arange(600 - EDGE) % 40 * 2
    for table in (made.train, made.test):
        table["birth_date"] = np.resize(MOMENTS[:90].strftime("%F"), len(table))
    campaign = Campaign(made.write())
    assert (campaign.config.cv.strategy, campaign.spec.group_column) == ("group", "season_year")


@pytest.mark.parametrize("parts", [("year", "quarter"), ("year", "week")])
def test_coarse_parts_beside_a_date_stay_as_they_are(tmp_path: Path, parts: tuple[str, str]) -> None:
    made = spelled(tmp_path / "comp", "weeks", EDGE)
    for table, moments in ((made.train, MOMENTS[:EDGE]), (made.test, MOMENTS[EDGE:])):
        table["quarter"], table["sold_date"] = moments.quarter, moments.strftime("%Y-%m-%d")
    unused = {"week", "quarter"} - {*parts}
    made.train, made.test = made.train.drop(columns=unused), made.test.drop(columns=unused)
    assert Campaign(made.write()).spec.date_columns == ["sold_date"]


def test_holes_in_parquet_are_holes_in_its_date(tmp_path: Path) -> None:
    folder = spelled(tmp_path / "comp", "parts", EDGE).write()
    for name in ("train", "test"):
        table = pd.read_csv(folder / f"{name}.csv")
        table.loc[:1, "day"] = 99
        table.to_parquet(folder / f"{name}.parquet")
        (folder / f"{name}.csv").unlink()
    campaign = Campaign(folder)
    assert campaign.spec.time_column == "row_date" and campaign.train["row_date"].isna().sum() == 2


def test_a_name_that_train_alone_has_is_not_taken_for_the_date(tmp_path: Path) -> None:
    made = spelled(tmp_path / "comp", "parts with a stem", EDGE)
    made.train["sale_date"] = "x"
    assert Campaign(made.write()).spec.time_column == "sale_as_date"
