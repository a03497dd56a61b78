"""A session that plays from a script: for tests and for replaying a campaign.

The script is a JSON file: `{"turns": {"R01/review": [step, …]}, "fallback": "offline"}`. Each ask of a turn takes its
next step (the last one again when they run out): `{"reply": "REVISE: why", "files": {"plan.md": "text"},
"call": ["run_experiment"]}`. Keys of a step are optional. A turn that the script does not name goes to the fallback
back end; without one it is an error. A reply may quote the results of its calls, `CV_SCORE={results[0][cv]}`; where the
last has no score, it is `FAILED: reason`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.services import Services
from agents.session import AgentSession, Turn, open_session
from agents.transcript import Transcript


class ScriptedSession:
    backend = "scripted"

    def __init__(
        self,
        *,
        role: str,
        settings: Mapping[str, Any],
        folder: Path,
        generation: int,
        round_number: int,
        services: Services | None = None,
    ) -> None:
        self.role = role
        script = json.loads(Path(settings["script"]).read_text(encoding="utf-8"))
        self._turns: dict[str, list[dict[str, Any]]] = script["turns"]
        self._asked: Counter[str] = Counter()
        self._fallback: AgentSession | None = None
        if script.get("fallback"):
            self._fallback = open_session(role, {"backend": script["fallback"]}, folder, generation, round_number)
        self._transcript = Transcript(folder / f"{generation}.jsonl")
        if self._transcript.is_empty():
            self._transcript.append("spawn", backend=self.backend, round=round_number)

    def ask(self, turn: Turn) -> str:
        steps = self._turns.get(turn.id)
        if steps is None:
            if self._fallback is None:
                raise KeyError(f"the script has no turn {turn.id!r} and names no fallback")
            return self._fallback.ask(turn)
        step = steps[min(self._asked[turn.id], len(steps) - 1)]
        self._asked[turn.id] += 1
        self._transcript.append("turn", id=turn.id, prompt=turn.prompt)
        for name, text in step.get("files", {}).items():
            turn.write(name, text)
        results = [turn.tools[name]() for name in step.get("call", [])]
        reply = str(step.get("reply", "DONE"))
        if "{results" in reply and results[-1]["cv"] is None:
            reply = f"FAILED: {results[-1]['reason']}"
        reply = reply.format(results=results)
        self._transcript.append("reply", id=turn.id, text=reply)
        return reply

    def wants_respawn(self) -> str:
        return ""

    def close(self) -> None:
        if self._fallback is not None:
            self._fallback.close()
        self._transcript.close()
