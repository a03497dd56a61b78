import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.competitions.decisions import Decision, fit_decision
from orchestrator.competitions.metrics import METRICS, get_metric
from orchestrator.errors import BadInput


def binary(n: int, prior: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and honest probabilities (n, 1)."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < prior).astype(int)
    logit = 1.5 * (1.5 * (y - 0.5) + rng.normal(size=n)) + np.log(prior / (1 - prior))
    return y, (1 / (1 + np.exp(-logit)))[:, None]


def classes(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels of four classes, the last one rare, and their probabilities."""
    rng = np.random.default_rng(seed)
    prior = np.array([0.5, 0.3, 0.17, 0.03])
    y = rng.choice(4, n, p=prior)
    noise = rng.normal(size=(n, 4))
    noise[np.arange(n), y] += 1.5
    p = np.exp(1.5 * noise) * prior
    return y, p / p.sum(axis=1, keepdims=True)


def grades(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Grades 0 to 4, mostly 0, and values that shrink towards the mean."""
    rng = np.random.default_rng(seed)
    y = rng.choice(5, n, p=[0.5, 0.2, 0.15, 0.1, 0.05]).astype(float)
    return y, (0.5 * y + 0.5 + rng.normal(scale=0.4, size=n))[:, None]


@pytest.mark.parametrize(("name", "prior"), [("f1", 0.05), ("balanced_accuracy", 0.1), ("f1_macro", 0.05)])
def test_a_threshold_beats_one_half_on_new_rows(name: str, prior: float) -> None:
    metric = get_metric(name)
    y, p = binary(6000, prior)
    decision = fit_decision(metric, y[:3000], p[:3000])
    assert decision.kind == "thresholds" and decision.numbers[0] < 0.45
    plain = metric.score(y[3000:], p[3000:, 0] >= 0.5)
    assert metric.score(y[3000:], decision.apply(p[3000:])) > plain + 0.02


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", [5, 60, 700])
def test_accuracy_keeps_one_half_for_honest_probabilities(seed: int, n: int) -> None:
    assert fit_decision(get_metric("accuracy"), *binary(n, 0.4, seed)) == Decision("thresholds", (0.5,))


@pytest.mark.parametrize("name", ["accuracy", "mcc", "f1"])
def test_a_shifted_model_gets_its_threshold(name: str) -> None:
    y, p = binary(2000, 0.4)
    decision = fit_decision(get_metric(name), y, p**3)
    assert 0.03 < decision.numbers[0] < 0.3
    assert get_metric(name).score(y, decision.apply(p**3)) > get_metric(name).score(y, p[:, 0] ** 3 >= 0.5)


def test_the_threshold_is_near_the_best_of_all() -> None:
    y, p = binary(3000, 0.1)
    metric = get_metric("f1")
    best = max(metric.score(y, p[:, 0] >= t) for t in np.linspace(0.01, 0.9, 300))
    assert metric.score(y, fit_decision(metric, y, p).apply(p)) > best - 0.02


def test_predictions_of_few_values_get_the_threshold_between_them() -> None:
    y = np.tile([0, 0, 1], 100)
    assert fit_decision(get_metric("f1"), y, 0.2 * y).apply(0.2 * y).tolist() == y.tolist()
    steps = np.tile([0.1, 0.2, 0.3, 0.4], 100)
    assert 0.3 < fit_decision(get_metric("f1"), (steps > 0.3).astype(int), steps).numbers[0] < 0.4


@pytest.mark.parametrize("name", ["f1_macro", "balanced_accuracy", "mcc"])
def test_class_weights_are_no_worse_and_help_rare_classes(name: str) -> None:
    metric = get_metric(name)
    y, p = classes(8000)
    decision = fit_decision(metric, y[:4000], p[:4000], list("abcd"))
    assert decision.kind == "classes" and len(decision.numbers) == 4
    plain = metric.score(y[4000:], p[4000:].argmax(axis=1))
    gain = metric.score(y[4000:], decision.apply(p[4000:])) - plain
    assert gain > {"f1_macro": 0.0, "balanced_accuracy": 0.05, "mcc": -0.003}[name]
    if name == "balanced_accuracy":
        assert np.argmax(decision.numbers) == 3


@pytest.mark.parametrize("name", ["accuracy", "f1_micro"])
def test_accuracy_of_classes_is_the_likeliest(name: str) -> None:
    y, p = classes(500)
    decision = fit_decision(get_metric(name), y, p)
    assert decision == Decision("classes", (1.0,) * 4)
    assert np.array_equal(decision.apply(p), p.argmax(axis=1))


def test_one_class_keeps_the_plain_rule() -> None:
    y, p = binary(100, 0.4)
    assert fit_decision(get_metric("f1"), y * 0, p).numbers == (0.5,)
    assert fit_decision(get_metric("f1"), y[:0], p[:0]).numbers == (0.5,)
    assert fit_decision(get_metric("f1"), y, p * 0 + 0.3).numbers == (0.5,)
    assert fit_decision(get_metric("f1_macro"), y * 0, classes(100)[1]).numbers == (1.0,) * 4


@pytest.mark.parametrize("name", [*METRICS, "map@3", "ndcg@3"])
def test_next_to_no_rows_are_no_crash(name: str) -> None:
    metric = get_metric(name)
    rng = np.random.default_rng(0)
    for n, size in itertools.product((0, 1, 2, 3, 19, 25), (1, 4)):
        if size == 1 or (metric.kind in ("label", "probability") and name not in ("f1", "gini")) or name == "map@3":
            y, p = rng.integers(0, max(size, 2), n), rng.random((n, size))
            decided = fit_decision(metric, y, p).apply(p)
            assert len(decided) == n
            score = metric.score(y, decided, np.zeros(n))
            assert np.isnan(score) or np.isfinite(score)


def test_cut_points_beat_rounding_on_new_rows() -> None:
    metric = get_metric("qwk")
    y, value = grades(6000)
    decision = fit_decision(metric, y[:3000], value[:3000])
    decided = decision.apply(value[3000:])
    assert decided.dtype == np.int64 and set(decided) <= set(range(5))
    rounded = np.clip(np.rint(value[3000:, 0]), 0, 4)
    assert metric.score(y[3000:], decided) > metric.score(y[3000:], rounded) + 0.02
    assert list(decision.numbers) == sorted(decision.numbers)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.sampled_from([1, 2, 4, 9]), st.integers(-4, 40)), min_size=1, max_size=30))
def test_cut_points_are_never_worse_than_rounding_where_they_are_fit(rows: list[tuple[int, int]]) -> None:
    y, value = np.array([float(a) for a, _ in rows]), np.array([b / 4 for _, b in rows])
    metric, levels = get_metric("qwk"), np.unique(y)
    decided = fit_decision(metric, y, value).apply(value)
    nearest = levels[np.searchsorted((levels[1:] + levels[:-1]) / 2, value, side="right")]
    if len(levels) > 1:
        assert metric.score(y, decided) >= metric.score(y, nearest) - 1e-12
    else:
        assert (decided == y[0]).all()


def test_cut_points_of_few_levels_are_the_best_there_are() -> None:
    y, value = grades(120, seed=3)
    y = np.minimum(y, 2)
    metric = get_metric("qwk")
    points = np.append(np.sort(value[:, 0]), 9)
    best = max(
        metric.score(y, np.searchsorted([a, b], value[:, 0], side="right")) for a in points for b in points if a <= b
    )
    assert metric.score(y, fit_decision(metric, y, value).apply(value)) > best - 0.01


def test_grades_from_class_probabilities_and_uneven_levels() -> None:
    y, p = classes(1000)
    assert get_metric("qwk").score(y, fit_decision(get_metric("qwk"), y, p, [1, 2, 3, 4]).apply(p)) > 0.4
    halves = fit_decision(get_metric("qwk"), np.array([1.0, 1.5, 2.0] * 20), np.tile([1.0, 1.4, 2.2], 20))
    assert halves.apply(np.array([0.0, 1.45, 9.0])).tolist() == [1.0, 1.5, 2.0]
    unseen = fit_decision(get_metric("qwk"), np.empty(0), np.empty((0, 1)), [0, 1, 2])
    assert unseen.apply(np.array([[0.2], [1.4], [7.0]])).tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", ["mean_column_f1", "f1_macro", "f1_micro", "f1_weighted", "accuracy"])
def test_several_columns_get_their_thresholds(name: str) -> None:
    first, second = binary(2000, 0.08, 1), binary(2000, 0.4, 2)
    y, p = np.column_stack([first[0], second[0]]), np.column_stack([first[1], second[1]])
    metric = get_metric(name, task="multilabel")
    decision = fit_decision(metric, y, p)
    decided = decision.apply(p)
    assert decided.shape == y.shape and len(decision.numbers) == 2
    assert metric.score(y, decided) >= metric.score(y, (p >= 0.5).astype(int))
    if name in ("mean_column_f1", "f1_macro"):
        assert decision.numbers[0] < decision.numbers[1]
    if name == "f1_micro":
        assert decision.numbers[0] == decision.numbers[1]


def test_lists_values_and_probabilities() -> None:
    p = np.array([[0.1, 0.6, 0.3], [0.5, 0.5, 0.0]])
    ranked = fit_decision(get_metric("map@2"), np.array([1, 0]), p).apply(p)
    assert ranked.tolist() == [[1, 2], [0, 1]] and get_metric("map@2").score(np.array([2, 0]), ranked) == 0.75
    value = np.array([[-1.0], [3.0]])
    assert fit_decision(get_metric("rmsle"), value[:, 0], value).apply(value).tolist() == [[0], [3]]
    assert fit_decision(get_metric("mae"), value[:, 0], value).apply(value).tolist() == value.tolist()
    assert fit_decision(get_metric("ndcg"), value[:, 0], value).apply(value).tolist() == value.tolist()
    assert fit_decision(get_metric("auc"), np.array([0, 1]), value).apply(value).tolist() == [[0], [1]]
    assert fit_decision(get_metric("logloss"), np.array([0, 1]), p * 2).apply(p * 2)[1].tolist() == [0.5, 0.5, 0]
    targets = np.array([[1, 0, 1], [0, 1, 1]])
    several = fit_decision(get_metric("logloss", task="multilabel"), targets, p * 2)
    assert several.apply(p * 2).tolist() == [[0.2, 1, 0.6], [1, 1, 0]]


def test_rows_without_prediction_are_left_out() -> None:
    y, p = binary(500, 0.1)
    holed = np.vstack([p, np.full((50, 1), np.nan)])
    assert fit_decision(get_metric("f1"), np.append(y, [1] * 50), holed) == fit_decision(get_metric("f1"), y, p)


@pytest.mark.parametrize("name", ["f1", "f1_macro", "qwk", "map@3", "rmsle", "rmse", "logloss"])
def test_a_decision_survives_json(name: str) -> None:
    y, p = grades(400) if name in ("qwk", "rmsle", "rmse") else binary(400, 0.1) if name == "f1" else classes(400)
    decision = fit_decision(get_metric(name), y, p)
    again = Decision.from_dict(json.loads(json.dumps(decision.as_dict(), allow_nan=False)))
    assert again == decision and np.array_equal(again.apply(p), decision.apply(p))
    assert fit_decision(get_metric(name), y, p) == decision


@pytest.mark.parametrize("record", [{}, {"kind": "guess"}, [], None])
def test_a_foreign_record_is_refused(record: object) -> None:
    with pytest.raises(BadInput, match="not a decision"):
        Decision.from_dict(record)  # type: ignore[arg-type]


def test_an_own_label_metric_gets_plain_labels(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "metric.py"
    path.write_text('MAXIMIZE = True\nPREDICTION = "label"\ndef score(y, p):\n    return (y == p).mean()\n')
    metric = get_metric("mine", path)
    y, p = binary(100, 0.4)
    assert fit_decision(metric, y, p).numbers == (0.5,)
    assert metric.score(y, fit_decision(metric, y, p).apply(p)) == np.mean(y == (p[:, 0] >= 0.5))
    assert fit_decision(metric, *classes(100)).kind == "classes"
    assert fit_decision(metric, np.column_stack([y, y]), np.column_stack([p, p])).numbers == (0.5, 0.5)
