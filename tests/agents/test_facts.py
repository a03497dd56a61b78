"""What the profile tells the recipes: codes by name, pictures, columns that are 0 nearly everywhere."""

from __future__ import annotations

from typing import Any

import pytest

from agents.offline.catalogue import BY_NAME
from agents.offline.notebook import NO_PROFILE
from agents.offline.recipe import Facts


def facts(columns: dict[str, dict[str, Any]], names: list[str] | None = None) -> Facts:
    profile = {**NO_PROFILE, "rows": {"train": 5000, "test": 1000}, "column_details": columns}
    competition = {"task": "binary", "classes": [0, 1], "target_columns": ["y"]}
    return Facts.of({**profile, "numeric_columns": names or list(columns)}, competition)


def number(**more: Any) -> dict[str, Any]:
    usual = {"distinct": 500, "min": 0.0, "max": 600.0, "p50": 300.0, "zeros": 0.0, "whole": True}
    return {"kind": "number", **usual, **more}


@pytest.mark.parametrize(("name", "coded"), [("userId", 1), ("shop_code", 1), ("paid", 0), ("height", 0)])
def test_codes_are_told_by_their_names(name: str, coded: int) -> None:
    assert facts({name: number(), "x": number(whole=False)}).coded == coded


def test_a_picture_costs_as_much_as_the_numbers_that_it_becomes() -> None:
    names = [f"pixel{k}" for k in range(784)]
    known = {name: number(max=255.0, zeros=0.95) for name in names[:200]}
    picture = facts(known, names)
    assert (picture.numbers, picture.thin) == (80, 0.0)
    assert BY_NAME["svm_rbf"].hint(picture) > BY_NAME["lightgbm_default"].hint(picture)
    table = facts({name: number(max=10.0**k) for k, name in enumerate(names[:200])}, names)
    assert table.numbers == 784, "columns of many scales are none"
    assert facts(dict(list(known.items())[:100])).numbers == 100
    flags = facts({name: number(max=1.0, distinct=2) for name in names[:200]}, names)
    assert (flags.numbers, flags.pictures) == (784, False)


def test_columns_that_are_0_nearly_everywhere_cost_little() -> None:
    full = facts({f"n{k}_": number() for k in range(100)})
    thin = facts({f"n{k}_": number(zeros=0.99) for k in range(100)})
    for name, share in (("lightgbm_default", 0.3), ("xgboost_default", 0.65)):
        assert BY_NAME[name].seconds(thin) < share * BY_NAME[name].seconds(full)
