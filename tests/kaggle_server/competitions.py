"""Competitions, their pages and files, and the way to a download."""

from __future__ import annotations

import hashlib
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.kaggle_server import storage
from tests.kaggle_server.site import Competition, Site
from tests.kaggle_server.wire import Call, Refusal, Reply, paged, rpc, timestamp

SERVICE = "competitions.CompetitionApiService"
RULES = "You must accept this competition's rules before you'll be able to download files."


@rpc(SERVICE, "GetCompetition")
def get(site: Site, call: Call) -> dict[str, Any]:
    return _described(site, site.competition(call.text("competitionName")))


@rpc(SERVICE, "ListCompetitions")
def listing(site: Site, call: Call) -> dict[str, Any]:
    words = call.text("search").lower()
    entered = "ENTERED" in call.text("group").upper()
    found = [
        competition
        for competition in site.competitions.values()
        if words in f"{competition.slug} {competition.title}".lower() and (competition.entered or not entered)
    ]
    page, token = paged(found, call)
    return {"competitions": [_described(site, competition) for competition in page], "nextPageToken": token}


@rpc(SERVICE, "ListCompetitionPages")
def pages(site: Site, call: Call) -> dict[str, Any]:
    competition, wanted = site.competition(call.text("competitionName")), call.text("pageName").lower()
    return {
        "pages": [
            {"name": name, "content": content, "mimeType": "text/markdown", "isPublished": True}
            for name, content in competition.pages.items()
            if wanted in ("", name.lower())
        ]
    }


@rpc(SERVICE, "ListDataFiles")
def data_files(site: Site, call: Call) -> dict[str, Any]:
    competition = site.competition(call.text("competitionName"))
    page, token = paged(sorted(files_of(competition).items()), call)
    files = []
    for name, path in page:
        made = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        listed = {"ref": name.rpartition("/")[2], "name": name, "totalBytes": path.stat().st_size}
        files.append({**listed, "creationDate": timestamp(made)})
    return {"files": files, "nextPageToken": token}


@rpc(SERVICE, "DownloadDataFile")
def download_file(site: Site, call: Call) -> Reply:
    competition = _open_for_download(site, call)
    name = call.text("fileName")
    found = files_of(competition).get(name)
    if found is None:
        raise Refusal(404, "File not found")
    return storage.redirect(site, found, f"competitions/{competition.number}/{name}")


@rpc(SERVICE, "DownloadDataFiles")
def download_all(site: Site, call: Call) -> Reply:
    competition = _open_for_download(site, call)
    path = Path(competition.archive) if competition.archive else _zipped(site, competition)
    suffix = "".join(path.suffixes[-2:]) if path.suffixes[-2:-1] == [".tar"] else path.suffix
    return storage.redirect(site, path, f"competitions/{competition.number}/archive{suffix}")


def files_of(competition: Competition) -> dict[str, Path]:
    """Name as listed, with folders → path."""
    folder = Path(competition.folder)
    inside = sorted(folder.rglob("*")) if competition.folder else []
    found = {path.relative_to(folder).as_posix(): path for path in inside if path.is_file()}
    return found | {name: Path(path) for name, path in competition.names.items()}


def _open_for_download(site: Site, call: Call) -> Competition:
    competition = site.competition(call.text("competitionName"))
    if not competition.rules_accepted:
        raise Refusal(403, RULES)
    return competition


def _zipped(site: Site, competition: Competition) -> Path:
    """The same bytes every time, made once for a state of the files."""
    files = files_of(competition)
    state = repr([(name, path.stat().st_mtime_ns, path.stat().st_size) for name, path in sorted(files.items())])
    digest = hashlib.sha256(state.encode()).hexdigest()[:12]
    target = site.folder / "archives" / f"{competition.slug}-{digest}.zip"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, path in sorted(files.items()):
                archive.writestr(zipfile.ZipInfo(name), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return target


def _described(site: Site, competition: Competition) -> dict[str, Any]:
    url = f"https://www.kaggle.com/competitions/{competition.slug}"
    long_ago = "2024-01-01T00:00:00Z"
    return {
        "id": competition.number,
        "ref": url,
        "url": url,
        "title": competition.title or competition.slug.replace("-", " ").title(),
        "description": competition.description,
        "organizationName": "Kaggle",
        "category": competition.category,
        "reward": competition.reward,
        "tags": [{"ref": tag, "name": tag} for tag in competition.tags],
        "deadline": competition.deadline,
        "mergerDeadline": competition.deadline,
        "newEntrantDeadline": competition.deadline,
        "enabledDate": long_ago,
        "dateCreated": long_ago,
        "kernelCount": len(site.kernels),
        "teamCount": len(competition.leaderboard) + 1,
        "userHasEntered": competition.entered,
        "maxDailySubmissions": competition.daily_limit,
        "maxTeamSize": competition.max_team_size,
        "evaluationMetric": competition.metric_text,
        "awardsPoints": competition.awards_points,
        "isKernelsSubmissionsOnly": competition.code_only,
        "submissionsDisabled": competition.submissions_disabled,
        "hostName": "Kaggle",
    }
