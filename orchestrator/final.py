"""What the campaign would hand in at its end, and its grade when the answers are here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.ledger import best_entry
from orchestrator.submission_policy import WENT_OUT, final_two

if TYPE_CHECKING:
    from orchestrator.campaign import Campaign


def grade_final(campaign: Campaign) -> dict[str, Any] | None:
    """The best round's grade on held-out answers, and the two submissions to choose; None when nothing was kept.

    The private answers are looked at here, when the campaign is over, and nowhere before.
    """
    best = best_entry(campaign.entries)
    if best is None:
        return None
    csv = campaign.files(best["round"]).path("submission.csv")
    grade = campaign.competition.grade(csv)
    receipt = campaign.submissions.receipts().get(best["round"])
    return {
        "round": best["round"],
        "submission": str(csv.relative_to(campaign.root)),
        "cv": best["cv"],
        "submitted": receipt is not None and receipt.status in WENT_OUT,
        "se": best["se"],
        "score": grade.score,
        "public": grade.public,
        "private": grade.private,
        "valid": grade.valid,
        "error": grade.error,
        "recommended": final_two(campaign.entries, maximize=campaign.metric.maximize),
    }
