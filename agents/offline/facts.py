"""What the playbook needs to know of a competition, read tolerantly from the profile and the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Facts:
    """Sizes and kinds; anything unknown is a harmless default."""

    rows: int
    rows_all: int
    numbers: int
    categories: int
    texts: int
    dates: int
    levels: int  # of the category with most levels
    coded: int  # categories or integer codes with more than 100 levels
    outputs: int  # models to fit: classes or targets
    task: str
    metric: str
    wordiness: float  # mean characters of the longest text column, 0 when unknown

    @classmethod
    def of(cls, profile: Mapping[str, Any], competition: Mapping[str, Any]) -> Facts:
        """From R00_profile.json and the competition section of config.json; either may lack keys."""
        rows = int(profile.get("rows_train") or 1000)
        sizes = {str(k): int(v) for k, v in (profile.get("cardinalities") or {}).items() if isinstance(v, int | float)}
        named = {kind: [str(c) for c in profile.get(f"{kind}_columns") or []] for kind in KINDS}
        texts = len(set(named["text"]) | set(competition.get("text_columns") or []))
        cats = [sizes.get(name, 0) for name in named["categorical"]]
        codes = [sizes.get(name, 0) for name in named["numeric"] if 100 < sizes.get(name, 0) < 0.3 * rows]
        integers = len(codes) if named["numeric"] and len(codes) >= 0.6 * len(named["numeric"]) else 0
        task = str(competition.get("task") or profile.get("task") or "regression")
        style = profile.get("text")
        outputs = len(competition.get("classes") or []) if task == "multiclass" else 1
        if task.startswith("multi") and task != "multiclass":
            outputs = len(competition.get("target_columns") or []) or 2
        return cls(
            rows=rows,
            rows_all=rows + int(profile.get("rows_test") or 0),
            numbers=len(named["numeric"]) + len(named["bool"]),
            categories=len(cats),
            texts=texts,
            dates=len(named["date"]),
            levels=max([*cats, *(codes if integers else []), 0]),
            coded=sum(1 for size in cats if size > 100) + integers,
            outputs=max(1, outputs),
            task=task,
            metric=str(competition.get("metric") or "").lower(),
            wordiness=float(style.get("mean_length") or 0) if isinstance(style, dict) else 0.0,
        )

    @property
    def columns(self) -> int:
        return self.numbers + self.categories + 8 * self.dates

    @property
    def values(self) -> bool:
        """Whether the targets are numbers rather than classes."""
        return self.task in ("regression", "multiregression")


KINDS = ("numeric", "categorical", "text", "date", "bool")
