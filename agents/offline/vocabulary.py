"""The words by which public notebooks and discussions speak of techniques, and what of them an option can bring."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from agents.offline import guidance as wishes

_WORDS = {
    # models; the names of families are those of guidance.py
    "lightgbm": r"lightgbm|lgbm\w*|lgb",
    "xgboost": r"xgboost|xgb\w*",
    "catboost": r"catboost\w*",
    "hist": r"hist ?gradient ?boosting\w*",
    "trees": r"random ?forests?\w*|extra ?trees?\w*",
    "linear": r"logistic ?regression\w*|linear ?regression|ridge(?:cv|classifier)?|lasso\w*|elastic ?net\w*",
    "svm": r"svm|svc|svr|support vector\w*",
    "knn": r"k-?nn|nearest neighbou?rs|kneighbors\w*",
    "discriminant": r"(?:linear ?)?discriminant ?analysis",
    "mlp": r"mlp\w*|neural ?net(?:work)?s?|keras|tensorflow|pytorch|torch|deep learning",
    "text": r"tf-?idf\w*",
    "bayes": r"naive ?bayes|gaussiannb|multinomialnb",
    "tabnet": r"tabnet\w*",
    "tabpfn": r"tabpfn\w*",
    "transformers": r"transformers?|deberta\w*|bert|roberta\w*|tabtransformer|ft-?transformer",
    "gaussian processes": r"gaussian ?process\w*",
    "automl": r"autogluon|auto-?ml|h2o|pycaret|flaml|lightautoml|lama",
    # features
    "target encoding": r"target[- ]?encod\w*|mean[- ]?encod\w*|m-?estimate\w*",
    "frequency encoding": r"(?:frequency|count)[- ]?encod\w*",
    "interactions": r"interactions?|polynomial ?features?|feature crosses|ratios?",
    "group statistics": r"group ?(?:statistics|means|aggregat\w+)|groupby\(.{1,100}\.(?:transform|agg)",
    "log target": r"log(?:1p)?[- ]?(?:transform\w* )?(?:of )?(?:the )?target|np\.log1p\(\w*(?:y|target)\w*",
    "clusters": r"k-?means\w*",
    "components": r"pca|truncatedsvd|umap|t-?sne",
    "binning": r"qcut|kbinsdiscretizer|binning",
    "feature selection": r"feature selection|permutation importance|boruta\w*|rfecv?|shap",
    "outlier removal": r"outliers?(?: removal)?",
    # training
    "pseudo labelling": r"pseudo[- _]?label\w*",
    "seed averaging": r"seed[- _]?averag\w*|multiple seeds|different seeds|for seed in",
    "parameter search": r"optuna|hyperopt|gridsearch\w*|randomizedsearch\w*|bayesian optimi[sz]ation",
    "resampling": r"smote|(?:over|under)[- ]?sampl\w*|class[- _]weights?",
    "the original data": r"original (?:data ?set|data)",
    "adversarial validation": r"adversarial validation",
    "thresholds": r"thresholds?",
    # together
    "stacking": r"stack(?:ing|ed|er)\w*|meta[- ]?(?:model|learner)",
    "blending": r"blend\w*|weighted average|voting(?:classifier|regressor)|hill ?climb\w*|ensembl(?:es?|ed|ing)",
    # validation
    "stratified folds": r"stratified ?k?-?fold\w*",
    "group folds": r"group ?k-?fold\w*",
    "time folds": r"time ?series ?split|walk[- ]forward|time[- ]based (?:split|validation)",
}
TECHNIQUES = {name: re.compile(rf"(?:{words})(?!\w)") for name, words in _WORDS.items()}
"""For text in small letters; a match that begins within a word is none: to say so here would take ten times as long."""
AGAINST = re.compile(
    r"(?:n't|\bnot|\bno|\bnever|\bwithout)\b.{0,25}\b(?:help|work|improv|gain|use|better|good)\w*|"
    r"\bwors(?:e|ened)\b|\bhurts?\b|\buseless\b|\boverfit\w*"
)
"""In a sentence, in small letters, with a technique: it speaks against it."""
_FEATURES = {
    "target encoding": ("target_encoding",),
    "frequency encoding": ("frequency",),
    "interactions": ("interactions", "crosses", "related_numbers"),
    "group statistics": ("group_means",),
    "feature selection": ("selection",),
}
SEEDS = 3
"""So many bags are an average over seeds."""


def brought_by(family: str, recipe: str, role: str, params: Mapping[str, Any], features: Mapping[str, Any]) -> set[str]:
    """The techniques that an experiment of these settings uses, as far as the vocabulary names them."""
    return {name for name in wishes.keys_of(f"{family} {recipe}") if name in TECHNIQUES} | set(
        _others(family, role, params, features)
    )


def _others(family: str, role: str, params: Mapping[str, Any], features: Mapping[str, Any]) -> Iterator[str]:
    for name, keys in _FEATURES.items():
        if any(features.get(key) for key in keys):
            yield name
    if features.get("selection") == "drift":
        yield "adversarial validation"
    if params.get("target") == "log":
        yield "log target"
    if int(params.get("bags") or 0) >= SEEDS:
        yield "seed averaging"
    if role == "blend" or wishes.is_blend(family):
        yield from ("blending", "stacking")
