"""What the start of an experiment costs, from nothing and from a warm process: wall time of a fold that only imports.

Arguments: runs of each kind. The figure that counts on a busy machine is the processor time.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from orchestrator.execution.bubblewrap import Bubblewrap
from orchestrator.execution.jobs import Job, Limits
from orchestrator.execution.stage import installation

RUNS = int(sys.argv[1]) if len(sys.argv) > 1 else 5
IMPORTS = "import numpy, pandas, pyarrow.parquet, lightgbm, sklearn.linear_model"
SCRIPT = f"{IMPORTS}\nimport time\nprint(time.process_time())\n"


def main() -> None:
    python = installation(Path(sys.executable))
    cold, warm = Bubblewrap(python), Bubblewrap(python)
    began = time.perf_counter()
    warm.warm_up()
    run(warm, "pass")
    print(f"warm process ready after {time.perf_counter() - began:.2f} s")
    pairs = [(run(cold, SCRIPT), run(warm, SCRIPT)) for _ in range(RUNS)]
    for place, name in enumerate(("from nothing", "warm")):
        wall, cpu = (statistics.median(pair[place][figure] for pair in pairs) for figure in (0, 1))
        print(f"{name:12s}  wall {wall:.3f} s   processor {cpu:.3f} s   peak {pairs[0][place][2]:.0f} MB")
    ratios = [a[0] / b[0] for a, b in pairs]
    print(f"ratio of wall times: median {statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})")


def run(sandbox: Bubblewrap, text: str) -> tuple[float, float, float]:
    """Wall seconds, processor seconds until the script's end, peak memory in MB."""
    with tempfile.TemporaryDirectory() as name:
        script, out = Path(name) / "script.py", Path(name) / "out"
        script.write_text(text)
        out.mkdir()
        began = time.perf_counter()
        outcome = sandbox.run(Job(script, {}, out, Limits(seconds=120, memory_mb=4000)))
        wall = time.perf_counter() - began
    if outcome.status != "ok":
        raise SystemExit(outcome.log)
    return wall, float(outcome.log or 0), outcome.peak_mb


if __name__ == "__main__":
    main()
