"""The offline Builder and Researcher: what they decide, from real files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.agents.desk import COMPETITION, NUMBERS, TABLE, TEXT, Desk, crash, entry, strategy

FIRST = entry(1, "lightgbm_encoded", 0.80, status="keep", role="improve", expected_gain=0.0)


def settings(item: dict[str, Any]) -> str:
    return json.dumps([item["recipe"], item["params"], item["features"]], sort_keys=True)


@pytest.mark.parametrize(
    ("profile", "families"),
    [
        (NUMBERS, {"svm", "lightgbm"}),
        (TABLE, {"lightgbm", "xgboost", "catboost"}),
        (TEXT, {"text_linear", "text_boost"}),
    ],
)
def test_the_first_round_plays_what_fits_the_data(tmp_path: Path, profile: dict[str, Any], families: set[str]) -> None:
    desk = Desk(tmp_path, profile=profile)
    (first,) = desk.plan()
    assert first["family"] in families
    assert first["role"] == "improve"
    assert first["expected_gain"] == 0.0
    assert "sets the score to beat" in first["hypothesis"]
    assert "score is the one to beat" in desk.text("plan.md")


def test_the_second_round_plays_another_family(tmp_path: Path) -> None:
    (second,) = Desk(tmp_path).played(FIRST).plan()
    assert second["role"] == "diversify"
    assert second["family"] != "lightgbm"
    assert 0 < second["expected_gain"] < 0.02


def test_two_diverse_members_are_blended(tmp_path: Path) -> None:
    (third,) = Desk(tmp_path).played(FIRST, entry(2, "catboost_native", 0.799)).plan()
    assert third["role"] == "blend"
    assert third["params"]["members"] == ["R01", "R02"]
    assert third["hypothesis"] == "R01, R02 err differently (they correlate 0.9700)"


def test_twins_are_not_blended(tmp_path: Path) -> None:
    twin = entry(2, "xgboost_encoded", 0.799, correlations={"R01": 0.9991})
    (third,) = Desk(tmp_path).played(FIRST, twin).plan()
    assert third["role"] != "blend"


def test_incomplete_and_hopeless_runs_are_not_blended(tmp_path: Path) -> None:
    gated = entry(2, "catboost_native", 0.70, complete=False)
    hopeless = entry(3, "linear_onehot", 0.60)
    (plan,) = Desk(tmp_path).played(FIRST, gated, hopeless).plan()
    assert plan["role"] != "blend"


def test_one_new_member_waits_and_two_are_blended(tmp_path: Path) -> None:
    blend = entry(3, "blend_weights", 0.803, status="keep", gain=0.003)
    base = [FIRST, entry(2, "catboost_native", 0.799), blend, entry(4, "extra_trees", 0.796)]
    for name in "ab":
        (tmp_path / name).mkdir()
    (waits,) = Desk(tmp_path / "a").played(*base).plan()
    assert waits["role"] != "blend"
    (blends,) = Desk(tmp_path / "b").played(*base, entry(5, "xgboost_encoded", 0.7995)).plan()
    assert blends["role"] == "blend"
    assert {"R04", "R05"} <= set(blends["params"]["members"])


def test_a_blend_that_was_one_member_alone_is_not_played_again_until_something_new_is_kept(tmp_path: Path) -> None:
    far = {"R01": 0.87}
    idle = entry(
        3,
        "blend_weights",
        0.80,
        gain=0.0,
        params={"members": ["R01", "R02"]},
        correlations={"R01": 1.0, **{"R02": 0.87}},
    )
    runs = [FIRST, entry(2, "linear_crosses", 0.797, correlations=far), idle]
    desk = Desk(tmp_path).played(*runs, entry(4, "knn", 0.796, correlations=far))
    assert desk.plan(rounds_left=1)[0]["role"] != "blend"
    (plan,) = desk.played(*runs, entry(4, "knn", 0.796, correlations={"R01": 0.8})).plan(rounds_left=1)
    assert plan["params"]["members"] == ["R01", "R04"]
    better = entry(4, "catboost_native", 0.804, status="keep", gain=0.004, correlations=far)
    (plan,) = desk.played(*runs, better).plan(rounds_left=1)
    assert plan["role"] == "blend"
    assert "R02" in plan["params"]["members"]


def test_a_new_run_equal_to_the_best_blend_is_no_reason_to_blend(tmp_path: Path) -> None:
    blend = entry(3, "blend_weights", 0.803, status="keep", gain=0.003)
    same = {f"R0{number}": value for number, value in ((1, 0.97), (2, 0.97), (3, 0.9997))}
    runs = [FIRST, entry(2, "catboost_native", 0.799), blend]
    desk = Desk(tmp_path).played(*runs, entry(4, "extra_trees", 0.803, correlations=same))
    assert desk.plan(rounds_left=1)[0]["role"] != "blend"


def test_the_last_round_blends_what_is_there(tmp_path: Path) -> None:
    blend = entry(3, "blend_weights", 0.803, status="keep", gain=0.003)
    desk = Desk(tmp_path).played(FIRST, entry(2, "catboost_native", 0.799), blend, entry(4, "extra_trees", 0.796))
    assert desk.plan(rounds_left=1)[0]["role"] == "blend"


def test_after_a_blend_single_models_are_played_as_members(tmp_path: Path) -> None:
    blend = entry(3, "blend_weights", 0.803, status="keep", gain=0.003)
    (plan,) = Desk(tmp_path).played(FIRST, entry(2, "catboost_native", 0.799), blend).plan()
    assert plan["role"] == "diversify"
    assert "grows by better or different members" in (tmp_path / "rounds/R04_plan.md").read_text()


def test_a_campaign_never_repeats_a_configuration(tmp_path: Path) -> None:
    desk = Desk(tmp_path, profile=NUMBERS)
    played: list[dict[str, Any]] = []
    seen: set[str] = set()
    families = set()
    for number in range(1, 26):
        desk.number = number
        (plan,) = desk.plan(force_bold=number in (12, 13))
        assert settings(plan) not in seen
        assert (plan["role"] == "bold") or number not in (12, 13)
        seen.add(settings(plan))
        families.add(plan["family"])
        kept = number % 4 == 1
        score = 0.8 + (number * 0.002 if kept else -0.001 * (number % 7))
        gain = None if number == 1 else 0.002 if kept else -0.003
        keys = ("role", "params", "features", "parent", "expected_gain")
        more: dict[str, Any] = {key: plan[key] for key in keys} | {
            "gain": gain,
            "status": "keep" if kept else "discard",
        }
        played.append(entry(number, plan["recipe"], score, **more))
        desk.played(*played)
    assert len(families) >= 6


def test_the_same_files_give_the_same_plan(tmp_path: Path) -> None:
    desk = Desk(tmp_path).played(FIRST, crash(2, "catboost_native"), entry(3, "xgboost_encoded", 0.80))
    assert desk.plan() == desk.plan()
    assert desk.plan(seed=1) is not None


def test_parallel_strategies_are_of_different_families(tmp_path: Path) -> None:
    plans = Desk(tmp_path).plan(strategies=3)
    assert len({plan["family"] for plan in plans}) == 3


def test_strategies_that_wait_for_each_other_share_the_time_left(tmp_path: Path) -> None:
    desk = Desk(tmp_path).played(FIRST)

    def allotted(**facts: Any) -> float:
        plans = desk.plan(strategies=2, seconds_left=600, **facts)
        assert len({plan["family"] for plan in plans}) == 2
        return min(float(plan["fold_seconds"]) for plan in plans)

    alone = float(desk.plan(seconds_left=600)[0]["fold_seconds"])
    assert allotted() < 0.55 * alone
    assert allotted(strategies_at_once=2) == pytest.approx(alone)


def test_folds_side_by_side_elsewhere_make_an_experiment_short(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    (here,), (there,) = desk.plan(cores=1), desk.plan(cores=1, folds_at_once=4)
    assert there["recipe"] == here["recipe"]
    assert there["cost_s"] == pytest.approx(2 / 5 * here["cost_s"], rel=0.05)


def test_a_bold_round_is_bold(tmp_path: Path) -> None:
    misses = [entry(number, "extra_trees", 0.79, params={"trees": number}) for number in range(2, 10)]
    desk = Desk(tmp_path).played(FIRST, *misses)
    (plan,) = desk.plan(force_bold=True)
    assert plan["role"] == "bold"
    assert "a bold round is due" in desk.text("plan.md")


def test_stale_tuning_is_left_alone(tmp_path: Path) -> None:
    tunes = [
        entry(number, "lightgbm_encoded", 0.80, role="tune", gain=0.0, params={"num_leaves": number}, parent="R01")
        for number in (2, 3)
    ]
    desk = Desk(tmp_path).played(FIRST, *tunes)
    (plan,) = desk.plan()
    assert (plan["family"], plan["role"]) != ("lightgbm", "tune")
    assert "two tunings in a row brought nothing" in desk.text("plan.md")


def test_time_left_rules_out_what_is_too_slow(tmp_path: Path) -> None:
    desk = Desk(tmp_path).played(FIRST)
    desk.put("guidance.md", "use catboost")
    (rich,) = desk.plan()
    assert rich["family"] == "catboost"
    (poor,) = desk.plan(seconds_left=1.2 * rich["cost_s"], experiment_seconds=3600)
    assert poor["cost_s"] < 0.75 * rich["cost_s"]
    assert "s are left for a round" in desk.text("plan.md")


def test_measured_time_scales_the_estimates(tmp_path: Path) -> None:
    slow = [entry(1, "xgboost_encoded", 0.80, status="keep", seconds=9000.0), entry(2, "catboost_native", 0.79)]
    desk = Desk(tmp_path).played(*slow)
    desk.put("guidance.md", "tune xgboost")
    (plan,) = desk.plan()
    assert (plan["family"], plan["role"]) == ("xgboost", "tune")
    assert plan["cost_s"] > 3000


def test_expectations_learn_from_the_campaign(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    fails = [entry(number, name, 0.79, gain=-0.01) for number, name in ((2, "extra_trees"), (3, "linear_onehot"))]
    hits = [{**item, "status": "keep", "gain": 0.02, "cv": 0.8 + 0.01 * item["round"]} for item in fails]
    expected = []
    for folder, runs in ((tmp_path / "a", fails), (tmp_path / "b", hits)):
        desk = Desk(folder).played(FIRST, *runs)
        desk.put("guidance.md", "use catboost")
        (plan,) = desk.plan()
        assert plan["family"] == "catboost"
        expected.append(plan["expected_gain"])
    assert expected[0] < expected[1]


@pytest.mark.parametrize(
    ("verdict", "check"),
    [
        ("REVISE: tuned twice without gain; stop tuning; try catboost next", lambda s: s["family"] == "catboost"),
        ("REVISE: too slow, cost above the time", lambda s: s["cost_s"] <= 30),
        ("REVISE: I do not like it", lambda s: s["recipe"] != "knn" or s["role"] != "tune"),
    ],
)
def test_a_revision_obeys_the_review(tmp_path: Path, verdict: str, check: Any) -> None:
    desk = Desk(tmp_path).played(FIRST).planned(strategy("knn", "tune", cost_s=60.0))
    first = strategy("knn", "tune")
    assert desk.ask("builder", "revise", "plan.md", verdict=verdict) == "REVISED"
    (second,) = json.loads(desk.text("plan.md").partition("```json")[2].partition("```")[0])["strategies"]
    assert check(second)
    assert settings(second) != settings(first)
    assert verdict.removeprefix("REVISE: ") in desk.text("plan.md")


def research(desk: Desk) -> str:
    assert desk.ask("researcher", "research", "research_raw.md", "research_brief.md") == "DONE"
    return desk.text("research_brief.md")


def test_the_brief_stays_below_500_words_however_long_the_campaign(tmp_path: Path) -> None:
    names = ["extra_trees", "linear_onehot", "knn", "catboost_native", "xgboost_encoded"]
    runs = [entry(n, names[n % 5], 0.79 + n / 1e4, params={"n": n}) for n in range(2, 200)]
    desk = Desk(tmp_path).played(FIRST, *runs)
    rule = "stacks of correlated models " + "gain nothing and cost much " * 30
    desk.put("LEARNINGS.md", "".join(f"- [R{n:02d}] {rule}\n" for n in range(60)))
    desk.put("notes.md", "".join(f"- {rule}\n" for _ in range(60)))
    desk.put("guidance.md", "the same wish in many words " * 60)
    brief = research(desk)
    assert 100 < len(brief.split()) < 500
    assert "Where we stand" in brief


def test_the_brief_tells_what_decides(tmp_path: Path) -> None:
    desk = Desk(tmp_path).played(FIRST, entry(2, "catboost_native", 0.799))
    desk.put("LEARNINGS.md", "# Learnings\n- [R02] catboost is a diverse member here\n")
    desk.put("notes.md", "# Notes\n- simple blends beat stacks of correlated models\n- the weather was fine that day\n")
    brief = research(desk)
    for part in ("0.8 ± 0.002", "catboost is a diverse member", "simple blends beat stacks", "extra_trees"):
        assert part in brief
    assert "weather" not in brief
    raw = desk.text("research_raw.md")
    assert "0.9700" in raw
    assert "weather" in raw


def test_the_loser_of_a_parallel_round_is_never_the_best(tmp_path: Path) -> None:
    loser = entry(1, "knn", 0.79, variant=2, status="keep")
    brief = research(Desk(tmp_path).played({**FIRST, "variants": [loser]}))
    assert "best [R01] lightgbm: 0.8" in brief
    assert "2 runs, 1 kept" in brief


def test_the_first_look_names_what_matters(tmp_path: Path) -> None:
    desk = Desk(tmp_path, number=0)
    assert desk.ask("builder", "eda", "eda.md") == "DONE"
    eda = desk.text("eda.md")
    for part in ("20000 rows", "city 20%", "many levels in city", "holes (city)", "test rows in train: 1", "0 90.0%"):
        assert part in eda


@pytest.mark.parametrize(("folds", "later"), [("time", True), ("blocks", False), ("kfold", False)])
def test_the_first_look_tells_how_time_is_validated(tmp_path: Path, folds: str, later: bool) -> None:
    desk = Desk(tmp_path, number=0, competition={**COMPETITION, "time_column": "day"}, facts={"cv_strategy": folds})
    assert desk.ask("builder", "eda", "eda.md") == "DONE"
    assert "time in day" in desk.text("eda.md")
    assert ("validate on later rows" in desk.text("eda.md")) is later


@pytest.mark.parametrize("torn", ["", "{", "[1]", '{"experiments": []}'])
def test_torn_files_read_as_empty(tmp_path: Path, torn: str) -> None:
    desk = Desk(tmp_path)
    for name in ("experiments.json", "config.json", "rounds/R00_profile.json"):
        desk.put(name, torn)
    assert desk.plan()[0]["role"] == "improve"
    assert desk.review() == "APPROVED"


def test_every_turn_is_in_the_transcript(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.plan()
    lines = (tmp_path / "sessions/builder/1.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["spawn", "turn", "reply"]


def test_the_hand_over_points_to_the_files(tmp_path: Path) -> None:
    desk = Desk(tmp_path).played(FIRST)
    assert desk.ask("reviewer", "handover", "handover.md") == "DONE"
    assert "[R01] lightgbm at 0.8 ± 0.002" in desk.text("handover.md")
