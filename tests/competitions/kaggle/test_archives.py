"""Archives: what honest ones hold lands in its place, and no hostile one writes a byte outside its folder."""

from __future__ import annotations

import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.competitions.kaggle.archives import (
    ArchiveRefused,
    ArchiveUnsupported,
    Budget,
    unpack,
    unpack_nested,
)
from orchestrator.competitions.kaggle.zip_members import MOST_DIRECTORY_BYTES, directory_bytes

BUDGET = 10_000_000


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def of_names(*names: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "a.zip", "w") as archive:
            for name in names:
                info = zipfile.ZipInfo("placeholder")
                info.filename = name
                archive.writestr(info, b"evil")
        return folder / "a.zip"

    return make


def of_mode(mode: int) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "a.zip", "w") as archive:
            info = zipfile.ZipInfo("data/link")
            info.external_attr = (mode | 0o644) << 16
            archive.writestr(info, b"/etc")
            archive.writestr("data/link/passwd", b"evil")
        return folder / "a.zip"

    return make


def bomb(folder: Path) -> Path:
    return zipped(folder / "a.zip", {"zeros": bytes(BUDGET + 1)})


def nested_bomb(folder: Path) -> Path:
    inner = zipped(folder / "inner.zip", {"zeros": bytes(BUDGET + 1)}).read_bytes()
    return zipped(folder / "a.zip", {"inner.zip": inner})


def lying_size(folder: Path) -> Path:
    """The table of contents says 10 bytes, the data are more than the budget."""
    data = bytearray(bomb(folder).read_bytes())
    place = data.rfind(b"PK\x01\x02")
    struct.pack_into("<L", data, place + 24, 10)
    (folder / "a.zip").write_bytes(data)
    return folder / "a.zip"


def many(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        for number in range(1001):
            archive.writestr(f"{number}", b"")
    return folder / "a.zip"


def endless_directory(folder: Path) -> Path:
    data = bytearray(zipped(folder / "a.zip", {"a": b"1"}).read_bytes())
    struct.pack_into("<L", data, data.rfind(b"PK\x05\x06") + 12, MOST_DIRECTORY_BYTES + 1)
    (folder / "a.zip").write_bytes(data)
    return folder / "a.zip"


def tar_of(kind: bytes, name: str = "data/x", to: str = "/etc/passwd") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        with tarfile.open(folder / "a.tar.gz", "w:gz") as archive:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, to
            archive.addfile(info)
            inside = tarfile.TarInfo("data/x/y")
            inside.size = 4
            archive.addfile(inside, io.BytesIO(b"evil"))
        return folder / "a.tar.gz"

    return make


def endless_tar_header(folder: Path) -> Path:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 1 << 30
    with gzip.open(folder / "a.tar.gz", "wb") as file:
        file.write(info.tobuf(tarfile.USTAR_FORMAT))
    return folder / "a.tar.gz"


def endless_tar_member(folder: Path) -> Path:
    info = tarfile.TarInfo("__MACOSX/skipped")
    info.size = 1 << 40
    with gzip.open(folder / "a.tar.gz", "wb") as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT))
    return folder / "a.tar.gz"


def gzip_bomb(folder: Path) -> Path:
    (folder / "a.csv.gz").write_bytes(gzip.compress(bytes(BUDGET + 1)))
    return folder / "a.csv.gz"


def sparse_tar(folder: Path) -> Path:
    """A GNU sparse member: some bytes in the archive, more than the budget in the file."""
    header = bytearray(tarfile.TarInfo("hole").tobuf(tarfile.GNU_FORMAT))
    header[156:157] = tarfile.GNUTYPE_SPARSE
    header[483:495] = f"{1 << 33:011o}\0".encode()
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    (folder / "a.tar").write_bytes(bytes(header) + bytes(10240))
    return folder / "a.tar"


def not_an_archive(folder: Path) -> Path:
    (folder / "a.zip").write_bytes(b"<?xml version='1.0'?><Error><Code>ExpiredToken</Code></Error>")
    return folder / "a.zip"


def torn(folder: Path) -> Path:
    data = zipped(folder / "a.zip", {"a": os.urandom(5000)}).read_bytes()
    (folder / "a.zip").write_bytes(data[: len(data) // 2])
    return folder / "a.zip"


def flipped(folder: Path) -> Path:
    data = bytearray(zipped(folder / "a.zip", {"a": os.urandom(5000)}).read_bytes())
    data[2000] ^= 1
    (folder / "a.zip").write_bytes(data)
    return folder / "a.zip"


HOSTILE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "up": (of_names("../evil"), "leads out"),
    "up from inside": (of_names("a/../../evil"), "leads out"),
    "absolute": (of_names("/tmp/evil"), "leads out"),
    "backslashes": (of_names("..\\..\\evil"), "leads out"),
    "drive": (of_names("C:\\evil"), "leads out"),
    "share": (of_names("\\\\host\\share\\evil"), "leads out"),
    "newline": (of_names("a\nb"), "leads out"),
    "NUL": (of_names("good.csv\0../evil"), "leads out"),
    "the same name twice": (of_names("a/b", "a//b"), "twice"),
    "a file that is a folder too": (of_names("a", "a/b"), "twice"),
    "a folder that is a file too": (of_names("a/b", "a"), "twice"),
    "link": (of_mode(stat.S_IFLNK), "a link or a device"),
    "device": (of_mode(stat.S_IFCHR), "a link or a device"),
    "pipe": (of_mode(stat.S_IFIFO), "a link or a device"),
    "bomb": (bomb, "unpacks to more"),
    "nested bomb": (nested_bomb, "unpacks to more"),
    "lying size": (lying_size, "damaged"),
    "many members": (many, "more files than"),
    "endless directory": (endless_directory, "without end"),
    "tar: link": (tar_of(tarfile.SYMTYPE), "a link or a device"),
    "tar: hard link": (tar_of(tarfile.LNKTYPE), "a link or a device"),
    "tar: device": (tar_of(tarfile.CHRTYPE), "a link or a device"),
    "tar: up": (tar_of(tarfile.DIRTYPE, "../evil"), "leads out"),
    "tar: absolute": (tar_of(tarfile.DIRTYPE, "/tmp/evil"), "leads out"),
    "tar: endless header": (endless_tar_header, "a header of"),
    "tar: endless member": (endless_tar_member, "endless"),
    "tar: sparse": (sparse_tar, "unpacks to more"),
    "gzip bomb": (gzip_bomb, "unpacks to more"),
    "not an archive": (not_an_archive, "is no archive"),
    "torn": (torn, "damaged"),
    "flipped": (flipped, "damaged"),
}


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize("keep", [True, False])
def test_a_hostile_archive_is_refused_and_leaves_nothing(case: str, keep: bool, tmp_path: Path) -> None:
    make, sentence = HOSTILE[case]
    around, inside = tmp_path / "around", tmp_path / "around" / "b" / "data"
    inside.mkdir(parents=True)
    make(inside)
    before = everything(tmp_path)
    with pytest.raises(ArchiveRefused) as caught:
        unpack_nested(inside, Budget(BUDGET, 1000), keep=keep)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)
    assert everything(tmp_path) == before
    assert [path for path in around.rglob("*") if path.is_symlink() or path.name.startswith(".")] == []
    assert not Path("/tmp/evil").exists()


def test_names_that_differ_in_case_never_overwrite_each_other(tmp_path: Path) -> None:
    of_names("Train.csv", "train.CSV", "ordner/\u00e4.csv")(tmp_path)
    unpack(tmp_path / "a.zip", tmp_path / "out", Budget(BUDGET))
    assert sorted(everything(tmp_path / "out")) == ["Train.csv", "ordner/\u00e4.csv", "train.CSV"]


def test_two_spellings_of_one_letter_are_one_name(tmp_path: Path) -> None:
    of_names("\u00e4.csv", "a\u0308.csv")(tmp_path)
    with pytest.raises(ArchiveRefused, match="twice"):
        unpack(tmp_path / "a.zip", tmp_path / "out", Budget(BUDGET))


class TestUnsupported:
    """One archive that can't be opened here is no reason to refuse the others."""

    def encrypted(self, folder: Path) -> Path:
        data = bytearray(zipped(folder / "train.zip", {"train.csv": b"id,y\n1,2\n"}).read_bytes())
        for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            struct.pack_into("<H", data, data.find(mark) + offset, 1)
        (folder / "train.zip").write_bytes(data)
        return folder / "train.zip"

    def test_a_password(self, tmp_path: Path) -> None:
        with pytest.raises(ArchiveUnsupported, match=r"train\.zip is encrypted and is left out"):
            unpack(self.encrypted(tmp_path), tmp_path / "out", Budget(BUDGET))
        assert not (tmp_path / "out").exists()

    def test_it_is_left_out_and_told(self, tmp_path: Path) -> None:
        self.encrypted(tmp_path)
        (tmp_path / "pictures.7z").write_bytes(b"7z\xbc\xaf\x27\x1c and more")
        zipped(tmp_path / "test.csv.zip", {"test.csv": b"id\n1\n"})
        notes = unpack_nested(tmp_path, Budget(BUDGET))
        assert [note.split()[0] for note in notes] == ["pictures.7z", "train.zip"]
        assert everything(tmp_path) == {"test.csv": b"id\n1\n"}

    def test_too_deep(self, tmp_path: Path) -> None:
        data = b"end"
        for number in range(5):
            inner = zipped(tmp_path / "inner.zip", {"inner.zip": data, f"a{number}": b"1", f"b{number}": b"1"})
            data = inner.read_bytes()
        notes = unpack_nested(tmp_path, Budget(BUDGET))
        assert len(notes) == 1 and "archives deep" in notes[0]
        assert [name.rpartition("/")[2] for name in sorted(everything(tmp_path))] == [
            "a4",
            "b4",
            "a3",
            "b3",
            "a2",
            "b2",
        ]


class TestHonest:
    def test_one_table_takes_the_archives_place(self, tmp_path: Path) -> None:
        zipped(tmp_path / "train.csv.zip", {"train.csv": b"a", "__MACOSX/x": b"litter"})
        (tmp_path / "extra.csv.gz").write_bytes(gzip.compress(b"b"))
        assert unpack_nested(tmp_path, Budget(BUDGET)) == []
        assert everything(tmp_path) == {"train.csv": b"a", "extra.csv": b"b"}

    def test_several_files_get_a_folder_once(self, tmp_path: Path) -> None:
        zipped(tmp_path / "images.zip", {"images/1.png": b"1", "images/2.png": b"2"})
        zipped(tmp_path / "audio.zip", {"a": b"1", "b": b"2"})
        assert unpack_nested(tmp_path, Budget(BUDGET)) == []
        assert sorted(everything(tmp_path)) == ["audio/a", "audio/b", "images/1.png", "images/2.png"]

    def test_nested_and_below_folders(self, tmp_path: Path) -> None:
        inner = zipped(tmp_path / "x.zip", {"train.csv": b"rows"}).read_bytes()
        (tmp_path / "x.zip").unlink()
        (tmp_path / "deep").mkdir()
        zipped(tmp_path / "deep" / "all.zip", {"train.csv.zip": inner, "readme": b"hello"})
        assert unpack_nested(tmp_path, Budget(BUDGET)) == []
        assert everything(tmp_path) == {"deep/all/train.csv": b"rows", "deep/all/readme": b"hello"}

    def test_tar(self, tmp_path: Path) -> None:
        with tarfile.open(tmp_path / "both.tgz", "w:gz") as archive:
            for name in ("both/a.csv", "both/b.csv"):
                info = tarfile.TarInfo(name)
                info.size = 3
                archive.addfile(info, io.BytesIO(b"1,2"))
        assert unpack_nested(tmp_path, Budget(BUDGET)) == []
        assert everything(tmp_path) == {"both/a.csv": b"1,2", "both/b.csv": b"1,2"}

    def test_nothing_is_overwritten(self, tmp_path: Path) -> None:
        (tmp_path / "train.csv").write_bytes(b"mine")
        zipped(tmp_path / "train.zip", {"train.csv": b"other"})
        assert unpack_nested(tmp_path, Budget(BUDGET)) == ["train.zip is left out: train.csv is there already"]
        assert everything(tmp_path) == {"train.csv": b"mine"}

    def test_archives_may_stay(self, tmp_path: Path) -> None:
        zipped(tmp_path / "train.zip", {"train.csv": b"rows"})
        for _ in range(2):
            unpack_nested(tmp_path, Budget(BUDGET), keep=True)
            assert sorted(everything(tmp_path)) == ["train.csv", "train.zip"]

    def test_the_budget_is_one_for_all(self, tmp_path: Path) -> None:
        for name in "abc":
            zipped(tmp_path / f"{name}.zip", {f"{name}.csv": bytes(40)})
        with pytest.raises(ArchiveRefused, match="unpacks to more"):
            unpack_nested(tmp_path, Budget(100))
        for name in "abc":
            zipped(tmp_path / f"{name}.zip", {f"{name}.csv": bytes(40)})

    def test_a_budget_knows_the_disk(self, tmp_path: Path) -> None:
        small, large = (Budget.for_archive(size, tmp_path).bytes for size in (1, 1 << 60))
        assert 0 < small <= 1 << 30 and small <= large < 1 << 60

    def test_the_directory_of_a_large_zip_is_measured(self, tmp_path: Path) -> None:
        end64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 70_000, 70_000, 1 << 40, 0)
        locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 7, 1)
        end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
        (tmp_path / "big.zip").write_bytes(b"members" + end64 + locator + end)
        assert directory_bytes(tmp_path / "big.zip") == 1 << 40
        zipped(tmp_path / "small.zip", {"name": b"1"})
        assert directory_bytes(tmp_path / "small.zip") == 46 + len("name")
