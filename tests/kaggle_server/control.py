"""What a test tells the server and asks it: JSON at /control/VERB, straight to its port."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from tests.kaggle_server import kernels, submissions
from tests.kaggle_server.site import Competition, Site
from tests.kaggle_server.wire import Refusal

Body = dict[str, Any]
Verb = Callable[[Site, Body], Any]


def settings(site: Site, body: Body) -> Any:
    known = {field.name for field in fields(site.settings)}
    for name, value in body.items():
        if name not in known:
            raise Refusal(400, f"no setting {name}")
        setattr(site.settings, name, value)
    return {name: getattr(site.settings, name) for name in known}


def user(site: Site, body: Body) -> Any:
    """{"name", "key", "token", "refresh"}: a person; {"name"} alone takes the credentials away."""
    site.users[body["name"]] = {name: value for name, value in body.items() if name != "name"}
    return {}


def competition(site: Site, body: Body) -> Any:
    """A new competition, or other settings for a known one."""
    known = site.competitions.get(body["slug"])
    if known is None:
        site.competitions[body["slug"]] = Competition(**body)
        return {}
    for name, value in body.items():
        if name not in {field.name for field in fields(Competition)}:
            raise Refusal(400, f"a competition has no {name}")
        setattr(known, name, value)
    return {}


def plan(site: Site, body: Body) -> Any:
    """{"method", "faults": [...], "always"}: see faults.py."""
    site.faults.plan(body["method"], body["faults"], body.get("always", False))
    return {}


def clear(site: Site, body: Body) -> Any:
    site.faults.clear(body.get("method", ""))
    return {}


def human(site: Site, body: Body) -> Any:
    """{"slug", "file_name", "text", "description", "user", "at"}: someone submits on the website."""
    entered = site.competition(body["slug"])
    made = datetime.fromisoformat(body["at"]).astimezone(UTC) if body.get("at") else None
    name, text, words = body.get("file_name", "submission.csv"), body.get("text", ""), body.get("description", "")
    new = submissions.add(site, entered, body.get("user", "human"), name, text.encode(), words, made)
    return {"ref": new.ref}


def made(site: Site, body: Body) -> Any:
    """Every submission of {"slug"}, oldest first, as the server keeps it."""
    kept = []
    for one in site.competition(body["slug"]).submissions:
        names = ("ref", "user", "description", "file_name", "status", "public", "private", "error", "kernel")
        kept.append(
            {name: getattr(one, name) for name in names} | {"made": one.made.isoformat(), "bytes": len(one.data)}
        )
    return kept


def kernel(site: Site, body: Body) -> Any:
    """A kernel that someone published: the fields of kernels.Kernel."""
    site.kernels[body["ref"]] = kernels.Kernel(**body)
    return {}


def outcomes(site: Site, body: Body) -> Any:
    """{"ref", "runs": [...]}: how the next runs of a kernel end ("*": of any); see kernel_runs.begin."""
    site.outcomes.setdefault(body["ref"], []).extend(body["runs"])
    return {}


def runs(site: Site, body: Body) -> Any:
    """Every version of {"ref"}: what was pushed, and how its session stands."""
    found = site.kernels[body["ref"]].runs
    return [
        {"number": run.number, "request": run.request, "ended": run.ended is not None, "status": run.status}
        for run in found
    ]


def dataset(site: Site, body: Body) -> Any:
    """{"ref"}: its versions, oldest first; with "failed" the newest never gets ready."""
    found = site.datasets[body["ref"]]
    found.versions[-1].failed = body.get("failed", found.versions[-1].failed)
    return [
        {
            "notes": version.notes,
            "files": sorted(
                path.relative_to(version.folder).as_posix() for path in version.folder.rglob("*") if path.is_file()
            ),
        }
        for version in found.versions
    ]


def log(site: Site, body: Body) -> Any:
    return site.log[body.get("since", 0) :]


def leaks(site: Site, body: Body) -> Any:
    return site.leaks


def now(site: Site, body: Body) -> Any:
    return site.now().isoformat()


VERBS: dict[str, Verb] = {
    verb.__name__: verb
    for verb in (
        *(settings, user, competition, plan, clear, human, made),
        *(kernel, outcomes, runs, dataset),
        *(log, leaks, now),
    )
}


def act(site: Site, verb: str, body: Body) -> Any:
    if verb not in VERBS:
        raise Refusal(404, f"no verb {verb}; there are {', '.join(VERBS)}")
    return VERBS[verb](site, body)
