"""Where this campaign's experiments run, as config.json says: on this machine, on Kaggle's, or on a Ray cluster."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orchestrator.errors import BadInput
from orchestrator.execution.gpus import find
from orchestrator.execution.jobs import Sandbox
from orchestrator.execution.local import LocalExecutor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.campaign import Campaign
    from orchestrator.competitions.kaggle.client import KaggleClient
    from orchestrator.execution.kaggle_kernel import KaggleKernels
    from orchestrator.execution.kernel_site import KernelSite
    from orchestrator.execution.ray_cluster import RayCluster

    AnyExecutor = LocalExecutor | KaggleKernels | RayCluster


def open_executor(campaign: Campaign, sandbox: Sandbox, own: Mapping[str, str]) -> AnyExecutor:
    """`own` are the variables of the campaign's `.env`.

    Raises BadInput for Kaggle's machines without credentials, and for a Ray cluster that can't be joined.
    """
    section = campaign.config.execution
    gpus = find(section.gpus if section.backend == "local" else 0.0, sandbox.level, os.environ)
    if gpus.trouble:
        campaign.progress("note", text=gpus.trouble, level="warning")
    here = LocalExecutor(sandbox, campaign.cores, gpus)
    if section.backend == "ray":
        from orchestrator.execution.ray_cluster import RayCluster, Wanted

        wanted = Wanted(section.cores, section.memory_gb, section.gpus, warm=section.warm)
        return RayCluster(section.address, here, wanted, lambda: _time_is_up(campaign))
    return here if section.backend == "local" else _kaggle(campaign, here, own)


def _time_is_up(campaign: Campaign) -> bool:
    left = campaign.seconds_left()
    return left is not None and left <= 0


def bind_notebooks(campaign: Campaign) -> None:
    """Let a Kaggle competition that takes code alone have its submissions computed by notebooks."""
    if campaign.config.competition.kind != "kaggle":
        return
    from orchestrator.competitions.kaggle.code_submission import CodeSubmissions
    from orchestrator.competitions.kaggle.site import KaggleCompetition

    place = campaign.competition
    assert isinstance(place, KaggleCompetition)
    site = _site(campaign, place.client)
    place.code_submissions = CodeSubmissions(campaign.root, campaign.config, site, campaign.sleep)


def _kaggle(campaign: Campaign, here: LocalExecutor, own: Mapping[str, str]) -> KaggleKernels:
    from orchestrator.competitions.kaggle.client import KaggleClient
    from orchestrator.competitions.kaggle.credentials import find
    from orchestrator.competitions.kaggle.errors import TOKEN_FIX
    from orchestrator.execution.kaggle_kernel import KaggleKernels, KernelPolicy

    credentials = find(os.environ, own)
    if not credentials.found:
        trouble = "; ".join(credentials.problems) or "there are none"
        raise BadInput(f'execution.backend is "kaggle_kernel" without Kaggle credentials ({trouble}): {TOKEN_FIX}')
    section = campaign.config.execution
    policy = KernelPolicy(
        accelerator=section.accelerator,
        when_quota_is_spent=section.when_quota_is_spent,
        log_kb=section.log_kb,
        stopping=lambda: campaign.stopping,
        time_is_up=lambda: _time_is_up(campaign),
        facts_file=campaign.root / "KAGGLE_API.md",
    )
    return KaggleKernels(_site(campaign, KaggleClient(credentials)), here, policy)


def _site(campaign: Campaign, client: KaggleClient) -> KernelSite:
    from orchestrator.execution.kernel_site import KernelSite, Pace

    return KernelSite(
        client,
        rounds=campaign.rounds,
        scratch=campaign.root / ".work" / "kernels",
        run=campaign.identity.run,
        now=campaign.now,
        tell=lambda text, level="info": campaign.progress("note", text=text, level=level),
        pace=Pace(poll_s=campaign.config.execution.poll_seconds),
    )
