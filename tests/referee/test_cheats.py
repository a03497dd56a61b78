"""Experiments that cheat or break, each run for real: no score rises, no file changes, the failure is named."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from orchestrator.execution.jobs import Sandbox
from tests.referee.conftest import GOOD, HEADER, Stand

VALID = 'valid, test = sigmoid(column("valid", "x0")), sigmoid(column("test", "x0"))\n'
CHANCE = 'valid, test = np.full(task["n_valid"], 0.5), np.full(task["n_test"], 0.5)\n'


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox) -> Stand:
    """A campaign with one kept round; every test plays a round of its own."""
    stand = Stand(tmp_path_factory.mktemp("cheats") / "campaign", sandbox)
    stand.cores = 1  # fold 1 first, so that it is the one which fails
    stand.write_default()
    stand.run(GOOD, 1)
    return stand


def fingerprint(stand: Stand, number: int) -> dict[Path, str]:
    """Every file of the campaign but those of this round."""
    own = stand.files(number).prefix
    files = (path for path in stand.root.rglob("*") if path.is_file() and not path.name.startswith(own))
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def play(stand: Stand, number: int, body: str, **options: Any) -> dict[str, Any]:
    """Run a script and check that nothing but its own round's files came of it."""
    before = fingerprint(stand, number)
    record = stand.run(HEADER + body, number, role="blend", **options)
    assert fingerprint(stand, number) == before
    return record


OUTPUTS = [
    ("no outputs", "sys.exit(0)", "output", r"valid\.npy is missing"),
    ("one output", VALID + 'np.save(OUT + "/valid.npy", valid)', "output", r"test\.npy is missing"),
    ("deletes OUT", VALID + "save(valid, test)\nimport shutil\nshutil.rmtree(OUT, ignore_errors=True)", "output",
     r"valid\.npy is (missing|not a regular)"),
    ("symlink", VALID + 'save(valid, test)\nos.rename(OUT + "/valid.npy", OUT + "/real.npy")\n'
     'os.symlink(OUT + "/real.npy", OUT + "/valid.npy")', "output", "not a regular file"),
    ("link to labels", VALID + "save(valid, test)\nos.remove(OUT + '/valid.npy')\n"
     "os.symlink('{root}/competition/sealed/labels.npy', OUT + '/valid.npy')", "output", "not a regular file"),
    ("pipe", VALID + 'save(valid, test)\nos.remove(OUT + "/test.npy")\nos.mkfifo(OUT + "/test.npy")', "output",
     "not a regular file"),
    ("folder", 'os.mkdir(OUT + "/valid.npy")', "output", "not a regular file"),
    ("pickle", 'np.save(OUT + "/valid.npy", np.array([{{"a": 1}}], dtype=object), allow_pickle=True)', "output",
     "dtype"),
    ("wrong rows", VALID + "save(valid[:-1], test)", "output", r"shape \(6\d,\).*expected.*\(6\d,\)"),
    ("test for valid", VALID + "save(valid, valid)", "output", r"test\.npy has shape"),
    ("nan", VALID + "valid[3] = np.nan\nsave(valid, test)", "output", "1 NaN or infinite values, the first in row 3"),
    ("not probabilities", VALID + "save(valid * 5, test)", "output", "expected probabilities"),
    ("two columns", VALID + "save(np.column_stack([1 - valid, valid]), test)", "output", r"\[:, 1\]"),
    ("huge header", 'open(OUT + "/valid.npy", "wb").write(b"\\x93NUMPY\\x01\\x00\\x76\\x00" + '
     '(b"{{\'descr\': \'<f8\', \'fortran_order\': False, \'shape\': (99999999999999,), }}").ljust(117) + b"\\n")',
     "output", "shape"),
    ("crash", "raise SystemExit('gave up')", "crash", "gave up"),
    ("killed", "os.kill(os.getpid(), 9)", "crash", "fold 1 ended"),
    ("unreadable", VALID + "save(valid, test)\nos.chmod(OUT + '/valid.npy', 0)\nos.truncate(OUT + '/test.npy', 9)",
     "output", r"(valid|test)\.npy"),
]  # fmt: skip


@pytest.mark.parametrize(("number", "case"), list(enumerate(OUTPUTS, 100)), ids=[case[0] for case in OUTPUTS])
def test_bad_outputs_fail_with_what_is_wrong_and_what_is_expected(scene: Stand, number: int, case: tuple) -> None:
    _, body, kind, said = case
    record = play(scene, number, body.replace("{root}", str(scene.root)).replace("{{", "{").replace("}}", "}"))
    assert (record["status"], record["verdict"], record["cv"]) == ("failed", "crash", None)
    assert (record["failure"]["kind"], record["failure"]["fold"]) == (kind, 1)
    assert re.search(said, record["failure"]["message"])
    assert not scene.files(number).has("oof.npy") and not scene.files(number).has("submission.csv")


def test_a_printed_score_is_not_read(scene: Stand) -> None:
    record = play(scene, 10, CHANCE + "save(valid, test)\nprint('CV_SCORE=1.0')\nprint('{\"cv\": 1.0}')")
    assert record["status"] == "ok" and record["cv"] == 0.5


def test_nothing_outside_can_be_read_or_written(scene: Stand) -> None:
    """The labels by their path, by .., by a search; earlier rounds; IN; the next fold's OUT."""
    record = play(
        scene,
        11,
        CHANCE
        + f"""
root = {str(scene.root)!r}
got = []
def attempt(name, act):
    try:
        act()
        got.append(name)
    except OSError:
        pass
for place in (root, IN + "/..", IN + "/../..", OUT + "/..", OUT + "/../../../competition", "..", "/proc/1/cwd"):
    for name in ("competition/sealed/labels.npy", "sealed/labels.npy", "labels.npy", "competition/data/train.csv"):
        attempt("read " + name, lambda: open(place + "/" + name, "rb").read())
for start in (IN, OUT, root, os.path.dirname(root), "/tmp", "/root", "/home"):
    got += ["found " + top for top, _, names in os.walk(start) if "labels.npy" in names]
attempt("write round", lambda: open(root + "/rounds/R01_oof.npy", "ab"))
attempt("new round", lambda: open(root + "/rounds/R12_oof.npy", "wb"))
attempt("write IN", lambda: open(IN + "/task.json", "ab"))
attempt("new in IN", lambda: open(IN + "/extra", "wb"))
attempt("write previous", lambda: open(IN + "/previous/R01_valid.npy", "ab"))
attempt("write data", lambda: open(IN + "/data/columns/0_test_x0.npy", "ab"))
for other in range(3):
    if other != task["fold"]:
        path = OUT + f"/../../fold_{{other}}/out/valid.npy"
        attempt("other fold", lambda: open(path, "wb"))
        attempt("other fold", lambda: os.listdir(os.path.dirname(path)))
print("GOT", got)
save(valid, test)
""",
        earlier=(1,),
    )
    log = scene.files(11).path("run.log").read_text()
    assert log.count("GOT []") == 3, log
    assert record["cv"] == 0.5


def test_right_for_fold_1_and_a_crash_in_fold_3_is_a_crash(scene: Stand) -> None:
    record = play(scene, 12, VALID + "assert task['fold'] < 2, 'tired'\nsave(valid, test)")
    assert (record["failure"]["kind"], record["failure"]["fold"], record["cv"]) == ("crash", 3, None)
    assert "tired" in record["failure"]["tail"] and not scene.files(12).has("oof.npy")


def test_a_hanging_script_ends_with_the_time(scene: Stand) -> None:
    record = play(
        scene, 13, "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nwhile True: time.sleep(1)", seconds=2
    )
    assert record["failure"]["kind"] == "timeout" and record["seconds"] < 8


def test_what_never_runs(scene: Stand, tmp_path: Path) -> None:
    before = fingerprint(scene, 14)
    record = scene.run("x = 1\nif x:\nprint(2)\n", 14)
    assert record["failure"]["kind"] == "syntax" and "line 3" in record["failure"]["message"]
    big = "LABELS = '" + "01" * 50_001 + "'\n" + GOOD
    record = scene.run(big, 14)
    assert record["failure"]["kind"] == "too_big" and "100 kB" in record["failure"]["message"]
    record = scene.run(b"\x00\xff\xfe", 14)
    assert record["failure"]["kind"] == "syntax"
    record = scene.run("(" * 5000, 14)
    assert record["failure"]["kind"] == "syntax"
    script = scene.files(14).path("experiment.py")
    script.unlink()
    (tmp_path / "real.py").write_text(GOOD)
    script.symlink_to(tmp_path / "real.py")
    record = scene.referee().run(scene.files(14), strategy={}, best=None, earlier=[], seconds=9)
    assert record["status"] == "failed" and "regular file" in record["failure"]["message"]
    assert fingerprint(scene, 14) == before


def test_too_much_memory_is_named(scene: Stand) -> None:
    record = play(scene, 15, "block = np.ones(3_000_000_000 // 8)\nimport time\ntime.sleep(5)")
    assert record["failure"]["kind"] == "memory"


def test_previous_never_holds_what_other_folds_models_said_about_labelled_rows(scene: Stand) -> None:
    """A script that writes its training labels into its predictions' digits gives nothing away."""
    carrier = (
        HEADER
        + """
labels = column("train", "target") == "yes"
bits = np.resize(labels, task["n_test"])
save(np.full(task["n_valid"], 0.5), 0.5 + bits * 1e-3 + task["fold"] * 1e-2)
"""
    )
    assert scene.run(carrier, 16, role="blend")["status"] == "ok"
    record = play(
        scene,
        17,
        """
folder = IN + "/previous/"
names = sorted(os.listdir(folder))
assert names == ["R16_test.npy", "R16_valid.npy", "weights.json"], names
valid, test = np.load(folder + "R16_valid.npy"), np.load(folder + "R16_test.npy")
assert len(valid) == task["n_valid"] and len(test) == task["n_test"]
print("FOLD", task["fold"], int(((test[:, 0] - 0.5) // 1e-2).max()), sorted(set(valid[:, 0])))
save(np.full(task["n_valid"], 0.5), test)
""",
        earlier=(16,),
    )
    assert record["cv"] == 0.5
    log = scene.files(17).path("run.log").read_text()
    for fold in range(3):
        assert f"FOLD {fold} {fold} [0.5]" in log.replace("np.float64(0.5)", "0.5")
