"""Competitions, files, downloads, leaderboard, topics: the real library against the local server."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.kaggle_server.library import Library, Raised
from tests.kaggle_server.start import Kaggle

GET = "sdk('competitions.competition_api', 'get_competition', 'ApiGetCompetitionRequest', competition_name=slug)"


def test_what_a_competition_is(server: Kaggle, library: Library, files: Path) -> None:
    pages = {"Evaluation": "Area under the curve.", "rules": "Be nice."}
    server.competition("meta-one", folder=files, title="Meta One", metric_text="AUC", pages=pages, daily_limit=7)
    found = library(GET, slug="meta-one")
    assert found["title"] == "Meta One" and found["evaluationMetric"] == "AUC" and found["maxDailySubmissions"] == 7
    assert found["ref"].rpartition("/")[2] == "meta-one" and found["userHasEntered"] is True
    assert library("api.competitions_list(search='meta o')")["competitions"][0]["title"] == "Meta One"
    assert {page["name"]: page["content"] for page in library("api.competition_list_pages('meta-one')")} == pages
    assert [page["name"] for page in library("api.competition_list_pages('meta-one', 'evaluation')")] == ["Evaluation"]
    with pytest.raises(Raised, match="404 Client Error") as caught:
        library(GET, slug="no-such")
    assert caught.value.status == 404 and '"status": "NOT_FOUND"' in caught.value.answer


def test_files_in_pages(server: Kaggle, library: Library, tmp_path: Path) -> None:
    for number in range(45):
        (tmp_path / f"part{number:02d}.csv").write_text("a\n")
    server.competition("many-files", folder=tmp_path)
    token, names = "", []
    while True:
        page = library("api.competition_list_files('many-files', page_token=token)", token=token)
        names += [file["name"] for file in page["files"]]
        token = page["nextPageToken"]
        if not token:
            break
    assert len(names) == len(set(names)) == 45 and server.count("ListDataFiles") >= 3


def test_downloads_come_from_another_host(server: Kaggle, library: Library, files: Path, tmp_path: Path) -> None:
    server.competition("down-one", folder=files)
    out = tmp_path / "out"
    library("api.competition_download_files('down-one', path=out)", out=out)
    with zipfile.ZipFile(out / "down-one.zip") as archive:
        assert archive.read("train.csv") == (files / "train.csv").read_bytes()
    library("api.competition_download_file('down-one', 'sub/x y.csv', path=out, quiet=True)", out=out)
    assert (out / "x%20y.csv").read_text() == "a\n1\n"
    assert {entry["sign_in"] for entry in server.log("storage GET")} == {""}
    with pytest.raises(Raised) as caught:
        library("api.competition_download_file('down-one', 'none.csv', path=out)", out=out)
    assert caught.value.status == 404


def test_a_file_that_is_here_is_not_loaded_again(server: Kaggle, library: Library, files: Path, tmp_path: Path) -> None:
    server.competition("down-two", folder=files)
    load = "api.competition_download_file('down-two', 'train.csv', path=out, quiet=True)"
    library(load, out=tmp_path)
    stamp = (tmp_path / "train.csv").stat().st_mtime_ns
    library(load, out=tmp_path)
    assert (tmp_path / "train.csv").stat().st_mtime_ns == stamp


def test_rules_come_first(server: Kaggle, library: Library, files: Path, tmp_path: Path) -> None:
    server.competition("strict-one", folder=files, rules_accepted=False, entered=False)
    load = "api.competition_download_files('strict-one', path=out)"
    with pytest.raises(Raised) as caught:
        library(load, out=tmp_path)
    assert caught.value.status == 403 and "You must accept this competition's rules" in caught.value.answer
    with pytest.raises(Raised) as caught:
        library("api.competition_submissions('strict-one')")
    assert caught.value.status == 403 and "competitions.participate" in caught.value.answer
    server.competition("strict-one", rules_accepted=True)
    library(load, out=tmp_path)
    assert (tmp_path / "strict-one.zip").exists()


def test_a_connection_that_is_cut_is_taken_up_with_a_range(
    server: Kaggle, library: Library, files: Path, tmp_path: Path
) -> None:
    server.competition("cut-one", folder=files)
    server.fault("storage GET", {"kind": "cut", "at": 20_000})
    before = server.count("storage GET")
    library("api.competition_download_file('cut-one', 'train.csv', path=out, quiet=True)", out=tmp_path)
    assert (tmp_path / "train.csv").read_bytes() == (files / "train.csv").read_bytes()
    asked = server.log("storage GET")[before:]
    assert [entry["status"] for entry in asked] == [200, 206] and asked[1]["range"].startswith("bytes=")


def test_a_url_that_expires_under_way_leaves_a_broken_file(
    server: Kaggle, library: Library, files: Path, tmp_path: Path
) -> None:
    server.competition("late-one", folder=files)
    server.fault("storage GET", {"kind": "cut", "at": 20_000}, {"kind": "expire"})
    with pytest.raises(Raised) as caught:
        library("api.competition_download_file('late-one', 'train.csv', path=out, quiet=True)", out=tmp_path)
    assert caught.value.type == "ValueError" and "does not match expected size" in caught.value.text
    assert "ExpiredToken" in (tmp_path / "train.csv").read_text()
    assert (tmp_path / "train.csv.kaggle-partial").exists()


@pytest.mark.parametrize(
    ("fault", "raised"),
    [
        ({"kind": "short", "at": 500}, ""),
        ({"kind": "gzip"}, "ValueError"),
        ({"kind": "strip", "headers": ["ETag"]}, ""),
    ],
)
def test_storage_that_misbehaves(
    server: Kaggle, library: Library, files: Path, tmp_path: Path, fault: dict[str, object], raised: str
) -> None:
    server.competition("odd-one", folder=files)
    server.fault("storage GET", fault)
    load = "api.competition_download_file('odd-one', 'train.csv', path=out, quiet=True)"
    if raised:
        with pytest.raises(Raised, match=raised):
            library(load, out=tmp_path)
        return
    library(load, out=tmp_path)
    size = (tmp_path / "train.csv").stat().st_size
    assert size == fault.get("at", (files / "train.csv").stat().st_size)


def test_signed_urls_age_by_the_servers_clock(server: Kaggle, library: Library, files: Path, tmp_path: Path) -> None:
    server.competition("old-url", folder=files)
    server.settings(url_seconds=-1)
    with pytest.raises(Raised, match="400 Client Error") as caught:
        library("api.competition_download_file('old-url', 'train.csv', path=out, quiet=True)", out=tmp_path)
    assert "ExpiredToken" in caught.value.answer


def test_the_leaderboard_by_page_and_as_a_zip(server: Kaggle, library: Library, tmp_path: Path) -> None:
    teams = [{"team": f"team {number}", "score": f"0.{number:03d}"} for number in range(1, 31)]
    server.competition("board-one", leaderboard=teams)
    page = library("api.competition_leaderboard_view('board-one', page_size=10)")
    assert [row["score"] for row in page[:2]] == ["0.030", "0.029"] and len(page) == 10
    second = library("api.competition_leaderboard_view('board-one', page_size=10, page_token='from-10')")
    assert second[0]["score"] == "0.020"
    library("api.competition_leaderboard_download('board-one', path=out)", out=tmp_path)
    with zipfile.ZipFile(tmp_path / "board-one.zip") as archive:
        lines = archive.read(archive.namelist()[0]).decode("utf-8-sig").splitlines()
    assert lines[0] == "Rank,TeamId,TeamName,LastSubmissionDate,Score,SubmissionCount,TeamMemberUserNames"
    assert len(lines) == 31 and lines[1].startswith("1,1029,team 30,")
    server.competition("board-one", maximize=False)
    assert library("api.competition_leaderboard_view('board-one')")[0]["score"] == "0.001"


def test_topics_and_their_messages(server: Kaggle, library: Library) -> None:
    messages = [{"text": f"m{number}", "author": "bob", "votes": number} for number in range(40)]
    messages[0]["replies"] = [{"text": "why?", "author": "eve"}]
    topics = [{"title": f"topic {number}", "votes": number, "messages": []} for number in range(25)]
    topics[3]["messages"] = messages
    server.competition("talk-one", topics=topics)
    page = library("api.competition_list_topics('talk-one', sort_by='top')")
    assert page["totalCount"] == 25 and [topic["votes"] for topic in page["topics"]] == list(range(24, 4, -1))
    rest = library("api.competition_list_topics('talk-one', sort_by='top', page=2)")["topics"]
    number = next(topic["id"] for topic in rest if topic["title"] == "topic 3")
    few = library("api.competition_list_topic_messages('talk-one', number)", number=number)["messages"]
    every = library("api.competition_list_topic_messages('talk-one', n, sort_by='top', page_size=-1)", n=number)
    assert len(few) == 30 and few[0]["replies"][0]["rawMarkdown"] == "why?"
    assert [message["votes"] for message in every["messages"]] == list(range(39, -1, -1))
    topic, comments, _ = library("api.forums_topic_show(number)", number=number)
    assert topic["title"] == "topic 3" and len(comments) == 40


def test_the_clock_is_in_every_answer(server: Kaggle) -> None:
    server.settings(clock_offset_s=86_400.0)
    told = datetime.fromisoformat(server.control("now"))
    assert timedelta(hours=23) < told - datetime.now(UTC) < timedelta(hours=25)
    server.settings(clock_frozen_at="2030-05-05T23:59:58Z")
    assert server.control("now") == "2030-05-05T23:59:58+00:00"
