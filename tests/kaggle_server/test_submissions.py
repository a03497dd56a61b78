"""Submissions through the real library: upload, rules at the door, the daily limit, scores, the listing."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.kaggle_server.library import Library, Raised
from tests.kaggle_server.start import Kaggle

SUBMIT = "api.competition_submit(path, words, slug, quiet=True)"
LIST = "api.competition_submissions(slug)"
SCORING = {"metric": "auc", "id": "id", "targets": ["y"]}
GET = "sdk('competitions.competition_api', 'get_submission', 'ApiGetSubmissionRequest', ref=ref)"


def submit(library: Library, slug: str, path: Path, words: str = "one") -> dict[str, Any]:
    return dict(library(SUBMIT, path=path, words=words, slug=slug))


def test_a_submission_is_scored_after_some_polls(server: Kaggle, library: Library, answers: Path, guess: Path) -> None:
    server.settings(polls_to_score=2)
    server.competition("score-one", title="Score One", scoring={**SCORING, "answers": str(answers)})
    said = submit(library, "score-one", guess, "the first")
    assert said["message"] == "Successfully submitted to Score One" and said["ref"] > 0
    seen = [library(GET, ref=said["ref"]) for _ in range(3)]
    assert [one["status"] for one in seen] == ["PENDING"] * 2 + ["COMPLETE"]
    assert seen[0]["publicScore"] == "" and seen[2]["publicScore"] == "1.00000"
    listed = library(LIST, slug="score-one")[0]
    assert listed["description"] == "the first" and listed["fileName"] == "guess.csv"
    assert listed["totalBytes"] == guess.stat().st_size and listed["submittedBy"] == "ada"
    assert server.log("upload PUT")[-1]["sign_in"] == ""
    assert library("api.competition_leaderboard_view('score-one')")[0]["teamName"] == "ada"


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (["id,y", "0,1"], "Evaluation Exception: Submission must have 40 rows"),
        (["id,z", *[f"{row},1" for row in range(40)]], "must have the column 'y'"),
        (["id,y", *[f"{row},x" for row in range(40)]], "non-numeric values in column 'y'"),
        (["id,y", *["7,1"] * 40], "has already been defined"),
        (["id,y", *[f"{row + 1},1" for row in range(40)]], "Unable to find 1 required key values"),
        (["id,y", *[f"{row},1,2" for row in range(40)]], "Record 1 had 3 columns but expected 2"),
    ],
)
def test_a_bad_file_ends_in_error(
    server: Kaggle, library: Library, answers: Path, tmp_path: Path, rows: list[str], reason: str
) -> None:
    slug = tmp_path.name.replace("_", "-")
    server.competition(slug, scoring={**SCORING, "answers": str(answers)}, daily_limit=1)
    path = tmp_path / "bad.csv"
    path.write_text("\n".join(rows) + "\n")
    submit(library, slug, path)
    library(LIST, slug=slug)
    listed = library(LIST, slug=slug)[0]
    assert listed["status"] == "ERROR" and reason in listed["errorDescription"]
    assert listed["publicScore"] == ""
    submit(library, slug, path)  # the day's one submission is not spent on an error


@pytest.mark.parametrize(
    ("metric", "targets", "rows", "sent", "expected"),
    [
        ("accuracy", ["y"], ["a,True", "b,False"], ["a,1", "b,1.0"], {"0.50000"}),
        ("rmse", ["y"], ["a,1", "b,3"], ["a,1", "b,1"], {"1.41421"}),
        ("rmsle", ["y"], ["a,0", "b,0"], ["a,0", "b,0"], {"0.00000"}),
        ("log_loss", ["p", "q"], ["a,1,0", "b,0,1"], ["a,0.5,0.5", "b,0.5,0.5"], {"0.69315"}),
        ("qwk", ["y"], ["a,1", "b,3"], ["a,1", "b,3"], {"1.00000"}),
        ("mean_column_rmse", ["y", "z"], ["a,1,1", "b,1,1"], ["a,2,1", "b,2,1"], {"0.50000"}),
    ],
)
def test_metrics(
    server: Kaggle, library: Library, tmp_path: Path,
    metric: str, targets: list[str], rows: list[str], sent: list[str], expected: set[str],
) -> None:  # fmt: skip
    slug, header = f"metric-{metric.replace('_', '-')}", ",".join(["id", *targets])
    for name, lines in (("answers.csv", rows), ("sent.csv", sent)):
        (tmp_path / name).write_text("\n".join([header, *lines]) + "\n")
    (tmp_path / "answers.csv").write_text("\n".join([f"{header},Usage", *[f"{row},Private" for row in rows]]) + "\n")
    scoring = {"answers": str(tmp_path / "answers.csv"), "metric": metric, "id": "id", "targets": targets}
    server.settings(polls_to_score=0)
    server.competition(slug, scoring=scoring)
    submit(library, slug, tmp_path / "sent.csv")
    # no row is public here, so that the score is over all
    assert {one["publicScore"] for one in library(LIST, slug=slug)} == expected


def test_the_limit_of_the_day_comes_after_the_upload(server: Kaggle, library: Library, guess: Path) -> None:
    server.settings(clock_frozen_at="2030-01-01T18:54:00+00:00")
    server.competition("limit-one", daily_limit=2)
    limits = "api.competition_get_submission_limits('limit-one')"
    assert library(limits)["numAllowedNow"] == 2
    submit(library, "limit-one", guess)
    server.control("human", slug="limit-one", text="id,y\n", user="ada")
    assert library(limits) == {"numToday": 2, "numTotal": 2, "numAllowedNow": 0, "limitedByTotal": False}
    puts = server.count("upload PUT")
    with pytest.raises(Raised) as caught:
        submit(library, "limit-one", guess)
    assert caught.value.status == 400 and server.count("upload PUT") == puts + 1
    assert "Submission not allowed:  Your team has used its daily Submission allowance (2) today" in caught.value.answer
    assert "tomorrow UTC (5.1 hours from now)" in caught.value.answer and "FAILED_PRECONDITION" in caught.value.answer
    server.settings(clock_frozen_at="2030-01-02T00:00:01+00:00")
    submit(library, "limit-one", guess)
    assert len(server.submissions("limit-one")) == 3


@pytest.mark.parametrize(
    ("settings", "status", "reason"),
    [
        ({"submissions_disabled": True}, 400, "Submissions have been disabled for this competition."),
        ({"code_only": True}, 400, "only accepts Submissions from Notebooks"),
        ({"required_name": "submission.csv"}, 400, 'must be named \\"submission.csv\\"'),
        ({"entered": False}, 403, "Permission 'competitions.participate' was denied"),
        ({"phone_needed": True}, 403, "verify your phone"),
    ],
)
def test_the_rules_at_the_door(
    server: Kaggle, library: Library, guess: Path, settings: dict[str, Any], status: int, reason: str
) -> None:
    slug = f"door-{next(iter(settings)).replace('_', '-')}"
    server.competition(slug, **settings)
    with pytest.raises(Raised) as caught:
        submit(library, slug, guess)
    assert caught.value.status == status and reason in caught.value.answer
    assert server.submissions(slug) == []


def test_an_unknown_competition_looks_like_one_not_joined(server: Kaggle, library: Library, guess: Path) -> None:
    with pytest.raises(Raised) as caught:
        submit(library, "no-such-slug", guess)
    assert caught.value.status == 403


def test_newest_first_in_pages(server: Kaggle, library: Library) -> None:
    server.competition("pages-one")
    for number in range(45):
        at = f"2025-01-01T{number // 60:02d}:{number % 60:02d}:00+00:00"
        server.control("human", slug="pages-one", description=f"nr {number}", at=at)
    ask = (
        "sdk('competitions.competition_api', 'list_submissions', 'ApiListSubmissionsRequest', "
        "competition_name='pages-one', page_size=20, page_token=token)"
    )
    token, seen = "", []
    while True:
        page = library(ask, token=token)
        seen += [one["description"] for one in page["submissions"]]
        token = page["nextPageToken"]
        if not token:
            break
    assert seen == [f"nr {number}" for number in range(44, -1, -1)]
    assert [one["description"] for one in library("api.competition_submissions('pages-one', page_number=3)")] == seen[
        40:
    ]
    server.settings(reorder_listing=True)
    assert library(LIST, slug="pages-one")[0]["description"] == "nr 0"


def test_a_listing_may_lag(server: Kaggle, library: Library, guess: Path) -> None:
    server.competition("lag-one")
    server.settings(listing_lag_polls=2, limits_lag_s=60.0)
    submit(library, "lag-one", guess)
    assert [len(library(LIST, slug="lag-one")) for _ in range(3)] == [0, 0, 1]
    assert library("api.competition_get_submission_limits('lag-one')")["numToday"] == 0
    server.settings(listing_lag_s=600.0, limits_lag_s=0.0)
    assert library(LIST, slug="lag-one") == []
    server.settings(clock_offset_s=601.0)
    assert len(library(LIST, slug="lag-one")) == 1


def test_an_empty_file_goes_through(server: Kaggle, library: Library, tmp_path: Path) -> None:
    server.competition("empty-one")
    (tmp_path / "empty.csv").write_bytes(b"")
    assert submit(library, "empty-one", tmp_path / "empty.csv")["ref"] > 0
    assert "contentLength" not in server.log("StartSubmissionUpload")[-1]["body"]


def test_storage_that_refuses_the_upload_is_told_by_a_ref_of_0(server: Kaggle, library: Library, guess: Path) -> None:
    server.competition("put-one")
    server.fault("upload PUT", {"kind": "error", "status": 400})
    said = submit(library, "put-one", guess)
    assert said == {"message": "Could not submit to competition", "ref": 0} and server.submissions("put-one") == []


def test_an_upload_that_breaks_is_sent_again(server: Kaggle, library: Library, guess: Path) -> None:
    server.competition("put-two")
    server.fault("upload PUT", {"kind": "disconnect"}, {"kind": "error", "status": 503, "retry_after": 0})
    assert submit(library, "put-two", guess)["ref"] > 0
    assert [entry.get("fault") for entry in server.log("upload PUT")[-3:]] == ["disconnect", "error", None]


@pytest.mark.parametrize(
    ("fault", "accepted"),
    [
        ({"kind": "disconnect"}, 0),
        ({"kind": "error", "status": 503, "retry_after": 1}, 0),
        ({"kind": "error", "status": 429, "retry_after": 2, "shape": "flat"}, 0),
        ({"kind": "html"}, 0),
        ({"kind": "empty"}, 0),
        ({"kind": "hang", "seconds": 0.3}, 0),
        ({"kind": "disconnect_after"}, 1),
        ({"kind": "hang_after", "seconds": 0.3}, 1),
        ({"kind": "error_after", "status": 500}, 1),
        ({"kind": "bad_json"}, 1),
    ],
)
def test_an_answer_that_is_lost_says_nothing_of_what_happened(
    server: Kaggle, library: Library, guess: Path, fault: dict[str, Any], accepted: int
) -> None:
    slug = f"lost-{fault['kind'].replace('_', '-')}-{fault.get('status', 0)}"
    server.competition(slug)
    server.fault("CreateSubmission", fault)
    before = server.count("CreateSubmission")
    with pytest.raises(Raised):
        submit(library, slug, guess)
    assert len(server.submissions(slug)) == accepted
    assert server.count("CreateSubmission") == before + 1  # the client never tries again


def test_a_late_accept(server: Kaggle, library: Library, guess: Path) -> None:
    server.competition("accept-late")
    server.fault("CreateSubmission", {"kind": "late", "seconds": 0.4, "status": 504})
    with pytest.raises(Raised) as caught:
        submit(library, "accept-late", guess, "patience")
    assert caught.value.status == 504 and server.submissions("accept-late") == []
    ends = time.monotonic() + 10
    while not server.submissions("accept-late") and time.monotonic() < ends:
        time.sleep(0.05)
    assert server.submissions("accept-late")[0]["description"] == "patience"


def test_a_status_that_no_client_knows(server: Kaggle, library: Library, guess: Path) -> None:
    server.competition("enum-one")
    submit(library, "enum-one", guess)
    server.fault("ListSubmissions", {"kind": "unknown_enum"})
    with pytest.raises(Raised, match="KeyError"):
        library(LIST, slug="enum-one")
