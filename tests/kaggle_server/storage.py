"""The other hosts: signed downloads with ranges, and uploads that can be resumed. No one signs in here."""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from tests.kaggle_server.site import Site, Upload
from tests.kaggle_server.wire import STORAGE_HOST, UPLOAD_HOST, Reply

_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+)$")


def sign(site: Site, path: Path, name: str) -> str:
    """A URL that gives `path` to whoever holds it, for a while."""
    signature = secrets.token_hex(16)
    now = site.now()
    with site.lock:
        site.signed[signature] = (path, now)
    expires = int((now + timedelta(seconds=site.settings.url_seconds)).timestamp())
    return f"http://{STORAGE_HOST}/kaggle-data/{quote(name)}?Expires={expires}&Signature={signature}"


def redirect(site: Site, path: Path, name: str) -> Reply:
    return Reply(302, b"", {"Location": sign(site, path, name)})


def signature_of(target: str) -> str:
    return parse_qs(urlsplit(target).query).get("Signature", [""])[0]


def get(site: Site, target: str, headers: dict[str, str]) -> Reply:
    """A file, or the part of it that is asked for. Names of `headers` are lower case."""
    signature = signature_of(target)
    with site.lock:
        known = site.signed.get(signature)
        expired = signature in site.expired
    if known is None:
        return _xml(403, "SignatureDoesNotMatch", "The request signature we calculated does not match.")
    path, signed = known
    if expired or site.now() > signed + timedelta(seconds=site.settings.url_seconds):
        return _xml(400, "ExpiredToken", "The provided token has expired.")
    data = path.read_bytes()
    etag = f'"{hashlib.md5(data).hexdigest()}"'
    modified = datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
    common = {
        "ETag": etag,
        "Last-Modified": format_datetime(modified, usegmt=True),
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
    }
    asked = _RANGE.match(headers.get("range", ""))
    if asked is None or not _unchanged(headers.get("if-range", ""), etag, modified):
        return Reply(200, data, common)
    first, last = _limits(asked, len(data))
    if first >= len(data) or first > last:
        return Reply(416, b"", {**common, "Content-Range": f"bytes */{len(data)}"})
    return Reply(206, data[first : last + 1], {**common, "Content-Range": f"bytes {first}-{last}/{len(data)}"})


def start_upload(site: Site, name: str, length: int) -> Upload:
    upload = Upload(secrets.token_hex(16), name, length)
    with site.lock:
        site.uploads[upload.token] = upload
    return upload


def upload_url(upload: Upload) -> str:
    return f"http://{UPLOAD_HOST}/upload/{upload.token}"


def put(site: Site, target: str, headers: dict[str, str], body: bytes) -> Reply:
    """Bytes of an upload: all of them, the rest of them, or the question how many are here (`bytes */N`)."""
    with site.lock:
        upload = site.uploads.get(urlsplit(target).path.rpartition("/")[2])
        if upload is None:
            return _xml(404, "NoSuchUpload", "The upload has expired.")
        part = _CONTENT_RANGE.match(headers.get("content-range", ""))
        if part is not None and part[1] is None:
            if upload.done:
                return Reply(200)
            seen = {"Range": f"bytes=0-{len(upload.data) - 1}"} if upload.data else {}
            return Reply(308, b"", seen)
        start = int(part[1]) if part is not None else 0
        upload.data = upload.data[:start] + body
        upload.done = len(upload.data) == upload.length
        return Reply(200) if upload.done else Reply(308, b"", {"Range": f"bytes=0-{len(upload.data) - 1}"})


def _limits(asked: re.Match[str], size: int) -> tuple[int, int]:
    if not asked[1]:
        return max(size - int(asked[2] or 0), 0), size - 1
    return int(asked[1]), min(int(asked[2]), size - 1) if asked[2] else size - 1


def _unchanged(condition: str, etag: str, modified: datetime) -> bool:
    if not condition or condition == etag:
        return True
    if condition.startswith(('"', "W/")):
        return False
    return parsedate_to_datetime(condition) >= modified


def _xml(status: int, code: str, message: str) -> Reply:
    text = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Reply(status, text.encode(), {"Content-Type": "application/xml; charset=UTF-8"})
