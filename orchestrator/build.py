"""The build phase: the Builder writes, the referee runs, failures go back to the Builder a bounded number of times.

Where experiments run on many machines, the first scripts of a round's strategies are all written and then run side
by side; what failed goes back to the Builder one after the other, as it does everywhere else.
"""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

from orchestrator.errors import OutputRejected, Written
from orchestrator.execution.jobs import together
from orchestrator.files import atomic_write, read_json_or_none, write_json
from orchestrator.ledger import Entry, best_entry, plan_header
from orchestrator.referee.company import Company
from orchestrator.rounds import RoundFiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.campaign import Campaign
    from orchestrator.phases import Stage

ARTIFACTS = ("experiment.py", "run.log", "oof.npy", "test.npy", "folds_test.npy", "submission.csv", "scores.json")
TIME_RESERVE = 5.0
"""Seconds kept for the phases after a build when the campaign has a wall-clock cap."""
FIRST_SHARE = 0.4
"""Of the time left, what an experiment may take before there is any score: a quicker one can follow if it fails."""


def build(campaign: Campaign, files: RoundFiles, strategies: list[dict[str, Any]]) -> str:
    """Run every strategy of the plan, keep the best as the round's own files; returns `CV_SCORE=x` or `FAILED: why`."""
    several = len(strategies) > 1
    tried = [
        (RoundFiles(files.folder, files.number, number if several else 0), strategy)
        for number, strategy in enumerate(strategies[: campaign.config.loop.parallel_strategies], 1)
    ]
    begun: list[tuple[str, dict[str, Any]] | None] = [None] * len(tried)
    if (at_once := together(campaign.executor.machine, len(tried))) > 1:
        begun = [*_begin_together(campaign, tried, Company(at_once))]
    records = [(item[0], _build_one(campaign, *item, first)) for item, first in zip(tried, begun, strict=True)]
    sign = 1.0 if campaign.metric.maximize else -1.0
    chosen, record = max(records, key=lambda item: _rank(item[1], sign))
    if several:
        _take_over(chosen, files, record)
    if record["cv"] is None:
        return f"{'GATED' if record['status'] == 'gated' else 'FAILED'}: {record['reason']}"
    return f"CV_SCORE={record['cv']!r}"


def _begin_together(
    campaign: Campaign, tried: list[tuple[RoundFiles, dict[str, Any]]], company: Company
) -> list[tuple[str, dict[str, Any]]]:
    """The Builder's reply and the record of each strategy's first script; a fatal error of one ends all."""
    later = {"cv": None, "status": "waiting", "reason": "it runs beside the round's other strategies after this turn"}
    replies = []
    for files, strategy in tried:
        _announce(campaign, files, strategy, side_by_side=True)
        replies.append(_write(campaign, files, strategy, 1, None, lambda: later))
    with ThreadPoolExecutor(company.count, thread_name_prefix="strategy") as pool:
        futures = [pool.submit(_run, campaign, files, strategy, company) for files, strategy in tried]
        try:
            _see_through(futures)
        finally:
            company.end()  # whatever ends one ends the others
    return [(reply, future.result()) for reply, future in zip(replies, futures, strict=True)]


def _see_through(futures: list[Future[dict[str, Any]]]) -> None:
    """Wait until all are done, or raise what one raised; in short waits, since a signal may not end one."""
    waiting = set(futures)
    while waiting:
        done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()


def _announce(campaign: Campaign, files: RoundFiles, strategy: dict[str, Any], **more: Any) -> None:
    shown = {key: strategy.get(key) for key in ("recipe", "family", "role")}
    campaign.progress("experiment", round=files.number, variant=files.variant, **shown, **more)


def _build_one(
    campaign: Campaign, files: RoundFiles, strategy: dict[str, Any], begun: tuple[str, dict[str, Any]] | None
) -> dict[str, Any]:
    """Write, run, heal: at most `experiment_tries` scripts for one strategy; the first may have been `begun`.

    What counts is the referee's record; the score in the Builder's reply is compared with it and never believed.
    """
    if begun is None:
        _announce(campaign, files, strategy)
    record: dict[str, Any] = {}
    for attempt in range(1, campaign.config.loop.experiment_tries + 1):
        if begun is not None and attempt == 1:
            reply, record = begun
        else:
            failure = record.get("failure")
            reply = _write(campaign, files, strategy, attempt, failure, lambda: _run(campaign, files, strategy))
            record = _run(campaign, files, strategy)
        _check_claim(campaign, files, reply, record)
        if record["status"] != "failed":
            return record
        campaign.progress("note", text=f"{files.prefix} try {attempt} failed: {record['reason']}", level="warning")
    return record


def _write(
    campaign: Campaign,
    files: RoundFiles,
    strategy: dict[str, Any],
    attempt: int,
    failure: dict[str, Any] | None,
    run: Callable[[], dict[str, Any]],
) -> str:
    """One turn of the Builder, which may `run` what it wrote; its reply."""
    reply = campaign.players.ask(
        "builder",
        "build" if attempt == 1 else "fix",
        files,
        makes=("experiment.py",),
        turn_id=_turn_id(files, attempt),
        tools=campaign.toolset.of_build(files, strategy, run),
        facts={"strategy": strategy, "variant": files.variant, "attempt": attempt, "failure": failure},
    )
    if not campaign.execute:
        raise Written(f"{files.path('experiment.py')} is written and was not to be run")
    return reply


def _turn_id(files: RoundFiles, attempt: int) -> str:
    parts = [files.label, "build"]
    if files.variant:
        parts.append(f"v{files.variant}")
    if attempt > 1:
        parts.append(f"try{attempt}")
    return "/".join(parts)


def _run(
    campaign: Campaign, files: RoundFiles, strategy: dict[str, Any], company: Company | None = None
) -> dict[str, Any]:
    """Let the referee run the script that stands there; asking again for the same script costs nothing."""
    if not files.has("experiment.py"):
        raise OutputRejected(f"{files.path('experiment.py').name} has not been written")
    best = best_entry(campaign.entries)
    against_blend = best is not None and best["role"] == "blend"
    since = best["round"] if best else 0
    tries = sum(entry["round"] > since and entry["role"] != "blend" for entry in campaign.entries)
    return campaign.referee.run(
        files,
        strategy={**strategy, "against_blend": against_blend, "tries": tries},
        best=campaign.files(best["round"]) if best else None,
        earlier=complete(campaign),
        seconds=at_most(campaign, campaign.config.execution.experiment_minutes * 60),
        company=company,
    )


def complete(campaign: Campaign) -> list[RoundFiles]:
    """The rounds whose predictions stand."""
    return [campaign.files(entry["round"]) for entry in campaign.entries if entry["complete"]]


def at_most(campaign: Campaign, seconds: float) -> float:
    """`seconds`, or what the campaign has left for an experiment; before there is any score, a share of that."""
    left, rounds = campaign.seconds_left(), campaign.config.loop.last_round
    if left is None:
        return seconds
    another = rounds is None or rounds - len(campaign.entries) > 1
    share = FIRST_SHARE if another and not complete(campaign) else 1.0
    return max(1.0, min(seconds, share * (left - TIME_RESERVE)))


def _check_claim(campaign: Campaign, files: RoundFiles, reply: str, record: dict[str, Any]) -> None:
    claimed = reply.removeprefix("CV_SCORE=") if reply.startswith("CV_SCORE=") else None
    measured = record["cv"]
    if claimed is not None and (measured is None or abs(float(claimed) - measured) > 1e-6 * max(1.0, abs(measured))):
        text = f"{files.prefix}: the Builder claims {claimed}, the referee measured {measured}: the referee's counts"
        campaign.progress("note", text=text, level="warning")


def _rank(record: dict[str, Any], sign: float) -> tuple[int, bool, float]:
    """Kept before discarded before crashed, whole runs before gated ones, then by score; `sign` is -1 to minimize."""
    order = ("crash", "discard", "keep").index(record["verdict"])
    return order, record["status"] == "ok", float("-inf") if record["cv"] is None else sign * record["cv"]


def _take_over(chosen: RoundFiles, files: RoundFiles, record: dict[str, Any]) -> None:
    """Give the best variant's files the round's own names, the record last."""
    for name in ARTIFACTS[:-1]:
        if chosen.has(name):
            atomic_write(files.path(name), chosen.path(name).read_bytes())
    write_json(files.path("scores.json"), {**record, "variant": chosen.variant})


def entry(stage: Stage) -> Entry:
    """The registry's entry of a round, from its files alone: plan, scores, verify, findings, journal."""
    campaign, files, journal = stage.campaign, stage.files, stage.journal
    strategies = _strategies(files)
    record = read_json_or_none(files.path("scores.json"))
    variant = record["variant"] if record else 0
    rejected = journal.reply("verify").startswith("REJECT")
    crash = journal.reply("crash")
    body = _crashed(crash) if crash or not record else _scored(record, rejected, journal.reply("verify"))
    others = [
        _variant_entry(files, number, strategy) for number, strategy in enumerate(strategies, 1) if len(strategies) > 1
    ]
    strategy = strategies[max(variant, 1) - 1] if strategies else {}
    description = f"{strategy.get('recipe', strategy.get('family', 'no plan'))}: {body['reason']}"
    return {
        "round": files.number,
        "variant": variant,
        "script": files.path("experiment.py").name if files.has("experiment.py") else "",
        **_planned(strategy),
        **body,
        "held": held_back(journal.reply("findings")),
        "stand_in": (read_json_or_none(files.path("stand_in.json")) or {"turns": []})["turns"],
        "usd": round(campaign.costs.totals(round=files.number).usd, 6),
        "variants": [other for other in others if other and other["variant"] != variant],
        "learnings": _learnings(files),
        "description": description[:300],
        "timestamp": campaign.now().isoformat(timespec="seconds"),
        "elapsed_seconds": round(campaign.elapsed(), 1),
    }


def held_back(reply: str) -> bool:
    """Whether the findings hold this round for good; a wish in guidance.md holds only while it stands there."""
    return reply.startswith("HOLD") and "guidance.md" not in reply


def _strategies(files: RoundFiles) -> list[dict[str, Any]]:
    try:
        return plan_header(files.path("plan.md").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []


def _planned(strategy: dict[str, Any]) -> dict[str, Any]:
    keys = ("family", "recipe", "role", "hypothesis", "expected_gain", "features", "params", "parent")
    return {key: strategy.get(key) for key in keys}


def _scored(record: dict[str, Any], rejected: bool, why: str) -> dict[str, Any]:
    """The measured half of an entry. A rejected run is never kept and never blended."""
    keys = ("cv", "se", "fold_scores", "gain", "probability", "against", "correlations", "max_correlation")
    body = {key: record[key] for key in keys}
    body["complete"] = record["status"] == "ok" and not rejected
    body["status"] = "discard" if rejected else record["verdict"]
    body["reason"] = f"verify: {why}" if rejected else record["reason"]
    return {**body, "seconds": record["seconds"], "peak_mb": record["peak_mb"], "sandbox": record["sandbox"]}


def _crashed(why: str) -> dict[str, Any]:
    nothing = ("cv", "se", "gain", "probability", "against", "max_correlation", "peak_mb", "sandbox")
    return {
        **dict.fromkeys(nothing),
        "fold_scores": [],
        "correlations": {},
        "complete": False,
        "status": "crash",
        "reason": why or "the round ended before an experiment ran",
        "seconds": 0.0,
    }


def _variant_entry(files: RoundFiles, number: int, strategy: dict[str, Any]) -> Entry | None:
    record = read_json_or_none(RoundFiles(files.folder, files.number, number).path("scores.json"))
    return {"variant": number, **_planned(strategy), **_scored(record, False, "")} if record else None


def _learnings(files: RoundFiles) -> list[str]:
    """The bullet lines under `## Learnings` of the findings and the retrospective."""
    lines: list[str] = []
    for name in ("retro.md", "findings.md"):
        if files.has(name):
            text = files.path(name).read_text(encoding="utf-8", errors="replace")
            section = text.partition("## Learnings")[2].split("\n## ")[0]
            lines += [line.strip() for line in section.splitlines() if line.strip().startswith("- ")]
    return lines[:8]
