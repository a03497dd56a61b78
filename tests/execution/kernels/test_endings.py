"""How a session may end, and what Kaggle may refuse."""

from __future__ import annotations

import pytest

from orchestrator.errors import FatalEnding
from tests.execution.kernels.play import QUICK, Play
from tests.kaggle_server.start import Kaggle

BUSY = {"kind": "set", "values": {"ref": "", "url": "", "error": "Maximum batch GPU session count of 2 reached."}}


def test_a_push_that_is_refused_for_its_number_goes_out_again(play: Play, server: Kaggle) -> None:
    server.fault("SaveKernel", BUSY, BUSY)
    assert play.run(QUICK)["status"] == "ok"
    assert play.told("waits for a free place at Kaggle: Maximum batch GPU session count of 2 reached.")


def test_any_other_refusal_ends_the_campaign_with_kaggles_words(play: Play, server: Kaggle) -> None:
    words = "You must verify your phone number to use accelerators."
    server.fault("SaveKernel", {"kind": "set", "values": {"ref": "", "url": "", "error": words}})
    with pytest.raises(FatalEnding, match="verify your phone number"):
        play.run(QUICK)
    assert not (play.stand.files(1).path("scores.json")).exists()


def test_a_failed_run_is_a_crash_like_any_other(play: Play) -> None:
    record = play.run("print('begun')\nraise KeyError('age')")
    assert (record["status"], record["verdict"]) == ("failed", "crash")
    assert record["failure"]["kind"] == "crash" and "KeyError: 'age'" in record["failure"]["tail"]
    assert record["failure"]["fold"] in (1, 2) and "begun" in record["failure"]["tail"]


def test_a_script_that_takes_its_session_down_is_a_crash_too(play: Play) -> None:
    record = play.run("import os, signal; os.kill(os.getppid(), signal.SIGKILL)")
    assert record["failure"]["kind"] == "crash" and len(play.pushes(0)) == 1
    assert "autokaggle run" in record["failure"]["tail"]


def test_a_script_without_an_end_is_a_timeout(play: Play) -> None:
    record = play.run("import time; time.sleep(600)", seconds=1.0)
    assert record["failure"]["kind"] == "timeout"
