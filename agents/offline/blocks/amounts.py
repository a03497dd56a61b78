"""Numbers from strings that are amounts: with their units, in several units, as ranges."""

from __future__ import annotations

import numpy as np
import pandas as pd

from agents.offline.blocks.core import HUGE, Data, varies

NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.\d+[eE][-+]?\d{1,2}|\d+(?:\.\d+)?"
AMOUNT = rf"(?P<number>(?:(?<!\w)-)?(?:{NUMBER}))\s*(?P<unit>[^\W\d_]+|[%'\"°])?"
BEGINS = rf"[^\w-]*-?(?:{NUMBER})\s*(?:[^\W\d_]|[%'\"°]|-\s*\d|[^\w.]*$)"
MAGNITUDES = {"": 1.0, "k": 1e3, "m": 1e6, "mn": 1e6, "b": 1e9, "bn": 1e9}
MEASURES = [
    {name: float(size) for names, size in (group.split("=") for group in groups.split()) for name in names.split(",")}
    for groups in (
        "s,sec,second=1 m,min,minute=60 h,hr,hour=3600 d,day=86400 w,week=604800 mo,month=2.63e6 y,yr,year=3.156e7",
        "mm=1 cm=10 m=1e3 km=1e6 in,\"=25.4 ft,'=304.8 mile=1609344",
        "mg=1e-3 g=1 kg=1e3 oz=28.35 lb=453.6",
        "kb=1 mb=1e3 gb=1e6 tb=1e9",
    )
]
FEW_UNITS = 6


def add_amounts(data: Data, name: str, column: pd.Series) -> bool:
    """The numbers of strings like "12.5 lb", "$1,200", "1h 20m", "172HP 1.6L" or "20-30 kg", by their units.

    Whether the strings say nothing else: then parts of them only repeat the numbers.
    """
    codes, levels = pd.factorize(column)
    strings = pd.Series(levels, dtype=object)
    found = amounts_of(strings)
    if found is None:
        return False
    for (unit, nth), part in found.groupby(["unit", "nth"]):
        values = np.full(len(levels) + 1, np.nan)  # the last is that of a hole
        values[part["row"]] = part["value"]
        if len(part) >= 0.02 * len(levels) and varies(values[codes[: data.n_train]]):
            data.numbers[f"{name}.{unit}{nth}"] = values[codes]
    return only_amounts(strings, found)


def only_amounts(strings: pd.Series, found: pd.DataFrame) -> bool:
    """Whether the same stands beside all amounts, and these are no codes ("12-3-45") or seats ("12A", "12B")."""
    rest = strings.iloc[:: 1 + len(strings) // 2000].str.replace(AMOUNT, "", regex=True)
    rest = rest.str.replace(r"[\s.,]", "", regex=True)
    several = (found["unit"] == "") & (found["nth"] > 0)
    rare = found.groupby(["unit", "nth"]).size() < 0.5 * len(strings)
    return bool(rest.value_counts(normalize=True).iloc[0] >= 0.99 and not several.any() and not rare.any())


def amounts_of(levels: pd.Series) -> pd.DataFrame | None:
    """Of each string ("row") the "value" and "unit" of its "nth" number of that unit; None where they are no amounts.

    Few units count nearly all of them, which tells amounts from streets and codes.
    """
    few = levels.iloc[:: 1 + len(levels) // 2000]
    if few.str.match(BEGINS).mean() < 0.8 or few.str.count(NUMBER).mean() > 4:
        return None
    table = levels.str.extractall(AMOUNT).reset_index(names=["row", "nth"])
    table["unit"] = table["unit"].fillna("").str.lower().str.replace(r"(?<=..)s$", "", regex=True)
    table["value"] = table["number"].str.replace(",", "").astype(float).where(lambda values: values.abs() < HUGE)
    first = table["unit"][table["nth"] == 0].value_counts(normalize=True)
    if first.iloc[:FEW_UNITS].sum() < 0.8:
        return None
    if set(first.index) <= set(MAGNITUDES) and ("k" in first.index or len(set(first.index) - {""}) > 1):
        table["value"] *= table["unit"].map(MAGNITUDES).fillna(1.0)
        table["unit"] = ""
    shares = table["unit"].value_counts(normalize=True)
    usual = set(shares[shares >= 0.02].index[:FEW_UNITS])
    for sizes in MEASURES:
        if len(usual) > 1 and usual <= set(sizes):
            by_row = (table["value"].abs() * table["unit"].map(sizes)).groupby(table["row"])
            below = table.groupby("row")["number"].first().str.startswith("-")  # of -1h 20m the minutes count down, too
            sums = by_row.sum(min_count=1)
            return pd.DataFrame({"value": sums.mask(below, -sums), "unit": "", "nth": 0}).reset_index()
    table = table[table["unit"].isin(usual)]
    return table.assign(nth=table.groupby(["row", "unit"]).cumcount())
