"""Columns made from places on a map, rows of one group, letters of codes, numbers of one kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agents.offline.blocks.core import Clock, Data, read_column
from agents.offline.blocks.grouped import group_rows
from agents.offline.blocks.places import places
from agents.offline.blocks.strings import string_parts
from agents.offline.blocks.table import date_parts, row_stats


def data_of(columns: dict[str, object], **task: object) -> Data:
    n = len(next(iter(columns.values())))  # type: ignore[arg-type]
    sizes = (n - n // 4, n // 8, n // 4 - n // 8)
    data = Data({"task": "regression", **task}, Path(), 1, sizes, np.zeros(sizes[0]), Clock(600))
    for name, values in columns.items():
        read_column(data, name, pd.Series(values))
    return data


def scattered(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.1, 0.1, n)


def test_the_way_between_two_places_is_in_kilometres() -> None:
    n = 400
    columns = {"pickup_latitude": 48.0 + scattered(n, 1), "pickup_longitude": 2.0 + scattered(n, 2)}
    columns |= {"dropoffLatitude": columns["pickup_latitude"] + 0.1, "dropoffLongitude": columns["pickup_longitude"]}
    columns["pickup_latitude"][3] = np.nan
    data = data_of(columns)
    places(data, True)
    far = data.numbers["pickup.dropoff.far"]
    assert np.isnan(far[3])
    assert np.allclose(far[4:], 11.12, atol=0.01), "a tenth of a degree to the north"
    assert data.crosses["pickup.area"][3] == -1
    assert data.crosses["pickup.area"].max() >= 1


def test_an_area_holds_what_lies_together() -> None:
    town = np.arange(600) % 3
    data = data_of({"X": 10.0 * town + scattered(600, 1), "Y": scattered(600, 2)})
    places(data, True)
    areas = data.crosses["place.area"]
    assert len(set(areas)) > 100
    assert all(len(set(town[areas == area])) == 1 for area in set(areas))
    assert data.numbers["place.out"].min() < 0.1


def test_an_address_that_comes_again_is_a_spot() -> None:
    where = np.arange(400) % 50
    data = data_of({"lat": 40 + where / 100, "lng": -70 - where / 77})
    places(data, True)
    assert (data.numbers["place.spot.count"] == 8).all()
    assert data.crosses["place.spot"].max() == 49


@pytest.mark.parametrize(
    "names",
    [
        ("x", "y", "z"),
        ("X_Minimum", "Y_Minimum"),
        ("lat", "height"),
        ("home_lat", "work_lon"),
        ("longest", "latest"),
        ("lat.x", "lon.x"),
    ],
)
def test_other_columns_are_no_places(names: tuple[str, ...]) -> None:
    data = data_of({name: scattered(400, i) for i, name in enumerate(names)})
    places(data, True)
    assert set(data.numbers) == set(names)


def test_a_place_that_never_moves_or_is_unknown_is_nothing() -> None:
    data = data_of({"lat": np.full(400, 3.0), "lon": scattered(400)})
    places(data, True)
    assert set(data.numbers) == {"lon"}


def test_neighbours_in_a_group_are_those_of_the_same_group() -> None:
    group = np.repeat(np.arange(40)[::-1], 5)
    value = np.arange(200.0)
    value[7] = np.nan
    data = data_of({"g": group, "value": value}, group_column="g", cv_strategy="group")
    group_rows(data, True)
    made = {name.removeprefix("value.group."): values for name, values in data.numbers.items()}
    first, second = slice(10, 15), np.arange(10.0, 15)
    assert made["mean"][first].tolist() == [12.0] * 5
    assert made["from_mean"][first].tolist() == [-2, -1, 0, 1, 2]
    assert (made["min"][12], made["max"][12]) == (10, 14)
    assert np.array_equal(made["back1"][first], [np.nan, 10, 11, 12, 13], equal_nan=True)
    assert np.array_equal(made["back2"][first], [np.nan, np.nan, 10, 11, 12], equal_nan=True)
    assert np.array_equal(made["ahead1"][first], [11, 12, 13, 14, np.nan], equal_nan=True)
    assert np.array_equal(made["so_far"][first], np.cumsum(second))
    assert made["mean"][5] == pytest.approx((5 + 6 + 8 + 9) / 4), "gaps do not count"
    assert made["group.place"][first].tolist() == [0, 1, 2, 3, 4]
    assert "group.size" not in made, "all groups are of one size"


def test_rows_of_a_group_that_stand_apart_have_no_neighbours() -> None:
    group = np.random.default_rng(0).integers(0, 20, 400)
    data = data_of({"g": group, "v": np.arange(400.0)}, group_column="g", cv_strategy="group")
    group_rows(data, True)
    assert {name for name in data.numbers if name.startswith("v.")} == {
        f"v.group.{part}" for part in ("mean", "std", "min", "max", "from_mean")
    }
    assert data.numbers["group.size"].sum() == (np.bincount(group) ** 2).sum()


def test_without_groups_nothing_is_made() -> None:
    data = data_of({"v": np.arange(400.0)})
    group_rows(data, True)
    assert set(data.numbers) == {"v"}


def test_a_number_unknown_in_a_whole_group_stays_unknown_there() -> None:
    value = np.where(np.arange(200) < 10, np.nan, np.arange(200.0))
    data = data_of({"g": np.repeat(np.arange(40), 5), "v": value}, group_column="g", cv_strategy="group")
    group_rows(data, True)
    assert np.isnan(data.numbers["v.group.mean"][:10]).all()
    assert np.isfinite(data.numbers["v.group.mean"][10:]).all()


def test_letters_of_codes_of_one_length_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    codes = ["".join(rng.choice(list("ABC"), 4)) for _ in range(400)]
    column = pd.Series(codes, dtype=object)
    column[5] = None
    data = data_of({"code": column})
    string_parts(data, True)
    assert data.numbers["code.at2"][0] == ord(codes[0][2])
    assert data.numbers["code.different"][0] == len(set(codes[0]))
    assert np.isnan(data.numbers["code.different"][5])


@pytest.mark.parametrize("code", ["{:04x}", "{}", "a {:02d}"])
def test_other_strings_have_no_letters(code: str) -> None:
    data = data_of({"code": pd.Series([code.format(i * 7) for i in range(400)], dtype=object)})
    string_parts(data, True)
    assert not [name for name in data.numbers if ".at" in name or ".different" in name]


def test_a_text_that_comes_again_can_be_encoded() -> None:
    texts = [f"{i % 40}00 block of some long street in the town" for i in range(400)]
    data = data_of({"address": pd.Series(texts, dtype=object)}, text_columns=["address"])
    assert data.crosses["address"].max() == 39
    assert len(data.texts["address"]) == 400


def answers(columns: int, n: int = 400) -> dict[str, object]:
    rng = np.random.default_rng(0)
    return {f"q{i}": rng.poisson(5, n).astype(float) for i in range(columns)}


def test_answers_to_one_form_are_summed_up_by_row() -> None:
    columns = answers(8)
    table = np.column_stack(list(columns.values()))  # type: ignore[arg-type]
    table[3, :4] = np.nan
    table[4] = np.nan
    data = data_of({**{f"q{i}": table[:, i] for i in range(8)}, "far": 1000 + 900 * scattered(400)})
    row_stats(data, True)
    made = data.numbers
    rest = [*range(4), *range(5, 400)]
    assert np.allclose(made["row.mean"][rest], np.nanmean(table[rest], axis=1))
    assert np.allclose(made["row.std"][rest], np.nanstd(table[rest], axis=1))
    assert np.allclose(made["row.at0"][rest], np.nanmin(table[rest], axis=1))
    assert np.allclose(made["row.at100"][rest], np.nanmax(table[rest], axis=1))
    assert np.isnan(made["row.mean"][4])
    assert np.isnan(made["row.at50"][4])


@pytest.mark.parametrize("count", [5, 8])
def test_few_columns_or_those_of_many_scales_are_not(count: int) -> None:
    columns: dict[str, object] = {n: v * 10.0**i for i, (n, v) in enumerate(answers(count).items())}  # type: ignore[operator]
    data = data_of(columns)
    row_stats(data, True)
    assert set(data.numbers) == set(columns)


def test_flags_are_counted() -> None:
    rng = np.random.default_rng(0)
    columns: dict[str, object] = {f"f{i}": rng.integers(0, 2, 400) for i in range(7)}
    data = data_of(columns)
    row_stats(data, True)
    assert (data.numbers["row.flags"] == np.sum(list(columns.values()), axis=0)).all()  # type: ignore[arg-type]
    one_hot: dict[str, object] = {f"f{i}": (np.arange(400) % 7 == i).astype(int) for i in range(7)}
    data = data_of(one_hot)
    row_stats(data, True)
    assert "row.flags" not in data.numbers, "one of them is always set"


def test_statistics_of_a_group_are_exact_and_its_own() -> None:
    value = 1.6e9 + np.arange(200.0) % 10
    value[0] = 1e20
    data = data_of({"g": np.repeat(np.arange(40), 5), "v": value}, group_column="g", cv_strategy="group")
    group_rows(data, True)
    assert np.allclose(data.numbers["v.group.std"][5:], np.sqrt(2))
    assert np.allclose(data.numbers["v.group.so_far"][10:15], np.cumsum(value[10:15]))


def test_rows_without_a_group_are_each_their_own() -> None:
    group = pd.Series([None if i < 90 else f"g{i % 10}" for i in range(200)], dtype=object)
    data = data_of({"g": group, "v": np.arange(200.0)}, group_column="g", cv_strategy="group")
    group_rows(data, True)
    assert set(data.numbers["group.size"][:90]) == {1}
    assert set(data.numbers["group.size"][90:]) == {11}


def test_groups_that_folds_split_tell_nothing() -> None:
    data = data_of({"g": np.repeat(np.arange(40), 5), "v": np.arange(200.0)}, group_column="g", cv_strategy="kfold")
    group_rows(data, True)
    assert not [name for name in data.numbers if "group" in name]


def test_the_way_goes_over_the_date_line_and_not_from_a_globe_to_a_plane() -> None:
    n = 400
    columns: dict[str, object] = {"from_lat": scattered(n, 1), "from_lon": 179.5 + scattered(n, 2)}
    columns |= {
        "to_lat": scattered(n, 3),
        "to_lon": -179.5 + scattered(n, 4),
        "X": scattered(n, 5),
        "Y": scattered(n, 6),
    }
    data = data_of(columns)
    places(data, True)
    assert data.numbers["from.to.far"].max() < 200
    assert not [name for name in data.numbers if "place" in name and "far" in name]


def test_unknown_places_are_no_spot() -> None:
    where = np.where(np.arange(400) < 100, np.nan, np.arange(400) % 50)
    data = data_of({"lat": 40 + where / 100, "lng": -70 - where / 77})
    places(data, True)
    assert set(data.crosses["place.spot"][:100]) == {-1}
    assert np.isnan(data.numbers["place.spot.count"][:100]).all()


@pytest.mark.parametrize("name", ["userId", "CLIENT_ID", "zip code", "zipCode", "Store", "movie_id", "ITEM"])
def test_numbers_that_are_called_codes_are_categories_too(name: str) -> None:
    data = data_of({name: np.arange(400) % 60})
    assert set(data.numbers) == set(data.cats) == {name}


@pytest.mark.parametrize("name", ["paid", "grid", "Valid", "VOID", "barcodes", "storeys", "items", "stationary"])
def test_numbers_that_are_called_otherwise_are_none(name: str) -> None:
    assert not data_of({name: np.arange(400) % 60}).cats


def test_a_code_of_each_row_alone_is_no_category() -> None:
    data = data_of({"userId": np.arange(400), "shop_id": np.r_[np.nan, 0.5 + np.arange(399) % 60]})
    assert not data.cats, "no row shares it, and halves are no codes"


def test_days_that_train_and_test_share_are_codes_and_others_are_not() -> None:
    hours = pd.date_range("2024-01-01", periods=24 * 40, freq="h").repeat(8)
    order = np.random.default_rng(0).permutation(len(hours))
    mixed = data_of({"when": hours[order].astype(str)}, date_columns=["when"])
    date_parts(mixed, True)
    assert set(mixed.crosses) == {"when.date", "when.moment"}
    assert (mixed.crosses["when.date"].max(), mixed.crosses["when.moment"].max()) == (39, 24 * 40 - 1)
    later = data_of({"when": hours.astype(str)}, date_columns=["when"])
    date_parts(later, True)
    assert not later.crosses, "test's days come after train's"


@pytest.mark.parametrize(("form", "told"), [("{}", False), ("{}.0", False), ("{:04d}_01", True)])
def test_an_id_is_a_string_only_where_it_has_parts(form: str, told: bool) -> None:
    data = data_of({"id": np.array([form.format(k) for k in range(400)], dtype=object)}, id_column="id")
    assert ("id" in data.strings, data.numbers) == (told, {})


@pytest.mark.parametrize("values", [np.r_[np.nan, np.arange(399) // 4], -1.5 * (np.arange(400) // 4)])
def test_a_group_of_numbers_is_no_string(values: np.ndarray) -> None:
    assert not data_of({"group": values}, group_column="group").strings
