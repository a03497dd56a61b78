"""Kaggle through its official client: typed calls that end in time, whatever the client or the network does.

A call that only reads is repeated a few times, with the patience that Kaggle asks for; one that changes something
goes out once. Every call raises the errors of `errors.py`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from orchestrator.competitions.base import Limits, Submission
from orchestrator.competitions.kaggle import records
from orchestrator.competitions.kaggle.credentials import Credentials
from orchestrator.competitions.kaggle.errors import TOKEN_FIX, Failure, NeedsPerson, TryLater, explain
from orchestrator.competitions.kaggle.process import Child, Died, default_python
from orchestrator.errors import CompetitionError

TRIES = 3
FIRST_WAIT_S = 2.0
LONGEST_WAIT_S = 60.0
"""Kaggle may ask for more; then the call is left for later."""


class KaggleClient:
    """One account on Kaggle. `sleep` is how it waits between the `tries` of a reading call; close it when done.

    Its process starts at the first call and dies with this one.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        environment: Mapping[str, str] = os.environ,
        timeout_s: float = 60.0,
        python: Path | None = None,
        sleep: Callable[[float], object] = time.sleep,
        tries: int = TRIES,
    ) -> None:
        self.credentials = credentials
        self.timeout_s = timeout_s
        self.source = ""
        """Where the credentials stand that Kaggle accepted; empty before the first answer."""
        self._child = Child(credentials, environment, python or default_python())
        self._sleep = sleep
        self._tries = tries
        self._date: str | None = None

    def close(self) -> None:
        self._child.close()

    def __enter__(self) -> KaggleClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def log(self) -> str:
        """The end of what Kaggle's client printed."""
        return self._child.log

    @property
    def pid(self) -> int | None:
        """Of the process that holds Kaggle's client; None when there is none now."""
        return self._child.pid

    def whoami(self) -> str:
        """The account's name, after Kaggle accepted its credentials."""
        return str(self._read("whoami"))

    def server_time(self) -> datetime:
        """Kaggle's clock, in UTC."""
        self._read("server_time")
        try:
            return parsedate_to_datetime(self._date or "").astimezone(UTC)
        except ValueError:
            raise TryLater("Kaggle's answer does not tell its time") from None

    def competition(self, slug: str) -> records.CompetitionInfo:
        return records.made(records.CompetitionInfo, self._read("competition", slug=slug))

    def pages(self, slug: str) -> dict[str, str]:
        """Name → content, HTML or Markdown."""
        return dict(self._read("pages", slug=slug))

    def files(self, slug: str) -> list[records.RemoteFile]:
        return [records.made(records.RemoteFile, one) for one in self._read("files", slug=slug)]

    def download(self, slug: str, name: str | None, folder: Path, *, timeout_s: float) -> Path:
        """One download of a file (None: the archive of all) into `folder`; where it lies now.

        What an earlier try left there, with its marker, is gone on with. Nothing is repeated here.
        """
        found = self._call("download", timeout_s, True, slug=slug, name=name, folder=str(folder.resolve()))
        return Path(found)

    def submission_limits(self, slug: str) -> Limits:
        """The team's count of today; `daily` is what is used and left together."""
        found = self._read("submission_limits", slug=slug)
        used, allowed = int(found["used_today"]), int(found["allowed_now"])
        return Limits(used + allowed, used, allowed)

    def submissions(self, slug: str) -> list[Submission]:
        """All of the team's entries, the newest first."""
        return [records.made(Submission, one) for one in self._read("submissions", slug=slug)]

    def leaderboard(self, slug: str) -> list[records.LeaderboardRow]:
        return [records.made(records.LeaderboardRow, one) for one in self._read("leaderboard", slug=slug)]

    def notebooks(self, slug: str, sort: str, count: int) -> list[records.NotebookInfo]:
        """`sort`: voteCount, scoreDescending, scoreAscending, dateCreated, hotness."""
        found = self._read("notebooks", slug=slug, sort=sort, count=count)
        return [records.made(records.NotebookInfo, one) for one in found]

    def notebook_source(self, ref: str) -> records.NotebookSource:
        return records.made(records.NotebookSource, self._read("notebook_source", ref=ref))

    def topics(self, slug: str, sort: str = "top", page: int = 1) -> list[records.TopicInfo]:
        """`sort`: hot, top, new, recent, active, relevance; pages count from 1."""
        found = self._read("topics", slug=slug, sort=sort, page=page)
        return [records.made(records.TopicInfo, one) for one in found]

    def topic_messages(self, slug: str, topic: int) -> list[records.Message]:
        """The opening message and all replies."""
        return [records.made(records.Message, one) for one in self._read("topic_messages", slug=slug, topic=topic)]

    def kernel_status(self, ref: str) -> tuple[str, str]:
        """(status in small letters, the failure's message) of the latest session."""
        status, failure = self._read("kernel_status", ref=ref)
        return str(status), str(failure)

    def kernel_logs(self, ref: str) -> str:
        return str(self._read("kernel_logs", ref=ref))

    def kernel_output(
        self, ref: str, folder: Path, *, names: Sequence[str] | None = None, timeout_s: float = 600.0
    ) -> list[Path]:
        """Every output file of the latest session, and its log, under `folder`; with `names` those files alone."""
        wanted = None if names is None else list(names)
        found = self._call("kernel_output", timeout_s, True, ref=ref, folder=str(folder.resolve()), names=wanted)
        return [Path(one) for one in found]

    def dataset_status(self, ref: str) -> str | None:
        """`ready`, `failed`, …; None when there is no such dataset."""
        found = self._read("dataset_status", ref=ref)
        return None if found is None else str(found)

    def quota(self) -> records.Quota:
        return records.made(records.Quota, self._read("quota"))

    def upload(self, slug: str, csv: Path, file_name: str, *, timeout_s: float = 600.0) -> str:
        """Bring a file to Kaggle's storage; the token that names it. It counts for nothing until it is submitted."""
        arguments = {"slug": slug, "csv": str(csv.resolve()), "file_name": file_name}
        return str(self._call("upload", timeout_s, False, **arguments))

    def create_submission(self, slug: str, token: str, description: str) -> str:
        """Submit an uploaded file, once; its ref, empty when Kaggle gave none."""
        ref = self._call("create_submission", self.timeout_s, False, slug=slug, token=token, description=description)
        return str(ref) if int(ref) > 0 else ""

    def submit_kernel(self, slug: str, kernel: str, version: int, file_name: str, description: str) -> str:
        """Submit the output `file_name` of a notebook's version, once; its ref, empty when Kaggle gave none."""
        arguments = {"slug": slug, "kernel": kernel, "version": version, "file_name": file_name}
        ref = self._call("submit_kernel", self.timeout_s, False, **arguments, description=description)
        return str(ref) if int(ref) > 0 else ""

    def push_kernel(
        self, folder: Path, *, accelerator: str | None = None, seconds: int | None = None
    ) -> records.KernelPush:
        """Save and run the notebook of `folder`, once; a refusal stands in `error`."""
        arguments = {"folder": str(folder.resolve()), "accelerator": accelerator, "seconds": seconds}
        return records.made(records.KernelPush, self._call("push_kernel", self.timeout_s, False, **arguments))

    def create_dataset(self, folder: Path, *, timeout_s: float = 1800.0) -> str:
        """A private dataset of `folder`, once; its ref."""
        return str(self._call("create_dataset", timeout_s, False, folder=str(folder.resolve())))

    def version_dataset(self, folder: Path, notes: str, *, timeout_s: float = 1800.0) -> str:
        return str(self._call("version_dataset", timeout_s, False, folder=str(folder.resolve()), notes=notes))

    def _read(self, call: str, /, **arguments: Any) -> Any:
        """A call that changes nothing, tried again while it may help."""
        wait = FIRST_WAIT_S
        for left in range(self._tries - 1, -1, -1):
            try:
                return self._call(call, self.timeout_s, True, **arguments)
            except TryLater as error:
                pause = wait if error.after_s is None else error.after_s
                if not left or pause > LONGEST_WAIT_S:
                    raise
                self._sleep(pause)
                wait *= 3
        raise AssertionError("unreachable")

    def _call(self, call: str, seconds: float, reading: bool, /, **arguments: Any) -> Any:
        """One call, once."""
        if not self.credentials.found:
            trouble = "; ".join(self.credentials.problems) or f"there are none: {TOKEN_FIX}"
            raise NeedsPerson(f"no usable Kaggle credentials: {trouble}")
        request = {"call": call, "arguments": arguments, "reading": reading}
        try:
            reply = self._child.ask(request, seconds)
        except Died as error:
            late = str(error) == "no answer in time"
            what = f"did not answer {call} within {seconds:g} s" if late else f"failed at {call} ({error})"
            raise TryLater(f"Kaggle's client {what}") from error
        self._date = reply.get("date") or None
        self.source = str(reply.get("source") or self.source)
        if "failure" in reply:
            raise self._explained(reply["failure"], call, arguments)
        return reply["result"]

    def _explained(self, record: dict[str, Any], call: str, arguments: dict[str, Any]) -> CompetitionError:
        failure = Failure.of(record)
        name = arguments.get("ref") or arguments.get("kernel") or ""
        shown = f"{failure.request or call}{f' of {name}' if name else ''}"
        return explain(failure, call=shown, slug="" if name else str(arguments.get("slug", "")), source=self.source)
