import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from orchestrator.competitions import scoring_functions as sf
from orchestrator.competitions.metrics import METRICS, Metric, get_metric
from orchestrator.errors import BadInput

RNG = np.random.default_rng(7)
N = 240
BINARY = np.tile([0, 1, 0], N // 3)
THREE = np.tile([0, 1, 2, 1], N // 4)
VALUES = RNG.gamma(2.0, 3.0, N) + 0.5
GRADES = np.tile([1.0, 2.0, 3.0, 5.0], N // 4)
GROUPS = np.repeat(np.arange(N // 12), 12)
PROBABLE = ["auc", "gini", "average_precision", "logloss", "balanced_logloss", "brier"]
LABELS = ["accuracy", "balanced_accuracy", "f1", "f1_macro", "f1_micro", "f1_weighted", "mcc"]
VALUED = ["rmse", "mse", "mae", "medae", "rmsle", "rmse_log", "mape", "rmspe", "smape", "r2", "pearson", "spearman"]
COLUMNS = [f"mean_column_{name}" for name in [*PROBABLE, *LABELS, *VALUED]]
LOWER = {
    "logloss",
    "balanced_logloss",
    "brier",
    "rmse",
    "mse",
    "mae",
    "medae",
    "rmsle",
    "rmse_log",
    "mape",
    "rmspe",
    "smape",
}
ALL = [*PROBABLE, *LABELS, *VALUED, "qwk", "map@3", "map@5", "ndcg", "ndcg@4", *COLUMNS]


def one_hot(y: np.ndarray, k: int) -> np.ndarray:
    return np.eye(k)[y]


def even(y: np.ndarray) -> np.ndarray:
    """Weights by which every class counts as much."""
    return 1 / np.bincount(y)[y]


def truth(metric: Metric) -> tuple[np.ndarray, np.ndarray]:
    """Labels and their perfect predictions, as the metric takes them."""
    if metric.base is not None:
        y, perfect = truth(metric.base)
        return np.column_stack([y, y[::-1]]), np.column_stack([perfect, perfect[::-1]])
    if metric.kind == "probability":
        return BINARY, BINARY[:, None].astype(float)
    if metric.kind == "label":
        return BINARY, BINARY
    if metric.name.startswith("map@"):
        return THREE, one_hot(THREE, 7)
    if metric.kind == "ranking":
        return BINARY.astype(float), BINARY.astype(float)[:, None]
    if metric.kind == "ordinal":
        return GRADES, GRADES
    return VALUES, VALUES[:, None]


def spoiled(perfect: np.ndarray, share: float) -> np.ndarray:
    """The first rows' predictions replaced by those of rows elsewhere: worse the larger the share."""
    out = perfect.copy()
    rows = int(share * len(out))
    out[:rows] = np.random.default_rng(0).permutation(perfect)[:rows]
    return out


@pytest.mark.parametrize("name", ALL)
def test_perfect_is_best_and_worse_is_worse(name: str) -> None:
    metric = get_metric(name)
    assert metric.name == name
    y, perfect = truth(metric)
    best, good, bad = (metric.score(y, spoiled(perfect, share), GROUPS) for share in (0, 0.6, 1))
    assert best == pytest.approx(1.0 if metric.maximize else 0.0, abs=1e-12)
    assert metric.gain(best, good) > 0 and metric.gain(good, bad) > 0 > metric.gain(bad, good)
    assert metric.maximize is (name.removeprefix("mean_column_") not in LOWER)


@pytest.mark.parametrize("name", ALL)
def test_the_mean_row_loss_is_the_score(name: str) -> None:
    metric = get_metric(name)
    y, perfect = truth(metric)
    predictions = spoiled(perfect, 0.4)
    losses = metric.row_losses(y, predictions)
    base = name.removeprefix("mean_column_")
    assert (losses is None) is (
        base not in LOWER - {"medae", "rmspe", "balanced_logloss"} | {"accuracy", "map@3", "map@5"}
    )
    if losses is None:
        return
    assert losses.shape == ((N, 2) if metric.multi else (N,))
    assert metric.from_mean(losses.mean(axis=0)) == pytest.approx(metric.score(y, predictions), rel=1e-12)
    weights = np.random.default_rng(1).multinomial(N, np.full(N, 1 / N), size=3)
    stack = metric.from_mean(weights @ losses / N)
    assert stack.shape == (3,)
    rows = np.repeat(np.arange(N), weights[2])
    assert stack[2] == pytest.approx(metric.score(y[rows], predictions[rows]), rel=1e-9)


def test_the_tests_above_cover_every_metric() -> None:
    assert set(METRICS) == set(ALL) - set(COLUMNS) - {"map@3", "map@5", "ndcg", "ndcg@4"}


NOISY = np.clip(BINARY * 0.3 + RNG.random(N) * 0.7, 0, 1).round(1)  # rounded: many ties
SOFT = one_hot(THREE, 3) * 0.5 + RNG.dirichlet([1, 1, 1], N)
SOFT /= SOFT.sum(axis=1, keepdims=True)
GUESS = np.where(RNG.random(N) < 0.4, RNG.integers(0, 3, N), THREE)
NEAR = VALUES * RNG.lognormal(0, 0.4, N)
TWO = np.column_stack([BINARY, BINARY[::-1]])
TWO_GUESS = np.where(RNG.random((N, 2)) < 0.3, 1 - TWO, TWO)


@pytest.mark.parametrize(
    ("name", "y", "predictions", "expected"),
    [
        ("auc", BINARY, NOISY, sk.roc_auc_score(BINARY, NOISY)),
        ("auc", THREE, SOFT, sk.roc_auc_score(THREE, SOFT, multi_class="ovr", average="macro")),
        ("auc", TWO, np.column_stack([NOISY] * 2), sk.roc_auc_score(TWO, np.column_stack([NOISY] * 2))),
        ("gini", BINARY, NOISY, 2 * sk.roc_auc_score(BINARY, NOISY) - 1),
        ("average precision", BINARY, NOISY, sk.average_precision_score(BINARY, NOISY)),
        ("average precision", THREE, SOFT, sk.average_precision_score(THREE, SOFT)),
        ("logloss", BINARY, NOISY, sk.log_loss(BINARY, NOISY)),
        ("logloss", THREE, SOFT, sk.log_loss(THREE, SOFT)),
        ("balanced_logloss", BINARY, NOISY, sk.log_loss(BINARY, NOISY, sample_weight=even(BINARY))),
        ("balanced_logloss", THREE, SOFT, sk.log_loss(THREE, SOFT, sample_weight=even(THREE))),
        ("brier", BINARY, NOISY, sk.brier_score_loss(BINARY, NOISY)),
        ("brier", THREE, SOFT, ((one_hot(THREE, 3) - SOFT) ** 2).sum(axis=1).mean()),
        ("accuracy", THREE, GUESS, sk.accuracy_score(THREE, GUESS)),
        ("accuracy", TWO, TWO_GUESS, sk.accuracy_score(TWO, TWO_GUESS)),
        ("balanced accuracy", THREE, GUESS, sk.balanced_accuracy_score(THREE, GUESS)),
        ("f1", BINARY, NOISY > 0.4, sk.f1_score(BINARY, NOISY > 0.4)),
        ("mcc", THREE, GUESS, sk.matthews_corrcoef(THREE, GUESS)),
        *[(f"f1_{a}", THREE, GUESS, sk.f1_score(THREE, GUESS, average=a)) for a in ("macro", "micro", "weighted")],
        *[(f"f1_{a}", TWO, TWO_GUESS, sk.f1_score(TWO, TWO_GUESS, average=a)) for a in ("macro", "micro", "weighted")],
        ("qwk", THREE * 1.0, GUESS, sk.cohen_kappa_score(THREE, GUESS, weights="quadratic")),
        ("rmse", VALUES, NEAR, sk.root_mean_squared_error(VALUES, NEAR)),
        ("mse", VALUES, NEAR, sk.mean_squared_error(VALUES, NEAR)),
        ("mae", VALUES, NEAR, sk.mean_absolute_error(VALUES, NEAR)),
        ("medae", VALUES, NEAR, sk.median_absolute_error(VALUES, NEAR)),
        ("rmsle", VALUES, NEAR, sk.root_mean_squared_log_error(VALUES, NEAR)),
        ("rmse_log", VALUES, NEAR, sk.root_mean_squared_error(np.log(VALUES), np.log(NEAR))),
        ("mape", VALUES, NEAR, sk.mean_absolute_percentage_error(VALUES, NEAR)),
        ("r2", VALUES, NEAR, sk.r2_score(VALUES, NEAR)),
        ("pearson", VALUES, NEAR, np.corrcoef(VALUES, NEAR)[0, 1]),
        ("spearman", VALUES.round(), NEAR.round(), -0.0),
        ("mcrmse", np.column_stack([VALUES, NEAR]), np.column_stack([NEAR, NEAR + 2]),
         (sk.root_mean_squared_error(VALUES, NEAR) + 2) / 2),
        ("ndcg@4", BINARY * 1.0, NOISY, sk.ndcg_score(BINARY.reshape(-1, 12), NOISY.reshape(-1, 12), k=4)),
        ("ndcg", THREE * 1.0, NOISY, sk.ndcg_score(2.0 ** THREE.reshape(-1, 12) - 1, NOISY.reshape(-1, 12))),
    ],
)  # fmt: skip
def test_as_scikit_learn(name: str, y: np.ndarray, predictions: np.ndarray, expected: float) -> None:
    if name == "spearman":
        from scipy.stats import spearmanr

        expected = spearmanr(y, predictions).statistic
    assert get_metric(name).score(y, predictions, GROUPS) == pytest.approx(expected, rel=1e-9)


def test_by_hand() -> None:
    assert get_metric("rmspe").score(np.array([0.0, 2.0, 4.0]), np.array([9.0, 1.0, 4.0])) == pytest.approx(8**-0.5)
    assert get_metric("smape").score(np.array([1.0, 0.0]), np.array([3.0, 0.0])) == pytest.approx(50.0)
    lists = np.array([[1, 0], [2, 1], [1, 2]])
    assert get_metric("map@2").score(np.array([1, 1, 0]), lists) == pytest.approx((1 + 0.5 + 0) / 3)
    assert get_metric("map@1").score(np.array([1, 1, 0]), lists) == pytest.approx(1 / 3)
    assert get_metric("logloss").score(np.array([1]), np.array([[0.25]])) == pytest.approx(np.log(4))
    assert get_metric("qwk").score(np.array([1.0, 5.0]), np.array([5, 1])) == pytest.approx(-1)
    assert get_metric("gini").score(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])) == pytest.approx(-1)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=2, max_size=40))
def test_auc_and_average_precision_with_ties(rows: list[tuple[bool, int]]) -> None:
    y, p = np.array([int(a) for a, _ in rows]), np.array([b / 4 for _, b in rows])
    auc, precision = get_metric("auc").score(y, p), get_metric("average_precision").score(y, p)
    if len(set(y)) < 2:
        assert np.isnan(auc) and np.isnan(precision)
    else:
        assert auc == pytest.approx(sk.roc_auc_score(y, p))
        assert precision == pytest.approx(sk.average_precision_score(y, p))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_label_metrics_on_any_table(rows: list[tuple[int, int]]) -> None:
    y, p = np.array([a for a, _ in rows]), np.array([b for _, b in rows])
    if len({*y, *p}) > 1:
        assert get_metric("mcc").score(y, p) == pytest.approx(sk.matthews_corrcoef(y, p))
    for average in ("macro", "micro", "weighted"):
        expected = sk.f1_score(y, p, average=average, zero_division=0)
        assert get_metric(f"f1_{average}").score(y, p) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["auc", "gini", "average_precision", "r2", "pearson", "spearman", "qwk"])
def test_one_class_or_a_constant_is_nan(name: str) -> None:
    for y in (np.zeros(5), np.ones(5), np.ones(1)):
        assert np.isnan(get_metric(name).score(y, y))


def test_nan_predictions_and_no_rows_are_nan() -> None:
    for name in ("auc", "rmse", "logloss", "map@3", "mcrmse"):
        assert np.isnan(get_metric(name).score(np.array([0, 1]), np.array([[0.5, 0.5], [np.nan, 0.5]])[:, :1]))
    metric = get_metric("rmse")
    assert np.isnan(metric.score(np.empty(0), np.empty(0)))


def test_a_class_or_column_without_score_is_left_out() -> None:
    y, p = np.array([0, 1, 1, 0]), np.array([[0.5, 0.1, 0.4], [0.6, 0.2, 0.2], [0.2, 0.7, 0.1], [0.8, 0.1, 0.1]])
    assert get_metric("auc").score(y, p) == pytest.approx(0.75 / 2 + 1 / 2)
    two = np.column_stack([y, np.ones(4)])
    assert get_metric("mean_column_auc").score(two, p[:, 1:]) == get_metric("auc").score(y, p[:, 1])


def test_predictions_are_clipped_to_the_domain() -> None:
    assert get_metric("rmsle").predictions_valid(np.array([-1.0, 2.0])).tolist() == [0, 2]
    assert get_metric("rmsle").score(np.array([0.0]), np.array([-3.0])) == 0
    assert get_metric("rmse_log").predictions_valid(np.array([-1.0, 2.0]))[0] > 0
    assert get_metric("mean_column_auc").predictions_valid(np.array([[2.0, -1.0]])).tolist() == [[1, 0]]
    rows = get_metric("logloss").predictions_valid(np.array([[2.0, 1.0, -1.0], [0.0, 0.0, 0.0]]))
    assert rows.tolist() == [[0.5, 0.5, 0], pytest.approx([1 / 3] * 3)]
    assert get_metric("rmse").predictions_valid(np.array([-1.0])).tolist() == [-1]
    assert get_metric("logloss").score(np.array([1]), np.array([[3.0, 1.0]])) == pytest.approx(np.log(2))
    assert np.isfinite(get_metric("logloss").score(np.array([1, 0]), np.array([0.0, 1.0])))


def test_values_out_of_a_metric_s_reach_do_not_warn() -> None:
    assert np.isnan(get_metric("rmsle").score(np.array([-2.0, 1.0]), np.array([1.0, 1.0])))


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("ROC AUC", "auc"),
        ("Area under the ROC curve", "auc"),
        ("Area Under Receiver Operating Characteristic Curve", "auc"),
        ("normalised gini", "gini"),
        ("MulticlassLoss", "logloss"),
        ("neg_log_loss", "logloss"),
        ("Cross-Entropy", "logloss"),
        ("neg_root_mean_squared_error", "rmse"),
        ("Root Mean Squared Logarithmic Error", "rmsle"),
        ("quadratic weighted kappa", "qwk"),
        ("Categorization Accuracy", "accuracy"),
        ("Macro F-Score", "f1_macro"),
        ("matthews_corrcoef", "mcc"),
        ("R²", "r2"),
        ("MAP@{5}", "map@5"),
        ("NDCG@10", "ndcg@10"),
        ("MCRMSE", "mean_column_rmse"),
        ("Mean Columnwise Area Under Receiver Operating Characteristic Curve", "mean_column_auc"),
        ("mean columnwise log loss", "mean_column_logloss"),
        ("mean_column_average_precision", "mean_column_average_precision"),
        ("column mean absolute error", "mean_column_mae"),
        ("Average columns' RMSE", "mean_column_rmse"),
        ("column-wise mean of smape", "mean_column_smape"),
    ],
)
def test_names(name: str, canonical: str) -> None:
    assert get_metric(name).name == canonical


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("rsme", '"rmse"'),
        ("accurracy", '"accuracy"'),
        ("zzzzqqq", "known: auc"),
        ("map@k", '"map@5"'),
        ("mean_column_qwk", "one target column"),
        ("mean_column_map@3", "one target column"),
    ],
)
def test_unknown_names_say_what_to_write(name: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        get_metric(name)


def test_the_task_picks_the_form() -> None:
    assert get_metric("rmse", task="multiregression").name == "mean_column_rmse"
    assert get_metric("auc", task="multilabel").multi and not get_metric("auc", task="binary").multi
    assert get_metric("accuracy", task="multilabel").name == "accuracy"
    with pytest.raises(BadInput, match="f1_macro"):
        get_metric("f1", task="multiclass")
    with pytest.raises(BadInput, match="group_column"):
        get_metric("ndcg").score(BINARY, NOISY)
    with pytest.raises(ValueError, match="5 labels"):
        get_metric("rmse").score(np.zeros(5), np.zeros(4))
    with pytest.raises(ValueError, match="labels"):
        get_metric("rmse").score(np.zeros(3), np.zeros((3, 3)))
    with pytest.raises(ValueError, match="labels"):
        get_metric("mcrmse").score(np.zeros((5, 2)), np.zeros((5, 3)))


def test_hints_for_training() -> None:
    assert [get_metric(n).transform for n in ("rmsle", "rmse_log", "rmse")] == ["log1p", "log", None]
    assert get_metric("mean_column_rmsle").transform == "log1p"


def test_top_k_is_the_same_for_few_and_many_columns() -> None:
    p = np.random.default_rng(2).random((50, 90)).round(2)
    assert (sf.top_k(p, 5)[:, 0] == p.argmax(axis=1)).all()
    picked = np.take_along_axis(p, sf.top_k(p, 5), axis=1)
    assert np.array_equal(picked, -np.sort(-p, axis=1)[:, :5])


def test_a_million_rows_are_quick() -> None:
    p = np.random.default_rng(3).random(1_000_000)
    y = (p > 0.5).astype(int)
    for name in ("auc", "logloss", "rmse"):
        started = time.process_time()
        get_metric(name).score(y, p)
        assert time.process_time() - started < 1.0


def test_import_is_light() -> None:
    code = "import sys, orchestrator.competitions.decisions; print({'sklearn', 'scipy', 'pandas'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
