"""What a person writes in guidance.md, the next plan obeys."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from agents.guidance_file import forbids_submissions
from agents.offline.catalogue import NAMES
from agents.offline.guidance import meant, parse
from agents.offline.moves import all_options
from agents.offline.notebook import read
from tests.agents.desk import Desk, crash, entry

FIRST = entry(1, "lightgbm_encoded", 0.80, status="keep", role="improve", expected_gain=0.0)


@pytest.mark.parametrize(
    ("text", "family", "role"),
    [
        ("use catboost", "catboost", "diversify"),
        ("try SVM next", "svm", "diversify"),
        ("- please use extra_trees", "extra_trees", "diversify"),
        ("tune lightgbm", "lightgbm", "tune"),
        ("only linear", "linear", "diversify"),
        ("bold", None, "bold"),
        ("avoid boosting, use neural nets", "mlp", "diversify"),
    ],
)
def test_guidance_is_obeyed(tmp_path: Path, text: str, family: str | None, role: str) -> None:
    desk = Desk(tmp_path).played(FIRST)
    desk.put("guidance.md", f"# Guidance\n\n{text}\n")
    (plan,) = desk.plan()
    assert plan["role"] == role
    assert family is None or plan["family"] == family


def test_blend_now_beats_waiting_and_no_blends_forbids(tmp_path: Path) -> None:
    blend = entry(3, "blend_weights", 0.803, status="keep", gain=0.003)
    more = [entry(4, "extra_trees", 0.796), crash(5, "knn"), crash(6, "mlp")]
    desk = Desk(tmp_path).played(FIRST, entry(2, "catboost_native", 0.799), blend, *more)
    desk.put("guidance.md", "blend now")
    assert desk.plan()[0]["role"] == "blend"
    desk.put("guidance.md", "no blends please")
    assert desk.plan()[0]["role"] != "blend"


def test_bans_hold_over_many_rounds(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.put("guidance.md", "no neural nets\nnever catboost\nstop tuning")
    played: list[dict[str, Any]] = []
    for number in range(1, 16):
        (plan,) = desk.plan()
        assert plan["family"] not in ("mlp", "catboost")
        assert plan["role"] != "tune"
        keys = ("role", "params", "features")
        played.append(entry(number, plan["recipe"], 0.8, **{key: plan[key] for key in keys}))
        desk.played(*played)


def test_no_tuning_holds_for_members_of_a_blend_too(tmp_path: Path) -> None:
    blend = entry(3, "blend_weights", 0.803, status="keep", gain=0.003)
    desk = Desk(tmp_path).played(FIRST, entry(2, "catboost_native", 0.799), blend)

    def tunings() -> list[str]:
        options = all_options(read(desk.turn("builder", "plan")))
        return [option.hypothesis for option in options if "is not at its optimum" in option.hypothesis]

    assert tunings()
    desk.put("guidance.md", "no tuning")
    assert not tunings()


def test_unknown_guidance_is_shown(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.put("guidance.md", "mind the tides\nonly catbost")
    desk.plan()
    assert "- not understood: only catbost (did you mean catboost?)" in desk.text("plan.md")
    assert "- not understood: mind the tides" in desk.text("plan.md")


def test_bans_that_leave_nothing_are_not_followed(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.put("guidance.md", "only naive bayes")
    assert desk.plan()
    assert "- not followed: only naive bayes (the bans leave no recipe" in desk.text("plan.md")
    assert desk.ask("builder", "revise", "plan.md", verdict="REVISE: too tame") == "REVISED"
    assert "leave no recipe" in desk.text("plan.md")


@pytest.mark.parametrize(
    ("text", "avoided", "only", "roles", "banned", "hold"),
    [
        ("no boosting", {"lightgbm", "xgboost", "catboost", "hist"}, set(), set(), set(), False),
        ("no tree-based models", {"lightgbm", "xgboost", "catboost", "hist", "trees"}, set(), set(), set(), False),
        ("no nets, only trees", {"mlp"}, {"lightgbm", "xgboost", "catboost", "hist", "trees"}, set(), set(), False),
        ("only trees.", set(), {"lightgbm", "xgboost", "catboost", "hist", "trees"}, set(), set(), False),
        ("avoid MLPs and nearest neighbours", {"mlp", "knn"}, set(), set(), set(), False),
        ("only LightGBM", set(), {"lightgbm"}, set(), set(), False),
        ("stop tuning lightgbm, blend now", set(), set(), {"blend"}, {"tune"}, False),
        ("Don't submit.", set(), set(), set(), set(), True),
        ("hold all submissions", set(), set(), set(), set(), True),
        ("avoid linear_crosses", {"linear_crosses"}, set(), set(), set(), False),
        ("<!-- only linear -->", set(), set(), set(), set(), False),
        ("# only linear", set(), set(), set(), set(), False),
    ],
)
def test_lines_are_read(
    text: str, avoided: set[str], only: set[str], roles: set[str], banned: set[str], hold: bool
) -> None:
    guidance = parse(text, NAMES)
    assert (guidance.avoid, guidance.only, guidance.roles) == (avoided, only, roles)
    assert (guidance.banned_roles, guidance.hold) == (banned, hold)
    assert guidance.unknown == []


def test_every_line_is_either_understood_or_shown() -> None:
    guidance = parse("use catboost\nthe public board is noisy; try svm next\n- mlp was fun", NAMES)
    assert guidance.understood == ["use catboost", "try svm next"]
    assert guidance.unknown == ["the public board is noisy", "mlp was fun"]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("Only catbost", "catboost"),
        ("no ligthgbm please", "lightgbm"),
        ("use catboost features of last year", ""),  # names what it means
        ("the catbost was fine", ""),  # asks for nothing
        ("don't forget the rules", ""),
    ],
)
def test_a_mistyped_name_is_told(line: str, name: str) -> None:
    assert meant(line, NAMES) == name


def test_the_plan_says_what_becomes_of_each_line(tmp_path: Path) -> None:
    desk = Desk(tmp_path).played(FIRST)
    desk.put("guidance.md", "try catboost next\nno neural nets\nuse lightgbm_encoded\nplease win")
    desk.plan()
    plan = desk.text("plan.md")
    assert "- followed: try catboost next\n- followed: no neural nets\n" in plan
    assert "- followed: use lightgbm_encoded (in [R01] lightgbm)\n- not understood: please win" in plan
    assert "For the chosen: asked for in guidance.md." in plan
    desk.plan(seconds_left=30)
    refused = r"- not followed yet: try catboost next \(catboost_native would take \d+ s, \d+ s are left for a round\)"
    assert re.search(refused, desk.text("plan.md"))


def play(desk: Desk, rounds: int, played: list[dict[str, Any]]) -> list[str]:
    """The families of the next rounds, none of them kept."""
    families = []
    for _ in range(rounds):
        (plan,) = desk.plan()
        families.append(plan["family"])
        played.append(
            entry(desk.number, plan["recipe"], 0.7, **{key: plan[key] for key in ("role", "params", "features")})
        )
        desk.played(*played)
    return families


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("try xgboost next", "- followed: try xgboost next (in [R01] xgboost, and done with)"),
        ("use xgboost", "- followed: use xgboost"),
    ],
)
def test_a_family_is_forced_until_one_round_has_played_it(tmp_path: Path, line: str, answer: str) -> None:
    desk, played = Desk(tmp_path), list[dict[str, Any]]()
    desk.put("guidance.md", line)
    assert play(desk, 3, played)[0] == "xgboost"
    plans = [(tmp_path / "rounds" / f"R{number:02d}_plan.md").read_text() for number in (1, 2, 3)]
    assert ["For the chosen: asked for in guidance.md" in plan for plan in plans] == [True, False, False]
    assert f"- followed: {line}\n" in plans[0] and answer in plans[1] and answer in plans[2]
    assert "asked for in guidance.md too, and of less value for time than the chosen one" in plans[0]


def test_next_means_the_rounds_since_the_line_was_written(tmp_path: Path) -> None:
    played = [FIRST, entry(2, "catboost_native", 0.799)]
    desk = Desk(tmp_path).played(*played)
    desk.put("guidance.md", "no knn")
    play(desk, 1, played)
    desk.put("guidance.md", "no knn\nTry catboost next")
    assert play(desk, 1, played) == ["catboost"]
    desk.plan()
    assert "- followed: Try catboost next (in [R04] catboost, and done with)" in desk.text("plan.md")


BANS = """
do not submit
Don't submit yet
don\u2019t submit
do  not  submit
do not make any more submissions
don't make any further submissions
I do not want you to submit
avoid submitting
cannot submit
no more submissions!
No submissions
no further submissions, please
hold
hold submissions until Monday
hold all submissions
stop submitting
please do not hand in anything
Submit nothing until I say so
never upload
nothing is to be submitted
only linear; do not submit
"""
NO_BANS = """
submit the best
stop exploring and submit the best
stop and submit
do not forget to submit
don't hesitate to submit
never stop submitting
don't stop submitting
don\u2019t stop submitting
no nets and submit often
do not overfit and submit
no limit on submissions
no submission limit
don't edit submission.csv
do not submit more than 3 a day
do not tune, submit often
no blends; submit
hold on to catboost
keep 10 % as a hold
keep the threshold
do not only submit blends
"""


@pytest.mark.parametrize("line", BANS.strip().splitlines())
def test_submissions_are_forbidden_in_many_words(line: str) -> None:
    assert forbids_submissions(f"# Today\n\n* {line}\n")
    assert parse(line, NAMES).hold


@pytest.mark.parametrize("line", NO_BANS.strip().splitlines())
def test_other_lines_forbid_no_submission(line: str) -> None:
    assert not forbids_submissions(line)
    assert not forbids_submissions("<!-- do not submit -->\n" + line)


def test_a_long_guidance_is_read_in_part_and_quickly(tmp_path: Path) -> None:
    started = time.process_time()
    assert not forbids_submissions("<!--" * 250_000)
    assert forbids_submissions("<!-- " * 50_000 + "-->\n" + "no\n" * 50_000 + "do not submit\n")
    desk = Desk(tmp_path).played(FIRST)
    desk.put("guidance.md", "use catboostt\n" * 6000 + "x" * 100_000)
    desk.plan()
    assert time.process_time() - started < 10
    plan = desk.text("plan.md")
    assert "- not understood: the 5,901 lines after the first 100" in plan
    assert len(plan) < 50_000


def test_boosters_of_texts_are_boosters() -> None:
    barred = parse("no boosting", NAMES)
    assert not barred.allows("text_boost", "text_svd_boost") and barred.allows("text_linear", "text_words")


@pytest.mark.parametrize(
    "line", ["no trees deeper than 6", "not only trees", "it was worse without trees", "no svd boost"]
)
def test_what_only_speaks_of_trees_bars_none(line: str) -> None:
    heard = parse(line, NAMES)
    assert heard.unknown == [line] and not heard.avoid and not heard.only
