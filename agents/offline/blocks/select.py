"""Which columns go: those that a quick model does without, or those that tell test rows from training rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.offline.blocks.boosters import LEAST_GAIN, threads
from agents.offline.blocks.core import Clock, Data, holdout
from agents.offline.blocks.goals import Goal, goals
from agents.offline.blocks.recall import keep, known, name_of

SAMPLED_ROWS = 20_000
SAMPLED_CELLS = 40_000_000
TOO_FEW_ROWS = 100  # to tell an effect from noise
FEW_ROWS = 5_000  # three models, each with its own rows kept out, then tell more than one
WIDE = 1_000  # columns: one model, since each takes long to begin
FEWEST_LEFT = 10  # columns
MOST_GOALS = 3
SHUFFLES = 2
SHUFFLED_TOGETHER = 8  # columns
SELECTION_SECONDS = 60.0
TOLD_APART = 0.65  # the AUC of what counts as drift


@dataclass
class Trial:
    """A quick model and the rows that it did not learn from; `surprise` is its loss on each of them."""

    goal: Goal
    model: Any
    table: np.ndarray
    y: np.ndarray
    gain: np.ndarray  # of each column
    surprise: np.ndarray
    constant: np.ndarray  # the loss of the best constant on the same rows


def selection(data: Data, option: Any) -> None:
    """Drops columns by "permutation" or by "drift"; without enough rows, time or evidence all of them stay."""
    columns = [*data.numbers, *data.cats]
    if len(columns) < 2 or data.n_train < TOO_FEW_ROWS or data.clock.left() < 1.0:
        return
    started, clock = data.clock.left(), Clock(1.25 * min(SELECTION_SECONDS, 0.2 * data.clock.left()))
    rows = sampled_rows(data, len(columns), option == "drift")
    table = columns_at(data, rows)
    labels = data.y[rows[rows < data.n_train]]
    about = name_of(data, f"selection {option} {columns} {sorted(data.learned)}", [table, labels, rows], selection)
    found = known(data, about)
    if found is None:
        search = drifting if option == "drift" else needless_columns
        found = {"gone": np.array(search(data, rows, table, clock), dtype=int)}
        if clock.left() >= 0:  # a search to its end
            keep(data, about, found, started - data.clock.left())
    gone = sorted(int(place) for place in found["gone"])
    shown = ", ".join(columns[place] for place in gone[:8]) + (", …" if len(gone) > 8 else "")
    print(f"selection by {option}: {len(gone)} of {len(columns)} columns go{': ' if gone else ''}{shown}", flush=True)
    leave_out(data, gone)


def leave_out(data: Data, gone: list[int]) -> None:
    """Without these columns, counted as numbers then categories, and what was learned of their categories."""
    numbers, cats = list(data.numbers), list(data.cats)
    levels = tuple(f"{cats[place - len(numbers)]}.mean" for place in gone if place >= len(numbers))
    for place in gone:
        if place < len(numbers):
            del data.numbers[numbers[place]]
        else:
            del data.cats[cats[place - len(numbers)]]
    made = [name for name in data.numbers if name in data.learned and name.startswith(levels)] if levels else []
    if len(data.numbers) + len(data.cats) > len(made):
        for name in made:
            del data.numbers[name]


def sampled_rows(data: Data, width: int, with_test: bool) -> np.ndarray:
    """Places of some training rows, then of as many test rows when asked; fewer for wide tables."""
    most = min(SAMPLED_ROWS, max(1_000, SAMPLED_CELLS // width))
    rng, (n, valid, test) = np.random.default_rng(data.seed), data.sizes
    if not with_test:
        return np.sort(rng.permutation(n)[:most])
    return np.concatenate(
        [np.sort(rng.permutation(n)[: most // 2]), n + valid + np.sort(rng.permutation(test)[: most // 2])]
    )


def columns_at(data: Data, rows: np.ndarray) -> np.ndarray:
    """float32 (rows, numbers then categories)."""
    columns = [*data.numbers.values(), *data.cats.values()]
    table = np.empty((len(rows), len(columns)), dtype=np.float32)
    with np.errstate(over="ignore"):
        for place, values in enumerate(columns):
            table[:, place] = values[rows]
    return table


def native_places(data: Data) -> list[int]:
    """Where the categories of few levels stand among the columns."""
    return [len(data.numbers) + i for i, codes in enumerate(data.cats.values()) if codes.max() < 60]


def needless_columns(data: Data, rows: np.ndarray, table: np.ndarray, clock: Clock) -> list[int]:
    """Columns that no target needs; where few stay, the strongest of the others stay too."""
    told = target_trials(data, rows, table, clock)
    if not told:
        return []
    found = list(range(table.shape[1]))
    for number, trials in enumerate(told):
        found = needless(data, trials, found, Clock(1.25 * clock.left() / (len(told) - number)))
    strength = sum((t.gain / max(t.gain.sum(), 1e-12) for trials in told for t in trials), np.zeros(table.shape[1]))
    missing = max(0, FEWEST_LEFT - (table.shape[1] - len(found)))
    return sorted(found, key=lambda place: -strength[place])[missing:]


def target_trials(data: Data, rows: np.ndarray, table: np.ndarray, clock: Clock) -> list[list[Trial]]:
    """For each of the targets with most rows, models that know more than a constant does."""
    problems = sorted((g for g in goals(data) if len(np.unique(g.y)) > 1), key=lambda g: -len(g.rows))[:MOST_GOALS]
    bags = 3 if len(rows) < FEW_ROWS and table.shape[1] <= WIDE and data.times is None else 1
    native, found = native_places(data), []
    for number, goal in enumerate(problems):
        own = Clock(1.25 * 0.5 * clock.left() / (len(problems) - number))
        label = np.full(data.n_train, np.nan)
        label[goal.rows] = goal.y
        known_here = np.isfinite(label[rows])
        y, part = label[rows][known_here], table if known_here.all() else table[known_here]
        trials: list[Trial] = []
        for bag in range(bags):
            out = holdout(data, 4, bag)[rows][known_here]
            if out.sum() >= 20 and (~out).sum() >= 50 and len(np.unique(y[~out])) > 1:
                tried = quick_trial(data, goal, part, y, out, native, bag, own)
                trials += [tried] if own.left() >= 0 else []  # one cut short uses too few columns
        if trials and beyond_noise(np.concatenate([t.constant - t.surprise for t in trials])) > 2.0:
            found.append(trials)
    return found


def quick_trial(
    data: Data, goal: Goal, table: np.ndarray, y: np.ndarray, out: np.ndarray, native: list[int], bag: int, clock: Clock
) -> Trial:
    """Learn quickly on the rows that are not `out`."""
    import lightgbm as lgb

    wide, learn = table.shape[1] > WIDE, int((~out).sum())
    settings = {
        "objective": {"binary": "binary", "multiclass": "multiclass", "value": goal.loss}[goal.kind],
        "learning_rate": 0.1,
        "num_leaves": 15 if learn < 3000 else 31,
        "min_data_in_leaf": max(1, min(20, learn // 20)),
        "feature_fraction": min(0.7, max(0.1, 500 / table.shape[1])),
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "lambda_l2": 1.0,
        "max_bin": 63,
        "num_threads": threads(data, table.size),
        "verbosity": -1,
        "deterministic": True,
        "force_col_wise" if wide else "force_row_wise": True,
        "seed": data.seed + 17 * bag,
        **({"num_class": goal.classes} if goal.kind == "multiclass" else {}),
    }

    def stop(env: Any) -> None:
        if clock.left() < 0 and env.iteration >= 5:
            raise lgb.callback.EarlyStopException(env.iteration, env.evaluation_result_list)

    train = lgb.Dataset(table[~out], y[~out], categorical_feature=native)
    watch = lgb.Dataset(table[out], y[out], reference=train, categorical_feature=native)
    patience = lgb.early_stopping(15, verbose=False, min_delta=LEAST_GAIN)
    rounds = max(10, min(150, 1500 // goal.classes))
    model = lgb.train(settings, train, rounds, valid_sets=[watch], callbacks=[stop, patience])
    held, truth = table[out], y[out]
    gain = np.asarray(model.feature_importance("gain", iteration=model.best_iteration or None), dtype=float)
    constant = row_losses(goal, truth, np.repeat(best_constant(goal, y[~out]), len(truth), axis=0))
    return Trial(goal, model, held, truth, gain, row_losses(goal, truth, predicted(data, model, held)), constant)


def predicted(data: Data, model: Any, table: np.ndarray) -> np.ndarray:
    """(rows, outputs); one output for values and for the second of two classes."""
    rounds = model.best_iteration or None
    raw = model.predict(table, num_iteration=rounds, num_threads=threads(data, table.size))
    return np.asarray(raw, dtype=float).reshape(len(table), -1)


def best_constant(goal: Goal, y: np.ndarray) -> np.ndarray:
    """(1, outputs): what to predict knowing no column."""
    if goal.kind == "multiclass":
        return ((np.bincount(y.astype(int), minlength=goal.classes) + 1.0) / (len(y) + goal.classes))[None, :]
    return np.array([[np.median(y) if goal.kind == "value" and goal.loss == "l1" else y.mean()]])


def row_losses(goal: Goal, y: np.ndarray, raw: np.ndarray) -> np.ndarray:
    """The loss of each row in the model's own units."""
    if goal.kind == "value":
        apart = np.abs(raw[:, 0] - y)
        return apart if goal.loss == "l1" else apart**2
    right = raw[np.arange(len(y)), y.astype(int)] if goal.kind == "multiclass" else np.abs(1.0 - y - raw[:, 0])
    return -np.log(np.clip(right, 1e-7, 1.0))


def beyond_noise(differences: np.ndarray) -> float:
    """The mean in standard errors."""
    spread = float(differences.std())
    return float(differences.mean()) / spread * len(differences) ** 0.5 if spread > 0 else 0.0


def worsening(data: Data, trials: list[Trial], places: list[int]) -> float:
    """By how many standard errors the loss grows when these columns are shuffled."""
    rng, found = np.random.default_rng([data.seed, *places]), []
    for one in trials:
        kept, grown = one.table[:, places], np.zeros(len(one.y))
        for _ in range(SHUFFLES):
            one.table[:, places] = kept[rng.permutation(len(kept))]
            grown += row_losses(one.goal, one.y, predicted(data, one.model, one.table)) - one.surprise
        one.table[:, places] = kept
        found.append(grown)
    return beyond_noise(np.concatenate(found))


def needless(data: Data, trials: list[Trial], candidates: list[int], clock: Clock) -> list[int]:
    """Candidates that no tree uses or whose shuffling does no harm; those not looked at in time are needed.

    Several weak columns are shuffled together first: only where that does harm each is looked at.
    """
    gain = sum((one.gain for one in trials), np.zeros(trials[0].table.shape[1]))
    found = [place for place in candidates if gain[place] <= 0]
    used = sorted((place for place in candidates if gain[place] > 0), key=lambda place: gain[place])
    size = max(SHUFFLED_TOGETHER, len(used) // 40)
    parts = [used[start : start + size] for start in range(0, len(used), size)]
    while parts and clock.left() > 0:
        part = parts.pop(0)
        harm = worsening(data, trials, part)
        if harm <= (1.0 if len(part) == 1 else 0.0):
            found += part
        elif len(part) > 1:
            parts[:0] = [part[: len(part) // 2], part[len(part) // 2 :]]
    return found


def drifting(data: Data, rows: np.ndarray, table: np.ndarray, clock: Clock) -> list[int]:
    """Columns that tell test rows from training rows, at most a fifth, none that a target needs most.

    Columns made from labels are left aside: for training rows they come from other folds, so they always differ.
    Rows of unknown groups are told apart by their group alone, which is no drift.
    """
    train = int((rows < data.n_train).sum())
    if data.groups is not None or min(train, len(rows) - train) < TOO_FEW_ROWS // 2:
        return []
    names = list(data.numbers)
    left = [i for i in range(table.shape[1]) if i >= len(names) or names[i] not in data.learned]
    came = (rows >= data.n_train).astype(float)
    limit = TOLD_APART + 0.6 * (1 / train + 1 / (len(rows) - train)) ** 0.5  # two standard errors of no drift
    first, gain = told_apart(data, table, came, left, clock)
    if first <= limit:
        return []
    needed = most_needed(data, rows[:train], table[:train], clock)
    gone: list[int] = []
    auc, most = first, max(1, table.shape[1] // 5)
    while auc > limit and len(gone) < most and clock.left() > 0:
        order = [left[i] for i in np.argsort(-gain, kind="stable") if gain[i] > 0 and left[i] not in needed]
        out = order[: min(most - len(gone), max(1, table.shape[1] // 100))]
        if not out:
            break
        gone += out
        left = [place for place in left if place not in out]
        auc, gain = told_apart(data, table, came, left, clock)
    print(f"test rows are told from training rows with AUC {first:.3f}, then {auc:.3f}", flush=True)
    return gone if auc < first - 0.02 else []


def told_apart(
    data: Data, table: np.ndarray, came: np.ndarray, left: list[int], clock: Clock
) -> tuple[float, np.ndarray]:
    """The AUC of a quick model for rows of test on rows that it did not learn from, and the gain of each column."""
    from sklearn.metrics import roc_auc_score

    if not left:
        return 0.5, np.zeros(0)
    every = np.arange(len(came))
    goal = Goal("binary", came, every, "l2", lambda raw: raw)
    half = np.random.default_rng(data.seed).permutation(len(came)) % 2 == 0
    native = [left.index(place) for place in native_places(data) if place in left]
    part, found, gain = table[:, left], [], np.zeros(len(left))
    for bag, out in enumerate((half,) if len(left) > WIDE else (half, ~half)):
        one = quick_trial(data, goal, part, came, out, native, bag, clock)
        found.append(float(roc_auc_score(one.y, predicted(data, one.model, one.table)[:, 0])))
        gain += one.gain
    return float(np.mean(found)), gain


def most_needed(data: Data, rows: np.ndarray, table: np.ndarray, clock: Clock) -> set[int]:
    """The few columns with most gain for a target whose shuffling does plain harm."""
    found: set[int] = set()
    for trials in target_trials(data, rows, table, clock):
        gain = sum((one.gain for one in trials), np.zeros(table.shape[1]))
        best = np.argsort(-gain, kind="stable")[: max(3, table.shape[1] // 20)]
        found |= {int(place) for place in best[:10] if worsening(data, trials, [int(place)]) > 2.0}
    return found
