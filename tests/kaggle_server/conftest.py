"""One server and one client process for the tests of the server; every test has competitions of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.kaggle_server.library import Library
from tests.kaggle_server.site import Settings
from tests.kaggle_server.start import Kaggle, kaggle


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kaggle]:
    with kaggle(tmp_path_factory.mktemp("kaggle")) as server:
        yield server


@pytest.fixture
def server(running: Kaggle) -> Iterator[Kaggle]:
    """The server as new, but for what is in it; nobody's credentials may have reached another host."""
    running.control("clear")
    running.settings(**asdict(Settings()))
    yield running
    assert running.leaks() == []


@pytest.fixture(scope="session")
def library(running: Kaggle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    client = Library(running.environment(tmp_path_factory.mktemp("home"), "token"))
    yield client
    client.close()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Two files of a competition, one of them in a folder."""
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    rows = [f"{row},{row % 7},{row % 2}" for row in range(5000)]
    (folder / "train.csv").write_text("\n".join(["id,x,y", *rows]) + "\n")
    (folder / "sub" / "x y.csv").write_text("a\n1\n")
    return folder


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    path = tmp_path / "answers.csv"
    path.write_text("id,y\n" + "".join(f"{row},{row % 2}\n" for row in range(40)))
    return path


@pytest.fixture
def guess(tmp_path: Path) -> Path:
    """A submission that ranks every row right."""
    path = tmp_path / "guess.csv"
    path.write_text("id,y\n" + "".join(f"{row},{0.1 + 0.8 * (row % 2):.2f}\n" for row in range(40)))
    return path
