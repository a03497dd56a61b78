"""Every bad answer of Kaggle becomes one clear sentence with Kaggle's own reason, and an error that says what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.competitions.base import SubmissionRefused
from orchestrator.competitions.kaggle.client import KaggleClient
from orchestrator.competitions.kaggle.errors import Failure, NeedsPerson, NotThere, Refused, TryLater, explain
from orchestrator.competitions.kaggle.site import KaggleCompetition
from orchestrator.config import parse
from orchestrator.errors import CompetitionError
from tests.kaggle_server.start import Kaggle

HTTP = {"kind": "http"}
DAILY = (
    "Submission not allowed:  Your team has used its daily Submission allowance (5) today, please try again tomorrow "
    "UTC (5.1 hours from now)."
)


@pytest.mark.parametrize(
    ("record", "kind", "words"),
    [
        (
            {"status": 401, "reason": "Unauthenticated"},
            NeedsPerson,
            "credentials of here (Unauthenticated): make a new",
        ),
        (
            {
                "status": 403,
                "reason": "You must accept this competition's rules before you'll be able to download files.",
            },
            NeedsPerson,
            "accept them at https://www.kaggle.com/competitions/toy/rules",
        ),
        (
            {"status": 403, "reason": "Permission 'competitions.participate' was denied"},
            NeedsPerson,
            "not joined toy (Permission 'competitions.participate' was denied): join and accept the rules at https://",
        ),
        ({"status": 403, "reason": "You must verify your phone number"}, NeedsPerson, "verified (You must verify your"),
        ({"status": 404, "reason": "Not found"}, NotThere, "no competition 'toy' for this account (404: Not found)"),
        ({"status": 403, "reason": "Forbidden"}, NotThere, "(403: Forbidden): is the name right"),
        ({"status": 400, "reason": DAILY}, Refused, "has used its daily Submission allowance (5) today"),
        (
            {"status": 400, "reason": "Submission not allowed:  Submissions have been disabled for this competition."},
            NeedsPerson,
            "takes no submissions any more (Submission not allowed: Submissions have been disabled",
        ),
        (
            {"status": 400, "reason": "This competition only accepts Submissions from Notebooks"},
            NeedsPerson,
            "from notebooks only (This competition only accepts",
        ),
        (
            {"status": 400, "reason": 'Submission files must be named "submission.csv" for this Competition.'},
            Refused,
            '(400: Submission files must be named "submission.csv" for this Competition)',
        ),
        (
            {"status": 400, "reason": "Notebook is still running. Did not find provided Notebook Output File."},
            Refused,
            "Notebook is still running. Did not find provided Notebook Output File",
        ),
        (
            {"status": 400, "reason": "Your Notebook's runtime of 233 minutes exceeds"},
            Refused,
            "runtime of 233 minutes",
        ),
        (
            {"status": 429, "reason": "Too many requests", "after_s": 7},
            TryLater,
            "slow down for 7 s (GetX: Too many requests)",
        ),
        ({"status": 503, "reason": "Unavailable"}, TryLater, "Kaggle has trouble (GetX: 503 Unavailable)"),
        ({"kind": "shape", "reason": "a web page instead of data"}, TryLater, "a web page instead of data"),
        ({"kind": "network", "reason": "no answer in time"}, TryLater, "can't be reached (GetX: no answer in time)"),
        (
            {"kind": "credentials", "reason": "x: refused"},
            NeedsPerson,
            "accepts none of the credentials (x: refused): make a new",
        ),
        ({"kind": "local", "reason": "ValueError: no folder"}, CompetitionError, "GetX: ValueError: no folder"),
    ],
)
def test_one_sentence_each(record: dict[str, Any], kind: type[Exception], words: str) -> None:
    error = explain(Failure.of({**HTTP, **record}), call="GetX", slug="toy", source="here")
    assert type(error) is kind and words in str(error)
    assert "\n" not in str(error) and len(str(error)) < 450
    assert getattr(error, "passing", False) == ("daily" in str(error))


def test_what_a_server_says_stays_on_one_line() -> None:
    failure = Failure.of({"kind": "http", "status": 400, "reason": "a\x1b[31m\nb" + "x" * 900})
    assert "\x1b" not in failure.reason and "\n" not in failure.reason and len(failure.reason) == 300


@pytest.mark.parametrize("shape", ["nested", "flat"])
@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ({"status": 400, "message": "Bad page"}, Refused, "refuses GetCompetition (400: Bad page)"),
        ({"status": 404, "message": "Competition not found"}, NotThere, "(404: Competition not found)"),
        ({"status": 429, "message": "Slow down", "retry_after": 120}, TryLater, "slow down for 120 s"),
        ({"status": 503, "message": "Later"}, TryLater, "503 Later"),
    ],
)
def test_both_shapes_of_error_bodies(
    server: Kaggle, client: KaggleClient, shape: str, fault: dict[str, Any], kind: type[Exception], words: str
) -> None:
    server.competition("shapes")
    server.control("clear")
    server.fault("GetCompetition", {"kind": "error", "shape": shape, **fault}, always=True)
    with pytest.raises(CompetitionError) as caught:
        client.competition("shapes")
    server.control("clear")
    assert type(caught.value) is kind and words in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"kind": "html"}, "a web page instead of data"),
        ({"kind": "html", "status": 502}, "502"),
        ({"kind": "empty"}, "makes no sense"),
        ({"kind": "bad_json"}, "makes no sense"),
        ({"kind": "disconnect"}, "can't be reached (ListSubmissions: "),
    ],
)
def test_answers_that_are_none(server: Kaggle, client: KaggleClient, fault: dict[str, Any], words: str) -> None:
    slug = f"none-{server.count('')}"
    server.competition(slug)
    server.control("human", slug=slug)
    before = server.count("ListSubmissions")
    server.fault("ListSubmissions", fault, fault, fault)
    with pytest.raises(TryLater) as caught:
        client.submissions(slug)
    assert words in str(caught.value) and "0x" not in str(caught.value)
    assert server.count("ListSubmissions") == before + 3, "reading was tried three times"
    server.fault("ListSubmissions", fault)
    assert len(client.submissions(slug)) == 1, "and the second try does when the trouble is over"


def test_a_status_of_next_year_means_to_wait(server: Kaggle, client: KaggleClient) -> None:
    server.competition("enum")
    server.control("human", slug="enum")
    server.fault("ListSubmissions", {"kind": "unknown_enum"}, {"kind": "unknown_enum", "key_value": None})
    assert [one.status for one in client.submissions("enum")] == ["pending"]
    assert [one.status for one in client.submissions("enum")] == ["pending"]


NAME = "R01_frozen_0123abcd_0123456789ab.csv"


def site(client: KaggleClient, folder: Path, slug: str) -> tuple[KaggleCompetition, Path]:
    (folder / NAME).write_text("id,y\n1,2\n")
    settings = {"competition": {"kind": "kaggle", "slug": slug}}
    return KaggleCompetition(folder, parse(settings, "test"), client), folder / NAME


@pytest.mark.parametrize(
    ("settings", "step", "words", "passing", "person"),
    [
        ({"daily_limit": 0}, "submit", "daily Submission allowance", True, False),
        ({"submissions_disabled": True}, "submit", "set submissions.enabled to false", True, True),
        ({"required_name": "submission.csv"}, "submit", 'must be named "submission.csv"', False, False),
        ({"phone_needed": True}, "prepare", "verify your phone number", None, True),
        ({"entered": False}, "prepare", "competitions/refuse/rules", None, True),
        ({"code_only": True}, "prepare", "from notebooks only", None, True),
    ],
)
def test_refused_submissions(
    server: Kaggle,
    client: KaggleClient,
    tmp_path: Path,
    settings: dict[str, Any],
    step: str,
    words: str,
    passing: bool | None,
    person: bool,
) -> None:
    well = {
        "daily_limit": 5, "submissions_disabled": False, "required_name": "", "phone_needed": False, "entered": True,
        "code_only": False,
    }  # fmt: skip
    server.competition("refuse", **{**well, **settings})
    competition, csv = site(client, tmp_path, "refuse")
    if step == "prepare":
        with pytest.raises(NeedsPerson, match=words):
            competition.prepare(csv)
    else:
        competition.prepare(csv)
        with pytest.raises(SubmissionRefused, match=words) as caught:
            competition.submit(csv, "words")
        assert (caught.value.passing, caught.value.needs_person) == (passing, person)
    assert server.submissions("refuse") == []


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "error", "status": 429, "message": "slow"},
        {"kind": "error", "status": 500},
        {"kind": "html"},
        {"kind": "empty"},
        {"kind": "disconnect"},
        {"kind": "disconnect_after"},
        {"kind": "error_after", "status": 502},
    ],
)
def test_whatever_leaves_it_open_is_no_refusal_and_goes_out_once(
    server: Kaggle, client: KaggleClient, tmp_path: Path, fault: dict[str, Any]
) -> None:
    slug = f"open-{abs(hash(str(fault))) % 10**9}"
    server.competition(slug)
    competition, csv = site(client, tmp_path, slug)
    competition.prepare(csv)
    before = server.count("CreateSubmission")
    server.fault("CreateSubmission", fault)
    with pytest.raises(CompetitionError) as caught:
        competition.submit(csv, "words")
    assert not isinstance(caught.value, SubmissionRefused)
    assert server.count("CreateSubmission") == before + 1
    arrived = len(server.submissions(slug))
    assert arrived == fault["kind"].endswith("after")
    with pytest.raises(SubmissionRefused, match="not at Kaggle's storage"):
        competition.submit(csv, "words")
    assert len(server.submissions(slug)) == arrived


def test_a_refused_kernel_is_a_field_of_its_answer(server: Kaggle, client: KaggleClient, tmp_path: Path) -> None:
    """Kaggle refuses kernels with HTTP 200."""
    words = "Maximum weekly GPU quota of 30.00 hours reached."
    (tmp_path / "code.py").write_text("print(1)\n")
    (tmp_path / "kernel-metadata.json").write_text(
        '{"id": "ada/some-kernel", "title": "some kernel", "code_file": "code.py", "language": "python", '
        '"kernel_type": "script", "is_private": true}'
    )
    server.fault("SaveKernel", {"kind": "set", "values": {"error": words, "ref": "", "versionNumber": None}})
    pushed = client.push_kernel(tmp_path, accelerator="NvidiaTeslaT4")
    assert (pushed.error, pushed.version) == (words, None)
