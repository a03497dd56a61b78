"""What is tuned next: Optuna on registries whose best params are known."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from agents.offline.catalogue import BY_NAME
from agents.offline.notebook import Notebook, fingerprint, read
from agents.offline.recipe import draw
from agents.offline.tuning import KNOWN, local_step, next_params, place, trials
from tests.agents.desk import Desk, entry

BEST = {"C": 5.0, "gamma": 0.7}
SVM = BY_NAME["svm_rbf"]


def distance(params: Mapping[str, Any]) -> float:
    """From the best params, in shares of the space on its logarithmic axes."""
    steps = [
        math.log(params[name] / best) / math.log(SVM.space[name][1] / SVM.space[name][0]) for name, best in BEST.items()
    ]
    return math.hypot(*steps)


def drawn(rng: random.Random) -> dict[str, Any]:
    return {**SVM.params, **{name: draw(SVM.space[name], rng) for name in sorted(SVM.space)}}


def runs(count: int, seed: int, recipe: str = "svm_rbf") -> list[dict[str, Any]]:
    """Random params whose score falls with the square of the distance."""
    rng = random.Random(seed)
    found = [drawn(rng) for _ in range(count)]
    return [
        entry(number, recipe, 0.8 - 0.1 * distance(params) ** 2, params=params)
        for number, params in enumerate(found, 1)
    ]


def notebook(root: Path, entries: list[dict[str, Any]], **facts: Any) -> Notebook:
    return read(Desk(root).played(*entries).turn("builder", "plan", **facts))


def ask(book: Notebook, recipe: str = "svm_rbf") -> dict[str, Any]:
    """The next params around the best run."""
    found = next_params(book, BY_NAME[recipe], next(run for run in book.members if run.recipe == recipe))
    assert found is not None
    return found


def test_after_twelve_runs_what_is_asked_is_nearer_to_the_best_than_chance(tmp_path: Path) -> None:
    asked = [distance(ask(notebook(tmp_path, runs(12, seed)))) for seed in range(20)]
    chance = fmean(distance(drawn(random.Random(seed))) for seed in range(500))
    assert fmean(asked) < 0.65 * chance
    assert sum(one < chance for one in asked) >= 16


def test_the_same_registry_gives_the_same_params_and_another_round_or_seed_others(tmp_path: Path) -> None:
    first = ask(notebook(tmp_path, runs(12, 1)))
    assert ask(notebook(tmp_path, runs(12, 1))) == first
    assert ask(notebook(tmp_path, runs(12, 1), seed=43)) != first
    assert ask(notebook(tmp_path, [*runs(12, 1), entry(13, "knn", 0.7)])) != first


def test_while_little_is_known_a_step_is_made_from_the_best_run(tmp_path: Path) -> None:
    book = notebook(tmp_path, runs(KNOWN - 1, 1))
    assert ask(book) == local_step(book, SVM, book.members[0])
    more = notebook(tmp_path, runs(KNOWN, 1))
    assert ask(more) != local_step(more, SVM, more.members[0])


def test_what_was_played_is_never_asked_again_and_a_space_comes_to_its_end(tmp_path: Path) -> None:
    knn = BY_NAME["knn"]
    played = [entry(1, "knn", 0.8)]
    while len(played) < 30:
        book = notebook(tmp_path, played)
        params = next_params(book, knn, book.members[0])
        if params is None:
            break
        assert fingerprint("knn", params, knn.features) not in book.fingerprints
        played.append(entry(len(played) + 1, "knn", 0.8 - len(played) / 1e3, params=params))
    assert len(played) == (3 + 1) * 2  # each p with all the neighbors, and with those that are left to the data


def test_params_that_are_unset_or_outside_of_the_space_do_no_harm(tmp_path: Path) -> None:
    odd: list[Any] = [None, 1e9, -3, 0.0, "high", [1], True, float("inf"), 7.7, {}]
    found = [
        entry(number, "lightgbm_default", 0.8 - number / 1e3, params={"num_leaves": value, "bags": value, "C": value})
        for number, value in enumerate(odd, 1)
    ]
    asked = ask(notebook(tmp_path, found), "lightgbm_default")
    space = BY_NAME["lightgbm_default"].space
    assert 8 <= asked["num_leaves"] <= 128
    assert isinstance(asked["num_leaves"], int)
    assert asked["bags"] in space["bags"]
    assert asked["learning_rate"] is None  # left to the data by all


def test_what_the_best_run_leaves_to_the_data_is_asked_once_three_runs_have_set_it(tmp_path: Path) -> None:
    def asked(count: int) -> Any:
        rates = [0.02, 0.03, 0.05][:count] + [None] * (12 - count)
        found = [
            entry(number, "lightgbm_default", 0.7 + number / 1e3, params={"learning_rate": rate, "lambda_l2": number})
            for number, rate in enumerate(rates, 1)
        ]
        return ask(notebook(tmp_path, found), "lightgbm_default")["learning_rate"]

    assert asked(2) is None
    assert 0.01 <= asked(3) <= 0.1


def test_choices_that_are_lists_are_learned(tmp_path: Path) -> None:
    layers = BY_NAME["mlp"].space["layers"]
    found = [
        entry(
            number,
            "mlp",
            0.8 if layers[number % 4] == [256, 128] else 0.7,
            params={"layers": layers[number % 4], "alpha": number / 100},
        )
        for number in range(1, 25)
    ]
    asked = [ask(notebook(tmp_path, found, seed=seed), "mlp")["layers"] for seed in range(12)]
    assert all(one in layers for one in asked)
    assert asked.count([256, 128]) >= 8
    json.dumps(asked)


def test_a_run_that_the_gate_stopped_counts_by_what_it_lost_on_its_fold(tmp_path: Path) -> None:
    base = entry(1, "svm_rbf", 0.80, status="keep", fold_scores=[0.83, 0.79, 0.8, 0.79, 0.79])
    gated = entry(2, "svm_rbf", 0.82, complete=False, fold_scores=[0.82], params={"C": 1.0})
    broken = entry(3, "svm_rbf", None, status="crash", fold_scores=[0.9], params={"C": 2.0})
    book = notebook(tmp_path, [base, gated, broken])
    assert [(run.label, score) for run, score in trials(book, SVM, book.runs[0])] == [
        ("R01", 0.80),
        ("R02", pytest.approx(0.79)),
    ]
    lower = notebook(tmp_path, [base, gated, broken], maximize=False)
    assert [score for _, score in trials(lower, SVM, lower.runs[0])] == [-0.80, pytest.approx(-0.79)]


def test_bad_runs_that_the_gate_stopped_keep_tuning_away(tmp_path: Path) -> None:
    rng, found = random.Random(3), []
    for number in range(1, 17):
        params = {**drawn(rng), "C": draw((0.5, 4.9, "log") if number % 2 else (5.1, 50.0, "log"), rng)}
        low = {} if number % 2 else {"complete": False, "fold_scores": [0.7]}
        found.append(entry(number, "svm_rbf", 0.8 + number / 1e4, params=params, **low))
    asked = [ask(notebook(tmp_path, found, seed=seed))["C"] for seed in range(12)]
    assert sum(one < 5 for one in asked) >= 9


def test_runs_with_the_same_features_count_alone_once_there_are_enough(tmp_path: Path) -> None:
    names = {f"R{n:02d}" for n in range(1, KNOWN)}
    plain = [entry(n, "lightgbm_default", 0.8, params={"lambda_l2": n}) for n in range(1, KNOWN)]
    rich = [
        entry(n, "lightgbm_default", 0.8, params={"lambda_l2": n}, features={"frequency": 10}) for n in range(31, 35)
    ]
    recipe = BY_NAME["lightgbm_default"]
    book = notebook(tmp_path, plain + rich)
    assert len(trials(book, recipe, book.runs[0])) == KNOWN + 3
    book = notebook(tmp_path, [*plain, *rich, entry(40, "lightgbm_default", 0.8)])
    assert {run.label for run, _ in trials(book, recipe, book.runs[0])} == {*names, "R40"}


@pytest.mark.parametrize(
    ("spec", "value", "where"),
    [
        ([1, 3, 5, 8], 10, 3),
        ([1, 3, 5, 8], 4.4, 2),
        ([[3, 5], [10, 20]], [10, 20], 1),
        ([[3, 5], [10, 20]], [7], None),
        (["value", "rank"], 3, None),
        ((8, 128, "log"), 500, 128),
        ((8, 128, "log"), 9.6, 10),
        ((0.1, 1.0), 1, 1.0),
        ((0.1, 1.0), None, None),
        ((0.1, 1.0), float("nan"), None),
    ],
)
def test_values_have_places_on_their_axis(spec: Any, value: Any, where: Any) -> None:
    assert place(spec, value) == where
