"""What a campaign's settings are guessed to be, for every shape of competition."""

import random

import numpy as np
import pandas as pd
import pytest

from orchestrator.competitions.infer_columns import kinds_of, match_classes, parse_dates
from orchestrator.competitions.metrics import get_metric
from orchestrator.errors import BadInput
from orchestrator.referee.blend import weights
from orchestrator.referee.compare import compare, fold_draws
from orchestrator.referee.score import score
from tests.competitions.making import Folder


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "made")


def flags(folder, rows=200):
    return folder.rng.integers(0, 2, rows)


class TestTaskAndFormat:
    def test_binary_with_a_probability_sample_is_auc(self, folder):
        spec = folder.target("y", flags(folder), 0.5).create().competition
        assert (spec.task, spec.metric, spec.submission_kind) == ("binary", "auc", "probability")
        assert (spec.id_column, spec.target_columns, spec.submission_columns, spec.classes) == (
            "id",
            ["y"],
            ["y"],
            [0, 1],
        )

    def test_binary_with_an_integer_sample_is_accuracy_of_labels(self, folder):
        spec = folder.target("y", flags(folder), 0).create().competition
        assert (spec.metric, spec.submission_kind, spec.classes) == ("accuracy", "label", [0, 1])

    def test_true_and_false_keep_their_type(self, folder):
        spec = folder.target("y", flags(folder) == 1, False).create().competition
        assert (spec.task, spec.submission_kind) == ("binary", "label")
        assert spec.classes == [False, True] and all(type(label) is bool for label in spec.classes)

    @pytest.mark.parametrize(
        ("labels", "shown", "classes"),
        [
            (("Yes", "No"), 0.5, ["No", "Yes"]),
            (("Y", "N"), "N", ["N", "Y"]),
            (("alive", "dead"), "dead", ["dead", "alive"]),
            (("benign", "malignant"), 0.5, ["benign", "malignant"]),
            (("tested_negative", "positive"), 0.5, ["tested_negative", "positive"]),
            (("a", "b"), 0.5, ["a", "b"]),
            ((-1, 1), 0.5, [-1, 1]),
            ((2, 1), 0.5, [1, 2]),
        ],
    )
    def test_the_positive_class_of_two_labels(self, folder, labels, shown, classes):
        spec = folder.target("y", np.array(labels, dtype=object)[flags(folder)], shown).create().competition
        assert (spec.task, spec.classes) == ("binary", classes)

    def test_a_sample_column_named_after_a_label_makes_that_label_positive(self, folder):
        folder.train["class"] = np.where(flags(folder) == 1, "poisonous", "edible")
        folder.sample["edible"] = 0.5
        spec = folder.create().competition
        assert (spec.classes, spec.target_columns, spec.submission_columns) == (
            ["poisonous", "edible"], ["class"], ["edible"])  # fmt: skip

    def test_labels_of_several_classes(self, folder):
        spec = folder.target("y", folder.rng.choice(["low", "mid", "top"], 200), "mid").create().competition
        assert (spec.task, spec.metric, spec.submission_kind) == ("multiclass", "accuracy", "label")
        assert spec.classes == ["low", "mid", "top"]

    def test_the_label_none_is_a_class(self, folder):
        spec = folder.target("y", folder.rng.choice(["None", "Apnea", "Insomnia"], 200), "None").create().competition
        assert spec.classes == ["Apnea", "Insomnia", "None"]

    @pytest.mark.parametrize(
        ("labels", "classes", "task"),
        [
            (["cat", "dog", "cat ", "cat"], ["cat", "dog"], "binary"),
            ([" dog", "bird", "cat", "dog", "dog"], ["bird", "cat", "dog"], "multiclass"),
            (["Yes", "true", "True", "True", "no"], ["True", "Yes", "no"], "multiclass"),
        ],
    )
    def test_spellings_of_a_label_are_one(self, folder, labels, classes, task):
        config, folds = folder.target("y", (labels * 200)[:200], classes[0]).sealed()
        assert (config.competition.classes, config.competition.task) == (classes, task)
        assert set(np.asarray(folds.labels)) == set(range(len(classes)))

    def test_spellings_of_a_label_with_a_column_for_each(self, folder):
        folder.train["kind"] = ["cat", "dog", "cat ", "cat"] * 50
        folder.sample["dog"], folder.sample["cat"] = 0.5, 0.5
        assert folder.sealed()[0].competition.classes == ["dog", "cat"]

    def test_whole_number_classes_come_as_integers(self, folder):
        spec = folder.target("y", folder.rng.integers(1, 8, 200), 2).create().competition
        assert (spec.task, spec.classes) == ("multiclass", [1, 2, 3, 4, 5, 6, 7])

    @pytest.mark.parametrize(
        ("labels", "columns", "classes"),
        [
            (["EAP", "HPL", "MWS"], ["EAP", "HPL", "MWS"], ["EAP", "HPL", "MWS"]),
            (["C", "CL", "D"], ["Status_D", "Status_C", "Status_CL"], ["D", "C", "CL"]),
            (["C", "CL"], ["Status_CL", "Status_C"], ["CL", "C"]),
            ([1, 2, 3], ["Class_3", "Class_1", "Class_2"], [3, 1, 2]),
            (["Class_1", "Class_2"], ["Class_2", "Class_1"], ["Class_2", "Class_1"]),
            ([0, 1, 2], ["2", "0", "1"], [2, 0, 1]),
            (["Cat", "Dog"], ["dog_probability", "cat_probability"], ["Dog", "Cat"]),
            ([0, 1], ["0", "1", "2"], [0, 1, 2]),
        ],
    )
    def test_a_column_per_class_in_the_order_of_the_sample(self, folder, labels, columns, classes):
        folder.train["kind"] = folder.rng.choice(np.array(labels, dtype=object), 200)
        for name in columns:
            folder.sample[name] = 1 / len(columns)
        spec = folder.create().competition
        assert spec.task == ("binary" if len(columns) == 2 else "multiclass")
        assert (spec.metric, spec.submission_kind) == ("log_loss", "class_columns")
        assert (spec.target_columns, spec.submission_columns, spec.classes) == (["kind"], columns, classes)

    def test_ninety_nine_classes_of_nine_rows(self, tmp_path):
        folder = Folder(tmp_path / "leaf", 99 * 9)
        species = [f"Species {number:02d}" for number in range(99)]
        folder.train["species"] = folder.rng.permutation(np.repeat(species, 9))
        for name in species:
            folder.sample[name] = 1 / 99
        config = folder.create()
        assert config.competition.classes == species
        assert (config.cv.strategy, config.cv.folds) == ("stratified", 5)

    def test_regression(self, folder):
        config = folder.target("price", folder.rng.gamma(2, 100, 200), 150.5).create()
        spec = config.competition
        assert (spec.task, spec.metric, spec.submission_kind, spec.classes) == ("regression", "rmse", "value", [])
        assert config.cv.strategy == "kfold"

    def test_many_whole_numbers_are_amounts(self, folder):
        spec = folder.target("count", folder.rng.integers(0, 500, 200), 0).create().competition
        assert (spec.task, spec.metric) == ("regression", "rmse")

    def test_few_whole_numbers_with_a_fractional_sample_are_amounts(self, folder):
        spec = folder.target("rings", folder.rng.integers(1, 12, 200), 9.5).create().competition
        assert spec.task == "regression"

    def test_a_word_among_amounts_is_told(self, folder):
        values = [f"{value:.2f}" for value in folder.rng.normal(size=200)]
        folder.target("y", ["soon", *values[1:]], 0.1)
        with pytest.raises(BadInput, match="1 of 200 values of the target y are no numbers, such as 'soon' in row 1"):
            folder.create()
        folder.train.loc[0, "y"] = "n.a."
        assert folder.create().competition.task == "regression"

    def test_a_word_among_numbers_that_repeat_is_a_class(self, folder):
        folder.target("y", ["other", *(str(row % 30 % 19) for row in range(199))], "3")
        assert folder.create().competition.task == "multiclass"

    def test_several_numeric_targets(self, folder):
        folder.target("a", folder.rng.normal(size=200), 0.1).target("b", folder.rng.normal(size=200), 0.2)
        spec = folder.described("Mean columnwise root mean squared error.").create().competition
        assert (spec.task, spec.metric, spec.target_columns) == ("multiregression", "mean_column_rmse", ["a", "b"])

    def test_several_flags_are_multilabel(self, folder):
        for name in ("toxic", "rude", "threat"):
            folder.target(name, flags(folder), 0.5)
        config = folder.create()
        spec = config.competition
        assert (spec.task, spec.metric, spec.submission_kind) == ("multilabel", "mean_column_auc", "probability")
        assert config.cv.strategy == "stratified"

    @pytest.mark.parametrize("metric", ["mean column-wise AUC", "mean columnwise log loss", "columnwise F1 score"])
    def test_one_flag_of_several_that_never_varies(self, folder, metric):
        for name, values in (("a", flags(folder)), ("b", 0), ("c", flags(folder))):
            folder.target(name, values, 0)
        config, folds = folder.described(f"Scored by {metric}.").sealed()
        assert config.competition.target_columns == ["a", "b", "c"]
        assert "; of one value in train: b" in config.guesses["competition.target_columns"]
        self.can_be_scored(config, folds)

    @pytest.mark.parametrize("metric", ["columnwise RMSE", "R2 of each column", "Pearson correlation of each column"])
    def test_one_amount_of_several_that_never_varies(self, folder, metric):
        folder.target("a", folder.rng.normal(size=200), 0.1).target("b", 1.5, 0.2)
        config, folds = folder.described(f"Scored by {metric}.").sealed()
        assert config.competition.task == "multiregression"
        self.can_be_scored(config, folds)

    @staticmethod
    def can_be_scored(config, folds):
        metric, task = get_metric(config.competition.metric, task=config.competition.task), config.competition.task
        noise = np.random.default_rng(0).random((2, *folds.labels.shape))
        good, bad = 0.7 * folds.labels + 0.3 * noise[0], noise[1]
        scored = [score(metric, folds, oof, []) for oof in (good, bad)]
        assert np.isfinite([one.fold_scores for one in scored]).all()
        assert [one.spoiled for one in scored] == [[], []]
        draws = [[fold_draws(metric, folds, k, part, 0) for k, part in enumerate(one.decided)] for one in scored]
        assert compare(metric, *draws, metric.gain(scored[0].cv, scored[1].cv)).probability > 0.99
        assert weights(metric, folds, {"good": good, "bad": bad}, "full", task=task).weights["good"] > 0.5

    def test_ordinal_grades(self, folder):
        folder.target("grade", folder.rng.integers(1, 7, 200), 3)
        config = folder.described("Scored with the quadratic weighted kappa.").create()
        spec = config.competition
        assert (spec.task, spec.metric, spec.submission_kind) == ("regression", "qwk", "label")
        assert (spec.classes, config.cv.strategy) == ([1, 2, 3, 4, 5, 6], "stratified")

    def test_a_ranked_list_of_labels(self, folder):
        names = np.array(["A-B", "C", "D", "E"])
        folder.train["Fertilizer Name"] = folder.rng.choice(names, 200)
        folder.sample["Fertilizer Name"] = "A-B C D"
        spec = folder.described("Submissions are evaluated by MAP@3.").create().competition
        assert (spec.task, spec.metric, spec.submission_kind, spec.ranked_k) == (
            "multiclass",
            "map@3",
            "ranked_list",
            3,
        )

    def test_a_ranked_list_without_a_description(self, folder):
        folder.train["place"] = folder.rng.integers(10, 30, 200)
        folder.sample["prediction"] = "10 11 12 13 14"
        spec = folder.create().competition
        assert (spec.metric, spec.ranked_k, spec.target_columns) == ("map@5", 5, ["place"])
        assert spec.submission_columns == ["prediction"]

    def test_labels_of_several_words_are_no_ranked_list(self, folder):
        folder.target("dish", folder.rng.choice(["red curry", "green curry", "soup"], 200), "red curry")
        assert folder.create().competition.submission_kind == "label"

    def test_ranking_within_queries(self, tmp_path):
        folder = Folder(tmp_path / "rank", 300, 90)
        folder.train["query_id"], folder.test["query_id"] = np.repeat(range(30), 10), np.repeat(range(30, 39), 10)
        folder.target("relevance", folder.rng.integers(0, 5, 300), 0)
        config = folder.described("The metric is NDCG@10 over the queries.").create()
        spec = config.competition
        assert (spec.task, spec.metric, spec.group_column) == ("regression", "ndcg@10", "query_id")
        assert config.cv.strategy == "group"


class TestColumns:
    def test_columns_of_train_only_are_dropped_and_never_targets(self, folder):
        folder.train["casual"], folder.train["registered"] = flags(folder), flags(folder)
        folder.target("count", folder.rng.integers(0, 900, 200), 0)
        spec = folder.create().competition
        assert (spec.target_columns, spec.drop_columns) == (["count"], ["casual", "registered"])

    def test_ids_are_text_and_keep_their_zeros(self, folder):
        folder.test["id"] = [f"{number:05d}" for number in range(60)]
        folder.sample["id"] = folder.test["id"]
        assert folder.target("y", flags(folder), 0.5).create().competition.id_column == "id"

    def test_an_id_that_train_lacks(self, folder):
        folder.train = folder.train.drop(columns="id")
        assert folder.target("y", flags(folder), 0.5).create().competition.id_column == "id"

    def test_a_sample_without_an_id_is_matched_by_order(self, folder):
        folder.sample = pd.DataFrame({"y": [0.5] * 60})
        folder.train["y"] = flags(folder)
        config = folder.create()
        assert (config.competition.id_column, config.competition.submission_columns) == (None, ["y"])
        assert "order" in config.guesses["competition.id_column"]

    def test_a_row_number_that_test_lacks_is_no_id(self, folder):
        folder.train, folder.test = folder.train.drop(columns="id"), folder.test.drop(columns="id")
        folder.sample = pd.DataFrame({"ImageId": range(1, 61), "Label": 0})
        folder.train["label"] = folder.rng.integers(0, 10, 200)
        spec = folder.create().competition
        assert (spec.id_column, spec.target_columns, spec.task) == (None, ["label"], "multiclass")
        assert spec.submission_columns == ["Label"]

    def test_text_pairs_dates_and_categories(self, folder):
        words = np.array(
            ["what", "is", "the", "best", "way", "to", "learn", "a", "language", "quickly", "in", "one", "year"]
        )

        def sentences(rows):
            return [" ".join(folder.rng.permutation(words)) for _ in range(rows)]

        for frame in (folder.train, folder.test):
            frame["question1"], frame["question2"] = sentences(len(frame)), sentences(len(frame))
            frame["when"] = [
                f"{day % 28 + 1:02d}/{day % 12 + 1:02d}/2020" for day in folder.rng.integers(0, 999, len(frame))
            ]
            frame["user_code"] = folder.rng.permutation([f"u{number}" for number in range(len(frame))])
        spec = folder.target("y", flags(folder), 0.5).create().competition
        assert (spec.text_columns, spec.date_columns) == (["question1", "question2"], ["when"])

    def test_names_are_texts_where_there_is_little_else(self, folder):
        folder.train, folder.test = folder.train[["id"]].copy(), folder.test[["id"]].copy()
        for frame in (folder.train, folder.test):
            frame["name"] = ["".join(folder.rng.choice(list("abcdefgh"), 7)) for _ in range(len(frame))]
            frame["kind"] = folder.rng.choice(["x", "y", "z"], len(frame))
        spec = folder.target("y", flags(folder), 0.5).create().competition
        assert spec.text_columns == ["name"]

    def test_users_of_many_rows_stay_a_group_however_many_they_are(self, tmp_path):
        folder = Folder(tmp_path / "many", train_rows=60_000, test_rows=6_000)
        folder.train, folder.test = folder.train.iloc[:, :2].copy(), folder.test.iloc[:, :2].copy()
        for frame, first in ((folder.train, 0), (folder.test, 60_000)):
            users = np.arange(first, first + len(frame)) // 4
            frame["user"] = ["".join("abcdefghij"[int(d)] for d in f"{user:06d}") for user in users]
        spec = folder.target("y", folder.rng.integers(0, 2, 60_000), 0.5).create().competition
        assert (spec.text_columns, spec.group_column) == ([], "user")

    @pytest.mark.parametrize(
        "form",
        [
            "{} years",
            "{:032x}",
            "K{}",
            "POINT (0.{} 0.5)",
            "dog{}.jpg",
            "${},000",
            "{}h 5m",
            "{}.5HP 2L",
            "{}-99 m2",
            "{}_7",
        ],
    )
    def test_amounts_with_units_are_no_names(self, folder, form):
        folder.train, folder.test = folder.train[["id"]].copy(), folder.test[["id"]].copy()
        for frame in (folder.train, folder.test):
            frame["much"] = [form.format(number) for number in folder.rng.integers(0, 9999, len(frame))]
        assert folder.target("y", flags(folder), 0.5).create().competition.text_columns == []

    def test_names_beside_many_other_columns_stay_categories(self, folder):
        for frame in (folder.train, folder.test):
            frame["name"] = ["".join(folder.rng.choice(list("abcdefgh"), 7)) for _ in range(len(frame))]
            for letter in "cde":
                frame[letter] = folder.rng.normal(size=len(frame))
        spec = folder.target("y", flags(folder), 0.5).create().competition
        assert spec.text_columns == []

    def test_kinds(self):
        rows = range(100)
        frame = pd.DataFrame(
            {
                "number": [row / 3 for row in rows],
                "flag": [True, False] * 50,
                "flag_with_holes": [True, None] * 49 + [False, None],
                "day": [f"2021-03-{row % 28 + 1:02d}" for row in rows],
                "moment": [f"2021-03-01T{row % 24:02d}:00:00Z" for row in rows],
                "us_day": [f"{row % 12 + 1}/{row % 28 + 1}/2021" for row in rows],
                "spoken": [f"{row % 28 + 1} Mar 2021" for row in rows],
                "list": [f"[{row}, 2]" for row in rows],
                "code": [f"{row}-{row}-{row}" for row in rows],
                "version": [f"1.{row}.0" for row in rows],
                "same": ["x"] * 100,
                "empty": [None] * 100,
                "zero": [0.0] * 100,
                "hash": [f"{row:064x}" for row in rows],
                "sequence": ["".join(random.Random(row).choices("ACGT", k=60)) for row in rows],
                "mixed": [row if row % 2 else f"v{row}" for row in rows],
                "prose": [f"the {row} quick foxes jump over {row} dogs" for row in rows],
            }
        )
        assert kinds_of(frame) == {
            "number": "number", "flag": "bool", "flag_with_holes": "bool", "day": "date", "moment": "date",
            "us_day": "date", "spoken": "date", "list": "json", "code": "category", "version": "category",
            "same": "constant", "empty": "constant", "zero": "constant", "hash": "category",
            "sequence": "text", "mixed": "category", "prose": "text",
        }  # fmt: skip

    def test_a_day_above_twelve_tells_days_from_months(self):
        parsed = parse_dates(pd.Series(["03/02/2020", "25/02/2020"]))
        assert list(parsed.dt.month) == [2, 2]

    def test_classes_need_a_column_each(self):
        assert match_classes(["a", "b"], ["a", "c"]) is None


class TestSplit:
    def test_groups_that_do_not_come_back(self, tmp_path):
        folder = Folder(tmp_path / "g", 200, 60)
        folder.train["patient"], folder.test["patient"] = np.repeat(range(40), 5), np.repeat(range(100, 112), 5)
        config = folder.target("y", flags(folder), 0.5).create()
        assert (config.cv.strategy, config.competition.group_column) == ("group", "patient")
        assert "patient" in config.guesses["cv.strategy"]

    @pytest.mark.parametrize(("matches", "chosen"), [(50, "matchId"), (10, "teamId")])
    def test_parts_of_groups_stay_with_the_whole(self, folder, matches, chosen):
        rows, others = np.arange(200), np.arange(60)
        team, match = np.arange(100).repeat(2), (np.arange(100) * matches // 100).repeat(2)
        folder.train["teamId"], folder.train["matchId"] = team[rows], match[rows]
        folder.test["teamId"], folder.test["matchId"] = 1000 + others // 2, 1000 + others // 4
        config = folder.target("y", flags(folder), 0.5).create()
        assert (config.cv.strategy, config.competition.group_column) == ("group", chosen)

    def test_groups_that_come_back_are_a_feature(self, folder):
        folder.train["shop"], folder.test["shop"] = np.repeat(range(40), 5), np.repeat(range(12), 5)
        config = folder.target("y", flags(folder), 0.5).create()
        assert (config.cv.strategy, config.competition.group_column) == ("stratified", None)

    def test_test_after_train_is_time(self, folder):
        days = pd.date_range("2020-01-01", periods=260).strftime("%Y-%m-%d")
        folder.train["day"], folder.test["day"] = days[:200], days[200:]
        config = folder.target("sales", folder.rng.gamma(2, 9, 200), 1.5).create()
        assert (config.cv.strategy, config.competition.time_column) == ("time", "day")

    def test_a_numeric_week_that_goes_on_is_time(self, folder):
        folder.train["week"], folder.test["week"] = np.repeat(range(20), 10), np.repeat(range(20, 26), 10)
        config = folder.target("sales", folder.rng.gamma(2, 9, 200), 1.5).create()
        assert (config.cv.strategy, config.competition.time_column) == ("time", "week")

    def test_a_test_that_begins_before_train_ends_is_later(self, folder):
        days = pd.date_range("2020-01-01", periods=60).strftime("%Y-%m-%d")
        folder.train["day"], folder.test["day"] = np.repeat(days[:40], 5), np.repeat(days[36:51], 4)
        config = folder.target("cases", folder.rng.gamma(2, 9, 200), 1.5).create()
        assert (config.cv.strategy, config.competition.time_column) == ("time", "day")

    def test_other_patients_whose_visits_begin_before_train_ends_are_groups(self, folder):
        days = pd.date_range("2020-01-01", periods=60).strftime("%Y-%m-%d")
        folder.train["day"], folder.test["day"] = np.repeat(days[:40], 5), np.repeat(days[36:51], 4)
        folder.train["patient_id"], folder.test["patient_id"] = np.tile(range(40), 5), np.repeat(range(40, 60), 3)
        config = folder.target("cases", folder.rng.gamma(2, 9, 200), 1.5).create()
        assert (config.cv.strategy, config.competition.group_column) == ("group", "patient_id")

    def test_days_that_are_0_nearly_everywhere_are_no_time(self, folder):
        folder.train["days_waiting"], folder.test["days_waiting"] = np.r_[np.zeros(196), 3, 9, 9, 40], np.zeros(60)
        config = folder.target("sales", folder.rng.gamma(2, 9, 200), 1.5).create()
        assert (config.cv.strategy, config.competition.time_column) == ("kfold", None)

    def test_monthly_blocks_are_validated_in_blocks(self, tmp_path):
        hours = pd.date_range("2020-01-01", "2020-12-31", freq="8h")
        early = hours.day <= 15
        folder = Folder(tmp_path / "bikes", int(early.sum()), int((~early).sum()))
        folder.train["datetime"], folder.test["datetime"] = hours[early], hours[~early]
        folder.train, folder.test = folder.train.drop(columns="id"), folder.test.drop(columns="id")
        folder.sample = folder.test[["datetime"]].copy()
        folder.target("count", folder.rng.integers(0, 900, int(early.sum())), 0)
        config = folder.create()
        spec = config.competition
        assert (config.cv.strategy, spec.id_column, spec.time_column) == ("blocks", "datetime", "datetime")
        assert spec.date_columns == ["datetime"] and "in runs" in config.guesses["cv.strategy"]

    def test_days_of_many_rows_in_monthly_blocks_stay_together(self, tmp_path):
        days = pd.date_range("2020-01-01", "2020-12-31").repeat(3).strftime("%Y-%m-%d")
        early = np.array([int(day[-2:]) <= 15 for day in days])
        folder = Folder(tmp_path / "shops", int(early.sum()), int((~early).sum()))
        folder.train["day"], folder.test["day"] = days[early], days[~early]
        folder.target("sales", folder.rng.gamma(2, 9, int(early.sum())), 1.5)
        config, folds = folder.sealed()
        assert (config.cv.strategy, config.competition.time_column) == ("blocks", "day")
        assert all(len({*days[early][rows]} & {*np.delete(days[early], rows)}) == 0 for rows in folds.valid_rows)

    def test_days_above_twelve_in_test_alone_tell_days_from_months(self, tmp_path):
        days = pd.date_range("2020-01-01", "2020-12-31").repeat(3)
        early = days.day <= 12
        folder = Folder(tmp_path / "shops", int(early.sum()), int((~early).sum()))
        folder.train["day"], folder.test["day"] = days[early].strftime("%d/%m/%Y"), days[~early].strftime("%d/%m/%Y")
        folder.target("sales", folder.rng.gamma(2, 9, int(early.sum())), 1.5)
        config, folds = folder.sealed()
        assert (config.cv.strategy, config.competition.time_column) == ("blocks", "day")
        assert config.cv.folds is None, "24 runs are enough for ten folds, if the time is"
        assert folds.runs is not None
        codes = pd.Series(folds.runs).groupby(days[early].month).nunique()
        assert codes.tolist() == [2] * 12, "each month's run is cut in two"
        assert len(np.unique(folds.runs)) == 24

    def test_days_of_many_rows_drawn_at_random_stay_together(self, tmp_path):
        days = pd.date_range("2020-01-01", "2020-12-31").repeat(3).strftime("%Y-%m-%d")
        drawn = np.random.default_rng(0).random(366).repeat(3) < 0.6
        folder = Folder(tmp_path / "shops", int(drawn.sum()), int((~drawn).sum()))
        folder.train["day"], folder.test["day"] = days[drawn], days[~drawn]
        config = folder.target("sales", folder.rng.gamma(2, 9, int(drawn.sum())), 1.5).create()
        assert (config.cv.strategy, config.competition.group_column) == ("group", "day")

    def test_random_dates_order_nothing(self, folder):
        moments = pd.date_range("2020-01-01", periods=260, freq="7h").strftime("%Y-%m-%d %H:%M")
        mixed = folder.rng.permutation(np.array(moments))
        folder.train["joined"], folder.test["joined"] = mixed[:200], mixed[200:]
        config = folder.target("y", flags(folder), 0.5).create()
        assert (config.cv.strategy, config.competition.time_column) == ("stratified", None)

    def test_fifty_rows_get_ten_folds(self, tmp_path):
        folder = Folder(tmp_path / "tiny", 50, 10)
        config = folder.target("y", np.arange(50) % 2, 0.5).create()
        assert (config.cv.strategy, config.cv.folds) == ("stratified", 10)

    def test_time_decides_how_many_folds_a_small_table_gets_but_not_a_wide_one(self, tmp_path):
        folder = Folder(tmp_path / "small", 400, 30)
        config, folds = folder.target("y", folder.rng.normal(size=400), 0.5).sealed()
        assert (config.cv.folds, folds.folds) == (None, 5)
        assert "with the time for 10 folds" in config.guesses["cv.folds"]
        wide = Folder(tmp_path / "wide", 400, 30)
        names = [f"c{number}" for number in range(2600)]
        more = [pd.DataFrame(wide.rng.integers(0, 9, (rows, 2600)), columns=names) for rows in (400, 30)]
        wide.train, wide.test = (pd.concat(pair, axis=1) for pair in zip((wide.train, wide.test), more, strict=True))
        assert wide.target("y", wide.rng.normal(size=400), 0.5).create().cv.folds == 5

    def test_a_rare_class_leaves_most_rows_to_learn_from(self, tmp_path):
        folder = Folder(tmp_path / "rare", 100, 30)
        config, folds = folder.target("y", ["a"] * 50 + ["b"] * 48 + ["c"] * 2, "a").sealed()
        assert (config.cv.strategy, config.cv.folds) == ("stratified", 5)
        assert "rarest class has 2 rows" in config.guesses["cv.folds"]
        assert [len(rows) for rows in folds.valid_rows] == [20] * 5
