"""The playbook: what the offline player can try, when it fits, what it costs, and how it becomes a file.

`render` turns a recipe into a single self-contained experiment file (`python R07_experiment.py IN OUT`), assembled from
`agents/offline/blocks`.
"""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Mapping
from pprint import pformat
from typing import Any

from agents.offline.blocks import assemble
from agents.offline.catalogue import RECIPES
from agents.offline.recipe import Recipe, draw

__all__ = ["MAX_BYTES", "PLAYBOOK", "STEPS", "Recipe", "draw", "render"]

MAX_BYTES = 100_000
PLAYBOOK: tuple[Recipe, ...] = RECIPES

# Feature switches in the order in which they run; each is a function of the same name in the blocks.
STEPS = (
    "date_parts",
    "list_counts",
    "string_parts",
    "row_stats",
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
)


def merged(kind: str, known: Mapping[str, Any], given: Mapping[str, Any] | None, allowed: set[str]) -> dict[str, Any]:
    """Defaults under what is given; ValueError with the nearest name for a name that nothing reads."""
    for name in given or {}:
        if name not in allowed:
            near = difflib.get_close_matches(name, sorted(allowed), 1)
            raise ValueError(f"unknown {kind} {name!r}" + (f": did you mean {near[0]!r}?" if near else ""))
    return {**known, **(given or {})}


def render(
    recipe: Recipe,
    params: Mapping[str, Any] | None = None,
    features: Mapping[str, Any] | None = None,
    *,
    title: str,
    hypothesis: str,
    seed: int,
) -> str:
    """The experiment as one Python file; `params` and `features` go over the recipe's. Same arguments, same text."""
    chosen = merged("param", recipe.params, params, set(recipe.params) | set(recipe.space))
    switches = merged("feature", recipe.features, features, set(STEPS))
    steps = [f"    ({name}, {switches[name]!r})," for name in STEPS if switches.get(name)]
    plan = "STEPS: list[Any] = [\n" + "\n".join(steps) + "\n]" if steps else "STEPS: list[Any] = []"
    constants = f"SEED = {int(seed)}\nPARAMS: dict[str, Any] = {pformat(chosen, width=110, sort_dicts=False)}"
    foot = (
        f'{plan}\n\nif __name__ == "__main__":\n    run_experiment(sys.argv[1:], STEPS, {recipe.model}, PARAMS, SEED)'
    )
    text = assemble(docstring(recipe, title, hypothesis), constants, foot)
    if len(text.encode()) > MAX_BYTES:
        raise ValueError(f"{recipe.name}: the experiment has {len(text.encode())} bytes, {MAX_BYTES} are allowed")
    return text


def docstring(recipe: Recipe, title: str, hypothesis: str) -> str:
    """The head of the file; quotes and backslashes of free text are made harmless."""

    def clean(text: str) -> str:
        return " ".join(text.replace("\\", "/").replace('"', "'").split())

    lines = [clean(title), "", f"Hypothesis: {clean(hypothesis)}", f"Recipe {recipe.name}: {clean(recipe.title)}"]
    return '"""' + "\n".join(wrap(line) for line in lines) + '\n\nUsage: python THIS_FILE IN OUT\n"""'


def wrap(line: str, width: int = 110) -> str:
    return "\n".join(textwrap.wrap(line, width)) or line
