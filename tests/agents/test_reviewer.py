"""The offline Reviewer: what it sends back and why, what it verifies, what it looks back on; and the findings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.agents.desk import Desk, crash, entry, strategy

FIRST = entry(1, "lightgbm_encoded", 0.80, status="keep", role="improve", expected_gain=0.0)


def tunes(*numbers: int, **more: Any) -> list[dict[str, Any]]:
    return [
        entry(n, "lightgbm_encoded", 0.80, role="tune", gain=-0.0001, params={"num_leaves": n}, **more) for n in numbers
    ]


def test_a_sound_plan_is_approved_with_six_checks(tmp_path: Path) -> None:
    desk = Desk(tmp_path).played(FIRST).planned(strategy("catboost_native"))
    assert desk.review() == "APPROVED"
    review = desk.text("review.md")
    for number, name in enumerate(("Ensemble", "Contradiction", "Narrow", "Untried", "Bold", "Return"), 1):
        assert f"## {number}. {name}" in review
    assert "0.8 ± 0.002" in review
    assert review.rstrip().endswith("APPROVED")


def test_its_own_plans_are_approved(tmp_path: Path) -> None:
    desk = Desk(tmp_path).played(FIRST, crash(2, "mlp"), entry(3, "knn", 0.7))
    desk.plan()
    assert desk.review() == "APPROVED"


def sent_back(desk: Desk, *words: str, **facts: Any) -> None:
    verdict = desk.review(**facts)
    assert verdict.startswith("REVISE: ")
    assert "\n" not in verdict
    for word in words:
        assert word in verdict
    assert verdict in desk.text("review.md")


def test_a_third_tuning_without_gain_goes_back_while_families_are_untried(tmp_path: Path) -> None:
    third = strategy("lightgbm_encoded", "tune", params={"num_leaves": 99})
    desk = Desk(tmp_path).played(FIRST, entry(2, "knn", 0.7), *tunes(3, 4)).planned(third)
    sent_back(desk, "tuned 2 times in a row without gain", "stop tuning", "try ")
    desk.put("guidance.md", "tune lightgbm")
    assert desk.review() == "APPROVED"


def test_tuning_goes_on_after_a_gain(tmp_path: Path) -> None:
    (gain,) = tunes(4, status="keep")
    third = strategy("lightgbm_encoded", "tune", params={"num_leaves": 99})
    desk = Desk(tmp_path).played(FIRST, entry(2, "knn", 0.7), *tunes(3), gain).planned(third)
    assert desk.review() == "APPROVED"


def test_tuning_before_a_second_family_goes_back(tmp_path: Path) -> None:
    desk = Desk(tmp_path).played(FIRST).planned(strategy("lightgbm_encoded", "tune", params={"num_leaves": 9}))
    sent_back(desk, "before a second family was played")


def test_a_repetition_goes_back(tmp_path: Path) -> None:
    desk = Desk(tmp_path).played(FIRST, crash(2, "catboost_native")).planned(strategy("catboost_native"))
    sent_back(desk, "repeats [R02] (crash)")


def test_a_repetition_of_a_parallel_loser_goes_back(tmp_path: Path) -> None:
    loser = {key: entry(2, "knn", 0.7, variant=2)[key] for key in ("variant", "recipe", "family", "params", "features")}
    desk = Desk(tmp_path).played(FIRST, entry(2, "mlp", 0.79, variants=[loser])).planned(strategy("knn"))
    sent_back(desk, "repeats [R02_v2]")


def test_a_recipe_that_crashed_twice_goes_back(tmp_path: Path) -> None:
    crashes = [crash(2, "mlp"), crash(3, "mlp", params={"bags": 1})]
    desk = Desk(tmp_path).played(FIRST, *crashes).planned(strategy("mlp", params={"bags": 2}))
    sent_back(desk, "mlp crashed 2 times")


def test_a_blend_of_twins_goes_back(tmp_path: Path) -> None:
    twin = entry(2, "xgboost_encoded", 0.80, correlations={"R01": 0.9987})
    desk = Desk(tmp_path).played(FIRST, twin).planned(strategy("blend_weights", "blend"))
    sent_back(desk, "twins", "0.9987", "no blend")


def test_a_blend_before_two_members_goes_back(tmp_path: Path) -> None:
    desk = Desk(tmp_path).played(FIRST).planned(strategy("blend_weights", "blend"))
    sent_back(desk, "needs two complete members, there are 1")


def test_a_blend_of_diverse_members_is_approved(tmp_path: Path) -> None:
    desk = Desk(tmp_path).played(FIRST, entry(2, "knn", 0.79)).planned(strategy("blend_weights", "blend"))
    assert desk.review() == "APPROVED"


def test_a_cost_above_the_time_left_goes_back(tmp_path: Path) -> None:
    desk = Desk(tmp_path).played(FIRST).planned(strategy("catboost_native", cost_s=4000.0))
    sent_back(desk, "would take 67 min", "30 min are allowed", seconds_left=1800.0)
    assert desk.review(seconds_left=50000.0) == "APPROVED"


def test_strategies_side_by_side_take_as_long_as_the_longest(tmp_path: Path) -> None:
    both = strategy("catboost_native", cost_s=1000.0), strategy("extra_trees", cost_s=1200.0)
    desk = Desk(tmp_path).played(FIRST).planned(*both)
    sent_back(desk, "would take 37 min", seconds_left=1800.0)
    assert desk.review(seconds_left=1800.0, strategies_at_once=2) == "APPROVED"


def test_measured_time_counts_more_than_the_plan(tmp_path: Path) -> None:
    slow = entry(2, "catboost_native", 0.79, seconds=5000.0)
    again = strategy("catboost_native", "improve", params={"depth": 4}, cost_s=10.0)
    desk = Desk(tmp_path).played(FIRST, slow).planned(again)
    sent_back(desk, "83 min", seconds_left=1800.0)


@pytest.mark.parametrize(
    ("guidance", "words"), [("avoid catboost", "does not allow catboost"), ("only linear", "does not allow catboost")]
)
def test_guidance_ignored_goes_back(tmp_path: Path, guidance: str, words: str) -> None:
    desk = Desk(tmp_path).played(FIRST).planned(strategy("catboost_native"))
    desk.put("guidance.md", guidance)
    sent_back(desk, words)


def test_a_tame_plan_in_a_bold_round_goes_back(tmp_path: Path) -> None:
    desk = Desk(tmp_path).played(FIRST).planned(strategy("catboost_native"))
    sent_back(desk, "a bold round is due", force_bold=True)


def test_one_family_for_ever_goes_back(tmp_path: Path) -> None:
    runs = [entry(n, "knn", 0.7, params={"neighbors": [n]}) for n in (2, 3, 4, 5)]
    desk = Desk(tmp_path).played(FIRST, *runs).planned(strategy("knn", params={"neighbors": [9]}))
    sent_back(desk, "the last 4 runs were all knn")


def test_a_plan_that_can_not_be_read_goes_back(tmp_path: Path) -> None:
    desk = Desk(tmp_path).played(FIRST)
    desk.put(desk.name("plan.md"), "# A plan\nplay something\n")
    sent_back(desk, "no strategy")


def test_what_a_review_demands_the_revision_does(tmp_path: Path) -> None:
    third = strategy("lightgbm_encoded", "tune", params={"num_leaves": 99})
    desk = Desk(tmp_path).played(FIRST, entry(2, "knn", 0.7), *tunes(3, 4)).planned(third)
    verdict = desk.review()
    assert desk.ask("builder", "revise", "plan.md", verdict=verdict) == "REVISED"
    assert desk.review() == "APPROVED"
    assert '"role": "tune"' not in desk.text("plan.md")


RECORD: dict[str, Any] = {
    "status": "ok",
    "verdict": "keep",
    "reason": "gain +0.003 ± 0.001",
    "cv": 0.803,
    "se": 0.002,
    "gain": 0.003,
    "probability": 0.97,
    "against": "R01",
    "fold_scores": [0.80, 0.81, 0.80, 0.79, 0.815],
    "max_correlation": 0.97,
    "seconds": 40.0,
    "failure": None,
}


FAILED = {"status": "failed", "verdict": "crash", "failure": {"kind": "crash", "message": "boom"}}


def verified(desk: Desk, record: dict[str, Any], probes: dict[str, Any]) -> str:
    desk.put(desk.name("scores.json"), record)
    desk.put(desk.name("probes.json"), probes)
    return desk.ask("reviewer", "verify", "verify.md")


def checks(**failed: str) -> dict[str, Any]:
    """The referee's probes, all passed but those named."""
    names = [
        "constant_predictions",
        "test_outside_oof",
        "prediction_shift",
        "too_good",
        "adversarial_validation",
        "id_leak",
    ]
    return {"checks": [{"name": n, "ok": n not in failed, "evidence": failed.get(n, "fine")} for n in names]}


JUMP = {**RECORD, "gain": 0.199, "cv": 0.999}
SHIFT = {"prediction_shift": "distance 0.4", "test_outside_oof": "9% outside"}


@pytest.mark.parametrize(
    ("record", "probes", "expected"),
    [
        (RECORD, checks(), "VERIFIED"),
        (RECORD, {}, "VERIFIED"),
        (RECORD, checks(id_leak="the id tells", too_good="99.9% of the way"), "VERIFIED"),
        (JUMP, checks(too_good="99.9% of the way"), "VERIFIED"),
        (JUMP, checks(id_leak="the id tells", too_good="99.9% of the way"), "REJECT: a gain of +0.199 is 100 standard"),
        (RECORD, checks(constant_predictions="the test predictions are constant"), "REJECT: the test predictions are"),
        (RECORD, checks(prediction_shift="distance 0.12"), "VERIFIED"),
        (RECORD, checks(**SHIFT), "REJECT: distance 0.4"),
        (RECORD, checks(**SHIFT, adversarial_validation="AUC 0.9"), "VERIFIED"),
        ({**RECORD, "cv": None}, checks(), "REJECT: the referee has no score"),
        ({**RECORD, "cv": float("nan")}, checks(), "REJECT: the referee has no score"),
    ],
)
def test_verify(tmp_path: Path, record: dict[str, Any], probes: dict[str, Any], expected: str) -> None:
    desk = Desk(tmp_path).played(FIRST, entry(2, "knn", 0.79))
    reply = verified(desk, record, probes)
    assert reply.startswith(expected)
    assert reply in desk.text("verify.md")


def test_the_first_round_is_never_rejected_for_being_good(tmp_path: Path) -> None:
    assert verified(Desk(tmp_path), JUMP, checks(id_leak="x", too_good="y")) == "VERIFIED"


def test_verify_notes_what_it_does_not_reject(tmp_path: Path) -> None:
    desk = Desk(tmp_path).played(FIRST)
    verified(desk, RECORD, checks(id_leak="the id predicts the target"))
    assert "## Noted\n- id_leak: the id predicts the target" in desk.text("verify.md")
    assert "| id_leak | note | the id predicts the target | only with too_good" in desk.text("verify.md")
    verified(desk, RECORD, checks(constant_predictions="all the same"))
    assert "| constant_predictions | FAIL | all the same | always |" in desk.text("verify.md")


def found(desk: Desk, record: dict[str, Any], plan: dict[str, Any], **facts: Any) -> str:
    desk.put(desk.name("scores.json"), record)
    desk.planned(plan)
    return desk.ask("builder", "findings", "findings.md", **facts)


def learned(desk: Desk, file: str) -> list[str]:
    section = desk.text(file).partition("## Learnings")[2].split("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("- ")]


def test_a_kept_run_is_submitted(tmp_path: Path) -> None:
    desk = Desk(tmp_path).played(FIRST)
    assert found(desk, RECORD, strategy("catboost_native"), verify="VERIFIED").startswith("SUBMIT: 0.803 ± 0.002")
    findings = desk.text("findings.md")
    assert "| 2 | 0.81 | 0.8 | +0.01 |" in findings
    assert "better in 2 of 5 folds" in findings
    assert learned(desk, "findings.md") == [
        "- [R02] diversify with catboost_native was kept: 0.803 ± 0.002, +0.003 over R01"
    ]


@pytest.mark.parametrize(
    ("change", "facts", "guidance", "expected"),
    [
        ({"verdict": "discard", "reason": "P(gain > 0) = 0.4"}, {}, "", "HOLD: P(gain > 0) = 0.4"),
        ({}, {"verify": "REJECT: leak"}, "", "HOLD: the Reviewer rejected the result"),
        ({}, {}, "do not submit", "HOLD: guidance.md says not to submit"),
        ({}, {}, "hold", "HOLD: guidance.md says not to submit"),
        ({"status": "gated", "verdict": "discard", "reason": "fold 1"}, {}, "", "HOLD: fold 1"),
        ({**FAILED, "cv": None, "reason": "boom"}, {}, "hold", "HOLD: boom"),
    ],
)
def test_all_else_is_held(tmp_path: Path, change: dict[str, Any], facts: Any, guidance: str, expected: str) -> None:
    desk = Desk(tmp_path).played(FIRST)
    desk.put("guidance.md", guidance)
    assert found(desk, {**RECORD, **change}, strategy("catboost_native"), **facts) == expected
    assert len(learned(desk, "findings.md")) <= 2


def test_a_run_like_the_best_and_a_time_out_for_lack_of_time_teach_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path).played(FIRST)
    found(desk, {**RECORD, "fold_scores": [0.8] * 5, "reason": "keep: gain"}, strategy("catboost_native"))
    assert "no fold differs" in desk.text("findings.md")
    assert "- ok, keep: gain" in desk.text("findings.md")
    late = {**RECORD, "status": "failed", "verdict": "crash", "cv": None, "gain": None, "failure": {"kind": "timeout"}}
    found(desk, {**late, "seconds": 1.2, "reason": "timeout: fold 1"}, strategy("knn"))
    assert learned(desk, "findings.md") == []
    found(desk, {**late, "seconds": 80.0, "reason": "timeout: fold 1"}, strategy("knn"))
    assert learned(desk, "findings.md") == ["- [R02] knn did not end within 80 s: give it more time or make it smaller"]


def test_a_diverse_loser_is_remembered_as_a_member(tmp_path: Path) -> None:
    desk = Desk(tmp_path).played(FIRST)
    record = {**RECORD, "verdict": "discard", "cv": 0.799, "gain": -0.001, "max_correlation": 0.95}
    found(desk, record, strategy("catboost_native"))
    assert "diverse member: correlation 0.950" in learned(desk, "findings.md")[0]


def test_findings_of_the_winning_variant_and_of_no_experiment(tmp_path: Path) -> None:
    desk = Desk(tmp_path).played(FIRST)
    desk.planned(strategy("knn"), strategy("catboost_native"))
    desk.put(desk.name("scores.json"), {**RECORD, "variant": 2})
    desk.ask("builder", "findings", "findings.md")
    assert "catboost_native" in desk.text("findings.md")
    (tmp_path / desk.name("scores.json")).unlink()
    assert desk.ask("builder", "findings", "findings.md").startswith("HOLD: ")


def test_the_retrospective_measures_what_paid(tmp_path: Path) -> None:
    runs = [
        entry(2, "catboost_native", 0.804, status="keep", gain=0.004, expected_gain=0.002),
        entry(3, "blend_weights", 0.808, status="keep", gain=0.004, expected_gain=0.004),
        entry(4, "blend_weights", 0.810, status="keep", gain=0.002, params={"members": ["R09"]}, expected_gain=0.004),
        *tunes(5, 6, 7),
        crash(8, "mlp"),
        crash(9, "svm_rbf"),
    ]
    desk = Desk(tmp_path).played(FIRST, *runs)
    assert desk.ask("reviewer", "retro", "retro.md") == "DONE"
    retro = desk.text("retro.md")
    for part in (
        "9 runs, 4 kept, 2 crashed",
        "extra_trees",
        "bold: nothing was kept for 5 rounds",
        "tuning is exhausted",
    ):
        assert part in retro
    assert learned(desk, "retro.md") == [
        "- [R10] blend pays best: 2 of 2 runs kept, +0.006 in all",
        "- [R10] tune did not pay: 0 of 3 kept for 2 min",
    ]
