"""The Builder's plans: the options weighed, the best one chosen and written down with its reasons."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from agents.offline import guidance as wishes
from agents.offline import text
from agents.offline.blending import blend_members
from agents.offline.ledgers import calibration
from agents.offline.names import NAMES, RECIPES
from agents.offline.notebook import Notebook, fingerprint, read, read_text
from agents.offline.options import Option, untried
from agents.offline.strategy import Choice, choose
from agents.session import Turn

SHOWN = 6
_DEMAND = re.compile(r"\s*(try|use|play|prefer|switch|stop|no|avoid|skip|never|do not|don't|tune|blend|bold)\b", re.I)
_COST_WORDS = re.compile(r"\b(cost|costs|time|slow|expensive|seconds|budget|cheaper|hours?)\b")


def plan(turn: Turn) -> str:
    """Write plan.md for the best option (or options, when the round plays several)."""
    notebook = read(turn, NAMES)
    choice = choose(notebook, RECIPES, _count(turn))
    if not choice.chosen:
        notebook = replace(notebook, guidance=unbound(notebook.guidance))
        choice = choose(notebook, RECIPES, _count(turn))
    turn.write("plan.md", document(notebook, choice))
    return "DONE"


def unbound(guidance: wishes.Guidance) -> wishes.Guidance:
    """The guidance without its bans, which left nothing to play; the plan says so."""
    note = "the bans of guidance.md leave no recipe that fits this data, so they were not followed"
    return replace(guidance, only=set(), avoid=set(), banned_roles=set(), unknown=[*guidance.unknown, note])


def revise(turn: Turn) -> str:
    """Write plan.md anew; the review's demands count like guidance for this one plan."""
    notebook = read(turn, NAMES)
    reason = demand(turn)
    extra = wishes.parse("\n".join(part for part in re.split(r"[;.]\s", reason) if _DEMAND.match(part)), NAMES)
    obedient = replace(notebook, guidance=notebook.guidance.with_more(extra))
    sent_back = _planned(turn)
    cheaper = _COST_WORDS.search(reason.lower()) is not None
    cap = min((float(item.get("cost_s") or 0) for item in sent_back), default=0.0) / 2 if cheaper else 0.0
    banned = {fingerprint(str(s.get("recipe")), s.get("params") or {}, s.get("features") or {}) for s in sent_back}
    choice = choose(obedient, RECIPES, _count(turn), banned, cap or None)
    if not choice.chosen:
        choice = choose(notebook, RECIPES, _count(turn), banned)
    turn.write("plan.md", document(obedient, choice, reason))
    return "REVISED"


def demand(turn: Turn) -> str:
    """Why the review sent the plan back, in its own words."""
    reply = str(turn.facts.get("verdict") or "")
    if "REVISE" not in reply and "review" in turn.needs:
        found = re.findall(r"REVISE:.*", read_text(turn.needs["review"]))
        reply = found[-1] if found else reply
    return reply.partition("REVISE:")[2].strip() or reply.strip()


def _planned(turn: Turn) -> list[dict[str, Any]]:
    """The strategies of the plan that was sent back."""
    for name in ("plan_v1", "plan"):
        if name in turn.needs and (found := header(read_text(turn.needs[name]))):
            return found
    return []


def header(plan_text: str) -> list[dict[str, Any]]:
    """The strategies in a plan's JSON block; [] when there is none that parses."""
    block = plan_text.partition("```json")[2].partition("```")[0]
    try:
        strategies = json.loads(block)["strategies"]
    except (ValueError, KeyError, TypeError):
        return []
    return [item for item in strategies if isinstance(item, dict)] if isinstance(strategies, list) else []


def _count(turn: Turn) -> int:
    return max(1, int(turn.facts.get("strategies") or 1))


def document(notebook: Notebook, choice: Choice, reason: str = "") -> str:
    """The plan as Markdown around its JSON header. Raises ValueError when no recipe applies at all."""
    if not choice.chosen:
        raise ValueError("no recipe of the playbook applies to this data and guidance, so there is nothing to plan")
    final = str(notebook.facts.get("final") or "mean")
    strategies = [option.strategy(final) for option in choice.chosen]
    block = json.dumps({"strategies": strategies}, indent=1, ensure_ascii=False)
    top = choice.chosen[0]
    return text.page(
        f"R{notebook.round:02d}: {top.role} with {top.recipe.title}",
        ("Sent back because", reason),
        ("Hypothesis", text.bullets(f"{option.hypothesis}." for option in choice.chosen)),
        ("Expected gain", text.bullets(_expectation(notebook, option) for option in choice.chosen)),
        ("Why now", text.bullets(_why_now(notebook, choice))),
        ("Risks", text.bullets(_risks(notebook, choice.chosen))),
        ("Rejected", _rejected(choice)),
        ("Guidance", _guidance(notebook.guidance)),
        ("Header", f"```json\n{block}\n```"),
    )


def _expectation(notebook: Notebook, option: Option) -> str:
    name = f"`{option.recipe.name}`"
    best = notebook.best
    if best is None:
        return f"{name}: none to state, this score is the one to beat; about {text.duration(option.cost)}"
    scale = calibration(notebook, option.role)
    figure = f"{name}: {text.signed(option.gain)} on {text.score(best.cv, best.se)} of {text.link(best)}"
    return (
        f"{figure}; one standard error is {notebook.noise:.2g}, and real over expected gains of role "
        f"{option.role} scale the estimate by {scale:.2f}; about {text.duration(option.cost)}"
    )


def _why_now(notebook: Notebook, choice: Choice) -> list[str]:
    top = choice.chosen[0]
    lines = [f"best value for time of {len(choice.chosen) + len(choice.others)} options that may be played"]
    if notebook.facts.get("force_bold"):
        lines.append(f"a bold round is due: nothing was kept for {notebook.stuck} rounds")
    if top.role == "diversify":
        families = untried(notebook, RECIPES)
        lines.append(f"{len(families)} families that apply were never tried: {', '.join(families[:4]) or 'none'}")
    if top.role == "blend":
        lines.append(f"{len(blend_members(notebook))} members are diverse enough, and a blend costs seconds")
    if notebook.best and notebook.best.is_blend and top.role != "blend":
        lines.append(f"the best is the blend {text.link(notebook.best)}: it grows by better or different members only")
    left = notebook.facts.get("seconds_left")
    if left is not None:
        lines.append(f"{text.duration(float(left))} left in the campaign")
    return lines


def _risks(notebook: Notebook, chosen: Collection[Option]) -> list[str]:
    lines = []
    for option in chosen:
        crashes = [run for run in notebook.of_family(option.recipe.family) if run.status == "crash"]
        if crashes:
            lines.append(f"{option.recipe.family} crashed before: {', '.join(f'[{run.label}]' for run in crashes)}")
        if option.role == "tune":
            lines.append("a gain below the noise is luck of the folds, the paired bootstrap decides")
        if option.role == "blend":
            lines.append("weights fit to out-of-fold predictions of few rows can be noise; they are rounded to 0.05")
        if option.role == "diversify" and notebook.best:
            lines.append(f"{option.recipe.family} alone may stay below the best and pay only in the next blend")
        if option.cost > 0.5 * notebook.number("experiment_seconds", float("inf")):
            lines.append(f"{text.duration(option.cost)} is more than half of an experiment's time limit")
    return list(dict.fromkeys(lines)) or ["the estimates of time and gain rest on priors until something was measured"]


def _rejected(choice: Choice) -> str:
    lines: dict[tuple[str, str], tuple[Option, str]] = {}
    for option in choice.others:
        lines.setdefault((option.recipe.name, option.role), (option, f"value {option.value:.2f}"))
    shown = list(lines.values())[:SHOWN]
    shown += [item for item in choice.refused if item[1] != "a bold round is due"][:SHOWN]
    rows = [(o.recipe.name, o.role, text.signed(o.gain), text.duration(o.cost), why) for o, why in shown]
    chosen = ", ".join(f"{option.value:.2f}" for option in choice.chosen)
    note = f"Value for time of the chosen: {chosen}."
    return f"{note}\n\n{text.table(('recipe', 'role', 'expected', 'cost', 'why not'), rows)}"


def _guidance(guidance: wishes.Guidance) -> str:
    lines = [f"obeyed: {line}" for line in guidance.understood]
    lines += [f"noted, not understood by the offline policy: {line}" for line in guidance.unknown]
    return text.bullets(lines) if lines else ""
