"""The pieces: what is pushed, what runs there, what is uploaded, what KAGGLE_API.md says."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from orchestrator.execution.jobs import Job, Limits
from orchestrator.execution.kernel_bundle import Pushed, script, slugify, write
from orchestrator.execution.kernel_facts import write_facts
from orchestrator.execution.kernel_inputs import pack, parts
from orchestrator.execution.kernel_runner import RESULT
from orchestrator.files import Digests, sha256_file

ODD = b"# -*- coding: latin-1 -*-\r\nx = \"\xe9\\n'''{}\"  # \xe2\x80\xa8\nprint(len(x), '\"\"\"')\n\n\tif_not_code = 1"
LOOK = """
import json, os, sys
print(sorted(os.environ))
task = json.load(open(sys.argv[1] + "/task.json"))
print(sorted(os.listdir(sys.argv[1])), task["accelerator"], task["cores"], os.getcwd() == os.environ["HOME"])
open(sys.argv[2] + "/valid.npy", "w").write("v")
os.symlink("/etc/hostname", sys.argv[2] + "/test.npy")
"""


def run_there(folder: Path, source: bytes, mount: str = "{}", **changes: Any) -> tuple[dict[str, Any], str]:
    """Run a bundle as Kaggle would; its result and what it printed."""
    data, mounted = folder / "data", folder / "input" / mount.format("shared-data")
    data.write_text("some data")
    mounted.mkdir(parents=True)
    pack(mounted / "inputs.bin", {"test.parquet": data})
    run = {
        "nonce": "abc123", "script": "R01_experiment.py", "task": {"seconds": 5, "cores": 99},
        "datasets": [{"slug": "shared-data", "sha256": sha256_file(mounted / "inputs.bin")}], "accelerator": "none",
        "seconds": 20, "most_bytes": 1000, "log_bytes": 4000, **changes,
    }  # fmt: skip
    working = folder / "working"
    working.mkdir()
    (folder / "run.py").write_text(script(run, source), encoding="utf-8")
    environment = {"PATH": os.environ["PATH"], "AUTOKAGGLE_KERNEL_INPUT": str(folder / "input"), "KAGGLE_SECRET": "x"}
    done = subprocess.run(
        [sys.executable, folder / "run.py"], cwd=working, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads((working / RESULT).read_text()), done.stdout


@pytest.mark.parametrize("mount", ["{}", "datasets/ada/{}", "datasets/ada/{}/versions/3"])
def test_the_runner_lays_out_and_hands_over(tmp_path: Path, mount: str) -> None:
    result, shown = run_there(tmp_path, LOOK.encode(), mount)
    assert (result["nonce"], result["status"], result["returncode"]) == ("abc123", "ok", 0)
    assert shown.startswith("autokaggle run abc123\n") and "KAGGLE_SECRET" not in result["log"]
    assert "['data', 'previous', 'task.json', 'test.parquet'] none" in result["log"] and "True" in result["log"]
    assert " 99 " not in result["log"]
    assert result["files"] == {"valid.npy": {"sha256": hashlib.sha256(b"v").hexdigest()}}
    assert sorted(path.name for path in (tmp_path / "working").iterdir()) == [RESULT, "valid.npy"]


def test_the_runner_ends_what_does_not_end(tmp_path: Path) -> None:
    text = "import time\nprint('a' * 10_000, flush=True)\ntime.sleep(60)"
    result, _ = run_there(tmp_path, text.encode(), seconds=1.5)
    assert result["status"] == "timeout" and 1.4 < result["seconds"] < 10
    assert "bytes left out" in result["log"] and len(result["log"]) < 4100


def test_the_runner_takes_no_other_data_than_it_was_told(tmp_path: Path) -> None:
    result, _ = run_there(tmp_path, b"", datasets=[{"slug": "shared-data", "sha256": "0" * 64}])
    assert (result["status"], result["log"]) == ("stale", "the dataset shared-data is mounted in another version")


def test_the_experiment_travels_byte_for_byte(tmp_path: Path) -> None:
    text = script({"script": "x.py", "nonce": "n'\"\\"}, ODD)
    namespace: dict[str, Any] = {}
    exec(compile(text.rpartition("\nmain(")[0], "run.py", "exec"), namespace)
    assert namespace["EXPERIMENT"].encode("utf-8", "surrogateescape") == ODD
    long = b"x\n" * 50_000
    assert len(script({"script": "x.py"}, long)) < 1_000_000
    for name in ("../x.py", "x.sh", "a/b.py", "x.py\n"):
        with pytest.raises(ValueError, match="plain name"):
            script({"script": name}, b"")


def test_titles_become_the_address_that_kaggle_gives() -> None:
    assert slugify("AutoKaggle 0a1b2c3d fold full earlier") == "autokaggle-0a1b2c3d-fold-full-earlier"
    for title in ("abc", "a" * 51, "two  blanks", "under_score", "Ünicode", "trailing "):
        with pytest.raises(ValueError, match="6 to 50"):
            slugify(title)


def test_a_kernel_is_private_and_offline(tmp_path: Path) -> None:
    write(tmp_path, Pushed("ada", "AutoKaggle x fold 0", "NvidiaTeslaT4", ("ada/one-set",)), "print()")
    metadata = json.loads((tmp_path / "kernel-metadata.json").read_text())
    assert metadata["is_private"] is True and metadata["enable_internet"] is False
    assert (metadata["machine_shape"], metadata["dataset_sources"]) == ("NvidiaTeslaT4", ["ada/one-set"])
    write(tmp_path, Pushed("ada", "AutoKaggle x fold 0", "TpuV5E8"), "print()")
    metadata = json.loads((tmp_path / "kernel-metadata.json").read_text())
    assert (metadata["enable_gpu"], metadata["enable_tpu"]) == (False, True)


def make_job(folder: Path, *earlier: str) -> Job:
    for name in ("train", "valid", "test", "task", "hint"):
        (folder / name).write_text(name)
    (folder / "previous").mkdir(exist_ok=True)
    for name in earlier:
        (folder / "previous" / name).write_text(name)
    (folder / "images").mkdir(exist_ok=True)
    (folder / "images" / "a b.png").write_text("image")
    (folder / "images" / "link").symlink_to("/etc/hostname")
    (folder / "out").mkdir(exist_ok=True)
    inputs = {f"{name}.parquet": folder / name for name in ("train", "valid", "test")}
    inputs |= {"task.json": folder / "task", "previous": folder / "previous"}
    inputs |= {"data/hint.txt": folder / "hint", "data/images": folder / "images"}
    return Job(folder / "task", inputs, folder / "out", Limits(1, 1), name="R01/fold_3")


def test_each_dataset_holds_its_part_alone(tmp_path: Path) -> None:
    found = {part.slug: sorted(part.files) for part in parts(make_job(tmp_path), "0a1b", "fold 3")}
    shared = ["data/hint.txt", "data/images/a b.png", "test.parquet"]
    assert found == {
        "autokaggle-0a1b-fold-3": ["train.parquet", "valid.parquet"],
        "autokaggle-0a1b-shared": shared,
    }
    (tmp_path / "images" / "link").unlink()
    more = {part.slug: sorted(part.files) for part in parts(make_job(tmp_path, "R01_valid.npy"), "0a1b", "fold 3")}
    assert more == {**found, "autokaggle-0a1b-fold-3-earlier": ["previous/R01_valid.npy"]}


def test_a_pack_depends_on_names_and_contents_alone(tmp_path: Path) -> None:
    (part, _) = parts(make_job(tmp_path), "0a1b", "fold 3")
    pack(tmp_path / "first", part.files)
    digest = part.content(Digests())
    for path in part.files.values():
        os.utime(path, (1, 1))
        path.chmod(0o600)
    pack(tmp_path / "second", dict(reversed(part.files.items())))
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes() and part.content(Digests()) == digest
    with tarfile.open(tmp_path / "first") as tar:
        assert tar.getnames() == ["train.parquet", "valid.parquet"]
    (tmp_path / "train").write_text("other")
    assert part.content(Digests()) != digest


def test_the_facts_leave_a_persons_words_alone(tmp_path: Path) -> None:
    path = tmp_path / "KAGGLE_API.md"
    path.write_text("# Mine\n\n- a note\n")
    facts: dict[str, Any] = {"seen": {}, "quota": None, "refusal": {"text": "no\n## you", "when": "now"}}
    write_facts(path, "NvidiaTeslaT4", 2, facts)
    path.write_text(path.read_text() + "\n- a later note\n")
    machine = {"python": "3.11.13", "cores": 4, "memory_mb": 30000, "gpus": ["Tesla T4, 15360 MiB"] * 2,
               "packages": {"lightgbm": "4.6.0", "`evil`": "<script>"}}  # fmt: skip
    facts |= {"seen": {"NvidiaTeslaT4": {"machine": machine, "when": "today"}}}
    facts |= {"quota": {"used_h": 3.25, "total_h": 30.0, "refresh": "Saturday", "when": "today"}}
    for _ in range(2):
        write_facts(path, "NvidiaTeslaT4", 2, facts)
    text = path.read_text()
    assert text.startswith("# Mine\n\n- a note\n\n<!--") and text.endswith("-->\n\n- a later note\n")
    assert text.count("## Where experiments run") == 1 and "\n## you" not in text and "<script>" not in text
    assert "2 GPU (Tesla T4, 15360 MiB" in text and "3.25 of 30 used, renewed Saturday" in text
