"""A row of numbers in time or space as a few of its statistics."""

from __future__ import annotations

from typing import Any

import numpy as np


def signal_statistics(values: np.ndarray[Any, Any], few: bool = False) -> dict[str, float]:
    """Level, spread, range, and how fast it changes; NaN for nothing but holes."""
    known = values[np.isfinite(values)]
    if not len(known):
        return {"mean": float("nan"), "std": float("nan"), "min": float("nan"), "max": float("nan")}
    found = {"mean": known.mean(), "std": known.std(), "min": known.min(), "max": known.max()}
    if not few:
        steps = np.abs(np.diff(known)) if len(known) > 1 else np.zeros(1)
        places = np.quantile(known, [0.05, 0.25, 0.5, 0.75, 0.95])
        found |= dict(zip(("q05", "q25", "q50", "q75", "q95"), places, strict=True))
        found |= {"missing": 1 - len(known) / len(values), "step": steps.mean(), "step_max": steps.max()}
        found |= {"last": known[-1], "first": known[0], "crossings": np.mean(np.diff(known > known.mean()) != 0)}
    return {name: float(f"{value:.7g}") for name, value in found.items()}
