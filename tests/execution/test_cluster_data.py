"""Inputs reach a node by their content: sent once, kept once, the same again."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.execution.cluster_data import Parcels, Shelf


def test_each_content_is_sent_once_and_fetched_once(tmp_path: Path) -> None:
    sent: list[bytes] = []
    fetched: list[int] = []

    def put(data: bytes) -> int:
        sent.append(data)
        return len(sent) - 1

    def get(handle: int) -> bytes:
        fetched.append(handle)
        return sent[handle]

    (tmp_path / "a.bin").write_bytes(b"table")
    (tmp_path / "b.bin").write_bytes(b"table")
    folder = tmp_path / "previous"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "R01.npy").write_bytes(b"one")
    (folder / "secret").symlink_to("/etc/passwd")
    parcels, shelf = Parcels(put), Shelf(tmp_path / "shelf")
    for _ in range(2):
        for name in ("a.bin", "b.bin"):
            assert shelf.path(parcels.of(tmp_path / name), get).read_bytes() == b"table"
        place = shelf.path(parcels.of(folder), get)
        assert {str(path.relative_to(place)) for path in place.rglob("*")} == {"deep", "deep/R01.npy"}
        assert (place / "deep" / "R01.npy").read_bytes() == b"one"
    assert len(sent) == 2 and fetched == [0, 1]
    (tmp_path / "a.bin").write_bytes(b"other")
    os.utime(tmp_path / "a.bin", (1, 1))
    assert shelf.path(parcels.of(tmp_path / "a.bin"), get).read_bytes() == b"other"
    assert not [path for path in shelf.folder.iterdir() if path.name.startswith(".new.")]


def test_an_empty_folder_arrives_empty(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    contents: list[bytes] = []
    parcel = Parcels(contents.append).of(tmp_path / "data")
    assert list(Shelf(tmp_path / "shelf").path(parcel, lambda _: contents[0]).iterdir()) == []


def test_the_longest_unused_makes_room(tmp_path: Path) -> None:
    contents: dict[str, bytes] = {}

    def put(data: bytes) -> str:
        contents[data[:1].decode()] = data
        return data[:1].decode()

    shelf, parcels = Shelf(tmp_path / "shelf", most_bytes=2500), Parcels(put)
    places = []
    for age, letter in enumerate("abc"):
        (tmp_path / letter).write_bytes(letter.encode() * 1000)
        places.append(shelf.path(parcels.of(tmp_path / letter), contents.__getitem__))
        os.utime(places[-1], (1000 + age, 1000 + age))
    assert [place.exists() for place in places] == [False, True, True]
