"""Submissions: the upload, the rules at the door, the daily limit, scores after some polls, the listing."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tests.kaggle_server import scoring, storage
from tests.kaggle_server.site import Competition, Site, Submission
from tests.kaggle_server.wire import Call, Refusal, Reply, paged, rpc, timestamp

SERVICE = "competitions.CompetitionApiService"
DENIED = "Permission 'competitions.participate' was denied"
NOT_ALLOWED = "Submission not allowed:  "
ENTERED = "Successfully submitted to {title}"


@rpc(SERVICE, "StartSubmissionUpload")
def start(site: Site, call: Call) -> dict[str, Any]:
    joined(site, call)
    upload = storage.start_upload(site, call.text("fileName"), call.number("contentLength"))
    return {"token": upload.token, "createUrl": storage.upload_url(upload)}


@rpc(SERVICE, "CreateSubmission")
def create(site: Site, call: Call) -> dict[str, Any]:
    competition = joined(site, call)
    upload = site.uploads.get(call.text("blobFileTokens"))
    if upload is None or not upload.done:
        raise Refusal(400, f"{NOT_ALLOWED}The uploaded file was not found.", "FAILED_PRECONDITION")
    if competition.code_only:
        raise not_allowed("This competition only accepts Submissions from Notebooks")
    if competition.required_name and upload.name != competition.required_name:
        raise not_allowed(f'Submission files must be named "{competition.required_name}" for this Competition.')
    check_allowance(site, competition)
    made = add(site, competition, call.user, upload.name, upload.data, call.text("submissionDescription"))
    made.sandbox = bool(call.body.get("sandbox"))
    return {"message": ENTERED.format(title=competition.title or competition.slug), "ref": made.ref}


@rpc(SERVICE, "ListSubmissions")
def listing(site: Site, call: Call) -> dict[str, Any]:
    competition = joined(site, call)
    shown = [made for made in competition.submissions if _listed(site, made)]
    if "SUCCESSFUL" in call.text("group"):
        shown = [made for made in shown if made.status == "COMPLETE"]
    shown.sort(key=lambda made: (made.made, made.ref), reverse=not site.settings.reorder_listing)
    page, token = paged(shown, call)
    for made in page:
        _look(competition, made)
    return {"submissions": [_described(made) for made in page], "nextPageToken": token}


@rpc(SERVICE, "GetSubmission")
def get(site: Site, call: Call) -> dict[str, Any]:
    competition, made = _found(site, call.number("ref"))
    _look(competition, made)
    return _described(made)


@rpc(SERVICE, "DownloadSubmission")
def download(site: Site, call: Call) -> Reply:
    _, made = _found(site, call.number("submissionId"))
    path = site.folder / "submissions" / str(made.ref) / (made.file_name.rpartition("/")[2] or "submission.csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(made.data)
    return storage.redirect(site, path, f"submissions/{made.ref}/{path.name}")


@rpc(SERVICE, "GetSubmissionLimits")
def limits(site: Site, call: Call) -> dict[str, Any]:
    competition = joined(site, call)
    old_enough = site.now() - timedelta(seconds=site.settings.limits_lag_s)
    today = len(used_today(competition, site.now(), old_enough))
    allowed = 0 if competition.submissions_disabled else max(competition.daily_limit - today, 0)
    counts = {"numToday": today, "numTotal": len(competition.submissions), "numAllowedNow": allowed}
    return {**counts, "limitedByTotal": False}


def add(
    site: Site, competition: Competition, user: str, name: str, data: bytes, description: str,
    made: datetime | None = None, kernel: str = "",
) -> Submission:  # fmt: skip
    """A submission that is accepted, whoever made it."""
    ref = 40_000_000 + site.next("submission")
    new = Submission(ref, competition.slug, user, made or site.now(), description, name, data, kernel=kernel)
    new.polls_left = site.settings.polls_to_score
    new.hidden_polls = site.settings.listing_lag_polls
    competition.submissions.append(new)
    return new


def used_today(competition: Competition, now: datetime, made_before: datetime | None = None) -> list[Submission]:
    """Submissions that count against the allowance of the UTC day of `now`."""
    return [
        made
        for made in competition.submissions
        if made.made.date() == now.date()
        and made.status != "ERROR"
        and not made.sandbox
        and (made_before is None or made.made <= made_before)
    ]


def check_allowance(site: Site, competition: Competition) -> None:
    """Raises Refusal for a competition that takes nothing (more) now."""
    if competition.submissions_disabled:
        raise not_allowed("Submissions have been disabled for this competition.")
    now, limit = site.now(), competition.daily_limit
    if len(used_today(competition, now)) < limit:
        return
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    hours = (midnight - now).total_seconds() / 3600
    raise not_allowed(
        f"Your team has used its daily Submission allowance ({limit}) today, "
        f"please try again tomorrow UTC ({hours:.1f} hours from now)."
    )


def not_allowed(reason: str) -> Refusal:
    """The refusal of a submission, in Kaggle's words."""
    return Refusal(400, NOT_ALLOWED + reason, "FAILED_PRECONDITION")


def joined(site: Site, call: Call) -> Competition:
    """The competition of a call; Refusal for people who have not joined it, or can't."""
    found = site.competitions.get(call.text("competitionName"))
    if found is None or not found.entered:
        raise Refusal(403, DENIED)
    if found.phone_needed:
        raise Refusal(403, "You must verify your phone number before you can take part in this competition.")
    return found


def _found(site: Site, ref: int) -> tuple[Competition, Submission]:
    for competition in site.competitions.values():
        for made in competition.submissions:
            if made.ref == ref:
                return competition, made
    raise Refusal(404, "Submission not found")


def _listed(site: Site, made: Submission) -> bool:
    if made.hidden_polls > 0:
        made.hidden_polls -= 1
        return False
    return site.now() >= made.made + timedelta(seconds=site.settings.listing_lag_s)


def _look(competition: Competition, made: Submission) -> None:
    """One poll nearer to its score."""
    if made.status != "PENDING":
        return
    if made.polls_left > 0:
        made.polls_left -= 1
        return
    try:
        public, private = scoring.score(competition.scoring, made.data)
    except scoring.Bad as error:
        made.status, made.error = "ERROR", str(error)
        return
    made.status, made.public, made.private = "COMPLETE", f"{public:.5f}", f"{private:.5f}"


def _described(made: Submission) -> dict[str, Any]:
    return {
        "ref": made.ref,
        "totalBytes": len(made.data),
        "date": timestamp(made.made),
        "description": made.description,
        "errorDescription": made.error,
        "fileName": made.file_name,
        "publicScore": made.public,
        "privateScore": "",
        "status": made.status,
        "submittedBy": made.user,
        "submittedByRef": f"/{made.user}",
        "teamName": made.user,
        "url": f"https://www.kaggle.com/submissions/{made.ref}/{made.ref}.raw",
    }
