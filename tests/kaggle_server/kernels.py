"""Kernels: lists, sources, pushes with their refusals, sessions, outputs, logs, quota, submissions from a version."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from tests.kaggle_server import datasets, kernel_runs, storage, submissions
from tests.kaggle_server.kernel_runs import Run
from tests.kaggle_server.site import Site
from tests.kaggle_server.wire import Call, Refusal, Reply, json_reply, paged, rpc, timestamp

SERVICE = "kernels.KernelsApiService"
DENIED = "Permission 'kernels.get' was denied"
STILL_RUNNING = "Notebook is still running. Did not find provided Notebook Output File."


@dataclass
class Kernel:
    """A kernel, pushed or defined by the control; `runs` are the versions that were pushed."""

    ref: str
    title: str = ""
    source: str = ""
    language: str = "python"
    kernel_type: str = "script"
    votes: int = 0
    score: float | None = None
    last_run: str = "2024-05-01T10:00:00.0000000Z"
    author: str = ""
    private: bool = False
    competitions: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    stale_polls: int = 0

    @property
    def slug(self) -> str:
        return self.ref.partition("/")[2]

    @property
    def owner(self) -> str:
        return self.ref.partition("/")[0]


@rpc(SERVICE, "ListKernels")
def listing(site: Site, call: Call) -> dict[str, Any]:
    found = [kernel for kernel in site.kernels.values() if _matches(kernel, call)]
    order = call.text("sortBy")
    if order == "VOTE_COUNT":
        found.sort(key=lambda kernel: -kernel.votes)
    elif order.startswith("SCORE_"):
        found = [kernel for kernel in found if kernel.score is not None]
        found.sort(key=lambda kernel: kernel.score, reverse=order.endswith("DESCENDING"))
    elif order.startswith("DATE_"):
        found.sort(key=lambda kernel: str(kernel.last_run), reverse=True)
    page, token = paged(found, call, most=100)
    return {"kernels": [_described(kernel) for kernel in page], "nextPageToken": token}


@rpc(SERVICE, "GetKernel")
def get(site: Site, call: Call) -> dict[str, Any]:
    slug, _, version = call.text("kernelSlug").partition("/")
    kernel = _kernel(site, call, slug)
    source = kernel.source
    if version:
        if not 1 <= int(version) <= len(kernel.runs):
            raise Refusal(404, "Kernel version not found")
        source = kernel.runs[int(version) - 1].source
    blob = {"source": source, "language": kernel.language, "kernelType": kernel.kernel_type, "slug": kernel.slug}
    return {"metadata": _described(kernel), "blob": blob}


@rpc(SERVICE, "SaveKernel")
def save(site: Site, call: Call) -> dict[str, Any]:
    ref, title = call.text("slug"), call.text("newTitle")
    if ref.partition("/")[0] != call.user:
        raise Refusal(403, "Permission 'kernels.update' was denied")
    if title and re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") != ref.partition("/")[2]:
        raise Refusal(409, f'The title "{title}" does not fit the slug "{ref}"')
    runs_it = "QUICK_SAVE" not in call.text("kernelExecutionType")
    gpu = bool(call.body.get("enableGpu")) or call.text("machineShape").lower().startswith("nvidia")
    if gpu and runs_it and (refusal := _gpu_refusal(site, call.user)):
        return {"ref": "", "url": "", "error": refusal}
    kernel = site.kernels.setdefault(ref, Kernel(ref, author=call.user))
    kernel.title, kernel.source = title or kernel.title, call.text("text")
    kernel.language, kernel.kernel_type = call.text("language"), call.text("kernelType")
    kernel.private, kernel.last_run = bool(call.body.get("isPrivate")), timestamp(site.now())
    kernel.competitions = list(call.body.get("competitionDataSources", []))
    number = len(kernel.runs) + 1
    run = Run(number, kernel.source, site.folder / "kernels" / ref / str(number), gpu, dict(call.body))
    kernel.stale_polls = site.settings.kernel_stale_polls if kernel.runs else 0
    kernel.runs.append(run)
    if runs_it:
        outcomes = site.outcomes.get(ref) or site.outcomes.get("*") or []
        kernel_runs.begin(site, run, outcomes.pop(0) if outcomes else None)
    else:
        run.ended = run.started  # a version without a session holds no GPU
    sources = call.body.get("datasetDataSources", [])
    entered = call.body.get("competitionDataSources", [])
    return {
        "ref": f"/code/{ref}",
        "url": f"https://www.kaggle.com/code/{ref}",
        "versionNumber": number,
        "error": "",
        "kernelId": 7_000_000 + list(site.kernels).index(ref),
        "invalidDatasetSources": [source for source in sources if not datasets.is_ready(site, source)],
        "invalidCompetitionSources": [slug for slug in entered if slug not in site.competitions],
        "invalidKernelSources": [one for one in call.body.get("kernelDataSources", []) if one not in site.kernels],
    }


@rpc(SERVICE, "GetKernelSessionStatus")
def session_status(site: Site, call: Call) -> dict[str, Any]:
    kernel = _kernel(site, call, call.text("kernelSlug"))
    run = _session(kernel)
    if kernel.stale_polls > 0:
        kernel.stale_polls -= 1
    told = kernel_runs.status(site, run)
    return {"status": told, **({"failureMessage": run.failure} if run.failure and run.ended else {})}


@rpc(SERVICE, "ListKernelSessionOutput")
def session_output(site: Site, call: Call) -> dict[str, Any]:
    kernel = _kernel(site, call, call.text("kernelSlug"))
    run = _session(kernel)
    if run.ended is None:
        return {"files": [], "log": "", "nextPageToken": ""}
    page, token = paged(list(run.files().items()), call)
    place = f"kernels/{kernel.ref}/{run.number}"
    files = [{"url": storage.sign(site, path, f"{place}/{path.name}"), "fileName": name} for name, path in page]
    return {"files": files, "log": run.log(), "nextPageToken": token}


@rpc(SERVICE, "ListKernelFiles")
def session_files(site: Site, call: Call) -> dict[str, Any]:
    run = _session(_kernel(site, call, call.text("kernelSlug")))
    page, token = paged(list(run.files().items()) if run.ended else [], call)
    now = timestamp(site.now())
    files = [{"name": name, "size": path.stat().st_size, "creationDate": now} for name, path in page]
    return {"files": files, "nextPageToken": token}


@rpc(SERVICE, "GetAcceleratorQuotaStatistics")
def quota(site: Site, call: Call) -> dict[str, Any]:
    now, settings = site.now(), site.settings
    saturday = (now + timedelta(days=(5 - now.weekday()) % 7 or 7)).replace(hour=0, minute=0, second=0, microsecond=0)
    return {
        "quotaRefreshTime": timestamp(saturday),
        "gpuQuota": _quota(settings.gpu_used_hours, settings.gpu_hours),
        "tpuQuota": _quota(0.0, settings.tpu_hours),
    }


@rpc(submissions.SERVICE, "CreateCodeSubmission")
def submit(site: Site, call: Call) -> dict[str, Any]:
    competition = submissions.joined(site, call)
    ref, name = f"{call.text('kernelOwner')}/{call.text('kernelSlug')}", call.text("fileName")
    kernel: Kernel | None = site.kernels.get(ref)
    number = call.number("kernelVersion", len(kernel.runs) if kernel else 0)
    if kernel is None or not 1 <= number <= len(kernel.runs):
        raise Refusal(404, "Notebook version not found")
    if competition.required_name and name != competition.required_name:
        raise submissions.not_allowed(
            f'Submission files must be named "{competition.required_name}" for this Competition.'
        )
    run = kernel.runs[number - 1]
    path = run.files().get(name)
    if run.ended is None:
        raise submissions.not_allowed(STILL_RUNNING)
    if run.status != "COMPLETE" or path is None:
        raise submissions.not_allowed("Did not find provided Notebook Output File.")
    submissions.check_allowance(site, competition)
    words = call.text("submissionDescription")
    made = submissions.add(site, competition, call.user, name, path.read_bytes(), words, kernel=f"{ref}/{number}")
    return {"message": f"Successfully submitted to {competition.title or competition.slug}", "ref": made.ref}


def log_stream(site: Site, owner: str, slug: str, user: str) -> Reply:
    """The live log as events, once the run is at its end; the stored log when it had ended before."""
    with site.lock:
        kernel: Kernel | None = site.kernels.get(f"{owner}/{slug}")
        if kernel is None or (kernel.private and kernel.owner != user) or not kernel.runs:
            raise Refusal(403, DENIED)
        run = _session(kernel)
    if run.ended is not None or not kernel_runs.in_process(site, run):
        return json_reply(run.events)
    while run.ended is None:
        time.sleep(0.05)
    lines = [f"data: {json_reply(event).body.decode()}\n\n" for event in run.events]
    text = "".join([*lines, "data: END_OF_LOG\n\n"])
    return Reply(200, text.encode(), {"Content-Type": "text/event-stream"})


def _session(kernel: Kernel) -> Run:
    """The latest session, or for a while the one before it."""
    if not kernel.runs:
        raise Refusal(403, DENIED)
    return kernel.runs[-2] if kernel.stale_polls > 0 else kernel.runs[-1]


def _gpu_refusal(site: Site, user: str) -> str:
    limit, settings = site.settings.kernel_sessions, site.settings
    mine = [kernel for kernel in site.kernels.values() if kernel.owner == user]
    active = [run for kernel in mine for run in kernel.runs if run.gpu and run.ended is None]
    if len(active) >= limit:
        return f"Maximum batch GPU session count of {limit} reached."
    if settings.gpu_used_hours >= settings.gpu_hours:
        return f"Maximum weekly GPU quota of {settings.gpu_hours:.2f} hours reached."
    return ""


def _quota(used: float, total: float) -> dict[str, str]:
    seconds = {"timeUsed": used, "timeReserved": 0.0, "totalTimeAllowed": total}
    return {name: f"{round(hours * 3600)}s" for name, hours in seconds.items()}


def _kernel(site: Site, call: Call, slug: str) -> Kernel:
    found: Kernel | None = site.kernels.get(f"{call.text('userName')}/{slug}")
    if found is None or (found.private and found.owner != call.user):
        raise Refusal(403, DENIED)
    return found


def _matches(kernel: Kernel, call: Call) -> bool:
    wanted = {
        "language": kernel.language,
        "kernelType": kernel.kernel_type,
        "user": kernel.owner,
    }
    if any(call.text(key).lower() not in ("", "all", value) for key, value in wanted.items()):
        return False
    competition = call.text("competition")
    mine = call.text("group") == "PROFILE"
    if (mine and kernel.owner != call.user) or (kernel.private and kernel.owner != call.user):
        return False
    return competition in ("", *kernel.competitions) and call.text("search").lower() in kernel.title.lower()


def _described(kernel: Kernel) -> dict[str, Any]:
    request = kernel.runs[-1].request if kernel.runs else {}
    return {
        "id": 7_000_000 + sum(map(ord, kernel.ref)),
        "ref": kernel.ref,
        "title": kernel.title or kernel.slug,
        "author": kernel.author or kernel.owner,
        "slug": kernel.slug,
        "lastRunTime": kernel.last_run,
        "language": kernel.language,
        "kernelType": kernel.kernel_type,
        "isPrivate": kernel.private,
        "enableGpu": bool(request.get("enableGpu")),
        "enableTpu": False,
        "enableInternet": bool(request.get("enableInternet")),
        "categoryIds": kernel.tags,
        "datasetDataSources": request.get("datasetDataSources", []),
        "kernelDataSources": request.get("kernelDataSources", []),
        "competitionDataSources": kernel.competitions,
        "modelDataSources": [],
        "totalVotes": kernel.votes,
        "currentVersionNumber": len(kernel.runs) or 1,
        "machineShape": request.get("machineShape", ""),
    }
