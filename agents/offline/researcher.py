"""The Researcher: everything known so far, in full (raw) and in fewer than 500 words (brief)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations

from agents.offline import ledgers, text
from agents.offline.blending import blend_members, correlation
from agents.offline.eda import describe, shape
from agents.offline.names import NAMES, RECIPES
from agents.offline.notebook import Notebook, read
from agents.offline.options import Option, applicable, hint, untried
from agents.offline.strategy import choose
from agents.session import Turn

BRIEF_WORDS = 500
LAST = 8


def research(turn: Turn) -> str:
    """Write research_raw.md and research_brief.md."""
    notebook = read(turn, NAMES)
    count = max(3, int(turn.facts.get("strategies") or 1))
    options = choose(notebook, RECIPES, count).chosen
    turn.write("research_raw.md", raw(notebook, options))
    turn.write("research_brief.md", brief(notebook, options))
    return "DONE"


def raw(notebook: Notebook, options: Sequence[Option]) -> str:
    """The whole picture, as tables."""
    recipes = sorted(applicable(notebook, RECIPES), key=lambda recipe: (-hint(notebook, recipe), recipe.name))
    played = {run.recipe: run.label for run in reversed(notebook.runs)}
    return text.page(
        f"Research for R{notebook.round:02d}",
        ("Data", text.bullets(describe(notebook))),
        ("Experiments", _experiments(notebook)),
        ("By family", _families(notebook)),
        ("Correlations of out-of-fold predictions", _correlations(notebook)),
        (
            "Recipes that fit, by prior strength",
            text.table(
                ("recipe", "family", "prior", "played"),
                [(r.name, r.family, f"{hint(notebook, r):.2f}", played.get(r.name, "—")) for r in recipes],
            ),
        ),
        ("Best options now", text.bullets(_option(option) for option in options)),
        ("Guidance", text.bullets([*notebook.guidance.understood, *notebook.guidance.unknown], "none")),
        ("Learnings", text.bullets(lessons(notebook.learnings), "none yet")),
        *(
            (f"From {name}", text.bullets(lessons(body), "nothing to quote"))
            for name, body in notebook.knowledge.items()
        ),
    )


def brief(notebook: Notebook, options: Sequence[Option]) -> str:
    """The same in fewer than 500 words: the sections that matter most come first and the last ones give way."""
    members = blend_members(notebook)
    sections = [
        ("Where we stand", text.bullets(_standing(notebook))),
        ("Next", text.bullets(_option(option) for option in options)),
        ("Untried families", ", ".join(untried(notebook, RECIPES)) or "none that fit"),
        ("What worked", text.bullets(_kept(notebook), "nothing was measured yet")),
        ("Members for a blend", ", ".join(f"{text.link(run)} {text.number(run.cv)}" for run in members) or "none yet"),
        ("What a person wants", text.bullets(notebook.guidance.understood + notebook.guidance.unknown, "nothing")),
        ("Learned here", text.bullets(_learned(notebook)[-5:], "nothing yet")),
        ("Data", text.bullets([shape(notebook)])),
        ("Earlier campaigns", text.bullets(_earlier(notebook), "no notes given")),
    ]
    return shorten(f"Brief for R{notebook.round:02d}", sections, BRIEF_WORDS)


def shorten(title: str, sections: list[tuple[str, str]], words: int) -> str:
    """A page of fewer than `words` words: lines are dropped from the last section backwards."""
    kept = [(name, body.splitlines()) for name, body in sections]
    while len(text.page(title, *((name, "\n".join(lines)) for name, lines in kept)).split()) >= words:
        longest = next((lines for _, lines in reversed(kept) if lines), None)
        if longest is None:
            break
        longest.pop()
    return text.page(title, *((name, "\n".join(lines)) for name, lines in kept))


def lessons(note: str) -> list[str]:
    """The bullet points of a note, one line each, without those that only hold links or code."""
    found = re.findall(r"^\s*(?:[-*]|\d+\.)\s+(.{12,})$", note, flags=re.MULTILINE)
    return [text.one_line(line, 240) for line in found]


def _standing(notebook: Notebook) -> list[str]:
    best, everything = notebook.best, ledgers.total(notebook.runs)
    if best is None:
        return ["nothing was measured yet: the first round sets the score to beat"]
    lines = [f"best {text.link(best)}: {text.score(best.cv, best.se)}, {notebook.stuck} rounds since"]
    lines.append(f"{everything.runs} runs, {everything.kept} kept, {everything.crashed} crashed")
    board = [run for run in notebook.runs if run.lb is not None and run.cv is not None]
    if board:
        lines.append(f"leaderboard: [{board[-1].label}] {text.number(board[-1].lb)} for CV {text.number(board[-1].cv)}")
    return lines


def _option(option: Option) -> str:
    return (
        f"{option.role} `{option.recipe.name}`: {text.one_line(option.hypothesis, 160)} "
        f"(expected {text.signed(option.gain)}, {text.duration(option.cost)})"
    )


def _kept(notebook: Notebook) -> list[str]:
    lines = []
    for item in ledgers.tally(notebook.runs, "role"):
        lines.append(f"{item.name}: {item.kept} of {item.runs} kept, {text.signed(item.gain)} in all")
    return lines


def _experiments(notebook: Notebook) -> str:
    rows = [
        (f"[{run.label}]", run.recipe, run.role, text.score(run.cv, run.se), text.signed(run.gain), run.status)
        for run in notebook.runs
    ]
    return text.table(("round", "recipe", "role", "score", "gain", "status"), rows)


def _families(notebook: Notebook) -> str:
    rows = [
        (item.name, str(item.runs), str(item.kept), text.signed(item.gain), text.duration(item.seconds))
        for item in ledgers.tally(notebook.runs, "family")
    ]
    return text.table(("family", "runs", "kept", "gain", "time"), rows)


def _correlations(notebook: Notebook) -> str:
    top = notebook.members[:LAST]
    rows = [
        (f"[{a.label}] {a.family}", f"[{b.label}] {b.family}", f"{correlation(notebook, a, b):.4f}")
        for a, b in combinations(top, 2)
        if notebook.correlation(a, b) is not None
    ]
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
