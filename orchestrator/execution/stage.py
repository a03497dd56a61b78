"""The private folder of one run, the environment, and what of the host a Python program needs to read."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import SandboxUnavailable
from orchestrator.execution.jobs import Job

_PREFIX = "autokaggle-run-"
LAUNCHER = Path(__file__).with_name("launcher.py")
SYSTEM_ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "timezone", "alternatives", "fonts")
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS OPENBLAS_NUM_THREADS MKL_NUM_THREADS NUMEXPR_NUM_THREADS NUMEXPR_MAX_THREADS "
    "VECLIB_MAXIMUM_THREADS NUMBA_NUM_THREADS LOKY_MAX_CPU_COUNT POLARS_MAX_THREADS RAYON_NUM_THREADS"
)


class Stage:
    """A private temporary folder: in/ (links), code/ (the script), scratch/{home,tmp} (the experiment's own).

    A lock held for its life tells `sweep_stages` what a killed orchestrator left behind.
    """

    def __init__(self, job: Job) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX)).resolve()
        self._lock = os.open(self.folder, os.O_RDONLY)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            self._fill(job)
        except BaseException:
            self.__exit__()
            raise

    def _fill(self, job: Job) -> None:
        self.inputs, self.scratch = self.folder / "in", self.folder / "scratch"
        self.home, self.tmp = self.scratch / "home", self.scratch / "tmp"
        for folder in (self.inputs, self.scratch, self.home, self.tmp, self.folder / "code"):
            folder.mkdir()
        self.script = self.folder / "code" / job.script.name
        shutil.copyfile(job.script, self.script)

    def link_inputs(self, job: Job) -> None:
        for name, target in job.inputs.items():
            link = self.inputs / name
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(target.resolve())

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        remove_tree(self.folder)
        os.close(self._lock)


def remove_tree(folder: Path) -> None:
    """Delete a folder that an experiment wrote in, however deep or locked up it is; never follows links."""
    if _shallow(folder):
        with contextlib.suppress(RecursionError):  # long names hide from a walk how deep they lie
            shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        subprocess.run(["chmod", "-R", "u+rwX", "--", folder], stderr=subprocess.DEVNULL)
        subprocess.run(["rm", "-rf", "--", folder], stderr=subprocess.DEVNULL)


def _shallow(folder: Path, most: int = 50) -> bool:
    with contextlib.suppress(OSError):
        return all(path.count(os.sep) < most for path, _, _ in os.walk(folder))
    return False


def sweep_stages(least_age_s: float = 60.0) -> None:
    """Delete the private folders of runs whose orchestrator is dead; young ones may not have their lock yet."""
    for folder in Path(tempfile.gettempdir()).glob(_PREFIX + "*"):
        with contextlib.suppress(OSError):
            found = folder.lstat()
            if found.st_uid != os.getuid() or folder.is_symlink() or time.time() - found.st_mtime < least_age_s:
                continue
            handle = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove_tree(folder)
            finally:
                os.close(handle)


@dataclass(frozen=True)
class Installation:
    """One Python: its executable and the folders that it imports from."""

    python: Path
    folders: tuple[Path, ...]
    user_base: str | None

    def environment(self, cores: int, home: Path, tmp: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """The allow-list and what a job adds; nothing is inherited."""
        fixed = {
            "PATH": f"{self.python.parent}:/usr/bin:/bin",
            "HOME": str(home),
            "USER": "experiment",
            "LOGNAME": "experiment",
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "TMPDIR": str(tmp),
            "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "MPLBACKEND": "Agg",
            # Threads that spin at barriers for long take ten times as long on a busy machine; those that sleep at once
            # take twice as long on an idle one as a single thread does. Some 30 microseconds are enough.
            "OMP_WAIT_POLICY": "PASSIVE",
            "GOMP_SPINCOUNT": "10000",
        }
        threads = dict.fromkeys(_THREAD_VARIABLES.split(), str(cores))
        user = {"PYTHONUSERBASE": self.user_base} if self.user_base else {}
        return {**fixed, **threads, **user, **(more or {})}


_ASK = """
import json, site, sys
user = site.getusersitepackages() if site.ENABLE_USER_SITE else None
packages = [p for p in sys.path if p.endswith("-packages")]
user_base = site.getuserbase() if user in packages else None
print(json.dumps([[sys.prefix, sys.base_prefix, sys.exec_prefix, *packages], user_base]))
"""


def installation(python: Path) -> Installation:
    """Ask an interpreter where it lives.

    Raises SandboxUnavailable when it does not run, or lives in `/` or the home folder itself.
    """
    try:
        answer = subprocess.run([python, "-c", _ASK], capture_output=True, text=True, timeout=60, check=True)
        listed, user_base = json.loads(answer.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise SandboxUnavailable(f"the Python at {python} does not run: {error}") from error
    folders: list[Path] = []
    for folder in dict.fromkeys(path for name in listed for path in (Path(name), Path(name).resolve())):
        if folder in (Path("/"), Path.home(), Path("/home"), Path("/root")):
            raise SandboxUnavailable(
                f"Python is installed in {folder} itself: use a virtual environment in a subfolder"
            )
        covered = any(folder.is_relative_to(known) for known in (Path("/usr"), *folders))
        if folder.is_dir() and not covered:
            folders.append(folder)
    return Installation(Path(os.path.abspath(python)), tuple(folders), user_base)
