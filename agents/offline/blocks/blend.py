"""Blends of the predictions of earlier rounds."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from agents.offline.blocks.core import Data


def earlier(data: Data) -> dict[str, np.ndarray]:
    """Round → its predictions for these rows, (valid + test rows, outputs)."""
    found, folder = {}, data.folder / "previous"
    for path in sorted(folder.glob("*_test.npy")):
        name = path.name.removesuffix("_test.npy")
        test, beside = np.load(path), folder / f"{name}_valid.npy"
        parts = [np.load(beside), test] if data.sizes[1] and beside.is_file() else [test]
        table = np.concatenate([part.reshape(len(part), -1) for part in parts]).astype(float)
        if len(table) == data.sizes[1] + data.sizes[2] and np.isfinite(table).all():
            found[name] = table
    return found


def to_space(table: np.ndarray, space: str, sizes: tuple[int, int, int]) -> np.ndarray:
    """Predictions as they are averaged: ranks in (0, 1] per part and column, log odds, or unchanged."""
    if space == "logit":
        clipped = np.clip(table, 1e-6, 1 - 1e-6)
        return np.log(clipped) if table.shape[1] > 1 else np.log(clipped / (1 - clipped))
    if space == "rank":
        parts = [part for part in (table[: sizes[1]], table[sizes[1] :]) if len(part)]
        return np.vstack([pd.DataFrame(part).rank().to_numpy() / len(part) for part in parts])
    return table


def from_space(table: np.ndarray, space: str, task: str) -> np.ndarray:
    if space != "logit":
        return table
    if task == "multiclass":
        return np.exp(table - table.max(axis=1, keepdims=True))
    return 1 / (1 + np.exp(-table)) if table.shape[1] == 1 else np.exp(table)


def blend_model(data: Data, params: dict[str, Any]) -> np.ndarray:
    """Weights fit by the host on other folds ("weights": "host"), given ones, or equal ones over `members`."""
    tables = earlier(data)
    plan = data.folder / "previous" / "weights.json"
    host = json.loads(plan.read_text()) if plan.is_file() else {}
    space = params.get("space") or (host.get("space") if params.get("weights") == "host" else None)
    space = space or ("rank" if "auc" in data.metric else "value")
    weights = params.get("weights")
    if weights == "host":
        weights = host.get("weights") or {}
    elif not isinstance(weights, dict):
        weights = {name: 1.0 for name in params.get("members") or tables}
    weights = {name: float(w) for name, w in weights.items() if name in tables and float(w) > 0}
    weights = weights or {name: 1.0 for name in tables}
    if not weights:
        raise SystemExit("no earlier predictions to blend")
    print(f"blend in {space} space: {weights}", flush=True)
    total = sum((w * to_space(tables[name], space, data.sizes) for name, w in weights.items()), np.zeros((1, 1)))
    return from_space(total / sum(weights.values()), space, data.task["task"])
