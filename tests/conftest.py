"""Options of the test run."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--campaigns", type=int, default=15, help="how many random campaigns play against their caps")
