"""OUT/cache of one experiment is IN/cache of the next on the same fold, and of no other."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.execution.jobs import Sandbox
from orchestrator.execution.ladder import probe
from orchestrator.referee.feature_cache import FeatureCache
from tests.execution.conftest import sandbox_or_skip
from tests.referee.conftest import GOOD, HEADER, Stand

NAME = "0123456789abcdef0123456789abcdef.npz"
LEAVE = (
    HEADER
    + f"""
os.mkdir(OUT + "/cache")
open(OUT + "/cache/{NAME}", "w").write(str(task["fold"]))
save(sigmoid(column("valid", "x0")), sigmoid(column("test", "x0")))
"""
)
FIND = (
    HEADER
    + """
print("fold", task["fold"], "found", {name: open(f"{IN}/cache/{name}").read() for name in os.listdir(IN + "/cache")})
try:
    open(IN + "/cache/mine", "w")
except OSError as error:
    print("read-only", error.errno)
save(sigmoid(column("valid", "x0")), sigmoid(column("test", "x0")))
"""
)


@pytest.fixture
def isolated(make_stand: Callable[..., Stand], sandbox: Sandbox) -> Stand:
    sandbox_or_skip("A")
    return make_stand()


def test_a_fold_finds_what_was_left_on_it_and_nothing_else(isolated: Stand) -> None:
    referee = isolated.referee()
    assert isolated.run(LEAVE, 1, referee=referee)["status"] == "ok"
    isolated.run(FIND, 2, referee=referee)
    log = isolated.files(2).path("run.log").read_text()
    for fold in range(3):
        assert f"fold {fold} found {{'{NAME}': '{fold}'}}" in log
    assert log.count("read-only 30") == 3
    isolated.run(FIND, 3, referee=isolated.referee())
    assert isolated.files(3).path("run.log").read_text().count("found {}") == 3, "it lasts as long as the process"


def test_a_run_that_fails_leaves_nothing(isolated: Stand) -> None:
    referee = isolated.referee()
    assert isolated.run(LEAVE + "sys.exit(1)", 1, referee=referee)["status"] == "failed"
    isolated.run(FIND, 2, referee=referee)
    assert isolated.files(2).path("run.log").read_text().count("found {}") == 3


def test_it_can_be_switched_off(make_stand: Callable[..., Stand]) -> None:
    stand = make_stand(execution__cache_gb=0.0)
    script = GOOD + 'print(task["cache_mb"], os.path.exists(IN + "/cache"))\n'
    assert stand.run(script)["status"] == "ok"
    assert stand.files(1).path("run.log").read_text().count("0 False") == 3


def test_below_level_a_there_is_none(tmp_path: Path) -> None:
    """Runs that see each other's file names could tell each other labels by them."""
    sandbox_or_skip("B")
    import sys

    stand = Stand(tmp_path / "campaign", probe("B", Path(sys.executable)))
    stand.write_default()
    assert stand.run(GOOD + 'print(task["cache_mb"], os.path.exists(IN + "/cache"))\n')["status"] == "ok"
    assert stand.files(1).path("run.log").read_text().count("0 False") == 3


def left(tmp_path: Path, *names: str) -> Path:
    folder = tmp_path / "left"
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"x" * 2**19)
    return folder


def test_only_plain_files_with_names_of_hashes_are_taken(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "cache", 10)
    secret = tmp_path / "secret"
    secret.write_text("labels")
    folder = left(tmp_path, NAME, "labels.npz", NAME.upper(), f"{NAME}.py")
    (folder / NAME.replace("0", "1")).symlink_to(secret)
    os.mkfifo(folder / NAME.replace("0", "2"))
    (folder / NAME.replace("0", "3")).mkdir()
    cache.take(0, folder)
    assert [path.name for path in cache.place(0).iterdir()] == [NAME]
    link = tmp_path / "link"
    link.symlink_to(left(tmp_path, NAME))
    cache.take(1, link)
    cache.take(1, tmp_path / "nothing")
    assert not list(cache.place(1).iterdir())


def test_the_oldest_go_when_room_is_short(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "cache", 1.1)
    names = [NAME.replace("0", str(i)) for i in range(1, 4)]
    for age, name in zip((3, 1, 2), names, strict=True):
        folder = left(tmp_path, name)
        os.utime(folder / name, (1e9 - age, 1e9 - age))
        cache.take(age, folder)
    assert sorted(path.name for path in (tmp_path / "cache").rglob("*.npz")) == names[1:]
    cache.close()
    assert not (tmp_path / "cache").exists()
