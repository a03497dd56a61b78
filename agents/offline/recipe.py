"""A recipe: one way to play, as data."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agents.offline.facts import Facts

Judge = Callable[[Facts], float]


@dataclass(frozen=True)
class Recipe:
    """One way to play. `space` maps a param to a list of choices or to (low, high) / (low, high, "log")."""

    name: str
    family: str
    title: str
    model: str
    roles: tuple[str, ...]
    params: Mapping[str, Any]
    space: Mapping[str, Any]
    features: Mapping[str, Any]
    fits: Callable[[Facts], bool]
    seconds: Judge
    hint: Judge
    feature_space: Mapping[str, list[Any]] = field(default_factory=dict)

    def applies(self, profile: Mapping[str, Any], competition: Mapping[str, Any]) -> bool:
        """Whether this recipe makes sense for the data at all."""
        return self.fits(Facts.of(profile, competition))

    def cost(self, profile: Mapping[str, Any], competition: Mapping[str, Any] | None = None) -> float:
        """Estimated seconds for one fold on one core."""
        return round(3.0 + self.seconds(Facts.of(profile, competition or {})), 1)

    def gain_hint(self, profile: Mapping[str, Any], competition: Mapping[str, Any] | None = None) -> float:
        """How much to expect from it before anything was measured, 0 to 1."""
        return min(1.0, max(0.0, self.hint(Facts.of(profile, competition or {}))))

    def sample(self, rng: random.Random, changes: int = 3) -> dict[str, Any]:
        """Params with up to `changes` of the tunable ones drawn anew from the space."""
        names = rng.sample(sorted(self.space), min(changes, len(self.space)))
        return {**self.params, **{name: draw(self.space[name], rng) for name in names}}

    def sample_features(self, rng: random.Random) -> dict[str, Any]:
        """Features with one switch of the feature space drawn anew."""
        if not self.feature_space:
            return dict(self.features)
        name = rng.choice(sorted(self.feature_space))
        return {**self.features, name: rng.choice(self.feature_space[name])}


def draw(choices: Any, rng: random.Random) -> Any:
    """One value of a space entry, rounded so that a person can read it."""
    if isinstance(choices, list):
        return rng.choice(choices)
    low, high = choices[0], choices[1]
    log = len(choices) == 3
    value = math.exp(rng.uniform(math.log(low), math.log(high))) if log else rng.uniform(low, high)
    return round(value) if isinstance(low, int) and isinstance(high, int) else float(f"{value:.3g}")
