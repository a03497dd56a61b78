"""A recipe: one way to play, as data; and the facts of a competition that recipes are judged by."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from agents.offline.blocks.core import CODE_NAME
from agents.offline.blocks.pixels import FEWEST_PIXELS
from agents.offline.blocks.series import unit_of

EXCLUSIVE = 0.8
"""Share of rows with exactly one target of 1 from which the targets are classes in all but name."""

EDGES = 80
"""Columns that pictures become, more or less (`defaults`)."""
FEW_SHADES = 16
"""Values that flags and answers have, and most pixels have more."""
MANY_CLASSES = 20
FEW_EACH = 60
"""Rows per class below which many classes are `crowded`."""


def _is_code(column: Mapping[str, Any], rows: int) -> bool:
    """Whole numbers that are names rather than amounts: repeated, far apart and not crowded near zero."""
    distinct, most = column.get("distinct", 0), column.get("max") or 0.0
    if not column.get("whole") or not 100 < distinct < 0.3 * rows or (column.get("min") or 0.0) < 0:
        return False
    return bool(most - column["min"] > 20 * distinct and column["p50"] > 0.03 * most)


def _called_code(name: str, column: Mapping[str, Any], rows: int) -> bool:
    """Whole numbers of many levels that repeat and whose name says what they are (`blocks.core.looks_like_code`)."""
    return bool(column.get("whole") and 100 < column.get("distinct", 0) < rows / 2 and re.search(CODE_NAME, name))


def _tells_days(name: str | None, profile: Mapping[str, Any]) -> bool:
    """Whether the time column is a date, or by its name a number of years, months, weeks, … (`blocks.series`)."""
    return name in profile["date_columns"] or bool(name in profile["numeric_columns"] and unit_of(str(name)))


def _thin(details: Mapping[str, Mapping[str, Any]]) -> float:
    """Share of the numbers that are 0 in nine of ten rows or more."""
    zeros = [column["zeros"] for column in details.values() if "zeros" in column]
    return sum(share >= 0.9 for share in zeros) / max(1, len(zeros))


def _pixels(numeric: Collection[str], details: Mapping[str, Mapping[str, Any]]) -> int:
    """How many columns look like a picture's pixels: numbered, none below 0, of one scale (`blocks.pixels`)."""
    stems = {name: re.sub(r"\d+", "#", name) for name in numeric}
    stem, count = Counter(stems.values()).most_common(1)[0] if stems else ("", 0)
    known = [details[name] for name, own in stems.items() if own == stem and name in details]
    if stem.count("#") not in (1, 2) or not known or count < max(FEWEST_PIXELS, 0.8 * len(numeric)):
        return 0
    tops = sorted(column.get("max") or 0.0 for column in known)
    alike = min(column.get("min") or 0.0 for column in known) >= 0 and tops[len(tops) // 2] > 0.3 * tops[-1]
    shades = [column.get("distinct", 0) > FEW_SHADES and bool(column.get("whole")) for column in known]
    various = sum(shades) > len(known) / 4  # the known ones may be a picture's upper edge
    return count if alike and various else 0


@dataclass(frozen=True)
class Facts:
    """Sizes and kinds of the tables; `columns` counts a date as eight, a picture as EDGES."""

    rows: int
    rows_all: int
    numbers: int
    categories: int
    texts: int
    columns: int
    coded: int  # categories or integer codes with more than 100 levels
    outputs: int  # models to fit: classes or targets
    task: str
    wordiness: float  # mean characters of the longest text column
    thin: float = 0.0  # columns that are 0 nearly everywhere, as far as the profile tells
    ahead: bool = False  # whether test comes after train, by a date
    pictures: bool = False  # whether the numbers look like a picture's pixels
    exclusive: bool = False  # whether nearly every row has exactly one of several targets of 0 and 1

    @classmethod
    def of(cls, profile: Mapping[str, Any], competition: Mapping[str, Any], cv_strategy: str = "") -> Facts:
        """From R00_profile.json, the competition section of config.json and how it splits."""
        rows, details = profile["rows"], profile["column_details"]
        numeric, categorical = profile["numeric_columns"], profile["categorical_columns"]
        called = sum(_called_code(name, details[name], rows["train"]) for name in numeric if name in details)
        codes = sum(_is_code(details[name], rows["train"]) for name in numeric if name in details)
        coded = sum(details[name].get("distinct", 0) > 100 for name in categorical if name in details)
        numbers = len(numeric) + len(profile["bool_columns"])
        pixels = _pixels(numeric, details)
        numbers -= max(0, pixels - EDGES)
        task, targets = competition["task"], len(competition["target_columns"])
        outputs = {"multiclass": len(competition["classes"]), "multilabel": targets, "multiregression": targets}
        lengths = [column["characters"]["mean"] or 0.0 for column in details.values() if "characters" in column]
        return cls(
            rows=rows["train"],
            rows_all=rows["train"] + rows["test"],
            numbers=numbers,
            categories=len(categorical),
            texts=len(profile["text_columns"]),
            columns=numbers + len(categorical) + 8 * len(profile["date_columns"]),
            coded=coded + (codes if codes >= 0.6 * len(numeric) else called),
            outputs=outputs.get(task, 1),
            task=task,
            wordiness=max(lengths, default=0.0),
            ahead=cv_strategy == "time" and _tells_days(competition.get("time_column"), profile),
            pictures=pixels > 0,
            thin=0.0 if pixels else _thin(details) * numbers,
            exclusive=task == "multilabel" and targets > 2 and (profile.get("one_target") or 0.0) >= EXCLUSIVE,
        )

    @property
    def values(self) -> bool:
        """Whether the targets are numbers rather than classes."""
        return self.task in ("regression", "multiregression")

    @property
    def in_series(self) -> bool:
        """Whether rows may be those of series that go on in test; beside texts this is not looked at."""
        return self.ahead and not self.texts

    @property
    def crowded(self) -> bool:
        """Whether there are many classes of few rows each: too few for trees to tell apart."""
        return self.task == "multiclass" and self.outputs >= MANY_CLASSES and self.rows < FEW_EACH * self.outputs

    @property
    def trees_lag(self) -> bool:
        """Whether models without splits are likely to be ahead."""
        return self.crowded or self.pictures

    @property
    def letters(self) -> float:
        """Characters of the longest text column that text blocks look at (`blocks.language.cut`)."""
        return min(self.rows_all * self.wordiness, 2e7 + 300 * self.rows_all)

    @property
    def encoding_seconds(self) -> float:
        """Of target encodings with category pairs, by one core."""
        return 0.3 + 2e-6 * self.rows * min(60, self.categories**2) * self.outputs

    @property
    def usual_bags(self) -> int:
        """How many bags a booster takes by itself (`blocks.boosters.boost`), with four fifths of the rows in a fold."""
        return 4 if 0.8 * self.rows < 5000 else 2


Judge = Callable[[Facts], float]


def anything(facts: Facts) -> bool:
    return True


def text_seconds(per_row: float) -> Judge:
    """Seconds by rows, length of the texts and outputs, for models of texts.

    Of numbers they are ridge regressions, which take a fraction of a logistic model's time and little for each target.
    """

    def seconds(f: Facts) -> float:
        models = 0.4 * f.outputs**0.25 if f.values else f.outputs**0.5
        return 0.55 * per_row * f.rows * max(1, f.texts) * max(1.0, f.wordiness / 150) * models

    return seconds


@dataclass(frozen=True)
class Recipe:
    """One way to play. `space` maps a param to a list of choices or to (low, high) / (low, high, "log").

    `seconds` are for one fold on one core, `hint` is what to expect before anything was measured, 0 to 1.
    """

    name: str
    family: str
    title: str
    model: str
    features: Mapping[str, Any]
    params: Mapping[str, Any]
    space: Mapping[str, Any]
    seconds: Judge
    hint: Judge
    fits: Callable[[Facts], bool] = anything
    feature_space: Mapping[str, list[Any]] = field(default_factory=dict)

    @property
    def is_blend(self) -> bool:
        return self.family == "blend"

    def cost(self, facts: Facts) -> float:
        """Estimated seconds of one fold's fit on one core."""
        return round(0.1 + self.reading(facts) + self.seconds(facts), 2)

    def reading(self, facts: Facts) -> float:
        """The part of it that goes into columns made from texts, whatever the params: most of it can't be cut short."""
        topics = facts.texts * max(1e-3 * facts.rows, 3e-6 * facts.letters) if self.features.get("text_svd") else 0.0
        scores = text_seconds(1.1e-3)(facts) if self.features.get("text_scores") else 0.0
        return topics + scores


def draw(choices: Any, rng: random.Random) -> Any:
    """One value of a space entry, rounded so that a person can read it."""
    if isinstance(choices, list):
        return rng.choice(choices)
    low, high = choices[0], choices[1]
    log = len(choices) == 3
    value = math.exp(rng.uniform(math.log(low), math.log(high))) if log else rng.uniform(low, high)
    return round(value) if isinstance(low, int) and isinstance(high, int) else float(f"{value:.3g}")
