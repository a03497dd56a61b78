"""REPORT.md from campaigns of every length and state of repair."""

from __future__ import annotations

import re
import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestrator import plots, show
from orchestrator.files import write_json
from orchestrator.report import write_report
from orchestrator.rounds import RoundFiles
from tests import made_campaign as made

NOON = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)
PNG = b"\x89PNG\r\n\x1a\n"


def report(root: Path) -> str:
    path = write_report(root, NOON)
    assert path == root / "REPORT.md"
    text = path.read_text(encoding="utf-8")
    for name in re.findall(r"\]\((report/\S+)\)", text):
        assert (root / name).read_bytes().startswith(PNG)
    return text


def section(text: str, title: str) -> list[str]:
    """The lines under a heading."""
    return re.split(r"^## ", text, flags=re.M)[[*headings(text)].index(title) + 1].splitlines()[1:]


def headings(text: str) -> list[str]:
    return re.findall(r"^## (.*)$", text, flags=re.M)


def rows(lines: list[str]) -> list[list[str]]:
    """The cells of a section's table without its header."""
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines if line.startswith("|")]
    assert len({len(row) for row in cells}) == 1
    return cells[2:]


def play(tmp_path: Path) -> Path:
    """Ten rounds: kept, discarded, crashed, gated; two submissions; an ending with a grade."""
    made.config(tmp_path)
    made.phases(tmp_path, 0, folds="5 folds, hash 0123456789ab")
    for number in range(1, 11):
        changes: dict[str, Any] = {"fold_scores": [0.5], "complete": False, "cv": None} if number == 6 else {}
        status = {3: "crash", 4: "discard", 6: "discard", 8: "discard"}.get(number, "keep")
        lb = {1: 0.89, 5: 0.9}.get(number)
        made.finish(tmp_path, {**made.entry(number, status), **changes}, lb)
    scores = {"script_sha256": "ab" * 32, "hashes": {"submission": "cd" * 32}}
    write_json(RoundFiles(tmp_path / "rounds", 10).path("scores.json"), scores)
    final = {
        "round": 10,
        "cv": 0.91,
        "se": 0.004,
        "score": 0.908,
        "public": 0.9,
        "private": None,
        "recommended": [{"round": 10, "why": "best CV score"}, {"round": 9, "why": "second best CV score"}],
    }
    made.state(tmp_path, round=10, phase="ended", ending="max rounds: 10 played", final=final, usd=3.0)
    return tmp_path


@pytest.fixture
def played(tmp_path: Path) -> Path:
    return play(tmp_path)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of the ten rounds."""
    return report(play(tmp_path_factory.mktemp("told")))


def test_report_tells_what_happened(told: str) -> None:
    text = told
    assert "- **Rounds:** 10 (6 kept, 3 discarded, 1 crashed)" in text
    assert "- **Best:** **0.9100 ± 0.0040** in R10 (xgboost / default)" in text.replace(
        made.FAMILIES[10 % 4], "xgboost"
    )
    assert "- **Ended:** max rounds: 10 played" in text
    assert text.splitlines()[2] == "**The best file: [rounds/R10_submission.csv](rounds/R10_submission.csv)**"
    assert "- **Sandbox:** A (bubblewrap: " in text
    assert rows(section(text, "Result")) == [["R10", "0.9100 ± 0.0040", "0.908", "0.9"]]
    assert "- R10 (`rounds/R10_submission.csv`): best CV score" in text
    assert [row[0] for row in rows(section(text, "What was kept"))] == ["R01", "R02", "R05", "R07", "R09", "R10"]
    assert rows(section(text, "What was kept"))[1][2:5] == ["0.9020 ± 0.0040", "+0.001", "93 %"]
    every = {row[0]: row for row in rows(section(text, "All rounds"))}
    assert len(every) == 10
    assert every["R03"][3:6] == ["–", "–", "crash"]  # noqa: RUF001
    assert every["R06"][3] == "0.5 (fold 1)"
    assert [row[:4] for row in rows(section(text, "Submissions"))] == [
        ["R01", "accepted", "0.9010 ± 0.0040", "0.89"],
        ["R05", "accepted", "0.9050 ± 0.0040", "0.9"],
    ]
    assert "12 min 03 s in all" in text and "**For each kept round:** 2 min" in text and "$0.50" in text
    assert "5 folds, hash 0123456789ab" in text
    assert rows(section(text, "How to reproduce"))[-1] == [
        "`python rounds/R10_experiment.py IN OUT`",
        f"`{'ab' * 8}`",
        f"`{'cd' * 8}`",
    ]


def test_report_compares_expected_with_real_gains(told: str) -> None:
    # 10 rounds less the first (no gain), the crash and the gated one
    assert rows(section(told, "Expected and real gains"))[-1] == [
        "all", "7", "+0.002", "+0.001", "100 %", "0 %",
    ]  # fmt: skip


def test_report_sums_up_families(told: str) -> None:
    table = {row[0]: row[1:] for row in rows(section(told, "What was tried"))}
    assert sum(int(row[0]) for row in table.values()) == 10
    assert table["logistic"][:4] == ["3", "3", "0", "0.9090 ± 0.0040 (R09)"]
    assert table["mlp"][2] == "1"


def test_report_is_the_same_for_the_same_records(played: Path) -> None:
    def everything() -> dict[str, bytes]:
        report(played)
        return {path.name: path.read_bytes() for path in [played / "REPORT.md", *(played / "report").iterdir()]}

    first = everything()
    assert set(first) == {"REPORT.md", "scores.png", "seconds.png", "leaderboard.png"}
    assert everything() == first


def test_report_before_the_first_round(tmp_path: Path) -> None:
    made.config(tmp_path)
    text = report(tmp_path)
    assert "No round has been played yet." in text
    assert "nothing kept" in text and "not yet" in text
    assert not (tmp_path / "report").exists()


def test_report_of_one_round(tmp_path: Path) -> None:
    made.config(tmp_path)
    made.finish(tmp_path, made.entry(1))
    text = report(tmp_path)
    assert "best of many rounds" not in text
    assert "- **Rounds:** 1 (1 kept, 0 discarded, 0 crashed)" in text
    assert "Expected and real gains" not in text and "Submissions" not in text


def test_report_of_crashes_only(tmp_path: Path) -> None:
    made.config(tmp_path)
    for number in (1, 2, 3):
        made.finish(tmp_path, made.entry(number, "crash", family=None, role=None, expected_gain=None, recipe=None))
    made.finish(tmp_path, made.entry(3, "crash", family=None, reason="timeout: fold 1 did not end"))
    text = report(tmp_path)
    assert not (tmp_path / "report").exists() and "best of many rounds" not in text and "best file" not in text
    assert [row[5:] for row in rows(section(text, "All rounds"))][1:] == [
        ["crash", "0 s", "KeyError: 'age'"],
        ["timeout", "0 s", "fold 1 did not end"],
    ]
    assert "3 crashed" in text and "\nNothing." in text
    assert rows(section(text, "What was tried")) == [["no plan", "3", "0", "3", "–", "0 s"]]  # noqa: RUF001


def test_report_of_a_thousand_rounds_is_bounded(tmp_path: Path) -> None:
    made.config(tmp_path)
    for number in range(1, 1001):
        made.finish(tmp_path, made.entry(number, "keep" if number % 100 == 1 else "discard"))
    text = report(tmp_path)
    assert "## The last 50 of 1000 rounds" in text
    assert len(rows(section(text, "The last 50 of 1000 rounds"))) == 50
    assert len(rows(section(text, "What was kept"))) == 10
    assert len(text) < 40_000


def test_report_never_shows_a_damaged_record(played: Path) -> None:
    record = RoundFiles(played / "rounds", 10).path("result.json")
    record.write_bytes(record.read_bytes().replace(b"0.91", b"0.99"))
    (played / "state.json").unlink()
    text = report(played)
    assert "**Damaged records:** R10" in text
    assert "0.99" not in text
    assert "**0.9090 ± 0.0040** in R09" in text


def test_report_keeps_hostile_words_inside_their_cells(tmp_path: Path) -> None:
    made.config(tmp_path)
    nasty = "a|b\n| # <script>alert(1)</script> ![x](http://evil) `rm` \x1b[31m $x$ _y_ * & ~"
    changes: dict[str, Any] = {
        "reason": nasty,
        "family": nasty,
        "role": nasty,
        "hypothesis": nasty,
        "script": "x`|y.py",
    }
    made.finish(tmp_path, made.entry(1, "keep", **changes))
    made.state(tmp_path, competition=nasty, metric=nasty, ending=nasty, sandbox="none")
    text = report(tmp_path)
    for title in ("What was kept", "What was tried", "All rounds", "How to reproduce"):
        assert len(rows(section(text, title))) == 1
    assert not re.search(r"(?<!\\)<script", text) and "\x1b" not in text
    assert "![x]" not in text
    assert "; **none: experiments could read and write" in text


def test_report_shows_why_there_is_no_grade(played: Path) -> None:
    made.state(played, final={"round": 10, "score": None, "error": "no answers"})
    assert "Not graded: no answers." in report(played)


def test_plots_of_odd_scores() -> None:
    huge = [
        made.entry(k, "keep" if k < 3 else "discard", cv=cv) for k, cv in enumerate([1e9, 0.5, 0.4, -1e12, 0.45], 1)
    ]
    same = [made.entry(k, cv=0.0, se=None, lb=0.0) for k in (1, 2)]
    broken = [made.entry(1, cv=float("nan")), made.entry(2, cv=None, se="x"), {"round": 3}]
    for entries, maximize in ((huge, False), (same, None), (broken, True), ([], None)):
        data = plots.scores(entries, "métrique $x_{1}$ \u6307", maximize)
        width, height = struct.unpack(">II", data[16:24])
        assert data.startswith(PNG) and 900 < width < 1500 and 400 < height < 700
    assert plots.seconds(broken).startswith(PNG)
    square = plots.leaderboard(same, "auc")
    assert square.startswith(PNG) and square[16:20] == square[20:24]
    named = [made.entry(k, family="a long name of a family") for k in (1, 2, 3)]
    assert plots.scores(named, "auc", True) != plots.scores([{**e, "family": None} for e in named], "auc", True)


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (0.974312, 0.00042, "0.97431 ± 0.00042"),
        (123456.0, 789.0, "123456 ± 789"),
        (0.5, 0.0, "0.5"),
        (-0.25, None, "-0.25"),
        (None, 0.1, show.NOTHING),
        (float("inf"), 0.1, show.NOTHING),
        ("0.9", None, show.NOTHING),
        (True, None, show.NOTHING),
        (1e-9, 1e-12, "0.0000000010 ± 0.0000000000"),
    ],
)
def test_scores_are_shown_as_exactly_as_their_error_allows(value: Any, error: Any, shown: str) -> None:
    assert show.score(value, error) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"), (-3, "0 s"), (0.04, "0.0 s"), (9.94, "9.9 s"), (59.7, "1 min"), (61, "1 min 01 s"),
        (3600, "1 h"), (7500.2, "2 h 05 min"), (None, show.NOTHING),
    ],
)  # fmt: skip
def test_durations(seconds: Any, shown: str) -> None:
    assert show.duration(seconds) == shown


def test_clean_text_can_do_nothing_to_a_terminal() -> None:
    dirty = "\x1b]0;title\x07a\x1b[2Jb\x1b(Bc\x9b31md\x00e\u202ef\ud800g\r\n\th\x1b"
    assert show.clean(dirty) == "abc31mdefg\n\th"
    assert show.one_line("x" * 300, 10) == "x" * 9 + "…"
    assert show.code("a`b|c") == "`a'b/c`" and show.code("") == ""
