"""A few words among numbers are holes, in train and test alike; names, codes and labels stay as they are."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from orchestrator.competitions.profile import profile
from orchestrator.competitions.stray_words import read_features, read_pair
from orchestrator.competitions.tables import read_table
from orchestrator.referee.seal import read_data
from tests.competitions.making import Folder
from tests.referee.conftest import Stand

ROWS = 200


def pair(folder: Path, train: list[str], test: list[str], name: str = "x") -> tuple[pd.Series, pd.Series]:
    for role, values in (("train", train), ("test", test)):
        (folder / f"{role}.csv").write_text("\n".join([f"{name},b", *(f"{value},1" for value in values)]) + "\n")
    left, right = read_pair(folder / "train.csv", folder / "test.csv")
    return left[name], right[name]


def numbers(first: str = "7.5", rows: int = ROWS) -> list[str]:
    return [first, *(f"{value / 4}" for value in range(1, rows))]


@pytest.mark.parametrize("word", ["Unknown", "#DIV/0!", "n.d.", "<5", "+-5", "1e400 m"])
def test_a_stray_word_is_a_hole_wherever_it_stands(tmp_path: Path, word: str) -> None:
    for train, test in ((numbers(word), numbers()), (numbers(), numbers(word)), (numbers(word), numbers(word))):
        columns = pair(tmp_path, train, test)
        assert all(column.dtype == float for column in columns)
        assert [column.isna().sum() for column in columns] == [train[0] == word, test[0] == word]
        assert all(column.iloc[5] == 1.25 for column in columns)


def test_amounts_among_which_a_word_strays(tmp_path: Path) -> None:
    train, test = pair(tmp_path, ['"$1,200.50"'] * 99 + ["ask"], ["300"] * 50)
    assert train.iloc[0] == 1200.5 and np.isnan(train.iloc[99]) and test.iloc[0] == 300


def test_a_number_that_is_none_or_that_nothing_can_hold_is_a_hole_beside_a_stray_word(tmp_path: Path) -> None:
    train, test = pair(tmp_path, ["+-5", "1e400", *numbers("Unknown")], numbers())
    assert train.isna().tolist() == [True] * 3 + [False] * (ROWS - 1) and test.notna().all()


def test_amounts_no_sign_of_which_is_doubled(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("x,y\n$ -5,$5\n-$ 5,+-5\n+5 %,7\n")
    table = read_table(path)
    assert table["x"].tolist() == [-5, -5, 5] and table["y"].tolist() == ["$5", "+-5", "7"]


def test_a_blank_cell_is_missing_in_any_column(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("x,c,n\n1.5, ,1\n  ,a, NA\n2.5,b, ?\n")
    table = read_table(path)
    assert table["x"].dtype == float and table["x"].isna().tolist() == [False, True, False]
    assert table["c"].isna().tolist() == [True, False, False]
    assert table["n"].isna().tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("train", "test", "name"),
    [
        (numbers("?!", 15), numbers(rows=4), "x"),
        ([*map(str, range(100, 290)), *["V57", "E909"] * 3], numbers(), "x"),
        (["Unknown", *(f"{number:04d}" for number in range(1, 200))], ["0300"] * 60, "x"),
        (["guest", *map(str, range(100, 299))], ["300"] * 60, "customer_id"),
        (["guest", *map(str, range(100, 299))], ["300"] * 60, "Query"),
        ([*map(str, range(1, 10))] * 21 + ["10+"] * 6, ["3"] * 60, "rooms"),
        ([">=60", *map(str, range(20, 60))] * 4, ["30"] * 60, "age"),
        (["HQ", *map(str, range(1, 30))] * 7, [*map(str, range(30, 40))] * 6, "site"),
        (["a", "b"] * 100, ["c"] * 60, "x"),
        (numbers(), ["hidden"] * 5, "x"),
        (numbers("Unknown"), [""] * 60, "x"),
    ],
    ids=["too many", "codes", "leading zeros", "a name's column", "queries", "the highest", "the highest, too",
         "groups", "words", "all of test", "nothing in test"],
)  # fmt: skip
def test_what_is_no_slip_stays_text(tmp_path: Path, train: list[str], test: list[str], name: str) -> None:
    columns = pair(tmp_path, train, test, name)
    single = [read_table(tmp_path / f"{role}.csv")[name] for role in ("train", "test")]
    for column, alone in zip(columns, single, strict=True):
        pd.testing.assert_series_equal(column, alone)


def test_a_column_of_the_sample_and_parquet_stay_as_they_are(tmp_path: Path) -> None:
    train, test = numbers("Unknown"), numbers()
    assert pair(tmp_path, train, test)[0].dtype == float
    paths = tmp_path / "train.csv", tmp_path / "test.csv"
    assert read_pair(*paths, kept=["x"])[0]["x"].iloc[0] == "Unknown"
    assert read_pair(*paths, as_text=["x"])[1]["x"].iloc[0] == "7.5"
    for role, values in (("train", train), ("test", test)):
        pd.DataFrame({"x": values}).to_parquet(tmp_path / f"{role}.parquet")
    assert read_pair(tmp_path / "train.parquet", tmp_path / "test.parquet")[0]["x"].iloc[0] == "Unknown"


def test_numbers_stay_numbers_whatever_their_name_holds_or_where_time_goes_on(tmp_path: Path) -> None:
    ages = ["?!", *map(str, range(20, 60))] * 4
    assert pair(tmp_path, ages, ["30"] * 60, "house_age")[0].dtype == float
    years = ["?!", *map(str, range(1980, 2010))] * 6
    assert pair(tmp_path, years, ["2011", "2012", "2013"] * 20, "year")[0].dtype == float


def test_groups_of_numbers_and_a_word_are_groups_from_the_first_look_to_the_seal(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "folder").target("y", np.arange(200) % 7 / 3, 0.5)
    folder.train["site"] = [["HQ", *range(1, 30)][row % 30] for row in range(200)]
    folder.test["site"] = [row % 5 + 30 for row in range(60)]
    made, folds = folder.sealed()
    assert (made.cv.strategy, made.competition.group_column) == ("group", "site")
    assert folds.groups is not None and len(set(folds.groups.tolist())) == 30


def test_the_words_among_stated_groups_count_when_folds_are_chosen(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "folder").target("y", np.arange(200) % 7 / 3, 0.5)
    folder.train["site"] = [row % 4 + 1 if row % 25 else "HQ" for row in range(200)]
    folder.test["site"] = [row % 4 + 1 for row in range(60)]
    folder.meta = {"group_column": "site"}
    made, folds = folder.sealed()
    assert made.cv.folds == 5 and folds.groups is not None and len(set(folds.groups.tolist())) == 5


def test_a_competition_reads_it_as_a_number_throughout(tmp_path: Path) -> None:
    stand = Stand(tmp_path / "campaign", None)
    stand.write_default()
    train, test, sample = (
        pd.read_csv(stand.data / f"{name}.csv", dtype={"id": str}) for name in ("train", "test", "sample_submission")
    )
    stand.write(train.assign(x1=train["x1"].astype(str).where(train.index != 3, " ")),
                test.assign(x2=test["x2"].astype(str).where(test.index != 5, "Unknown")), sample)  # fmt: skip
    kinds = stand.referee().seal().manifest["kinds"]
    assert kinds["numeric"] == ["x0", "x1", "x2"] and kinds["categorical"] == ["city"]
    found = profile(stand.root, stand.config, None, *read_data(stand.root, stand.config))
    assert found["numeric_columns"] == ["x0", "x1", "x2"]


def test_stray_words_do_not_make_dates_of_years_with_months(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "folder").target("y", np.arange(200) % 7 / 3, 0.5)
    folder.train["when"] = [f"{2000 + row % 9}.{row % 12 + 1:02d}" for row in range(200)]
    folder.test["when"] = ["late", *folder.train["when"][:59]]
    assert folder.create().competition.date_columns == []


def test_columns_of_one_name_are_features_of_their_own(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "folder").target("y", np.arange(200) % 7 / 3, 0.5)
    folder.train, folder.test = (table.rename(columns={"x2": "x1"}) for table in (folder.train, folder.test))
    made = folder.create()
    table, _ = read_features(tmp_path / "folder-campaign" / "competition" / "data", made.competition, ["id"])
    assert list(table) == ["id", "x1", "x1.1", "colour", "y"]
