"""What a competition's pages, its metric's name and its leaderboard tell: description, metric, direction."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from orchestrator.competitions.infer_metric import Description, Reading, read_description
from orchestrator.competitions.kaggle.html_text import as_text
from orchestrator.competitions.kaggle.records import CompetitionInfo

MOST_CHARS = 60_000
"""Of description.md; every page stands in full under pages/."""
ORDER = ("description", "overview", "abstract", "evaluation", "data-description", "data", "timeline")
LEFT_OUT = ("rules", "prizes", "legal", "sponsor", "citation")
"""Long, and of no help to a model."""
FEW_SCORES = 5
MOST_PAGES = 40
AGREEING = 0.95
"""The share of a leaderboard's steps that must go the same way."""


def describe(info: CompetitionInfo, pages: Mapping[str, str]) -> str:
    """description.md: the competition's facts, then its pages with a heading each, the important ones first."""
    facts = [info.url]
    if info.metric:
        facts.append(f"Kaggle calls the metric: {info.metric}")
    if info.deadline:
        facts.append(f"Deadline: {info.deadline:%Y-%m-%d %H:%M} UTC")
    facts.append(f"Submissions a day: {info.daily_limit}")
    parts = [f"# {_line(info.title) or info.slug}", "\n".join(f"- {_line(fact)}" for fact in facts if fact)]
    parts += [f"## {_title(name)}\n\n{_demoted(text)}" for name, text in _ordered(pages) if text]
    return "\n\n".join(parts)[:MOST_CHARS].rstrip() + "\n"


def documents(pages: Mapping[str, str]) -> dict[str, str]:
    """File name → the whole page, for those who want to read the rules or the prizes."""
    found: dict[str, str] = {}
    for name, content in list(pages.items())[:MOST_PAGES]:
        if text := as_text(content):
            found.setdefault(f"{_plain(name) or 'page'}.md", f"# {_title(name)}\n\n{text}\n")
    return found


def understand(info: CompetitionInfo, text: str, scores: Sequence[float]) -> Description:
    """What the description `text`, the metric's name and the leaderboard's scores (best first) say together.

    The name is Kaggle's own and comes first, unless the text says the same more precisely.
    """
    named, told = _named(info.metric), read_description(text)
    readings = [one for one in (named, told) if one.metric]
    if len(readings) == 2 and _is_finer(told, named):
        readings.reverse()
    unknown = info.metric if not named.metric else ""
    return Description(text, tuple(readings), direction(scores), _line(unknown)[:80])


def direction(scores: Sequence[float]) -> bool | None:
    """Whether higher is better, by a leaderboard's scores from the best to the worst; None where that does not show."""
    steps = [later - earlier for earlier, later in itertools.pairwise(scores) if later != earlier]
    if len(scores) < FEW_SCORES or not steps:
        return None
    down = sum(step < 0 for step in steps) / len(steps)
    return True if down >= AGREEING else False if down <= 1 - AGREEING else None


def is_over(deadline: datetime | None, now: datetime) -> bool:
    return deadline is not None and deadline <= now


def _named(metric: str) -> Reading:
    """The metric that Kaggle's free text names."""
    found = read_description(f"## Evaluation\n\nSubmissions are evaluated on {_line(metric)}.") if metric else None
    if found is None or found.metric is None:
        return Reading(None, "", None)
    return Reading(found.metric, _line(metric), None, "Kaggle calls the metric")


def _is_finer(told: Reading, named: Reading) -> bool:
    """`rmse_log` and `rmsle` say more than `rmse`, `map@5` more than `map`, `f1_macro` more than `f1`."""
    first, second = str(told.metric), str(named.metric)
    return first.startswith((f"{second}@", f"{second}_")) or (first, second) == ("rmsle", "rmse")


def _ordered(pages: Mapping[str, str]) -> list[tuple[str, str]]:
    def rank(name: str) -> tuple[int, str]:
        plain = _plain(name)
        return next((place for place, known in enumerate(ORDER) if plain.startswith(known)), len(ORDER)), plain

    wanted = [name for name in list(pages)[:MOST_PAGES] if not any(word in _plain(name) for word in LEFT_OUT)]
    return [(name, as_text(pages[name])) for name in sorted(wanted, key=rank)]


def _demoted(text: str) -> str:
    """Headings two levels down, so that the page's own stays above them; code is left alone."""
    parts = re.split(r"(```.*?```)", text, flags=re.DOTALL)
    return "".join(
        part if part.startswith("```") else re.sub(r"^(#{1,6})(?=\s)", _down, part, flags=re.MULTILINE)
        for part in parts
    )


def _down(found: re.Match[str]) -> str:
    return "#" * min(6, len(found[1]) + 2)


def _title(name: str) -> str:
    words = _line(name.replace("-", " ").replace("_", " "))[:80]
    return words[:1].upper() + words[1:] or "Page"


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60]


def _line(text: str) -> str:
    return " ".join(str(text).split())
