"""A competition on a local Kaggle, and what comes of downloading it through the real client."""

from __future__ import annotations

import io
import random
import zipfile
from pathlib import Path

from orchestrator.competitions.kaggle.cache import cache_of, obtain
from orchestrator.competitions.kaggle.client import KaggleClient
from tests.kaggle_server.start import Kaggle

STORAGE = "storage GET"


class Shop:
    """A competition with some files, and what comes of fetching them."""

    def __init__(self, server: Kaggle, client: KaggleClient, folder: Path, slug: str) -> None:
        self.server, self.client, self.slug = server, client, slug
        self.data, self.root, self.said = folder / "remote", folder / "cache", list[str]()
        noise = random.Random(slug)  # the client writes pieces of 1 MiB
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("extra.csv", "id,x\n1,2\n")
        self.files = {
            "train.csv": noise.randbytes(6_000_000),
            "test.csv": noise.randbytes(100_000),
            "notes/x y.csv": b"a,b\n",
            "other/x y.csv": b"c,d\n",
            "extra.csv.zip": packed.getvalue(),
        }
        for name, data in self.files.items():
            (self.data / name).parent.mkdir(parents=True, exist_ok=True)
            (self.data / name).write_bytes(data)
        self.expected = {name: data for name, data in self.files.items() if name != "extra.csv.zip"}
        self.expected["extra.csv"] = b"id,x\n1,2\n"
        server.control("clear")
        server.settings(storage_bytes_per_s=0.0, url_seconds=3600.0)
        server.competition(slug, folder=str(self.data))

    def fetch(self, slice_s: float = 60.0) -> dict[str, bytes]:
        """What lies in the cache afterwards."""
        with cache_of(self.slug, self.root, self.said.append) as home:
            got = obtain(self.client, self.slug, home, self.said.append, sleep=lambda seconds: None, slice_s=slice_s)
        self.notes = got.notes
        return everything(got.folder)


def everything(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
