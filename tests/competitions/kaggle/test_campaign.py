"""Whole rounds of a campaign that submits to the local Kaggle: scripted players, real referee, real client."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import CompetitionError
from orchestrator.views import status
from tests.kaggle_server.start import Kaggle
from tests.playing import NOON, Played, Script

WELL: dict[str, Any] = {"entered": True, "phone_needed": False, "daily_limit": 5, "maximize": False}


@pytest.fixture
def script(server: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Script:
    """Two rounds of the small regression, whose answers Kaggle holds."""
    for name, value in server.environment(tmp_path / "home").items():
        if name not in ("PATH", "TMPDIR"):
            monkeypatch.setenv(name, value)
    made = Script(tmp_path / "campaign", rounds=2)
    slug = request.node.name.replace("_", "-").split("[")[0][:80]
    answers = tmp_path / "answers.csv"
    (made.folder / "competition" / "private" / "answers.csv").rename(answers)
    scoring = {"answers": str(answers), "metric": "rmse", "id": "id", "targets": ["y"]}
    server.control("clear")
    server.settings(clock_frozen_at=NOON.isoformat(), polls_to_score=1)
    server.competition(slug, scoring=scoring, **WELL)
    made.configure(**{"competition.kind": "kaggle", "competition.slug": slug})
    return made


def slug_of(script: Script) -> str:
    return str(json.loads((script.folder / "config.json").read_text())["competition"]["slug"])


def replies(played: Played) -> list[str]:
    return [fields["reply"] for event, fields in played.events if event == "phase_done" and fields["phase"] == "submit"]


def test_two_rounds_are_submitted_and_scored(server: Kaggle, script: Script) -> None:
    played = script.play()
    assert played.why == "max rounds: 2 played" and played.statuses == ["keep", "keep"]
    accepted = server.submissions(slug_of(script))
    assert [entry["description"].split()[2] for entry in accepted] == ["R01", "R02"]
    assert all(entry["lb"] is not None and entry["submitted"] == "accepted" for entry in played.entries)
    assert played.entries[1]["lb"] < played.entries[0]["lb"], "a better constant scores better"
    assert [f"{entry['lb']:.5f}" for entry in played.entries] == [entry["public"] for entry in accepted]
    shown = status(script.folder)
    assert "2 sent and 3 left" in shown
    again = script.play()
    assert len(server.submissions(slug_of(script))) == 2 and again.why == played.why


def test_an_error_comes_back_to_the_builder(server: Kaggle, script: Script) -> None:
    server.settings(polls_to_score=0)
    slug = slug_of(script)
    server.competition(slug, scoring={"fail": "Evaluation Exception: Submission must have 418 rows"})
    played = script.play()
    why = "error: Evaluation Exception: Submission must have 418 rows"
    assert played.entries[0]["submission_error"] == why and played.entries[0]["lb"] is None
    transcript = "".join(path.read_text() for path in (script.folder / "sessions" / "builder").glob("*.jsonl"))
    assert "failed_submissions" in transcript, "among the figures of the next plan"
    assert "418 rows" in (script.folder / "experiments.json").read_text(), "in the registry that all read"
    assert "R01 was not scored" in (script.folder / "REPORT.md").read_text()
    assert "error" in status(script.folder)


@pytest.mark.parametrize(("sick", "words"), [({"entered": False}, "rules"), ({"phone_needed": True}, "verified")])
def test_what_a_person_must_mend_is_told_before_anything_is_played(
    server: Kaggle, script: Script, sick: dict[str, Any], words: str
) -> None:
    server.competition(slug_of(script), **sick)
    with pytest.raises(CompetitionError, match=words):
        script.play()
    assert not (script.folder / "rounds" / "R00_profile.json").exists()


def test_a_right_that_is_lost_on_the_way_ends_the_campaign_and_it_goes_on_later(server: Kaggle, script: Script) -> None:
    server.fault("StartSubmissionUpload", {"kind": "error", "status": 403, "message": "You must verify your phone"})
    played = script.play()
    assert played.why.startswith("fatal: Kaggle wants this account verified (You must verify your phone)")
    assert script.play().why == "max rounds: 2 played"
    assert len(server.submissions(slug_of(script))) == 2


def test_a_kaggle_that_is_down_costs_submissions_and_nothing_else(server: Kaggle, script: Script) -> None:
    slug = slug_of(script)
    for method in ("ListSubmissions", "GetSubmissionLimits"):
        server.fault(
            method, {"kind": "error", "status": 503, "message": "Maintenance", "retry_after": 3600}, always=True
        )
    played = script.play()
    assert played.why == "max rounds: 2 played" and played.statuses == ["keep", "keep"]
    assert all("none: " in reply and "503 Maintenance" in reply for reply in replies(played))
    assert server.submissions(slug) == []
    assert "503" in played.notes()


def test_submissions_that_are_switched_off_ask_nobody(server: Kaggle, script: Script) -> None:
    script.configure(**{"submissions.enabled": False})
    methods = ("ListSubmissions", "GetSubmissionLimits", "StartSubmissionUpload", "CreateSubmission")
    before = [server.count(method) for method in methods]
    played = script.play()
    assert played.statuses == ["keep", "keep"] and replies(played) == []
    assert [server.count(method) for method in methods] == before
