"""The local competition: what it accepts, how it grades each kind of submission, its days and its leaderboard."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.competitions.base import SubmissionRefused, read_untrusted
from orchestrator.competitions.grading import split
from orchestrator.competitions.infer_columns import label_text
from orchestrator.competitions.local import OUR_TEAM, LocalCompetition
from orchestrator.config import Config, parse
from orchestrator.errors import BadInput, Damaged, OutputRejected

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@dataclass
class Clock:
    time: datetime = NOON

    def __call__(self) -> datetime:
        return self.time


@dataclass
class Site:
    """A competition's folder made of a section, answers and the submissions written into it."""

    root: Path
    section: dict[str, Any]
    answers: str
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.private = self.root / "competition" / "private"
        self.private.mkdir(parents=True)
        (self.private / "answers.csv").write_text(self.answers)

    @property
    def config(self) -> Config:
        return parse({"competition": self.section}, "test")

    @property
    def competition(self) -> LocalCompetition:
        return LocalCompetition(self.root, self.config, now=self.clock)

    def csv(self, text: str) -> Path:
        path = self.root / "given.csv"
        path.write_text(text)
        return path

    def score(self, text: str) -> float:
        grade = self.competition.grade(self.csv(text))
        assert grade.valid and grade.score is not None, grade.error
        return grade.score

    def error(self, text: str) -> str:
        grade = self.competition.grade(self.csv(text))
        assert not grade.valid and grade.score is None
        return grade.error


REGRESSION = {
    "id_column": "id",
    "target_columns": ["price"],
    "task": "regression",
    "metric": "rmse",
    "submission_columns": ["price"],
}
TEN = "id,price\n" + "".join(f"{n},{n}\n" for n in range(10))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, {**REGRESSION, "daily_limit": 2}, TEN)


def made(tmp_path: Path, answers: str, **section: Any) -> Site:
    return Site(tmp_path, {"id_column": "id", "target_columns": ["y"], **section}, answers)


def test_ids_are_matched_in_any_order_and_other_columns_are_ignored(site: Site) -> None:
    rows = "".join(f"x,{n},{n + (2 if n == 3 else 0)}\n" for n in reversed(range(10)))
    assert site.score("note,id,price\n" + rows) == pytest.approx(math.sqrt(0.4))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,price\n1,1\n", "1 rows, 10 are asked for"),
        (TEN.replace("id,", "key,"), "lacks the column 'id'"),
        (TEN.replace(",price", ",cost"), "lacks the column 'price'"),
        (TEN.replace("\n3,", "\n33,"), "lacks 1 of the ids asked for, first '3'"),
        (TEN.replace("\n3,", "\n4,"), "the id '4' stands in more than one row"),
        (TEN.replace("3,3", "3,"), "price holds nothing in row 5"),
        (TEN.replace("3,3", "3,NaN"), "price is nan in row 5"),
        (TEN.replace("3,3", "3,-inf"), "price is -inf in row 5"),
        (TEN.replace("3,3", "3,much"), "'much', which is no number in row 5"),
        (TEN.replace("3,3", "3,1_0"), "which is no number"),
        (TEN.replace("3,3", "3,3,3"), "row 5 has 3 values, the header 2"),
        (TEN.replace("price", "id"), "names a column twice"),
        ("id,price\n", "has no rows under a header"),
        ("", "holds 0 bytes"),
        ('id,price\n"1,1\n', "no CSV text"),
    ],
)
def test_a_bad_submission_gets_one_clear_sentence(site: Site, text: str, said: str) -> None:
    message = site.error(text)
    assert said in message and message.startswith("given.csv")
    with pytest.raises(SubmissionRefused, match=r"given\.csv") as refusal:
        site.competition.submit(site.csv(text), "")
    assert not refusal.value.passing
    assert site.competition.submissions() == [] and site.competition.limits().used_today == 0


def test_only_plain_files_of_sane_size_are_opened(site: Site, tmp_path: Path) -> None:
    real = site.csv(TEN)
    link, pipe = tmp_path / "link.csv", tmp_path / "pipe.csv"
    link.symlink_to(real)
    os.mkfifo(pipe)
    said = {
        link: "symbolic link",
        pipe: "not a regular file",
        tmp_path: "not a regular file",
        tmp_path / "none.csv": "No such file",
    }
    for path, words in said.items():
        grade = site.competition.grade(path)
        assert not grade.valid and words in grade.error
    assert read_untrusted(real, limit=len(TEN)) == TEN.encode()
    with pytest.raises(OutputRejected, match="are accepted"):
        read_untrusted(real, limit=len(TEN) - 1)
    binary = site.csv("")
    binary.write_bytes(b"id,price\n\xff\xfe,1\n")
    assert "no CSV text" in site.competition.grade(binary).error


def test_the_split_depends_on_the_ids_alone(site: Site) -> None:
    ids = [f"row{n}" for n in range(1000)]
    public = split(ids, 1000, 0.3)
    assert public.sum() == 300
    backwards = split(ids[::-1], 1000, 0.3)
    assert (backwards[::-1] == public).all()
    assert (split([f"other{n}" for n in range(1000)], 1000, 0.3) != public).any()
    assert split(None, 2, 0.01).sum() == split(None, 2, 0.99).sum() == 1, "both parts have a row"


def test_public_and_private_make_up_the_whole(site: Site) -> None:
    grade = site.competition.grade(site.csv(TEN.replace("3,3", "3,5").replace("8,8", "8,9")))
    assert grade.public is not None and grade.private is not None and grade.score is not None
    assert 3 * grade.public**2 + 7 * grade.private**2 == pytest.approx(10 * grade.score**2)


def test_a_given_split_is_kept_and_ignored_rows_count_nowhere(tmp_path: Path) -> None:
    answers = "id,price,Usage\n1,1,Public\n2,2,Private\n3,3,Ignored\n4,4,private\n"
    site = Site(tmp_path, REGRESSION, answers)
    grade = site.competition.grade(site.csv("id,price\n1,2\n2,2\n3,99\n4,4\n"))
    assert (grade.public, grade.private, grade.score) == (1, 0, pytest.approx(math.sqrt(1 / 3)))


def test_rows_without_ids_are_matched_by_their_order(tmp_path: Path) -> None:
    site = Site(tmp_path, {**REGRESSION, "id_column": None}, "price\n1\n2\n4\n")
    assert site.score("price\n1\n2\n3\n") == pytest.approx(math.sqrt(1 / 3))


@pytest.mark.parametrize("spelling", [("yes", "no"), ("True", "False"), ("1", "0"), ("1.0", "0.0")])
def test_labels_are_compared_whatever_wrote_them(tmp_path: Path, spelling: tuple[str, str]) -> None:
    positive, negative = spelling
    classes: list[Any] = ["no", "yes"] if positive == "yes" else [False, True]
    answers = f"id,y\n1,{positive}\n2,{negative}\n3,{positive}\n"
    site = made(
        tmp_path, answers, metric="accuracy", classes=classes, submission_columns=["y"], submission_kind="label"
    )
    given = {"True": "true", "1": "1.0", "1.0": "1"}.get(positive, positive)
    assert site.score(f"id,y\n1,{given}\n2,{given}\n3,{given}\n") == pytest.approx(2 / 3)
    assert "the labels are" in site.error("id,y\n1,2\n2,2\n3,2\n")
    assert "a missing label" in site.error(f"id,y\n1,{given}\n2,\n3,{given}\n")


def test_a_label_that_train_lacks_is_simply_missed(tmp_path: Path) -> None:
    section = {"task": "multiclass", "metric": "accuracy", "classes": ["a", "b"], "submission_columns": ["y"]}
    site = made(tmp_path, "id,y\n1,a\n2,b\n3,c\n4,a\n", submission_kind="label", **section)
    assert site.score("id,y\n1,a\n2,b\n3,a\n4,a\n") == 0.75


@pytest.mark.parametrize("answers", ["id,y\n1,b\n2,a\n3,c\n", "id,p_a,p_b,p_c\n1,0,1,0\n2,1,0,0\n3,0,0,1\n"])
def test_class_columns_against_labels_or_marks(tmp_path: Path, answers: str) -> None:
    columns = ["p_a", "p_b", "p_c"]
    site = made(
        tmp_path, answers, task="multiclass", metric="log_loss", classes=["a", "b", "c"], submission_columns=columns,
        submission_kind="class_columns",
    )  # fmt: skip
    good = "id,p_a,p_b,p_c\n1,0.25,0.5,0.25\n2,0.5,0.25,0.25\n3,0.25,0.25,0.5\n"
    assert site.score(good) == pytest.approx(math.log(2))
    assert "sum to 0.75, not to 1" in site.error(good.replace("1,0.25,0.5", "1,0,0.5"))
    assert "negative probability" in site.error(good.replace("1,0.25,0.5,0.25", "1,-0.5,1,0.5"))


def test_probabilities_of_one_and_of_several_targets(tmp_path: Path) -> None:
    one = made(
        tmp_path / "one", "id,y\n1,1\n2,0\n3,1\n", metric="auc", classes=[0, 1], submission_columns=["y"],
        submission_kind="probability",
    )  # fmt: skip
    assert one.score("id,y\n1,0.9\n2,0.5\n3,0.1\n") == 0.5
    assert "outside 0 to 1" in one.error("id,y\n1,1.9\n2,0.5\n3,0.1\n")
    grade = one.competition.grade(one.csv("id,y\n1,0.9\n2,0.5\n3,0.6\n"))
    assert grade.valid and grade.public is None, "auc of a single row is undefined"
    both = made(
        tmp_path / "both", "id,u,v\n1,1,0\n2,0,1\n3,1,1\n", task="multilabel", target_columns=["u", "v"],
        metric="mean_column_auc", submission_columns=["u", "v"], submission_kind="probability",
    )  # fmt: skip
    assert both.score("id,u,v\n1,0.9,0.9\n2,0.5,0.5\n3,0.6,0.6\n") == 0.5
    assert "u holds nothing" in both.error("id,u,v\n1,,0.9\n2,0.5,0.5\n3,0.6,0.6\n")


def test_a_metric_of_your_own_that_fails_is_told(tmp_path: Path) -> None:
    site = made(
        tmp_path, "id,y,Usage\n1,0,Public\n2,0,Public\n3,1,Private\n4,0,Private\n", task="regression", metric="own",
        metric_file="metric.py", submission_columns=["y"],
    )  # fmt: skip
    (tmp_path / "metric.py").write_text(
        "MAXIMIZE, PREDICTION = False, 'value'\ndef score(y_true, y_pred):\n"
        "    assert y_true.any() and y_pred.any()\n    return abs(y_true - y_pred).max()\n"
    )
    grade = site.competition.grade(site.csv("id,y\n1,0\n2,0\n3,1\n4,0\n"))
    assert (grade.valid, grade.score, grade.public, grade.private) == (True, 0.0, None, 0.0)
    assert "metric.py fails: AssertionError" in site.error("id,y\n1,0\n2,0\n3,0\n4,0\n")


def test_grades_lists_and_logarithms(tmp_path: Path) -> None:
    grades = made(
        tmp_path / "grades", "id,y\n1,3\n2,5\n3,8\n", task="regression", metric="qwk", submission_columns=["y"],
        submission_kind="label",
    )  # fmt: skip
    assert grades.score("id,y\n1,3\n2,5\n3,8\n") == 1
    assert "not whole" in grades.error("id,y\n1,3\n2,5.5\n3,8\n")
    lists = made(
        tmp_path / "lists", "id,y\n1,a\n2,b\n3,c\n", task="multiclass", metric="map@2", classes=["a", "b", "c"],
        submission_columns=["y"], submission_kind="ranked_list", ranked_k=2,
    )  # fmt: skip
    assert lists.score("id,y\n1,a b\n2,a b\n3,a\n") == pytest.approx(0.5)
    assert "lists 3 labels" in lists.error("id,y\n1,a b c\n2,a b\n3,a\n")
    assert "'z', which is no label, in row 4" in lists.error("id,y\n1,a\n2,b\n3,z\n")
    assert "lists nothing in row 3" in lists.error("id,y\n1,a\n2,\n3,c\n")
    logs = made(tmp_path / "logs", "id,y\n1,3\n2,5\n", task="regression", metric="rmsle", submission_columns=["y"])
    assert "negative number" in logs.error("id,y\n1,-3\n2,5\n")


def test_groups_of_a_ranking_come_from_the_test_table(tmp_path: Path) -> None:
    site = made(
        tmp_path, "id,y\n1,1\n2,0\n3,0\n4,1\n", task="regression", metric="ndcg", group_column="query",
        submission_columns=["y"],
    )  # fmt: skip
    data = tmp_path / "competition" / "data"
    data.mkdir()
    (data / "test.csv").write_text("id,query\n4,b\n3,b\n2,a\n1,a\n")
    assert site.score("id,y\n1,9\n2,8\n3,1\n4,2\n") == 1
    assert site.score("id,y\n1,8\n2,9\n3,1\n4,2\n") < 1


def test_an_undefined_score_is_no_score(tmp_path: Path) -> None:
    site = made(tmp_path, TEN.replace("price", "y"), task="regression", metric="pearson", submission_columns=["y"])
    constant = "id,y\n" + "".join(f"{n},1\n" for n in range(10))
    assert "undefined" in site.error(constant)


def test_answers_that_can_not_be_used_name_their_file(site: Site) -> None:
    (site.private / "answers.csv").write_text("id,cost\n1,2\n")
    with pytest.raises(BadInput, match=r"answers\.csv can't be used.*'price'"):
        site.competition.grade(site.csv(TEN))
    (site.private / "answers.csv").unlink()
    assert "no answers" in site.error(TEN)


def test_days_are_utc_days_of_its_clock(site: Site) -> None:
    east = timezone(timedelta(hours=9))
    site.clock.time = datetime(2026, 3, 3, 8, 30, tzinfo=east)  # still the 2nd in UTC
    assert site.competition.submit(site.csv(TEN), "first") == "L0001"
    site.clock.time += timedelta(minutes=29)
    assert site.competition.submit(site.csv(TEN), "second") == "L0002"
    limits = site.competition.limits()
    assert (limits.daily, limits.used_today, limits.allowed_now) == (2, 2, 0)
    with pytest.raises(SubmissionRefused, match="2 submissions are used") as refusal:
        site.competition.submit(site.csv(TEN), "third")
    assert refusal.value.passing
    site.clock.time += timedelta(minutes=1)
    assert site.competition.limits().used_today == 0
    assert site.competition.submit(site.csv(TEN), "third") == "L0003"
    listed = site.competition.submissions()
    assert [entry.description for entry in listed] == ["first", "second", "third"]
    assert all(entry.when.tzinfo is UTC or entry.when.utcoffset() == timedelta(0) for entry in listed)
    assert [entry.public_score for entry in listed] == [0, 0, 0]
    assert listed[0].total_bytes == len(TEN) and listed[0].file_name == "given.csv"


def test_a_damaged_list_stops_rather_than_forgets(site: Site) -> None:
    site.competition.submit(site.csv(TEN), "")
    path = site.private / "submissions.json"
    whole = path.read_bytes()
    for cut in (0, 1, len(whole) // 2, len(whole) - 3):
        path.write_bytes(whole[:cut])
        with pytest.raises(Damaged, match="restore it"):
            site.competition.submit(site.csv(TEN), "")
    path.write_bytes(whole)
    assert len(site.competition.submissions()) == 1


def test_a_write_that_fails_accepts_nothing(site: Site) -> None:
    def full(path: Path, record: dict[str, Any]) -> None:
        raise OSError(28, "No space left on device")

    competition = LocalCompetition(site.root, site.config, now=site.clock, write=full)
    with pytest.raises(OSError, match="No space"):
        competition.submit(site.csv(TEN), "")
    assert site.competition.submissions() == []


def test_the_leaderboard_places_our_best_among_others(site: Site) -> None:
    (site.private / "leaderboard.csv").write_text("rank,score\n1,0.0\n2,1.5\n3,2.5\n")
    one, two = (TEN.replace(",price", ",price").replace("9,9", f"9,{9 + gap}") for gap in (6, 3))
    assert len(site.competition.leaderboard()) == 3
    site.competition.submit(site.csv(one), "")
    site.competition.submit(site.csv(two), "")
    best = min(entry.public_score for entry in site.competition.submissions() if entry.public_score is not None)
    board = site.competition.leaderboard()
    assert (OUR_TEAM, best) in board and len(board) == 4
    assert [score for _, score in board] == sorted(score for _, score in board)
    site.section["maximize"] = True
    assert [score for _, score in site.competition.leaderboard()] == [2.5, 1.5, max(0.0, best), min(0.0, best)]
    (site.private / "leaderboard.csv").write_text("place,score\n1,0.0\n")
    with pytest.raises(BadInput, match="rank and score"):
        site.competition.leaderboard()


def test_one_spelling_of_a_label() -> None:
    ones = (True, "true", "1.0", 1, 1.0, " 1 ", np.bool_(True), np.int64(1), np.float64(1))
    assert [label_text(value) for value in ones] == ["1"] * 9 and label_text(2e16) == str(2 * 10**16)
    assert [label_text(value) for value in ("1.5", "a.0", "-2.0", "01")] == ["1.5", "a.0", "-2", "01"]
