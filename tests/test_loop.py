"""The loop over small real campaigns: phases, verdicts, healing, revisions, re-spawns and every ending."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from orchestrator.campaign import Campaign
from orchestrator.cli import main
from orchestrator.errors import AutoKaggleError, BadInput, Damaged, MetricFailed
from orchestrator.execution.gpus import nodes
from orchestrator.files import read_json, write_json
from orchestrator.loop import play_round
from orchestrator.phases import ROUND_ZERO, Phase, Stage
from tests.kill import harness
from tests.playing import NOON, Script

ROUND = ["research", "plan", "review", "build", "verify", "findings", "submit", "learn"]


def test_a_calm_campaign(tmp_path: Path) -> None:
    script = Script(tmp_path, 3)
    script.predict(3, 4.0)
    played = script.play()
    assert played.why == "max rounds: 3 played"
    assert played.statuses == ["keep", "keep", "discard"]
    assert played.phases(0) == ["profile", "folds", "eda"]
    assert played.phases(1) == ROUND
    assert [entry["submitted"] for entry in played.entries] == ["accepted", "accepted", ""]
    state = read_json(tmp_path / "state.json")
    assert state["ending"] == played.why and state["best"]["round"] == 2
    assert state["final"]["valid"] and state["final"]["private"] is not None
    assert (tmp_path / "REPORT.md").is_file()
    assert "always 5.0" in (tmp_path / "LEARNINGS.md").read_text()


@pytest.mark.skipif(bool(nodes()), reason="this machine has a GPU")
def test_gpus_that_are_not_there_cost_a_warning_and_nothing_else(tmp_path: Path) -> None:
    script = Script(tmp_path, 1)
    script.configure(**{"execution.gpus": 1})
    played = script.play()
    assert played.notes().count("experiments run without a GPU") == 1
    assert played.statuses == ["keep"]


def test_the_same_command_after_the_end_changes_nothing(tmp_path: Path) -> None:
    script = Script(tmp_path, 1)
    script.play()
    before = harness.ledger(tmp_path)
    left_by_a_killed_loop = tmp_path / ".work" / "R01" / "random" / "fold_0" / "out"
    left_by_a_killed_loop.mkdir(parents=True)
    assert script.play().phases(1) == []
    assert harness.ledger(tmp_path) == before
    assert not list((tmp_path / ".work").iterdir())
    assert len(harness.submissions(tmp_path)) == 1


def test_a_loop_without_its_lock_stops(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Script(tmp_path, 1).save()

    def now() -> datetime:
        if (tmp_path / "rounds" / "R01_plan.md").exists():
            (tmp_path / ".lock").unlink(missing_ok=True)
        return NOON

    command = ["-C", str(tmp_path), "loop", "--plain"]
    assert main(command, now=now) == 3
    assert ".lock was deleted" in capsys.readouterr().err
    assert not (tmp_path / "rounds" / "R01_scores.json").exists()
    assert main(command, now=lambda: NOON) == 0
    assert len(harness.submissions(tmp_path)) == 1


def test_a_plan_is_sent_back_once(tmp_path: Path) -> None:
    script = Script(tmp_path, 1)
    script.turns["R01/review"] = [{"files": {"review.md": "checks"}, "reply": "REVISE: too narrow"}]
    script.turns["R01/revise"] = [{"files": {"plan.md": harness.plan("second thoughts")}, "reply": "REVISED"}]
    played = script.play()
    assert "revise" in played.phases(1)
    assert "second thoughts" in played.file("R01_plan.md").read_text()
    assert "always 5.0" in played.file("R01_plan_v1.md").read_text()
    assert played.entries[0]["recipe"] == "always second thoughts"


def test_a_failing_experiment_is_healed(tmp_path: Path) -> None:
    script = Script(tmp_path, 1)
    good = script.turns["R01/build"][0]
    script.turns["R01/build"] = [{"files": {"experiment.py": "raise ValueError('boom')"}, "reply": "FAILED: boom"}]
    script.turns["R01/build/try2"] = [{"files": {"experiment.py": "import nonsense_module"}, "reply": "FAILED: import"}]
    script.turns["R01/build/try3"] = [good]
    played = script.play()
    assert played.statuses == ["keep"]
    assert "boom" in played.notes()
    transcript = (tmp_path / "sessions/builder/1.jsonl").read_text()
    assert "ValueError: boom" in transcript, "the tail of the failure went back to the Builder"


def test_tries_are_bounded_and_the_round_is_a_crash(tmp_path: Path) -> None:
    script = Script(tmp_path, 2, experiment_tries=2)
    script.turns["R01/build"] = [{"files": {"experiment.py": "raise ValueError('one')"}, "reply": "FAILED: one"}]
    script.turns["R01/build/try2"] = [{"files": {"experiment.py": "raise ValueError('two')"}, "reply": "FAILED: two"}]
    played = script.play()
    assert played.statuses == ["crash", "keep"]
    assert "two" in played.entries[0]["reason"]
    assert played.entries[0]["cv"] is None


OWN_METRIC = """
class ParticipantVisibleError(Exception): ...
MAXIMIZE, PREDICTION = False, "value"
def score(y_true, y_pred):
    if max(y_pred) > 4.5:
        raise ParticipantVisibleError("too high")
    return float(abs(y_true - y_pred).mean())
"""


def test_predictions_that_a_metric_of_your_own_refuses_are_a_crash_of_their_round(tmp_path: Path) -> None:
    script = Script(tmp_path, 2, experiment_tries=1)
    (tmp_path / "metric.py").write_text(OWN_METRIC)
    script.configure(**{"competition.metric_file": "metric.py"})
    script.turns["R01/build"][0] |= {"reply": "FAILED: too high"}
    played = script.play()
    assert played.statuses == ["crash", "keep"]
    assert "fails: ParticipantVisibleError: too high" in played.entries[0]["reason"]
    assert read_json(played.file("R01_scores.json"))["failure"]["kind"] == "output"


def test_a_metric_of_your_own_that_fails_in_any_phase_ends_no_campaign(tmp_path: Path) -> None:
    def fail(stage: Stage) -> str:
        raise MetricFailed("score of metric_file metric.py fails")

    Script(tmp_path, 1).save()
    with contextlib.closing(Campaign(tmp_path, now=lambda: NOON, progress=lambda event, **fields: None)) as campaign:
        play_round(campaign, 0, ROUND_ZERO)
        play_round(campaign, 1, (Phase("verify", (), fail),))
        assert [entry["status"] for entry in campaign.entries] == ["crash"]
        assert "MetricFailed: score of metric_file" in campaign.entries[0]["reason"]
        with pytest.raises(MetricFailed):
            play_round(campaign, 0, (Phase("other", (), fail),))


def test_a_lie_about_the_score_is_noted_and_does_not_count(tmp_path: Path) -> None:
    script = Script(tmp_path, 1)
    script.turns["R01/build"][0]["reply"] = "CV_SCORE=0.0001"
    played = script.play()
    assert played.entries[0]["cv"] > 1
    assert "claims 0.0001" in played.notes()


def test_a_rejected_run_is_not_kept_and_not_submitted(tmp_path: Path) -> None:
    script = Script(tmp_path, 1)
    script.turns["R01/verify"] = [{"files": {"verify.md": "leak"}, "reply": "REJECT: leaks the target"}]
    played = script.play()
    assert played.statuses == ["discard"]
    assert "leaks the target" in played.entries[0]["reason"]
    assert not played.entries[0]["complete"]
    assert harness.submissions(tmp_path) == []


def test_hold_keeps_the_slot_in_later_rounds_too(tmp_path: Path) -> None:
    script = Script(tmp_path, 2)
    script.predict(2, 9.0)
    script.turns["R01/findings"][0]["reply"] = "HOLD: wait"
    played = script.play()
    assert played.statuses == ["keep", "discard"]
    assert harness.submissions(tmp_path) == []


def test_a_reply_off_the_protocol_is_asked_again(tmp_path: Path) -> None:
    script = Script(tmp_path, 1)
    script.turns["R01/review"] = [{"files": {"review.md": "x"}, "reply": "looks good"}]
    script.turns["R01/review/again"] = [{"files": {"review.md": "x"}, "reply": "well\n**APPROVED**\n"}]
    played = script.play()
    assert played.statuses == ["keep"]
    assert "asked again" in played.notes()


@pytest.mark.parametrize("reply", ["done.", "CV_SCORE=nan", "CV_SCORE=", "", "APPROVED\nREVISE: no\nperhaps"])
def test_a_reply_that_stays_off_the_protocol_fails_the_round_not_the_loop(tmp_path: Path, reply: str) -> None:
    script = Script(tmp_path, 2)
    for turn in ("R01/build", "R01/build/again"):
        script.turns[turn] = [{"files": {"experiment.py": "print('x')"}, "reply": reply}]
    played = script.play()
    assert played.statuses == ["crash", "keep"]
    assert "build" in played.entries[0]["reason"]


def test_a_brief_that_is_too_long_is_refused(tmp_path: Path) -> None:
    script = Script(tmp_path, 1)
    script.turns["R01/research"] = [{"files": {"research_raw.md": "raw", "research_brief.md": "word " * 500}}]
    played = script.play()
    assert played.statuses == ["crash"]
    assert "500 words" in played.entries[0]["reason"]
    assert not played.file("R01_research_brief.md").exists()


def test_the_best_of_several_strategies_is_kept(tmp_path: Path) -> None:
    script = Script(tmp_path, 1, parallel_strategies=2)
    strategies = [
        {"family": "constant", "recipe": name, "hypothesis": "h", "expected_gain": 0.1} for name in ("far", "near")
    ]
    header = json.dumps({"strategies": strategies})
    script.turns["R01/plan"] = [{"files": {"plan.md": f"```json\n{header}\n```"}}]
    for variant, prediction in ((1, "9.0"), (2, "0.0")):
        source = harness.EXPERIMENT.replace("PREDICTION", prediction)
        script.turns[f"R01/build/v{variant}"] = [
            {"files": {"experiment.py": source}, "call": ["run_experiment"], "reply": "CV_SCORE={results[0][cv]}"}
        ]
    entry = script.play().entries[0]
    assert (entry["recipe"], entry["variant"], entry["status"]) == ("near", 2, "keep")
    assert [other["recipe"] for other in entry["variants"]] == ["far"]
    assert entry["variants"][0]["cv"] > entry["cv"]


def test_retrospective_and_respawn_with_a_hand_over(tmp_path: Path) -> None:
    script = Script(tmp_path, 3, retro_every=2)
    script.configure(**{"agents.respawn_rounds": 2})
    script.turns["R02/retro"] = [{"files": {"retro.md": "# Retro\n\n## Learnings\n- [R02] look back\n"}}]
    for role in ("researcher", "builder", "reviewer"):
        for number in (2, 3):
            script.turns[f"R{number:02d}/handover/{role}"] = [{"files": {"handover.md": f"note of the {role}"}}]
    played = script.play()
    assert played.phases(2)[0] == "retro"
    assert "look back" in (tmp_path / "LEARNINGS.md").read_text()
    assert read_json(tmp_path / "state.json")["agents"] == {"researcher": 2, "builder": 2, "reviewer": 2}
    assert (tmp_path / "sessions/builder/handover_1.md").read_text() == "note of the builder"


def test_guidance_reaches_the_next_phase(tmp_path: Path) -> None:
    script = Script(tmp_path, 1)
    (tmp_path / "guidance.md").write_text("try catboost next")
    script.play()
    assert "try catboost next" in (tmp_path / "sessions/builder/1.jsonl").read_text()


def test_guidance_that_a_plan_does_not_meet_is_told_once(tmp_path: Path) -> None:
    script = Script(tmp_path, 2)
    for number in (1, 2):
        files = script.turns[f"R{number:02d}/plan"][0]["files"]
        unmet = f"- not understood: only catbost\n * **Not followed yet: try svm ({number} s are left)**\n"
        files["plan.md"] = f"- followed: use lightgbm\n{unmet}{files['plan.md']}"
    notes = [note for note in script.play().notes().splitlines() if note.startswith("guidance.md")]
    assert notes == [
        "guidance.md: not understood: only catbost",
        "guidance.md: Not followed yet: try svm (1 s are left)",
    ]


def test_config_is_read_again_between_rounds(tmp_path: Path) -> None:
    script = Script(tmp_path, 3)
    assert script.play(**{"loop.max_rounds": 2}).why == "max rounds: 2 played"
    assert script.play(**{"loop.max_rounds": 1}).why == "max rounds: 2 played, the limit is 1"
    script.configure(**{"loop.target_score": 3.0})
    assert script.play().why.startswith("target score")


def test_an_unusable_edit_keeps_the_last_good_settings(tmp_path: Path) -> None:
    script = Script(tmp_path, 3)
    folder = tmp_path / "config.json"
    good = folder.read_text()

    def now_and_then() -> object:
        if (tmp_path / "rounds/R01_plan.md").exists():
            folder.write_text(good.replace('"max_rounds": 3', '"max_rounds": "two"'))
        return NOON

    played = script.play(now=now_and_then)  # type: ignore[arg-type]
    assert played.statuses == ["keep", "keep", "keep"]
    assert "max_rounds" in played.notes() and played.notes().count("stay in force") == 1


def test_folds_can_not_be_changed_under_a_campaign(tmp_path: Path) -> None:
    script = Script(tmp_path, 1)
    script.play()
    script.configure(**{"cv.folds": 3})
    with pytest.raises(BadInput, match=r"cv\.folds changed from 2 to 3"):
        script.play()


def test_patience_forces_a_bold_round_then_ends(tmp_path: Path) -> None:
    script = Script(tmp_path, 9, patience=2)
    for number in range(2, 10):
        script.predict(number, 5.0 + number)
    played = script.play()
    assert played.statuses == ["keep", "discard", "discard", "discard"]
    assert played.why.startswith("patience")
    assert "force_bold: True" in (tmp_path / "sessions/builder/1.jsonl").read_text()


def test_three_crashes_in_a_row_end_it(tmp_path: Path) -> None:
    script = Script(tmp_path, 9)
    for number in range(1, 10):
        script.turns[f"R{number:02d}/plan"] = [{"files": {"plan.md": "no header"}}]
    played = script.play()
    assert played.statuses == ["crash"] * 3
    assert played.why.startswith("fatal")


def test_wall_clock_and_deadline(tmp_path: Path) -> None:
    script = Script(tmp_path / "a", 2, minutes=0.001)
    assert script.play().why.startswith("wall-clock cap: the next round would not fit into the ")
    script = Script(tmp_path / "b", 2, deadline=(NOON + timedelta(seconds=1)).isoformat())
    played = script.play()
    assert (played.why.partition(":")[0], played.entries) == ("deadline", [])
    assert (tmp_path / "b" / "REPORT.md").is_file()


def test_the_daily_allowance_holds(tmp_path: Path) -> None:
    script = Script(tmp_path, 4)
    script.configure(**{"submissions.daily_limit": 2})
    for number in range(1, 5):
        script.predict(number, 5.0 - number)
    script.play()
    assert len(harness.submissions(tmp_path)) == 2


def test_damaged_views_are_rebuilt_and_round_0_is_not_played_again(tmp_path: Path) -> None:
    script = Script(tmp_path, 2)
    script.play()
    wanted = harness.ledger(tmp_path)
    for name in ("state.json", "results.tsv", "experiments.json"):
        whole = (tmp_path / name).read_bytes()
        flipped = bytearray(whole)
        flipped[len(whole) // 2] ^= 0x04
        for damage in (b"", whole[: len(whole) // 2], bytes(flipped)):
            (tmp_path / name).write_bytes(damage)
            assert script.play().phases(0) == []
            assert harness.ledger(tmp_path) == wanted
    assert len(harness.submissions(tmp_path)) == 2


@pytest.mark.parametrize("damage", [b"", b"{torn", None])
def test_a_round_is_never_first_again_when_the_bests_record_is_lost(tmp_path: Path, damage: bytes | None) -> None:
    script = Script(tmp_path, 2)
    script.predict(2, 9.0)
    script.play(**{"loop.max_rounds": 1})
    path = tmp_path / "rounds/R01_scores.json"
    path.unlink() if damage is None else path.write_bytes(damage)
    played = script.play()
    assert played.statuses == ["keep", "discard"]
    assert "recorded score" in played.notes()


def test_labels_that_change_during_a_campaign_are_noticed_and_restored(tmp_path: Path) -> None:
    script = Script(tmp_path, 2)
    labels = tmp_path / "competition/sealed/labels.npy"

    def now_and_then() -> object:
        if (tmp_path / "rounds/R02_plan.md").exists() and not (tmp_path / "rounds/R02_scores.json").exists():
            labels.write_bytes(labels.read_bytes()[:128] + bytes(8 * 60))
        return NOON

    played = script.play(now=now_and_then)  # type: ignore[arg-type]
    assert [round(entry["cv"], 3) for entry in played.entries] == [5.247, 2.295]


def test_a_deleted_record_in_the_middle_is_recorded_again(tmp_path: Path) -> None:
    script = Script(tmp_path, 3)
    script.play()
    wanted = harness.ledger(tmp_path)
    (tmp_path / "rounds/R02_result.json").unlink()
    assert script.play().phases(2) == ["learn"]
    assert harness.ledger(tmp_path) == wanted


def test_a_record_copied_over_another_is_refused(tmp_path: Path) -> None:
    script = Script(tmp_path, 2)
    script.play()
    rounds = tmp_path / "rounds"
    (rounds / "R02_result.json").write_bytes((rounds / "R01_result.json").read_bytes())
    with pytest.raises(Damaged, match="another round"):
        script.play()


@pytest.mark.parametrize("name", ["state.json", "results.tsv", "LEARNINGS.md", "rounds/R00_phases.json"])
def test_a_pipe_in_place_of_a_file_does_not_hang(tmp_path: Path, name: str) -> None:
    script = Script(tmp_path, 1)
    script.play()
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    try:
        script.play()
    except AutoKaggleError as error:
        assert name.split("/")[-1] in str(error)


def test_a_wish_in_guidance_holds_everything_only_while_it_stands(tmp_path: Path) -> None:
    script = Script(tmp_path, 3)
    script.predict(2, 9.0)
    script.predict(3, 9.5)
    for number in (1, 2):
        script.turns[f"R{number:02d}/findings"][0]["reply"] = "HOLD: guidance.md says not to submit"
    assert "guidance.md" in script.play(**{"loop.max_rounds": 2}).file("R01_phases.json").read_text()
    assert harness.submissions(tmp_path) == []
    script.play()
    assert [entry["description"].split()[2] for entry in harness.submissions(tmp_path)] == ["R01"]


def test_a_line_that_forbids_submissions_holds_whatever_the_players_answer(tmp_path: Path) -> None:
    script = Script(tmp_path, 3)
    script.predict(2, 9.0)
    script.predict(3, 9.5)
    script.turns["R02/findings"][0]["reply"] = "HOLD: discard: no gain"
    (tmp_path / "guidance.md").write_text("# Mine\n- only linear; do not submit\n")
    script.play(**{"loop.max_rounds": 2})
    assert harness.submissions(tmp_path) == []
    (tmp_path / "guidance.md").write_text("<!-- do not submit -->\n")
    script.play()
    assert [entry["description"].split()[2] for entry in harness.submissions(tmp_path)] == ["R01"]


def test_a_kill_loses_little_of_the_time_played(tmp_path: Path) -> None:
    script = Script(tmp_path, 1)
    script.play()
    state = read_json(tmp_path / "state.json")
    write_json(tmp_path / "state.json", {**state, "elapsed_seconds": 1000.0})
    assert script.play(**{"loop.max_rounds": 2, "loop.minutes": 10}).why.startswith("wall-clock cap")


def test_an_experiment_runs_by_hand(tmp_path: Path) -> None:
    script = Script(tmp_path / "campaign", 2)
    script.play()
    inputs, outputs = tmp_path / "IN", tmp_path / "OUT"
    outputs.mkdir()
    assert main(["-C", str(script.folder), "inputs", "2", str(inputs), "--fold", "2"]) == 0
    names = {str(path.relative_to(inputs)) for path in inputs.rglob("*") if path.is_file()}
    assert {"train.parquet", "valid.parquet", "test.parquet", "task.json", "previous/weights.json"} <= names
    experiment = script.folder / "rounds/R02_experiment.py"
    subprocess.run([sys.executable, str(experiment), str(inputs), str(outputs)], check=True)
    assert len(np.load(outputs / "valid.npy")) == 30
    assert main(["-C", str(script.folder), "inputs", "2", str(inputs)]) == 2
