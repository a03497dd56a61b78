"""Which metric a description speaks of, and what the target allows.

Every phrase is one pattern. The evaluation section is read first, and in it the sentence that says how submissions are
scored; a metric that is only named in passing elsewhere does not count.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

BINARY_ONLY = frozenset(["gini", "average_precision", "f1", "brier"])
"""With more than two classes these words mean something else."""
COLUMNWISE = re.compile(
    r"column-?wise|mcrmse|(each|every|individual|all|per)( of the| predicted| target)* (columns?|targets?)"
)

_ROOT = r"root[- ]mean[- ]?squared?"
PHRASES: list[tuple[str, str]] = [
    (rf"{_ROOT}[- ]log(arithmic|arithm)?[- ](error|difference)|rmsle", "rmsle"),
    (r"root[- ]mean[- ]squared?[- ]percent(age)?[- ](error|deviation)|rmspe", "rmspe"),
    (rf"({_ROOT}[- ](error|deviation)|rmsd|rmse)[^.]{{0,60}}?\blog(s|arithms?)?\b", "rmse_log"),
    (rf"{_ROOT}[- ](error|deviation|loss)|rmse|mcrmse", "rmse"),
    (r"mean[- ]squared?[- ]error|\bmse\b", "mse"),
    (r"symmetric mean absolute percent(age)? error|smape", "smape"),
    (r"mean absolute percent(age)? error|\bmape\b", "mape"),
    (r"mean absolute (error|deviation)|\bmae\b", "mae"),
    (r"median absolute error|\bmedae\b", "medae"),
    (r"coefficient of determination|\br ?\^ ?2\b|\br2\b|r²|r-squared", "r2"),
    (r"pearson('s)?( r| correlation)?|pearsonr", "pearson"),
    (r"spearman('s)?( rank| rho| correlation)?|spearmanr", "spearman"),
    (r"mean average precision( @| at| \(?map ?@)? ?\(?(?P<map>\d+)?|\bmap ?@ ?(?P<map2>\d+|k)", "map"),
    (r"normali[sz]ed discounted cumulative gain( at| @)? ?\(?(?P<ndcg>\d+)?|\bndcg( ?@? ?(?P<ndcg2>\d+))?", "ndcg"),
    (r"average precision|area under the precision|pr[- ]auc|auprc|precision[- ]recall curve", "average_precision"),
    (r"area under (the )?(receiver|roc|curve)[^.,;]*|roc[- ]auc|auc[- ]roc|auroc|\baucs?\b", "auc"),
    (r"\bgini\b", "gini"),
    (
        r"balanced[- ](multi-?class[- ]|binary[- ])?log(arithmic)?[- ]?loss|balanced[- ]cross[- ]entropy",
        "balanced_log_loss",
    ),
    (r"log(arithmic)?[- ]?loss|multi-?class loss|cross[- ]entropy|negative log[- ]likelihood", "log_loss"),
    (r"brier", "brier"),
    (r"quadratic(ally)?[- ]weighted[- ](cohen'?s )?kappa|quadratic kappa|\bqwk\b|weighted kappa", "qwk"),
    (r"matthews?'?s? correlation|\bmcc\b", "mcc"),
    (r"balanced[- ]accuracy|macro[- ]averaged recall|average recall", "balanced_accuracy"),
    (r"\bf[- ]?1([- ]?(score|measure|macro|micro|weighted))?\b|\b(mean)?f[- ]?(score|measure)\b", "f1"),
    (r"\baccuracy\b|(share|percent(age)?|proportion|fraction|number) of [^.]{0,80}\bcorrect(ly)?\b", "accuracy"),
]
_COMPILED = [(re.compile(pattern), name) for pattern, name in PHRASES]
_PLUS_ONE = re.compile(r"\bplus (one|1)\b|\b(one|1) plus\b|\+ ?1(?![\d.])|\b1 ?\+")
_SCORED = re.compile(r"evaluat|scor|metric|measured|judged|graded|ranked|leaderboard")
_ASIDE = re.compile(
    r"\b(instead of|rather than|unlike|not (on|by|the|with|use|using)?|no longer|as opposed to|similar to|compared to|"
    r"for (information|reference) only)\b((?!\bbut\b)[^.;,])*"
)


@dataclass(frozen=True)
class Reading:
    """A metric found in a text: its name (None: none found), the words that name it, and the direction if stated."""

    metric: str | None
    words: str
    maximize: bool | None
    said: str = "the description says"


@dataclass(frozen=True)
class Description:
    """What is told about a competition: its text, the metrics that may be meant, the likeliest first.

    `higher_wins`: how the leaderboard is ordered; `unknown`: the name of a metric that is none of ours.
    """

    text: str
    readings: tuple[Reading, ...]
    higher_wins: bool | None = None
    unknown: str = ""

    @classmethod
    def of(cls, text: str) -> Description:
        """From a text alone."""
        return cls(text, (read_description(text),))


def read_description(text: str) -> Reading:
    """The metric that a competition's description says it uses; map and ndcg come without @k when none is stated."""
    section = _evaluation_section(text)
    evaluation, everything = _sentences(section), _sentences(text)
    preferred = [item for item in evaluation if _SCORED.search(item)]
    elsewhere = [item for item in everything if _SCORED.search(item)]
    for sentence in [*preferred, *evaluation, *elsewhere]:
        found = _first_metric(sentence)
        if found:
            return Reading(found[0], found[1], _direction(section or text))
    return Reading(None, "", _direction(section or text))


def _direction(text: str) -> bool | None:
    lower, higher = (
        bool(re.search(rf"\b{word} (scores? |values? )?(is|are) better", text, re.IGNORECASE))
        for word in ("lower", "higher")
    )
    return higher if lower != higher else None


def _evaluation_section(text: str) -> str:
    """The text under a heading such as `## Evaluation`, up to the next heading of its level; "" if there is none."""
    found = re.search(r"^(#{1,6})\s*[^\n]*\b(evaluation|metric|scoring)\b[^\n]*$", text, re.IGNORECASE | re.MULTILINE)
    if not found:
        return ""
    rest = text[found.end() :]
    end = re.search(rf"^#{{1,{len(found.group(1))}}}\s", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def _sentences(text: str) -> list[str]:
    """Lower-case sentences without Markdown, code blocks, links' addresses or asides."""
    plain = re.sub(r"```.*?```|\$\$.*?\$\$", " ", text, flags=re.DOTALL)
    plain = re.sub(r"\]\([^)]*\)|https?://\S+", "] ", plain)
    plain = re.sub(r"[*_`\[\]]", "", plain.replace("’", "'").replace("–", "-")).lower()  # noqa: RUF001
    parts = re.split(r"(?<=[.!?])\s+|\n\s*\n|\n(?=[-#|])", plain)
    return [_ASIDE.sub(" ", " ".join(part.split())) for part in parts if part.strip()]


def _first_metric(sentence: str) -> tuple[str, str] | None:
    """The earliest and, there, the longest phrase of a sentence as (name, words)."""
    hits = [
        (found.start(), -len(found.group()), name, found) for rx, name in _COMPILED if (found := rx.search(sentence))
    ]
    if not hits:
        return None
    _, _, name, found = min(hits, key=lambda hit: hit[:2])
    size = next((value for value in found.groupdict().values() if value and value.isdigit()), None)
    if name in ("map", "ndcg"):
        return (f"{name}@{size}" if size else name), found.group().strip()
    if name == "f1":
        name = next((f"f1_{kind}" for kind in ("macro", "micro", "weighted") if kind in sentence), "f1")
    near = _PLUS_ONE.search(sentence, found.start(), found.end() + 120) if name == "rmse_log" else None
    if near:
        return "rmsle", sentence[found.start() : near.end()]
    return name, found.group().strip()
