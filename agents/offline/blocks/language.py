"""Text models: TF-IDF with logistic regression, NB-SVM, naive Bayes, and a calibrated stack of them."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse

from agents.offline.blocks.core import Clock, Data, inner_folds
from agents.offline.blocks.design import linear_design
from agents.offline.blocks.goals import Goal, predict_goals
from agents.offline.blocks.linear import tolerance
from agents.offline.blocks.recall import keep, known, name_of, pack, recall, unpack

MOST_LETTERS = 20_000_000  # beyond, runs of letters take too much memory at once
MOST_OF_WORDS = 80_000_000  # letters; about a minute
ENOUGH_LETTERS = 300  # of a text are looked at, however many texts there are
FEWEST_LETTERS = 40  # the same in a hurry
SOON_COUNTED = 4_000_000  # letters in all, in a hurry
LETTERS_A_SECOND = 400_000  # in a hurry: what counting the words of them leaves of the time serves the model
FEW_WORDS = 2.5  # to a text on average
WORDS = r"\w+|[^\w\s]"  # punctuation is style, too


def vectors(texts: list[str], kind: str, most: int) -> sparse.csr_matrix | None:
    """Sparse (rows, terms) of one text column: "single" words, "word" with pairs of them, "char"; None if empty.

    TF-IDF, or the counts themselves with "_count" after the kind.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    short = sum(map(len, texts[:2000])) < 400 * min(len(texts), 2000)
    texts = cut(texts, MOST_LETTERS if kind.startswith("char") else MOST_OF_WORDS)
    least = 2 if len(texts) < 50_000 else 5
    words = (1, 1 if kind.startswith("single") else 2)
    shape: dict[str, Any] = {"ngram_range": words, "token_pattern": WORDS, "min_df": least, "max_features": most}
    if kind.startswith("char"):
        texts = [f" {text} " for text in texts]  # how a name begins and ends says more than what is in it
        longest = 5 if short else 4
        shape = {"ngram_range": (2, longest), "analyzer": "char", "min_df": least + 1, "max_features": most}
    if not any(text.strip() for text in texts):
        return None
    if kind == "char_count" and sum(map(len, texts)) <= MOST_LETTERS:
        found = char_counts(texts, 2, longest, least + 1)
        return most_frequent(found, most) if found.shape[1] else None
    try:
        found = CountVectorizer(**shape, lowercase=not kind.startswith("char"), dtype=np.float32).fit_transform(texts)
    except ValueError:  # too few terms are left: this column says nothing
        return None
    return found.tocsr() if kind.endswith("count") else weighed(found)


def cut(texts: list[str], most: int, enough: int = ENOUGH_LETTERS) -> list[str]:
    """The beginnings of long texts, `enough` or more, where all together have more than about `most` letters."""
    if sum(map(len, texts)) <= most:
        return texts
    longest = max(enough, most // len(texts))
    return [text[:longest] for text in texts]


def char_counts(texts: list[str], low: int, high: int, least: int) -> sparse.csr_matrix:
    """(rows, terms) how often each run of `low` to `high` characters occurs; those in fewer than `least` rows go.

    The same as CountVectorizer's, in a third of its time: runs are numbers, and sorting tells them apart.
    """
    texts = [re.sub(r"\s\s+", " ", text) for text in texts]
    letters = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    _, codes = np.unique(letters, return_inverse=True)
    codes = np.minimum(codes.astype(np.int64), 4000)  # so that five of them fit into 63 bits
    row = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    blocks, base = [], int(codes.max(initial=0)) + 1
    for size in range(low, high + 1):
        if len(codes) < size:
            break
        ends = len(codes) - size + 1
        runs = sum((codes[k : ends + k] * base**k for k in range(size)), np.zeros(ends, dtype=np.int64))
        inside = row[:ends] == row[size - 1 :]
        names, term = np.unique(runs[inside], return_inverse=True)
        pairs, found = np.unique(term * len(texts) + row[:ends][inside], return_counts=True)
        term, where = np.divmod(pairs, len(texts))
        kept = np.bincount(term, minlength=len(names)) >= least
        column, good = np.cumsum(kept) - 1, kept[term]
        place = (where[good], column[term[good]])
        blocks.append(sparse.csr_matrix((found[good].astype(np.float32), place), (len(texts), int(kept.sum()))))
    return sparse.hstack(blocks, format="csr")


def counts(data: Data, name: str, kind: str, most: int = 300_000) -> sparse.csr_matrix | None:
    """Counts of the terms ("single", "word" or "char") of one text column, made once; the `most` frequent of them.

    Of names and sequences, which are no bags of words, runs of letters are counted instead of single words.
    """
    texts = data.texts[name]
    if kind == "single" and of_few_words(texts):
        kind = "char"
    if (name, kind) not in data.term_counts:
        found = recall(data, f"counts {kind}", texts, partial(packed_counts, texts, kind))
        data.term_counts[name, kind] = unpack(found)
    found = data.term_counts[name, kind]
    return None if found is None else most_frequent(found, most)


def of_few_words(texts: list[str]) -> bool:
    """Whether those that are not empty are as short as names, or without blanks as sequences."""
    words = [len(text.split()) for text in texts]
    return bool(sum(words) < FEW_WORDS * np.count_nonzero(words))


def packed_counts(texts: list[str], kind: str) -> dict[str, np.ndarray]:
    return pack(vectors(texts, f"{kind}_count", 300_000))


def most_frequent(found: sparse.csr_matrix, most: int) -> sparse.csr_matrix:
    """The `most` terms that the most rows have."""
    if found.shape[1] <= most:
        return found
    return found[:, np.sort(np.argsort(-np.bincount(found.indices, minlength=found.shape[1]), kind="stable")[:most])]


def weighed(found: sparse.csr_matrix) -> sparse.csr_matrix:
    """TF-IDF of counts."""
    from sklearn.feature_extraction.text import TfidfTransformer

    return TfidfTransformer(sublinear_tf=True).fit_transform(found).tocsr()


def views_of(data: Data, members: list[str], most: int, tables: bool = True) -> dict[str, sparse.csr_matrix]:
    """The matrices that these members need, over all text columns; `tables` go along with the linear ones."""
    needs = {"logistic": ["word", "char"], "nb_word": ["word_count"], "nb_char": ["char_count"]}
    needs |= {"nbsvm": ["word", "char"], "complement": ["word_count"], "ridge": ["word", "char"]}
    needs |= {"nb_single": ["single_count"], "logistic_single": ["single"]}
    views: dict[str, sparse.csr_matrix] = {}
    for kind in sorted({kind.removesuffix("_count") for member in members for kind in needs[member]}):
        found = [counts(data, name, kind, most) for name in data.texts]
        blocks = [block for block in found if block is not None]
        empty = sparse.csr_matrix((sum(data.sizes), 1), dtype=np.float32)
        views[f"{kind}_count"] = sparse.hstack(blocks or [empty], format="csr")
        if any(kind in needs[member] for member in members):
            views[kind] = sparse.hstack([weighed(block) for block in blocks] or [empty], format="csr")
    for member in members:
        linear = tables and member in ("logistic", "logistic_single", "ridge")
        extra = [linear_design(data)] if linear and (data.numbers or data.cats) else []
        views[member] = sparse.hstack([*(views[kind] for kind in needs[member]), *extra], format="csr")
    return views


def member_scores(
    member: str, view: sparse.csr_matrix, goal: Goal, fit: np.ndarray, rows: np.ndarray, params: dict[str, Any]
) -> np.ndarray:
    """Fits one member on positions `fit` of the goal, scores `rows` of the view: values (n, 1) or log odds (n, k)."""
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.naive_bayes import ComplementNB, MultinomialNB

    train, y = view[goal.rows[fit]], goal.y[fit]
    if goal.kind == "value":
        return Ridge(alpha=1.0 / float(params["C"]) * 5, solver="lsqr").fit(train, y).predict(view[rows]).reshape(-1, 1)
    if member == "ridge":  # least squares on ±1 per class: as good as a logistic model, in a fifth of its time
        wanted = 2.0 * np.eye(goal.classes, dtype=np.float32)[y] - 1.0
        strength = 20.0 / float(params["C"])
        return Ridge(alpha=strength, solver="sparse_cg", tol=1e-2, max_iter=50).fit(train, wanted).predict(view[rows])
    scores = np.full((len(rows), goal.classes), -12.0)
    if member == "nbsvm":
        for label in np.unique(y):
            mask = y == label
            positive, negative = train[mask].sum(axis=0) + 0.5, train[~mask].sum(axis=0) + 0.5
            weight = np.asarray(np.log(positive / positive.sum()) - np.log(negative / negative.sum())).ravel()
            scale = sparse.diags(weight.astype(np.float32))
            model = LogisticRegression(C=float(params["C"]), max_iter=40, tol=tolerance(mask))
            scores[:, label] = model.fit(train @ scale, mask).decision_function(view[rows] @ scale)
        return scores
    if member.startswith("logistic"):
        model = LogisticRegression(C=float(params["C"]), max_iter=40, tol=tolerance(y))
    elif member == "complement":
        model = ComplementNB(alpha=float(params["alpha"]) * 5)
    else:
        model = MultinomialNB(alpha=float(params["alpha"]) * (0.2 if member == "nb_char" else 1.0))
    model.fit(train, y)
    scores[:, np.asarray(model.classes_, dtype=int)] = np.clip(model.predict_log_proba(view[rows]), -60, 0)
    return scores


def stacked_scores(
    data: Data, goal: Goal, views: dict[str, sparse.csr_matrix], params: dict[str, Any], clock: Clock
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of all members, (training rows of the goal, m) from inner folds and (valid + test rows, m)."""
    members, fold = list(params["members"]), inner_folds(data, 4, salt=31)[goal.rows]
    every, apply_rows = np.arange(len(goal.rows)), np.arange(data.n_train, sum(data.sizes))
    inside: list[np.ndarray] = []
    outside: list[np.ndarray] = []
    for member in members:
        started, view = clock.left(), views[member]
        bayes = member in ("nb_single", "nb_word", "nb_char", "complement") and goal.kind != "value"
        about = f"{member} {goal.kind} {goal.classes} {params['alpha' if bayes else 'C']}"
        name = name_of(data, about, [view.data, view.indices, view.indptr, goal.y, goal.rows, fold], stacked_scores)
        if (kept := known(data, name)) is not None:
            inside.append(kept["inside"])
            outside.append(kept["outside"])
            continue
        if inside and started < 0:
            break
        final = member_scores(member, view, goal, every, apply_rows, params)
        if inside and clock.left() < 4 * (started - clock.left()):
            break
        own = np.zeros((len(goal.rows), final.shape[1]))
        for k in np.unique(fold):
            fit, out = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
            if len(fit):
                own[out] = member_scores(member, view, goal, fit, goal.rows[out], params)
        inside.append(own)
        outside.append(final)
        keep(data, name, {"inside": own, "outside": final}, started - clock.left())
        print(f"{member}: {started - clock.left():.1f} s", flush=True)
    return np.hstack(inside), np.hstack(outside)


def smaller_fold(data: Data, most: int) -> Data:
    """The same fold with at most `most` of its training rows, drawn by its seed: what text models see of it."""
    if data.n_train <= most:
        return data
    drawn = np.sort(np.random.default_rng(data.seed).permutation(data.n_train)[:most])
    rows = np.concatenate([drawn, np.arange(data.n_train, sum(data.sizes))])
    return replace(
        data,
        sizes=(most, *data.sizes[1:]),
        y=data.y[drawn],
        crosses={},
        dates={},
        strings={},
        ids=None,
        numbers={name: values[rows] for name, values in data.numbers.items()},
        cats={name: codes[rows] for name, codes in data.cats.items()},
        texts={name: [texts[row] for row in rows] for name, texts in data.texts.items()},
        term_counts={},
        groups=None if data.groups is None else data.groups[rows],
        times=None if data.times is None else data.times[drawn],
    )


def language_model(data: Data, params: dict[str, Any]) -> np.ndarray:
    """`blended` models of at most "most_rows" training rows; in a "hurry" of as many letters as there is time for."""
    part = smaller_fold(data, int(params.get("most_rows") or data.n_train))
    if params.get("hurry"):
        most = max(SOON_COUNTED, int(LETTERS_A_SECOND * data.clock.whole)) // len(part.texts)
        short = {name: cut(texts, most, FEWEST_LETTERS) for name, texts in part.texts.items()}
        part = replace(part, texts=short, term_counts={})
    try:
        return blended(part, params)
    finally:
        data.recalled |= part.recalled


def blended(data: Data, params: dict[str, Any]) -> np.ndarray:
    """One member as it is ("calibrate": false), or all of them blended by a small model on out-of-fold scores."""
    from sklearn.linear_model import RidgeCV

    members = list(params["members"])
    views = views_of(data, members, int(params.get("max_terms", 300_000)))

    def fit_one(goal: Goal, clock: Clock) -> np.ndarray:
        every, apply_rows = np.arange(len(goal.rows)), np.arange(data.n_train, sum(data.sizes))
        if len(members) == 1 and not params.get("calibrate"):
            scores = member_scores(members[0], views[members[0]], goal, every, apply_rows, params)
            return scores.ravel() if goal.kind == "value" else odds_to_probabilities(members[0], scores, goal)
        inside, outside = stacked_scores(data, goal, views, params, clock)
        centre, spread = inside.mean(axis=0), inside.std(axis=0) + 1e-9
        inside, outside = (inside - centre) / spread, (outside - centre) / spread
        if goal.kind == "value":
            return RidgeCV(np.logspace(-2, 3, 6)).fit(inside, goal.y).predict(outside)
        return calibrator(inside, goal).predict_proba(outside)[:, 1 if goal.kind == "binary" else slice(None)]

    return predict_goals(data, fit_one)


def calibrator(inside: np.ndarray, goal: Goal) -> Any:
    """Multinomial logistic regression from standardised scores to probabilities."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=0.5, max_iter=500).fit(inside, goal.y)


def odds_to_probabilities(member: str, scores: np.ndarray, goal: Goal) -> np.ndarray:
    """Log probabilities or one-against-rest log odds → P(class 1) or (n, classes)."""
    if member == "nbsvm":
        wide = 1.0 / (1.0 + np.exp(-np.clip(scores, -30, 30)))
    else:
        steep = 3.0 if member == "ridge" else 1.0  # least squares stays within ±1
        wide = np.exp(steep * (scores - scores.max(axis=1, keepdims=True)))
    wide = wide / wide.sum(axis=1, keepdims=True)
    return wide[:, 1] if goal.kind == "binary" else wide
