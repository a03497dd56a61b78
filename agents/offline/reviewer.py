"""The Reviewer's six checks of a plan: computed from the registry, each with its figures, then the verdict."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from agents.offline import blending, ledgers, options, retro, text
from agents.offline.builder import header
from agents.offline.costs import Costs
from agents.offline.names import NAMES, RECIPES
from agents.offline.notebook import Notebook, fingerprint, read, read_text
from agents.offline.strategy import choose
from agents.session import Turn

MAX_TUNES = 2
"""Tunings of one family in a row without gain before the next one is sent back, while families are untried."""
LOOKED_AT = 20
"""Of the best members, for their pairwise correlations."""
MAX_SINGLE_FAMILY = 4
"""Rounds in a row on one family before a plan for the same is sent back, while families are untried."""


@dataclass(frozen=True)
class Check:
    """One of the six: what was found, and what a revised plan should do when it is a reason to send the plan back."""

    name: str
    evidence: list[str]
    veto: str = ""
    demand: str = ""


@dataclass(frozen=True)
class Case:
    """A plan before the Reviewer."""

    notebook: Notebook
    strategies: list[dict[str, Any]]
    untried: list[str]
    costs: Costs

    def of_role(self, *roles: str) -> list[dict[str, Any]]:
        return [item for item in self.strategies if item.get("role") in roles]

    def next_family(self) -> str:
        return f"try {self.untried[0]} next" if self.untried else "blend now"


def review(turn: Turn) -> str:
    """Write review.md and send the plan back when a check says so and there is something better to do."""
    notebook = read(turn, NAMES)
    plan_text = read_text(turn.needs["plan"]) if "plan" in turn.needs else ""
    case = Case(notebook, header(plan_text), options.untried(notebook, RECIPES), Costs(notebook, RECIPES))
    checks = [check(case) for check in CHECKS]
    vetoes = [check for check in checks if check.veto]
    verdict = "APPROVED"
    if vetoes and (case.strategies == [] or better_exists(case)):
        demands = "; ".join(dict.fromkeys(check.demand for check in vetoes if check.demand))
        verdict = text.one_line(f"REVISE: {vetoes[0].veto}; {demands}", 400)
    turn.write("review.md", _document(case, checks, verdict))
    return verdict


def better_exists(case: Case) -> bool:
    """Whether any other option may be played: a plan is not sent back to become the same plan."""
    banned = [_fingerprint(item) for item in case.strategies]
    choice = choose(case.notebook, RECIPES, 1, banned)
    return any(option.fingerprint not in banned and option.value > 0 for option in choice.chosen)


def _fingerprint(strategy: dict[str, Any]) -> str:
    return fingerprint(str(strategy.get("recipe")), strategy.get("params") or {}, strategy.get("features") or {})


def check_diversity(case: Case) -> Check:
    """1. Do the members differ, and does a planned blend have anything to gain from them?"""
    book, name = case.notebook, "Ensemble diversity"
    pairs = [blending.correlation(book, a, b) for a, b in combinations(book.members[:LOOKED_AT], 2)]
    families = {run.family for run in book.members}
    evidence = [f"{len(book.members)} complete members of {len(families)} families"]
    if pairs:
        evidence.append(f"pairwise correlation {min(pairs):.4f} … {max(pairs):.4f}, mean {sum(pairs) / len(pairs):.4f}")
    for strategy in case.of_role("blend"):
        asked = (strategy.get("params") or {}).get("members")
        members = [run for run in book.members if not asked or run.label in asked]
        if len(members) < 2:
            return Check(name, evidence, f"a blend needs two complete members, there are {len(members)}", _demand(case))
        closest = [blending.correlation(book, a, b) for a, b in combinations(members, 2)]
        if min(closest) > blending.TWINS:
            evidence.append(f"the blend's least correlated pair has {min(closest):.4f} > {blending.TWINS}")
            return Check(
                name, evidence, f"the blend's members are twins (correlation {min(closest):.4f})", _demand(case)
            )
    return Check(name, evidence)


def _demand(case: Case) -> str:
    family = f"; try {case.untried[0]} next" if case.untried else ""
    return f"no blend{family}"


def check_findings(case: Case) -> Check:
    """2. Does the plan repeat or contradict what was measured, or what a person asked?"""
    book, name, evidence = case.notebook, "Contradiction with earlier findings", list[str]()
    if not case.strategies:
        return Check(name, ["no JSON header"], "the plan has no strategy that can be read", case.next_family())
    for strategy in case.strategies:
        family, recipe = str(strategy.get("family")), str(strategy.get("recipe"))
        same = [run for run in book.runs if run.fingerprint == _fingerprint(strategy)]
        if same:
            result = f"{same[0].status}, {text.score(same[0].cv, same[0].se)}"
            shown = f"{text.link(same[0])} was this very configuration: {result}"
            return Check(name, [shown], f"repeats [{same[0].label}] ({same[0].status})", case.next_family())
        if not book.guidance.allows(family, recipe):
            return Check(
                name,
                [f"guidance.md does not allow {family}"],
                f"guidance.md does not allow {family}",
                f"avoid {family}",
            )
        if strategy.get("role") in book.guidance.banned_roles:
            role = strategy["role"]
            return Check(name, [f"guidance.md bans role {role}"], f"guidance.md says no {role}", f"no {role}")
        crashes = [run for run in book.runs if run.recipe == recipe and run.status == "crash"]
        if len(crashes) >= 2:
            shown = ", ".join(f"[{run.label}] {text.one_line(run.reason, 60)}" for run in crashes)
            return Check(name, [shown], f"{recipe} crashed {len(crashes)} times", f"avoid {family}")
        evidence += _history(book, family, str(strategy.get("role")))
    evidence += [f"guidance, not understood: {line}" for line in book.guidance.unknown]
    return Check(name, evidence or ["no earlier run speaks against it"])


def _history(book: Notebook, family: str, role: str) -> Iterable[str]:
    runs = [run for run in book.runs if run.family == family and run.role == role]
    if runs:
        kept = sum(run.status == "keep" for run in runs)
        gains = ", ".join(text.signed(run.gain) for run in runs[-4:])
        yield f"{role} of {family} so far: {kept} of {len(runs)} kept, gains {gains}"
    negative = [line for line in book.learnings.splitlines() if "did not pay" in line and f" {family}" in line]
    yield from (f"a learning speaks against it: {line.lstrip('- ')}" for line in negative[-2:])


def check_search(case: Case) -> Check:
    """3. Is the search stuck in a narrow place?"""
    book, name = case.notebook, "Narrow search space"
    recent = book.runs[-MAX_SINGLE_FAMILY:]
    evidence = [f"last {len(recent)} runs: {', '.join(f'{run.family}/{run.role}' for run in recent) or 'none'}"]
    for strategy in case.strategies:
        family = str(strategy.get("family"))
        fails = book.tries_without_gain(family)
        distinct = len({run.fingerprint for run in book.of_family(family)})
        evidence.append(f"{family}: {distinct} configurations played, {fails} tunings in a row without gain")
        asked = "tune" in book.guidance.roles
        if strategy.get("role") == "tune" and fails >= MAX_TUNES and case.untried and not asked:
            why = (
                f"{family} was tuned {fails} times in a row without gain while {len(case.untried)} families are untried"
            )
            return Check(name, evidence, why, f"stop tuning; {case.next_family()}")
        alone = len(recent) == MAX_SINGLE_FAMILY and {run.family for run in recent} == {family}
        if alone and case.untried and not any(run.status == "keep" for run in recent[1:]):
            why = f"the last {MAX_SINGLE_FAMILY} runs were all {family} and brought nothing"
            return Check(name, evidence, why, case.next_family())
    return Check(name, evidence)


def check_untried(case: Case) -> Check:
    """4. Which families that fit the data were never played?"""
    book, name = case.notebook, "Untried model family"
    played = sorted({run.family for run in book.runs})
    evidence = [f"played: {', '.join(played) or 'none'}", f"untried: {', '.join(case.untried) or 'none'}"]
    tunes = [run for run in book.runs if run.role == "tune"]
    asked = "tune" in book.guidance.roles
    early = case.of_role("tune") and not asked and len({run.family for run in book.members}) < 2
    if early and case.untried:
        why = f"tuning ({len(tunes)} so far) before a second family was played"
        return Check(name, evidence, why, f"stop tuning; {case.next_family()}")
    return Check(name, evidence)


def check_bold(case: Case) -> Check:
    """5. What would the top of a leaderboard do that this plan does not?"""
    book, name = case.notebook, "Bold moves"
    bagged = any(isinstance(run.params.get("bags"), int) and run.params["bags"] > 1 for run in book.runs)
    moves = {
        "a blend of different families": any(run.is_blend for run in book.runs),
        "several bags (seeds)": bagged,
        "three or more families": len({run.family for run in book.members}) >= 3,
        "encoded or built features": len({str(run.features) for run in book.runs}) >= 3,
    }
    evidence = [f"{'done' if done else 'open'}: {move}" for move, done in moves.items()]
    evidence.append(f"rounds since the last keep: {book.stuck}")
    if book.facts.get("force_bold") and not case.of_role("bold"):
        return Check(name, evidence, "a bold round is due and the plan is none", "bold")
    return Check(name, evidence)


def check_return(case: Case) -> Check:
    """6. What do the next hours bring?"""
    book, name, evidence = case.notebook, "Return on the next hours", list[str]()
    left, cap = book.number("seconds_left", float("inf")), book.number("experiment_seconds", float("inf"))
    if left < float("inf"):
        evidence.append(f"{text.duration(left)} left")
    total = 0.0
    for strategy in case.strategies:
        cost = max(float(strategy.get("cost_s") or 0.0), _measured_cost(case, strategy))
        expected = float(strategy.get("expected_gain") or 0.0)
        rate = expected / max(cost, 1.0) * 3600
        total += cost
        evidence.append(f"{strategy.get('recipe')}: about {text.duration(cost)}, {text.signed(rate)} expected per hour")
        evidence += _hopes(book, strategy, expected)
    over = min(left, cap)
    if total > left or any(float(item.get("cost_s") or 0.0) > cap for item in case.strategies):
        why = f"the experiment would take {text.duration(total)} and {text.duration(over)} are allowed"
        return Check(name, evidence, why, "use a cheaper recipe, cost above the time")
    spent = ledgers.total(book.runs)
    if spent.seconds_per_keep:
        evidence.append(f"so far a kept gain cost {text.duration(spent.seconds_per_keep)}")
    return Check(name, evidence or ["nothing to estimate"])


def _measured_cost(case: Case, strategy: dict[str, Any]) -> float:
    recipe = next((item for item in RECIPES if item.name == strategy.get("recipe")), None)
    played = any(run.recipe == strategy.get("recipe") and run.complete for run in case.notebook.runs)
    return case.costs.estimate(recipe, strategy.get("params") or {}) if recipe and played else 0.0


def _hopes(book: Notebook, strategy: dict[str, Any], expected: float) -> Iterable[str]:
    kept = [ledgers.kept_gain(run) for run in book.runs if run.role == strategy.get("role") and run.status == "keep"]
    if kept and expected > 3 * max(kept):
        best = text.signed(max(kept))
        yield f"hopeful: {text.signed(expected)} expected, the best kept {strategy['role']} gained {best}"


CHECKS = (check_diversity, check_findings, check_search, check_untried, check_bold, check_return)


def _document(case: Case, checks: list[Check], verdict: str) -> str:
    planned = ", ".join(f"{item.get('role')} {item.get('recipe') or item.get('family')}" for item in case.strategies)
    best = case.notebook.best
    sections = [
        (
            f"{number}. {check.name}",
            text.bullets(check.evidence) + (f"\n\n**Against it:** {check.veto}." if check.veto else ""),
        )
        for number, check in enumerate(checks, 1)
    ]
    noted = [check.veto for check in checks if check.veto] if verdict == "APPROVED" else []
    return text.page(
        f"Review of R{case.notebook.round:02d}: {planned or 'a plan without strategies'}",
        ("Against", f"{text.link(best)} at {text.score(best.cv, best.se)}" if best else "nothing yet"),
        *sections,
        (
            "Noted",
            text.bullets(f"{line}; approved all the same: nothing better may be played" for line in noted)
            if noted
            else "",
        ),
        ("Verdict", verdict),
    )


def retrospect(turn: Turn) -> str:
    """The retrospective, with the families that were never tried."""
    notebook = read(turn, NAMES)
    return retro.retro(turn, notebook, options.untried(notebook, RECIPES))
