"""A local cluster of two nodes gives what this machine gives, also when a node dies while it works."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestrator.errors import BadInput
from orchestrator.execution.jobs import Job, Limits, Sandbox
from orchestrator.execution.ladder import probe
from orchestrator.execution.local import LocalExecutor
from orchestrator.execution.ray_cluster import RayCluster, Wanted
from orchestrator.files import read_json
from tests.kill import harness
from tests.playing import Script
from tests.referee.conftest import HEADER, Stand

ray = pytest.importorskip("ray", reason="the cluster is an optional extra")
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own

SCRIPT = (
    HEADER
    + """
import time
if task["fold"]:
    time.sleep(WAIT)
rng = np.random.default_rng(task["seed"])
save(sigmoid(column("valid", "x0") + 0.01 * rng.normal(size=task["n_valid"])), sigmoid(column("test", "x0")))
"""
)
MEMORY = 4 << 30


class Pair:
    """A cluster of two nodes with one core each."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        quick = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 2}
        each = {"num_cpus": 1, "memory": MEMORY}
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited by what a script starts in the background
        self.cluster = Cluster(initialize_head=True, head_node_args={**each, "num_gpus": 1, "_system_config": quick})
        self.second = self.cluster.add_node(**each)
        signal.signal(signal.SIGINT, before)
        self.address: str = self.cluster.address

    def kill_second_at_work(self) -> bool:
        """Kill the second node's processes as soon as an experiment runs there; False when none did for 30 s."""
        raylet = psutil.Process(self.second.all_processes["raylet"][0].process.pid)
        for _ in range(600):
            commands = [" ".join(process.cmdline()) for process in raylet.children(recursive=True)]
            if any("experiment.py" in command for command in commands):
                self.cluster.remove_node(self.second, allow_graceful=False)
                return True
            time.sleep(0.05)
        return False


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    found = Pair()
    yield found
    found.cluster.shutdown()


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return probe("auto", Path(sys.executable))


@pytest.fixture(scope="module")
def joined(pair: Pair, sandbox: Sandbox) -> Iterator[RayCluster]:
    executor = RayCluster(pair.address, LocalExecutor(sandbox, 2), Wanted(1, 0.5, warm=False))
    yield executor
    executor.close()


def play(stand: Stand, executor: Any, wait: float = 0.0, progress: Callable[..., None] | None = None) -> Any:
    """The parts of a round's record that do not depend on the machine."""
    stand.write_default()
    referee = stand.referee()
    referee.executor, referee.progress = executor, progress or referee.progress
    record = stand.run(SCRIPT.replace("WAIT", str(wait)), referee=referee)
    assert record["status"] == "ok", record
    return {key: record[key] for key in ("fold_scores", "cv", "se", "hashes", "decision")}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox) -> Any:
    return play(Stand(tmp_path_factory.mktemp("local") / "stand", sandbox), LocalExecutor(sandbox, 2))


def test_scores_are_those_of_this_machine(tmp_path: Path, sandbox: Sandbox, joined: RayCluster, expected: Any) -> None:
    assert (joined.machine.at_a_time, joined.cores, joined.machine.memory_mb) == (2, 1, 512)
    assert play(Stand(tmp_path / "stand", sandbox), joined) == expected


def test_strategies_of_a_round_run_side_by_side(tmp_path: Path, joined: RayCluster) -> None:
    if joined.level != "A":
        pytest.skip("below level A runs can see each other, so none run side by side")
    clock = "import time\nprint(time.time())\n" + harness.EXPERIMENT + "time.sleep(0.5)\nprint(time.time())\n"

    def campaign(name: str, experiment: str, executor: Callable[[Any], Any] | None) -> Any:
        script = Script(tmp_path / name, 1, parallel_strategies=2)
        strategies = [{"family": f, "recipe": f, "hypothesis": "h", "expected_gain": 0.1} for f in ("far", "near")]
        plan = f"```json\n{json.dumps({'strategies': strategies})}\n```"
        script.turns["R01/plan"] = [{"files": {"plan.md": plan}}]
        for variant, value in ((1, "9.0"), (2, "0.5")):
            source = experiment.replace("PREDICTION", value)
            script.turns[f"R01/build/v{variant}"] = [{"files": {"experiment.py": source}, "reply": "FAILED: not run"}]
        played = script.play(executor=executor)
        assert played.statuses == ["keep"] and played.entries[0]["recipe"] == "near"
        found = [read_json(played.file(f"R01{part}_scores.json")) for part in ("", "_v1", "_v2")]
        return [{key: record[key] for key in ("fold_scores", "cv", "se", "hashes", "verdict")} for record in found]

    def spans(variant: int) -> list[tuple[float, float]]:
        log = (tmp_path / "cluster" / "rounds" / f"R01_v{variant}_run.log").read_text()
        times = [float(line) for line in log.splitlines() if not line.startswith("===")]
        return list(zip(times[::2], times[1::2], strict=True))

    assert campaign("cluster", clock, lambda _: joined) == campaign("local", harness.EXPERIMENT, None)
    pairs = [(one, two) for one in spans(1) for two in spans(2)]
    assert len(pairs) == 4
    assert any(one[0] < two[1] and two[0] < one[1] for one, two in pairs), pairs


def test_a_job_has_the_sandbox_and_can_be_given_up(tmp_path: Path, joined: RayCluster) -> None:

    def job(text: str, name: str) -> Job:
        (tmp_path / f"{name}.py").write_text(text)
        (tmp_path / name).mkdir()
        return Job(tmp_path / f"{name}.py", {}, tmp_path / name, Limits(60, 300), name=name)

    look = (
        "import json, os, sys\nseen = [os.listdir('/'), dict(os.environ)]\n"
        "json.dump(seen, open(sys.argv[2] + '/seen.json', 'w'))\nprint('hello')"
    )
    outcome = joined.run([job(look, "look")], 1)[0]
    assert (outcome.status, outcome.log) == ("ok", "hello\n")
    folders, environment = json.loads((tmp_path / "look" / "seen.json").read_text())
    assert "RAY_RAYLET_PID" not in environment and environment["OMP_NUM_THREADS"] == "1"
    assert joined.level != "A" or "home" not in folders
    stop = threading.Event()
    threading.Timer(2.0, stop.set).start()
    began = time.monotonic()
    assert joined.run([job("import time\ntime.sleep(60)", "sleep")], 1, cancel=stop)[0].status == "lost"
    assert time.monotonic() - began < 20
    while ray.available_resources().get("CPU") != 2:  # its core is free again
        assert time.monotonic() - began < 20
        time.sleep(0.1)
    assert joined.run([job("print(1)", "next")], 1)[0].status == "ok"


def test_what_no_node_has_is_refused(pair: Pair, sandbox: Sandbox, joined: RayCluster) -> None:
    here = LocalExecutor(sandbox, 2)
    with pytest.raises(BadInput, match="no node of the Ray cluster has 64 cores"):
        RayCluster(pair.address, here, Wanted(64, 0.5))
    with pytest.raises(BadInput, match="and 2 GPUs for one experiment"):
        RayCluster(pair.address, here, Wanted(1, 0.5, gpus=2.0))


def test_a_job_is_told_which_gpu_it_has(tmp_path: Path, pair: Pair, sandbox: Sandbox, joined: RayCluster) -> None:
    (tmp_path / "look.py").write_text("import os\nprint(os.environ['CUDA_VISIBLE_DEVICES'])")
    (tmp_path / "out").mkdir()
    job = Job(tmp_path / "look.py", {}, tmp_path / "out", Limits(60, 300), name="look")
    executor = RayCluster(pair.address, LocalExecutor(sandbox, 2), Wanted(1, 0.5, gpus=1.0, warm=False))
    assert executor.machine.at_a_time == 1
    assert executor.run([job], 1)[0].log == "0\n"


def test_without_a_cluster_it_says_how_to_start_one(sandbox: Sandbox) -> None:
    for address in ("127.0.0.1:1", "nowhere"):
        with pytest.raises(BadInput, match="ray start --head"):
            RayCluster(address, LocalExecutor(sandbox, 2), Wanted())


def test_a_lost_node_has_its_folds_run_elsewhere(
    tmp_path: Path, pair: Pair, sandbox: Sandbox, joined: RayCluster, expected: Any
) -> None:
    with ThreadPoolExecutor(1) as pool:
        killed: list[Future[bool]] = []

        def kill_when_both_run(event: str, **fields: Any) -> None:
            if event == "fold_start" and fields["fold"] == 2:
                killed.append(pool.submit(pair.kill_second_at_work))

        assert play(Stand(tmp_path / "stand", sandbox), joined, 2.0, kill_when_both_run) == expected
        assert killed[0].result()
