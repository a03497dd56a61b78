"""The playbook's recipes as a sequence, and what a line of guidance may call by its exact name."""

from __future__ import annotations

from agents.offline.playbook import PLAYBOOK
from agents.offline.recipe import Recipe

RECIPES: tuple[Recipe, ...] = tuple(PLAYBOOK)
NAMES = frozenset({recipe.name for recipe in RECIPES} | {recipe.family for recipe in RECIPES})
