"""The real client in its own process: what it reads, and that its hangs, exits and prints hurt nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.competitions.kaggle.client import KaggleClient
from orchestrator.competitions.kaggle.credentials import find
from orchestrator.competitions.kaggle.errors import NotThere, TryLater
from orchestrator.errors import CompetitionError
from tests.kaggle_server.start import KEY, ROOT, TOKEN, USER, Kaggle


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until(what: Any, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def test_what_a_competition_tells(server: Kaggle, client: KaggleClient, tmp_path: Path) -> None:
    for number in range(130):
        (tmp_path / f"f{number:03d}.csv").write_text("x\n" * (number + 1))
    board = [{"team": f"team {number}", "score": 1 - number / 1000} for number in range(250)]
    server.competition(
        "reads", folder=str(tmp_path), title="Reads", pages={"Evaluation": "# AUC"}, metric_text="Area under",
        leaderboard=board, daily_limit=7, deadline="2030-01-02T23:59:00Z",
    )  # fmt: skip
    info = client.competition("reads")
    assert (info.slug, info.title, info.metric, info.daily_limit) == ("reads", "Reads", "Area under", 7)
    assert info.deadline == datetime(2030, 1, 2, 23, 59, tzinfo=UTC) and info.entered and not info.code_only
    assert client.pages("reads") == {"Evaluation": "# AUC"}
    files = client.files("reads")
    assert [one.name for one in files] == [f"f{number:03d}.csv" for number in range(130)], "all pages"
    assert [one.bytes for one in files][:2] == [2, 4] and files[0].created is not None
    limits = client.submission_limits("reads")
    assert (limits.daily, limits.used_today, limits.allowed_now) == (7, 0, 7)
    rows = client.leaderboard("reads")
    assert [(row.rank, row.team) for row in rows[:2]] == [(1, "team 0"), (2, "team 1")] and len(rows) == 250
    server.fault("DownloadLeaderboard", {"kind": "error", "status": 404, "message": "none"})
    assert [(row.rank, row.team, row.score) for row in client.leaderboard("reads")] == [
        (row.rank, row.team, row.score) for row in rows
    ], "its pages tell the same"
    with pytest.raises(NotThere, match="'no-such' for this account"):
        client.competition("no-such")


def test_all_pages_of_submissions_in_any_order(server: Kaggle, client: KaggleClient) -> None:
    server.competition("pages")
    for number in range(230):
        server.control("human", slug="pages", description=f"entry {number}")
    expected = {f"entry {number}" for number in range(230)}
    assert {one.description for one in client.submissions("pages")} == expected
    server.settings(reorder_listing=True)
    assert {one.description for one in client.submissions("pages")} == expected
    server.settings(reorder_listing=False)
    assert len(client.submissions("pages")) == 230


def test_full_pages_without_a_token_are_asked_by_number(server: Kaggle, client: KaggleClient) -> None:
    server.competition("numbers")
    for _ in range(100):
        server.control("human", slug="numbers")
    asked = server.count("ListSubmissions")
    server.fault("ListSubmissions", {"kind": "set", "values": {"nextPageToken": ""}})
    assert len(client.submissions("numbers")) == 100
    assert [one["body"]["page"] for one in server.log("ListSubmissions")[asked:]] == [1, 2]


def test_its_clock_is_kaggles(server: Kaggle, client: KaggleClient) -> None:
    server.settings(clock_offset_s=86_400.0)
    ahead = client.server_time() - datetime.now(UTC)
    assert timedelta(hours=23, minutes=59) < ahead < timedelta(hours=24, minutes=1)
    server.fault("ListCompetitions", {"kind": "error", "status": 403, "message": "whatever it says"})
    assert client.server_time() - datetime.now(UTC) > timedelta(hours=23)
    server.settings(clock_offset_s=0.0)


def test_a_submission_in_two_steps(server: Kaggle, client: KaggleClient, tmp_path: Path) -> None:
    server.competition("two")
    csv = tmp_path / "x.csv"
    csv.write_text("id,y\n1,2\n")
    token = client.upload("two", csv, "R01_frozen.csv")
    assert server.submissions("two") == []
    ref = client.create_submission("two", token, "ak1 words")
    (entry,) = client.submissions("two")
    assert (entry.ref, entry.file_name, entry.description) == (ref, "R01_frozen.csv", "ak1 words")
    assert (entry.status, entry.public_score, entry.total_bytes) == ("pending", None, 9)
    (entry,) = client.submissions("two")
    assert (entry.status, entry.public_score) == ("complete", 0.5)
    server.fault("upload PUT", {"kind": "error", "status": 400})
    with pytest.raises(TryLater, match="could not be brought to Kaggle's storage"):
        client.upload("two", csv, "x.csv")
    assert server.leaks() == []


def test_retry_after_is_honoured_and_a_long_one_left_for_later(server: Kaggle, tmp_path: Path) -> None:
    waited: list[float] = []
    environment = server.environment(tmp_path)
    server.competition("slow")
    slow = {"kind": "error", "status": 429, "message": "slow down"}
    with KaggleClient(find(environment), environment=environment, sleep=waited.append) as client:
        server.fault("GetCompetition", {**slow, "retry_after": 7}, slow)
        assert client.competition("slow").slug == "slow"
        assert waited == [7.0, 6.0]
        server.fault("GetCompetition", {**slow, "retry_after": 3600})
        with pytest.raises(TryLater) as caught:
            client.competition("slow")
        assert caught.value.after_s == 3600 and len(waited) == 2
        server.fault("CreateSubmission", slow)
        with pytest.raises(TryLater):
            client.create_submission("slow", "token", "words")
        assert server.count("CreateSubmission") >= 1 and len(waited) == 2, "what changes something goes out once"


def quick(server: Kaggle, home: Path, timeout_s: float = 1.5) -> KaggleClient:
    environment = server.environment(home)
    return KaggleClient(find(environment), environment=environment, timeout_s=timeout_s, sleep=lambda _: None)


def test_a_server_that_hangs(server: Kaggle, tmp_path: Path) -> None:
    """The call ends in time, the process stays; one that trickles is ended with its process."""
    server.competition("hang")
    with quick(server, tmp_path) as client:
        client.whoami()
        pid, hang = client.pid, {"kind": "hang", "seconds": 30.0}
        server.fault("GetCompetition", hang, hang, hang)
        started = time.monotonic()
        with pytest.raises(TryLater, match="no answer in time"):
            client.competition("hang")
        assert time.monotonic() - started < 15
        assert client.pid == pid and client.competition("hang").slug == "hang"


def stopped(client: KaggleClient) -> None:
    assert client.pid is not None
    os.kill(client.pid, signal.SIGSTOP)


def killed(client: KaggleClient) -> None:
    assert client.pid is not None
    os.kill(client.pid, signal.SIGKILL)


@pytest.mark.parametrize("harm", [stopped, killed])
def test_a_process_that_hangs_or_dies_is_replaced(server: Kaggle, tmp_path: Path, harm: Any) -> None:
    server.competition("harm")
    with quick(server, tmp_path) as client:
        client.whoami()
        first = client.pid
        assert first is not None
        harm(client)
        assert client.competition("harm").slug == "harm", "reading is tried again with a new one"
        assert client.pid != first and not alive(first)
        harm(client)
        with pytest.raises(TryLater, match=r"client (did not answer|failed at)"):
            client.create_submission("harm", "token", "words")
    assert server.count("CreateSubmission") == 0 or server.submissions("harm") == []


PRELUDE = """
import builtins, os, sys, time
real = builtins.__import__
def imported(name, *rest, **options):
    if name.startswith("kaggle.") or name == "kaggle":
        {act}
    return real(name, *rest, **options)
builtins.__import__ = imported
"""


@pytest.mark.parametrize(
    ("act", "words"),
    [
        ("print('x' * 10_000_000)", ""),
        ("sys.exit(3)", "SystemExit"),
        ("os._exit(3)", "its process ended"),
        ("raise ImportError('no module six')", "no module six"),
    ],
)
def test_a_client_that_prints_or_exits_while_it_is_imported(
    server: Kaggle, tmp_path: Path, act: str, words: str
) -> None:
    """The interpreter runs a program of its own first, in which importing kaggle misbehaves."""
    (tmp_path / "sitecustomize.py").write_text(PRELUDE.format(act=act))
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n')
    wrapper.chmod(0o755)
    environment = server.environment(tmp_path / "home")
    with KaggleClient(find(environment), environment=environment, python=wrapper, sleep=lambda _: None) as client:
        if not words:
            assert client.whoami() == USER
            assert len(client.log) <= 1 << 16
            return
        with pytest.raises(CompetitionError, match=words):
            client.whoami()


def test_the_process_dies_with_its_parent_and_leaves_nothing(server: Kaggle, tmp_path: Path) -> None:
    environment = server.environment(tmp_path / "home", "token")
    program = f"""
        import os, time
        from orchestrator.competitions.kaggle.client import KaggleClient
        from orchestrator.competitions.kaggle.credentials import find
        client = KaggleClient(find({environment!r}), environment={environment!r})
        client.whoami()
        print(client.pid, client._child._home, flush=True)
        client.competition("hangs-for-ever")
    """
    server.fault("GetCompetition", {"kind": "hang", "seconds": 20.0})
    before = server.count("GetCompetition")
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid, home = parent.stdout.readline().split()
    wait_until(lambda: server.count("GetCompetition") > before)
    assert Path(home).stat().st_mode & 0o777 == 0o700
    command = Path(f"/proc/{pid}/cmdline").read_bytes().decode()
    assert TOKEN not in command and KEY not in command
    try:
        seen = Path(f"/proc/{pid}/environ").read_bytes().decode()
    except PermissionError:
        seen = ""  # it lets nobody look
    assert TOKEN not in seen
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not alive(int(pid)))
    assert not Path(home).exists()
    server.control("clear")
