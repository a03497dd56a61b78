"""OUT/cache of one experiment is IN/cache of the next on the same fold, and of no other."""

from __future__ import annotations

import ctypes
import os
import sys
import time
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
    os.chmod(folder / NAME, 0o6777)
    cache.take(0, folder, 10)
    assert (cache.place(0) / NAME).stat().st_mode & 0o7777 == 0o600
    assert [path.name for path in cache.place(0).iterdir()] == [NAME]
    link = tmp_path / "link"
    link.symlink_to(left(tmp_path, NAME))
    cache.take(1, link, 10)
    cache.take(1, tmp_path / "nothing", 10)
    assert not list(cache.place(1).iterdir())


def name(number: int) -> str:
    return f"{number:032x}.npz"


def test_the_first_to_come_go_when_room_is_short(tmp_path: Path) -> None:
    """By the host's clock, whatever time a run gave its files."""
    cache = FeatureCache(tmp_path / "cache", 10)
    for number in (3, 1, 2):
        folder = left(tmp_path, name(number))
        os.utime(folder / name(number), (4e9 - number, 4e9 - number))
        cache.take(0, folder, 1.1)
        time.sleep(0.02)
    assert sorted(path.name for path in cache.place(0).iterdir()) == [name(1), name(2)]
    cache.close()
    assert not (tmp_path / "cache").exists()


def test_what_one_fold_leaves_drops_nothing_of_another(tmp_path: Path) -> None:
    """Else a run could tell another fold something by how much it leaves."""
    cache = FeatureCache(tmp_path / "cache", 2.2)
    cache.take(0, left(tmp_path, name(1)), 1.1)
    cache.take(1, left(tmp_path, *map(name, range(6))), 1.1)
    assert [path.name for path in cache.place(0).iterdir()] == [name(1)]
    assert len(list(cache.place(1).iterdir())) == 2


def test_empty_files_take_room(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "cache", 10)
    for number in range(300):
        (left(tmp_path) / name(number)).touch()
    cache.take(0, left(tmp_path), 1)
    assert len(list(cache.place(0).iterdir())) == 256


def test_blocks_beyond_the_end_of_a_file_take_room(tmp_path: Path) -> None:
    cache, keep_size = FeatureCache(tmp_path / "cache", 10), 1
    with (left(tmp_path) / name(1)).open("wb") as file:
        allocate = ctypes.CDLL(None, use_errno=True).fallocate
        allocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long)
        if allocate(file.fileno(), keep_size, 0, 2**21) or os.fstat(file.fileno()).st_blocks < 4096:
            pytest.skip("this file system gives no blocks ahead")
    cache.take(0, left(tmp_path), 1)
    assert not list(cache.place(0).iterdir())


@pytest.mark.skipif(os.getuid() == 0, reason="root may move files out of any folder")
@pytest.mark.parametrize("mode", [0, 0o400, 0o500, 0o600])
def test_a_folder_that_gives_nothing_away_hurts_nobody(tmp_path: Path, mode: int) -> None:
    cache, folder = FeatureCache(tmp_path / "cache", 10), left(tmp_path, NAME)
    folder.chmod(mode)
    cache.take(0, folder, 10)
    folder.chmod(0o700)
    assert not list(cache.place(0).iterdir())
