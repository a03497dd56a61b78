"""Money in the report: exact sums by role and round, what came from cache, what was never answered."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator import show
from orchestrator.money import TABLE_ROUNDS
from orchestrator.report import write_report
from tests import made_campaign as made


def report(root: Path) -> str:
    return write_report(root, datetime(2025, 3, 2, tzinfo=UTC)).read_text()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made.config(tmp_path)
    for number in (1, 2, 3):
        made.finish(tmp_path, made.entry(number, "crash" if number == 2 else "keep"))
    made.state(tmp_path, round=3)
    return tmp_path


def cells(text: str, first: str) -> list[str]:
    """The row of a table under "Cost"."""
    lines = text.partition("## Cost")[2].splitlines()
    return next(line for line in lines if line.startswith(f"| {first} |")).strip("| ").split(" | ")


def test_the_report_splits_money_by_role_and_round(root: Path) -> None:
    made.costs(root, ("builder", 0, 0.5), ("builder", 1, 1.0), ("reviewer", 3, 2.0), ("builder", 3, 0.25), left_open=1)
    text = report(root)
    assert "- **Money:** $3.75 of $10.00" in text
    assert "- **For each kept round:** 6 min 02 s and $1.88" in text
    assert "- **Models:** m-1 (price: config)" in text
    assert "- **Read from cache:** 90 % of the input" in text
    assert "- **Counted though no answer came back:** $0.25" in text
    assert cells(text, "builder") == ["builder", "$1.75", "3", "2 k", "90 %", "100"]
    assert cells(text, "all") == ["all", "$3.75", "4", "3 k", "90 %", "150"]
    assert [cells(text, name)[1] for name in ("R00", "R03")] == ["$0.50", "$2.25"]


def test_a_long_campaigns_table_is_bounded(root: Path) -> None:
    made.costs(root, *(("builder", number, 0.01) for number in range(60)))
    text = report(root)
    assert f"By round, the last {TABLE_ROUNDS} of 60:" in text
    assert "| R59 | $0.01 |" in text and "| R09 | $0.01 |" not in text


def test_no_word_of_models_where_none_played(root: Path) -> None:
    text = report(root)
    assert "cache" not in text and "- **Money:** $0.00\n" in text


def test_a_damaged_ledger_is_told_and_does_not_stop_the_report(root: Path) -> None:
    (root / "costs.jsonl").write_text("{}\n")
    assert "Money is not known in full" in report(root)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (812, "812"), (1000, "1 k"), (12_345, "12.3 k"), (999_999, "1000 k"), (4_200_000, "4.2 M"), (None, "–")],  # noqa: RUF001
)
def test_counts(value: int | None, text: str) -> None:
    assert show.count(value) == text
