"""The metric: stated, described or usual."""

import numpy as np
import pandas as pd
import pytest

from orchestrator.competitions.decisions import Decision
from orchestrator.competitions.infer_metric import read_description
from orchestrator.competitions.metrics import get_metric
from orchestrator.errors import BadInput
from orchestrator.referee.submission_file import build
from tests.competitions.making import Folder


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "made")


def flags(folder, rows=200):
    return folder.rng.integers(0, 2, rows)


@pytest.mark.parametrize(
    ("sentence", "metric"),
    [
        ("area under the ROC curve between the predicted probability and the observed target.", "auc"),
        ("the area under the Receiver Operating Characteristic curve.", "auc"),
        ("AUC.", "auc"),
        ("the normalized Gini coefficient.", "gini"),
        ("log loss.", "log_loss"),
        ("the multi-class logarithmic loss.", "log_loss"),
        ("average precision, the area under the precision-recall curve.", "average_precision"),
        ("the Root Mean Squared Logarithmic Error (RMSLE).", "rmsle"),
        ("the RMSE between the logarithm of the predicted and the observed price.", "rmse_log"),
        ("Root-Mean-Squared-Error (RMSE) between the logarithm of the predicted value and ...", "rmse_log"),
        ("RMSE between the natural log of the predicted and observed revenue plus one.", "rmsle"),
        ("the RMSE of log(price + 1).", "rmsle"),
        ("the RMSE of the log of the price, over 10 + 15 days.", "rmse_log"),
        ("the root mean squared error.", "rmse"),
        ("the mean squared error.", "mse"),
        ("the mean absolute error.", "mae"),
        ("the median absolute error.", "medae"),
        ("the mean absolute percentage error.", "mape"),
        ("The Root Mean Square Percentage Error (RMSPE), where a day with 0 sales is ignored.", "rmspe"),
        ("SMAPE between forecasts and actual values.", "smape"),
        ("the coefficient of determination.", "r2"),
        ("the Pearson correlation.", "pearson"),
        ("Spearman's rank correlation.", "spearman"),
        ("the quadratic weighted kappa.", "qwk"),
        ("the F1 score.", "f1"),
        ("the macro-averaged F1-score.", "f1_macro"),
        ("the Matthews correlation coefficient (MCC).", "mcc"),
        ("balanced accuracy, not accuracy.", "balanced_accuracy"),
        ("the percentage of rows you predict correctly.", "accuracy"),
        ("the mean average precision @ 5 (MAP@5).", "map@5"),
        ("MAP@3.", "map@3"),
        ("NDCG@10.", "ndcg@10"),
        ("the Brier score.", "brier"),
        ("a balanced logarithmic loss: each class is roughly equally important.", "balanced_log_loss"),
        ("AUC instead of accuracy.", "auc"),
        ("not accuracy but AUC.", "auc"),
    ],
)
def test_phrases(sentence, metric):
    found = read_description(f"# T\n\n## Evaluation\n\nSubmissions are evaluated by {sentence}\n")
    assert found.metric == metric
    assert get_metric(metric).name.replace("logloss", "log_loss") == metric


@pytest.mark.parametrize("line", ["Metric: RMSLE", "Evaluation metric: RMSLE.", "Evaluation: the RMSLE."])
def test_a_metric_behind_a_colon(line):
    assert read_description(f"# T\n\nSales of shops.\n\n{line}\n").metric == "rmsle"


def test_a_metric_named_in_passing_does_not_count():
    text = "# T\n\nWe once had a log loss challenge.\n\n## Evaluation\n\nThe metric is AUC.\n\nRMSE is not used.\n"
    assert read_description(text).metric == "auc"
    assert read_description("A table of accuracy and other columns.").metric is None


def test_a_metric_that_the_target_rules_out_is_not_believed(folder):
    folder.target("kind", folder.rng.choice(["a", "b", "c"], 200), "a")
    config = folder.described("Evaluated by the root mean squared error.").create()
    assert config.competition.metric == "accuracy"
    assert "names none that fits" in config.guesses["competition.metric"]


def scored(folder, values, text):
    config = folder.target("y", values, 0.5).described(text).create()
    return config.competition.metric, config.guesses["competition.metric"]


def test_a_logarithm_of_zeros_was_meant_plus_one(folder):
    metric, why = scored(folder, np.arange(200) * 1.5, "The RMSE between the logarithms of the price.")
    assert metric == "rmsle" and "only when 1 is added" in why
    folder.path, folder.meta = folder.path.with_name("stated"), {"metric": "rmse_log"}
    config = folder.create()
    assert config.competition.metric == "rmsle" and "1 is added" in config.guesses["competition.metric"]


def test_a_logarithm_of_several_targets_is_taken_of_each(folder):
    folder.target("a", np.arange(200) * 1.5, 0.5).target("b", np.arange(200) + 0.5, 0.5)
    folder.described("RMSE between the logs of the columns.")
    assert folder.create().competition.metric == "mean_column_rmsle"


def test_a_logarithm_that_no_target_has_is_not_believed(folder):
    metric, why = scored(folder, folder.rng.normal(size=200) * 5, "The root mean squared logarithmic error.")
    assert metric == "rmse" and "names none that fits" in why
    folder.path, folder.meta = folder.path.with_name("stated"), {"metric": "rmsle"}
    with pytest.raises(BadInput, match="'rmsle' can't score y"):
        folder.create()


@pytest.mark.parametrize("stated", [True, False])
@pytest.mark.parametrize("metric", ["accuracy", "f1_macro", "mcc"])
def test_few_fractions_are_classes_where_the_metric_is_of_labels(folder, metric, stated):
    values = folder.rng.choice([0.5, 1.0, 1.5], 200)
    folder.target("y", values, 0.5).described(f"Scored by {'macro F1 score' if metric == 'f1_macro' else metric}.")
    folder.answers = pd.DataFrame({"id": folder.test["id"], "y": folder.rng.choice([0.5, 1.0, 1.5], 60)})
    folder.meta = {"metric": metric} if stated else {}
    config, folds = folder.sealed()
    spec = config.competition
    assert (spec.task, spec.metric, spec.submission_kind) == ("multiclass", metric, "label")
    assert [repr(label) for label in spec.classes] == ["0.5", "1.0", "1.5"]
    assert (np.asarray(folds.labels) == values * 2 - 1).all()
    data = folder.path.parent / "made-campaign" / "competition" / "data"
    csv = build(spec, data, np.eye(3)[np.arange(60) % 3], Decision("classes", (1.0, 1.0, 1.0)))
    assert [line.split(",")[1] for line in csv.decode().splitlines()[1:4]] == ["0.5", "1.0", "1.5"]


@pytest.mark.parametrize(("values", "shown"), [(np.arange(200) % 9 / 2, 2.2), (np.arange(200) / 2, 0.5)])
def test_amounts_are_no_classes_for_a_metric_named_beside_them(folder, values, shown):
    config = folder.target("stars", values, shown).described("Scored by the accuracy of the stars.").create()
    assert (config.competition.task, config.competition.metric) == ("regression", "rmse")


def test_the_description_beats_the_default(folder):
    config = folder.target("y", flags(folder), 0.5).described("Log loss. (Lower is better.)").create()
    assert (config.competition.metric, config.competition.maximize) == ("log_loss", None)
    assert "log loss" in config.guesses["competition.metric"]


def test_meta_beats_the_description_and_may_be_left_out(folder):
    folder.target("y", flags(folder), 0.5).described("Log loss.").meta = {"metric": "auc"}
    assert folder.create().competition.metric == "auc"
    folder.path = folder.path.with_name("again")
    assert folder.create(use_meta=False).competition.metric == "log_loss"


def test_a_direction_that_is_stated_against_the_metric_is_written(folder):
    folder.target("y", flags(folder), 0.5).described("AUC. (Lower is better.)")
    assert folder.create().competition.maximize is False


def test_the_direction_of_meta_beats_the_description(folder):
    folder.target("y", flags(folder), 0.5).described("AUC. (Lower is better.)").meta = {"metric_direction": "maximize"}
    assert folder.create().competition.maximize is None


def test_meta_names_targets_and_groups(folder):
    folder.train["a"], folder.train["b"] = flags(folder), flags(folder)
    folder.train["site"], folder.test["site"] = np.arange(200) % 20, np.arange(60) % 20
    folder.sample["prediction"] = 0.5
    folder.meta = {"target_columns": ["b"], "submission_columns": ["prediction"], "group_column": "site"}
    config = folder.create()
    assert (config.competition.target_columns, config.competition.drop_columns) == (["b"], ["a"])
    assert (config.cv.strategy, config.competition.group_column) == ("group", "site")
