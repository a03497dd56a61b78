"""Features from texts for models that want columns: style, topics, similarity, scores of text models."""

from __future__ import annotations

from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from agents.offline.blocks.core import Clock, Data
from agents.offline.blocks.goals import goals
from agents.offline.blocks.language import counts, stacked_scores, vectors, views_of, weighed
from agents.offline.blocks.recall import recall

MOST_PAIRS = 6
FEWEST_STRINGS = 100  # different ones, of which some may be like a text
MOST_STRINGS = 250_000  # rows: to compare the words of more takes too long


def text_stats(data: Data, option: Any) -> None:
    """Length and style of each text: words, sentences, punctuation, capitals, digits, variety."""
    for name, texts in data.texts.items():
        table = recall(data, "style", texts, partial(style, texts))["style"]
        for i, values in enumerate(table.T):
            if len(np.unique(values[: data.n_train])) > 1:
                data.numbers[f"{name}.style{i}"] = values


def style(texts: list[str]) -> dict[str, np.ndarray]:
    """{"style": (texts, 16)}"""
    rows = []
    for text in texts:
        words, size = text.split(), max(1, len(text))
        marks = [text.count(mark) for mark in ",.;:\"!?'-"]
        upper, digits = sum(map(str.isupper, text)), sum(map(str.isdigit, text))
        mean = sum(map(len, words)) / max(1, len(words))
        variety = len({word.lower() for word in words}) / max(1, len(words))
        links, lines = text.count("http"), text.count("\n")
        rows.append([len(text), len(words), mean, variety, upper / size, digits / size, links, lines, *marks])
    return {"style": np.array(rows, dtype=float).reshape(len(texts), -1)}


def text_svd(data: Data, option: Any) -> None:
    """The first `option` directions of word and character TF-IDF of each text."""
    for name, texts in data.texts.items():
        for kind in ("word", "char"):
            about = f"svd {kind} {option}"
            found = recall(data, about, texts, partial(directions, data, name, kind, int(option)))
            for i, values in enumerate(found["topics"].T):
                data.numbers[f"{name}.{kind}{i}"] = values


def directions(data: Data, name: str, kind: str, most: int) -> dict[str, np.ndarray]:
    """{"topics": (rows, up to `most`)}"""
    from sklearn.decomposition import TruncatedSVD

    found = counts(data, name, kind, 50_000)
    if found is None or min(found.shape) < 4:
        return {"topics": np.zeros((sum(data.sizes), 0))}
    matrix = weighed(found)
    svd = TruncatedSVD(min(most, min(matrix.shape) - 1), n_iter=3, random_state=data.seed % 2**31)
    return {"topics": svd.fit_transform(matrix).astype(float)}


def text_pairs(data: Data, option: Any) -> None:
    """Similarity of each pair of columns of words: shared words, shared share, length gap, TF-IDF cosine.

    Short strings of several words are such columns, too, as what was searched for stands beside what was found.
    """
    few = sum(data.sizes) <= MOST_STRINGS
    short = {name: column.fillna("").tolist() for name, column in data.strings.items() if few and of_words(column)}
    every = {**short, **data.texts}
    pairs = sorted(combinations(every, 2), key=lambda pair: (pair[0] in short) == (pair[1] in short))  # unlike first
    for a, b in pairs[:MOST_PAIRS]:
        left, right = every[a], every[b]
        found = recall(data, "pair", [*left, *right], partial(likeness, left, right))
        data.numbers |= {f"{a}~{b}.{key}": values for key, values in found.items()}


def of_words(column: pd.Series) -> bool:
    """Whether strings are often of several words, and of many kinds."""
    levels = column.dropna().drop_duplicates()
    return len(levels) >= FEWEST_STRINGS and levels.str.strip().str.contains(r"[^\W\d_]\s+[^\W\d_]").mean() > 0.5


def likeness(left: list[str], right: list[str]) -> dict[str, np.ndarray]:
    """What two texts of a row have in common."""
    bags = [(set(x.lower().split()), set(y.lower().split())) for x, y in zip(left, right, strict=True)]
    shared = np.array([len(x & y) for x, y in bags], dtype=float)
    joint = np.array([max(1, len(x | y)) for x, y in bags], dtype=float)
    least = np.array([max(1, min(len(x), len(y))) for x, y in bags], dtype=float)
    gap = np.array([len(x) - len(y) for x, y in zip(left, right, strict=True)], dtype=float)
    found = {"shared": shared, "jaccard": shared / joint, "covered": shared / least}
    found |= {"gap": gap, "same": np.array([float(x == y) for x, y in zip(left, right, strict=True)])}
    found["wide_gap"] = np.abs(gap)
    for kind in ("word", "char"):
        both = vectors([*left, *right], kind, 100_000)
        if both is not None:
            x, y = both[: len(left)], both[len(left) :]
            found[f"{kind}_cosine"] = np.asarray(x.multiply(y).sum(axis=1), dtype=float).ravel()
    return found


def text_scores(data: Data, option: Any) -> None:
    """Out-of-fold scores of linear and naive Bayes text models as columns (`option`: the members)."""
    if not data.texts:
        return
    params: dict[str, Any] = {"members": list(option), "C": 20.0, "alpha": 0.1}
    views, problems = views_of(data, params["members"], 300_000, tables=False), goals(data)
    clock = Clock(0.6 * data.clock.left())
    for number, goal in enumerate(problems):
        if len(np.unique(goal.y)) < 2 or clock.left() < 0:
            continue
        inside, outside = stacked_scores(
            data, goal, views, params, Clock(1.25 * clock.left() / (len(problems) - number))
        )
        columns = np.full((sum(data.sizes), inside.shape[1]), np.nan)
        columns[goal.rows], columns[data.n_train :] = inside, outside
        for i, values in enumerate(columns.T):
            data.numbers[f"text.score{number}.{i}"] = values
            data.learned.add(f"text.score{number}.{i}")
