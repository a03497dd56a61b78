"""GPUs for experiments, on machines without one: what is found, what is said, and what a sandbox lets in."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.execution.gpus import Gpus, find, nodes
from orchestrator.execution.jobs import Job, Outcome
from orchestrator.execution.local import LocalExecutor
from tests.execution.conftest import sandbox_or_skip

MakeJob = Callable[..., Job]
FILES = ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset", "nvidia-caps")


def machine(tmp_path: Path, *names: str) -> Path:
    for name in names:
        (tmp_path / name).write_text("a stand-in")
    return tmp_path


def test_what_is_found(tmp_path: Path) -> None:
    dev = machine(tmp_path, *FILES)
    two = find(2, "A", {}, dev)
    assert [node.name for node in two.nodes] == ["nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools"]
    assert two.environment == {"CUDA_VISIBLE_DEVICES": "0,1"} and not two.trouble
    assert find(8, "none", {}, dev).names == ("0", "1")
    assert find(0.5, "A", {}, dev).names == ("0",)
    assert find(1, "A", {"CUDA_VISIBLE_DEVICES": "GPU-8f, 0"}, dev).names == ("GPU-8f",)
    assert find(0, "A", {}, dev) == Gpus()


def test_why_there_is_none(tmp_path: Path) -> None:
    here = find(1, "A", {}, tmp_path)
    assert not here.nodes and not here.names and not here.environment
    says = "execution.gpus is 1 and experiments run without a GPU: there is no NVIDIA device here"
    files = ", ".join(str(tmp_path / name) for name in ("nvidia0", "nvidiactl", "nvidia-uvm"))
    assert here.trouble == f"{says} ({files})"
    dev = machine(tmp_path, "nvidia0", "nvidiactl")
    assert nodes(dev) == () and "nvidia-uvm)" in find(1, "A", {}, dev).trouble
    machine(tmp_path, "nvidia-uvm")
    assert len(nodes(dev)) == 3
    assert "level A alone, and this is level B" in find(1, "B", {}, dev).trouble
    for hidden in ("", "-1"):
        assert "CUDA_VISIBLE_DEVICES names none" in find(1, "A", {"CUDA_VISIBLE_DEVICES": hidden}, dev).trouble


LOOK = """
import json, os, sys
def works(act):
    try:
        act()
    except OSError:
        return False
    return True
nodes = json.loads(os.environ["NODES"])
shared = []
for name in os.listdir("/proc"):
    if not name.isdigit() and not os.path.islink("/proc/" + name):
        for folder, _, files in os.walk("/proc/" + name):
            shared += [os.path.join(folder, file) for file in files]
        shared += ["/proc/" + name] * os.path.isfile("/proc/" + name)
json.dump({
    "nodes": [os.path.exists(node) for node in nodes],
    "opened": [works(lambda: os.close(os.open(node, os.O_RDWR))) for node in nodes],
    "names its thread": works(lambda: open(f"/proc/self/task/{os.getpid()}/comm", "w").write("cuda")),
    "memory file": works(lambda: os.close(os.memfd_create("cuda"))),
    "numa": os.path.exists("/sys/devices/system/node") or os.path.exists("/sys/bus/pci"),
    "written": [path for path in shared + ["/sys/devices/system/cpu/uevent"] if works(lambda: open(path, "w"))],
    "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
}, open(sys.argv[2] + "/report.json", "w"))
"""


def look(job: Job, executor: LocalExecutor, devices: tuple[Path, ...]) -> dict[str, object]:
    names = json.dumps([str(device) for device in devices])
    (outcome,) = executor.run([replace(job, env={"NODES": names})], 1)
    assert outcome.status == "ok", outcome.log
    found: dict[str, object] = json.loads((job.out / "report.json").read_text())
    return found


@pytest.mark.parametrize("level", ["A", "warm"])
def test_devices_are_in_the_sandbox_that_gets_them_and_in_no_other(
    level: str, make_job: MakeJob, tmp_path: Path
) -> None:
    sandbox = sandbox_or_skip(level)
    devices = [machine(tmp_path, "nvidia0") / "nvidia0"]
    if os.access("/dev/fuse", os.R_OK | os.W_OK) and stat.S_ISCHR(os.stat("/dev/fuse").st_mode):
        devices.append(Path("/dev/fuse"))  # a real device, and harmless to open
    devices.append(Path("/dev/nvidia-that-went-away"))
    given = LocalExecutor(sandbox, 1, Gpus(tuple(devices), ("3",)))
    assert (given.gpus, LocalExecutor(sandbox, 1).gpus) == (1, 0)
    without = look(make_job(LOOK), LocalExecutor(sandbox, 1), tuple(devices))
    nothing = {"nodes": [False] * len(devices), "opened": [False] * len(devices), "visible": None}
    closed = {"names its thread": False, "memory file": False, "numa": False, "written": []}
    assert without == {**nothing, **closed}
    here = [True] * (len(devices) - 1) + [False]
    opened = {"names its thread": True, "memory file": True, "numa": True, "written": []}
    assert look(make_job(LOOK), given, tuple(devices)) == {"nodes": here, "opened": here, "visible": "3", **opened}
    again = look(make_job(LOOK), LocalExecutor(sandbox, 1), tuple(devices))
    assert again == without


def test_where_none_is_found_a_run_is_as_ever(make_job: MakeJob) -> None:
    sandbox = sandbox_or_skip("A")
    nowhere = find(1, "A", {}, Path("/nonexistent"))
    assert nowhere.trouble and LocalExecutor(sandbox, 1, nowhere).gpus == 0
    logs: list[Outcome] = []
    for executor in (LocalExecutor(sandbox, 1), LocalExecutor(sandbox, 1, nowhere)):
        logs += executor.run([make_job("import os; print(sorted(os.environ.items()), os.listdir('/dev'))")], 1)
    assert logs[0].status == logs[1].status == "ok" and logs[0].log == logs[1].log
