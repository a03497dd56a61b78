"""Feature blocks that one family gained much from go to the other families."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agents.offline.moves import all_options
from agents.offline.options import Option, applicable
from agents.offline.render import render
from agents.offline.transfers import best_donor, transfers
from tests.agents.desk import entry
from tests.agents.test_switches import notebook

PLAIN = entry(1, "lightgbm_default", 0.80, status="keep", role="improve", expected_gain=0.0)
TREES = entry(2, "extra_trees", 0.799)


def rich(cv: float, **more: Any) -> dict[str, Any]:
    return entry(3, "lightgbm_interactions", cv, **more)


def found(root: Path, *entries: dict[str, Any], **facts: Any) -> list[Option]:
    root.mkdir(exist_ok=True)
    book = notebook(root, *entries, **facts)
    options = list(transfers(book, applicable(book)))
    assert {option.fingerprint for option in options} <= {option.fingerprint for option in all_options(book)}
    return options


def test_blocks_that_brought_much_go_to_the_best_run_of_another_family(tmp_path: Path) -> None:
    (option,) = found(tmp_path, PLAIN, TREES, rich(0.81))
    assert (option.recipe.name, option.parent, option.features["interactions"]) == ("extra_trees", "R02", 6)
    assert option.features["target_encoding"] == 10, "its own blocks stay"
    assert "5.0 standard errors" in option.hypothesis
    text = render(option.recipe, option.params, option.features, title="t", hypothesis=option.hypothesis, seed=1)
    assert "interactions" in text


def test_the_more_they_brought_the_more_is_hoped_for(tmp_path: Path) -> None:
    (little,) = found(tmp_path / "a", PLAIN, TREES, rich(0.8015))
    (more,) = found(tmp_path / "b", PLAIN, TREES, rich(0.803))
    assert 0 < little.units < more.units <= 1.0


def test_what_brought_nothing_was_done_or_has_a_recipe_of_its_own_is_left_alone(tmp_path: Path) -> None:
    assert not found(tmp_path / "noise", PLAIN, TREES, rich(0.8002))
    (option,) = found(tmp_path / "new", PLAIN, TREES, rich(0.81))
    done = entry(4, "extra_trees", 0.805, features=option.features, params=option.params, parent="R02")
    assert not found(tmp_path / "done", PLAIN, TREES, rich(0.81), done)
    encoded = entry(3, "lightgbm_encoded", 0.81)
    names = {one.recipe.name for one in found(tmp_path / "own", PLAIN, entry(2, "xgboost_default", 0.799), encoded)}
    assert "xgboost_default" not in names, "xgboost_encoded is there to be played"


def test_a_first_score_is_no_rival(tmp_path: Path) -> None:
    quick = entry(1, "lightgbm_quick", 0.70, status="keep", role="improve", expected_gain=0.0)
    assert best_donor(notebook(tmp_path, quick, rich(0.81))) is None
