"""The Builder's plans: the options weighed, the best one chosen and written down with its reasons."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from agents.offline import guidance as wishes
from agents.offline import text
from agents.offline.catalogue import NAMES
from agents.offline.notebook import Notebook, fingerprint_of, read, read_text
from agents.offline.options import Option
from agents.offline.published import heard
from agents.offline.strategy import Choice, choose
from agents.session import Turn

SHOWN = 6
_DEMAND = re.compile(r"\s*(try|use|play|prefer|switch|stop|no|avoid|skip|never|do not|don't|tune|blend|bold)\b", re.I)
_COST_WORDS = re.compile(r"\b(cost|costs|time|slow|expensive|seconds|budget|cheaper|hours?)\b")


def plan(turn: Turn) -> str:
    """Write plan.md for the best option (or options, when the round plays several)."""
    turn.write("plan.md", document(*pick(read(turn), turn.facts["strategies"])))
    return "DONE"


def pick(notebook: Notebook, count: int, banned: Collection[str] = ()) -> tuple[Notebook, Choice]:
    """The choice; bans of the guidance that leave nothing to play are lifted, and the plan says so."""
    choice = choose(notebook, count, banned)
    if choice.chosen:
        return notebook, choice
    free = replace(notebook.guidance, only=set(), avoid=set(), banned_roles=set())
    notebook = replace(notebook, guidance=free)
    return notebook, choose(notebook, count, banned)


def revise(turn: Turn) -> str:
    """Write plan.md anew; the review's demands count like guidance for this one plan."""
    notebook = read(turn)
    reason = turn.facts["verdict"].removeprefix("REVISE: ")
    demands = [part for part in re.split(r"[;.]\s", reason) if _DEMAND.match(part)]
    obedient = replace(notebook, guidance=notebook.guidance.with_more(wishes.parse("\n".join(demands), NAMES)))
    sent_back = header(read_text(turn, "plan_v1") or read_text(turn, "plan"))
    banned = {fingerprint_of(strategy) for strategy in sent_back}
    costs = [float(strategy["cost_s"]) for strategy in sent_back if strategy.get("cost_s")]
    cap = min(costs) / 2 if costs and _COST_WORDS.search(reason.lower()) else float("inf")
    choice = choose(obedient, turn.facts["strategies"], banned, cap)
    if not choice.chosen:
        obedient, choice = pick(notebook, turn.facts["strategies"], banned)
    turn.write("plan.md", document(obedient, choice, reason))
    return "REVISED"


def header(plan_text: str) -> list[dict[str, Any]]:
    """The strategies in a plan's JSON block; [] when it has none."""
    try:
        strategies: list[dict[str, Any]] = json.loads(plan_text.partition("```json")[2].partition("```")[0])[
            "strategies"
        ]
    except (ValueError, KeyError):
        return []
    return strategies


def document(notebook: Notebook, choice: Choice, reason: str = "") -> str:
    """The plan as Markdown around its JSON header. Raises ValueError when no recipe applies at all."""
    if not choice.chosen:
        raise ValueError("no recipe of the playbook applies to this data and guidance, so there is nothing to plan")
    strategies = [option.strategy(notebook.facts["final"]) for option in choice.chosen]
    block = json.dumps({"strategies": strategies}, indent=1, ensure_ascii=False)
    top = choice.chosen[0]
    guidance = [_answer(notebook, choice, line) for line in notebook.guidance.understood]
    guidance += [_not_understood(line) for line in notebook.guidance.unknown]
    return text.page(
        f"R{notebook.round:02d}: {top.role} with {top.recipe.title}",
        ("Sent back because", reason),
        ("Hypothesis", text.bullets(f"{option.hypothesis}." for option in choice.chosen)),
        ("Expected gain", text.bullets(_expectation(notebook, option) for option in choice.chosen)),
        ("Why now", text.bullets(_why_now(notebook, choice))),
        ("Risks", text.bullets(_risks(notebook, choice.chosen))),
        ("Rejected", _rejected(choice)),
        ("Guidance", text.bullets(guidance)),
        ("Header", f"```json\n{block}\n```"),
    )


HEARD = "what is heard: kinds of models, tuning, blends, bold rounds, submissions; for the rest see `settings`"


def _not_understood(line: str) -> str:
    name = wishes.meant(line, NAMES)
    return f"not understood: {line} ({f'did you mean {name}?' if name else HEARD})"


def _answer(notebook: Notebook, choice: Choice, line: str) -> str:
    """What becomes of one understood line of guidance.md in this plan."""
    asked, kept = wishes.parse(line, NAMES), notebook.guidance
    if not (asked.only <= kept.only and asked.avoid <= kept.avoid and asked.banned_roles <= kept.banned_roles):
        return f"not followed: {line} (the bans leave no recipe that fits this data)"
    for wish in [wish for wish in kept.wishes if wish.line == line.lower()]:
        done = notebook.did(wish)
        if done and wish.is_once:
            return f"followed: {line} (in {text.link(done)}, and done with)"
        if any(wish.asks_for(item.role, item.recipe.family, item.recipe.name) for item in choice.chosen):
            continue
        if done:
            return f"followed: {line} (in {text.link(done)})"
        return f"not followed yet: {line} ({_obstacle(choice, wish)})"
    return f"followed: {line}"


def _obstacle(choice: Choice, wish: wishes.Wish) -> str:
    """Why nothing that the wish asks for is in the plan."""
    for option, why in choice.refused:
        if wish.asks_for(option.role, option.recipe.family, option.recipe.name):
            return f"{option.recipe.name} {why}" if why.startswith("would") else f"{option.recipe.name}: {why}"
    for option in choice.others:
        if wish.asks_for(option.role, option.recipe.family, option.recipe.name):
            return f"{option.recipe.name} comes after what is played now"
    return "nothing of that kind can be played now"


def _expectation(notebook: Notebook, option: Option) -> str:
    name, best = f"`{option.recipe.name}`", notebook.best
    if best is None:
        return f"{name}: none to state, this score is the one to beat; about {text.duration(option.cost)}"
    figure = f"{name}: {text.signed(option.gain)} on {text.score(best.cv, best.se)} of {text.link(best)}"
    return f"{figure}; one standard error is {notebook.noise:.2g}; about {text.duration(option.cost)}"


def _why_now(notebook: Notebook, choice: Choice) -> list[str]:
    asked = next((option.asked for option in choice.chosen if option.asked), "")
    count = len(choice.chosen) + len(choice.others)
    lines = [asked or f"best value for time of {count} options that may be played"]
    if choice.chosen and (said := heard(notebook, choice.chosen[0])[0]):
        lines.append(f"public sources use {said}, and it was not measured here yet")
    if notebook.facts.get("force_bold"):
        lines.append(f"a bold round is due: nothing was kept for {notebook.stuck} rounds")
    if notebook.best and notebook.blend_leads and choice.chosen[0].role != "blend":
        lines.append(f"the best is the blend {text.link(notebook.best)}: it grows by better or different members only")
    return lines


def _risks(notebook: Notebook, chosen: list[Option]) -> list[str]:
    lines = []
    for option in chosen:
        crashes = [run for run in notebook.of_family(option.recipe.family) if run.status == "crash"]
        if crashes:
            lines.append(f"{option.recipe.family} crashed before: {', '.join(f'[{run.label}]' for run in crashes)}")
    return lines


def _rejected(choice: Choice) -> str:
    """The next best option of each recipe and role, then what may not be played."""
    others: dict[tuple[str, str], Option] = {}
    for option in choice.others:
        others.setdefault((option.recipe.name, option.role), option)
    shown = [(option, _less(option, choice.chosen)) for option in list(others.values())[:SHOWN]]
    shown += [item for item in choice.refused if item[1] != "a bold round is due"][:SHOWN]
    rows = [(o.recipe.name, o.role, text.signed(o.gain), text.duration(o.cost), why) for o, why in shown]
    chosen = ", ".join(_worth(option) for option in choice.chosen)
    table = text.table(("recipe", "role", "expected", "cost", "why not"), rows)
    return f"For the chosen: {chosen}.\n\n{table}"


def _less(option: Option, chosen: list[Option]) -> str:
    """Why one that may be played as well is not."""
    if len(chosen) > 1 and option.recipe.family in {item.recipe.family for item in chosen}:
        return "its family is in this round already"
    if option.asked:
        return f"{option.asked} too, and of less value for time than the chosen one"
    return _worth(option)


def _worth(option: Option) -> str:
    return option.asked or f"value for time {option.value:.2f}"
