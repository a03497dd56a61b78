"""Side tables whose keys are spelled in another way, and whose values would be columns' names."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from orchestrator.competitions.side_tables import _respelled
from tests.competitions.test_prepare import Campaign, folder

__all__ = ["folder"]


def with_stores(folder: Path, stores: pd.DataFrame, name: str = "stores.csv") -> Campaign:
    """Train and test name a store in each row, but for one hole: so the numbers end in .0."""
    for table in ("train", "test"):
        frame = pd.read_csv(folder / f"{table}.csv")
        frame["store"] = (np.arange(len(frame)) % 7).astype(float)
        frame.loc[2, "store"] = np.nan
        frame.to_csv(folder / f"{table}.csv", index=False)
    stores.to_csv(folder / name, index=False)
    return Campaign(folder)


def test_keys_with_and_without_a_fraction_are_joined(folder: Path) -> None:
    campaign = with_stores(folder, pd.DataFrame({"store": range(7), "size": [9, 8, 7, 6, 5, 4, 3]}))
    for table in (campaign.train, campaign.test):
        assert table["stores_size"].isna().sum() == 1 and (9 - table["store"]).equals(table["stores_size"])
    assert list(campaign.train.columns)[-2:] == ["store", "stores_size"]


def test_keys_that_a_table_tells_apart_stay_as_they_are(folder: Path) -> None:
    stores = pd.DataFrame({"store": ["0", "0.0", *map(str, range(1, 7))], "size": range(8)})
    campaign = with_stores(folder, stores)
    assert not [name for name in campaign.train if name.startswith("stores_")]
    assert any("stores.csv was not joined" in line and "store" in line for line in campaign.lines)


def test_keys_in_one_spelling_or_many_of_them_take_no_time() -> None:
    """Half a million keys, each looked at by itself, would take ten times as long."""
    texts = pd.Series(np.arange(500_000)).astype(str)
    for ending in ("", ".00", " "):
        began = time.process_time()
        found = _respelled({"": (texts + ending).to_frame("key"), "train": texts.to_frame("key")}, ["key"])
        assert time.process_time() - began < 3
        assert all(table["key"].tolist() == texts.tolist() for table in found.values())


def test_a_table_that_knows_none_of_the_keys_is_told(folder: Path) -> None:
    campaign = with_stores(folder, pd.DataFrame({"store": [f"S{place}" for place in range(7)], "size": range(7)}))
    assert any("stores.csv was not joined" in line for line in campaign.lines)


@pytest.mark.parametrize("mark", [";", "\n", '"', "\t"])
def test_levels_that_no_header_can_hold_are_spelled_otherwise(folder: Path, mark: str) -> None:
    levels = [mark.join([f"a{place}", "b", "c", "d", "e"]) for place in range(3)]
    plays = pd.DataFrame([(key, levels[(key + turn) % 3]) for key in range(1, 261) for turn in range(4)])
    plays.set_axis(["id", "kind"], axis=1).to_csv(folder / "plays.csv", index=False)
    campaign = Campaign(folder)
    made = sorted(name for name in campaign.train if "_is_" in name)
    assert made == [f"plays_kind_is_a{place}_b_c_d_e" for place in range(3)]
    assert campaign.train["plays_rows"].eq(4).all() and campaign.train[made].sum(axis=1).round(9).eq(1).all()


def test_names_that_are_taken_get_a_number(folder: Path) -> None:
    keys = np.repeat(np.arange(1, 261), 2)
    facts = pd.DataFrame({"id": keys, "amount": np.arange(520.0), "amount_mean": keys * 1.5, "rows": keys})
    facts["kind"] = np.where(np.arange(520) % 2, "a;b", "a;;b")
    facts.to_csv(folder / "facts.csv", index=False)
    first = Campaign(folder).train.iloc[0]
    assert (first["facts_amount_mean"], first["facts_amount_mean.1"]) == (0.5, 1.5)
    assert (first["facts_rows"], first["facts_rows.1"]) == (2, 1)
    assert (first["facts_kind_is_a_b"], first["facts_kind_is_a_b.1"]) == (0.5, 0.5)


def test_a_column_that_would_take_the_keys_name_is_left_out(folder: Path) -> None:
    for table in ("train", "test"):
        frame = pd.read_csv(folder / f"{table}.csv")
        frame.assign(colour_code=np.arange(len(frame)) % 5).to_csv(folder / f"{table}.csv", index=False)
    pd.DataFrame({"colour_code": range(5), "code": 1, "warmth": range(5)}).to_csv(folder / "colour.csv", index=False)
    train = Campaign(folder).train
    assert train["colour_warmth"].equals(train["colour_code"])
