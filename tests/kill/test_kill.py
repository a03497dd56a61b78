"""SIGKILL at every write, rename and third fsync of a round: the same ledger by the same command, nothing twice."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import pytest

from orchestrator.files import read_json
from tests.kill import harness

WORKERS = 3


FSYNCS = int(os.environ.get("KILL_FSYNCS", "3"))
"""Every so many fsyncs are tried (1: all): most stand right before or after a rename, of which all are."""


@pytest.fixture(scope="module")
def zygotes() -> Iterator[SimpleQueue[harness.Zygote]]:
    if shutil.which("strace") is None:
        if os.environ.get("CI"):
            pytest.fail("the kill test needs strace: apt install strace")
        pytest.skip("the kill test needs strace: apt install strace")
    made = [harness.Zygote() for _ in range(WORKERS)]
    queue: SimpleQueue[harness.Zygote] = SimpleQueue()
    for zygote in made:
        queue.put(zygote)
    yield queue
    for zygote in made:
        zygote.close()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, zygotes: SimpleQueue[harness.Zygote]) -> Path:
    """A campaign that has played round 1 and may play round 2."""
    folder = tmp_path_factory.mktemp("kill") / "template"
    folder.mkdir()
    harness.make_campaign(folder, rounds=2)
    zygote = zygotes.get()
    harness.set_rounds(folder, 1)
    assert zygote.run(folder) == 0, Path(f"{folder}.out").read_text()
    harness.set_rounds(folder, 2)
    zygotes.put(zygote)
    return folder


def test_killed_at_every_point_of_a_round(template: Path, zygotes: SimpleQueue[harness.Zygote]) -> None:
    calm = harness.fresh(template, template.parent / "calm")
    zygote = zygotes.get()
    points = harness.count_points(zygote, calm)
    zygotes.put(zygote)
    wanted = harness.ledger(calm)
    assert len(wanted["results"]) == 3 and wanted["submitted"] == ["R01", "R02"]

    def check(point: tuple[str, int]) -> tuple[bool, str]:
        zygote = zygotes.get()
        try:
            return kill_and_resume(zygote, template, point, wanted)
        finally:
            zygotes.put(zygote)

    each = [(call, n) for call in harness.CALLS for n in range(1, points[call] + 1, FSYNCS if call == "fsync" else 1)]
    with ThreadPoolExecutor(WORKERS) as pool:
        results = list(pool.map(check, each))
    killed = sum(was_killed for was_killed, _ in results)
    wrong = [f"{call} {number}: {why}" for (call, number), (_, why) in zip(each, results, strict=True) if why]
    print(f"\n{len(each)} points ({dict(points)}), {killed} kills, {len(wrong)} wrong")
    assert not wrong, "\n".join(wrong[:10])
    assert killed == len(each) > 100


def kill_and_resume(
    zygote: harness.Zygote, template: Path, point: tuple[str, int], wanted: dict[str, object]
) -> tuple[bool, str]:
    """(it was killed there, what is wrong afterwards)."""
    folder = harness.fresh(template, template.parent / f"{point[0]}{point[1]}")
    killed = harness.kill_at(zygote, folder, *point)
    status = zygote.run(folder)
    why = "" if status == 0 else f"the resume ended with {status}: {Path(f'{folder}.out').read_text()[-500:]}"
    if not why:
        found = harness.ledger(folder)
        why = "; ".join(f"{key}: {found[key]} instead of {wanted[key]}" for key in wanted if found[key] != wanted[key])
    why = why or torn(folder)
    if why:
        why = f"{why}\n--- what the screen showed:\n{Path(f'{folder}.out').read_text()[-3000:]}"
    shutil.rmtree(folder)
    Path(f"{folder}.out").unlink()
    return killed, why


def torn(folder: Path) -> str:
    """Temps and records that fail their checksum."""
    left = [path.name for path in folder.rglob(".*.tmp")]
    for path in (folder / "rounds").glob("*.json"):
        read_json(path)
    return f"temps left: {left}" if left else ""


def test_killed_again_and_again_while_recovering(template: Path, zygotes: SimpleQueue[harness.Zygote]) -> None:
    zygote = zygotes.get()
    folder = harness.fresh(template, template.parent / "again")
    kills = 0
    for number in range(4, 60, 3):
        kills += harness.kill_at(zygote, folder, "fsync", number)
    assert zygote.run(folder) == 0
    zygotes.put(zygote)
    found = harness.ledger(folder)
    assert found["submitted"] == ["R01", "R02"]
    assert len(found["results"]) == 3
    assert kills >= 5
    assert not torn(folder)
