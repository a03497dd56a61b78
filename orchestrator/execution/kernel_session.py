"""One fold's experiment as a session of a Kaggle kernel: pushed at most once, watched, its result brought home.

Every push carries a nonce in its script, which comes back in the result and in the log: a session of an earlier push,
which Kaggle may show for a while, is never taken for this one, and a restarted orchestrator finds its own again.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.competitions.kaggle.errors import TryLater
from orchestrator.competitions.kaggle.records import KernelPush
from orchestrator.errors import CompetitionError, FatalEnding
from orchestrator.execution.jobs import Job, Outcome
from orchestrator.execution.kernel_bundle import Pushed, script, write
from orchestrator.execution.kernel_harvest import Harvest, harvest, log_text
from orchestrator.execution.kernel_inputs import Datasets, Part, parts
from orchestrator.execution.kernel_runner import OUTPUTS
from orchestrator.execution.kernel_site import absent

OVERHEAD_S = 900
"""For a session to start, to lay out its inputs and to save what it made."""
LONGEST_SESSION_S = 12 * 3600
STALE_TRIES = 3
_OVER = ("complete", "error", "cancel_acknowledged")
_BUSY = re.compile(r"session count", re.IGNORECASE)
_QUOTA = re.compile(r"weekly\b.*\bquota|quota of [\d.]+ hours", re.IGNORECASE)
_MEMORY = re.compile(r"\bmemory\b", re.IGNORECASE)
_TIME = re.compile(r"time ?out|timed out|time limit|exceeded.*(time|hours)", re.IGNORECASE)
_LOST = Outcome("lost", None, 0.0, 0.0, "")


class QuotaSpent(Exception):
    """Kaggle's words: no more of this accelerator this week."""


class _Stale(Exception):
    """The session found another version of a dataset, or none."""


@dataclass(frozen=True)
class Settings:
    accelerator: str
    log_bytes: int
    outputs: tuple[str, ...] = OUTPUTS
    """Files of OUT that are handed over."""
    competitions: tuple[str, ...] = ()
    """Whose files are mounted too."""


class Session:
    """The run of one job. `pause(seconds)` waits, or raises when the waiting shall end."""

    def __init__(self, datasets: Datasets, settings: Settings, job: Job, pause: Callable[[float], None]) -> None:
        self.datasets, self.settings, self.job, self.pause = datasets, settings, job, pause
        self.site = datasets.site
        self.what = job.name.rpartition("/")[2].replace("_", " ")
        """ "fold 0", …, "fold full" or "submission": the kernel's and the datasets' names."""
        self.parts: list[Part] = parts(job, self.site.run, self.what)
        self.source = job.script.read_bytes()
        self.task: dict[str, Any] = json.loads(job.inputs["task.json"].read_text())
        self.key = self._key()
        self._invalid = 0

    def play(self) -> Outcome:
        """Bring the result of this very run home: of the session that runs or ran already, else of a new one.

        Raises QuotaSpent; FatalEnding for a refusal that a person must mend; CompetitionError when Kaggle keeps
        mounting other data than was uploaded.
        """
        entry = self._own_session() or self._push()
        for tries in range(1, STALE_TRIES + 1):
            try:
                return self._watch(entry)
            except _Stale as error:
                self.site.write(self.job.name, state="void")
                if tries == STALE_TRIES:
                    raise CompetitionError(f"{self.job.name} got other data than was uploaded: {error}") from error
                self.site.tell(f"{self.job.name}: {error}; it is pushed again", "warning")
                if tries > 1:
                    for part in self.parts:
                        self.datasets.forget(part)
                self.pause(self.site.pace.seen_s)
                entry = self._push()
        raise AssertionError("unreachable")

    def _key(self) -> str:
        """What makes two runs the same: script, inputs and machine, but not the time that is left."""
        task = {name: value for name, value in self.task.items() if name != "seconds"}
        contents = {part.slug: part.content(self.datasets.digests) for part in self.parts}
        told = json.dumps([task, contents, self.settings.accelerator], sort_keys=True)
        return hashlib.sha256(self.source + told.encode()).hexdigest()

    def _own_session(self) -> dict[str, Any] | None:
        """The entry of a push of this very run which Kaggle has, if it has one."""
        entry = self.site.entry(self.job.name)
        if entry is None or entry["key"] != self.key or entry["state"] == "void":
            return None
        if not self._is_there(entry):
            return None
        self.site.tell(f"{self.job.name} runs or ran at Kaggle already ({entry['ref']}): it is not pushed again")
        return entry

    def _is_there(self, entry: dict[str, Any]) -> bool:
        """Whether the kernel's newest source is this push's; a push may take a moment to show."""
        for last in (False, True):
            read = absent(lambda: self.site.client.notebook_source(entry["ref"]))
            found = self.site.patiently(read, self.pause)
            if found is not None and entry["nonce"] in found.text:
                if entry["state"] == "intent":
                    self.site.write(self.job.name, state="pushed", version=found.version)
                return True
            if not last:
                self.pause(self.site.pace.seen_s)
        return False

    def _push(self) -> dict[str, Any]:
        """Push until Kaggle takes it; the entry of the push."""
        while True:
            mounted = [self.datasets.ready(part, self.pause) for part in self.parts]
            nonce = secrets.token_hex(12)
            title = f"AutoKaggle {self.site.run} {self.what}"
            refs = tuple(one["ref"] for one in mounted)
            pushed = Pushed(
                self.site.owner(self.pause), title, self.settings.accelerator, refs, self.settings.competitions
            )
            text = script(self._told(nonce, mounted), self.source)
            entry = self.site.write(
                self.job.name, key=self.key, nonce=nonce, ref=pushed.ref, state="intent", version=None
            )
            answer = self._send(pushed, text)
            if answer is None:
                if self._is_there(entry):
                    return entry
                continue
            if not answer.error and not answer.invalid:
                self.site.tell(f"{self.job.name}: pushed to Kaggle, {answer.url}")
                return self.site.write(self.job.name, state="pushed", version=answer.version)
            self.site.write(self.job.name, state="void")
            self._refused(answer)

    def _send(self, pushed: Pushed, text: str) -> KernelPush | None:
        """Push once; None when nobody knows whether it arrived."""
        gpu = None if self.settings.accelerator == "none" else self.settings.accelerator
        seconds = min(int(self.job.limits.seconds) + OVERHEAD_S, LONGEST_SESSION_S)
        with tempfile.TemporaryDirectory() as name:
            write(Path(name), pushed, text)
            try:
                return self.site.client.push_kernel(Path(name), accelerator=gpu, seconds=seconds)
            except TryLater as error:
                self.site.tell(f"{self.job.name}: {error}", "warning")
                self.pause(max(self.site.pace.poll_s, error.after_s or 0.0))
                return None
            except CompetitionError as error:
                raise FatalEnding(f"Kaggle refuses to run the kernel: {error}") from error

    def _told(self, nonce: str, mounted: list[dict[str, str]]) -> dict[str, Any]:
        return {
            "nonce": nonce,
            "script": self.job.script.name,
            "task": self.task,
            "datasets": [{"slug": one["slug"], "sha256": one["sha256"]} for one in mounted],
            "accelerator": self.settings.accelerator,
            "seconds": self.job.limits.seconds,
            "most_bytes": self.job.limits.disk_mb << 20,
            "log_bytes": self.settings.log_bytes,
            "outputs": list(self.settings.outputs),
        }

    def _refused(self, answer: KernelPush) -> None:
        """Wait where waiting helps; raises QuotaSpent, or FatalEnding with Kaggle's reason."""
        if answer.invalid and not answer.error:  # it runs without them and ends at once
            self._invalid += 1
            if self._invalid >= STALE_TRIES:
                raise CompetitionError(f"Kaggle does not find {', '.join(answer.invalid)}, which it took in before")
            for part in self.parts:
                if any(part.slug in name for name in answer.invalid):
                    self.datasets.forget(part)
            self.site.tell(f"{self.job.name}: Kaggle does not find {', '.join(answer.invalid)} yet", "warning")
            self.pause(self.site.pace.busy_s)
            return
        self.site.note(refusal={"text": answer.error, "when": self.site.now().isoformat(timespec="seconds")})
        if _QUOTA.search(answer.error):
            raise QuotaSpent(answer.error)
        if not _BUSY.search(answer.error):
            raise FatalEnding(f"Kaggle refuses to run the kernel: {answer.error}")
        self.site.tell(f"{self.job.name} waits for a free place at Kaggle: {answer.error}")
        self.pause(self.site.pace.busy_s)

    def _watch(self, entry: dict[str, Any]) -> Outcome:
        """Follow the session to its end, and bring home what it left. Raises _Stale."""
        ended: float | None = None
        shown = ""
        while True:
            asked = absent(lambda: self.site.client.kernel_status(entry["ref"]))
            status, failure = self.site.patiently(asked, self.pause) or ("", "")
            if status == "running" != shown:
                self.site.tell(f"{self.job.name} runs at Kaggle")
            shown = status
            if status in _OVER or not status:
                ended = ended or time.monotonic()
                if status and (found := self._harvest(entry)) is not None:
                    return self._landed(found)
                if time.monotonic() - ended >= self.site.pace.settle_s:
                    return self._without_result(entry, status, failure)
            else:
                ended = None
            self.pause(self.site.pace.poll_s)

    def _harvest(self, entry: dict[str, Any]) -> Harvest | None:
        try:
            return harvest(self.site.client, entry["ref"], entry["nonce"], self.job, self.settings.outputs)
        except TryLater as error:
            self.site.tell(f"{self.job.name}: {error}", "warning")
            return None

    def _landed(self, found: Harvest) -> Outcome:
        if found.stale:
            raise _Stale(found.stale)
        self.site.write(self.job.name, state="done", status=found.outcome.status)
        seen = {"machine": found.machine, "when": self.site.now().isoformat(timespec="seconds")}
        self.site.note(seen={**self.site.facts()["seen"], self.settings.accelerator: seen})
        return found.outcome

    def _without_result(self, entry: dict[str, Any], status: str, failure: str) -> Outcome:
        """The session left no result: the script's fault only where the log shows that it was this session."""
        read = absent(lambda: self.site.client.kernel_logs(entry["ref"]))
        raw = self.site.patiently(read, self.pause) or ""
        self.site.write(self.job.name, state="void")
        if entry["nonce"] not in raw or status != "error":
            self.site.tell(f"{self.job.name}: its session left nothing ({failure or status or 'gone'})", "warning")
            return _LOST
        log = f"{log_text(raw, self.settings.log_bytes)}\n{failure or 'the session ended with an error'}\n"
        kind = "memory" if _MEMORY.search(failure) else "timeout" if _TIME.search(failure) else "failed"
        return Outcome(kind, None, 0.0, 0.0, log)  # type: ignore[arg-type]
