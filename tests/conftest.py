"""Options of the test run."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--campaigns", type=int, default=15, help="how many random campaigns play against their caps")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take minutes begin first: at the end one of them would run alone."""
    items.sort(key=lambda item: not item.nodeid.startswith(("tests/kill/", "tests/execution/test_ray_cluster.py")))
