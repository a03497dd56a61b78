"""The server itself, below what the client shows: targets in both forms, dates, ranges, uploads in parts, crowds."""

from __future__ import annotations

import base64
import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.kaggle_server.start import KEY, USER, Kaggle

METHOD = "competitions.CompetitionApiService"
BASIC = {"Authorization": "Basic " + base64.b64encode(f"{USER}:{KEY}".encode()).decode()}


def ask(
    server: Kaggle, verb: str, target: str, body: str | bytes = "", headers: dict[str, str] | None = None
) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request(verb, target, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers
    finally:
        connection.close()


def signed_url(server: Kaggle, slug: str, name: str) -> str:
    body = json.dumps({"competitionName": slug, "fileName": name})
    status, _, headers = ask(server, "POST", f"/v1/{METHOD}/DownloadDataFile", body, BASIC)
    assert status == 302
    return headers["Location"]


@pytest.mark.parametrize("place", ["http://localhost/api/v1", "http://api.kaggle.com/v1", "/api/v1", "/v1"])
def test_targets_in_both_forms(server: Kaggle, place: str) -> None:
    server.competition("wire-one")
    status, body, _ = ask(server, "POST", f"{place}/{METHOD}/GetCompetition", '{"competitionName": "wire-one"}', BASIC)
    assert status == 200 and json.loads(body)["url"].endswith("/wire-one")


def test_strangers_may_read_but_not_take_part(server: Kaggle) -> None:
    server.competition("wire-one")
    body = '{"competitionName": "wire-one"}'
    assert ask(server, "POST", f"/v1/{METHOD}/GetCompetition", body)[0] == 200
    assert ask(server, "POST", f"/v1/{METHOD}/ListSubmissions", body)[0] == 401
    wrong = {"Authorization": "Bearer nonsense"}
    assert ask(server, "POST", f"/v1/{METHOD}/GetCompetition", body, wrong)[0] == 401
    assert ask(server, "POST", f"/v1/{METHOD}/NoSuchMethod", body, BASIC)[0] == 404


def test_the_date_of_an_answer_is_the_servers(server: Kaggle) -> None:
    server.settings(clock_frozen_at="2031-03-04T05:06:07+00:00", api_version="9.9.9")
    _, _, headers = ask(server, "POST", f"/v1/{METHOD}/ListCompetitions", "{}")
    assert parsedate_to_datetime(headers["Date"]).isoformat() == "2031-03-04T05:06:07+00:00"
    assert headers["X-Kaggle-ApiVersion"] == "9.9.9"


def test_parts_of_a_file(server: Kaggle, files: Path) -> None:
    server.competition("wire-two", folder=files)
    data = (files / "train.csv").read_bytes()
    url = signed_url(server, "wire-two", "train.csv")
    status, body, headers = ask(server, "GET", url)
    assert (status, body) == (200, data) and headers["Accept-Ranges"] == "bytes"
    for condition in (headers["ETag"], headers["Last-Modified"]):
        asked = {"Range": "bytes=100-", "If-Range": condition}
        status, body, part = ask(server, "GET", url, headers=asked)
        assert (status, body) == (206, data[100:])
        assert part["Content-Range"] == f"bytes 100-{len(data) - 1}/{len(data)}"
    assert ask(server, "GET", url, headers={"Range": "bytes=-7"})[1] == data[-7:]
    assert ask(server, "GET", url, headers={"Range": "bytes=100-", "If-Range": '"old"'})[0] == 200
    assert ask(server, "GET", url, headers={"Range": f"bytes={len(data)}-"})[0] == 416
    assert ask(server, "HEAD", url)[2]["Content-Length"] == str(len(data))
    assert ask(server, "GET", url.replace("Signature=", "Signature=x"))[0] == 403


def test_an_upload_in_parts(server: Kaggle) -> None:
    body = json.dumps({"name": "a.bin", "contentLength": 10})
    started = json.loads(ask(server, "POST", "/v1/blobs.BlobApiService/StartBlobUpload", body, BASIC)[1])
    url = started["createUrl"]
    assert ask(server, "PUT", url, b"", {"Content-Range": "bytes */10"})[0] == 308
    status, _, headers = ask(server, "PUT", url, b"01234", {"Content-Range": "bytes 0-4/10"})
    assert status == 308 and headers["Range"] == "bytes=0-4"
    assert ask(server, "PUT", url, b"56789", {"Content-Range": "bytes 5-9/10"})[0] == 200
    assert ask(server, "PUT", url, b"", {"Content-Range": "bytes */10"})[0] == 200
    assert ask(server, "PUT", url + "x", b"")[0] == 404


def test_what_leaks_is_told(tmp_path: Path, files: Path) -> None:
    from tests.kaggle_server.start import kaggle

    with kaggle(tmp_path / "state") as server:
        server.competition("leaky", folder=files)
        url = signed_url(server, "leaky", "train.csv")
        assert server.leaks() == []
        ask(server, "GET", url, headers=BASIC)
        ask(server, "GET", f"{url}&key={KEY}")
        assert [urlsplit(leak.partition(" ")[2]).path for leak in server.leaks()] == [
            f"storage.kaggle.test{urlsplit(url).path}" for _ in range(2)
        ]


def test_a_crowd(server: Kaggle) -> None:
    server.competition("wire-one")
    before = server.count("GetCompetition")

    def one(_: int) -> int:
        return ask(server, "POST", f"/v1/{METHOD}/GetCompetition", '{"competitionName": "wire-one"}', BASIC)[0]

    with ThreadPoolExecutor(48) as threads:
        assert set(threads.map(one, range(300))) == {200}
    assert server.count("GetCompetition") == before + 300


def test_a_quick_save_holds_no_session(server: Kaggle) -> None:
    server.settings(kernel_sessions=1)
    body = {"slug": "ada/quick-save", "text": "print(1)", "machineShape": "NvidiaTeslaT4", "kernelType": "script"}
    for number in (1, 2):
        sent = json.dumps({**body, "kernelExecutionType": "QUICK_SAVE"})
        said = json.loads(ask(server, "POST", "/v1/kernels.KernelsApiService/SaveKernel", sent, BASIC)[1])
        assert (said["versionNumber"], said["error"]) == (number, "")
    assert [run["ended"] for run in server.runs("ada/quick-save")] == [True, True]
