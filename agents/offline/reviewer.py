"""The Reviewer's six checks of a plan: computed from the registry, each with its figures, then the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapreplace
from itertools import combinations
from typing import Any

from agents.offline import blending, text
from agents.offline.builder import header
from agents.offline.catalogue import BY_NAME
from agents.offline.notebook import Notebook, fingerprint_of, read, read_text
from agents.offline.options import Costs, untried
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
    """What was found; a reason to send the plan back (`veto`) comes with what a revised plan should do (`demand`)."""

    evidence: list[str]
    veto: str = ""
    demand: str = ""


@dataclass(frozen=True)
class Case:
    """A plan before the Reviewer."""

    notebook: Notebook
    strategies: list[dict[str, Any]]
    untried: list[str]

    def of_role(self, role: str) -> list[dict[str, Any]]:
        return [strategy for strategy in self.strategies if strategy.get("role") == role]

    def next_family(self) -> str:
        return f"try {self.untried[0]} next" if self.untried else "blend now"

    @property
    def may_tune(self) -> bool:
        """Whether tuning is right whatever the checks say: a person asked for it, or nothing else is left."""
        return "tune" in self.notebook.guidance.roles or not self.untried


def review(turn: Turn) -> str:
    """Write review.md and send the plan back when a check says so and there is something better to do."""
    notebook = read(turn)
    case = Case(notebook, header(read_text(turn, "plan")), untried(notebook))
    checks = {name: check(case) for name, check in CHECKS.items()}
    vetoes = [check for check in checks.values() if check.veto]
    verdict = "APPROVED"
    if vetoes and (not case.strategies or better_exists(case)):
        demands = "; ".join(dict.fromkeys(check.demand for check in vetoes))
        verdict = text.one_line(f"REVISE: {vetoes[0].veto}; {demands}", 400)
    turn.write("review.md", _document(case, checks, verdict))
    return verdict


def better_exists(case: Case) -> bool:
    """Whether any other option may be played: a plan is not sent back to become the same plan."""
    banned = [fingerprint_of(strategy) for strategy in case.strategies]
    choice = choose(case.notebook, 1, banned)
    return any(option.fingerprint not in banned and option.value > 0 for option in choice.chosen)


def check_diversity(case: Case) -> Check:
    """1. Do the members differ, and does a planned blend have anything to gain from them?"""
    book = case.notebook
    pairs = [blending.correlation(a, b) for a, b in combinations(book.members[:LOOKED_AT], 2)]
    families = {run.family for run in book.members}
    evidence = [f"{len(book.members)} complete members of {len(families)} families"]
    if pairs:
        evidence.append(f"pairwise correlation {min(pairs):.4f} … {max(pairs):.4f}, mean {sum(pairs) / len(pairs):.4f}")
    demand = "; ".join(["no blend", *([case.next_family()] if case.untried else [])])
    for strategy in case.of_role("blend"):
        asked = (strategy.get("params") or {}).get("members")
        members = [run for run in book.members if not asked or run.label in asked]
        if len(members) < 2:
            return Check(evidence, f"a blend needs two complete members, there are {len(members)}", demand)
        closest = min(blending.correlation(a, b) for a, b in combinations(members, 2))
        if closest > blending.TWINS:
            return Check(evidence, f"the blend's members are twins (correlation {closest:.4f})", demand)
    return Check(evidence)


def check_findings(case: Case) -> Check:
    """2. Does the plan repeat or contradict what was measured, or what a person asked?"""
    book = case.notebook
    if not case.strategies:
        return Check([], "the plan has no strategy that can be read", case.next_family())
    for strategy in case.strategies:
        family, recipe, role = str(strategy["family"]), str(strategy.get("recipe")), strategy.get("role")
        same = [run for run in book.runs if run.fingerprint == fingerprint_of(strategy)]
        if same:
            evidence = [f"{text.link(same[0])} was this very configuration: {text.score(same[0].cv, same[0].se)}"]
            return Check(evidence, f"repeats [{same[0].label}] ({same[0].status})", case.next_family())
        if not book.guidance.allows(family, recipe):
            return Check([], f"guidance.md does not allow {family}", f"avoid {family}")
        if role in book.guidance.banned_roles:
            return Check([], f"guidance.md says no {role}", f"no {role}")
        crashes = [run for run in book.runs if run.recipe == recipe and run.status == "crash"]
        if len(crashes) >= 2:
            evidence = [f"[{run.label}] {text.one_line(run.reason, 60)}" for run in crashes]
            return Check(evidence, f"{recipe} crashed {len(crashes)} times", f"avoid {family}")
    return Check(["no earlier run speaks against it"])


def check_search(case: Case) -> Check:
    """3. Is the search stuck in a narrow place?"""
    book = case.notebook
    recent = book.runs[-MAX_SINGLE_FAMILY:]
    evidence = [f"last {len(recent)} runs: {', '.join(f'{run.family}/{run.role}' for run in recent)}"]
    for strategy in case.strategies:
        family = str(strategy["family"])
        fails = book.failed_tunings(family)
        evidence.append(f"{family}: {len(book.of_family(family))} runs, {fails} tunings in a row without gain")
        if strategy.get("role") == "tune" and fails >= MAX_TUNES and not case.may_tune:
            why = f"{family} was tuned {fails} times in a row without gain while {len(case.untried)} families"
            return Check(evidence, f"{why} are untried", f"stop tuning; {case.next_family()}")
        alone = len(recent) == MAX_SINGLE_FAMILY and {run.family for run in recent} == {family}
        if alone and case.untried and not any(run.status == "keep" for run in recent[1:]):
            why = f"the last {MAX_SINGLE_FAMILY} runs were all {family} and brought nothing"
            return Check(evidence, why, case.next_family())
    return Check(evidence)


def check_untried(case: Case) -> Check:
    """4. Which families that fit the data were never played?"""
    book = case.notebook
    evidence = [f"untried: {', '.join(case.untried) or 'none'}"]
    if case.of_role("tune") and not case.may_tune and len({run.family for run in book.members}) < 2:
        tunes = sum(run.role == "tune" for run in book.runs)
        why = f"tuning ({tunes} so far) before a second family was played"
        return Check(evidence, why, f"stop tuning; {case.next_family()}")
    return Check(evidence)


def check_bold(case: Case) -> Check:
    """5. What would the top of a leaderboard do that this plan does not?"""
    book = case.notebook
    moves = {
        "a blend of different families": any(run.is_blend for run in book.runs),
        "several bags (seeds)": any(int(run.params.get("bags") or 1) > 1 for run in book.runs),
        "three or more families": len({run.family for run in book.members}) >= 3,
        "encoded or built features": len({str(run.features) for run in book.runs}) >= 3,
    }
    evidence = [f"{'done' if done else 'open'}: {move}" for move, done in moves.items()]
    evidence.append(f"rounds since the last keep: {book.stuck}")
    if book.facts.get("force_bold") and not case.of_role("bold"):
        return Check(evidence, "a bold round is due and the plan is none", "bold")
    return Check(evidence)


def check_return(case: Case) -> Check:
    """6. What do the next hours bring?"""
    book, costs = case.notebook, Costs(case.notebook)
    left, cap = book.limit("seconds_left"), book.limit("experiment_seconds")
    evidence, planned = [], 0.0
    ends = [0.0] * book.facts.get("strategies_at_once", 1)
    for strategy in case.strategies:
        stated, gain = float(strategy.get("cost_s") or 0.0), float(strategy["expected_gain"] or 0.0)
        cost = max(stated, _measured_cost(book, costs, strategy))
        heapreplace(ends, ends[0] + cost)
        planned = max(planned, stated)
        rate = text.signed(gain / max(cost, 1.0) * 3600)
        evidence.append(f"{strategy.get('recipe')}: about {text.duration(cost)}, {rate} expected per hour")
    if max(ends) > left or planned > cap:
        allowed = text.duration(min(left, cap))
        why = f"the experiment would take {text.duration(max(ends))} and {allowed} are allowed"
        return Check(evidence, why, "use a cheaper recipe, cost above the time")
    return Check(evidence)


def _measured_cost(book: Notebook, costs: Costs, strategy: dict[str, Any]) -> float:
    """Seconds by this campaign's own clock, 0 for a recipe that never ran to the end."""
    recipe = BY_NAME.get(str(strategy.get("recipe")))
    if recipe is None or not any(run.recipe == recipe.name and run.complete for run in book.runs):
        return 0.0
    return costs.estimate(recipe, strategy.get("params") or {})


CHECKS = {
    "Ensemble diversity": check_diversity,
    "Contradiction with earlier findings": check_findings,
    "Narrow search space": check_search,
    "Untried model family": check_untried,
    "Bold moves": check_bold,
    "Return on the next hours": check_return,
}


def _document(case: Case, checks: dict[str, Check], verdict: str) -> str:
    planned = ", ".join(f"{item.get('role')} {item.get('recipe') or item['family']}" for item in case.strategies)
    best = case.notebook.best
    sections = []
    for number, (name, check) in enumerate(checks.items(), 1):
        against = [f"**Against it:** {check.veto}."] if check.veto else []
        sections.append((f"{number}. {name}", text.bullets([*check.evidence, *against]) or "- nothing to weigh"))
    noted = verdict == "APPROVED" and any(check.veto for check in checks.values())
    return text.page(
        f"Review of R{case.notebook.round:02d}: {planned or 'a plan without strategies'}",
        ("Against", f"{text.link(best)} at {text.score(best.cv, best.se)}" if best else ""),
        *sections,
        ("Noted", "approved all the same: nothing better may be played" if noted else ""),
        ("Verdict", verdict),
    )
