"""What may go wrong between here and Kaggle: nothing runs twice that need not, nothing is taken for another."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.errors import Stopped
from orchestrator.referee.earlier import ARTIFACTS
from tests.execution.kernels.conftest import MakePlay
from tests.execution.kernels.play import QUICK, Play
from tests.kaggle_server.start import Kaggle

SLOW = "import time; time.sleep(0.7)\n" + QUICK


def test_a_session_that_leaves_nothing_is_run_once_more(play: Play, server: Kaggle) -> None:
    server.control("outcomes", ref=play.ref(0), runs=[{"status": "CANCEL_ACKNOWLEDGED"}])
    assert play.run(QUICK)["status"] == "ok"
    assert len(play.pushes(0)) == 2 and play.told("its session left nothing")


def test_the_session_before_is_never_taken_for_this_one(play: Play, server: Kaggle) -> None:
    server.settings(kernel_stale_polls=4)
    assert play.run(QUICK)["cv"] is not None
    first = np.load(play.stand.files(1).path(ARTIFACTS["test"]))
    assert play.run(QUICK.replace("0.3 +", "0.6 +"), 2)["status"] == "ok"
    second = np.load(play.stand.files(2).path(ARTIFACTS["test"]))
    assert np.allclose(second - first, 0.3)


@pytest.mark.parametrize("kind", ["disconnect_after", "disconnect"])
def test_a_push_whose_answer_is_lost_is_looked_for_first(play: Play, server: Kaggle, kind: str) -> None:
    server.fault("SaveKernel", {"kind": kind})
    assert play.run(QUICK)["status"] == "ok"
    assert len(play.pushes(0)) == 1


def test_kaggle_may_be_away_while_a_kernel_runs(play: Play, server: Kaggle) -> None:
    # two folds ask, each up to four times in a row: of seven, one gets four and hears of it
    trouble = [{"kind": "error", "status": 503}] * 7 + [{"kind": "html"}, {"kind": "unknown_enum", "key": "status"}]
    server.fault("GetKernelSessionStatus", *trouble)
    assert play.run(QUICK)["status"] == "ok"
    assert play.told("Kaggle has trouble") and len(play.pushes(0)) == 1


def test_a_stop_leaves_the_session_which_is_found_again(make_play: MakePlay) -> None:
    play = make_play(stopping=lambda: play.told("fold_0: pushed to Kaggle"))
    with pytest.raises(Stopped):
        play.run(SLOW)
    assert play.entry(0)["state"] == "pushed"
    play.notes.clear()
    play.policy["stopping"] = lambda: False
    play.restart()
    assert play.run(SLOW)["status"] == "ok"
    assert [len(play.pushes(fold)) for fold in range(2)] == [1, 1]


def test_a_dataset_in_another_version_is_noticed_and_mended(play: Play, server: Kaggle) -> None:
    assert play.run(QUICK)["status"] == "ok"
    (spoilt,) = (server.folder / "datasets" / play.ref(1)).iterdir()
    (spoilt / "inputs.bin").write_bytes(b"something else")
    assert play.run(QUICK + "\n", 2)["status"] == "ok"
    assert play.told("is mounted in another version") and len(server.control("dataset", ref=play.ref(1))) == 2
