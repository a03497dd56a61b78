"""What experiments may read, as private Kaggle datasets: one per fold, one for what all folds share.

A kernel mounts its own fold's dataset and the shared one. Another fold's training rows hold the labels that grade this
fold, so they are in a dataset that this kernel never sees. Each dataset holds one file, a tar under a name that Kaggle
leaves alone, the same bytes for the same files: it is uploaded once, and a new version only when something changed.
"""

from __future__ import annotations

import json
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import CompetitionError
from orchestrator.execution.jobs import Job
from orchestrator.execution.kernel_bundle import slugify
from orchestrator.execution.kernel_runner import PACK
from orchestrator.execution.kernel_site import KernelSite
from orchestrator.files import Digests, sha256_bytes, sha256_file

OWN = ("train.parquet", "valid.parquet")
"""What differs from fold to fold; task.json goes with the script."""
EARLIER = "previous"
UPLOADS = 3


@dataclass(frozen=True)
class Part:
    """Files that become one dataset: name in the tar → file of this machine."""

    title: str
    files: dict[str, Path]

    @property
    def slug(self) -> str:
        return slugify(self.title)

    def content(self, digests: Digests) -> str:
        """What the files are, names included: a digest."""
        told = json.dumps({name: digests.of(path) for name, path in sorted(self.files.items())})
        return sha256_bytes(told.encode())


def parts(job: Job, run: str, what: str) -> list[Part]:
    """The datasets of a job of the campaign `run`: its own, its earlier predictions, and what all folds share.

    `what` is "fold 0", …, or "submission", which shares nothing.
    """
    shared = "shared" if what.startswith("fold") else what
    named: dict[str, dict[str, Path]] = {what: {}, f"{what} earlier": {}, shared: {}}
    for name, path in job.inputs.items():
        if name == "task.json":
            continue
        place = what if name in OWN else f"{what} earlier" if name == EARLIER else shared
        named[place].update(_files(name, path))
    return [Part(f"AutoKaggle {run} {place}", files) for place, files in named.items() if files]


def _files(name: str, path: Path) -> Iterator[tuple[str, Path]]:
    """The regular files at `path`, below `name`; links are left out."""
    if path.is_file():
        yield name, path
        return
    for entry in sorted(path.rglob("*")):
        if entry.is_file() and not entry.is_symlink() and entry.parent.name != "__pycache__":
            yield f"{name}/{entry.relative_to(path)}", entry


class Datasets:
    """Uploads parts and remembers, in the campaign's record, what each dataset holds."""

    def __init__(self, site: KernelSite) -> None:
        self.site, self.digests = site, Digests()
        self._lock = threading.Lock()

    def ready(self, part: Part, pause: Callable[[float], None]) -> dict[str, str]:
        """The dataset of a part, uploaded and ready: {"ref", "slug", "sha256" of its pack}.

        Raises CompetitionError when Kaggle fails to take it in three times.
        """
        content = part.content(self.digests)
        with self._lock:
            held: dict[str, Any] | None = self.site.facts()["datasets"].get(part.slug)
            if held is None or held["content"] != content:
                held = {"content": content, "sha256": self._upload(part, pause)}
                self.site.note(datasets={**self.site.facts()["datasets"], part.slug: held})
        return {"ref": self._ref(part), "slug": part.slug, "sha256": held["sha256"]}

    def forget(self, part: Part) -> None:
        """It turned out not to hold what it should: upload it again when it is wanted."""
        with self._lock:
            known = self.site.facts()["datasets"]
            self.site.note(datasets={slug: held for slug, held in known.items() if slug != part.slug})

    def _ref(self, part: Part) -> str:
        return f"{self.site.owner(lambda _: None)}/{part.slug}"

    def _upload(self, part: Part, pause: Callable[[float], None]) -> str:
        self.site.scratch.mkdir(parents=True, exist_ok=True)
        owner = self.site.owner(pause)
        with tempfile.TemporaryDirectory(dir=self.site.scratch) as name:
            folder = Path(name)
            pack(folder / PACK, part.files)
            sha256 = sha256_file(folder / PACK)
            metadata = {"id": f"{owner}/{part.slug}", "title": part.title, "licenses": [{"name": "other"}]}
            (folder / "dataset-metadata.json").write_text(json.dumps(metadata))
            megabytes = (folder / PACK).stat().st_size / 1e6
            self.site.tell(f"uploading the private dataset {owner}/{part.slug} ({megabytes:.1f} MB)")
            for _ in range(UPLOADS):
                if self._send(f"{owner}/{part.slug}", folder, sha256, pause):
                    return sha256
        raise CompetitionError(f"Kaggle did not take in the dataset {owner}/{part.slug} in {UPLOADS} tries")

    def _send(self, ref: str, folder: Path, sha256: str, pause: Callable[[float], None]) -> bool:
        """Create the dataset or a new version of it, and wait until Kaggle has read it in."""
        client = self.site.client

        def send() -> str:  # after a lost answer it may exist already: then this makes one more version of it
            if client.dataset_status(ref) is None:
                return client.create_dataset(folder)
            return client.version_dataset(folder, f"contents {sha256[:12]}")

        self.site.patiently(send, pause)
        while (status := self.site.patiently(lambda: client.dataset_status(ref), pause)) != "ready":
            if status in ("failed", "error", "deleted"):
                return False
            pause(self.site.pace.poll_s)
        return True


def pack(path: Path, files: dict[str, Path]) -> None:
    """Write a tar that depends on names and contents alone."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, source in sorted(files.items()):
            with source.open("rb") as file:
                entry = tarfile.TarInfo(name)
                entry.size = source.stat().st_size
                tar.addfile(entry, file)
