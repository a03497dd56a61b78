"""Small campaigns in this process: real referee, real sandbox, scripted players, experiments that start at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.campaign import Campaign
from orchestrator.loop import play
from tests.kill import harness

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


class Script:
    """What the players say: start from a calm campaign, change the turns that a test is about."""

    def __init__(self, folder: Path, rounds: int, **loop: Any) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        harness.make_campaign(folder, rounds)
        self.turns: dict[str, Any] = json.loads((folder / "script.json").read_text())["turns"]
        self.configure(**{f"loop.{key}": value for key, value in loop.items()})

    def configure(self, **values: Any) -> None:
        """Set dotted keys of config.json."""
        path = self.folder / "config.json"
        config = json.loads(path.read_text())
        for key, value in values.items():
            section = config
            *parents, last = key.split(".")
            for parent in parents:
                section = section.setdefault(parent, {})
            section[last] = value
        path.write_text(json.dumps(config))

    def predict(self, number: int, prediction: float) -> None:
        """Let round `number` predict this constant."""
        label = f"R{number:02d}"
        self.turns[f"{label}/plan"] = [{"files": {"plan.md": harness.plan(str(prediction))}}]
        script = harness.EXPERIMENT.replace("PREDICTION", str(prediction))
        self.turns[f"{label}/build"][0]["files"] = {"experiment.py": script}

    def save(self) -> None:
        (self.folder / "script.json").write_text(json.dumps({"turns": self.turns}))

    def play(
        self, now: Callable[[], datetime] = lambda: NOON, executor: Callable[[Any], Any] | None = None, **overrides: Any
    ) -> Played:
        """`executor` makes another one of the campaign's own."""
        self.save()
        events: list[tuple[str, dict[str, Any]]] = []
        campaign = Campaign(
            self.folder, now=now, progress=lambda event, **fields: events.append((event, fields)), overrides=overrides
        )
        opened = campaign.executor
        if executor is not None:
            campaign.executor = campaign.referee.executor = executor(opened)
        try:
            why = play(campaign)
        finally:
            campaign.executor = opened
            campaign.close()
        return Played(self.folder, why, events, campaign.entries)


class Played:
    """A campaign that ended: its reason, what was told on the way, and its entries."""

    def __init__(
        self, folder: Path, why: str, events: list[tuple[str, dict[str, Any]]], entries: list[dict[str, Any]]
    ) -> None:
        self.folder, self.why, self.events, self.entries = folder, why, events, entries

    @property
    def statuses(self) -> list[str]:
        return [entry["status"] for entry in self.entries]

    def phases(self, number: int) -> list[str]:
        return [fields["phase"] for event, fields in self.events if event == "phase" and fields["round"] == number]

    def notes(self) -> str:
        return "\n".join(fields["text"] for event, fields in self.events if event == "note")

    def file(self, name: str) -> Path:
        return self.folder / "rounds" / name
