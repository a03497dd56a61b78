"""Datasets: uploads made into a version, and the time until it is ready."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.kaggle_server import storage
from tests.kaggle_server.site import Site
from tests.kaggle_server.wire import Call, Refusal, Reply, paged, rpc, timestamp

SERVICE = "datasets.DatasetApiService"
WAITING = ("NOT_YET_PERSISTED", "BLOBS_RECEIVED", "BLOBS_DECOMPRESSED", "INDIVIDUAL_BLOBS_COMPRESSED")


@dataclass
class Version:
    folder: Path
    notes: str
    asked: int = 0
    failed: bool = False


@dataclass
class Dataset:
    ref: str
    title: str
    license: str
    private: bool
    versions: list[Version] = field(default_factory=list)


@rpc("blobs.BlobApiService", "StartBlobUpload")
def start_blob(site: Site, call: Call) -> dict[str, Any]:
    upload = storage.start_upload(site, call.text("name"), call.number("contentLength"))
    return {"token": upload.token, "createUrl": storage.upload_url(upload)}


@rpc(SERVICE, "GetDatasetStatus")
def status(site: Site, call: Call) -> dict[str, Any]:
    version = _dataset(site, call).versions[-1]
    if version.failed:
        return {"status": "FAILED"}
    version.asked += 1
    ready = version.asked > site.settings.dataset_ready_polls
    return {"status": "READY" if ready else WAITING[min(version.asked - 1, len(WAITING) - 1)]}


@rpc(SERVICE, "CreateDataset")
def create(site: Site, call: Call) -> dict[str, Any]:
    _own(call, call.text("ownerSlug"))
    ref, title = f"{call.text('ownerSlug')}/{call.text('slug')}", call.text("title")
    if ref in site.datasets:
        taken = f'The requested title "{title}" is already in use by a dataset. Please choose another title.'
        return {"ref": ref, "url": "", "status": "error", "error": taken}
    made = Dataset(ref, title, call.text("licenseName"), bool(call.body.get("isPrivate")))
    _add_version(site, made, call.body, "Initial release")
    site.datasets[ref] = made
    return _said(ref)


@rpc(SERVICE, "CreateDatasetVersion")
def create_version(site: Site, call: Call) -> dict[str, Any]:
    _own(call, call.text("ownerSlug"))
    found = _dataset(site, call)
    body = call.body.get("body", {})
    _add_version(site, found, body, str(body.get("versionNotes", "")))
    return _said(found.ref)


@rpc(SERVICE, "GetDataset")
def get(site: Site, call: Call) -> dict[str, Any]:
    found = _dataset(site, call)
    numbers = [{"versionNumber": number, "versionNotes": one.notes} for number, one in enumerate(found.versions, 1)]
    return {
        "ref": found.ref,
        "title": found.title,
        "isPrivate": found.private,
        "licenseName": found.license,
        "currentVersionNumber": len(found.versions),
        "lastUpdated": timestamp(site.now()),
        "versions": numbers,
    }


@rpc(SERVICE, "ListDatasetFiles")
def listing(site: Site, call: Call) -> dict[str, Any]:
    found = _dataset(site, call)
    version = found.versions[call.number("datasetVersionNumber") - 1]
    paths = sorted(path for path in version.folder.rglob("*") if path.is_file())
    page, token = paged(paths, call)
    files = []
    for path in page:
        name = path.relative_to(version.folder).as_posix()
        named = {"ref": name, "name": name, "datasetRef": found.ref}
        files.append({**named, "totalBytes": path.stat().st_size, "creationDate": timestamp(site.now())})
    return {"datasetFiles": files, "nextPageToken": token}


@rpc(SERVICE, "DownloadDataset")
def download(site: Site, call: Call) -> Reply:
    found = _dataset(site, call)
    folder, name = found.versions[call.number("datasetVersionNumber") - 1].folder, call.text("fileName")
    if name:
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
            raise Refusal(404, "File not found")
        return storage.redirect(site, path, f"datasets/{found.ref}/{name}")
    packed = site.folder / "archives" / f"{found.ref.replace('/', '-')}-{len(found.versions)}.zip"
    packed.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.write(path, path.relative_to(folder))
    return storage.redirect(site, packed, f"datasets/{found.ref}/archive.zip")


def is_ready(site: Site, ref: str) -> bool:
    found: Dataset | None = site.datasets.get(ref)
    return found is not None and not found.versions[-1].failed


def _add_version(site: Site, dataset: Dataset, body: dict[str, Any], notes: str) -> None:
    """Files whose upload never ended are left out, without a word; zips are unpacked, as Kaggle does."""
    folder = site.folder / "datasets" / dataset.ref / str(len(dataset.versions) + 1)
    folder.mkdir(parents=True, exist_ok=True)
    for file in body.get("files", []):
        upload = site.uploads.get(file.get("token", ""))
        if upload is None or not upload.done:
            continue
        name = Path(upload.name).name
        if name.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(upload.data)) as archive:
                archive.extractall(folder / name.removesuffix(".zip"))
        else:
            (folder / name).write_bytes(upload.data)
    dataset.versions.append(Version(folder, notes))


def _said(ref: str) -> dict[str, Any]:
    return {"ref": ref, "url": f"https://www.kaggle.com/datasets/{ref}", "status": "ok", "error": "", "invalidTags": []}


def _own(call: Call, owner: str) -> None:
    if owner != call.user:
        raise Refusal(403, "Permission 'datasets.create' was denied")


def _dataset(site: Site, call: Call) -> Dataset:
    found: Dataset | None = site.datasets.get(f"{call.text('ownerSlug')}/{call.text('datasetSlug')}")
    if found is None or (found.private and not found.ref.startswith(f"{call.user}/")):
        raise Refusal(403, "Permission 'datasets.get' was denied")
    return found
