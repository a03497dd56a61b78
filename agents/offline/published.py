"""What others publish, read by rule: techniques, claimed scores and features of notebooks and discussions.

The tools of the turn give the texts, each between marks; older ones lie in competition/research. Nothing of them but
words of the vocabulary, numbers, links of a known form and identifiers goes into the brief.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from agents.offline.vocabulary import AGAINST, TECHNIQUES, brought_by

if TYPE_CHECKING:
    from agents.offline.notebook import Notebook
    from agents.offline.options import Option

TOOLS = {"notebooks": "Public notebooks", "discussions": "Public discussions"}
ABSENT = "not available for this competition"
PRIOR = 0.3
"""How much more an option is worth at most, because all others use what it brings."""
PLAUSIBLE = 0.4
"""A claimed score may differ from our best by this share of it."""
SHOWN, FEATURES_SHOWN = 6, 8
_FILE_BYTES = 200_000
_FENCE = re.compile(r'<data-([0-9a-f]{12}) source="([a-z ]+)">\n(.*?)\n</data-\1>', re.S)
_LINK = re.compile(r"https://www\.kaggle\.com/[\w./-]{1,300}", re.ASCII)
_FILE = re.compile(r"competition/research/([\w.-]+\.md)", re.ASCII)
_SEEN = re.compile(r"^- (?:seen in (R\d+)|not read yet): (.*)$", re.M)
_NUMBER = r"(\d{0,7}\.\d{2,7})(?![\d.])"
_CLAIMS = (
    re.compile(
        rf"\b(lb|leaderboard|public score|private score|cv|oof|local|validation)\b[^\d\n.]{{0,25}}{_NUMBER}", re.I
    ),
    re.compile(rf"(?<![\d.]){_NUMBER}\s?\(?(?:on )?(?:the )?(?:public |private )?\b(lb|leaderboard|cv|oof)\b", re.I),
)
_NEW_COLUMN = re.compile(r"""\b\w{1,20}\[\s*['"]([A-Za-z_]\w{1,30})['"]\s*\]\s*=(?!=)""", re.ASCII)
_LINE = re.compile(r"^- ([a-z ]+): (\d+) of (\d+) sources(?:, (\d+) against)?", re.M)


@dataclass(frozen=True)
class Source:
    """A notebook or discussion; `seen` is the round that told it first when that was an earlier one."""

    kind: str
    title: str
    link: str
    author: str
    votes: int
    date: str
    licence: str
    text: str
    seen: str = ""


@dataclass(frozen=True)
class Use:
    """How many sources use a technique, how many speak against it, and the most voted one that uses it."""

    name: str
    sources: int
    against: int
    votes: int
    link: str


@dataclass(frozen=True)
class Claim:
    """A score that a source states, LB or CV; nobody measured it here."""

    kind: str
    score: float
    link: str
    votes: int


@dataclass
class Findings:
    """All of it: the tools' own words by section, and what the rules make of them."""

    pages: dict[str, str] = field(default_factory=dict)
    sources: list[Source] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    features: list[tuple[str, int]] = field(default_factory=list)

    @property
    def read(self) -> int:
        """How many sources have a text."""
        return sum(bool(source.text) for source in self.sources)


def find(tools: Mapping[str, Callable[..., Any]], campaign: Path, columns: Collection[str]) -> Findings:
    """Ask the turn's tools; `columns` are those of the data, so no new features. Empty where there is nothing."""
    found = Findings()
    for name, title in TOOLS.items():
        page = str(tools[name]()) if name in tools else ABSENT
        if page.strip() != ABSENT:
            found.pages[title] = page
            found.sources += sources_of(page, campaign)
    found.uses = uses(found.sources)
    found.claims = [claim for source in found.sources for claim in claims(source)]
    found.features = new_features(found.sources, columns)
    return found


def sources_of(page: str, campaign: Path) -> list[Source]:
    """The items of a tool's page; the whole text of each comes from its file where that can be read."""
    found = []
    for _, kind, content in _FENCE.findall(page):
        if kind in ("notebook", "discussion"):
            found.append(_source(kind, content, campaign))
        elif kind.endswith(" named before"):
            found += [_named(kind.split("s ")[0], seen, row, campaign) for seen, row in _SEEN.findall(content)]
    return [source for source in found if source.link]


def _source(kind: str, content: str, campaign: Path) -> Source:
    head, _, body = content.partition("\n\n")
    told = dict(line.split(": ", 1) for line in head.splitlines() if ": " in line)
    return Source(
        kind=kind,
        title=told.get("title", ""),
        link=_match(_LINK, told.get("link", "")),
        author=told.get("author", ""),
        votes=_votes(told.get("votes", "")),
        date=told.get("date", ""),
        licence=told.get("licence", ""),
        text=_stored(told.get("file", ""), campaign) or body,
    )


def _named(kind: str, seen: str, line: str, campaign: Path) -> Source:
    cells = [*(cell.strip() for cell in line.split(" | ")), *[""] * 6]
    title, link, author, votes, date, file = cells[:6]
    text = _stored(file, campaign) if seen else ""
    return Source(kind, title, _match(_LINK, link), author, _votes(votes), date, "", text, seen)


def _stored(name: str, campaign: Path) -> str:
    """The text of an item's file, without its head; "" when there is none."""
    match = _FILE.fullmatch(name.strip())
    if match is None:
        return ""
    try:
        handle = os.open(campaign / "competition" / "research" / match[1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            text = file.read(_FILE_BYTES).decode("utf-8", errors="replace")
    except OSError:
        return ""
    return text.partition("\n\n")[2]


def uses(sources: Sequence[Source]) -> list[Use]:
    """The techniques of the sources, the most used first."""
    found = []
    texts = [(source, f"{source.title}. {source.text}".lower()) for source in sources if source.text]
    for name, pattern in TECHNIQUES.items():
        stances = [(source, _stance(text, pattern)) for source, text in texts]
        users = [source for source, stance in stances if stance > 0]
        against = sum(stance < 0 for _, stance in stances)
        if users:
            top = max(users, key=lambda source: source.votes)
            found.append(Use(name, len(users), against, sum(source.votes for source in users), top.link))
    return sorted(found, key=lambda use: (use.against - use.sources, -use.votes, use.name))


def _stance(text: str, pattern: re.Pattern[str]) -> int:
    """1 when a text (in small letters) uses the technique, -1 when it only speaks against it, 0 without it."""
    stance = 0
    for match in pattern.finditer(text):
        if match.start() and (text[match.start() - 1].isalnum() or text[match.start() - 1] == "_"):
            continue
        start = max(text.rfind(mark, 0, match.start()) for mark in ("\n", ". ", "! ", "? "))
        ends = [place for mark in ("\n", ". ", "! ", "? ") if (place := text.find(mark, match.end())) >= 0]
        sentence = text[max(start, match.start() - 150, 0) : min([*ends, match.end() + 150])]
        if not AGAINST.search(sentence):
            return 1
        stance = -1
    return stance


def claims(source: Source) -> list[Claim]:
    """The best-known forms of "LB 0.8123" and "0.81 CV", each score once."""
    text = f"{source.title}\n{source.text}"
    found: dict[tuple[str, float], Claim] = {}
    for place, pattern in enumerate(_CLAIMS):
        for match in pattern.finditer(text):
            word, number = (match[1], match[2]) if place == 0 else (match[2], match[1])
            kind = "CV" if word.lower() in ("cv", "oof", "local", "validation") else "LB"
            found.setdefault((kind, float(number)), Claim(kind, float(number), source.link, source.votes))
    return list(found.values())


def plausible(claims: Sequence[Claim], best: float | None, maximize: bool) -> list[Claim]:
    """Those near our own best score, the best first; all when there is none yet to compare with."""
    near = [claim for claim in claims if best is None or abs(claim.score - best) <= PLAUSIBLE * abs(best)]
    return sorted(near, key=lambda claim: (-claim.score if maximize else claim.score, -claim.votes))


def new_features(sources: Sequence[Source], columns: Collection[str]) -> list[tuple[str, int]]:
    """(name, sources) of the columns that code of theirs makes, those of most sources first."""
    known = {name.lower() for name in columns}
    counts: Counter[str] = Counter()
    for source in sources:
        counts.update(dict.fromkeys(_NEW_COLUMN.findall(source.text), 1))
    made = [(name, count) for name, count in counts.items() if name.lower() not in known]
    return sorted(made, key=lambda item: (-item[1], item[0]))


def brief_lines(found: Findings, best: float | None, maximize: bool) -> list[str]:
    """What the brief says of others; `weights` reads the first kind of line again."""
    lines = [
        f"{use.name}: {use.sources} of {found.read} sources{f', {use.against} against' * bool(use.against)}, "
        f"{use.votes} votes, {use.link}"
        for use in found.uses
    ][:SHOWN]
    for kind in ("LB", "CV"):
        near = plausible([claim for claim in found.claims if claim.kind == kind], best, maximize)
        if near:
            middle = median(claim.score for claim in near)
            lines.append(f"claimed {kind}: best {near[0].score:g} ({near[0].link}), middle {middle:g} of {len(near)}")
    if names := [name for name, _ in found.features[:FEATURES_SHOWN]]:
        lines.append(f"features they make: {', '.join(names)}")
    return lines


def weights(brief: str) -> dict[str, float]:
    """Technique → the share of sources behind it, 0 to 1, from a brief; few sources count for less."""
    found = {}
    for name, users, total, against in _LINE.findall(brief):
        if name in TECHNIQUES and int(users) > int(against or 0):
            found[name] = min(1.0, (int(users) - int(against or 0)) / (int(total) + 2))
    return found


def prior(notebook: Notebook, option: Option) -> float:
    """A factor from 1 to 1.3 for what others use and nobody measured here; what was measured needs no hearsay."""
    return 1 + PRIOR * heard(notebook, option)[1]


def heard(notebook: Notebook, option: Option) -> tuple[str, float]:
    """The technique of an option that most others use, of those not measured here, and its weight; ("", 0) if none."""
    if not notebook.hearsay:
        return "", 0.0
    brought = brought_by(option.recipe.family, option.recipe.name, option.role, option.params, option.features)
    known = [(notebook.hearsay[name], name) for name in sorted(brought) if name in notebook.hearsay]
    weight, name = max(known, default=(0.0, ""))
    return name, weight


def _match(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.fullmatch(text.strip())
    return found[0] if found else ""


def _votes(text: str) -> int:
    found = re.match(r"\d{1,7}", text.strip())
    return int(found[0]) if found else 0
