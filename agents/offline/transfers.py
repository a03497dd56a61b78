"""Transfers: feature blocks that one family gained much from, given to the best runs of the other families."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from agents.offline import text
from agents.offline.catalogue import BY_NAME
from agents.offline.crossings import takes
from agents.offline.notebook import Notebook, Run, fingerprint
from agents.offline.options import QUICK, Option, closeness
from agents.offline.recipe import Recipe
from agents.offline.switches import all_features, applies, differing, put

ENOUGH = 0.5
"""Standard errors that the blocks must have brought the first family: runs on the same rows tell less, too."""
SHARE, MOST = 0.3, 1.0
"""What another family is thought to gain, in shares of the first one's gain, and at most in standard errors."""


class Donor(NamedTuple):
    """A run, the blocks that its rival of the same family had not, and its gain over that one in standard errors."""

    run: Run
    blocks: list[str]
    gain: float


def transfers(notebook: Notebook, recipes: Sequence[Recipe]) -> Iterator[Option]:
    """The best run of each other family with the blocks of the best donor, but for families with a recipe for them."""
    donor = best_donor(notebook)
    by_name = {recipe.name: recipe for recipe in recipes}
    if donor is None:
        return
    done = {donor.run.family}
    for body in notebook.members:
        if body.family in done or body.recipe not in by_name or body.recipe in QUICK:
            continue
        done.add(body.family)
        recipe, features = by_name[body.recipe], all_features(body)
        blocks = [name for name in donor.blocks if name in takes(recipe) and applies(notebook, recipe, name)]
        rich = [other for other in recipes if other.family == body.family and other.name != body.recipe]
        if any(all(other.features.get(name) for name in blocks) for other in rich):
            continue
        for name in blocks:
            features = put(recipe, features, name, features.get(name) or donor.run.features.get(name))
        new = differing(features, all_features(body))
        if not new or fingerprint(body.recipe, body.params, features) in notebook.fingerprints:
            continue
        says = f"{', '.join(new)} brought {text.link(donor.run)} {donor.gain:.1f} standard errors, so {recipe.title}"
        yield Option(
            recipe,
            "diversify" if notebook.blend_leads else "improve",
            f"{says} of {text.link(body)} may gain from it as well",
            dict(body.params),
            features,
            min(MOST, SHARE * donor.gain) * closeness(notebook, body.family),
            body.label,
        )


def best_donor(notebook: Notebook) -> Donor | None:
    """The run that is furthest ahead of the best one of its family that lacks some of its blocks."""
    found: list[Donor] = []
    for run in notebook.members:
        lacking = ((rival, _more(run, rival)) for rival in notebook.members if rival.family == run.family)
        rival, blocks = next(((rival, blocks) for rival, blocks in lacking if blocks), (None, []))
        gain = (notebook.lag(rival) - notebook.lag(run)) / notebook.noise if rival and notebook.noise > 0 else 0.0
        if gain >= ENOUGH:
            found.append(Donor(run, blocks, gain))
    return max(found, key=lambda donor: donor.gain, default=None)


def _more(run: Run, rival: Run) -> list[str]:
    """The blocks that are on in a run and off in another; none for a first score, which lacks more than blocks."""
    if run.recipe not in BY_NAME or rival.recipe not in BY_NAME or {run.recipe, rival.recipe} & {*QUICK}:
        return []
    mine, theirs = all_features(run), all_features(rival)
    return [name for name in differing(mine, theirs) if mine.get(name) and not theirs.get(name)]
