"""The Researcher: everything known so far, in full (raw) and in fewer than 500 words (brief)."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import combinations

from agents.offline import ledgers, published, text
from agents.offline.blending import blend_members, measured
from agents.offline.eda import shape
from agents.offline.notebook import Notebook, read
from agents.offline.options import Option, untried
from agents.offline.strategy import choose
from agents.session import Turn

BRIEF_WORDS = 500
LAST, CLAIMS = 8, 40


def research(turn: Turn) -> str:
    """Write research_raw.md and research_brief.md."""
    notebook = read(turn)
    found = published.find(turn.tools, turn.campaign, notebook.profile["column_details"])
    best = notebook.best.cv if notebook.best else None
    others = text.bullets(published.brief_lines(found, best, notebook.facts["maximize"]))
    notebook = replace(notebook, others=published.weights(others))
    options = choose(notebook, max(3, turn.facts["strategies"])).chosen
    turn.write("research_raw.md", raw(notebook, options, found))
    turn.write("research_brief.md", brief(notebook, options, others))
    return "DONE"


def raw(notebook: Notebook, options: list[Option], found: published.Findings) -> str:
    """The whole picture, as tables, and what others wrote word for word."""
    return text.page(
        f"Research for R{notebook.round:02d}",
        ("By family", ledgers.table(notebook.runs, "family")),
        ("Correlations of out-of-fold predictions", _correlations(notebook)),
        ("Best options now", text.bullets(_option(option) for option in options)),
        ("Learnings", text.bullets(lessons(notebook.learnings))),
        *((f"From {name}", text.bullets(lessons(body))) for name, body in notebook.knowledge.items()),
        ("What others use", _uses(found)),
        ("What others claim", _claims(found)),
        *found.pages.items(),
    )


def brief(notebook: Notebook, options: list[Option], others: str = "") -> str:
    """The same in fewer than 500 words: the sections that matter most come first and the last ones give way."""
    members = ", ".join(f"{text.link(run)} {text.number(run.cv)}" for run in blend_members(notebook))
    sections = [
        ("Where we stand", text.bullets(_standing(notebook))),
        ("Next", text.bullets(_option(option) for option in options)),
        ("Untried families", ", ".join(untried(notebook))),
        ("What others use", others),
        ("What worked", ledgers.table(notebook.runs, "role")),
        ("Members for a blend", members),
        ("What a person wants", text.bullets(notebook.guidance.understood + notebook.guidance.unknown)),
        ("Learned here", text.bullets(_learned(notebook)[-5:])),
        ("Data", text.bullets([shape(notebook)])),
        ("Earlier campaigns", text.bullets(_earlier(notebook))),
    ]
    return shorten(f"Brief for R{notebook.round:02d}", sections)


def shorten(title: str, sections: list[tuple[str, str]]) -> str:
    """A page of fewer than 500 words: lines are dropped from the last section backwards."""
    lines = [(name, line) for name, body in sections for line in body.splitlines()]
    while True:
        page = text.page(
            title, *((name, "\n".join(line for own, line in lines if own == name)) for name, _ in sections)
        )
        if len(page.split()) < BRIEF_WORDS:
            return page
        lines.pop()


def lessons(note: str) -> list[str]:
    """The bullet points of a note, one line each; short ones hold links or code."""
    found = re.findall(r"^\s*(?:[-*]|\d+\.)\s+(.{12,})$", note, flags=re.MULTILINE)
    return [text.one_line(line, 240) for line in found]


def _standing(notebook: Notebook) -> list[str]:
    best, record = notebook.best, ledgers.total(notebook.runs)
    if best is None:
        return ["nothing was measured yet: the first round sets the score to beat"]
    lines = [f"best {text.link(best)}: {text.score(best.cv, best.se)}, {notebook.stuck} rounds since"]
    lines.append(f"{record.runs} runs, {record.kept} kept, {record.crashed} crashed")
    board = [run for run in notebook.runs if run.lb is not None]
    if board:
        lines.append(f"leaderboard: [{board[-1].label}] {text.number(board[-1].lb)} for CV {text.number(board[-1].cv)}")
    return lines


def _option(option: Option) -> str:
    figures = f"expected {text.signed(option.gain)}, {text.duration(option.cost)}"
    return f"{option.role} `{option.recipe.name}`: {text.one_line(option.hypothesis, 160)} ({figures})"


def _uses(found: published.Findings) -> str:
    header = ("technique", "sources", "against", "votes", "most voted")
    rows = [(use.name, str(use.sources), str(use.against), str(use.votes), use.link) for use in found.uses]
    return text.table(header, rows)


def _claims(found: published.Findings) -> str:
    rows = [(claim.kind, f"{claim.score:g}", str(claim.votes), claim.link) for claim in found.claims[:CLAIMS]]
    return text.table(("where", "score, claimed", "votes", "source"), rows)


def _correlations(notebook: Notebook) -> str:
    pairs = [(a, b, measured(a, b)) for a, b in combinations(notebook.members[:LAST], 2)]
    rows = [(text.link(a), text.link(b), f"{figure:.4f}") for a, b, figure in pairs if figure is not None]
    return text.table(("", "", "correlation"), rows)


def _learned(notebook: Notebook) -> list[str]:
    """The learnings of this campaign: those that name one of its rounds."""
    return [line for line in lessons(notebook.learnings) if re.search(r"\[R\d+\]", line)]


def _earlier(notebook: Notebook) -> list[str]:
    """Older learnings, then lines of the knowledge files that speak of blends, diversity, gates or noise."""
    topics = re.compile(r"\b(blend|stack|divers|correlat|fold|gate|noise|leak|ensembl|seed|encod|pseudo|tun)", re.I)
    older = [line for line in lessons(notebook.learnings) if line not in _learned(notebook)]
    found = [line for body in notebook.knowledge.values() for line in lessons(body) if topics.search(line)]
    return [*older[:5], *found[:8]]
