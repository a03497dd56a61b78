"""What a person's guidance.md asks for, as far as the offline policy understands it.

One wish a line, in free text: "use catboost", "avoid neural nets", "only linear", "try svm next", "blend now",
"tune lightgbm", "stop tuning", "no blends", "bold", "do not submit". Every other line is kept and shown in the plan,
so that nobody believes it was heard when it was not.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field, replace

from agents.guidance_file import forbids, lines

FAMILY_WORDS = {
    "lightgbm": ("lightgbm", "lgbm", "lgb"),
    "xgboost": ("xgboost", "xgb"),
    "catboost": ("catboost",),
    "hist": ("histgradientboosting", "hist gradient boosting", "hist"),
    "trees": ("extra trees", "extratrees", "random forest", "randomforest", "forest", "forests", "bagged trees"),
    "linear": ("linear", "logistic", "ridge", "lasso", "elastic net"),
    "svm": ("svm", "svc", "svr", "support vector"),
    "kernel": ("kernel", "kernels"),
    "knn": ("knn", "nearest neighbours", "nearest neighbors", "neighbours", "neighbors"),
    "discriminant": ("discriminant", "discriminant analysis"),
    "mlp": (
        "mlp",
        "nets",
        "deep learning",
        "neural",
        "neural net",
        "neural nets",
        "neural network",
        "neural networks",
        "nn",
    ),
    "bayes": ("naive bayes", "bayes"),
    "text": ("tfidf", "tf-idf", "text"),
}
BOOSTING = ("boosting", "gbdt", "gbm", "boosted trees")
BOOSTERS = frozenset({"lightgbm", "xgboost", "catboost", "hist"})
TREES = BOOSTERS | {"trees"}
_ALL_TREES = re.compile(
    r"(please )?(use )?(no|avoid|without|skip|ban|only|just|nothing but) (decision )?tree(s|([- ]based)? models)[.!]*"
)
"""All of a line: "no trees deeper than 6" speaks of something else."""

MOST_LINES = 100
MOST_LETTERS = 300
"""Of a line; plans repeat what guidance.md says."""
_ONLY = re.compile(r"\b(only|nothing but|just)\b")
_WITHOUT = re.compile(r"\b(no|avoid|without|skip|don'?t (use|try|run)|never|not|stop|ban)\b")
_WANT = re.compile(r"\b(use|try|play|prefer|run|add|give|go|go with|include|more|next|switch|focus|first)\b")


@dataclass(frozen=True)
class Wish:
    """ "tune lightgbm" is role tune and family lightgbm; "use catboost" has no role, "blend now" no family."""

    role: str | None
    families: frozenset[str]
    line: str = ""
    """In lower case."""
    since: int = 0
    """The round from which on a run does what it asks for."""

    @property
    def is_once(self) -> bool:
        """ "try catboost next" is over with the round that did it."""
        return _has_word(self.line, "next")

    def names(self, family: str, recipe: str) -> bool:
        return bool(_names_of(family, recipe) & self.families)

    def asks_for(self, role: str, family: str, recipe: str) -> bool:
        """Whether a run of this role and recipe is what it asks for."""
        return self.role in (None, role) and (not self.families or self.names(family, recipe))


@dataclass
class Guidance:
    """The wishes that were understood, and the lines that were not."""

    only: set[str] = field(default_factory=set)
    avoid: set[str] = field(default_factory=set)
    wishes: list[Wish] = field(default_factory=list)
    banned_roles: set[str] = field(default_factory=set)
    hold: bool = False
    understood: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def allows(self, family: str, recipe: str) -> bool:
        """Whether a recipe may be used at all."""
        names = _names_of(family, recipe)
        if names & self.avoid:
            return False
        return not self.only or bool(names & self.only) or is_blend(family)

    @property
    def roles(self) -> set[str]:
        """The roles asked for."""
        return {wish.role for wish in self.wishes if wish.role}

    def with_more(self, other: Guidance) -> Guidance:
        """Both at once; used to obey a review's words like a person's for one plan."""
        return replace(
            self,
            only=self.only | other.only,
            avoid=self.avoid | other.avoid,
            wishes=self.wishes + other.wishes,
            banned_roles=self.banned_roles | other.banned_roles,
        )


def is_blend(family: str) -> bool:
    return family in ("blend", "stack", "ensemble")


def kind_of(family: str) -> str:
    """ "boosting" for every booster, else the family itself."""
    return "boosting" if keys_of(family) & BOOSTERS else family


def keys_of(text: str) -> set[str]:
    """The family keys that a text (a guidance line, or a recipe's family and name) speaks of."""
    plain = re.sub(r"[_\-/]+", " ", text.lower())
    return {key for key, words in FAMILY_WORDS.items() if any(_has_word(plain, word) for word in words)}


def _names_of(family: str, recipe: str) -> set[str]:
    boosted = {"lightgbm"} if family == "text_boost" else set()
    return keys_of(f"{family} {recipe}") | {family, recipe} | boosted


def _has_word(text: str, word: str) -> bool:
    plain = re.escape(word.replace("-", " "))
    return re.search(rf"(?<![a-z0-9_]){plain}s?(?![a-z0-9_])", text) is not None


def parse(text: str, names: frozenset[str]) -> Guidance:
    """Read guidance.md; `names` are the playbook's own families and recipes, which a line may name exactly."""
    guidance = Guidance()
    wishes = list(lines(text))
    if len(wishes) > MOST_LINES:
        guidance.unknown.append(f"the {len(wishes) - MOST_LINES:,} lines after the first {MOST_LINES}")
    guidance.hold = any(forbids(wish) for wish in wishes)  # of all lines, as the orchestrator reads them
    for line in (wish[:MOST_LETTERS] for wish in wishes[:MOST_LINES]):
        kind = guidance.understood if _read(line.lower(), names, guidance) else guidance.unknown
        kind.append(line)
    return guidance


def meant(line: str, names: frozenset[str]) -> str:
    """The name of the playbook that a word of a line which was not understood nearly is; "" when none is near.

    Only lines that ask for something, and name nothing that is known, can be mistyped.
    """
    line = line.lower()
    asks = _WANT.search(line) or _ONLY.search(line) or _WITHOUT.search(line)
    if not asks or keys_of(line) or any(_has_word(line, name) for name in names):
        return ""
    known = {*names, *(word for words in FAMILY_WORDS.values() for word in words)}
    for word in re.findall(r"[a-z0-9_-]{5,}", line):
        if near := difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.85):
            return near[0]
    return ""


def _read(line: str, names: frozenset[str], guidance: Guidance) -> bool:
    if forbids(line):
        return True
    exact = {name for name in names if _has_word(line, name)}
    rest = line
    for name in exact:
        rest = rest.replace(name, " ")
    families = sorted(keys_of(rest) | exact)
    if not families and any(_has_word(line, word) for word in BOOSTING):
        families = sorted(BOOSTERS)
    if not families and _ALL_TREES.fullmatch(line.strip()):
        families = sorted(TREES)
    negative = _WITHOUT.search(line) is not None
    role = _role_in(line)
    if negative and (role == "tune" or (role and not families)):
        guidance.banned_roles.add(str(role))
        return True
    if negative and families:
        guidance.avoid.update(families)
        return True
    if families and _ONLY.search(line):
        guidance.only.update(families)
        return True
    if role or (families and (_WANT.search(line) or len(line.split()) <= 2)):
        guidance.wishes.append(Wish(role, frozenset(families), line))
        return True
    return False


def _role_in(line: str) -> str | None:
    for role, pattern in (
        ("tune", r"\b(tun(e|ing)|hyper-?param\w*|search)\b"),
        ("blend", r"\b(blend\w*|ensembl\w*|stack\w*)\b"),
        ("bold", r"\b(bold\w*|radical\w*|something (new|different))\b"),
        ("diversify", r"\b(diversi\w+|new famil(y|ies))\b"),
    ):
        if re.search(pattern, line):
            return role
    return None
