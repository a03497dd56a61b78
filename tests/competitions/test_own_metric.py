from pathlib import Path

import numpy as np
import pytest

from orchestrator.competitions.metrics import get_metric
from orchestrator.competitions.own_metric import score_or_nan
from orchestrator.errors import BadInput, MetricFailed

OWN = """
MAXIMIZE = False
PREDICTION = "value"
def score(y_true, y_pred):
    return abs(y_true - y_pred).max()
"""


def test_a_metric_of_your_own(tmp_path: Path) -> None:
    path = tmp_path / "metric.py"
    path.write_text(OWN)
    metric = get_metric("custom", path)
    assert (metric.name, metric.maximize, metric.kind) == ("metric", False, "value")
    assert metric.score(np.array([1.0, 2.0]), np.array([[1.0], [5.0]])) == 3
    assert metric.row_losses(np.array([1.0]), np.array([1.0])) is None
    path.write_text(OWN.replace("value", "probability") + "NAME = 'widest'\n")
    metric = get_metric("custom", str(path), task="multilabel")
    assert metric.name == "widest" and metric.score(np.eye(2), np.eye(2) * 2.0) == 0
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("def score", "def scores", "lacks a function score"),
        ("MAXIMIZE = False", "MAXIMIZE = 0", "lacks MAXIMIZE"),
        ('"value"', '"rank"', "lacks PREDICTION"),
        ("def score", "def def", "does not run: SyntaxError"),
        ("MAXIMIZE = False", "import no_such_module_here", "does not run: ModuleNotFoundError"),
        (OWN, "", "lacks a function"),
    ],
)
def test_a_bad_metric_file_says_what_is_missing(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "metric.py"
    path.write_text(OWN.replace(old, new))
    with pytest.raises(BadInput, match=said):
        get_metric("custom", path)


def test_a_metric_file_that_is_missing_or_fails_later(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not run: FileNotFoundError"):
        get_metric("custom", tmp_path / "metric.py")
    (tmp_path / "metric.py").write_text(OWN.replace("abs(y_true - y_pred).max()", "'no number'"))
    with pytest.raises(BadInput, match=r"score of metric_file .* fails: ValueError"):
        get_metric("custom", tmp_path / "metric.py").score(np.array([1.0]), np.array([1.0]))


def test_a_metric_may_raise_an_exception_of_its_own(tmp_path: Path) -> None:
    raises = "class ParticipantVisibleError(Exception): ...\n" + OWN.replace(
        "return", "raise ParticipantVisibleError  #"
    )
    (tmp_path / "metric.py").write_text(raises)
    metric = get_metric("custom", tmp_path / "metric.py")
    with pytest.raises(MetricFailed, match="fails: ParticipantVisibleError"):
        metric.score(np.array([1.0]), np.array([1.0]))
    assert np.isnan(score_or_nan(metric, np.array([1.0]), np.array([1.0])))
