"""Kernels and datasets through the real library: lists, sources, pushes, runs that really run, outputs, quota."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.kaggle_server.library import Library, Raised
from tests.kaggle_server.start import Kaggle

PUSH = "api.kernels_push(folder, acc=acc)"
STATUS = "api.kernels_status(ref)"
CODE = """
import os, pathlib, sys
inputs = pathlib.Path(os.environ["AUTOKAGGLE_KERNEL_INPUT"])
print("inputs", sorted(path.name for path in inputs.iterdir()))
print("trouble", file=sys.stderr)
pathlib.Path("deep").mkdir()
pathlib.Path("deep/out.csv").write_text((inputs / "train-data" / "a.csv").read_text())
"""


@pytest.fixture
def pushed(tmp_path: Path) -> Any:
    """A function that writes a folder to push."""

    def write(slug: str, code: str = "print('hi')", **metadata: Any) -> Path:
        folder = tmp_path / slug
        folder.mkdir(exist_ok=True)
        (folder / "script.py").write_text(code)
        known = {"id": f"ada/{slug}", "title": slug.replace("-", " ").title(), "code_file": "script.py"}
        known |= {"language": "python", "kernel_type": "script", "is_private": True, **metadata}
        (folder / "kernel-metadata.json").write_text(json.dumps(known))
        return folder

    return write


def dataset(library: Library, folder: Path, ref: str, **files: str) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)
    known = {"id": ref, "title": ref.rpartition("/")[2], "licenses": [{"name": "CC0-1.0"}]}
    (folder / "dataset-metadata.json").write_text(json.dumps(known))
    return dict(library("api.dataset_create_new(folder, quiet=True)", folder=folder))


def ended(library: Library, ref: str) -> tuple[list[str], dict[str, Any]]:
    """(statuses seen, the last answer)."""
    seen, limit = [], time.monotonic() + 20
    while True:
        told = library(STATUS, ref=ref)
        seen.append(told["status"])
        if told["status"] in ("COMPLETE", "ERROR") or time.monotonic() > limit:
            return seen, told
        time.sleep(0.05)


def test_a_pushed_script_runs_with_its_data(
    server: Kaggle, library: Library, pushed: Any, files: Path, tmp_path: Path
) -> None:
    server.competition("mounted-one", folder=files)
    dataset(library, tmp_path / "ds", "ada/train-data", a="x\n1\n")
    sources = {"dataset_sources": ["ada/train-data", "ada/nothing"], "competition_sources": ["mounted-one", "none"]}
    said = library(PUSH, folder=pushed("first-run", CODE, **sources), acc="NvidiaTeslaT4")
    assert said["versionNumber"] == 1 and said["error"] in ("", None)
    assert said["invalidDatasetSources"] == ["ada/nothing"] and said["invalidCompetitionSources"] == ["none"]
    assert server.runs("ada/first-run")[0]["request"]["machineShape"] == "NvidiaTeslaT4"
    seen, _ = ended(library, "ada/first-run")
    assert seen[:2] == ["QUEUED", "RUNNING"] and seen[-1] == "COMPLETE"
    paths, _ = library("api.kernels_output('ada/first-run', path=out)", out=tmp_path / "out")
    assert sorted(Path(path).name for path in paths) == ["first-run.log", "out.csv"]
    assert (tmp_path / "out" / "deep" / "out.csv").read_text() == "x\n1\n"
    events = json.loads(library("api.kernels_logs('ada/first-run')"))
    assert {event["stream_name"]: event["data"] for event in events} == {
        "stdout": "inputs ['mounted-one', 'train-data']\n",
        "stderr": "trouble\n",
    }
    assert [file["name"] for file in library("api.kernels_list_files('ada/first-run')")["files"]] == ["deep/out.csv"]
    assert library("api.quota_view()")["gpuQuota"]["totalTimeAllowed"] == "21600s"  # re-serialising drops the day


def test_the_log_streams_while_it_runs(server: Kaggle, library: Library, pushed: Any) -> None:
    server.settings(kernel_queue_polls=0, kernel_run_polls=0)
    code = "import time\nprint('one')\ntime.sleep(0.5)\nprint('two')"
    library(PUSH, folder=pushed("stream-run", code), acc=None)
    lines = library("[event['data'] for event in api.kernels_logs_stream('ada/stream-run')]")
    assert lines == ["one\n", "two\n"]
    assert library("[event['data'] for event in api.kernels_logs_stream('ada/stream-run')]") == lines


def test_a_script_that_fails_and_one_that_never_ends(server: Kaggle, library: Library, pushed: Any) -> None:
    server.settings(kernel_limit_s=0.5)
    library(PUSH, folder=pushed("fail-run", "raise ValueError('no')"), acc=None)
    library(PUSH, folder=pushed("slow-run", "while True: pass"), acc=None)
    assert ended(library, "ada/fail-run")[1]["status"] == "ERROR"
    assert "ValueError: no" in library("api.kernels_logs('ada/fail-run')")
    assert "exceeded the maximum run time" in ended(library, "ada/slow-run")[1]["failureMessage"]


def test_refusals_are_200_with_an_error(server: Kaggle, library: Library, pushed: Any) -> None:
    server.outcomes("*", {}, {}, {})
    for slug in ("busy-one", "busy-two"):
        library(PUSH, folder=pushed(slug), acc="NvidiaTeslaT4")
    third = {"folder": pushed("busy-three"), "acc": "NvidiaTeslaT4"}
    assert library(PUSH, **third)["error"] == "Maximum batch GPU session count of 2 reached."
    ended(library, "ada/busy-one")
    server.settings(gpu_used_hours=30.0)
    assert library(PUSH, **third)["error"] == "Maximum weekly GPU quota of 30.00 hours reached."
    server.settings(gpu_used_hours=0.0)
    assert library(PUSH, **third)["versionNumber"] == 1
    for slug in ("busy-two", "busy-three"):
        ended(library, f"ada/{slug}")
    assert library(PUSH, folder=pushed("busy-cpu"), acc=None)["versionNumber"] == 1
    with pytest.raises(Raised) as caught:
        library(PUSH, folder=pushed("other-slug", title="A Title Apart"), acc=None)
    assert caught.value.status == 409


def test_runs_can_be_planned(server: Kaggle, library: Library, pushed: Any, tmp_path: Path) -> None:
    evil = {"files": {"a.txt": "A", "b.txt": "B"}, "names": {"b.txt": "../../escaped.txt"}, "log": "line\n", "hours": 3}
    server.outcomes("ada/plan-run", {"status": "ERROR", "failure": "Out of memory"}, evil)
    server.settings(kernel_queue_polls=2, kernel_run_polls=2, kernel_stale_polls=2)
    library(PUSH, folder=pushed("plan-run"), acc="NvidiaTeslaT4")
    seen, told = ended(library, "ada/plan-run")
    assert seen == ["QUEUED", "QUEUED", "RUNNING", "RUNNING", "ERROR"] and told["failureMessage"] == "Out of memory"
    library(PUSH, folder=pushed("plan-run"), acc="NvidiaTeslaT4")
    # the session before it is shown for a while
    stale = [library(STATUS, ref="ada/plan-run")["status"] for _ in range(2)]
    assert stale[0] == "ERROR" and ended(library, "ada/plan-run")[0][-1] == "COMPLETE"
    inside = tmp_path / "deep" / "er"
    library("api.kernels_output('ada/plan-run', path=out)", out=inside)
    assert (inside / "a.txt").read_text() == "A" and (tmp_path / "escaped.txt").read_text() == "B"
    assert server.settings()["gpu_used_hours"] >= 3.0


def test_outputs_in_pages(server: Kaggle, library: Library, pushed: Any, tmp_path: Path) -> None:
    server.outcomes("ada/page-run", {"files": {f"f{number:02d}.txt": str(number) for number in range(45)}})
    library(PUSH, folder=pushed("page-run"), acc=None)
    ended(library, "ada/page-run")
    library("api.kernels_output('ada/page-run', path=out)", out=tmp_path / "out")
    assert len(list((tmp_path / "out").glob("f*.txt"))) == 45


def test_an_unknown_kernel_is_a_denied_one(server: Kaggle, library: Library) -> None:
    with pytest.raises(Raised, match="ValueError: Cannot access kernel"):
        library(STATUS, ref="ada/never-was")
    server.fault("GetKernelSessionStatus", {"kind": "unknown_enum"})
    server.kernel("bob/public-one")
    with pytest.raises(Raised, match="ValueError"):
        library(STATUS, ref="bob/public-one")


def test_public_notebooks_by_votes_and_by_score(server: Kaggle, library: Library, tmp_path: Path) -> None:
    cells = {"cells": [{"cell_type": "code", "source": ["x = 1\n"], "outputs": []}]}
    for number in range(30):
        votes, score = number, 0.9 - number / 100 if number % 2 else None
        known = {"title": f"Notebook {number}", "votes": votes, "score": score, "competitions": ["read-one"]}
        server.kernel(f"bob/notebook-{number}", **known, kernel_type="notebook", source=json.dumps(cells))
    found = library("api.kernels_list(competition='read-one', sort_by='voteCount', page_size=10)")
    assert [kernel["totalVotes"] for kernel in found] == list(range(29, 19, -1))
    second = library("api.kernels_list(competition='read-one', sort_by='voteCount', page_size=10, page=2)")
    assert second[0]["totalVotes"] == 19
    best = library("api.kernels_list(competition='read-one', sort_by='scoreDescending')")
    assert [kernel["ref"] for kernel in best[:2]] == ["bob/notebook-1", "bob/notebook-3"] and len(best) == 15
    library("api.kernels_pull('bob/notebook-3', path=out, metadata=True)", out=tmp_path)
    assert json.loads((tmp_path / "notebook-3.ipynb").read_text()) == cells
    assert json.loads((tmp_path / "kernel-metadata.json").read_text())["id"] == "bob/notebook-3"


def test_a_version_becomes_a_submission(server: Kaggle, library: Library, pushed: Any) -> None:
    server.competition("code-one", code_only=True, required_name="submission.csv", daily_limit=1)
    server.settings(kernel_queue_polls=0, kernel_run_polls=1)
    server.outcomes("ada/code-run", {"files": {"submission.csv": "id,y\n0,1\n"}})
    library(PUSH, folder=pushed("code-run"), acc=None)
    submit = "api.competition_submit_code(name, 'from code', 'code-one', 'ada/code-run', 1, quiet=True)"
    with pytest.raises(Raised) as caught:
        library(submit, name="submission.csv")
    assert "Notebook is still running. Did not find provided Notebook Output File." in caught.value.answer
    ended(library, "ada/code-run")
    with pytest.raises(Raised) as caught:
        library(submit, name="other.csv")
    assert "must be named" in caught.value.answer
    assert library(submit, name="submission.csv")["ref"] > 0
    assert server.submissions("code-one")[0]["kernel"] == "ada/code-run/1"
    with pytest.raises(Raised) as caught:
        library(submit, name="submission.csv")
    assert "daily Submission allowance (1)" in caught.value.answer


def test_a_dataset_is_made_once_and_then_in_versions(server: Kaggle, library: Library, tmp_path: Path) -> None:
    server.settings(dataset_ready_polls=2)
    folder, ref = tmp_path / "ds", "ada/folds-one"
    said = dataset(library, folder, ref, a="1\n", b="2\n")
    assert (said["status"], said["error"]) == ("ok", None)
    states = [library("api.dataset_status(ref)", ref=ref) for _ in range(3)]
    assert states[-1] == "ready" and "ready" not in states[:2]
    assert "already in use" in dataset(library, folder, ref)["error"]
    (folder / "b.csv").unlink()
    library("api.dataset_create_version(folder, 'again', quiet=True)", folder=folder)
    versions = server.control("dataset", ref=ref)
    assert versions == [
        {"notes": "Initial release", "files": ["a.csv", "b.csv"]},
        {"notes": "again", "files": ["a.csv"]},
    ]
    server.control("dataset", ref=ref, failed=True)
    assert library("api.dataset_status(ref)", ref=ref) == "failed"
    assert json.loads(library("api.dataset_status(ref, format='json')", ref=ref))["current_version_number"] == 2
    with pytest.raises(Raised, match="403"):
        library("api.dataset_status('bob/private-one')")


def test_a_zipped_folder_arrives_unpacked(server: Kaggle, library: Library, tmp_path: Path) -> None:
    (tmp_path / "ds" / "code").mkdir(parents=True)
    (tmp_path / "ds" / "code" / "deep.py").write_text("x = 1\n")
    known = {"id": "ada/zipped-one", "title": "zipped-one", "licenses": [{"name": "CC0-1.0"}]}
    (tmp_path / "ds" / "dataset-metadata.json").write_text(json.dumps(known))
    library("api.dataset_create_new(folder, quiet=True, dir_mode='zip')", folder=tmp_path / "ds")
    assert server.control("dataset", ref="ada/zipped-one")[0]["files"] == ["code/deep.py"]


def test_uploads_that_fail_leave_the_file_out(server: Kaggle, library: Library, tmp_path: Path) -> None:
    server.fault("upload PUT", {"kind": "error", "status": 400})
    said = dataset(library, tmp_path / "ds", "ada/holes-one", a="1\n", b="2\n")
    assert said["status"] == "ok" and len(server.control("dataset", ref="ada/holes-one")[0]["files"]) == 1


def test_an_upload_is_resumed_where_it_stopped(server: Kaggle, library: Library, tmp_path: Path) -> None:
    server.fault("upload PUT", {"kind": "error_after", "status": 503})
    before = server.count("upload PUT")
    dataset(library, tmp_path / "ds", "ada/resume-one", a="1\n" * 1000)
    assert server.count("upload PUT") == before + 2
    assert server.control("dataset", ref="ada/resume-one")[0]["files"] == ["a.csv"]
