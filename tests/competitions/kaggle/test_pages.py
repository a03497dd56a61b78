"""What pages, the metric's free text and the leaderboard's order tell."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orchestrator.competitions.infer_metric import read_description
from orchestrator.competitions.kaggle.html_text import as_text
from orchestrator.competitions.kaggle.pages import MOST_CHARS, describe, direction, documents, is_over, understand
from orchestrator.competitions.kaggle.records import CompetitionInfo

DEADLINE = datetime(2026, 5, 1, 23, 59, tzinfo=UTC)


def info(metric: str = "") -> CompetitionInfo:
    url = "https://www.kaggle.com/competitions/some-fun"
    return CompetitionInfo("some-fun", "Some Fun", url, metric, DEADLINE, 5, False, True, False)


class TestMetric:
    @pytest.mark.parametrize(
        ("named", "metric"),
        [
            ("Categorization Accuracy", "accuracy"),
            ("Area Under Receiver Operating Characteristic Curve", "auc"),
            ("Mean Columnwise Area Under Receiver Operating Characteristic Curve", "auc"),
            ("Root Mean Squared Error", "rmse"),
            ("Root Mean Squared Logarithmic Error", "rmsle"),
            ("RMSLE", "rmsle"),
            ("Mean Absolute Error", "mae"),
            ("Log Loss", "log_loss"),
            ("Multiclass Loss", "log_loss"),
            ("Normalized Gini Index", "gini"),
            ("Quadratic Weighted Kappa", "qwk"),
            ("MeanFScore", "f1"),
            ("Macro F1 Score", "f1_macro"),
            ("R2 Score", "r2"),
            ("Matthews Correlation Coefficient", "mcc"),
            ("Roc Auc Score", "auc"),
            ("Balanced Accuracy Score", "balanced_accuracy"),
            ("MAP@5", "map@5"),
        ],
    )
    def test_names_that_kaggle_uses(self, named: str, metric: str) -> None:
        found = understand(info(named), "# Some Fun\n", [])
        assert [(one.metric, one.said, one.words) for one in found.readings] == [
            (metric, "Kaggle calls the metric", named)
        ]
        assert found.unknown == ""

    def test_kaggles_name_comes_before_the_page(self) -> None:
        text = describe(info("Log Loss"), {"Evaluation": "Scored by accuracy."})
        assert [one.metric for one in understand(info("Log Loss"), text, []).readings] == ["log_loss", "accuracy"]

    @pytest.mark.parametrize(
        ("named", "page", "first"),
        [
            ("Root Mean Squared Error", "RMSE between the logarithm of the predicted and the true price.", "rmse_log"),
            ("MAP@{K}", "Submissions are evaluated by Mean Average Precision @ 7 (MAP@7).", "map@7"),
            ("F1 Score", "Submissions are evaluated by the macro F1 score.", "f1_macro"),
        ],
    )
    def test_unless_the_page_says_it_more_precisely(self, named: str, page: str, first: str) -> None:
        text = describe(info(named), {"Evaluation": page})
        assert understand(info(named), text, []).readings[0].metric == first

    def test_a_metric_of_their_own(self) -> None:
        found = understand(info("Custom  Thing\nv2"), "# Some Fun\n\n## Evaluation\n\nScored by RMSE.\n", [])
        assert [one.metric for one in found.readings] == ["rmse"] and found.unknown == "Custom Thing v2"


class TestDirection:
    @pytest.mark.parametrize(
        ("scores", "higher"),
        [
            ([0.9, 0.9, 0.8, 0.7, 0.7, 0.1], True),
            ([0.1, 0.2, 0.2, 0.3, 0.9], False),
            ([1.0] * 50, None),
            ([0.9, 0.8], None),
            ([], None),
            ([0.9, 0.1, 0.8, 0.2, 0.7, 0.3], None),
            ([*(1 - place / 100 for place in range(60)), 0.99], True),
        ],
    )
    def test_by_the_boards_order(self, scores: list[float], higher: bool | None) -> None:
        assert direction(scores) is higher


class TestDescription:
    def test_the_important_pages_come_first_and_the_rules_not_at_all(self) -> None:
        pages = {
            "rules": "No cheating.", "Prizes": "Swag.", "Timeline": "Soon.", "data-description": "# Files\n\n- train",
            "Evaluation": "## Goal\n\nAUC.\n\n## Submission File\n\nid,target", "Description": "Win!", "FAQ": "Why?",
        }  # fmt: skip
        text = describe(info(), pages)
        heads = [line for line in text.splitlines() if line.startswith("#")]
        assert heads == [
            "# Some Fun", "## Description", "## Evaluation", "#### Goal", "#### Submission File", "## Data description",
            "### Files", "## Timeline", "## FAQ",
        ]  # fmt: skip
        assert "2026-05-01 23:59 UTC" in text and "cheating" not in text
        assert read_description(text).metric == "auc"

    def test_html_becomes_markdown(self) -> None:
        page = (
            "<h2>Metric</h2><p>Scored by <strong>RMSE</strong> &amp; more.</p><script>alert('x')</script>"
            "<ul><li>one</li><li>two</li></ul><pre><code>id,y\n1,2</code></pre><style>p{}</style>"
        )
        text = as_text(page)
        assert "## Metric" in text and "Scored by RMSE & more." in text and "- one\n- two" in text
        assert "```\nid,y\n1,2\n```" in text and "alert" not in text and "{}" not in text
        assert as_text("a < b and c > d\n\n# Markdown") == "a < b and c > d\n\n# Markdown"

    def test_headings_in_code_stay(self) -> None:
        text = describe(info(), {"Evaluation": "```\n# a comment\n```\n# A heading"})
        assert "\n# a comment\n" in text and "\n### A heading" in text

    def test_hostile_pages_stay_small_and_inside(self) -> None:
        pages = {
            "../../etc/passwd": "x",
            "a\nb": "y",
            "": "z",
            "Evaluation": "<p><p>" + "<b>" * 100_000 + "AUC",
            "long": "word " * 1_000_000,
            **{f"page {number}": "spam" for number in range(1000)},
        }
        text, files = describe(info(), pages), documents(pages)
        assert len(text) <= MOST_CHARS + 1 and len(files) <= 40
        assert {"etc-passwd.md", "a-b.md", "page.md"} <= set(files)
        assert all("/" not in name and not name.startswith(".") for name in files)
        assert "## A b" in text

    def test_the_whole_rules_are_kept_beside(self) -> None:
        assert documents({"rules": "<p>One.</p><p>Two.</p>"}) == {"rules.md": "# Rules\n\nOne.\n\nTwo.\n"}


def test_deadlines() -> None:
    assert is_over(DEADLINE, DEADLINE) and not is_over(DEADLINE, datetime(2026, 5, 1, tzinfo=UTC))
    assert not is_over(None, DEADLINE)
