"""One local Kaggle and one client; every test has a campaign, kernels and datasets of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from orchestrator.competitions.kaggle.client import KaggleClient
from tests.execution.kernels.play import Play, connect
from tests.kaggle_server.conftest import running, server  # noqa: F401
from tests.kaggle_server.start import Kaggle
from tests.referee.conftest import Stand, make_stand, sandbox  # noqa: F401

MakePlay = Callable[..., Play]


@pytest.fixture(scope="module")
def client(running: Kaggle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KaggleClient]:  # noqa: F811
    with connect(running, tmp_path_factory.mktemp("home")) as made:
        yield made


@pytest.fixture
def make_play(server: Kaggle, make_stand: Callable[..., Stand], client: KaggleClient) -> MakePlay:  # noqa: F811
    def make(folds: int = 2, **policy: Any) -> Play:
        return Play(make_stand(cv__folds=folds), server, client, **policy)

    return make


@pytest.fixture
def play(make_play: MakePlay) -> Play:
    return make_play()
