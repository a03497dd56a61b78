"""The members of a zip archive, read without trusting how many it claims."""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO

MOST_DIRECTORY_BYTES = 1 << 27
"""The table of contents is read whole and takes some ten times its size in memory."""
_END, _END64, _LOCATOR = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_TAIL = 22 + 65_535


def zip_members(
    path: Path, refused: Callable[[str], Exception]
) -> Iterator[tuple[zipfile.ZipInfo, Callable[[], IO[bytes]]]]:
    """(what the table of contents says, a function that opens the member) of each; `refused` makes the exception."""
    if directory_bytes(path) > MOST_DIRECTORY_BYTES:
        raise refused(f"{path.name} has a table of contents without end: unpack it yourself")
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            yield info, partial(archive.open, info)


def directory_bytes(path: Path) -> int:
    """The size of the table of contents by the archive's last record; 0 where there is none."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL - 20))
        tail = file.read()
        place = tail.rfind(_END)
        if place < 0 or len(tail) < place + 22:
            return 0
        stated = int(struct.unpack_from("<L", tail, place + 12)[0])
        locator = place - 20
        if locator >= 0 and tail[locator : locator + 4] == _LOCATOR:
            file.seek(min(int(struct.unpack_from("<Q", tail, locator + 8)[0]), size))
            record = file.read(56)
            if record[:4] == _END64 and len(record) == 56:
                return int(struct.unpack_from("<Q", record, 40)[0])
        return stated
