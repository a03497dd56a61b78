"""The process that holds Kaggle's client: `python -P -B child.py REQUESTS ANSWERS`, two pipes' numbers.

Nothing else imports `kaggle`: it authenticates while it is imported, prints on stdout, exits, and waits for ever where
a server does. Requests and answers are lines of JSON on pipes of this process's own; the first line brings the
credentials, so that they stand in no argument, environment or file. The end of the pipe ends the process.
"""

from __future__ import annotations

import ctypes
import json
import os
import queue
import re
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

CONNECT_S = 10.0
HOME_PREFIX = "autokaggle-client-"
_SET_DUMPABLE = 4


class NoCredentials(Exception):
    """None of the candidates is accepted; says why for each."""


class Wire:
    """What passes over the network: bounds every wait, and remembers the last answer."""

    def __init__(self) -> None:
        self.deadline = 0.0
        self.request = ""
        self.date: str | None = None
        self.html = False

    def begin(self, seconds: float) -> None:
        self.deadline = time.monotonic() + seconds
        self.request = ""
        self.date = None
        self.html = False

    def left(self) -> float:
        return max(0.05, self.deadline - time.monotonic())

    def watch(self) -> None:
        """Let every request of this process, the client's own transfers included, pass here."""
        from requests.adapters import HTTPAdapter

        plain = HTTPAdapter.send

        def send(adapter: Any, request: Any, **options: Any) -> Any:
            self.request = str(request.url).partition("?")[0].rpartition("/")[2] if request.method == "POST" else "file"
            options["timeout"] = (min(CONNECT_S, self.left()), self.left())
            response = plain(adapter, request, **options)
            self.date = response.headers.get("Date") or self.date
            self.html = "html" in response.headers.get("Content-Type", "")
            return response

        setattr(HTTPAdapter, "send", send)  # noqa: B010  every session's requests end up here


class Account:
    """The client, signed in with the first credential that Kaggle accepts."""

    def __init__(self, candidates: list[dict[str, str]], wire: Wire) -> None:
        from orchestrator.competitions.kaggle.remote import official

        self.candidates = candidates
        self.wire = wire
        self.api = official()
        self.source = ""

    def sign_in(self) -> None:
        """Raises NoCredentials, and whatever the network raises; does nothing when it was done."""
        if self.source:
            return
        refused = []
        for one in self.candidates:
            why = self._try(one)
            if not why:
                self.source = one["source"]
                return
            refused.append(f"{one['source']}: {why}")
        raise NoCredentials("; ".join(refused) or "none was found")

    def _try(self, one: dict[str, str]) -> str:
        """Why a candidate is refused; empty when it is accepted."""
        from requests.exceptions import HTTPError

        from orchestrator.competitions.kaggle.remote import probe

        try:
            return probe(self.api, one)
        except HTTPError as error:
            status, reason, _ = http_failure(error)
            if status in (400, 401, 403, 404) and not self.wire.html:
                return f"refused with {status}, {reason}"
            raise


def http_failure(error: Any) -> tuple[int, str, float | None]:
    """(status, the server's own reason, seconds to wait) of an HTTPError; both shapes of error bodies."""
    response = error.response
    if response is None:  # a failed response is false, so only None tells
        return 0, str(error), None
    status, reason = int(response.status_code), ""
    try:
        body = response.json()
    except ValueError:
        body = None
    if isinstance(body, dict):
        nested = body.get("error")
        inner: dict[str, Any] = nested if isinstance(nested, dict) else body
        reason = str(inner.get("message") or body.get("error") or "")
        if status < 400 and isinstance(inner.get("code"), int):
            status = inner["code"]
    if not reason:
        text = "" if "html" in response.headers.get("Content-Type", "") else response.text[:300].strip()
        reason = text or str(response.reason or "no reason given")
    return status, reason, _retry_after(response.headers)


def _retry_after(headers: Any) -> float | None:
    text = headers.get("Retry-After")
    if not text:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        now = parsedate_to_datetime(headers["Date"]) if headers.get("Date") else datetime.now(UTC)
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    except (TypeError, ValueError):
        return None


def failure_of(error: BaseException, wire: Wire) -> dict[str, Any]:
    """What went wrong, for the parent."""
    from requests.exceptions import HTTPError, JSONDecodeError, RequestException

    from orchestrator.competitions.kaggle.remote import Unusable

    record: dict[str, Any] = {"request": wire.request}
    if isinstance(error, NoCredentials):
        return {**record, "kind": "credentials", "reason": str(error)}
    if isinstance(error, HTTPError) and error.response is not None:
        status, reason, after = http_failure(error)
        if wire.html and status in (400, 403, 404):  # not Kaggle's interface: a gate or a proxy before it
            return {**record, "kind": "shape", "reason": f"a web page instead of data, {status} {reason}"}
        return {**record, "kind": "http", "status": status, "reason": reason, "after_s": after}
    if isinstance(error, Unusable):
        return {**record, "kind": error.kind, "reason": str(error)}
    shape = isinstance(error, JSONDecodeError | KeyError | TypeError | AttributeError | ValueError)
    if shape and (wire.request or wire.html):
        what = "a web page instead of data" if wire.html else f"{type(error).__name__}: {error}"
        return {**record, "kind": "shape", "reason": what}
    if isinstance(error, RequestException | OSError):
        return {**record, "kind": "network", "reason": _plain(error)}
    return {**record, "kind": "local", "reason": f"{type(error).__name__}: {error}"}


def _plain(error: BaseException) -> str:
    """A network error without addresses and objects."""
    name = type(error).__name__
    names = {"ReadTimeout": "no answer in time", "ConnectTimeout": "no connection in time"}
    inner = next(iter(getattr(error, "args", ())), None)
    detail = getattr(getattr(inner, "reason", None) or inner, "args", ())
    text = str(detail[-1]) if detail else str(error)
    text = re.sub(r"^.*?(?:<[^>]*>|HTTPS?Connection(?:Pool)?\([^)]*\)): ", "", text)
    text = re.sub(r":? ?\(?\[Errno -?\d+\] ([^()]*)\)?", r": \1", text).removeprefix(": ")
    return names.get(name, text or name)


def answer(account: Account, request: dict[str, Any]) -> dict[str, Any]:
    """Do one call; a reading one is done again when another credential steps in for one that was revoked."""
    from requests.exceptions import HTTPError

    from orchestrator.competitions.kaggle import remote, remote_kernels

    calls: dict[str, Callable[..., Any]] = {**remote.CALLS, **remote_kernels.CALLS}
    work, arguments = calls[request["call"]], request["arguments"]
    account.sign_in()
    try:
        result = work(account.api, **arguments)
    except HTTPError as error:
        if http_failure(error)[0] != 401:
            raise
        before, account.source = account.source, ""
        if not request["reading"]:
            raise
        account.sign_in()
        if account.source == before:
            raise
        result = work(account.api, **arguments)
    return {"result": result, "source": account.source}


def serve(requests: queue.Queue[bytes], out: int) -> None:
    """Answer requests for ever, one after the other."""
    wire = Wire()
    account: Account | None = None
    candidates = json.loads(requests.get())["candidates"]
    while True:
        request = json.loads(requests.get())
        wire.begin(request["seconds"])
        try:
            if account is None:
                wire.watch()
                account = Account(candidates, wire)
            reply = answer(account, request)
        except BaseException as error:  # the client also exits
            traceback.print_exc()
            reply = {"failure": failure_of(error, wire), "source": account.source if account else ""}
        reply["date"] = wire.date
        data = json.dumps(reply).encode() + b"\n"
        while data:
            data = data[os.write(out, data) :]


def listen(handle: int, requests: queue.Queue[bytes]) -> None:
    """Lines for `serve`; the end of the pipe is the end of the parent, whatever is going on here."""
    with os.fdopen(handle, "rb") as file:
        for line in file:
            requests.put(line)
    home = Path(os.environ["HOME"])
    if home.name.startswith(HOME_PREFIX):
        shutil.rmtree(home, ignore_errors=True)
    os._exit(0)


def main(incoming: int, out: int) -> None:
    for handle in (incoming, out):
        os.set_inheritable(handle, False)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_DUMPABLE, 0, 0, 0, 0)  # nobody reads the credentials out of this process
    sys.path.append(str(Path(__file__).resolve().parents[3]))
    requests: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=listen, args=(incoming, requests), daemon=True).start()
    serve(requests, out)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
