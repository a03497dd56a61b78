"""A campaign of 12 rounds whose three players are models: their side is a script on a local server.

Round 3 has a plan sent back, round 5 an experiment that fails once, round 10 a retrospective; sessions are re-spawned
after 8 rounds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.kill import harness
from tests.model_server.brain import report
from tests.model_server.client import PRICE, ModelServer

ROUNDS = 12
KEY = "sk-canary-5d1f0c"
"""Must never be seen in any file."""
EXPERIMENT = harness.EXPERIMENT.replace("PREDICTION", "5.0 / NUMBER**2").replace(
    "inputs, outputs", 'NUMBER = int("@ROUND@"[1:])\ninputs, outputs'
)


def write(**files: str) -> list[dict[str, Any]]:
    return [
        {"name": "write_file", "input": {"name": name.replace("__", "."), "text": text}} for name, text in files.items()
    ]


def turns(experiment: str = EXPERIMENT) -> dict[str, Any]:
    """The whole script, see `tests/model_server/brain.py`."""
    run = {"name": "run_experiment", "input": {"folds": "all"}}
    build = [{"tools": write(experiment__py=experiment)}, {"tools": [run]}, {"report_cv": True}]
    broken = [
        {"tools": write(experiment__py="raise SystemExit('no such column')\n")},
        {"tools": [run]},
        {"tools": [report("FAILED: no such column")]},
    ]
    findings = "# Findings\n\n## Learnings\n- [@ROUND@] smaller is better\n"
    look = [
        {"name": "registry", "input": {}},
        {"name": "read_file", "input": {"path": "rounds/R00_profile.json"}},
    ]
    note = {"handover__md": "# Hand-over\nAll is in the registry."}
    return {
        "repeats": [],
        "R00/eda": [{"tools": write(eda__md="# EDA\nTwo columns.")}, {"tools": [report("DONE")]}],
        "*/research": [
            {"tools": look},
            {"tools": write(research_raw__md="raw", research_brief__md="brief")},
            {"tools": [report("DONE")]},
        ],
        "*/plan": [{"tools": write(plan__md=harness.plan("5/n²"))}, {"tools": [report("DONE")]}],
        "*/review": [{"tools": write(review__md="six checks")}, {"tools": [report("APPROVED")]}],
        "R03/review": [{"tools": write(review__md="one fails")}, {"tools": [report("REVISE: say why")]}],
        "R03/revise": [{"tools": write(plan__md=harness.plan("5/n², why"))}, {"tools": [report("REVISED")]}],
        "*/build": build,
        "R05/build": broken,
        "R05/build/try2": build,
        "*/verify": [{"tools": write(verify__md="fine")}, {"tools": [report("VERIFIED")]}],
        "*/findings": [{"tools": write(findings__md=findings)}, {"tools": [report("SUBMIT: better")]}],
        "*/retro": [{"tools": write(retro__md="# Retrospective\nTen rounds.")}, {"tools": [report("DONE")]}],
        **{
            f"*/handover/{role}": [{"tools": write(**note)}, {"tools": [report("DONE")]}]
            for role in ("researcher", "builder", "reviewer")
        },
    }


def make(folder: Path, server: ModelServer, rounds: int = ROUNDS, **changes: Any) -> None:
    """The campaign's folder: the Researcher and the Reviewer speak Anthropic's dialect, the Builder OpenAI's.

    `changes` are settings as dotted keys with `__` for dots.
    """
    harness.make_campaign(folder, rounds)
    config = json.loads((folder / "config.json").read_text())
    for role, backend in (("researcher", "anthropic"), ("builder", "openai"), ("reviewer", "anthropic")):
        config["agents"][role] = {
            "backend": backend,
            "model": "scripted-model",
            "base_url": server.url(backend),
            "price": PRICE,
            "max_wait_s": 0.2,
            "max_output_tokens": 2000,
        }
    config["agents"]["respawn_rounds"] = 8
    config["loop"].update(max_rounds=rounds, patience=100)
    (folder / "config.json").write_text(json.dumps(changed(config, changes)))
    (folder / ".env").write_text(f"ANTHROPIC_API_KEY={KEY}\nOPENAI_API_KEY={KEY}\n")


def changed(config: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`config` with settings changed, named by dotted keys with `__` for dots."""
    for key, value in changes.items():
        *sections, name = key.split("__")
        place = config
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = value
    return config
