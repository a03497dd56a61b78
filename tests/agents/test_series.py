"""What the target of a series was lately: known before, of its own series, and only where folds go on in time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agents.offline.blocks.boosters import lightgbm_model
from agents.offline.blocks.core import Clock, Data, read_column
from agents.offline.blocks.goals import goals
from agents.offline.blocks.linear import linear_model
from agents.offline.blocks.seasons import seasonal_model
from agents.offline.blocks.series import recent_levels, series_of
from agents.offline.blocks.table import date_parts
from agents.offline.catalogue import BY_NAME

DAYS, AHEAD, SHOPS, ITEMS = 420, 28, 3, 4


def sales(growth: float = 0.0) -> pd.DataFrame:
    """One row per day, shop and item; more on some weekdays; `growth` per day; a price and a word that tell little."""
    rng, days = np.random.default_rng(0), np.arange(DAYS + AHEAD)
    keys = pd.MultiIndex.from_product([days, range(SHOPS), range(ITEMS)], names=["day", "shop", "item"])
    table = keys.to_frame(index=False)
    table["price"] = rng.integers(1, 30, len(table))
    table["weather"] = rng.choice(["sun", "rain"], len(table))
    table["date"] = (pd.Timestamp("2021-01-04") + pd.to_timedelta(table.day, unit="D")).dt.strftime("%Y-%m-%d")
    level = 20.0 + 10 * table["shop"] + 5 * table["item"] + 8 * (table["day"] % 7 >= 5) + growth * table["day"]
    return table.assign(sold=level + rng.normal(0, 1, len(table)))


def data_of(table: pd.DataFrame, y: np.ndarray | None = None, **task: Any) -> Data:
    n = DAYS * SHOPS * ITEMS
    usual = {"task": "regression", "metric": "rmse", "target_columns": ["sold"], "date_columns": ["date"]}
    usual |= {"time_column": "date", "cv_strategy": "time", "cores": 2}
    labels = table["sold"].to_numpy()[:n] if y is None else y
    data = Data({**usual, **task}, Path(), 1, (n, len(table) - n, 0), labels, Clock(600))
    for name in ("shop", "item", "price", "weather", "date"):
        read_column(data, name, table[name])
    return data


def test_a_series_is_what_has_one_row_at_a_time() -> None:
    table = sales()
    data = data_of(table)
    days = table["day"].to_numpy(dtype=float)
    found = series_of(data, days)
    assert found is not None
    series, names = found
    assert len(np.unique(series)) == SHOPS * ITEMS and len(names) == 2
    assert pd.Series(series).groupby([table["shop"], table["item"]]).nunique().max() == 1
    assert series_of(data, np.zeros(len(days))) is None, "rows of one moment that nothing tells apart"


def test_rows_to_predict_are_told_the_last_days() -> None:
    table = sales()
    data = data_of(table)
    recent_levels(data, True)
    own = table[(table["shop"] == 2) & (table["item"] == 3)]
    last, row = own[own["day"].between(DAYS - 7, DAYS - 1)], own[own["day"] == DAYS + 10].index[0]
    z = goals(data)[0].y
    assert data.numbers["series.7d0"][row] == pytest.approx(z[last.index].mean())
    same = own[own["day"].between(DAYS - 56, DAYS - 1) & (own["day"] % 7 == (DAYS + 10) % 7)]
    assert data.numbers["series.slot0"][row] == pytest.approx(z[same.index].mean())
    year = own[(own["day"] - (DAYS + 10 - 364)).abs() <= 3]
    assert data.numbers["series.year0"][row] == pytest.approx(z[year.index].mean())
    assert data.numbers["series.ahead"][row] == pytest.approx(11, abs=0.1)
    assert data.numbers["series.ahead"].max() == pytest.approx(AHEAD, abs=0.1)


@pytest.mark.parametrize("name", ["date_block_num", "month"])
def test_numbers_of_months_are_time_too(name: str) -> None:
    months, shops = np.arange(36).repeat(5), np.tile(np.arange(5), 36)
    y = (100.0 * shops + months)[: 35 * 5]
    task = {"task": "regression", "metric": "rmse", "target_columns": ["y"], "time_column": name, "cv_strategy": "time"}
    data = Data(task, Path(), 1, (35 * 5, 0, 5), y, Clock(600))
    read_column(data, name, pd.Series(months))
    read_column(data, "shop", pd.Series(shops).astype(str))
    recent_levels(data, True)
    z = goals(data)[0].y
    assert data.numbers["series.7d0"][5:] == pytest.approx(z), "what the shop had in the month before"
    assert np.isnan(data.numbers["series.7d0"][:5]).all()


def test_no_row_is_told_of_labels_as_late_as_its_own() -> None:
    table = sales()
    y = table["sold"].to_numpy()[: DAYS * SHOPS * ITEMS]
    whole = data_of(table, y)
    recent_levels(whole, True)
    made = [name for name in whole.numbers if name in whole.learned]
    assert len(made) == 6
    for day in (150, 300, DAYS - 1):
        late = np.flatnonzero(table["day"].to_numpy()[: len(y)] >= day)
        mixed = y.copy()
        mixed[late] = y[np.random.default_rng(1).permutation(late)]  # of one mean and spread with the others
        other = data_of(table, mixed)
        recent_levels(other, True)
        told = table["day"].to_numpy() <= day
        for name in made:
            assert np.allclose(whole.numbers[name][told], other.numbers[name][told], equal_nan=True), (day, name)


@pytest.mark.parametrize(("step", "rows", "ahead"), [("1h", 2001, 1), ("10min", 3000, 6), ("1h", 3000, 24)])
def test_no_row_on_the_edge_of_a_stretch_is_told_its_own_label(step: str, rows: int, ahead: int) -> None:
    """Parts of a day are no round numbers."""
    moments = pd.Series(pd.date_range("2020-01-01", periods=rows + ahead, freq=step))
    y = np.random.default_rng(0).normal(size=rows)
    data = Data(
        {
            "task": "regression",
            "metric": "rmse",
            "target_columns": ["y"],
            "time_column": "when",
            "cv_strategy": "time",
            "date_columns": ["when"],
        },
        Path(),
        1,
        (rows, 0, ahead),
        y,
        Clock(600),
    )
    read_column(data, "when", moments)
    recent_levels(data, True)
    assert data.numbers["series.ahead"].min() > 0
    told = data.numbers["series.slot0"][:rows]
    known = np.isfinite(told)
    assert known.sum() > rows / 3
    assert abs(np.corrcoef(told[known], y[known])[0, 1]) < 0.08


@pytest.mark.parametrize(
    "change", [{"cv_strategy": "kfold"}, {"time_column": None}, {"task": "multiclass", "classes": [20, 30]}]
)
def test_without_an_order_or_a_value_there_is_no_level(change: dict[str, Any]) -> None:
    data = data_of(sales(), np.tile([0.0, 1.0], DAYS * SHOPS * ITEMS // 2), **change)
    recent_levels(data, True)
    assert not data.learned and not data.levels


def test_each_series_has_its_own_week_and_slope() -> None:
    """Sales by shares: a shop that grows, weekdays that differ by item, a price that counts everywhere alike."""
    table = sales()
    shop, item, day = table["shop"], table["item"], table["day"]
    share = 0.002 * day * (shop - 1) + 0.5 * np.sin(2 * np.pi * day / 365.25) + 0.4 * (day % 7 == item) + 0.3 * item
    table["sold"] = np.exp(3 + share + 0.05 * np.random.default_rng(1).normal(size=len(table)))
    data = data_of(table)
    date_parts(data, "categories")
    wanted = table["sold"].to_numpy()[data.n_train :]
    log_error = np.log(seasonal_model(data, {"target": "log"}).ravel()) - np.log(wanted)
    assert np.sqrt(np.mean(log_error**2)) < 0.1


def test_without_series_seasons_are_a_plain_linear_model() -> None:
    data = data_of(sales(), cv_strategy="kfold")
    date_parts(data, "categories")
    assert np.allclose(seasonal_model(data, {"C": 0.1}), linear_model(data, {"C": 0.1}))


def test_what_grows_is_foretold_from_its_level() -> None:
    """Trees alone can't predict what they never saw."""
    table, errors = sales(growth=0.5), {}
    for target in ("auto", "recent"):
        data = data_of(table)
        date_parts(data, True)
        recent_levels(data, True)
        params = {**BY_NAME["lightgbm_default"].params, "target": target}
        wanted = table["sold"].to_numpy()[data.n_train :]
        errors[target] = float(np.sqrt(np.mean((lightgbm_model(data, params).ravel() - wanted) ** 2)))
    assert errors["recent"] < 0.5 * errors["auto"], errors
