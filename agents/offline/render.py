"""How a recipe becomes a file: one self-contained experiment, assembled from `agents/offline/blocks`."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Collection, Iterable, Mapping
from pprint import pformat
from typing import Any

from agents.offline.blocks import assemble
from agents.offline.recipe import Facts, Recipe

# Feature switches in the order in which they run; each is a function of the same name in the blocks.
STEPS = (
    "row_files",
    "pixels",
    "date_parts",
    "list_counts",
    "string_parts",
    "row_stats",
    "places",
    "group_rows",
    "recent_levels",
    "related_numbers",
    "interactions",
    "group_means",
    "crosses",
    "frequency",
    "target_encoding",
    "text_stats",
    "text_svd",
    "text_pairs",
    "text_scores",
    "selection",
)


def render(
    recipe: Recipe,
    params: Mapping[str, Any],
    features: Mapping[str, Any],
    *,
    title: str,
    hypothesis: str,
    seed: int,
    seconds: float | None = None,
) -> str:
    """The experiment as one Python file; `params` and `features` go over the recipe's. Same arguments, same text.

    `seconds` are what a fold should take at most, less than what the host would let it take.

    Raises ValueError with the nearest name for a param or feature that nothing reads.
    """
    check_names("param", params, {**recipe.params, **recipe.space})
    check_names("feature", features, STEPS)
    chosen, switches = {**recipe.params, **params}, {**recipe.features, **features}
    steps = [f"    ({name}, {switches[name]!r})," for name in STEPS if switches.get(name)]
    plan = "STEPS: list[Any] = [\n" + "\n".join(steps) + "\n]" if steps else "STEPS: list[Any] = []"
    limit = f"SECONDS: float | None = {seconds}  # of one fold; models that can stop early do"
    constants = f"SEED = {seed}\n{limit}\nPARAMS: dict[str, Any] = {pformat(chosen, width=110, sort_dicts=False)}"
    call = f"run_experiment(sys.argv[1:], STEPS, {recipe.model}, PARAMS, SEED, SECONDS)"
    foot = f'{plan}\n\nif __name__ == "__main__":\n    {call}'
    return assemble(docstring(recipe, title, hypothesis), constants, foot)


def without_idle(features: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
    """The switches, off where they can't change anything on such data: a file holds what is used, within its 100 kB.

    Beside texts neither pictures nor series are looked for, beside series no likeness of strings.
    """
    idle = {"pixels"} if facts.texts else {"text_stats", "text_svd"}
    idle |= {"group_rows", "text_pairs"} if facts.in_series else {"recent_levels"}
    return {name: False if name in idle else option for name, option in features.items()}


def check_names(kind: str, given: Iterable[str], allowed: Collection[str]) -> None:
    for name in given:
        if name not in allowed:
            near = difflib.get_close_matches(name, allowed, 1)
            raise ValueError(f"unknown {kind} {name!r}" + (f": did you mean {near[0]!r}?" if near else ""))


def docstring(recipe: Recipe, title: str, hypothesis: str) -> str:
    """The head of the file; quotes and backslashes of free text are made harmless."""
    lines = (title, "", f"Hypothesis: {hypothesis}", f"Recipe {recipe.name}: {recipe.title}")
    harmless = (" ".join(line.replace("\\", "/").replace('"', "'").split()) for line in lines)
    usage = (
        f"Usage: python THIS_FILE IN OUT\nRead PARAMS, {recipe.model} and run_experiment first; STEPS is at the end."
    )
    return '"""' + "\n".join(textwrap.fill(line, 110) for line in harmless) + f'\n\n{usage}\n"""'
