"""What a second core brings: the folds of one LightGBM experiment on 100,000 rows, on one core and on two (bar: 1.8).

The same script and folds, the two run in turn. Arguments: trees and runs, as of `benchmarks.sealed_folds`, whose table
and experiment these are. Two figures: folds that nothing gates, and a round whose fold 1 is a gate before the others.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from benchmarks.sealed_folds import RUNS, make_data, make_referee, run_sealed
from orchestrator.execution import LocalExecutor
from orchestrator.referee.run import Referee
from orchestrator.rounds import RoundFiles


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_data(folder)
        referee = make_referee(folder)
        referee.seal()
        run(referee, folder, 0, 2, None)  # not counted, and the best round of the gated ones
        for title, best in (("nothing gates", None), ("fold 1 is a gate", RoundFiles(folder / "rounds", 0))):
            pairs = [
                tuple(run(referee, folder, 2 * number + cores, cores, best) for cores in (1, 2))
                for number in range(1, RUNS + 1)
            ]
            one, two = (statistics.median(pair[place] for pair in pairs) for place in (0, 1))
            ratios = [pair[0] / pair[1] for pair in pairs]
            print(f"{title}: one core {one:.1f} s, two cores {two:.1f} s")
            print(f"  ratio: median {statistics.median(ratios):.2f} ({', '.join(f'{ratio:.2f}' for ratio in ratios)})")


def run(referee: Referee, folder: Path, number: int, cores: int, best: RoundFiles | None) -> float:
    """Wall seconds of all folds of a round of its own."""
    referee.executor = LocalExecutor(referee.executor.sandbox, cores)
    return run_sealed(referee, folder, number, best)


if __name__ == "__main__":
    main()
