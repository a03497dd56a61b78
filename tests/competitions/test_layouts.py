"""Competitions as they come: other formats, other names, ids that are none."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from orchestrator import config
from orchestrator.competitions.create import create
from orchestrator.competitions.folders import locate
from orchestrator.competitions.table_files import copy_durably
from orchestrator.competitions.tables import read_table
from orchestrator.errors import BadInput
from orchestrator.referee.workdir import hidden_files
from tests.competitions.making import Folder


def written(tmp_path: Path) -> Path:
    folder = Folder(tmp_path / "comp")
    return folder.target("y", folder.rng.normal(size=200), 0.5).write()


def made(folder: Path) -> config.Config:
    campaign = folder.parent / "campaign"
    create(campaign, folder)
    return config.load(campaign / "config.json", {})


def test_gz_and_zipped_tsv_are_unpacked(tmp_path: Path) -> None:
    folder = written(tmp_path)
    train = (folder / "train.csv").read_bytes()
    (folder / "train.csv.gz").write_bytes(gzip.compress(train))
    with zipfile.ZipFile(folder / "test.tsv.zip", "w") as archive:
        archive.writestr("test.tsv", (folder / "test.csv").read_text().replace(",", "\t"))
    (folder / "train.csv").unlink()
    (folder / "test.csv").unlink()
    spec = made(folder).competition
    assert (spec.train, spec.test, spec.target_columns) == ("train.csv", "test.tsv", ["y"])
    assert (tmp_path / "campaign/competition/data/train.csv").read_bytes() == train


def test_tables_in_folders_of_their_own_are_found(tmp_path: Path) -> None:
    folder = written(tmp_path)
    for role in ("train", "test"):
        (folder / role).mkdir()
        (folder / f"{role}.csv").rename(folder / role / f"{role}.csv")
    found = made(folder)
    data = tmp_path / "campaign" / "competition" / "data"
    assert (found.competition.train, found.competition.target_columns) == ("train.csv", ["y"])
    assert {path.name for path in data.iterdir()} == {"train.csv", "test.csv", "sample_submission.csv"}


def test_a_folder_called_train_csv_holds_the_table(tmp_path: Path) -> None:
    folder = written(tmp_path)
    (folder / "train.csv").rename(folder / "table.csv")
    (folder / "train.csv").mkdir()
    (folder / "table.csv").rename(folder / "train.csv" / "train.csv")
    assert made(folder).competition.target_columns == ["y"]


@pytest.mark.parametrize("place", ["private", ".ipynb_checkpoints"])
def test_a_test_table_is_not_looked_for_where_nothing_is_for_experiments(tmp_path: Path, place: str) -> None:
    folder = written(tmp_path)
    (folder / place).mkdir()
    (folder / "test.csv").rename(folder / place / "test.csv")
    with pytest.raises(BadInput, match=r"no features for the rows of test\.csv"):
        made(folder)


def test_a_folder_with_all_of_a_competition_is_the_competition(tmp_path: Path) -> None:
    folder = written(tmp_path)
    home = folder / "data"
    home.mkdir()
    for path in [path for path in folder.iterdir() if path.is_file()]:
        path.rename(home / path.name)
    (home / "train.csv.gz").write_bytes(gzip.compress((home / "train.csv").read_bytes()))
    (home / "description.md").write_text("Evaluated on mean absolute error.")
    (folder / "latest").symlink_to(home, target_is_directory=True)
    found = made(folder).competition
    assert (found.target_columns, found.metric) == (["y"], "mae")


def test_tables_beside_a_folder_of_tables_count(tmp_path: Path) -> None:
    folder = written(tmp_path)
    (folder / "data").mkdir()
    for name in ("train", "test"):
        (folder / f"{name}.csv").rename(folder / "data" / f"{name}.csv")
    pd.DataFrame({"id": [1], "fold": [0]}).to_csv(folder / "train_folds.csv", index=False)
    assert made(folder).competition.target_columns == ["y"]
    assert len(read_table(tmp_path / "campaign" / "competition" / "data" / "train.csv")) == 200


def test_an_old_folder_does_not_count_beside_a_train_and_a_test_table(tmp_path: Path) -> None:
    folder = written(tmp_path)
    (folder / "old").mkdir()
    for name in ("train", "test"):
        pd.read_csv(folder / f"{name}.csv").head(50).to_csv(folder / "old" / f"{name}.csv", index=False)
        (folder / f"{name}.csv").rename(folder / f"sales_{name}.csv")
    assert made(folder).competition.train == "sales_train.csv"


def test_private_answers_and_leaderboard_belong_to_the_folder_of_tables(tmp_path: Path) -> None:
    folder = written(tmp_path)
    (folder / "public" / "data").mkdir(parents=True)
    (folder / "private").mkdir()
    for path in folder.glob("*.csv"):
        path.rename(folder / "public" / "data" / path.name)
    for name in ("answers", "leaderboard"):
        (folder / "private" / f"{name}.csv").write_text("id,y\n1,2\n")
    layout = locate(folder)
    assert layout.public == folder / "public" / "data" and not layout.others
    assert layout.answers == folder / "private" / "answers.csv"
    assert layout.leaderboard == folder / "private" / "leaderboard.csv"


def test_a_copy_onto_a_folder_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    folder = written(tmp_path)
    (folder / "there").mkdir()
    with pytest.raises(BadInput, match="can't be copied"):
        copy_durably(folder / "train.csv", folder / "there")
    assert not list(folder.glob(".*"))


def test_a_readme_beside_a_table_in_its_folder_is_left_out(tmp_path: Path) -> None:
    folder = written(tmp_path)
    table = (folder / "train.csv").read_bytes()
    (folder / "train.csv").unlink()
    (folder / "train.csv").mkdir()
    (folder / "train.csv" / "train.csv").write_bytes(table)
    (folder / "train.csv" / "readme.txt").write_text("about it")
    assert made(folder).competition.target_columns == ["y"]


def test_of_two_train_tables_in_folders_none_is_guessed(tmp_path: Path) -> None:
    folder = written(tmp_path)
    for place in ("one", "two"):
        (folder / place).mkdir()
        (folder / place / "train.csv").write_bytes((folder / "train.csv").read_bytes())
    (folder / "train.csv").unlink()
    with pytest.raises(BadInput, match=r"has no train\.csv"):
        made(folder)


@pytest.mark.parametrize("lines", [True, False])
def test_json_records_become_tables(tmp_path: Path, lines: bool) -> None:
    folder = written(tmp_path)
    for name in ("train", "test"):
        records = json.loads(pd.read_csv(folder / f"{name}.csv").to_json(orient="records"))
        for record in records:
            record["wave"] = [record["x2"]] * 60
            record["by"] = {"age": record["x2"], "deep": {"note": None, "words": ["a b", "c"]}}
        text = "\n".join(map(json.dumps, records)) if lines else json.dumps(records)
        (folder / f"{name}.{'jsonl' if lines else 'json'}").write_text(text)
        (folder / f"{name}.csv").unlink()
    spec = made(folder).competition
    table = read_table(tmp_path / "campaign/competition/data" / spec.train)
    assert table["wave.mean"].equals(table["x2"].rename("wave.mean").astype(table["wave.mean"].dtype))
    assert spec.target_columns == ["y"] and table["by.age"].equals(table["x2"].rename("by.age"))
    assert set(table["by.deep.words"]) == {'["a b", "c"]'} and table["by.deep.note"].isna().all()


@pytest.mark.parametrize(("each", "whole"), [(2, True), (1, False)])
def test_objects_with_a_key_for_everyone_stay_json(tmp_path: Path, each: int, whole: bool) -> None:
    """200 rows with two keys each would become 400 columns; 200 are few enough to stay as they are."""
    folder = written(tmp_path)
    for name in ("train", "test"):
        records = json.loads(pd.read_csv(folder / f"{name}.csv").to_json(orient="records"))
        for record in records:
            record["votes"] = {f"u{record['id']}_{count}": {"by": count} for count in range(each)}
            record["size"] = {"of": record["x2"]}
        (folder / f"{name}.json").write_text(json.dumps(records))
        (folder / f"{name}.csv").unlink()
    spec = made(folder).competition
    data = tmp_path / "campaign/competition/data"
    for table in (read_table(data / spec.train), read_table(data / spec.test)):
        assert ("votes" in table) == whole and "size.of" in table
        assert not whole or table["votes"].iloc[0].startswith('{"u')


def test_json_that_is_no_table_is_refused_in_one_sentence(tmp_path: Path) -> None:
    folder = written(tmp_path)
    (folder / "train.csv").unlink()
    (folder / "train.json").write_text("[1, 2]")
    with pytest.raises(BadInput, match=r"train\.json is no table: it must hold a list of records"):
        made(folder)


@pytest.mark.parametrize(
    ("train", "test", "sample"),
    [
        ("labeledTrainData.csv", "testData.csv", "sampleSubmission.csv"),
        ("application_train.csv", "application_test.csv", "sample_submission_null.csv"),
        ("train_v2.csv", "test_v2.csv", "gender_submission.csv"),
        ("training.csv", "sorted_test.csv", "example_entry.csv"),
        ("labels.csv", "test.csv", "sample_submission.csv"),
    ],
)
def test_tables_are_found_by_the_words_in_their_names(tmp_path: Path, train: str, test: str, sample: str) -> None:
    folder = written(tmp_path)
    (folder / "unlabeledTrainData.csv").write_text("id\n1\n")
    (folder / "columns_description.csv").write_text("column\nx1\n")
    for old, new in zip(("train", "test", "sample_submission"), (train, test, sample), strict=True):
        (folder / f"{old}.csv").rename(folder / new)
    spec = made(folder).competition
    assert (spec.train, spec.test, spec.sample_submission) == (train, test, sample)


def test_of_two_test_tables_the_one_with_every_id_is_meant(tmp_path: Path) -> None:
    folder = written(tmp_path)
    for name in ("train", "test"):
        (folder / f"{name}.csv").rename(folder / f"{name}_transactions.csv")
        table = pd.read_csv(folder / f"{name}_transactions.csv")
        table[["id"]].iloc[::2].assign(device=1.5).to_csv(folder / f"{name}_device.csv", index=False)
    assert made(folder).competition.train == "train_transactions.csv"


def test_a_text_in_the_sample_is_no_id(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "comp")
    folder.target("rude", folder.rng.integers(0, 2, 200), 0)
    texts = [f"some words of comment number {row} that a person wrote" for row in range(200)]
    dates = [f"201206{row % 27 + 1:02d}192155Z" if row % 5 else None for row in range(200)]
    for frame in (folder.train, folder.test):
        frame["comment"], frame["date"] = texts[: len(frame)], dates[: len(frame)]
        del frame["id"]
    folder.sample = folder.test[["date", "comment"]].assign(rude=0)[["rude", "date", "comment"]]
    spec = folder.create().competition
    assert spec.id_column is None and spec.submission_columns == ["rude"]
    assert (spec.text_columns, spec.date_columns) == (["comment"], ["date"])


def test_ids_that_repeat_in_the_same_order_match_rows_by_their_order(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "comp").target("y", range(200), 0.5)
    folder.test["id"] = folder.test["id"] // 2
    folder.sample["id"] = folder.test["id"]
    spec = folder.create().competition
    assert spec.id_column is None and spec.submission_columns == ["y"]
    folder.path = tmp_path / "other"
    folder.sample = folder.sample.sort_values("id", ascending=False)
    with pytest.raises(BadInput, match="stands in more than one row"):
        folder.create()


@pytest.mark.parametrize("form", ["{:,.2f}", "${:,.0f}", "{:.1f}%", "{:.1f} %"])
def test_amounts_as_people_write_them_are_numbers(tmp_path: Path, form: str) -> None:
    folder = Folder(tmp_path / "comp")
    amounts = [form.format(value) for value in folder.rng.uniform(10, 99_000, 200)]
    spec = folder.target("price", amounts, 0).create().competition
    assert (spec.task, spec.metric) == ("regression", "rmse")


def test_gini_of_amounts_is_a_regression(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "comp").target("hazard", [row % 40 for row in range(200)], 0)
    spec = folder.described("Submissions are scored on the Normalized Gini Coefficient.").create().competition
    assert (spec.task, spec.metric, spec.submission_kind) == ("regression", "gini", "value")


def test_archives_that_must_be_unpacked_are_named(tmp_path: Path) -> None:
    folder = written(tmp_path)
    (folder / "train.csv").rename(folder / "train.csv.7z")
    with pytest.raises(BadInput, match=r"has no train\.csv .*: unpack train\.csv\.7z there"):
        made(folder)


@pytest.mark.parametrize("name", ["data.csv", "train.csv", "data.tsv"])
def test_the_rows_of_one_table_without_a_target_are_the_test_table(tmp_path: Path, name: str) -> None:
    folder = written(tmp_path)
    tables = [pd.read_csv(folder / f"{role}.csv") for role in ("train", "test")]
    for role in ("train", "test"):
        (folder / f"{role}.csv").unlink()
    whole = pd.concat(tables).sort_values("x1")
    (folder / "data_dictionary.csv").write_text("column,meaning\nx1,a number\n")
    whole.to_csv(folder / name, index=False, sep="\t" if name.endswith("tsv") else ",")
    spec = made(folder).competition
    data = tmp_path / "campaign/competition/data"
    train, test = read_table(data / spec.train), read_table(data / spec.test)
    assert (len(train), set(test["id"])) == (200, set(tables[1]["id"]))
    assert "y" not in test.columns and {path.name for path in data.iterdir()} >= {spec.train, spec.test}
    assert hidden_files(data, spec) == ["data.tsv"] * (name == "data.tsv")


def test_a_sample_with_another_name_for_the_target_is_told(tmp_path: Path) -> None:
    folder = written(tmp_path)
    sample = pd.read_csv(folder / "sample_submission.csv")
    assert not any("taken for" in line for line in create(tmp_path / "alike", folder))
    sample.rename(columns={"y": "minutes"}).to_csv(folder / "sample_submission.csv", index=False)
    assert "submit    value: minutes  (taken for train's y)" in create(tmp_path / "other", folder)


def test_one_table_without_a_sample_is_told_what_is_missing(tmp_path: Path) -> None:
    folder = tmp_path / "alone"
    folder.mkdir()
    pd.read_csv(written(tmp_path) / "train.csv").to_csv(folder / "data.csv", index=False)
    with pytest.raises(BadInput, match=r"has only data\.csv: divide it .* or put a sample_submission\.csv"):
        made(folder)
    (folder / "data.csv").rename(folder / "titanic.zip")  # as a competition's data are downloaded
    with pytest.raises(BadInput, match=r"has no train\.csv .*: unpack titanic\.zip there"):
        made(folder)


def test_one_table_with_other_holes_is_no_test_table(tmp_path: Path) -> None:
    folder = written(tmp_path)
    (folder / "test.csv").unlink()
    with pytest.raises(BadInput, match=r"has no test\.csv"):
        made(folder)


@pytest.mark.parametrize("again", ["cut off before train was written", "all written"])
def test_a_table_that_was_split_is_found_again(tmp_path: Path, again: str) -> None:
    folder = written(tmp_path)
    if again == "cut off before train was written":
        pd.concat([pd.read_csv(folder / f"{role}.csv") for role in ("train", "test")]).to_csv(folder / "data.csv")
        (folder / "train.csv").unlink()
    else:
        (folder / "train.csv").rename(folder / "data.csv")
    spec = made(folder).competition
    assert (spec.train, spec.test, len(read_table(tmp_path / "campaign/competition/data" / spec.train))) == (
        "data.csv",
        "test.csv",
        200,
    )
