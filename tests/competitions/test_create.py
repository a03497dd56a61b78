"""A campaign from a folder: every layout, all or nothing, and one sentence for what can't be used."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from orchestrator import config
from orchestrator.competitions import builtin
from orchestrator.competitions.create import create
from orchestrator.competitions.tables import read_table
from orchestrator.errors import BadInput
from tests.competitions.making import Folder


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path / "made")
    made.target("y", made.rng.integers(0, 2, 200), 0.5)
    made.answers = pd.DataFrame({"id": made.test["id"], "y": made.rng.integers(0, 2, 60)})
    return made


@pytest.fixture
def target(tmp_path):
    return tmp_path / "campaigns" / "first"


def names(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


class TestLayouts:
    def test_flat(self, folder, target):
        lines = create(target, folder.described("AUC.").write())
        assert names(target) == {
            "config.json", "competition/data/train.csv", "competition/data/test.csv",
            "competition/data/sample_submission.csv", "competition/data/description.md",
            "competition/private/answers.csv",
        }  # fmt: skip
        assert any("auc" in line for line in lines) and str(target) in lines[0]
        assert config.load(target / "config.json", {}).competition.name == "made"

    def test_every_guess_has_a_reason_and_names_a_setting(self, folder, target):
        create(target, folder.write())
        loaded = config.load(target / "config.json", {})
        assert {"competition.metric", "competition.target_columns", "cv.strategy"} <= set(loaded.guesses)
        for dotted, why in loaded.guesses.items():
            section, key = dotted.split(".")
            assert hasattr(getattr(loaded, section), key) and why

    @pytest.mark.parametrize("answers", ["answers.csv", "test.csv"])
    def test_public_and_private(self, folder, target, answers):
        root = folder.path.with_name("split")
        shutil.copytree(folder.write(), root / "public")
        (root / "private").mkdir()
        (root / "public" / "answers.csv").rename(root / "private" / answers)
        (root / "private" / "leaderboard.csv").write_text("rank,score\n1,0.9\n")
        (root / "meta.json").write_text(json.dumps({"metric": "log_loss", "slug": "some-name"}))
        extra = root / "public" / "pictures" / "a"
        extra.mkdir(parents=True)
        (extra / "1.txt").write_text("one")
        create(target, root)
        spec = config.load(target / "config.json", {}).competition
        assert (spec.metric, spec.name) == ("log_loss", "some-name")
        assert "competition/data/pictures/a/1.txt" in names(target)
        assert "competition/private/leaderboard.csv" in names(target)
        assert not [name for name in names(target / "competition" / "data") if "answers" in name]

    def test_other_names_zips_and_parquet(self, folder, target):
        made = folder.write()
        pd.read_csv(made / "test.csv").to_parquet(made / "test.parquet")
        (made / "test.csv").unlink()
        (made / "sample_submission.csv").rename(made / "sampleSubmission.csv")
        with zipfile.ZipFile(made / "train.csv.zip", "w") as archive:
            archive.write(made / "train.csv", "train.csv")
        (made / "train.csv").unlink()
        create(target, made)
        spec = config.load(target / "config.json", {}).competition
        assert (spec.train, spec.test, spec.sample_submission) == ("train.csv", "test.parquet", "sampleSubmission.csv")
        assert len(read_table(target / "competition" / "data" / spec.train)) == 200
        assert not list(target.rglob("*.zip"))

    def test_without_answers_nothing_is_submitted(self, folder, target):
        folder.answers = None
        lines = create(target, folder.write())
        assert not config.load(target / "config.json", {}).submissions.enabled
        assert any("no answers" in line for line in lines)

    def test_rows_without_a_target_are_left_out(self, folder, target):
        folder.train["y"] = folder.train["y"].astype(float)
        folder.train.loc[[3, 5], "y"] = float("nan")
        folder.train["x2"] = folder.train["x2"].map("{:05d}".format)
        assert any("Left out 2 rows" in line for line in create(target, folder.write()))
        kept = (target / "competition" / "data" / "train.csv").read_text().splitlines()
        original = (folder.path / "train.csv").read_text().splitlines()
        assert kept == [line for row, line in enumerate(original) if row not in (4, 6)]

    @pytest.mark.parametrize("hole", ["?", "-", "None", ""])
    def test_rows_with_any_mark_for_a_missing_target_are_left_out(self, folder, hole):
        folder.target("y", [hole, *map(str, folder.rng.normal(size=199))], 0.5).answers = None
        _, folds = folder.sealed()
        assert len(folds.labels) == 199

    def test_rows_of_parquet_without_a_number_are_left_out(self, folder, target):
        folder.train["y"] = [float("nan"), *folder.rng.normal(size=199)]
        folder.write()
        (folder.path / "train.csv").unlink()
        table = pa.Table.from_pydict({name: folder.train[name].to_numpy() for name in folder.train})
        parquet.write_table(table, folder.path / "train.parquet")
        assert any("Left out 1 rows" in line for line in create(target, folder.path))
        assert read_table(target / "competition" / "data" / "train.parquet")["y"].notna().all()

    @pytest.mark.parametrize("told", [False, True])
    def test_a_target_that_stands_empty_in_test(self, folder, told):
        folder.test["y"], folder.test["hollow"], folder.train["hollow"] = "", "", 1.5
        folder.train["other"] = 2.5
        folder.answers, folder.meta = None, {"target_columns": ["y"]} if told else {}
        made, folds = folder.sealed()
        assert (made.competition.target_columns, made.competition.task) == (["y"], "binary")
        assert folds.manifest["columns"] == ["x1", "x2", "colour"]
        assert made.competition.drop_columns == ["hollow", "other"], "no test row has a value there"

    def test_the_only_column_that_stands_empty_in_test_is_the_target(self, folder):
        folder.train = folder.train.rename(columns={"y": "failed_within_two_years"})
        folder.sample.columns = ["id", "Probability"]
        folder.test["failed_within_two_years"] = ""
        folder.answers, folder.meta = None, {}
        made, _ = folder.sealed()
        assert (made.competition.target_columns, made.competition.task) == (["failed_within_two_years"], "binary")

    def test_an_id_that_is_a_date_is_something_to_learn_from(self, folder):
        days = pd.date_range("2020-01-01", periods=260).strftime("%Y-%m-%d")
        folder.train = pd.DataFrame({"date": days[:200], "sales": range(200)})
        folder.test = pd.DataFrame({"date": days[200:]})
        folder.sample = folder.test.assign(sales=1.5)
        folder.answers, folder.meta = None, {}
        made, _ = folder.sealed()
        assert (made.cv.strategy, made.competition.time_column) == ("time", "date")

    def test_an_empty_folder_is_filled(self, folder, target):
        target.mkdir(parents=True)
        create(target, folder.write())
        assert config.load(target / "config.json", {}).competition.task == "binary"

    def test_the_built_in_competition(self, target):
        create(target)
        loaded = config.load(target / "config.json", {})
        assert names(target) == {"config.json"} and loaded.competition.builtin == "digits"


class TestAnswers:
    def read(self, target):
        return pd.read_csv(target / "competition" / "private" / "answers.csv", dtype=str)

    def test_they_stand_in_the_order_of_the_sample(self, folder, target):
        folder.answers = folder.answers.iloc[::-1].assign(Usage="Public", x1=0.5)
        create(target, folder.write())
        answers = self.read(target)
        assert list(answers.columns) == ["id", "y", "Usage"] and answers["id"].tolist() == list(
            map(str, range(201, 261))
        )

    def test_columns_of_0_and_1_become_labels(self, folder, target):
        folder.train["y"] = folder.rng.choice(["b", "a"], 200)
        folder.sample = folder.sample.drop(columns="y").assign(b=0.5, a=0.5)
        folder.answers = folder.test[["id"]].assign(b=[1.0, 0.0] * 30, a=[0.0, 1.0] * 30)
        create(target, folder.write())
        assert self.read(target)["y"].tolist() == ["b", "a"] * 30

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            (lambda answers: answers.iloc[1:], "lacks 1 of the sample submission's ids, first '201'"),
            (lambda answers: answers.assign(id=answers["id"] + 1), "lacks 1 of the sample"),
            (lambda answers: pd.concat([answers, answers.iloc[:1]]), "'201' stands in more than one row"),
            (lambda answers: answers.drop(columns="y"), "lacks the column 'y'"),
            (lambda answers: answers.drop(columns="id"), "lacks the id column 'id'"),
            (lambda answers: answers.assign(y=2), "is '2' in 60 rows, which train never has"),
            (lambda answers: answers.assign(y=None), "is missing in 60 rows"),
        ],
    )
    def test_bad_ones(self, folder, target, change, sentence):
        folder.answers = change(folder.answers)
        with pytest.raises(BadInput, match=r"answers\.csv") as caught:
            create(target, folder.write())
        assert sentence in str(caught.value) and not target.exists()


def _ids(folder):
    folder.sample["id"] += 1000


def _fewer(folder):
    folder.sample = folder.sample.iloc[:-3]


def _twice(folder):
    folder.test.loc[1, "id"] = folder.test.loc[0, "id"]


def _answers_in_test(folder):
    folder.test["y"] = 1


def _no_target(folder):
    folder.train = folder.train.drop(columns="y")


def _no_idea(folder):
    folder.train["y1"] = folder.train["y"]
    folder.train["y2"] = folder.train.pop("y")


def _only_ids(folder):
    folder.sample = folder.sample[["id"]]


CHANGES = [
    (_ids, "sample_submission.csv: the id id = '1201' is not in test.csv"),
    (_fewer, "sample_submission.csv has 57 rows and test.csv has 60"),
    (_twice, "test.csv: the id id = '201' stands in more than one row"),
    (_answers_in_test, "test.csv holds y, which sample_submission.csv asks for"),
    (_no_target, "no target found"),
    (_no_idea, "no target found: sample_submission.csv asks for y, and train.csv has y1, y2"),
    (_only_ids, "sample_submission.csv has no column besides the id"),
    (lambda folder: folder.target("y", None, 0.5), "the target y is missing in every row"),
    (lambda folder: folder.target("y", 1, 0.5), "the target y has only the value 1"),
    (lambda folder: folder.meta.update(metric="aucc"), 'unknown metric "aucc"'),
    (lambda folder: folder.meta.update(target_columns=["z"]), "meta.json: target_columns names 'z'"),
    (lambda folder: folder.meta.update(id_column="z"), "meta.json: id_column is 'z'"),
    (lambda folder: folder.meta.update(submission_columns=["z"]), "meta.json: submission_columns names 'z'"),
    (lambda folder: folder.meta.update(metric_direction="up"), "metric_direction must be"),
    (lambda folder: folder.meta.update(target_columns="y"), "target_columns must be a list"),
    (
        lambda folder: folder.target("y", ["a", "b", "c", "d"] * 50, "a").meta.update(metric="rmse"),
        "'rmse' can't score y",
    ),
    (lambda folder: folder.target("y", [float("inf"), *range(199)], 0.5), "the target y holds infinite values"),
    (
        lambda folder: folder.target("y", [f"because of {i % 150}" for i in range(200)], ""),
        "the target y has 150 different values in 200 rows: answers in free text can't be played",
    ),
    (lambda folder: folder.meta.update(metric="ndcg@5"), "ranks rows within groups, but no column groups them"),
]


class TestBadInput:
    @pytest.mark.parametrize(("change", "sentence"), CHANGES)
    def test_tables_that_make_no_competition(self, folder, target, change, sentence):
        change(folder)
        self.refused(target, folder.write(), sentence)

    @pytest.mark.parametrize("role", ["train", "test", "sample_submission"])
    def test_a_missing_table(self, folder, target, role):
        (folder.write() / f"{role}.csv").unlink()
        self.refused(target, folder.path, f"has no {role}.csv")

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            (b"", "test.csv is empty"),
            (b"id,x1\n", "test.csv has a header but no rows"),
            (b"id,x1\n1,2,3\n", "has 3 values where the header names 2 columns"),
            (b"\x89\x00\x01\x02", "NUL bytes"),
        ],
    )
    def test_a_broken_table_is_named_where_the_person_has_it(self, folder, target, content, sentence):
        (folder.write() / "test.csv").write_bytes(content)
        self.refused(target, folder.path, sentence)
        with pytest.raises(BadInput, match=str(folder.path / "test.csv")):
            create(target, folder.path)

    def test_a_folder_in_place_of_a_table(self, folder, target):
        (folder.write() / "train.csv").unlink()
        (folder.path / "train.csv").mkdir()
        self.refused(target, folder.path, "train.csv is a folder")

    def test_no_folder(self, folder, target):
        self.refused(target, folder.path / "nowhere", "is no folder")

    def test_links_out_of_the_folder_and_pipes(self, folder, target, tmp_path):
        (tmp_path / "secret.txt").write_text("secret")
        (folder.write() / "extra.txt").symlink_to(tmp_path / "secret.txt")
        self.refused(target, folder.path, "extra.txt is a link out of the folder")
        (folder.path / "extra.txt").unlink()
        os.mkfifo(folder.path / "pipe")
        self.refused(target, folder.path, "pipe is no regular file")

    def test_a_broken_zip(self, folder, target):
        (folder.write() / "train.csv").unlink()
        (folder.path / "train.csv.zip").write_bytes(b"PK\x03\x04 no more")
        self.refused(target, folder.path, "train.csv.zip can't be unpacked")

    def test_a_torn_meta(self, folder, target):
        (folder.write() / "meta.json").write_text('{"metric": ')
        self.refused(target, folder.path, "meta.json is not readable as JSON")

    def test_a_place_in_use(self, folder, target):
        create(target, folder.write())
        before = (target / "config.json").read_bytes()
        with pytest.raises(BadInput, match="already holds a campaign"):
            create(target, folder.path)
        assert (target / "config.json").read_bytes() == before
        (target.parent / "notes").mkdir()
        (target.parent / "notes" / "a.txt").write_text("mine")
        with pytest.raises(BadInput, match="is not empty"):
            create(target.parent / "notes", folder.path)
        with pytest.raises(BadInput, match="is a file"):
            create(target.parent / "notes" / "a.txt", folder.path)
        with pytest.raises(BadInput, match="lies inside"):
            create(folder.path / "campaign", folder.path)

    @staticmethod
    def refused(target, source, sentence):
        """One sentence, and not a trace of the campaign."""
        with pytest.raises(BadInput) as caught:
            create(target, source)
        assert sentence in str(caught.value) and "\n" not in str(caught.value)
        assert not target.parent.exists() and not list(target.parents[1].glob(".*"))


class TestBuiltin:
    def test_it_is_the_same_every_time_and_stays(self, tmp_path):
        for name in ("a", "b"):
            builtin.prepare(tmp_path / name)
        files = names(tmp_path / "a")
        assert files == {f"competition/{name}" for name in builtin.FILES}
        assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files)
        stamp = (tmp_path / "a" / "competition/data/train.csv").stat().st_mtime_ns
        builtin.prepare(tmp_path / "a")
        assert (tmp_path / "a" / "competition/data/train.csv").stat().st_mtime_ns == stamp

    def test_a_lost_file_comes_back(self, tmp_path):
        builtin.prepare(tmp_path)
        answers = tmp_path / "competition/private/answers.csv"
        before = answers.read_bytes()
        answers.unlink()
        builtin.prepare(tmp_path)
        assert answers.read_bytes() == before and not list((tmp_path / "competition").glob(".*"))

    def test_its_settings_are_those_that_would_be_guessed(self, tmp_path):
        builtin.prepare(tmp_path / "made")
        shutil.copytree(tmp_path / "made/competition/data", tmp_path / "folder")
        create(tmp_path / "campaign", tmp_path / "folder")
        guessed = config.load(tmp_path / "campaign/config.json", {}).competition
        stated = builtin.config().competition
        assert guessed.model_copy(update={"name": "digits", "builtin": "digits"}) == stated
        train = read_table(tmp_path / "folder/train.csv")
        assert (len(train), len(train.columns)) == (1000, 66)
