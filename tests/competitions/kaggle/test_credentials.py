"""Credentials as people have them: found in every form, brought into one, accepted by the real client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.competitions.kaggle.client import KaggleClient
from orchestrator.competitions.kaggle.credentials import Credentials, find
from orchestrator.competitions.kaggle.errors import NeedsPerson
from tests.kaggle_server.start import KEY, REFRESH, TOKEN, USER, Kaggle

STALE = "KGAT_00000000000000000000000000000000"
JSON = json.dumps({"username": USER, "key": KEY})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".kaggle").mkdir()
    return tmp_path


def found(home: Path, **variables: str) -> list[tuple[str, str, str]]:
    return [(one.kind, one.username, one.secret) for one in find({"HOME": str(home), **variables}).found]


BY_TOKEN = [("token", "", TOKEN)]
BY_KEY = [("key", USER, KEY)]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"KAGGLE_API_TOKEN": TOKEN}, BY_TOKEN),
        ({"KAGGLE_API_TOKEN": f" {TOKEN}\n"}, BY_TOKEN),
        ({"KAGGLE_API_TOKEN": JSON}, BY_KEY),
        ({"KAGGLE_API_TOKEN": json.dumps({"username": USER, "key": TOKEN})}, BY_TOKEN),
        ({"KAGGLE_API_TOKEN": "x" * 2_000}, [("token", "", "x" * 2_000)]),
        ({"KAGGLE_USERNAME": USER, "KAGGLE_KEY": KEY}, BY_KEY),
        ({"KAGGLE_USERNAME": USER, "KAGGLE_KEY": TOKEN}, BY_TOKEN),
        ({"KAGGLE_KEY": TOKEN}, BY_TOKEN),
        ({"KAGGLE_KEY": KEY}, []),
        ({"KAGGLE_API_TOKEN": TOKEN, "KAGGLE_USERNAME": USER, "KAGGLE_KEY": KEY}, [*BY_TOKEN, *BY_KEY]),
        ({}, []),
    ],
)
def test_variables(home: Path, variables: dict[str, str], expected: list[tuple[str, str, str]]) -> None:
    assert found(home, **variables) == expected


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("kaggle.json", JSON, BY_KEY),
        ("kaggle.json", "\ufeff" + JSON, BY_KEY),
        ("kaggle.json", json.dumps({"username": USER, "key": TOKEN}), BY_TOKEN),
        ("access_token", TOKEN + "\n", BY_TOKEN),
        ("access_token.txt", "\ufeff" + TOKEN + "\r\n", BY_TOKEN),
        ("access_token", JSON, BY_KEY),
        ("credentials.json", json.dumps({"refresh_token": "r"}), [("oauth", "", '{"refresh_token": "r"}')]),
        ("access_token", "", []),
        ("kaggle.json", "{", []),
    ],
)
def test_files(home: Path, name: str, text: str, expected: list[tuple[str, str, str]]) -> None:
    (home / ".kaggle" / name).write_text(text)
    assert found(home) == expected


def test_a_token_by_the_path_of_its_file(home: Path) -> None:
    for text, expected in ((TOKEN, BY_TOKEN), (JSON, BY_KEY)):
        (home / "secret").write_text(text)
        assert found(home, KAGGLE_API_TOKEN=str(home / "secret")) == expected
    gone = find({"HOME": str(home), "KAGGLE_API_TOKEN": "/not/there"})
    assert gone.found == () and "/not/there is not there" in gone.problems[0]


def test_another_folder_and_a_replaced_half(home: Path) -> None:
    (home / "mine").mkdir()
    (home / "mine" / "kaggle.json").write_text(JSON)
    (home / ".kaggle" / "kaggle.json").write_text(json.dumps({"username": "other", "key": "f" * 32}))
    (home / ".kaggle" / "access_token").write_text(TOKEN)
    given = {"KAGGLE_CONFIG_DIR": str(home / "mine")}
    assert found(home, **given) == [*BY_KEY, *BY_TOKEN], "the client looks for tokens in ~/.kaggle alone"
    assert found(home, KAGGLE_KEY="9" * 32) == [*BY_TOKEN, ("key", "other", "9" * 32)]
    (home / ".config" / "kaggle").mkdir(parents=True)
    (home / ".config" / "kaggle" / "kaggle.json").write_text(JSON)
    assert found(home)[-1] == BY_KEY[0]


def test_the_campaigns_own_come_first_and_nothing_twice(home: Path) -> None:
    (home / ".kaggle" / "access_token").write_text(TOKEN)
    both = find({"HOME": str(home), "KAGGLE_API_TOKEN": TOKEN}, {"KAGGLE_USERNAME": USER, "KAGGLE_KEY": KEY})
    assert [one.source for one in both.found] == ["KAGGLE_KEY in the campaign's .env", "the variable KAGGLE_API_TOKEN"]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("kaggle.json", '{"username": "ada"}', "is not the JSON of a key"),
        ("kaggle.json", "[1]", "is not the JSON of a key"),
        ("access_token", "two tokens", "holds more than one token"),
        ("access_token", "x" * 100_000, "far too long"),
    ],
)
def test_what_cannot_be_used_is_told(home: Path, name: str, text: str, problem: str) -> None:
    (home / ".kaggle" / name).write_text(text)
    credentials = find({"HOME": str(home)})
    assert credentials.found == () and problem in credentials.problems[0]
    with KaggleClient(credentials, environment={}) as client, pytest.raises(NeedsPerson, match=problem):
        client.whoami()
    assert client.pid is None, "nothing was started"


def test_secrets_are_shown_nowhere(home: Path) -> None:
    (home / ".kaggle" / "credentials.json").write_text(json.dumps({"refresh_token": REFRESH, "access_token": "abcdef"}))
    credentials = find({"HOME": str(home), "KAGGLE_USERNAME": USER, "KAGGLE_KEY": KEY, "KAGGLE_API_TOKEN": TOKEN})
    shown = f"{credentials} {[*credentials.found]}"
    basic = "YWRhOjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVm"
    for secret in (KEY, TOKEN, REFRESH, basic):
        assert secret not in shown and secret not in credentials.redact(f"Basic {basic} {KEY} {TOKEN} {REFRESH}")


def test_the_process_sees_no_more_of_the_environment_than_it_needs(tmp_path: Path) -> None:
    shell = {"HOME": "/home/ada", "PATH": "/bin", "ANTHROPIC_API_KEY": "sk", "KAGGLE_KEY": KEY, "VERBOSE": "1"}
    shell |= {"http_proxy": "http://p", "KAGGLE_COMPETITION": "titanic", "KAGGLE_API_ENVIRONMENT": "LOCALHOST"}
    seen = Credentials().environment(tmp_path, shell)
    assert (seen["HOME"], seen["KAGGLE_CONFIG_DIR"]) == (str(tmp_path), str(tmp_path / ".kaggle"))
    assert seen["http_proxy"] == "http://p" and seen["KAGGLE_API_ENVIRONMENT"] == "LOCALHOST"
    assert not {"ANTHROPIC_API_KEY", "KAGGLE_KEY", "VERBOSE", "KAGGLE_COMPETITION"} & set(seen)


def signed_in(server: Kaggle, home: Path, **variables: str) -> tuple[str, str]:
    """(account, source) as Kaggle sees it."""
    environment = {**server.environment(home, "none"), **variables}
    with KaggleClient(find(environment), environment=environment, sleep=lambda _: None) as client:
        return client.whoami(), client.source


@pytest.mark.parametrize("way", ["json", "token", "oauth", "key", "variable"])
def test_kaggle_accepts_every_form(server: Kaggle, tmp_path: Path, way: str) -> None:
    environment = server.environment(tmp_path, way)
    with KaggleClient(find(environment), environment=environment) as client:
        assert client.whoami() == USER
        server.competition("forms")
        assert client.submissions("forms") == []
        assert (client.pid is not None) and not any(secret in client.log for secret in (KEY, TOKEN, REFRESH))
    assert server.leaks() == []


CASES: list[tuple[dict[str, str], dict[str, str], str]] = [
    ({"KAGGLE_API_TOKEN": JSON}, {}, "KAGGLE_API_TOKEN"),
    ({"KAGGLE_API_TOKEN": STALE}, {"kaggle.json": JSON}, "kaggle.json"),
    ({}, {"access_token": STALE, "kaggle.json": JSON}, "kaggle.json"),
    ({"KAGGLE_USERNAME": USER, "KAGGLE_KEY": "0" * 32}, {"access_token": TOKEN}, "access_token"),
]


@pytest.mark.parametrize(("variables", "files", "source"), CASES)
def test_the_first_that_kaggle_accepts_is_used(
    server: Kaggle, tmp_path: Path, variables: dict[str, str], files: dict[str, str], source: str
) -> None:
    (tmp_path / ".kaggle").mkdir()
    for name, text in files.items():
        (tmp_path / ".kaggle" / name).write_text(text)
    account, where = signed_in(server, tmp_path, **variables)
    assert account == USER and source in where


def test_none_is_accepted(server: Kaggle, tmp_path: Path) -> None:
    variables: dict[str, Any] = {"KAGGLE_API_TOKEN": STALE, "KAGGLE_USERNAME": USER, "KAGGLE_KEY": "0" * 32}
    with pytest.raises(NeedsPerson) as caught:
        signed_in(server, tmp_path, **variables)
    assert str(caught.value) == (
        "Kaggle accepts none of the credentials (the variable KAGGLE_API_TOKEN: expired or revoked; the variable "
        "KAGGLE_KEY: refused with 401, Unauthenticated): make a new token at https://www.kaggle.com/settings/api and "
        "put it into ~/.kaggle/access_token"
    )


@pytest.fixture
def second_key(server: Kaggle) -> Iterator[None]:
    yield
    server.control("user", name=USER, key=KEY, token=TOKEN, refresh=REFRESH)


def test_a_token_that_is_revoked_while_we_play(server: Kaggle, tmp_path: Path, second_key: None) -> None:
    """Reading goes on with the next credential; without one a person must help."""
    environment = {**server.environment(tmp_path, "json"), "KAGGLE_API_TOKEN": TOKEN}
    server.competition("revoked")
    with KaggleClient(find(environment), environment=environment, sleep=lambda _: None) as client:
        assert client.whoami() == USER and "TOKEN" in client.source
        server.control("user", name=USER, key=KEY, token="KGAT_new", refresh=REFRESH)
        assert client.submissions("revoked") == [] and "kaggle.json" in client.source
        server.control("user", name=USER, key="new", token="KGAT_new", refresh=REFRESH)
        with pytest.raises(NeedsPerson, match=r"none of the credentials.*settings/api"):
            client.submissions("revoked")
