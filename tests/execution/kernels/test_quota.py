"""The week's hours of Kaggle's GPUs: spent, kept in view, renewed."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.execution.kernels.conftest import MakePlay
from tests.execution.kernels.play import QUICK, Play
from tests.kaggle_server.start import Kaggle


def renewal(server: Kaggle, play: Play) -> datetime:
    refresh = play.client.quota().refresh
    assert refresh is not None
    return refresh


def test_spent_hours_bring_experiments_home_until_the_next_week(play: Play, server: Kaggle) -> None:
    server.settings(gpu_used_hours=30.0)
    renewed, pushes = renewal(server, play), server.count("SaveKernel")
    play.now = lambda: renewed - timedelta(hours=1)
    record = play.run(QUICK)
    assert (record["status"], record["sandbox"]) == ("ok", play.executor.here.level)
    refused = server.count("SaveKernel") - pushes
    assert 1 <= refused <= 2  # two folds begin side by side
    assert play.told("Maximum weekly GPU quota of 30.00 hours reached.")
    assert play.told(f"run on this machine until {renewed:%a %Y-%m-%d %H:%M} UTC")
    facts = play.facts.read_text()
    assert "30 of 30 used" in facts and "Kaggle's last refusal: Maximum weekly GPU quota" in facts
    server.settings(gpu_used_hours=0.0)
    assert play.run(QUICK + "\n", 2)["sandbox"] == play.executor.here.level
    play.now = lambda: renewed
    assert play.run(QUICK + "\n\n", 3)["sandbox"] == "kernel"


def test_spent_hours_are_waited_out_when_config_says_so(make_play: MakePlay, server: Kaggle) -> None:
    play = make_play(when_quota_is_spent="wait")
    server.settings(gpu_used_hours=30.0)
    renewed = renewal(server, play)
    play.now = lambda: renewed - timedelta(seconds=0.2)
    play.react = lambda note: "The campaign waits" in note and server.settings(gpu_used_hours=0.0)
    record = play.run(QUICK)
    assert (record["status"], record["sandbox"]) == ("ok", "kernel")
    assert play.told("The campaign waits; Kaggle renews it")


def test_a_wait_ends_with_the_campaigns_time(make_play: MakePlay, server: Kaggle) -> None:
    play = make_play(when_quota_is_spent="wait", time_is_up=lambda: play.told("The campaign waits"))
    server.settings(gpu_used_hours=30.0)
    record = play.run(QUICK)
    assert record["failure"]["kind"] == "timeout"


def test_a_machine_without_accelerator_needs_no_hours(make_play: MakePlay, server: Kaggle) -> None:
    server.settings(gpu_used_hours=30.0)
    play = make_play(accelerator="none")
    assert play.run(QUICK)["sandbox"] == "kernel"
    request = play.pushes(0)[0]["request"]
    assert request["enableGpu"] is False and "machineShape" not in request
