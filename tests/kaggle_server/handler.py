"""A request, from its line to the last byte of its answer, with whatever goes wrong on the way."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import threading
import time
from dataclasses import dataclass
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.kaggle_server import (  # noqa: F401  the methods register themselves
    accounts,
    competitions,
    control,
    datasets,
    discussions,
    faults,
    kernels,
    leaderboard,
    storage,
    submissions,
)
from tests.kaggle_server.faults import Fault
from tests.kaggle_server.site import Site
from tests.kaggle_server.wire import (
    API_HOSTS,
    METHODS,
    STORAGE_HOST,
    UPLOAD_HOST,
    Call,
    Refusal,
    Reply,
    error_reply,
    json_reply,
)

_API = re.compile(r"/(?:api/)?v1/([\w.]+/\w+)$")
_LOGS = re.compile(r"/(?:api/)?v1/kernels/logs/stream/([\w-]+)/([\w-]+)$")
_BLOCK = 16_384


@dataclass(frozen=True)
class Request:
    """`method` is the name faults and log know it by: "CreateSubmission", "storage GET", "upload PUT" …"""

    verb: str
    host: str
    target: str
    method: str
    service: str
    headers: dict[str, str]
    body: bytes


class Dropped(Exception):
    """The connection is to be reset."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        try:
            self._serve(self._request())
        except (Dropped, OSError):
            self._reset()

    do_POST = do_PUT = do_HEAD = do_GET

    def _request(self) -> Request:
        url = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        host = url.hostname or headers.get("host", "").partition(":")[0]
        service = found[1] if (found := _API.match(url.path)) else ""
        if host in (STORAGE_HOST, UPLOAD_HOST):
            method = f"{host.partition('.')[0]} {self.command}"
        else:
            method = service.rpartition("/")[2] or url.path
        target = url.path + (f"?{url.query}" if url.query else "")
        return Request(self.command, host, target, method, service, headers, self._body(headers))

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(headers.get("content-length", 0)))
        parts = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(parts)

    def _serve(self, request: Request) -> None:
        if request.target.startswith("/control/"):
            self._send(self._controlled(request), {})
            return
        site = self.site
        entry = _logged(site, request)
        fault = site.faults.take(request.method)
        if fault:
            entry["fault"] = fault["kind"]
        reply = self._before(request, fault, entry)
        if reply is None:
            reply = _acted(site, request, entry)
            reply = self._after(fault, reply)
        entry["status"] = reply.status
        self._send(reply, fault, slow=request.host == STORAGE_HOST)
        entry["sent"] = True

    def _controlled(self, request: Request) -> Reply:
        body = json.loads(request.body) if request.body else {}
        try:
            with self.site.lock:
                return json_reply(control.act(self.site, request.target.removeprefix("/control/"), body))
        except (Refusal, TypeError, KeyError, ValueError, AttributeError) as error:
            return json_reply({"problem": f"{type(error).__name__}: {error}"}, 400)

    def _before(self, request: Request, fault: Fault, entry: dict[str, Any]) -> Reply | None:
        """The answer of a fault that lets nothing happen; None to go on. Raises Dropped."""
        kind, site = fault.get("kind"), self.site
        if kind in ("hang", "disconnect"):
            time.sleep(fault.get("seconds", 60.0) if kind == "hang" else 0.0)
            raise Dropped
        if kind == "late":
            threading.Timer(fault.get("seconds", 0.5), _acted, (site, request, entry)).start()
            if "status" not in fault:
                raise Dropped
            return faults.error_of(fault, site.settings.error_shape)
        if kind == "expire":
            with site.lock:
                site.expired.add(storage.signature_of(request.target))
        return faults.answer_instead(fault, site.settings.error_shape)

    def _after(self, fault: Fault, reply: Reply) -> Reply:
        kind = fault.get("kind")
        if kind in ("disconnect_after", "hang_after"):
            time.sleep(fault.get("seconds", 60.0) if kind == "hang_after" else 0.0)
            raise Dropped
        return faults.spoil(fault, reply, self.site.settings.error_shape)

    def _send(self, reply: Reply, fault: Fault, slow: bool = False) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if self.site.settings.api_version:
            self.send_header("X-Kaggle-ApiVersion", self.site.settings.api_version)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        body = reply.body[: fault["at"]] if fault.get("kind") == "cut" else reply.body
        speed = fault.get("bytes_per_s") or (self.site.settings.storage_bytes_per_s if slow else 0)
        for start in range(0, len(body), _BLOCK):
            block = body[start : start + _BLOCK]
            self.wfile.write(block)
            time.sleep(len(block) / speed if speed else 0.0)
        if len(body) < len(reply.body):
            self.wfile.flush()
            # a reset overtakes bytes that the client has not read yet
            time.sleep(fault.get("seconds", 0.2))
            raise Dropped

    def date_time_string(self, timestamp: float | None = None) -> str:
        return (
            format_datetime(self.site.now(), usegmt=True) if timestamp is None else super().date_time_string(timestamp)
        )

    def _reset(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that are killed hang up: nothing to tell."""


def _acted(site: Site, request: Request, entry: dict[str, Any]) -> Reply:
    """The method's own answer, refusals as an answer too."""
    try:
        reply = _routed(site, request, entry)
    except Refusal as refusal:
        reply = error_reply(refusal, site.settings.error_shape)
        entry["refused"] = str(refusal)
    entry["acted"] = True
    return reply


def _routed(site: Site, request: Request, entry: dict[str, Any]) -> Reply:
    if request.host == STORAGE_HOST and request.verb in ("GET", "HEAD"):
        return storage.get(site, request.target, request.headers)
    if request.host == UPLOAD_HOST and request.verb == "PUT":
        return storage.put(site, request.target, request.headers, request.body)
    if request.host not in API_HOSTS:
        raise Refusal(404, f"no host {request.host} here")
    service = request.service
    if request.verb == "GET" and (place := _LOGS.match(request.target)):
        user = accounts.user_of(site, "kernels log", request.headers.get("authorization", ""))
        return kernels.log_stream(site, place[1], place[2], user)
    if request.verb != "POST" or service not in METHODS:
        raise Refusal(404, f"Unknown method {request.verb} {request.target}")
    entry["user"] = accounts.user_of(site, service, request.headers.get("authorization", ""))
    with site.lock:
        answer = METHODS[service](site, Call(json.loads(request.body or b"{}"), entry["user"]))
    return answer if isinstance(answer, Reply) else json_reply(answer)


def _logged(site: Site, request: Request) -> dict[str, Any]:
    """A new line of the log; credentials that reach another host are leaks."""
    body: Any = len(request.body)
    if request.service and request.body:
        with contextlib.suppress(ValueError):
            body = json.loads(request.body)
    entry = {
        "verb": request.verb,
        "host": request.host,
        "method": request.method,
        "target": request.target,
        "body": body,
        "range": request.headers.get("range", ""),
        "sign_in": request.headers.get("authorization", "").partition(" ")[0].lower(),
        "at": time.time(),
    }
    with site.lock:
        site.log.append(entry)
        if request.host not in API_HOSTS:
            seen = f"{unquote(request.target)} {request.headers} {request.body.decode('latin-1')}"
            if "authorization" in request.headers or any(secret in seen for secret in site.secrets()):
                site.leaks.append(f"{request.verb} {request.host}{request.target}")
    return entry
