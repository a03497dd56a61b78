"""Every recipe renders to a clean, small, deterministic file; on hostile little tables the files run and learn."""

from __future__ import annotations

import json
import py_compile
import random
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agents.offline.catalogue import BY_NAME, RECIPES
from agents.offline.notebook import NO_PROFILE
from agents.offline.recipe import Facts, Recipe, draw
from agents.offline.render import render, without_idle

MAX_BYTES = 100_000
QUICK = {"rounds": 40, "trees": 30, "epochs": 15, "bags": 1, "max_terms": 3000, "components": 60}
TABLE = ("lightgbm_default", "lightgbm_encoded")
RUNS = {
    "binary": (*TABLE, "xgboost_encoded", "catboost_native", "linear_sparse", "svm_rbf", "extra_trees", "mlp"),
    "rare_classes": (*TABLE, "catboost_native", "svm_rbf", "knn", "kernel_ridge", "linear_onehot", "discriminant"),
    "dates": (*TABLE, "lightgbm_interactions", "xgboost_encoded", "catboost_native", "ridge_log", "linear_onehot"),
    "multilabel": (*TABLE, "catboost_native", "linear_onehot", "knn", "discriminant"),
    "exclusive": ("lightgbm_joint", "xgboost_joint", "mlp"),
    "many_values": ("mlp", "linear_onehot", "linear_sparse"),
    "multiregression": (*TABLE, "xgboost_encoded", "kernel_ridge", "mlp", "extra_trees", "svm_rbf", "knn"),
    "text": ("text_logistic", "text_nbsvm", "text_bayes", "text_stack", "text_svd_boost", "lightgbm_default"),
    "text_pairs": ("lightgbm_default", "text_logistic", "text_stack"),
    "codes": ("lightgbm_encoded", "linear_crosses", "catboost_native"),
    "pixels": ("lightgbm_default", "svm_rbf", "knn", "discriminant", "extra_trees", "mlp", "linear_sparse"),
    "ranking": ("lightgbm_default",),
    "tiny": (*TABLE, "xgboost_encoded", "catboost_native", "svm_rbf", "knn", "mlp", "linear_crosses"),
}
CASES = [(kind, name) for kind, names in RUNS.items() for name in names]
DRIVER = """
import json, runpy, sys, traceback
failures = {}
plan, report = sys.argv[1:]
for script, source, out in json.load(open(plan)):
    sys.argv = [script, source, out]
    try:
        runpy.run_path(script, run_name="__main__")
    except BaseException:
        failures[script] = traceback.format_exc()
json.dump(failures, open(report, "w"))
"""


def table(kind: str, n: int = 300) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A frame with targets and the part of task.json that describes it."""
    rng = np.random.default_rng(len(kind))
    x, z = rng.normal(size=n), rng.normal(size=n)
    color = rng.choice(["red", "green", "blue"], n)
    signal = 2 * x + (color == "red") * 2 - 1
    frame = pd.DataFrame({"row_id": [f"g{i // 3:03d}_{i % 3}" for i in range(n)], "x": x, "z": z, "color": color})
    task: dict[str, Any] = {"metric": "auc", "task": "binary", "target_columns": ["y"], "classes": [False, True]}
    yes = signal + rng.logistic(size=n) * 0.3 > 0
    if kind == "binary":
        frame["cabin"] = [f"{d}/{i % 50}/{'PS'[i % 2]}" if i % 9 else None for i, d in enumerate(color)]
        frame["x"] = np.where(rng.random(n) < 0.1, np.inf, x)
        frame["nothing"], frame["same"] = np.full(n, np.nan), 7
        frame["mixed"] = [str(i % 5) if i % 3 else "unknown" for i in range(n)]
        frame["flag"] = [None if i % 7 == 0 else bool(i % 2) for i in range(n)]
        frame["huge"] = rng.normal(size=n) * 1e30
        frame["tags"] = [json.dumps(["a"] * (i % 4)) for i in range(n)]
        frame["room"], frame["food"] = np.maximum(0, x * 100).round(), np.maximum(0, z * 100).round()
        frame["y"] = yes
    elif kind == "rare_classes":
        names = ["ash", "birch", "cedar", "willow"]
        place = np.clip(np.digitize(signal, [-1.5, 1.5]), 0, 2)
        place[:9] = 0
        frame["y"] = np.array(names)[place]
        task |= {"metric": "log_loss", "task": "multiclass", "classes": [*names, "never seen"]}
    elif kind == "dates":
        frame["when"] = pd.date_range("2024-01-01", periods=n, freq="5h").astype(str)
        frame["area_in"], frame["area_out"] = rng.gamma(2, 50, n), rng.gamma(2, 50, n)
        for side in ("from", "to"):
            frame[f"{side}_lat"], frame[f"{side}_lon"] = 48 + rng.normal(size=n) / 50, 2 + rng.normal(size=n) / 50
        frame["code"] = ["".join(letters) for letters in rng.choice(list("ABCD"), (n, 6))]
        hours = pd.to_datetime(frame["when"]).dt.hour
        frame["y"] = np.exp(signal / 2 + 0.1 * hours)
        task |= {"metric": "rmsle", "task": "regression", "classes": [], "date_columns": ["when"]}
    elif kind == "multilabel":
        frame["a"], frame["b"], frame["never"] = yes.astype(int), (z > 0).astype(float), 0
        frame.loc[::11, "b"] = np.nan
        task |= {"metric": "mean_column_auc", "task": "multilabel", "target_columns": ["a", "b", "never"]}
    elif kind == "exclusive":
        one = np.digitize(signal, [-2, 0, 3])  # the last has no target
        frame[["a", "b", "c"]] = np.eye(4, dtype=int)[one][:, :3]
        task |= {"metric": "mean_column_auc", "task": "multilabel", "target_columns": ["a", "b", "c"]}
    elif kind == "many_values":
        for i in range(5):
            frame[f"t{i}"] = signal * (i - 2.5) + rng.normal(size=n)
        task |= {"metric": "rmse", "task": "multiregression", "classes": []}
        task["target_columns"] = [f"t{i}" for i in range(5)]
    elif kind == "multiregression":
        frame["a"], frame["b"] = signal**2, z * 3 + rng.normal(size=n) * 0.1
        task |= {"metric": "mae", "task": "multiregression", "target_columns": ["a", "b"], "classes": []}
    elif kind in ("text", "text_pairs"):
        words = {0: "moon night ghost dark", 1: "money trade bank price", 2: "ball goal team run"}
        topic = rng.integers(0, 3, n)
        said = [" ".join(rng.choice((words[t] + " the a of and").split(), 9)) for t in topic]
        said[3] = ""
        frame = pd.DataFrame({"row_id": range(n), "said": said})
        task |= {"metric": "log_loss", "task": "multiclass", "classes": [0, 1, 2], "text_columns": ["said"]}
        frame["y"] = topic
        if kind == "text_pairs":
            frame["reply"] = [s if i % 2 else "another thing" for i, s in enumerate(said)]
            frame["y"] = (np.arange(n) % 2) * 2.0 + rng.normal(size=n) * 0.1
            task |= {"metric": "rmse", "task": "regression", "classes": [], "text_columns": ["said", "reply"]}
    elif kind == "codes":
        codes = rng.integers(1000, 300_000, 40)
        frame = pd.DataFrame({c: rng.choice(codes, n) for c in ("resource", "manager", "role")})
        frame["y"] = np.where((frame["role"] % 2 == 0) ^ (rng.random(n) < 0.1), "1", "0")
        frame.insert(0, "row_id", range(n))
        task |= {"classes": ["0", "1"], "categorical_columns": ["resource", "manager", "role"]}
    elif kind == "pixels":
        digit = rng.integers(0, 3, n)
        shade = rng.integers(0, 17, (3, 20))[digit] + rng.integers(-3, 4, (n, 20))
        frame = pd.DataFrame(np.clip(shade, 0, 16), columns=[f"p{i}" for i in range(20)])
        frame["y"] = digit
        task |= {"metric": "accuracy", "task": "multiclass", "classes": [0, 1, 2]}
    elif kind == "ranking":
        frame["query"], frame["y"] = [f"q{i // 6}" for i in range(n)], np.clip(np.round(signal), 0, 3)
        task |= {"metric": "ndcg", "task": "regression", "classes": [], "group_column": "query"}
    elif kind == "tiny":
        frame["y"] = np.where(yes, "yes", "no")
        task |= {"classes": ["no", "yes"], "numeric_columns": ["x"], "metric": "log_loss"}
    return frame, task


def make_inputs(kind: str, folder: Path) -> pd.DataFrame:
    """Writes IN/ for one fold; returns the frame of valid with its labels."""
    frame, task = table(kind, 60 if kind == "tiny" else 300)
    folder.mkdir(parents=True)
    third = len(frame) // 5
    order = np.arange(len(frame)) if kind in ("dates", "ranking") else np.random.default_rng(1).permutation(len(frame))
    parts = {"test": order[:third], "valid": order[third : 2 * third], "train": order[2 * third :]}
    for name, rows in parts.items():
        part = frame.iloc[rows].reset_index(drop=True)
        if name == "train" and "color" in part:
            part = part.assign(color=part["color"].where(part["color"] != "blue", "green"))  # blue is unseen
        (part if name == "train" else part.drop(columns=task["target_columns"])).to_parquet(folder / f"{name}.parquet")
    common = {"id_column": "row_id", "fold": 0, "seed": 3, "cores": 1, "seconds": 100, "previous": []}
    (folder / "task.json").write_text(json.dumps({**common, **task}))
    return frame.iloc[parts["valid"]].reset_index(drop=True)


def sample(recipe: Recipe, rng: random.Random) -> dict[str, Any]:
    """Params all drawn anew from the recipe's space."""
    return {**recipe.params, **{name: draw(recipe.space[name], rng) for name in sorted(recipe.space)}}


def facts(task: str, **profile: Any) -> Facts:
    return Facts.of({**NO_PROFILE, **profile}, {"task": task, "classes": [], "target_columns": ["y"]})


def render_quick(name: str, **features: Any) -> str:
    recipe = BY_NAME[name]
    params = {key: value for key, value in QUICK.items() if key in recipe.params}
    return render(recipe, params, features, title=f"Try {name}", hypothesis='It "helps" \\ a lot', seed=5)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str], dict[str, pd.DataFrame]]:
    """Runs every case, one interpreter for all: the folder, tracebacks per script, the labels of valid per kind."""
    root = tmp_path_factory.mktemp("playbook")
    truths = {kind: make_inputs(kind, root / kind / "in") for kind in RUNS}
    jobs = []
    for kind, name in CASES:
        script, out = root / kind / f"{name}.py", root / kind / name
        script.write_text(render_quick(name))
        out.mkdir()
        jobs.append([str(script), str(root / kind / "in"), str(out)])
    plan, report = root / "plan.json", root / "failures.json"
    plan.write_text(json.dumps(jobs))
    command = [sys.executable, "-c", DRIVER, str(plan), str(report)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return root, json.loads(report.read_text()), truths


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_experiments_run_and_beat_a_constant(outcomes: Any, kind: str, name: str) -> None:
    root, failures, truths = outcomes
    assert failures.get(str(root / kind / f"{name}.py")) is None
    task = json.loads((root / kind / "in" / "task.json").read_text())
    valid, test = (np.load(root / kind / name / f"{part}.npy") for part in ("valid", "test"))
    wide = len(task["classes"]) if task["task"] == "multiclass" else len(task["target_columns"])
    truth = truths[kind]
    assert valid.shape == test.shape == (len(truth), wide)
    assert np.isfinite(valid).all() and np.isfinite(test).all()
    if task["task"] in ("binary", "multiclass", "multilabel"):
        assert valid.min() >= 0 and valid.max() <= 1
    column = task["target_columns"][0]
    if task["task"] == "multiclass":
        assert np.allclose(valid.sum(axis=1), 1)
        hit = np.array(task["classes"], dtype=object)[valid.argmax(axis=1)] == truth[column].to_numpy(dtype=object)
        assert hit.mean() > truth[column].value_counts(normalize=True).max()
        return
    codes = {label: i for i, label in enumerate(task["classes"])}
    labels = truth[column].map(codes) if task["task"] == "binary" else truth[column]
    ranks = pd.Series(valid[:, 0]).rank().corr(labels.astype(float).rank())
    assert ranks > (0.0 if kind == "tiny" else 0.25)


@pytest.mark.parametrize("texts", [0, 1])
@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_every_recipe_renders_a_small_clean_file_with_everything_on(name: str, texts: int, tmp_path: Path) -> None:
    recipe, data = BY_NAME[name], replace(facts("regression"), texts=texts, ahead=True)
    features = {key: choices[-1] for key, choices in recipe.feature_space.items()}
    features = without_idle({**recipe.features, **features}, data)
    params = sample(recipe, random.Random(7))
    text = render(recipe, params, features, title="A title", hypothesis="Because", seed=1)
    assert text == render(recipe, params, features, title="A title", hypothesis="Because", seed=1)
    assert len(text.encode()) <= MAX_BYTES and "agents.offline" not in text
    script = tmp_path / "R07_experiment.py"
    script.write_text(text)
    py_compile.compile(str(script), doraise=True)
    ruff = Path(sys.executable).with_name("ruff")
    if ruff.exists() or shutil.which("ruff"):
        tool = str(ruff) if ruff.exists() else "ruff"
        command = [tool, "check", "--isolated", "--no-cache", "--select", "E9,F", str(script)]
        found = subprocess.run(command, capture_output=True, text=True)
        assert found.returncode == 0, found.stdout


def test_a_file_runs_alone(tmp_path: Path) -> None:
    truth = make_inputs("binary", tmp_path / "in")
    (tmp_path / "out").mkdir()
    script = tmp_path / "R07_experiment.py"
    script.write_text(render_quick("lightgbm_default"))
    done = subprocess.run(
        [sys.executable, "-I", str(script), "in", "out"], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert np.load(tmp_path / "out" / "valid.npy").shape == (len(truth), 1)


def test_a_refit_on_all_rows_comes_without_valid(tmp_path: Path) -> None:
    make_inputs("rare_classes", tmp_path / "in")
    (tmp_path / "in" / "valid.parquet").unlink()
    (tmp_path / "out").mkdir()
    script = tmp_path / "R07_experiment.py"
    script.write_text(render_quick("linear_onehot"))
    subprocess.run([sys.executable, str(script), str(tmp_path / "in"), str(tmp_path / "out")], check=True)
    assert np.load(tmp_path / "out" / "valid.npy").shape == (0, 5)
    assert len(np.load(tmp_path / "out" / "test.npy")) == 60


def test_blends_follow_the_weights_of_the_host(tmp_path: Path) -> None:
    truth = make_inputs("binary", tmp_path / "in")
    previous = tmp_path / "in" / "previous"
    previous.mkdir()
    rng = np.random.default_rng(0)
    tables = {name: rng.random((len(truth), 1)) for name in ("R01", "R02", "R03")}
    for name, values in tables.items():
        np.save(previous / f"{name}_valid.npy", values)
        np.save(previous / f"{name}_test.npy", values)
    (previous / "weights.json").write_text(json.dumps({"weights": {"R01": 0.75, "R03": 0.25}, "space": "probability"}))
    means = {"blend_weights": 0.75 * tables["R01"] + 0.25 * tables["R03"], "blend_mean": tables["R02"]}
    for name, expected in means.items():
        out = tmp_path / name
        out.mkdir()
        params = {"space": "value", "members": ["R02"]} if name == "blend_mean" else {}
        script = tmp_path / f"{name}.py"
        script.write_text(render(BY_NAME[name], params, {}, title=name, hypothesis="-", seed=1))
        subprocess.run([sys.executable, str(script), str(tmp_path / "in"), str(out)], check=True, capture_output=True)
        assert np.allclose(np.load(out / "valid.npy"), expected)


def test_names_that_nothing_reads_are_refused() -> None:
    with pytest.raises(ValueError, match="did you mean 'num_leaves'"):
        render(BY_NAME["lightgbm_default"], {"num_leave": 3}, {}, title="t", hypothesis="h", seed=1)
    with pytest.raises(ValueError, match="did you mean 'crosses'"):
        render(BY_NAME["lightgbm_default"], {}, {"croses": 2}, title="t", hypothesis="h", seed=1)


def test_recipes_judge_an_empty_profile_and_a_large_one() -> None:
    rows = {"train": 1_000_000, "test": 500_000}
    large = facts("regression", rows=rows, numeric_columns=[f"c{i}" for i in range(50)])
    for known in (facts("regression"), large):
        for recipe in RECIPES:
            assert isinstance(recipe.fits(known), bool)
            assert 0 < recipe.cost(known) < 50_000
            assert 0 <= recipe.hint(known) <= 1
    boosters = BY_NAME["lightgbm_default"]
    assert boosters.cost(large) > 10 * boosters.cost(facts("regression", numeric_columns=["a"]))


def test_text_recipes_need_text_and_log_ridge_needs_values() -> None:
    table_only, text = {"numeric_columns": ["a"]}, {"text_columns": ["t"]}
    assert not BY_NAME["text_stack"].fits(facts("binary", **table_only))
    assert BY_NAME["text_stack"].fits(facts("binary", **text))
    assert not BY_NAME["ridge_log"].fits(facts("binary", **table_only))
    assert BY_NAME["ridge_log"].fits(facts("regression", **table_only))


def test_targets_are_learned_together_where_a_row_has_one_of_them() -> None:
    def fits(share: float, targets: int = 3) -> bool:
        names = [f"t{i}" for i in range(targets)]
        profile = {**NO_PROFILE, "one_target": share}
        competition = {"task": "multilabel", "target_columns": names, "classes": []}
        return BY_NAME["lightgbm_joint"].fits(Facts.of(profile, competition))

    assert fits(0.95) and not fits(0.3) and not fits(0.95, targets=2)


def test_words_alone_are_a_first_answer_only_where_there_is_little_else() -> None:
    sizes = {"rows": 2000, "rows_all": 2500, "texts": 1, "columns": 5, "coded": 0, "outputs": 1, "wordiness": 50.0}
    assert BY_NAME["text_quick"].fits(Facts(**sizes, numbers=1, categories=0, task="binary"))
    assert not BY_NAME["text_quick"].fits(Facts(**sizes, numbers=3, categories=2, task="regression"))
    three = Facts(**{**sizes, "texts": 3}, numbers=1, categories=4, task="regression")
    assert BY_NAME["text_quick"].fits(three), "three texts say more than a few names beside them"


def test_texts_cost_less_where_targets_are_numbers() -> None:
    sizes = {"rows": 3000, "rows_all": 4000, "numbers": 0, "categories": 4, "texts": 3, "columns": 4, "coded": 0}
    known = {task: Facts(**sizes, outputs=18, wordiness=700.0, task=task) for task in ("multiregression", "multilabel")}
    costs = {task: BY_NAME["text_stack"].cost(facts) for task, facts in known.items()}
    assert costs["multiregression"] < 0.3 * costs["multilabel"]
    hints = [BY_NAME["mlp"].hint(replace(known["multilabel"], categories=categories)) for categories in (4, 40)]
    assert hints == [0.55, 0.9], "what many targets share is in the table, not in words"


def test_samples_stay_in_the_space_and_depend_on_the_seed_alone() -> None:
    recipe = BY_NAME["xgboost_encoded"]
    first, again = (sample(recipe, random.Random(3)) for _ in range(2))
    assert first == again and first != sample(recipe, random.Random(4))
    for seed in range(30):
        drawn = sample(recipe, random.Random(seed))
        assert 0.01 <= drawn["learning_rate"] <= 0.1 and drawn["max_depth"] in recipe.space["max_depth"]


def test_reading_long_texts_is_reckoned_with_up_to_where_they_are_cut() -> None:
    def cost(letters: float) -> float:
        sizes = {"rows": 5000, "rows_all": 6000, "numbers": 0, "categories": 0, "texts": 1, "columns": 0, "coded": 0}
        return BY_NAME["lightgbm_default"].cost(Facts(**sizes, outputs=1, task="binary", wordiness=letters))

    assert cost(50) == cost(200), "the time of short ones goes by rows"
    assert cost(3000) > cost(200) + 30
    assert cost(20_000) == cost(100_000)
