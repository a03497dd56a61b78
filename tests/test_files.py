"""Durable files: what is read back is what was written, or an error that says it is not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.errors import CampaignBusy, Damaged
from orchestrator.files import (
    atomic_write,
    campaign_lock,
    read_json,
    read_json_or_none,
    sweep_temps,
    write_json,
)

RECORD = {"round": 7, "cv": 0.1234567890123, "name": "é", "nested": {"list": [1, 2.5, None, True]}}


def test_round_trip_keeps_every_bit(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_json(path, RECORD)
    assert read_json(path) == RECORD


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_json(path, RECORD)
    whole = path.read_bytes()
    for length in range(len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(Damaged):
            read_json(path)


def test_every_flipped_byte_is_noticed_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_json(path, RECORD)
    whole = bytearray(path.read_bytes())
    noticed = 0
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 0x01
        path.write_bytes(bytes(flipped))
        found = read_json_or_none(path)
        assert found in (None, RECORD)
        noticed += found is None
    assert noticed > len(whole) // 2


def test_not_a_number_is_refused_before_it_lands(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_json(path, RECORD)
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"cv": float("nan")})
    assert read_json(path) == RECORD


def test_a_failed_write_leaves_the_old_file_and_no_temp(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "inside").write_text("kept")
    with pytest.raises(OSError):
        atomic_write(target, "a folder can't be replaced by a file")
    assert (target / "inside").read_text() == "kept"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["folder"]


def test_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a 64 kB file system needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        write_json(disk / "state.json", RECORD)
        with pytest.raises(OSError, match="No space left"):
            atomic_write(disk / "state.json", b"x" * 200_000)
        assert read_json(disk / "state.json") == RECORD
        assert [entry.name for entry in disk.iterdir()] == ["state.json"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_sweep_deletes_only_temps(tmp_path: Path) -> None:
    (tmp_path / ".state.json.abc.tmp").write_text("torn")
    (tmp_path / ".env").write_text("kept")
    (tmp_path / "notes.tmp").write_text("kept")
    sweep_temps(tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".env", "notes.tmp"]


def test_second_process_is_told_who_plays(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; import sys\n"
        "from orchestrator.files import campaign_lock\n"
        "with campaign_lock(Path(sys.argv[1])):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(CampaignBusy, match="playing"), campaign_lock(tmp_path):
            pass
        holder.kill()
        holder.wait()
        with campaign_lock(tmp_path):
            pass


def test_a_lock_that_was_deleted_is_not_ours_any_more(tmp_path: Path) -> None:
    with campaign_lock(tmp_path) as first:
        first()
        (tmp_path / ".lock").unlink()
        with pytest.raises(CampaignBusy, match="deleted while"):
            first()
        with campaign_lock(tmp_path) as second:
            second()
            with pytest.raises(CampaignBusy, match="deleted while"):
                first()


def test_hand_edited_record_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_json(path, RECORD)
    body = json.loads(path.read_text())
    body["cv"] = 0.999
    path.write_text(json.dumps(body))
    with pytest.raises(Damaged, match="checksum"):
        read_json(path)
