"""A local Kaggle for the tests of one file, and someone new at a terminal for each test."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.kaggle_server.start import Kaggle, kaggle
from tests.run.person import Person, serve


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kaggle]:
    now = datetime.now(UTC)  # the clock of those who type
    if (now - timedelta(minutes=11)).date() != (now + timedelta(minutes=15)).date():
        pytest.skip("around midnight UTC submissions are held, since the day to count is not certain")
    folder = tmp_path_factory.mktemp("server")
    with kaggle(folder / "state") as running:
        serve(running, folder)
        yield running


@pytest.fixture
def person(server: Kaggle, tmp_path: Path) -> Person:
    server.control("clear")
    return Person(server, tmp_path)
