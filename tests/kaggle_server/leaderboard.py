"""The public leaderboard: other teams, and ours with its best score."""

from __future__ import annotations

import csv
import io
import zipfile
from datetime import datetime
from typing import Any

from tests.kaggle_server.site import Competition, Site
from tests.kaggle_server.wire import Call, Reply, paged, rpc, timestamp

SERVICE = "competitions.CompetitionApiService"
COLUMNS = ["Rank", "TeamId", "TeamName", "LastSubmissionDate", "Score", "SubmissionCount", "TeamMemberUserNames"]
LONG_AGO = datetime(2024, 6, 1, 12, 0, 0)


@rpc(SERVICE, "GetLeaderboard")
def view(site: Site, call: Call) -> dict[str, Any]:
    rows, token = paged(_rows(site.competition(call.text("competitionName"))), call)
    shown = [
        {"teamId": row["id"], "teamName": row["team"], "submissionDate": row["date"], "score": row["score"]}
        for row in rows
    ]
    return {"submissions": shown, "nextPageToken": token}


@rpc(SERVICE, "DownloadLeaderboard")
def download(site: Site, call: Call) -> Reply:
    competition = site.competition(call.text("competitionName"))
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for rank, row in enumerate(_rows(competition), start=1):
        date = row["date"].replace("T", " ").partition(".")[0].rstrip("Z")
        writer.writerow([rank, row["id"], row["team"], date, row["score"], row["entries"], row["members"]])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        name = f"{competition.slug}-publicleaderboard-{site.now():%Y-%m-%dT%H:%M:%S}.csv"
        archive.writestr(name, "\ufeff" + text.getvalue())
    return Reply(200, packed.getvalue(), {"Content-Type": "application/zip"})


def _rows(competition: Competition) -> list[dict[str, Any]]:
    """Best first: id, team, date, score as text, entries, members."""
    rows = [
        {
            "id": 1000 + number,
            "team": team["team"],
            "date": team.get("date", timestamp(LONG_AGO)),
            "score": str(team["score"]),
            "entries": team.get("entries", 1),
            "members": team.get("members", f"member{number}"),
        }
        for number, team in enumerate(competition.leaderboard)
    ]
    rows += _ours(competition)
    return sorted(rows, key=lambda row: float(row["score"]), reverse=competition.maximize)


def _ours(competition: Competition) -> list[dict[str, Any]]:
    scored = [made for made in competition.submissions if made.status == "COMPLETE" and not made.sandbox]
    if not scored:
        return []
    best = (max if competition.maximize else min)(float(made.public) for made in scored)
    last = max(made.made for made in scored)
    user = scored[-1].user
    row = {"id": 999, "team": user, "date": timestamp(last), "score": f"{best:.5f}"}
    return [{**row, "entries": len(competition.submissions), "members": user}]
