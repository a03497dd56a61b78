"""A campaign of small hand-made files, and the turns that the offline policy plays on it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.offline.builder import header
from agents.offline.catalogue import BY_NAME
from agents.offline.session import OfflineSession
from agents.session import Turn

NUMBERS = {
    "rows": {"train": 1200, "test": 600},
    "numeric_columns": [f"p{i}" for i in range(64)],
    "target": {"label": {"distinct": 2, "shares": {"0": 0.5, "1": 0.5}, "rarest_rows": 600}},
}
TABLE = {
    "rows": {"train": 20000, "test": 8000},
    "numeric_columns": [f"n{i}" for i in range(12)],
    "categorical_columns": ["city", "shop", "kind", "size"],
    "column_details": {"city": {"kind": "category", "distinct": 300, "missing": 0.2, "unseen_in_test": 0.1}},
    "missing_shifts": {"city": [0.2, 0.5]},
    "duplicates": {"train_rows": 3, "test_rows": 0, "test_rows_in_train": 1},
    "target": {"label": {"distinct": 2, "shares": {"0": 0.9, "1": 0.1}, "rarest_rows": 2000}},
}
TEXT = {
    "rows": {"train": 8000, "test": 3000},
    "text_columns": ["body"],
    "column_details": {"body": {"kind": "text", "characters": {"mean": 160.0, "max": 900}}},
}
COMPETITION = {"name": "t", "task": "binary", "metric": "auc", "classes": [0, 1], "target_columns": ["label"]}


def entry(number: int, recipe: str, cv: float | None, **more: Any) -> dict[str, Any]:
    """One entry of the registry; unless told otherwise a complete, uncorrelated, discarded run of the defaults."""
    known = BY_NAME[recipe]
    defaults = {
        "round": number,
        "variant": 0,
        "family": known.family,
        "recipe": recipe,
        "role": "blend" if known.family == "blend" else "diversify",
        "hypothesis": "h",
        "expected_gain": 0.002,
        "features": dict(known.features),
        "params": dict(known.params),
        "parent": None,
        "status": "discard",
        "reason": "no gain beyond the noise",
        "cv": cv,
        "se": 0.002,
        "fold_scores": [] if cv is None else [cv] * 5,
        "gain": None,
        "correlations": {f"R{earlier:02d}": 0.97 for earlier in range(1, number)},
        "complete": cv is not None,
        "seconds": 30.0,
        "submitted": "",
        "lb": None,
        "variants": [],
    }
    return {**defaults, **more}


def crash(number: int, recipe: str, **more: Any) -> dict[str, Any]:
    return entry(number, recipe, None, status="crash", reason="ValueError: boom", **more)


def strategy(recipe: str, role: str = "diversify", **more: Any) -> dict[str, Any]:
    """One strategy of a plan, with the recipe's own settings."""
    known = BY_NAME[recipe]
    settings = {"params": dict(known.params), "features": dict(known.features), "parent": None, "final": "mean"}
    figures = {"hypothesis": "h", "expected_gain": 0.002, "cost_s": 30.0}
    return {"family": known.family, "recipe": recipe, "role": role, **figures, **settings, **more}


@dataclass
class Desk:
    """Writes the campaign's files into `root` and plays turns of round `number` on them."""

    root: Path
    number: int = 1
    profile: dict[str, Any] = field(default_factory=lambda: TABLE)
    competition: dict[str, Any] = field(default_factory=lambda: dict(COMPETITION))
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("rounds", "sessions"):
            (self.root / name).mkdir(exist_ok=True)
        self.put("config.json", {"competition": self.competition, "knowledge_files": ["notes.md"]})
        self.put("rounds/R00_profile.json", self.profile)
        self.replies: list[str] = []

    def put(self, name: str, content: Any) -> Path:
        """Write a campaign file: text as it is, anything else as JSON."""
        path = self.root / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def played(self, *entries: dict[str, Any]) -> Desk:
        """Set the registry, and the round to the one after it."""
        self.put("experiments.json", {"experiments": list(entries)})
        self.number = max(item["round"] for item in entries) + 1
        return self

    def planned(self, *strategies: dict[str, Any]) -> Desk:
        block = json.dumps({"strategies": list(strategies)})
        self.put(self.name("plan.md"), f"# A plan\n\n```json\n{block}\n```\n")
        return self

    def name(self, file: str) -> str:
        return f"rounds/R{self.number:02d}_{file}"

    def text(self, file: str) -> str:
        return (self.root / self.name(file)).read_text()

    def turn(self, role: str, phase: str, *makes: str, tools: dict[str, Any] | None = None, **facts: Any) -> Turn:
        places = {"registry": "experiments.json", "profile": "rounds/R00_profile.json", "guidance": "guidance.md"}
        places |= {"learnings": "LEARNINGS.md", "knowledge_1": "notes.md"}
        places |= {
            name.split(".")[0]: self.name(name) for name in ("plan.md", "plan_v1.md", "review.md", "research_brief.md")
        }
        places |= {name.split(".")[0]: self.name(name) for name in ("scores.json", "probes.json")}
        targets = {name: self.root / self.name(name) for name in makes}

        def write(name: str, body: str) -> None:
            assert body.strip()
            targets[name].write_text(body)

        usual = {"seed": 42, "folds": 5, "cores": 2, "maximize": True, "competition": self.competition}
        usual |= {"strategies": 1, "final": "mean"}
        return Turn(
            id=f"R{self.number:02d}/{phase}",
            role=role,
            phase=phase,
            round=self.number,
            prompt="",
            campaign=self.root,
            needs={name: self.root / place for name, place in places.items() if (self.root / place).exists()},
            makes=targets,
            write=write,
            tools=tools or {},
            facts={**usual, **self.facts, **facts},
        )

    def ask(self, role: str, phase: str, *makes: str, **more: Any) -> str:
        """Play one turn through a session of its own."""
        folder = self.root / "sessions" / role
        folder.mkdir(exist_ok=True)
        session = OfflineSession(role=role, settings={}, folder=folder, generation=1, round_number=self.number)
        try:
            return session.ask(self.turn(role, phase, *makes, **more))
        finally:
            session.close()

    def plan(self, **facts: Any) -> list[dict[str, Any]]:
        """The strategies of the plan that the Builder writes now."""
        assert self.ask("builder", "plan", "plan.md", **facts) == "DONE"
        return header(self.text("plan.md"))

    def review(self, **facts: Any) -> str:
        return self.ask("reviewer", "review", "review.md", **facts)

    def build(self, chosen: dict[str, Any], report: dict[str, Any] | None = None, **facts: Any) -> str:
        """Play build (or fix, with failure=…); the report is what running the experiment returns."""
        ran = {"cv": 0.5, "status": "ok"} if report is None else report
        tools = {"run_experiment": lambda: ran}
        phase = "fix" if facts.get("failure") else "build"
        return self.ask("builder", phase, "experiment.py", tools=tools, strategy=chosen, **facts)
