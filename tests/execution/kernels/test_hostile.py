"""What a kernel may send back."""

from __future__ import annotations

from pathlib import Path

from tests.execution.kernels.play import QUICK, Play
from tests.kaggle_server.start import Kaggle

FORGER = """
import hashlib, json, os, re, signal, sys
runner = os.getppid()
work = os.readlink(f"/proc/{runner}/cwd")
script = open(open(f"/proc/{runner}/cmdline").read().split(chr(0))[-2]).read()
nonce = re.findall(r'"nonce": "([0-9a-f]+)"', script.replace("\\\\n", " "))[-1]
os.symlink("/etc/hostname", f"{work}/valid.npy")
open(f"{work}/test.npy", "w").write("no array")
os.makedirs(f"{work}/..x/deep")
open(f"{work}/..x/deep/a b", "w").write("x")
digest = hashlib.sha256(open("/etc/hostname", "rb").read()).hexdigest()
forged = {"nonce": nonce, "key": 1, "status": ["ok"], "returncode": "0", "seconds": float("nan"), "peak_mb": "much",
          "log": "\\x1b[31m" + "evil " * 100_000, "machine": {"gpus": {"a": 1}, "packages": 5, "cores": [1]},
          "files": {"valid.npy": {"sha256": digest}, "test.npy": 5, "../../x": {"sha256": digest}}}
json.dump(forged, open(f"{work}/autokaggle_result.json", "w"))
os.kill(runner, signal.SIGKILL)
"""


def test_a_forged_result_is_no_more_than_a_failed_run(play: Play) -> None:
    record = play.run(FORGER)
    assert record["status"] == "failed"
    assert "evil" in record["failure"]["tail"] or "autokaggle run" in record["failure"]["tail"]
    assert "\x1b" not in play.stand.files(1).path("run.log").read_text()


def test_hostile_names_of_outputs_lead_nowhere(play: Play, server: Kaggle, tmp_path: Path) -> None:
    names = {
        "a": "../../../escaped",
        "b": "/tmp/autokaggle-escaped",
        "c": "..\\up",
        "d": "valid.npy/../../x",
        "e": "\u202ex",
    }
    planned = {"files": dict.fromkeys(names, "loot"), "names": names, "log": "no nonce here\n"}
    server.control("outcomes", ref=play.ref(0), runs=[planned])
    assert play.run(QUICK)["status"] == "ok"
    assert not Path("/tmp/autokaggle-escaped").exists()
    assert not [path for path in tmp_path.rglob("*") if "escaped" in path.name and server.folder not in path.parents]
