"""What the client's process does for notebooks, discussions, kernels and datasets; imported by `child` alone."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from orchestrator.competitions.kaggle.remote import Unusable, all_pages, iso

MOST_OUTPUT_BYTES = 20 << 30


def notebooks(api: Any, slug: str, sort: str, count: int) -> list[dict[str, Any]]:
    found: list[Any] = []
    size, page = max(1, min(100, count)), 1
    while len(found) < count:
        more = api.kernels_list(competition=slug, sort_by=sort, page_size=size, page=page) or []
        found += [one for one in more if one is not None]
        page += 1
        if len(more) < size:
            break
    return [
        {
            "ref": one.ref,
            "title": one.title,
            "author": one.author,
            "votes": one.total_votes,
            "last_run": iso(one.last_run_time),
        }
        for one in found[:count]
    ]


def notebook_source(api: Any, ref: str) -> dict[str, Any]:
    from kagglesdk.kernels.types.kernels_api_service import ApiGetKernelRequest

    request = ApiGetKernelRequest()
    request.user_name, _, request.kernel_slug = ref.partition("/")
    with api.build_kaggle_client() as kaggle:
        found = kaggle.kernels.kernels_api_client.get_kernel(request)
    blob = found.blob
    if blob is None:
        raise Unusable("shape", "it holds no source")
    return {
        "text": blob.source or "",
        "language": blob.language or "",
        "kind": blob.kernel_type or "",
        "version": found.metadata.current_version_number if found.metadata else None,
    }


def topics(api: Any, slug: str, sort: str, page: int) -> list[dict[str, Any]]:
    return [
        {
            "id": one.id,
            "title": one.title,
            "author": one.author_name or "",
            "votes": one.votes,
            "comments": one.comment_count,
            "posted": iso(one.post_date),
        }
        for one in api.competition_list_topics(slug, sort_by=sort or None, page=page).topics or []
    ]


def topic_messages(api: Any, slug: str, topic: int) -> list[dict[str, Any]]:
    """The first message and all replies to it, in reading order."""
    found: list[dict[str, Any]] = []
    waiting = list(reversed(api.competition_list_topic_messages(slug, topic, page_size=-1).messages or []))
    while waiting:
        one = waiting.pop()
        waiting += reversed(one.replies or [])
        if not one.is_deleted:
            text = one.raw_markdown or one.content or ""
            author = one.author_name or ""
            found.append({"author": author, "votes": one.votes, "posted": iso(one.post_date), "text": text})
    return found


def push_kernel(api: Any, folder: str, accelerator: str | None, seconds: int | None) -> dict[str, Any]:
    """`folder` as kernel-metadata.json says; a refusal comes as `error`."""
    done = api.kernels_push(folder, timeout=seconds, acc=accelerator)
    sources = ("tags", "dataset_sources", "competition_sources", "kernel_sources", "model_sources")
    invalid = [str(name) for source in sources for name in getattr(done, f"invalid_{source}") or []]
    return {
        "ref": (done.ref or "").strip("/").removeprefix("code/"),
        "url": done.url or "",
        "version": done.version_number or None,
        "error": done.error or "",
        "invalid": invalid,
    }


def kernel_status(api: Any, ref: str) -> list[str]:
    from kagglesdk.kernels.types.kernels_api_service import ApiGetKernelSessionStatusRequest

    request = ApiGetKernelSessionStatusRequest()
    request.user_name, _, request.kernel_slug = ref.partition("/")
    with api.build_kaggle_client() as kaggle:
        found = kaggle.kernels.kernels_api_client.get_kernel_session_status(request)
    return [found.status.name.lower(), found.failure_message or ""]


def _session(api: Any, ref: str, token: str) -> Any:
    from kagglesdk.kernels.types.kernels_api_service import ApiListKernelSessionOutputRequest

    request = ApiListKernelSessionOutputRequest()
    request.user_name, _, request.kernel_slug = ref.partition("/")
    request.page_size, request.page_token = 100, token
    with api.build_kaggle_client() as kaggle:
        return kaggle.kernels.kernels_api_client.list_kernel_session_output(request)


def kernel_logs(api: Any, ref: str) -> str:
    return _session(api, ref, "").log or ""


def kernel_output(api: Any, ref: str, folder: str, names: list[str] | None = None) -> list[str]:
    """Every output file and the log, or the files `names` alone.

    The client's own method writes error pages as files and follows `../`.
    """
    root = Path(folder)
    log = "" if names is not None else kernel_logs(api, ref)
    saved = []
    for one in all_pages(lambda token: _session(api, ref, token), "files"):
        if names is not None and one.file_name not in names:
            continue
        target = root / _safe(one.file_name)
        target.parent.mkdir(parents=True, exist_ok=True)
        _fetch(one.url, target)
        saved.append(str(target))
    if log:
        target = root / f"{ref.rpartition('/')[2]}.log"
        target.write_text(log, encoding="utf-8")
        saved.append(str(target))
    return saved


def _safe(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    inside = path.parts and not path.is_absolute() and ".." not in path.parts
    if not inside or "\\" in name or not name.isprintable():
        raise Unusable("shape", f"an output file has the name {name!r}, which leads elsewhere")
    return path


def _fetch(url: str, target: Path) -> None:
    import requests

    handle, temp = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file, requests.get(url, stream=True) as response:
            response.raise_for_status()
            size = 0
            for block in response.iter_content(1 << 20):
                size += file.write(block)
                if size > MOST_OUTPUT_BYTES:
                    raise Unusable("shape", f"{target.name} is larger than {MOST_OUTPUT_BYTES} bytes")
        os.replace(temp, target)
    finally:
        Path(temp).unlink(missing_ok=True)


def dataset_status(api: Any, ref: str) -> str | None:
    """None when there is no such dataset."""
    from requests.exceptions import HTTPError

    try:
        return str(api.dataset_status(ref))
    except HTTPError as error:
        if error.response is not None and error.response.status_code in (403, 404):
            return None
        raise


def create_dataset(api: Any, folder: str) -> str:
    """A private dataset of `folder`, as dataset-metadata.json says; its ref."""
    return _dataset(api.dataset_create_new(folder, public=False, quiet=True, convert_to_csv=False, dir_mode="zip"))


def version_dataset(api: Any, folder: str, notes: str) -> str:
    return _dataset(api.dataset_create_version(folder, notes, quiet=True, convert_to_csv=False, dir_mode="zip"))


def _dataset(done: Any) -> str:
    if done.error or (done.status or "").lower() == "error":
        raise Unusable("local", done.error or "Kaggle did not say why")
    return str(done.ref)


def quota(api: Any) -> dict[str, Any]:
    found = api.quota_view()
    gpu = found.gpu_quota
    hours = [one.total_seconds() / 3600 if one else 0.0 for one in (gpu.time_used, gpu.total_time_allowed)]
    return {"gpu_used_h": hours[0], "gpu_total_h": hours[1], "refresh": iso(found.quota_refresh_time)}


CALLS: dict[str, Callable[..., Any]] = {
    work.__name__: work
    for work in (
        notebooks, notebook_source, topics, topic_messages, push_kernel, kernel_status, kernel_logs, kernel_output,
        dataset_status, create_dataset, version_dataset, quota,
    )
}  # fmt: skip
