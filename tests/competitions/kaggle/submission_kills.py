"""A process that submits to the local Kaggle is killed at every one of its steps, and another one goes on.

    python -m tests.competitions.kaggle.submission_kills

kills at each step and prints the counts; the tests kill at the steps around the point of no return.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from orchestrator.competitions.kaggle.client import KaggleClient
from orchestrator.competitions.kaggle.credentials import find
from tests.competitions.kaggle.desk import Desk, spawn, was_killed
from tests.kaggle_server.start import Kaggle, kaggle


def steps(server: Kaggle, client: KaggleClient, folder: Path) -> list[str]:
    """The names of all steps of one submission and the first look at its score, undisturbed."""
    desk = Desk(server, client, folder / "whole", "whole")
    desk.ledger()
    told = folder / "whole.txt"
    assert not was_killed(spawn(desk, 1, None, told))
    return told.read_text().split("\n")[:-1]


def kill_at(server: Kaggle, client: KaggleClient, folder: Path, number: int, name: str) -> str:
    """Kill at one step, go on to the end; how the round ended. Raises AssertionError for what must never be."""
    desk = Desk(server, client, folder / str(number), f"kill-{number}")
    desk.ledger()
    told = folder / f"{number}.txt"
    assert was_killed(spawn(desk, 1, number, told)), f"not killed {name}"
    assert told.read_text().split("\n")[-2] == name
    receipt = desk.end(1)
    assert desk.requests() <= 1 and len(desk.accepted) <= 1, f"sent twice after a kill {name}"
    assert (receipt.status == "accepted") == (len(desk.accepted) == 1), f"{receipt} after a kill {name}"
    return receipt.status


def kill_everywhere(server: Kaggle, client: KaggleClient, folder: Path, wanted: Callable[[str], bool]) -> Counter[str]:
    """How the rounds ended, over all steps that are wanted."""
    ends = Counter[str]()
    for number, name in enumerate(steps(server, client, folder)):
        if wanted(name):
            ends[kill_at(server, client, folder, number, name)] += 1
    return ends


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with kaggle(folder / "server") as server:
            environment = server.environment(folder / "home")
            with KaggleClient(find(environment), environment=environment) as client:
                ends = kill_everywhere(server, client, folder, lambda step: True)
    print(f"{ends.total()} steps, {ends.total()} kills, 0 sent twice; rounds: {dict(ends)}")


if __name__ == "__main__":
    main()
