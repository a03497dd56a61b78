"""One local Kaggle and one client for the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.competitions.kaggle.client import KaggleClient
from orchestrator.competitions.kaggle.credentials import find
from tests.competitions.kaggle.shop import Shop
from tests.kaggle_server.start import Kaggle, kaggle


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kaggle]:
    with kaggle(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Kaggle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KaggleClient]:
    environment = server.environment(tmp_path_factory.mktemp("home"))
    with KaggleClient(find(environment), environment=environment, sleep=lambda seconds: None) as made:
        yield made


@pytest.fixture
def shop(server: Kaggle, client: KaggleClient, tmp_path: Path, request: pytest.FixtureRequest) -> Shop:
    slug = "".join(mark if mark.isalnum() else "-" for mark in request.node.name.lower())[:90].strip("-")
    return Shop(server, client, tmp_path, slug)
