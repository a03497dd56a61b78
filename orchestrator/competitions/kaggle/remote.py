"""What the client's process does for each call, competitions and their submissions; imported by `child` alone.

A call takes the signed-in client and plain arguments and gives plain data: names as in `records`, times as ISO text.
"""

from __future__ import annotations

import contextlib
import csv
import io
import math
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PAGE = 100
MOST_PAGES = 200
MOST_BOARD_BYTES = 256 << 20


class Unusable(Exception):
    """Something that no exception of the client tells; `kind` as in errors.Failure."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


def official() -> Any:
    """The real client, not signed in: this process has no credentials where it looks for them."""
    from kaggle.api.kaggle_api_extended import KaggleApi

    class Client(KaggleApi):
        """Notes what the plain methods don't tell: the names of downloads, files that an upload left out."""

        saved = ""

        def download_file(self, response: Any, outfile: str, *arguments: Any, **options: Any) -> None:
            self.saved = outfile
            super().download_file(response, outfile, *arguments, **options)

        def download_needed(self, response: Any, outfile: str, quiet: bool = True) -> bool:
            self.saved = outfile
            return bool(super().download_needed(response, outfile, quiet))

        def upload_files(self, request: Any, resources: Any, folder: str, *arguments: Any, **options: Any) -> None:
            super().upload_files(request, resources, folder, *arguments, **options)
            wanted = [name for name in os.listdir(folder) if not name.endswith("-metadata.json")]
            if len(request.files or []) != len(wanted):
                raise Unusable("network", f"only {len(request.files or [])} of {len(wanted)} files could be uploaded")

    _take_unknown_words()
    client = Client()
    client.config_values = {}
    return client


def _take_unknown_words() -> None:
    """A status that this client does not know yet counts as its first one, which is to wait, instead of an error."""
    from kagglesdk.kaggle_object import EnumSerializer

    known = getattr(EnumSerializer, "_from_str", None)
    if known is None:
        return

    def lenient(kind: Any, word: Any) -> Any:
        try:
            return known(kind, word)
        except (KeyError, AttributeError):
            return next(iter(kind))

    EnumSerializer._from_str = staticmethod(lenient)


def probe(api: Any, one: dict[str, str]) -> str:
    """Sign in with one credential; why it is not accepted, or nothing. Raises what the network raises."""
    api.config_values = {}
    if one["kind"] == "token":
        return _probe_token(api, one["secret"])
    if one["kind"] == "oauth":
        return _probe_oauth(api, one["secret"])
    api.config_values = {api.CONFIG_NAME_USER: one["username"], api.CONFIG_NAME_KEY: one["secret"]}
    small_answer(api)
    return ""


def _probe_token(api: Any, token: str) -> str:
    from kagglesdk.security.types.oauth_service import IntrospectTokenRequest

    api.config_values = {api.CONFIG_NAME_TOKEN: token}
    request = IntrospectTokenRequest()
    request.token = token
    with api.build_kaggle_client() as kaggle:
        found = kaggle.security.oauth_client.introspect_token(request)
    if not found.active or not found.username:
        return "expired or revoked"
    api.config_values[api.CONFIG_NAME_USER] = found.username
    return ""


def _probe_oauth(api: Any, text: str) -> str:
    from kagglesdk import KaggleCredentials

    path = Path("~/.kaggle/credentials.json").expanduser()
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    try:
        with api.build_kaggle_client() as kaggle:
            stored = KaggleCredentials.load(client=kaggle)
            token = stored.get_access_token() if stored else None
    finally:
        path.unlink(missing_ok=True)
    return _probe_token(api, token) if token else "it holds no token"


def small_answer(api: Any) -> None:
    """The cheapest call that needs an account."""
    api.competitions_list(group="entered", page_size=1)


def iso(value: Any) -> str | None:
    """The client's times are UTC without saying so; its zero is no time."""
    return value.replace(tzinfo=UTC).isoformat() if isinstance(value, datetime) and value.year > 1970 else None


def competition(api: Any, slug: str) -> dict[str, Any]:
    from kagglesdk.competitions.types.competition_api_service import ApiGetCompetitionRequest

    request = ApiGetCompetitionRequest()
    request.competition_name = slug
    with api.build_kaggle_client() as kaggle:
        found = kaggle.competitions.competition_api_client.get_competition(request)
    return {
        "slug": (found.ref or slug).rstrip("/").rpartition("/")[2] or slug,
        "title": found.title,
        "url": found.url or found.ref,
        "metric": found.evaluation_metric,
        "deadline": iso(found.deadline),
        "daily_limit": found.max_daily_submissions,
        "code_only": found.is_kernels_submissions_only,
        "entered": found.user_has_entered,
        "submissions_disabled": found.submissions_disabled,
    }


def pages(api: Any, slug: str) -> dict[str, str]:
    return {page.name: page.content for page in api.competition_list_pages(slug) or []}


def all_pages(ask: Callable[[str], Any], items: str) -> Iterator[Any]:
    """The items of every page; raises Unusable where there is no end."""
    token = ""
    for _ in range(MOST_PAGES):
        response = ask(token)
        yield from getattr(response, items) or []
        token = response.next_page_token or ""
        if not token:
            return
    raise Unusable("shape", f"more than {MOST_PAGES} pages")


def files(api: Any, slug: str) -> list[dict[str, Any]]:
    found = all_pages(lambda token: api.competition_list_files(slug, page_token=token, page_size=PAGE), "files")
    return [{"name": one.name, "bytes": one.total_bytes, "created": iso(one.creation_date)} for one in found]


def download(api: Any, slug: str, name: str | None, folder: str) -> str:
    """One download by the client, which goes on where an earlier one of the same file stopped; the file's path."""
    api.saved = ""
    if name is None:
        api.competition_download_files(slug, path=folder, quiet=True)
    else:
        api.competition_download_file(slug, name, path=folder, quiet=True)
    return str(api.saved)


def submission_limits(api: Any, slug: str) -> dict[str, int]:
    found = api.competition_get_submission_limits(slug)
    return {"used_today": found.num_today, "allowed_now": found.num_allowed_now}


def submissions(api: Any, slug: str) -> list[dict[str, Any]]:
    """Every page, by token where the server gives one and by number where it only gives full pages."""
    from kagglesdk.competitions.types.competition_api_service import ApiListSubmissionsRequest

    found: dict[int, Any] = {}
    token, number = "", 1
    for _ in range(MOST_PAGES):
        request = ApiListSubmissionsRequest()
        request.competition_name = slug
        request.page_size, request.page_token = PAGE, token
        if not token:
            request.page = number
        with api.build_kaggle_client() as kaggle:
            response = kaggle.competitions.competition_api_client.list_submissions(request)
        page = {one.ref: one for one in response.submissions or []}
        news = set(page) - set(found)
        found.update(page)
        token, number = response.next_page_token or "", number + 1
        if not token and (len(page) < PAGE or not news):
            return [_submission(one) for one in found.values()]
    raise Unusable("shape", f"more than {MOST_PAGES} pages of submissions")


def _submission(one: Any) -> dict[str, Any]:
    return {
        "ref": str(one.ref),
        "description": one.description,
        "when": one.date.replace(tzinfo=UTC).isoformat(),
        "status": one.status.name.lower(),
        "public_score": number_or_none(one.public_score),
        "file_name": one.file_name,
        "total_bytes": one.total_bytes,
        "error": one.error_description,
    }


def number_or_none(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def upload(api: Any, slug: str, csv: str, file_name: str) -> str:
    """Bring a file to where a submission can name it; its token. Counts for nothing, so it may be repeated."""
    from kaggle.models.kaggle_models_extended import ResumableUploadResult
    from kagglesdk.competitions.types.competition_api_service import ApiStartSubmissionUploadRequest

    request = ApiStartSubmissionUploadRequest()
    request.competition_name, request.file_name = slug, file_name
    request.content_length = os.path.getsize(csv)
    request.last_modified_epoch_seconds = int(os.path.getmtime(csv))
    with api.build_kaggle_client() as kaggle:
        started = kaggle.competitions.competition_api_client.start_submission_upload(request)
    if api.upload_complete(csv, started.create_url, True) != ResumableUploadResult.COMPLETE:
        raise Unusable("network", "the file could not be brought to Kaggle's storage")
    return str(started.token)


def create_submission(api: Any, slug: str, token: str, description: str) -> int:
    from kagglesdk.competitions.types.competition_api_service import ApiCreateSubmissionRequest

    request = ApiCreateSubmissionRequest()
    request.competition_name, request.blob_file_tokens = slug, token
    request.submission_description = description
    with api.build_kaggle_client() as kaggle:
        return int(kaggle.competitions.competition_api_client.create_submission(request).ref)


def submit_kernel(api: Any, slug: str, kernel: str, version: int, file_name: str, description: str) -> int:
    return int(api.competition_submit_code(file_name, description, slug, kernel, version, quiet=True).ref)


def leaderboard(api: Any, slug: str) -> list[dict[str, Any]]:
    """The whole board from its download; the pages of its view where that can't be had."""
    from requests.exceptions import HTTPError

    try:
        rows = _downloaded_board(api, slug)
    except (HTTPError, zipfile.BadZipFile, KeyError, ValueError, UnicodeDecodeError):
        rows = []
    return rows or _viewed_board(api, slug)


def _downloaded_board(api: Any, slug: str) -> list[dict[str, Any]]:
    folder = tempfile.mkdtemp()
    try:
        api.competition_leaderboard_download(slug, folder, quiet=True)
        with zipfile.ZipFile(Path(folder) / f"{slug}.zip") as archive:
            name = next(one for one in archive.infolist() if one.filename.lower().endswith(".csv"))
            if name.file_size > MOST_BOARD_BYTES:
                raise ValueError("the leaderboard is too large")
            with archive.open(name) as file:
                text = file.read(MOST_BOARD_BYTES + 1).decode("utf-8-sig")
    except StopIteration:
        return []
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    rows = []
    for row in csv.DictReader(io.StringIO(text)):
        score = number_or_none(row["Score"])
        if score is not None:
            rows.append({"rank": int(float(row["Rank"])), "team": row["TeamName"], "score": score})
    return rows


def _viewed_board(api: Any, slug: str) -> list[dict[str, Any]]:
    from kagglesdk.competitions.types.competition_api_service import ApiGetLeaderboardRequest

    def ask(token: str) -> Any:
        request = ApiGetLeaderboardRequest()
        request.competition_name, request.page_size, request.page_token = slug, PAGE, token
        with api.build_kaggle_client() as kaggle:
            return kaggle.competitions.competition_api_client.get_leaderboard(request)

    rows: list[dict[str, Any]] = []
    for one in all_pages(ask, "submissions"):
        score = number_or_none(one.score)
        if score is not None:
            rows.append({"rank": len(rows) + 1, "team": one.team_name, "score": score})
    return rows


def whoami(api: Any) -> str:
    return str(api.config_values.get(api.CONFIG_NAME_USER) or "")


def server_time(api: Any) -> None:
    """Ask for something small: the Date of the answer, whatever else it says, goes along with every reply."""
    from requests.exceptions import HTTPError

    with contextlib.suppress(HTTPError):
        small_answer(api)


CALLS: dict[str, Callable[..., Any]] = {
    work.__name__: work
    for work in (
        competition, pages, files, download, submission_limits, submissions, upload, create_submission, submit_kernel,
        leaderboard, whoami, server_time,
    )
}  # fmt: skip
