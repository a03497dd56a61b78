"""`doctor` on this machine, and its checks on files and environments that are wrong in known ways."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import checks, doctor
from orchestrator.check_kaggle import credentials
from orchestrator.checks import Check
from orchestrator.competitions.kaggle.credentials import find
from orchestrator.config import Config, ExecutionSection, as_json

PROJECT = Path(__file__).resolve().parent.parent
SECRET = "s3cr3t-value-nobody-may-see"


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(as_json(Config()))
    return tmp_path


def by_name(found: list[Check]) -> dict[str, Check]:
    assert len({check.name for check in found}) == len(found)
    return {check.name: check for check in found}


def test_this_machine_and_a_good_campaign(campaign: Path) -> None:
    found = doctor.diagnose(campaign, sandbox="none")
    named = by_name(found)
    for name in ("Python", "packages", "cores", "memory", "disk", "clock", "folder", "lock", "config.json", "prompts"):
        assert named[name].ok is not False, named[name]
    assert "numpy " in named["packages"].what
    assert named["sandbox"].ok is None and "all your rights" in named["sandbox"].what
    assert list(campaign.iterdir()) == [campaign / "config.json"]


def test_the_sandbox_is_really_tried(campaign: Path) -> None:
    here = doctor.sandbox_level("C")
    if sys.platform == "darwin":
        assert here.ok
    else:
        assert here.ok is False and "macOS" in here.what and "execution.sandbox" in here.fix
    auto = doctor.sandbox_level("auto")
    assert auto.ok is (auto.what.startswith("level "))


def test_gpus_are_looked_for_where_they_are_asked_for() -> None:
    assert doctor.gpus("none", ExecutionSection(), {}) == []
    assert doctor.gpus("none", ExecutionSection(gpus=1, backend="ray"), {}) == []
    (check,) = doctor.gpus("none", ExecutionSection(gpus=1), {"CUDA_VISIBLE_DEVICES": ""})
    assert check.name == "gpus" and check.ok is None
    assert "experiments run without a GPU" in check.what and "execution.gpus to 0" in check.fix
    assert doctor.gpus("C", ExecutionSection(gpus=1), {}) == [] or sys.platform == "darwin"


def test_without_a_campaign_the_machine_alone_is_checked() -> None:
    named = by_name(doctor.diagnose(None, sandbox="none"))
    assert named["campaign"].ok is None and "orchestrator new" in named["campaign"].fix
    assert "prompts" not in named


def test_a_wrong_config_is_told_in_its_own_sentence(campaign: Path) -> None:
    (campaign / "config.json").write_text('{"loop": {"max_round": 3}}')
    found = doctor.diagnose(campaign, sandbox="none")
    assert "did you mean 'max_rounds'?" in by_name(found)["config.json"].what
    assert doctor.exit_code(found) == 1
    assert "FAIL  config.json" in doctor.render(found)


def test_guesses_are_brought_up(campaign: Path) -> None:
    (campaign / "config.json").write_text(json.dumps({"guesses": {"cv.strategy": "dates"}}))
    check = by_name(doctor.diagnose(campaign, sandbox="none"))["config.json"]
    assert check.ok is None and "cv.strategy" in check.what


def test_render_shows_the_fix_of_what_is_not_fine() -> None:
    found = [
        Check("a", True, "fine", "never shown"),
        Check("long name", None, "so so", "do x"),
        Check("b", False, "bad", "y"),
    ]
    assert doctor.render(found).splitlines() == [
        "ok    a          fine",
        "note  long name  so so",
        "                 → do x",
        "FAIL  b          bad",
        "                 → y",
        "",
        "to fix: b",
    ]
    assert doctor.exit_code(found) == 1
    assert doctor.exit_code(found[:2]) == 0
    assert doctor.render(found[:2]).endswith("everything that is needed is here")


def test_missing_packages_are_named_with_the_command() -> None:
    there, missing = doctor.packages(("numpy", "no-such-package-here"))
    assert there.ok and there.what.startswith("numpy ")
    assert missing.ok is False and missing.fix == "pip install no-such-package-here"


def test_doctor_works_where_nothing_is_installed(tmp_path: Path) -> None:
    code = "from orchestrator.doctor import *; f = diagnose(None); print(render(f)); raise SystemExit(exit_code(f))"
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(PROJECT)!r}); {code}"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=20)
    assert result.returncode == 1, result.stderr
    assert "pip install anthropic catboost filelock" in result.stdout


def test_no_part_of_a_key_is_ever_shown(campaign: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / ".kaggle").mkdir(parents=True)
    (home / ".kaggle" / "kaggle.json").write_text(json.dumps({"username": "me", "key": SECRET}))
    names = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "KAGGLE_KEY")
    environment = {**os.environ, **dict.fromkeys(names, SECRET), "HOME": str(home), "PYTHONPATH": str(PROJECT)}
    code = "from pathlib import Path; from orchestrator.doctor import *\n"
    code += "print(render(diagnose(Path('.'), sandbox='none')))"
    command = [sys.executable, "-c", code]
    result = subprocess.run(
        command, capture_output=True, text=True, cwd=campaign, env=environment, timeout=60, check=True
    )
    assert result.stdout.count("not used, since no role of config.json names that back end") == 2
    assert "chmod 600" in result.stdout
    assert not any(SECRET[i : i + 4] in result.stdout for i in range(len(SECRET) - 3))


GOOD = json.dumps({"username": "me", "key": SECRET})


@pytest.mark.parametrize(
    ("environment", "files", "ok", "what"),
    [
        ({}, {}, False, "no credentials"),
        ({"KAGGLE_API_TOKEN": GOOD}, {}, True, "credentials in the variable KAGGLE_API_TOKEN"),
        ({"KAGGLE_API_TOKEN": SECRET}, {}, True, "credentials in the variable KAGGLE_API_TOKEN"),
        ({"KAGGLE_USERNAME": "me", "KAGGLE_KEY": SECRET}, {}, True, "credentials in the variable KAGGLE_KEY"),
        ({"KAGGLE_USERNAME": "me"}, {}, False, "no credentials"),
        ({}, {"kaggle.json": (GOOD, 0o600)}, True, "kaggle.json"),
        ({}, {"kaggle.json": (GOOD, 0o644)}, False, "can be read by others (mode 644)"),
        ({}, {"kaggle.json": ("{", 0o600)}, False, "is not the JSON of a key"),
        ({}, {"kaggle.json": ('{"username": "me"}', 0o600)}, False, "is not the JSON of a key"),
        ({}, {"access_token": (SECRET, 0o600), "kaggle.json": ("{", 0o600)}, True, "access_token"),
        ({}, {"access_token": ("", 0o600)}, False, "no credentials"),
    ],
)
def test_kaggle_credentials(
    tmp_path: Path, environment: dict[str, str], files: dict[str, tuple[str, int]], ok: bool, what: str
) -> None:
    for name, (text, mode) in files.items():
        path = tmp_path / ".kaggle" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
    found = find({**environment, "HOME": str(tmp_path)})
    check = credentials(found, True)
    assert check.ok is ok and what in check.what
    assert check.ok or check.fix
    assert SECRET not in f"{check.what}{check.fix}"
    assert credentials(found, False).ok is not False


@pytest.mark.parametrize(
    ("files", "quota"),
    [({}, None), ({"cpu.max": "max 100000"}, None), ({"cpu.max": "50000 100000"}, 0.5), ({"cpu.max": "oops"}, None)],
)
def test_processor_quota_of_a_container(tmp_path: Path, files: dict[str, str], quota: float | None) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert checks.cgroup_cores(tmp_path) == quota
    check = checks.cores(tmp_path)
    assert check.ok is (None if quota else True)
    assert ("set execution.cores to 1" in check.fix) == bool(quota)


def test_processor_quota_of_an_older_container(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000")
    for quota, expected in (("-1", None), ("250000", 2.5)):
        (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota)
        assert checks.cgroup_cores(tmp_path) == expected


def test_memory_limit_of_a_container(tmp_path: Path) -> None:
    assert "container" not in checks.memory(tmp_path).what
    (tmp_path / "memory.max").write_text("max")
    assert "container" not in checks.memory(tmp_path).what
    (tmp_path / "memory.max").write_text(str(checks.GIB // 2))
    check = checks.memory(tmp_path)
    assert check.ok is False and "0.5 GiB (this container's limit)" in check.what


def test_network_file_systems_are_told(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    shared = tmp_path / "my share"
    shared.mkdir()
    spelled = str(shared).replace(" ", "\\040")
    mounts.write_text(f"/dev/sda / ext4 rw 0 0\nserver:/x {spelled} nfs4 rw 0 0\nbroken\n")
    assert checks.file_system(shared, mounts).ok is None
    assert checks.file_system_kind(tmp_path, mounts) == "ext4"
    assert checks.file_system(tmp_path, tmp_path / "nothing") == Check("file system", True, "unknown kind")


def test_a_folder_that_takes_no_files() -> None:
    (check,) = checks.writable(Path("/proc/self"))
    assert check.ok is False and check.fix


def test_space_is_measured_against_an_experiments_allowance(tmp_path: Path) -> None:
    assert doctor.disk(tmp_path, 0.0).ok is True
    tight = doctor.disk(tmp_path, 1e9)
    assert tight.ok is None and "execution.disk_gb" in tight.fix


def test_prompts_that_are_missing_or_unreadable(tmp_path: Path) -> None:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "plan.md").write_bytes(b"\xff\xfe")
    check = doctor.prompt_files(tmp_path)
    assert check.ok is False and check.what.endswith("plan.md")
