"""Feature blocks: what one switched off teaches, and what two good runs make of each other when nothing is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agents.offline.catalogue import BY_NAME
from agents.offline.crossings import crossings
from agents.offline.moves import all_options
from agents.offline.notebook import Notebook, read
from agents.offline.options import STUCK, Option, applicable
from agents.offline.render import render
from agents.offline.switches import worths
from tests.agents.desk import TABLE, TEXT, Desk, entry

RICH = dict(BY_NAME["lightgbm_encoded"].features)
FIRST = entry(1, "lightgbm_encoded", 0.80, status="keep", role="improve", expected_gain=0.0)
BLOCKS = {"crosses", "frequency", "related_numbers", "row_stats", "string_parts", "target_encoding"}


def notebook(root: Path, *entries: dict[str, Any], profile: dict[str, Any] = TABLE, **facts: Any) -> Notebook:
    return read(Desk(root, profile=profile).played(*entries).turn("builder", "plan", **facts))


def without(number: int, block: str, cv: float, **more: Any) -> dict[str, Any]:
    """R01 with a block off."""
    settings = {"features": {**RICH, block: 0}, "parent": "R01", "role": "improve"}
    return entry(number, "lightgbm_encoded", cv, **{**settings, **more})


def changed(option: Option) -> set[str]:
    return {name for name in {*RICH, *option.features} if (option.features.get(name) or 0) != (RICH.get(name) or 0)}


def lessons(book: Notebook) -> dict[str, Option]:
    """Block → the option that switches it off and nothing else."""
    off = [option for option in all_options(book) if "off shows what the block is worth" in option.hypothesis]
    assert all(len(changed(option)) == 1 and option.parent == "R01" for option in off)
    return {next(iter(changed(option))): option for option in off}


def refinements(book: Notebook) -> list[Option]:
    """Changes of a block of R01 to another option, the best first."""
    found = [
        option
        for option in all_options(book)
        if option.parent == "R01" and "gains from" in option.hypothesis and "bags" not in option.hypothesis
    ]
    return sorted(found, key=lambda option: -option.units)


def test_each_block_of_the_best_run_can_be_switched_off_where_time_is_long(tmp_path: Path) -> None:
    found = lessons(notebook(tmp_path, FIRST))
    assert set(found) == BLOCKS
    for block, option in found.items():
        assert f"with {block} off" in option.hypothesis
        assert option.role == "improve"
        text = render(option.recipe, option.params, option.features, title="t", hypothesis=option.hypothesis, seed=1)
        assert f"({block}," not in text
    assert not lessons(notebook(tmp_path, FIRST, seconds_left=600))


def test_what_was_switched_off_before_is_not_again_and_the_next_lesson_is_worth_less(tmp_path: Path) -> None:
    before = lessons(notebook(tmp_path, FIRST))
    after = lessons(notebook(tmp_path, FIRST, without(2, "frequency", 0.799)))
    assert set(after) == BLOCKS - {"frequency"}
    assert after["crosses"].units == pytest.approx(0.8 * before["crosses"].units)


def test_lessons_are_worth_as_much_after_changes_that_failed(tmp_path: Path) -> None:
    misses = [without(n, "frequency", 0.79, features={**RICH, "frequency": n}) for n in (20, 21, 22, 23)]
    before, after = (lessons(notebook(tmp_path, FIRST, *more))["crosses"] for more in ([], misses))
    assert before.units == after.units
    assert refinements(notebook(tmp_path, FIRST, *misses))[0].units < after.units


def test_lessons_do_not_lessen_what_other_changes_are_worth(tmp_path: Path) -> None:
    fresh, taught = (notebook(tmp_path, FIRST, *more) for more in ([], [without(2, "frequency", 0.80)]))
    assert refinements(taught)[0].units == pytest.approx(refinements(fresh)[0].units)
    other = without(2, "frequency", 0.80, features={**RICH, "frequency": 20})
    assert refinements(notebook(tmp_path, FIRST, other))[0].units < refinements(fresh)[0].units


def test_the_block_that_mattered_most_is_refined_first(tmp_path: Path) -> None:
    runs = [FIRST, without(2, "frequency", 0.7995), without(3, "target_encoding", 0.796), without(4, "crosses", 0.798)]
    book = notebook(tmp_path, *runs)
    measured = worths(book, "lightgbm")
    assert measured == pytest.approx({"frequency": 0.25, "target_encoding": 2.0, "crosses": 1.0})
    found = refinements(book)
    order = [next(iter(changed(option))) for option in found]
    assert order[:2] == ["target_encoding"] * 2
    assert order[2] == "crosses"  # with the option of another recipe: it has no space of its own
    ratio = found[0].units / found[-1].units
    assert ratio == pytest.approx(3.0)
    flat = refinements(notebook(tmp_path, *runs, seconds_left=600))
    assert {option.units for option in flat} == {flat[0].units}


def test_a_lesson_that_the_gate_stopped_counts_by_its_fold(tmp_path: Path) -> None:
    gated = without(2, "target_encoding", 0.79, complete=False, fold_scores=[0.79])
    broken = without(3, "frequency", None, status="crash", fold_scores=[0.7])
    assert worths(notebook(tmp_path, FIRST, gated, broken), "lightgbm") == pytest.approx({"target_encoding": 5.0})
    other = without(4, "frequency", 0.70, params={**FIRST["params"], "num_leaves": 9})
    assert worths(notebook(tmp_path, FIRST, other), "lightgbm") == {}


def test_a_block_that_was_added_is_measured_as_well(tmp_path: Path) -> None:
    more = entry(2, "lightgbm_encoded", 0.803, parent="R01", features={**RICH, "interactions": 4})
    assert worths(notebook(tmp_path, FIRST, more), "lightgbm") == pytest.approx({"interactions": 1.5})
    lower = notebook(tmp_path, FIRST, more, maximize=False)
    assert worths(lower, "lightgbm") == pytest.approx({"interactions": -1.5})


def misses(count: int, start: int = 3) -> list[dict[str, Any]]:
    return [entry(n, "extra_trees", None, status="crash", params={"n": n}) for n in range(start, start + count)]


def crossed(book: Notebook) -> list[Option]:
    return list(crossings(book, applicable(book)))


def test_two_good_runs_are_crossed_only_when_nothing_was_kept_for_long(tmp_path: Path) -> None:
    pair = [FIRST, entry(2, "catboost_native", 0.799)]
    assert not crossed(notebook(tmp_path, *pair, *misses(STUCK - 2)))
    stuck = notebook(tmp_path, *pair, *misses(STUCK - 1))
    there, back = crossed(stuck)
    assert (there.recipe.name, there.params, there.parent) == ("lightgbm_encoded", FIRST["params"], "R01")
    assert changed(there) == {"frequency", "related_numbers", "target_encoding"}  # CatBoost takes no crosses
    assert (back.recipe.name, back.features["target_encoding"], back.parent) == ("catboost_native", 10, "R02")
    assert "crosses" not in back.features
    assert {there.fingerprint, back.fingerprint} <= {option.fingerprint for option in all_options(stuck)}
    assert {there.role, back.role} == {"improve"}
    assert "as in R02" in there.hypothesis.replace("[", "").split(" catboost")[0]
    assert not crossed(notebook(tmp_path, *pair, *misses(STUCK - 1), seconds_left=600))


def test_lessons_are_no_branches_of_their_own(tmp_path: Path) -> None:
    taught = [without(2 + n, block, 0.7995) for n, block in enumerate(sorted(BLOCKS))]
    book = notebook(tmp_path, FIRST, *taught, entry(10, "catboost_native", 0.799), *misses(STUCK, 11))
    assert {option.parent for option in crossed(book)} == {"R01", "R10"}


def test_a_crossing_is_bold_where_a_bold_round_is_due(tmp_path: Path) -> None:
    pair = [FIRST, entry(2, "catboost_native", 0.799)]
    stuck = notebook(tmp_path, *pair, *misses(8), force_bold=True)
    assert {option.role for option in crossed(stuck)} == {"bold"}


def test_a_crossing_is_never_repeated_and_each_that_failed_makes_the_next_worth_less(tmp_path: Path) -> None:
    runs = [FIRST, entry(2, "catboost_native", 0.799), *misses(STUCK)]
    seen: set[str] = set()
    last = 9.0
    for number in range(20, 30):
        book = notebook(tmp_path, *runs)
        found = crossed(book)
        if not found:
            break
        assert not seen & {option.fingerprint for option in found}
        best = max(found, key=lambda option: option.units)
        seen.add(best.fingerprint)
        assert best.units < last
        last = best.units
        settings = {"params": best.params, "features": best.features, "parent": best.parent}
        runs.append(entry(number, best.recipe.name, 0.79, **settings))
    assert len(seen) >= 2


def test_branches_of_one_recipe_are_crossed_where_several_blocks_differ(tmp_path: Path) -> None:
    tuned = entry(2, "lightgbm_encoded", 0.801, status="keep", params={**FIRST["params"], "num_leaves": 9})
    features = {**RICH, "interactions": 6}
    built = entry(3, "lightgbm_encoded", 0.800, features=features)
    assert not crossed(notebook(tmp_path, FIRST, tuned, built, *misses(STUCK, 4)))
    more = {**built, "features": {**features, "group_means": 3}}
    (found,) = crossed(notebook(tmp_path, FIRST, tuned, more, *misses(STUCK, 4)))
    assert found.params == tuned["params"]  # the other way round is R01
    assert found.features == more["features"]


def test_models_that_read_texts_by_themselves_are_not_crossed(tmp_path: Path) -> None:
    pair = [entry(1, "text_stack", 0.8, status="keep"), entry(2, "lightgbm_default", 0.79)]
    assert not crossed(notebook(tmp_path, *pair, *misses(STUCK), profile=TEXT))


def test_a_block_switched_off_again_is_the_run_that_never_had_it(tmp_path: Path) -> None:
    built = entry(2, "lightgbm_encoded", 0.81, status="keep", parent="R01", features={**RICH, "interactions": 6})
    assert all(option.features.get("interactions") != 0 for option in all_options(notebook(tmp_path, FIRST, built)))
    assert FIRST["params"] not in [
        option.params
        for option in all_options(notebook(tmp_path, FIRST, built))
        if option.recipe.name == "lightgbm_encoded" and option.features == RICH
    ]


def test_a_block_that_changed_no_prediction_is_left_alone(tmp_path: Path) -> None:
    def offered(*entries: dict[str, Any]) -> set[str]:
        return set().union(*(changed(option) for option in refinements(notebook(tmp_path, FIRST, *entries))))

    features = {**RICH, "group_means": 3}
    assert "group_means" in offered(without(2, "", 0.80, features=features, correlations={"R01": 0.9999}))
    left = offered(without(2, "", 0.80, features=features, correlations={"R01": 1.0}))
    assert "interactions" in left
    assert "group_means" not in left


def test_a_block_whose_options_give_the_same_is_not_taken_for_idle(tmp_path: Path) -> None:
    """With few columns related_numbers makes as many as it can, be it 40 or 60."""
    more = without(2, "", 0.80, features={**RICH, "related_numbers": 60}, correlations={"R01": 1.0})
    assert "related_numbers" in lessons(notebook(tmp_path, FIRST, more))


def test_more_bags_are_worth_most_where_there_are_few_and_keep_their_worth(tmp_path: Path) -> None:
    def more_bags(bags: int, *entries: dict[str, Any]) -> Option:
        first = entry(1, "lightgbm_encoded", 0.80, params=dict(FIRST["params"], bags=bags))
        blend = entry(30, "blend_weights", 0.81, status="keep")
        book = notebook(tmp_path, first, *entries, blend, seconds_left=600)
        (found,) = [option for option in all_options(book) if "bags instead of" in option.hypothesis]
        return found

    misses = [without(n, "frequency", 0.79, features={**RICH, "frequency": n}) for n in (20, 21, 22, 23)]
    assert more_bags(1).params["bags"] == 3
    assert more_bags(1).units == pytest.approx(3 * more_bags(4).units)
    assert more_bags(1, *misses).units == pytest.approx(more_bags(1).units)
