"""What a Ray cluster costs per task: an experiment that does nothing, here and on a local cluster of two nodes.

Arguments: runs of each kind. The two are run in turn; a run takes one fold's usual inputs, a table of 10 MB among them.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.timing import shown
from orchestrator.execution.jobs import Job, Limits
from orchestrator.execution.ladder import probe
from orchestrator.execution.local import LocalExecutor
from orchestrator.execution.ray_cluster import RayCluster, Wanted

RUNS = int(sys.argv[1]) if len(sys.argv) > 1 else 20
SCRIPT = "import sys\nopen(sys.argv[2] + '/valid.npy', 'wb').write(b'0' * 800_000)\n"
TABLE_BYTES = 10_000_000


def main() -> None:
    from ray.cluster_utils import Cluster

    here = LocalExecutor(probe("auto", Path(sys.executable)), 2)
    each = {"num_cpus": 1, "memory": 4 << 30}
    cluster = Cluster(initialize_head=True, head_node_args=each)
    cluster.add_node(**each)
    began = time.perf_counter()
    there = RayCluster(cluster.address, here, Wanted(1, 0.5, warm=False))
    print(f"joined after {time.perf_counter() - began:.2f} s")
    with tempfile.TemporaryDirectory() as name:
        measure(Path(name), here, there)
    there.close()
    cluster.shutdown()


def measure(folder: Path, here: LocalExecutor, there: RayCluster) -> None:
    table = folder / "train.parquet"
    table.write_bytes(b"1" * TABLE_BYTES)
    print(f"first task of each node: {run(folder, there, table, 2):.2f} s for two side by side")
    pairs = [(run(folder, here, table), run(folder, there, table)) for _ in range(RUNS)]
    for place, name in enumerate(("one task, on this machine", "one task, on the cluster")):
        print(shown(name, [pair[place] for pair in pairs]))
    print(f"overhead per task: median {statistics.median(b - a for a, b in pairs) * 1000:.0f} ms")
    for name, executor in (("here", here), ("cluster", there)):
        busy = time.process_time()
        wall = run(folder, executor, table, RUNS)
        own = (time.process_time() - busy) / RUNS * 1000
        print(
            f"{RUNS} tasks, two at a time, {name}: {wall / RUNS * 1000:.0f} ms each, {own:.1f} ms of them this process"
        )


def run(folder: Path, executor: Any, table: Path, count: int = 1) -> float:
    """Wall seconds of `count` tasks, two at a time."""
    (folder / "script.py").write_text(SCRIPT)
    jobs = []
    for number in range(count):
        out = Path(tempfile.mkdtemp(dir=folder))
        inputs = {"train.parquet": table}
        jobs.append(Job(folder / "script.py", inputs, out, Limits(seconds=60, memory_mb=500), name=f"task {number}"))
    began = time.perf_counter()
    outcomes = executor.run(jobs, 2)
    wall = time.perf_counter() - began
    if any(outcome.status != "ok" for outcome in outcomes):
        raise SystemExit(outcomes[0].log)
    return wall


if __name__ == "__main__":
    main()
